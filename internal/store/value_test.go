package store

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestValueJSON(t *testing.T) {
	for want, v := range map[string]Value{
		"-12":                   Int(-12),
		"9223372036854775807":   Int(math.MaxInt64),
		"21.5":                  Float(21.5),
		"30":                    Float(30),
		"0.000001":              Float(1e-6),
		"1e-07":                 Float(1e-7),
		"1e+21":                 Float(1e21),
		"1":                     Bool(true),
		"0":                     Bool(false),
		`"a\"b\\c\n\t\r\u0001"`: Text("a\"b\\c\n\t\r\x01"),
		`"温度"`:                  Text("温度"),
		"\"a\uFFFDb\"":          Text("a\xffb"),
		`{"x": 1}`:              JSON([]byte(`{"x": 1}`)),
		"null":                  {},
	} {
		if got := string(v.AppendJSON(nil)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if !json.Valid(v.AppendJSON(nil)) {
			t.Errorf("%s is not JSON", want)
		}
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got := string(Float(f).AppendJSON([]byte("x"))); got != "xnull" {
			t.Errorf("%v is %s", f, got)
		}
	}
}

func TestTextIsAlwaysJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		var back string
		if err := json.Unmarshal(Text(string(b)).AppendJSON(nil), &back); err != nil {
			t.Fatal(err)
		}
		var want string
		doc, _ := json.Marshal(string(b))
		json.Unmarshal(doc, &want)
		if back != want {
			t.Fatalf("%q became %q, want %q", b, back, want)
		}
	})
}

func TestValueAccessors(t *testing.T) {
	if i, ok := Int(-3).Int64(); i != -3 || !ok {
		t.Error(i, ok)
	}
	if i, ok := Bool(true).Int64(); i != 1 || !ok {
		t.Error(i, ok)
	}
	if f, ok := Float(2.5).Float64(); f != 2.5 || !ok {
		t.Error(f, ok)
	}
	if f, ok := Int(7).Float64(); f != 7 || !ok {
		t.Error(f, ok)
	}
	if s, ok := Text("x").Str(); s != "x" || !ok {
		t.Error(s, ok)
	}
	if _, ok := Text("7").Int64(); ok {
		t.Error("a text is a number")
	}
	if _, ok := Float(1).Str(); ok {
		t.Error("a number is a text")
	}
	if _, ok := (Value{}).Float64(); ok {
		t.Error("null is a number")
	}
}

func FuzzReadValue(f *testing.F) {
	for _, v := range []Value{Int(-1), Float(2.5), Bool(true), Text("x"), JSON([]byte("{}")), {}} {
		f.Add(appendValue(nil, v))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, n := readValue(data)
		if n == 0 {
			return
		}
		if again, m := readValue(appendValue(nil, v)); m == 0 || again != v {
			t.Fatalf("%v became %v", v, again)
		}
	})
}
