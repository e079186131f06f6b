package tsl_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/tsl"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files instead of comparing with them")

// now is the server's time of all tests: 2018-04-23 01:58:42 UTC.
const now = 1524448722000

// value parses one JSON value with a parser of its own.
func value(t testing.TB, text string) devjson.Value {
	t.Helper()
	v, err := new(devjson.Parser).Parse([]byte(text))
	if err != nil {
		t.Fatalf("test data %s: %v", text, err)
	}
	return v
}

// model parses a document that must be fine.
func model(t testing.TB, doc string) *tsl.Model {
	t.Helper()
	m, err := tsl.Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// file parses a document of testdata that must be fine.
func file(t testing.TB, name string) *tsl.Model {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return model(t, string(doc))
}

// dataType parses a dataType by putting it into a property.
func dataType(t testing.TB, text string) *tsl.DataType {
	t.Helper()
	m := model(t, `{"properties":[{"identifier":"P","accessMode":"rw","dataType":`+text+`}]}`)
	return m.Properties()[0].Type
}

// golden compares got with a file of testdata, or writes it under -rewrite.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (create it with go test -rewrite)", err)
	}
	if got != string(want) {
		t.Errorf("differs from %s\n--- got\n%s--- want\n%s", path, got, want)
	}
}
