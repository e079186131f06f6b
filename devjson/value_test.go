package devjson

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, s string) Value {
	t.Helper()
	v, err := new(Parser).Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNumbers(t *testing.T) {
	type result struct {
		Float   float64
		FloatOK bool
		Int     int64
		IntOK   bool
	}
	tests := map[string]result{
		"6":                    {6, true, 6, true},
		"06":                   {6, true, 6, true},
		"-7":                   {-7, true, -7, true},
		"6.0":                  {6, true, 6, true},
		"60e-1":                {6, true, 6, true},
		"6.5":                  {6.5, true, 0, false},
		"23.6":                 {23.6, true, 0, false},
		"1524448722000":        {1524448722000, true, 1524448722000, true},
		"9223372036854775807":  {9223372036854775807, true, math.MaxInt64, true},
		"-9223372036854775808": {-9223372036854775808, true, math.MinInt64, true},
		"9223372036854775808":  {9223372036854775808, true, 0, false},
		"9007199254740993":     {9007199254740992, true, 9007199254740993, true},
		"9007199254740993.0":   {9007199254740992, true, 0, false},
		"1e400":                {math.Inf(1), false, 0, false},
		"1e-400":               {0, true, 0, true},
		`"6"`:                  {},
		"true":                 {},
	}
	for in, want := range tests {
		v := parse(t, in)
		var got result
		got.Float, got.FloatOK = v.Float64()
		got.Int, got.IntOK = v.Int64()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
	if f, _ := parse(t, "-0").Float64(); !math.Signbit(f) {
		t.Error("-0 lost its sign")
	}
}

func TestKindsAndAbsence(t *testing.T) {
	v := parse(t, `{"o":{},"a":[1,2],"s":"x","n":1,"t":true,"f":false,"z":null}`)
	want := map[string]Kind{"o": Object, "a": Array, "s": String, "n": Number, "t": Bool, "f": Bool, "z": Null}
	got := map[string]Kind{}
	v.Each(func(key string, v Value) bool {
		got[strings.Clone(key)] = v.Kind()
		return true
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !v.Get("z").Exists() || v.Get("y").Exists() {
		t.Error("null must exist and a missing member must not")
	}
	if !v.Get("t").Bool() || v.Get("f").Bool() || v.Get("n").Bool() {
		t.Error("only true is true")
	}
	for name, absent := range map[string]Value{
		"zero value": {}, "missing member": v.Get("y"), "member of a scalar": v.Get("n").Get("x"),
		"index of an object": v.Index(0), "index too large": v.Get("a").Index(2), "negative index": v.Get("a").Index(-1),
	} {
		if absent.Exists() || absent.Kind() != Null || absent.Len() != 0 || absent.NumberText() != "" {
			t.Errorf("%s: not absent", name)
		}
		if s, ok := absent.Str(); ok || s != "" {
			t.Errorf("%s: has a string", name)
		}
		if b, ok := absent.StrBytes(); ok || b != nil {
			t.Errorf("%s: has bytes", name)
		}
		if got := string(absent.AppendJSON(nil)); got != "null" {
			t.Errorf("%s: appends %s", name, got)
		}
		absent.Each(func(string, Value) bool { t.Errorf("%s: has members", name); return false })
	}
}

func TestLastOfDuplicateKeysWins(t *testing.T) {
	v := parse(t, `{"a":{"x":[1,2]},"b":2,"a":3}`)
	if got := v.Get("a").NumberText(); got != "3" {
		t.Errorf("got %q, want 3", got)
	}
	visited := 0
	v.Each(func(string, Value) bool { visited++; return true })
	if visited != 3 || v.Len() != 3 {
		t.Errorf("visited %d of %d, want 3", visited, v.Len())
	}
}

func TestEachStops(t *testing.T) {
	visited := 0
	parse(t, `{"a":1,"b":2,"c":3}`).Each(func(string, Value) bool { visited++; return visited < 2 })
	if visited != 2 {
		t.Errorf("visited %d, want 2", visited)
	}
}

func TestIndexInAnyOrder(t *testing.T) {
	v := parse(t, `[[1,[2]],{"a":[3,4]},5,[],[6]]`)
	want := []string{`[1,[2]]`, `{"a":[3,4]}`, `5`, `[]`, `[6]`}
	for _, i := range []int{0, 1, 2, 3, 4, 3, 1, 4, 0, 2, 2} {
		if got := string(v.Index(i).AppendJSON(nil)); got != want[i] {
			t.Errorf("element %d is %s, want %s", i, got, want[i])
		}
		// Another array in between must not disturb the walk.
		if got := v.Index(1).Get("a").Index(1).NumberText(); got != "4" {
			t.Errorf("inner element is %q, want 4", got)
		}
	}
}

func TestIndexForgetsThePreviousDocument(t *testing.T) {
	var p Parser
	v, _ := p.Parse([]byte(`[[0,0,0],1,2]`))
	v.Index(2)
	v, _ = p.Parse([]byte(`[0,1,2]`))
	if got := v.Index(2).NumberText(); got != "2" {
		t.Errorf("element 2 is %q, want 2", got)
	}
}

func TestValuesEndWithTheNextParse(t *testing.T) {
	var p Parser
	v, err := p.Parse([]byte(`{"a":[1,2]}`))
	if err != nil {
		t.Fatal(err)
	}
	a := v.Get("a")
	if _, err := p.Parse([]byte(`{"b":"cc"}`)); err != nil {
		t.Fatal(err)
	}
	if v.Exists() || a.Exists() || a.Len() != 0 || a.Index(0).Exists() {
		t.Error("a value of the previous document is still there")
	}
}

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":                 `""`,
		"plain":            `"plain"`,
		`a"b\c`:            `"a\"b\\c"`,
		"\n\r\t\x00\x1f":   `"\n\r\t\u0000\u001f"`,
		"温度/<&>\u2028\x7f": "\"温度/<&>\u2028\x7f\"",
		"\xffx\xce":        "\"\uFFFDx\uFFFD\"",
	} {
		if got := string(AppendString(nil, in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestKindString(t *testing.T) {
	if got := Object.String() + " " + Kind(9).String(); got != "object Kind(9)" {
		t.Error(got)
	}
}

// Adversarial documents of the largest size: every walk a server makes over them must stay linear.
func TestLargestDocumentsAreWalkedOnce(t *testing.T) {
	fill := func(open, item, last, end string) []byte {
		n := (MaxSize - len(open) - len(last) - len(end)) / len(item)
		return []byte(open + strings.Repeat(item, n) + last + end)
	}
	var p Parser
	for name, in := range map[string][]byte{
		"nested arrays": fill("[", "[1],", "0", "]"),
		"scalars":       fill("[", "1,", "0", "]"),
		"escapes":       fill(`"`, `\u0041`, "", `"`),
		"same key":      fill("{", `"":1,`, `"":2`, "}"),
	} {
		v, err := p.Parse(in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		steps := 0
		for i := range v.Len() {
			if v.Kind() == Array && !v.Index(i).Exists() {
				t.Fatalf("%s: no element %d", name, i)
			}
			steps++
		}
		v.Each(func(string, Value) bool { steps--; return true })
		if v.Kind() == Object && (steps != 0 || v.Get("").NumberText() != "2") {
			t.Errorf("%s: Len and Each differ by %d", name, steps)
		}
		if s, ok := v.Str(); ok && s != strings.Repeat("A", len(s)) {
			t.Errorf("%s: misread", name)
		}
	}
}
