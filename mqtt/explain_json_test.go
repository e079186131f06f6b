package mqtt

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzExplainJSON(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `[1,-0,0.5e+3,"\u00e9",true,null]`, `{"t":02}`, `{'a':1}`, `{"a":1,}`, "{\"a\":1}\x00", `[[[`, `"x`, `{"a" 1}`, `-`, `1.`, ` {} `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		at, problem, _ := explainJSON(b)
		if at < 0 || at > len(b) {
			t.Fatalf("%q: mistake at %d", b, at)
		}
		// encoding/json does not look at UTF-8, and nests deeper.
		if !utf8.Valid(b) || strings.Contains(problem, "nested") {
			return
		}
		if valid := json.Valid(b); valid != (problem == "") {
			t.Fatalf("%q: encoding/json says %v, the explanation says %q", b, valid, problem)
		}
	})
}
