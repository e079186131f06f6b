package tsl_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/tsl"
)

// FuzzParse: no document brings the parser down, and what it accepts survives
// an export.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.json", "testdata/accepted/*.json", "testdata/refused/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			doc, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(doc)
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		m, err := tsl.Parse(doc)
		if err != nil {
			_ = err.Error()
			return
		}
		export := m.Export("pk")
		second, err := tsl.Parse(export)
		if err != nil {
			t.Fatalf("the export does not parse: %v\n%s", err, export)
		}
		if again := second.Export("pk"); !bytes.Equal(again, export) {
			t.Fatalf("the export is not stable:\n%s\n%s", export, again)
		}
		if !json.Valid(m.DeviceTSL("pk", "dn")) {
			t.Fatal("the device's TSL is not JSON")
		}
	})
}

// FuzzCheck posts anything to a model that has every type. What the strong mode
// accepts, the weak one must accept too, and the canonical spelling of an
// accepted value must be accepted and be its own canonical spelling.
func FuzzCheck(f *testing.F) {
	m := model(f, `{"properties":[
		{"identifier":"i","accessMode":"rw","dataType":`+intType+`},
		{"identifier":"f","accessMode":"rw","dataType":`+floatType+`},
		{"identifier":"d","accessMode":"rw","dataType":`+doubleType+`},
		{"identifier":"b","accessMode":"rw","dataType":`+boolType+`},
		{"identifier":"e","accessMode":"rw","dataType":`+enumType+`},
		{"identifier":"t","accessMode":"rw","dataType":`+textType+`},
		{"identifier":"D","accessMode":"rw","dataType":`+dateType+`},
		{"identifier":"s","accessMode":"rw","dataType":`+structType+`},
		{"identifier":"a","accessMode":"rw","dataType":`+arrayType+`},
		{"identifier":"p","accessMode":"rw","dataType":`+pointsType+`}],
		"events":[{"identifier":"E","type":"info","outputData":[{"identifier":"i","dataType":`+intType+`},{"identifier":"s","dataType":`+structType+`}]}],
		"services":[{"identifier":"S","callType":"sync","inputData":[{"identifier":"i","dataType":`+intType+`}],"outputData":[]}]}`)
	for _, seed := range []string{
		`{"i":5,"f":{"value":23.6,"time":1524448722000},"d":1e1,"b":true,"e":-1,"t":"中文","D":1524448722000}`,
		`{"s":{"x":1.0,"y":"abc"},"a":[1,2,3],"p":[{"y":"a","x":1},{"x":2,"y":"b"}]}`,
		`{"i":02,'b':1,unknown:[[]],"s":{"value":{"x":1},"time":"soon"},"":null}`,
		`{"value":{"i":5},"time":1}`, `{}`, `[]`, `{"i":1e400,"i":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var parser, second devjson.Parser
		params, err := parser.Parse(message)
		if err != nil {
			return
		}
		strong := make(map[int]bool)
		n := 0
		_ = m.EachProperty(params, tsl.Strong, now, func(_ string, _ *tsl.Property, _ devjson.Value, _ int64, problem *tsl.Problem) bool {
			strong[n] = problem == nil
			n++
			return true
		})
		n = 0
		_ = m.EachProperty(params, tsl.Weak, now, func(id string, p *tsl.Property, v devjson.Value, _ int64, problem *tsl.Problem) bool {
			if problem != nil && strong[n] {
				t.Fatalf("%s: strong accepts what weak refuses: %v", id, problem)
			}
			n++
			if p == nil {
				return true
			}
			canonical := p.Type.AppendValue(nil, v)
			if !json.Valid(canonical) {
				t.Fatalf("%s: %s is not JSON", id, canonical)
			}
			if problem != nil {
				return true
			}
			again, err := second.ParseStrict(canonical)
			if err != nil {
				t.Fatal(err)
			}
			mode := tsl.Weak
			if strong[n-1] {
				mode = tsl.Strong
			}
			if problem := p.Type.Check(again, mode); problem != nil {
				t.Fatalf("%s: the canonical %s is refused: %v", id, canonical, problem)
			}
			if twice := p.Type.AppendValue(nil, again); !bytes.Equal(twice, canonical) {
				t.Fatalf("%s: %s becomes %s", id, canonical, twice)
			}
			return true
		})
		for _, mode := range []tsl.Mode{tsl.Weak, tsl.Strong, tsl.None} {
			m.CheckEvent("E", params, mode, now)
			m.CheckServiceInput("S", params, mode)
			m.CheckServiceOutput("S", params, mode)
		}
		m.CheckSet(params)
	})
}
