package tsl_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/tsl"
)

const (
	intType    = `{"type":"int","specs":{"min":"-40","max":"125","step":"5"}}`
	intFree    = `{"type":"int"}`
	floatType  = `{"type":"float","specs":{"min":"-40","max":"125","step":"0.1"}}`
	floatFree  = `{"type":"float","specs":{}}`
	doubleType = `{"type":"double","specs":{"min":0,"max":200,"step":0.01}}`
	boolType   = `{"type":"bool","specs":{"0":"off","1":"on"}}`
	enumType   = `{"type":"enum","specs":{"-1":"unknown","0":"none","7":"gas"}}`
	textType   = `{"type":"text","specs":{"length":"6"}}`
	textFree   = `{"type":"text"}`
	dateType   = `{"type":"date","specs":{}}`
	structType = `{"type":"struct","specs":[
		{"identifier":"x","name":"x","dataType":{"type":"int","specs":{"min":"0","max":"9"}}},
		{"identifier":"y","name":"y","dataType":{"type":"text","specs":{"length":"3"}}}]}`
	arrayType  = `{"type":"array","specs":{"size":"3","item":{"type":"int","specs":{"min":"0","max":"9"}}}}`
	textsType  = `{"type":"array","specs":{"size":"2","item":{"type":"text","specs":{"length":"3"}}}}`
	pointsType = `{"type":"array","specs":{"size":2,"item":` + structType + `}}`
)

// fine is the code of no problem in the tables below.
const fine = 0

