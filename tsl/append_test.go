package tsl_test

import (
	"testing"
)

func TestAppendValue(t *testing.T) {
	tests := []struct{ dataType, value, want string }{
		{intType, `6`, `6`},
		{intType, `6.0`, `6`},
		{intType, `02`, `2`},
		{intType, `6.5`, `6.5`},
		{intType, `"x"`, `"x"`},
		{floatType, `23.60`, `23.60`},
		{doubleType, `1e2`, `1e2`},
		{boolType, `true`, `1`},
		{boolType, `false`, `0`},
		{boolType, `1.0`, `1`},
		{boolType, `null`, `null`},
		{enumType, `-1.0`, `-1`},
		{textType, `'it is "so"'`, `"it is \"so\""`},
		{dateType, `1524448722000`, `"1524448722000"`},
		{dateType, `"1524448722000"`, `"1524448722000"`},
		{dateType, `-5`, `-5`},
		{structType, `{"y":"a","x":1.0}`, `{"x":1,"y":"a"}`},
		{structType, `{"z":[1, 2],"x":1,"":{}}`, `{"x":1,"z":[1,2],"":{}}`},
		{structType, `{"y":"a","y":"b"}`, `{"y":"b"}`},
		{structType, `{}`, `{}`},
		{structType, `7`, `7`},
		{arrayType, `[1.0, 2,3]`, `[1,2,3]`},
		{arrayType, `[]`, `[]`},
		{arrayType, `{"a":1}`, `{"a":1}`},
		{pointsType, `[{"y":"a","x":1}]`, `[{"x":1,"y":"a"}]`},
	}
	for _, test := range tests {
		typ := dataType(t, test.dataType)
		if got := string(typ.AppendValue([]byte("> "), value(t, test.value))); got != "> "+test.want {
			t.Errorf("%v %s: %s, want %s", typ.Kind, test.value, got, test.want)
		}
	}
}
