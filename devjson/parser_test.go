package devjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const post = `{"id":"17","version":"1.0","params":{"Temp":6,"Hum":{"value":23.6,"time":1524448722000},"Light":1,` +
	`"Name":"pump \u0031","Pos":{"x":1,"y":-2}},"sys":{"ack":1},"method":"thing.event.property.post"}`

func TestParse(t *testing.T) {
	tests := []struct {
		name, in, want string
		relaxed        bool
	}{
		{"object", `{"a":1,"b":[true,false,null]}`, `{"a":1,"b":[true,false,null]}`, false},
		{"white space", " {\t\"a\" :\n1 } \r\n", `{"a":1}`, false},
		{"empty containers", `[{},[],""]`, `[{},[],""]`, false},
		{"number kept as written", `[0,-0,1.50,1E+5,-2e-3]`, `[0,-0,1.50,1E+5,-2e-3]`, false},
		{"escapes", `"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"`, `"\"\\/\u0008\u000c\n\r\té😀"`, false},
		{"half a surrogate", `"\ud83dx\ude00"`, "\"\uFFFDx\uFFFD\"", false},
		{"surrogate before another escape", `"\ud83d\u0041"`, "\"\uFFFDA\"", false},
		{"escaped key", `{"\u0061":1}`, `{"a":1}`, false},
		{"Chinese", `{"名":"温度"}`, `{"名":"温度"}`, false},
		{"scalar", `42`, `42`, false},

		{"single quotes", `{'id':'1','params':{'a':'say "x"'}}`, `{"id":"1","params":{"a":"say \"x\""}}`, true},
		{"escaped single quote", `{'a':'it\'s'}`, `{"a":"it's"}`, true},
		{"unquoted keys", `{id:1,params:{Temp_1:2, $x-y.z:3, 温:4}}`, `{"id":1,"params":{"Temp_1":2,"$x-y.z":3,"温":4}}`, true},
		{"trailing commas", `{"a":[1,2,],}`, `{"a":[1,2]}`, true},
		{"leading zeros", `[02,-007,00,-00,01.50,000e1]`, `[2,-7,0,-0,1.50,0e1]`, true},
		{"the seed's post", `{"id":"15","version":"1.0","params":{"Temp": 02,"Hum": 02,"Gas": 02},"method":"thing.event.property.set"}`,
			`{"id":"15","version":"1.0","params":{"Temp":2,"Hum":2,"Gas":2},"method":"thing.event.property.set"}`, true},
		{"NUL after", "{\"a\":1}\x00\r\n\x00", `{"a":1}`, true},
		{"byte order mark", "\uFEFF{\"a\":1}", `{"a":1}`, true},
		{"raw control characters", "[\"a\tb\x01\"]", `["a\tb\u0001"]`, true},
		{"GBK bytes", "{\"a\":\"\xce\xc2\"}", "{\"a\":\"\uFFFD\uFFFD\"}", true},
	}
	var p Parser
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := p.Parse([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(v.AppendJSON(nil)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if p.Relaxed() != tt.relaxed {
				t.Errorf("Relaxed() = %v, want %v", p.Relaxed(), tt.relaxed)
			}
			if _, err := p.ParseStrict([]byte(tt.in)); (err != nil) != tt.relaxed {
				t.Errorf("ParseStrict: error %v, want an error: %v", err, tt.relaxed)
			}
			if !json.Valid([]byte(tt.want)) {
				t.Errorf("the expectation is not JSON: %s", tt.want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1)
	tests := []struct {
		in     string
		strict bool
		want   SyntaxError
	}{
		{in: ``, want: SyntaxError{0, "the end of the message", "a value"}},
		{in: `  `, want: SyntaxError{2, "the end of the message", "a value"}},
		{in: `{"a":}`, want: SyntaxError{5, "'}'", "a value"}},
		{in: `{"a" 1}`, want: SyntaxError{5, "'1'", ": after the key"}},
		{in: `{"a":1 "b":2}`, want: SyntaxError{7, "'\"'", ", or }"}},
		{in: `{,}`, want: SyntaxError{1, "','", "a key in double quotes"}},
		{in: `{"a":1,,}`, want: SyntaxError{7, "','", "a key in double quotes"}},
		{in: `{`, want: SyntaxError{1, "the end of the message", "a key or }"}},
		{in: `[,1]`, want: SyntaxError{1, "','", "a value"}},
		{in: `[1`, want: SyntaxError{2, "the end of the message", ", or ]"}},
		{in: `"abc`, want: SyntaxError{4, "the end of the message", "the closing quote of the string that starts at byte 0"}},
		{in: `"\x"`, want: SyntaxError{1, `'\'`, `one of \" \\ \/ \b \f \n \r \t \u and four hex digits`}},
		{in: `"\u12G4"`, want: SyntaxError{1, `'\'`, `one of \" \\ \/ \b \f \n \r \t \u and four hex digits`}},
		{in: `"\`, want: SyntaxError{1, `'\'`, `one of \" \\ \/ \b \f \n \r \t \u and four hex digits`}},
		{in: `nul`, want: SyntaxError{0, "'n'", "null"}},
		{in: `nan`, want: SyntaxError{0, "'n'", "null"}},
		{in: `Infinity`, want: SyntaxError{0, "'I'", "a value"}},
		{in: `-`, want: SyntaxError{1, "the end of the message", "a digit"}},
		{in: `1.`, want: SyntaxError{2, "the end of the message", "a digit after the point"}},
		{in: `1.e3`, want: SyntaxError{2, "'e'", "a digit after the point"}},
		{in: `1e+`, want: SyntaxError{3, "the end of the message", "a digit of the exponent"}},
		{in: `+1`, want: SyntaxError{0, "'+'", "a value"}},
		{in: `0x10`, want: SyntaxError{1, "'x'", "the end"}},
		{in: `{} {}`, want: SyntaxError{3, "'{'", "the end"}},
		{in: "{}\x00{}", want: SyntaxError{3, "'{'", "the end"}},
		{in: `é`, want: SyntaxError{0, "a character beyond ASCII", "a value"}},
		{in: deep, want: SyntaxError{MaxDepth, "a nested value", "at most 32 levels"}},
		{in: strings.Repeat(" ", MaxSize+1), want: SyntaxError{MaxSize, "1048577 bytes", "at most 1048576 bytes"}},

		{in: `{'a':1}`, strict: true, want: SyntaxError{1, "'''", "a key in double quotes"}},
		{in: `['a']`, strict: true, want: SyntaxError{1, "'''", "a value"}},
		{in: `{a:1}`, strict: true, want: SyntaxError{1, "'a'", "a key in double quotes"}},
		{in: `{"a":1,}`, strict: true, want: SyntaxError{7, "'}'", "a key after the comma"}},
		{in: `[1,]`, strict: true, want: SyntaxError{3, "']'", "a value after the comma"}},
		{in: `[02]`, strict: true, want: SyntaxError{2, "'2'", "a number without leading zeros"}},
		{in: "\"a\tb\"", strict: true, want: SyntaxError{2, "byte 0x09", "an escape instead of a control character"}},
		{in: "\"\\n\tb\"", strict: true, want: SyntaxError{3, "byte 0x09", "an escape instead of a control character"}},
		{in: "{}\x00", strict: true, want: SyntaxError{2, "byte 0x00", "the end"}},
		{in: "\"a\xff\"", strict: true, want: SyntaxError{2, "a byte that is not UTF-8", "UTF-8"}},
		{in: `"it\'s"`, strict: true, want: SyntaxError{3, `'\'`, `one of \" \\ \/ \b \f \n \r \t \u and four hex digits`}},
	}
	var p Parser
	for _, tt := range tests {
		parse := p.Parse
		if tt.strict {
			parse = p.ParseStrict
		}
		v, err := parse([]byte(tt.in))
		got, ok := err.(*SyntaxError)
		if !ok {
			t.Errorf("%.20q: error %v, want a *SyntaxError", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, *got); diff != "" {
			t.Errorf("%.20q: %s", tt.in, diff)
		}
		if v.Exists() {
			t.Errorf("%.20q: a value came with the error", tt.in)
		}
	}
	const text = `JSON: byte 5: found '}', expected a value`
	if _, err := p.Parse([]byte(`{"a":}`)); err == nil || err.Error() != text {
		t.Errorf("error text %v, want %s", err, text)
	}
}

func TestDepthLimitAdmitsMaxDepth(t *testing.T) {
	in := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	var p Parser
	v, err := p.Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(v.AppendJSON(nil)); got != in {
		t.Errorf("got %s", got)
	}
}

func TestInputMayBeReused(t *testing.T) {
	in := []byte(`{"a":"text","n":02}`)
	kept := bytes.Clone(in)
	var p Parser
	v, err := p.Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(in, kept) {
		t.Errorf("Parse changed its input to %s", in)
	}
	clear(in)
	if s, _ := v.Get("a").Str(); s != "text" {
		t.Errorf("after the input was overwritten the value reads %q", s)
	}
}

func TestBuffersShrinkAfterALargeDocument(t *testing.T) {
	var p Parser
	if _, err := p.Parse([]byte("[" + strings.Repeat("1,", keepBytes) + "1]")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Parse([]byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	if cap(p.buf) > keepBytes || cap(p.nodes) > keepBytes {
		t.Errorf("an idle parser holds %d bytes and %d nodes", cap(p.buf), cap(p.nodes))
	}
}

func TestStrictPostDoesNotAllocate(t *testing.T) {
	var p Parser
	in := []byte(post)
	out := make([]byte, 0, 1024)
	var members int
	run := func() {
		v, err := p.ParseStrict(in)
		if err != nil {
			t.Fatal(err)
		}
		members = 0
		v.Get("params").Each(func(key string, v Value) bool {
			members++
			return true
		})
		if _, ok := v.Get("params").Get("Hum").Get("value").Float64(); !ok {
			t.Fatal("Hum has no value")
		}
		out = v.AppendJSON(out[:0])
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if members != 5 {
		t.Errorf("%d properties, want 5", members)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{post, `{'a':02,b:[1,],}`, "\uFEFF[\"\\ud83d\\u0041\"]\x00", `{"a":1e400,"a":-0}`, "\"\xce\xc2\t\"", `[[[[]]]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var p, q Parser
		v, err := p.Parse(in)
		_, strictErr := q.ParseStrict(in)
		if (strictErr == nil) != (err == nil && !p.Relaxed()) {
			t.Fatalf("Parse: %v, relaxed %v; ParseStrict: %v", err, p.Relaxed(), strictErr)
		}
		if strictErr == nil && !json.Valid(in) {
			t.Fatalf("ParseStrict accepts what encoding/json refuses")
		}
		if strictErr != nil && err == nil && json.Valid(in) && validUTF8(in) {
			t.Fatalf("encoding/json accepts what ParseStrict refuses: %v", strictErr)
		}
		if err != nil {
			return
		}
		out := v.AppendJSON(nil)
		w, err := q.ParseStrict(out)
		if err != nil {
			t.Fatalf("%s does not parse again: %v", out, err)
		}
		if again := w.AppendJSON(nil); !bytes.Equal(out, again) {
			t.Fatalf("%s parses as %s", out, again)
		}
		if !same(v, w) {
			t.Fatalf("%s is not equal to what it was written from", out)
		}
		// encoding/json reads the same text out of it.
		var a, b any
		if json.Unmarshal(out, &a) == nil && strictErr == nil && json.Unmarshal(in, &b) == nil {
			if diff := cmp.Diff(b, a); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func validUTF8(b []byte) bool { return firstInvalid(b) == len(b) }

// same compares two values through the accessors a user has.
func same(v, w Value) bool {
	if v.Kind() != w.Kind() || v.Len() != w.Len() || v.Bool() != w.Bool() || v.NumberText() != w.NumberText() {
		return false
	}
	vs, vok := v.Str()
	ws, wok := w.Str()
	if vs != ws || vok != wok {
		return false
	}
	if v.Kind() == Array {
		for i := range v.Len() {
			if !same(v.Index(i), w.Index(i)) {
				return false
			}
		}
	}
	equal := true
	v.Each(func(key string, _ Value) bool {
		equal = equal && same(v.Get(key), w.Get(key))
		return equal
	})
	return equal
}

func BenchmarkParsePost(b *testing.B) {
	in := []byte(post)
	var p Parser
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := p.Parse(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	var p Parser
	v, err := p.Parse([]byte(post))
	if err != nil {
		b.Fatal(err)
	}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = v.AppendJSON(out[:0])
	}
}
