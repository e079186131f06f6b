package tsl_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/linkstead/linkstead/tsl"
	"pgregory.net/rapid"
)

// indented makes exports readable as golden files.
func indented(t *testing.T, doc []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, doc, "", " "); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, doc)
	}
	return b.String() + "\n"
}

func TestExport(t *testing.T) {
	golden(t, "testdata/stc15.export", indented(t, file(t, "stc15.json").Export("a1ji0qFv6Jf")))
	golden(t, "testdata/accepted/types.export", indented(t, file(t, "accepted/types.json").Export("pk")))
	golden(t, "testdata/accepted/modules.export", indented(t, file(t, "accepted/modules.json").Export("pk")))
}

func TestDeviceTSL(t *testing.T) {
	doc := string(file(t, "stc15.json").DeviceTSL("a1ji0qFv6Jf", "STC15"))
	want := `{"schema":"https://iotx-tsl.oss-ap-southeast-1.aliyuncs.com/schema.json","link":"/sys/a1ji0qFv6Jf/STC15/thing/",` +
		`"profile":{"productKey":"a1ji0qFv6Jf","deviceName":"STC15"},"properties":[{"identifier":"Temp",`
	if !strings.HasPrefix(doc, want) {
		t.Errorf("starts with\n%.300s, want\n%s", doc, want)
	}
	if diff := cmp.Diff(file(t, "stc15.json").Describe(), model(t, doc).Describe()); diff != "" {
		t.Error(diff)
	}
}

func TestNilModel(t *testing.T) {
	var m *tsl.Model
	want := `{"schema":"https://iotx-tsl.oss-ap-southeast-1.aliyuncs.com/schema.json","profile":{"version":"1.0","productKey":"pk"},` +
		`"properties":[],"events":[],"services":[]}`
	if got := string(m.Export("pk")); got != want {
		t.Errorf("export is %s", got)
	}
	if rows := m.Describe(); len(rows) != 0 {
		t.Errorf("describes %v", rows)
	}
	if _, ok := m.Property("Temp"); ok {
		t.Error("knows a property")
	}
	if _, ok := m.Event("Alarm"); ok {
		t.Error("knows an event")
	}
	if _, ok := m.Service("Blink"); ok {
		t.Error("knows a service")
	}
}

// sameModel compares what two models say, not how they came about.
func sameModel(a, b *tsl.Model) string {
	return cmp.Diff(a.Properties(), b.Properties()) + cmp.Diff(a.Events(), b.Events()) + cmp.Diff(a.Services(), b.Services()) +
		cmp.Diff(a.Modules(), b.Modules()) + cmp.Diff(a.Version(), b.Version()) + cmp.Diff(a.Schema(), b.Schema())
}