// TestCheck goes through every type at its boundaries; weak and strong are the
// codes expected in these modes. The mode none must accept every row.
func TestCheck(t *testing.T) {
	tests := []struct {
		dataType, value string
		weak, strong    int
	}{
		{intType, `-40`, fine, fine},
		{intType, `125`, fine, fine},
		{intType, `20.0`, fine, fine},
		{intType, `2e1`, fine, fine},
		{intType, `-41`, fine, tsl.CodeInt},
		{intType, `130`, fine, tsl.CodeInt},
		{intType, `21`, fine, tsl.CodeInt},
		{intType, `20.5`, tsl.CodeInt, tsl.CodeInt},
		{intType, `"20"`, tsl.CodeInt, tsl.CodeInt},
		{intType, `true`, tsl.CodeInt, tsl.CodeInt},
		{intType, `null`, tsl.CodeInt, tsl.CodeInt},
		{intType, `{"x":1}`, tsl.CodeInt, tsl.CodeInt},
		{intType, `[1]`, tsl.CodeInt, tsl.CodeInt},
		{intFree, `2147483647`, fine, fine},
		{intFree, `-2147483648`, fine, fine},
		{intFree, `2147483648`, tsl.CodeInt, tsl.CodeInt},
		{intFree, `-2147483649`, tsl.CodeInt, tsl.CodeInt},
		{intFree, `1e400`, tsl.CodeInt, tsl.CodeInt},
		{intFree, `02`, fine, fine}, // the seed's text

		{floatType, `6`, fine, fine},
		{floatType, `-40.0`, fine, fine},
		{floatType, `125.0`, fine, fine},
		{floatType, `23.600000381`, fine, fine}, // a float32 printed with %f
		{floatType, `125.1`, fine, tsl.CodeFloat},
		{floatType, `-40.1`, fine, tsl.CodeFloat},
		{floatType, `23.65`, fine, tsl.CodeFloat},
		{floatType, `"23.6"`, tsl.CodeFloat, tsl.CodeFloat},
		{floatType, `false`, tsl.CodeFloat, tsl.CodeFloat},
		{floatFree, `3.4e38`, fine, fine},
		{floatFree, `3.5e38`, tsl.CodeFloat, tsl.CodeFloat},
		{floatFree, `1e400`, tsl.CodeFloat, tsl.CodeFloat},

		{doubleType, `0`, fine, fine},
		{doubleType, `200`, fine, fine},
		{doubleType, `100.07`, fine, fine},
		{doubleType, `-0.01`, fine, tsl.CodeDouble},
		{doubleType, `200.01`, fine, tsl.CodeDouble},
		{doubleType, `100.075`, fine, tsl.CodeDouble},
		{doubleType, `100.0700001`, fine, tsl.CodeDouble}, // a double is not forgiven like a float
		{doubleType, `3.5e38`, fine, tsl.CodeDouble},
		{doubleType, `-1e400`, tsl.CodeDouble, tsl.CodeDouble},
		{doubleType, `[]`, tsl.CodeDouble, tsl.CodeDouble},

		{boolType, `0`, fine, fine},
		{boolType, `1`, fine, fine},
		{boolType, `1.0`, fine, fine},
		{boolType, `true`, fine, tsl.CodeBool},
		{boolType, `false`, fine, tsl.CodeBool},
		{boolType, `2`, tsl.CodeBool, tsl.CodeBool},
		{boolType, `-1`, tsl.CodeBool, tsl.CodeBool},
		{boolType, `"1"`, tsl.CodeBool, tsl.CodeBool},
		{boolType, `null`, tsl.CodeBool, tsl.CodeBool},

		{enumType, `-1`, fine, fine},
		{enumType, `0`, fine, fine},
		{enumType, `7`, fine, fine},
		{enumType, `1`, fine, tsl.CodeEnum},
		{enumType, `8`, fine, tsl.CodeEnum},
		{enumType, `-2`, fine, tsl.CodeEnum},
		{enumType, `4294967296`, tsl.CodeEnum, tsl.CodeEnum},
		{enumType, `0.5`, tsl.CodeEnum, tsl.CodeEnum},
		{enumType, `"7"`, tsl.CodeEnum, tsl.CodeEnum},
		{enumType, `true`, tsl.CodeEnum, tsl.CodeEnum},

		{textType, `""`, fine, fine},
		{textType, `"abcdef"`, fine, fine},
		{textType, `"中文"`, fine, fine}, // six bytes
		{textType, `"中文a"`, fine, tsl.CodeText},
		{textType, `"abcdefg"`, fine, tsl.CodeText},
		{textType, `6`, tsl.CodeText, tsl.CodeText},
		{textType, `["a"]`, tsl.CodeText, tsl.CodeText},
		{textFree, `"` + strings.Repeat("a", 10240) + `"`, fine, fine},
		{textFree, `"` + strings.Repeat("a", 10241) + `"`, fine, tsl.CodeText},

		{dateType, `"1524448722000"`, fine, fine},
		{dateType, `"0"`, fine, fine},
		{dateType, `1524448722000`, fine, tsl.CodeDate},
		{dateType, `""`, tsl.CodeDate, tsl.CodeDate},
		{dateType, `"-1"`, tsl.CodeDate, tsl.CodeDate},
		{dateType, `-1`, tsl.CodeDate, tsl.CodeDate},
		{dateType, `"2018-04-23"`, tsl.CodeDate, tsl.CodeDate},
		{dateType, `"9999999999999999999"`, tsl.CodeDate, tsl.CodeDate},
		{dateType, `1.5`, tsl.CodeDate, tsl.CodeDate},
		{dateType, `true`, tsl.CodeDate, tsl.CodeDate},

		{structType, `{"x":1,"y":"abc"}`, fine, fine},
		{structType, `{"y":"abc","x":1}`, fine, fine},
		{structType, `{"x":1}`, fine, tsl.CodeStruct},
		{structType, `{}`, fine, tsl.CodeStruct},
		{structType, `{"x":10,"y":"abc"}`, fine, tsl.CodeInt},
		{structType, `{"x":1,"y":"abcd"}`, fine, tsl.CodeText},
		{structType, `{"x":"1","y":"abc"}`, tsl.CodeInt, tsl.CodeInt},
		{structType, `{"x":1,"y":"abc","z":0}`, tsl.CodeUnknownParam, tsl.CodeUnknownParam},
		{structType, `{"x":1,"x":2,"y":"abc"}`, fine, fine}, // repeated, yet nothing unknown
		{structType, `[1,"abc"]`, tsl.CodeStruct, tsl.CodeStruct},
		{structType, `1`, tsl.CodeStruct, tsl.CodeStruct},

		{arrayType, `[]`, fine, fine},
		{arrayType, `[0,9,5]`, fine, fine},
		{arrayType, `[1,2,3,4]`, fine, tsl.CodeArray},
		{arrayType, `[1,10]`, fine, tsl.CodeInt},
		{arrayType, `[1,"2"]`, tsl.CodeArrayItem, tsl.CodeArrayItem},
		{arrayType, `[1,2.5]`, tsl.CodeArrayItem, tsl.CodeArrayItem},
		{arrayType, `{"0":1}`, tsl.CodeNotArray, tsl.CodeNotArray},
		{arrayType, `1`, tsl.CodeNotArray, tsl.CodeNotArray},
		{textsType, `["a","abc"]`, fine, fine},
		{textsType, `["a","abcd"]`, fine, tsl.CodeText},
		{textsType, `["a",null]`, tsl.CodeArrayItem, tsl.CodeArrayItem},
		{pointsType, `[{"x":1,"y":"a"},{"x":2,"y":"b"}]`, fine, fine},
		{pointsType, `[{"x":1,"y":"a"},{"x":2}]`, fine, tsl.CodeStruct},
		{pointsType, `[{"x":1,"y":"a"},{"x":2,"y":"b","z":3}]`, tsl.CodeUnknownParam, tsl.CodeUnknownParam},
		{pointsType, `[{"x":1,"y":2}]`, tsl.CodeText, tsl.CodeText},
		{pointsType, `[5]`, tsl.CodeArrayItem, tsl.CodeArrayItem},
	}
	for _, test := range tests {
		typ := dataType(t, test.dataType)
		name := test.value
		if len(name) > 40 {
			name = name[:40]
		}
		for mode, want := range map[tsl.Mode]int{tsl.Weak: test.weak, tsl.Strong: test.strong, tsl.None: fine} {
			t.Run(fmt.Sprintf("%v/%v/%s", typ.Kind, mode, name), func(t *testing.T) {
				got := fine
				problem := typ.Check(value(t, test.value), mode)
				if problem != nil {
					got = problem.Code
				}
				if got != want {
					t.Errorf("code %d, want %d (%v)", got, want, problem)
				}
			})
		}
	}
}