// TestExportRoundTrip: whatever document is parsed, its export is the same model,
// and the export of that is the same text.
func TestExportRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := genDocument(t)
		first, err := tsl.Parse([]byte(doc))
		if err != nil {
			t.Fatalf("the generator writes a bad document: %v\n%s", err, doc)
		}
		export := first.Export("pk")
		second, err := tsl.Parse(export)
		if err != nil {
			t.Fatalf("the export does not parse: %v\n%s", err, export)
		}
		if diff := sameModel(first, second); diff != "" {
			t.Fatal(diff)
		}
		if again := second.Export("pk"); !bytes.Equal(again, export) {
			t.Fatalf("the export is not stable:\n%s\n%s", export, again)
		}
		device, err := tsl.Parse(first.DeviceTSL("pk", "dn"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first.Describe(), device.Describe()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// list writes up to most elements as a JSON array.
func list(t *rapid.T, label string, least, most int, element func(i int) string) string {
	parts := make([]string, rapid.IntRange(least, most).Draw(t, label))
	for i := range parts {
		parts[i] = element(i)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// genText draws a short text that may need escaping, as JSON.
func genText(t *rapid.T, label string) string {
	return quote(rapid.StringN(0, 12, 48).Draw(t, label))
}

// genNumber draws a spec: absent, a number or a string of one.
func genNumber(t *rapid.T, key string, low, high int) string {
	n := rapid.IntRange(low, high).Draw(t, key)
	switch rapid.IntRange(0, 2).Draw(t, key+" form") {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(",%q:%d", key, n)
	}
	return fmt.Sprintf(",%q:\"%d\"", key, n)
}

func genType(t *rapid.T, kinds ...string) string {
	kind := rapid.SampledFrom(kinds).Draw(t, "kind")
	specs := ""
	switch kind {
	case "int", "float", "double":
		specs = `{"unit":` + genText(t, "unit") + genNumber(t, "min", -100, 0) + genNumber(t, "max", 0, 100) + genNumber(t, "step", 1, 9) + `}`
	case "bool":
		specs = rapid.SampledFrom([]string{`{}`, `{"0":"off","1":"on"}`, `{"1":"only"}`}).Draw(t, "specs")
	case "enum":
		keys := rapid.SliceOfNDistinct(rapid.Int32(), 1, 5, rapid.ID).Draw(t, "labels")
		for _, key := range keys {
			specs += fmt.Sprintf(`,"%d":%s`, key, genText(t, "label"))
		}
		specs = "{" + specs[1:] + "}"
	case "text":
		specs = `{"x":0` + genNumber(t, "length", 1, 10240) + `}`
	case "date":
		specs = `{}`
	case "struct":
		var members []string
		for _, k := range kinds {
			if k != "struct" && k != "array" {
				members = append(members, k)
			}
		}
		specs = genParams(t, 1, 4, append(members, "bool", "enum", "date")...)
	case "array":
		specs = fmt.Sprintf(`{"size":%d,"item":%s}`, rapid.IntRange(1, 512).Draw(t, "size"), genType(t, "int", "float", "double", "text", "struct"))
	}
	return fmt.Sprintf(`{"type":%q,"specs":%s}`, kind, specs)
}

var allKinds = []string{"int", "float", "double", "bool", "enum", "text", "date", "struct", "array"}

func genParams(t *rapid.T, least, most int, kinds ...string) string {
	return list(t, "params", least, most, func(i int) string {
		return fmt.Sprintf(`{"identifier":"p%d","name":%s,"dataType":%s}`, i, genText(t, "name"), genType(t, kinds...))
	})
}

func genLists(t *rapid.T) string {
	head := func(kind string, i int) string {
		return fmt.Sprintf(`"identifier":"%s%d","name":%s,"desc":%s,"required":%v`, kind, i, genText(t, "name"), genText(t, "desc"), rapid.Bool().Draw(t, "required"))
	}
	properties := list(t, "properties", 0, 4, func(i int) string {
		return fmt.Sprintf(`{%s,"accessMode":%q,"dataType":%s}`, head("P", i), rapid.SampledFrom([]string{"r", "rw", "w"}).Draw(t, "access"), genType(t, allKinds...))
	})
	events := list(t, "events", 0, 3, func(i int) string {
		return fmt.Sprintf(`{%s,"type":%q,"outputData":%s}`, head("E", i), rapid.SampledFrom([]string{"info", "alert", "error"}).Draw(t, "type"), genParams(t, 0, 3, allKinds...))
	})
	services := list(t, "services", 0, 3, func(i int) string {
		return fmt.Sprintf(`{%s,"callType":%q,"inputData":%s,"outputData":%s}`, head("S", i),
			rapid.SampledFrom([]string{"async", "sync"}).Draw(t, "call"), genParams(t, 0, 3, allKinds...), genParams(t, 0, 3, allKinds...))
	})
	return `"properties":` + properties + `,"events":` + events + `,"services":` + services
}

func genDocument(t *rapid.T) string {
	blocks := list(t, "modules", 0, 2, func(i int) string {
		return fmt.Sprintf(`{"functionBlockId":"m%d","functionBlockName":%s,%s}`, i, genText(t, "name"), genLists(t))
	})
	return `{"profile":{"version":` + genText(t, "version") + `},` + genLists(t) + `,"functionBlocks":` + blocks + `}`
}