// TestProblemTexts shows what each mistake is called, to the device and to the
// owner.
func TestProblemTexts(t *testing.T) {
	tests := []struct {
		dataType, value string
		want            string
	}{
		{intType, `"20"`, `tsl parse: int type error (code 6306): "20" is not an integer of 32 bits`},
		{intType, `-41`, `tsl parse: int out of range (code 6306): -41 is below the minimum -40`},
		{intType, `130`, `tsl parse: int out of range (code 6306): 130 is above the maximum 125`},
		{intType, `21`, `tsl parse: int out of range (code 6306): 21 is not a multiple of the step 5 from -40`},
		{floatType, `true`, `tsl parse: float type error (code 6307): true is not a float number`},
		{floatType, `125.5`, `tsl parse: float out of range (code 6307): 125.5 is above the maximum 125`},
		{doubleType, `{}`, `tsl parse: double type error (code 6322): an object is not a double number`},
		{doubleType, `-1`, `tsl parse: double out of range (code 6322): -1 is below the minimum 0`},
		{boolType, `2`, `tsl parse: bool type error (code 6308): 2 is not 0 or 1`},
		{enumType, `null`, `tsl parse: enum type error (code 6309): null is not an integer of 32 bits`},
		{enumType, `3`, `tsl parse: enum value not exist (code 6309): 3 is none of -1 unknown, 0 none, 7 gas`},
		{textType, `[]`, `tsl parse: text type error (code 6310): an array is not a string`},
		{textType, `"abcdefg"`, `tsl parse: text too long (code 6310): 7 bytes are more than the 6 allowed`},
		{dateType, `"yesterday"`, `tsl parse: date format error (code 6311): "yesterday" is not a string of UTC milliseconds such as "1524448722000"`},
		{structType, `1`, `tsl parse: struct type error (code 6312): 1 is not an object`},
		{structType, `{"x":1}`, `tsl parse: struct params missing (code 6312): .y: the member is missing`},
		{structType, `{"x":1,"y":"","z":1}`, `tsl parse: params not exist (code 6304): .z: the struct has no such member`},
		{arrayType, `1`, `tsl parse: array type error (code 6328): 1 is not an array`},
		{arrayType, `[1,2,3,4]`, `tsl parse: array too long (code 6324): 4 elements are more than the 3 allowed`},
		{arrayType, `[1,"2"]`, `tsl parse: array item type error (code 6325): [1]: "2" is not an integer of 32 bits`},
		{pointsType, `[{"x":1,"y":""},{"x":99,"y":""}]`, `tsl parse: int out of range (code 6306): [1].x: 99 is above the maximum 9`},
		{textType, `"` + strings.Repeat("中", 4000) + `"`, `tsl parse: text too long (code 6310): 12000 bytes are more than the 6 allowed`},
		{intType, `"` + strings.Repeat("中", 4000) + `"`, `tsl parse: int type error (code 6306): "` + strings.Repeat("中", 15) + `…" is not an integer of 32 bits`},
	}
	for _, test := range tests {
		problem := dataType(t, test.dataType).Check(value(t, test.value), tsl.Strong)
		if problem == nil {
			t.Errorf("%s: no problem, want %s", test.value, test.want)
			continue
		}
		if got := problem.Error(); got != test.want {
			t.Errorf("%.60s\n got %s\nwant %s", test.value, got, test.want)
		}
	}
}
