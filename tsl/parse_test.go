package tsl_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/linkstead/linkstead/tsl"
)

// TestParseRefused compares the mistakes found in testdata/refused/*.json with
// the .golden file next to each.
func TestParseRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/refused/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			doc, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			m, err := tsl.Parse(doc)
			var parseError *tsl.ParseError
			if m != nil || !errors.As(err, &parseError) {
				t.Fatalf("model %v, error %v; want a ParseError", m, err)
			}
			golden(t, strings.TrimSuffix(name, ".json")+".golden", err.Error()+"\n")
		})
	}
}

// TestParseAccepted compares the descriptions of testdata/accepted/*.json and of
// the demo's model with the .golden file next to each.
func TestParseAccepted(t *testing.T) {
	files, err := filepath.Glob("testdata/accepted/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, name := range append(files, "testdata/stc15.json") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			doc, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			m, err := tsl.Parse(doc)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, row := range m.Describe() {
				fmt.Fprintf(&b, "%s | %s | %s | %s | %s\n", row.Feature, row.Identifier, row.Name, row.Mode, row.Type)
			}
			golden(t, strings.TrimSuffix(name, ".json")+".golden", b.String())
		})
	}
}

func TestParseFields(t *testing.T) {
	m := file(t, "stc15.json")
	temp, ok := m.Property("Temp")
	if !ok {
		t.Fatal("no property Temp")
	}
	want := &tsl.Property{Identifier: "Temp", Name: "Temperature", Desc: "air temperature", AccessMode: tsl.ReadOnly,
		Type: &tsl.DataType{Kind: tsl.Int,
			Min:  tsl.Limit{Set: true, Value: -40, Text: "-40"},
			Max:  tsl.Limit{Set: true, Value: 125, Text: "125"},
			Step: tsl.Limit{Set: true, Value: 1, Text: "1"},
			Unit: "°C", UnitName: "degree Celsius"}}
	if diff := cmp.Diff(want, temp); diff != "" {
		t.Error(diff)
	}
	light, _ := m.Property("Light")
	wantLight := &tsl.Property{Identifier: "Light", Name: "Lamp", AccessMode: tsl.ReadWrite,
		Type: &tsl.DataType{Kind: tsl.Bool, Labels: []tsl.Label{{Value: 0, Text: "off"}, {Value: 1, Text: "on"}}}}
	if diff := cmp.Diff(wantLight, light); diff != "" {
		t.Error(diff)
	}
	alarm, _ := m.Event("GasAlarm")
	if alarm.Kind != tsl.EventAlert || len(alarm.Output) != 2 || alarm.Method() != "thing.event.GasAlarm.post" {
		t.Errorf("GasAlarm is %+v", alarm)
	}
	read, _ := m.Service("ReadSensor")
	if read.CallType != tsl.CallSync || len(read.Input) != 0 || len(read.Output) != 3 || read.Method() != "thing.service.ReadSensor" {
		t.Errorf("ReadSensor is %+v", read)
	}
	if on, ok := light.Type.Label(1); on != "on" || !ok {
		t.Errorf("label of 1 is %q, %v", on, ok)
	}
	if _, ok := light.Type.Label(2); ok {
		t.Error("2 has a label")
	}
}

// TestParseGenerated: the entries that the platform adds are not features.
func TestParseGenerated(t *testing.T) {
	m := file(t, "accepted/weight.json")
	if _, ok := m.Event("post"); ok {
		t.Error("the generated event post counts as an event")
	}
	for _, id := range []string{"set", "get"} {
		if _, ok := m.Service(id); ok {
			t.Errorf("the generated service %s counts as a service", id)
		}
	}
	if len(m.Properties()) != 2 || len(m.Events()) != 1 || len(m.Services()) != 1 {
		t.Errorf("%d properties, %d events, %d services; want 2, 1, 1", len(m.Properties()), len(m.Events()), len(m.Services()))
	}
}

// many writes a list of n features.
func many(n int, prefix, rest string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,{"identifier":"%s%d",%s}`, prefix, i, rest)
	}
	return "[" + strings.TrimPrefix(b.String(), ",") + "]"
}

// TestParseLimits tries the largest number allowed of everything, and one more.
func TestParseLimits(t *testing.T) {
	const (
		asProperty = `"accessMode":"r","dataType":{"type":"int"}`
		asEvent    = `"type":"info"`
		asService  = `"callType":"async"`
		asParam    = `"dataType":{"type":"int"}`
	)
	property := func(dataType string) string {
		return `{"properties":[{"identifier":"P","accessMode":"r","dataType":` + dataType + `}]}`
	}
	labels := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%d":"x"`, i)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	named := func(id, name, desc string) string {
		return fmt.Sprintf(`{"properties":[{"identifier":%q,"name":%q,"desc":%q,%s}]}`, id, name, desc, asProperty)
	}
	tests := []struct {
		name     string
		most     int
		document func(n int) string
		want     string
	}{
		{"properties", 256, func(n int) string { return `{"properties":` + many(n, "P", asProperty) + `}` },
			"thing model: properties: has 257 entries; should be at most 256"},
		{"events", 256, func(n int) string { return `{"events":` + many(n, "E", asEvent) + `}` },
			"thing model: events: has 257 entries; should be at most 256"},
		{"services", 256, func(n int) string { return `{"services":` + many(n, "S", asService) + `}` },
			"thing model: services: has 257 entries; should be at most 256"},
		{"features", 300, func(n int) string {
			return `{"properties":` + many(150, "P", asProperty) + `,"events":` + many(n-150, "E", asEvent) + `}`
		}, "thing model: the document: has 301 properties, events and services together; should be at most 300"},
		{"event output", 50, func(n int) string {
			return `{"events":[{"identifier":"E","type":"info","outputData":` + many(n, "p", asParam) + `}]}`
		}, "thing model: events[0].outputData: has 51 entries; should be at most 50"},
		{"service input", 20, func(n int) string {
			return `{"services":[{"identifier":"S","callType":"sync","inputData":` + many(n, "p", asParam) + `}]}`
		}, "thing model: services[0].inputData: has 21 entries; should be at most 20"},
		{"service output", 20, func(n int) string {
			return `{"services":[{"identifier":"S","callType":"sync","outputData":` + many(n, "p", asParam) + `}]}`
		}, "thing model: services[0].outputData: has 21 entries; should be at most 20"},
		{"struct", 50, func(n int) string { return property(`{"type":"struct","specs":` + many(n, "m", asParam) + `}`) },
			"thing model: properties[0].dataType.specs: has 51 entries; should be at most 50"},
		{"enum", 100, func(n int) string { return property(`{"type":"enum","specs":` + labels(n) + `}`) },
			"thing model: properties[0].dataType.specs: has 101 entries; should be at most 100"},
		{"text", 10240, func(n int) string { return property(fmt.Sprintf(`{"type":"text","specs":{"length":%d}}`, n)) },
			"thing model: properties[0].dataType.specs.length: is 10241; should be a whole number from 1 to 10240"},
		{"array", 512, func(n int) string {
			return property(fmt.Sprintf(`{"type":"array","specs":{"size":"%d","item":{"type":"int"}}}`, n))
		}, `thing model: properties[0].dataType.specs.size: is "513"; should be a whole number from 1 to 512`},
		{"identifier", 50, func(n int) string { return named(strings.Repeat("i", n), "", "") },
			`thing model: properties[0].identifier: is "` + strings.Repeat("i", 45) +
				`…", longer than 50 characters; should be 1 to 50 letters, digits or underscores and not set, get, post, time or value`},
		{"name", 30, func(n int) string { return named("P", strings.Repeat("名", n), "") },
			"thing model: properties[0].name: has 31 characters; should be at most 30"},
		{"description", 100, func(n int) string { return named("P", "", strings.Repeat("述", n)) },
			"thing model: properties[0].desc: has 101 characters; should be at most 100"},
		{"document", 256 << 10, func(n int) string {
			const doc = `{"properties":[]}`
			return doc + strings.Repeat(" ", n-len(doc))
		}, "thing model: the document: has 262145 bytes; should be at most 262144 (256 KB)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := tsl.Parse([]byte(test.document(test.most))); err != nil {
				t.Errorf("%d are refused: %v", test.most, err)
			}
			_, err := tsl.Parse([]byte(test.document(test.most + 1)))
			if err == nil {
				t.Fatalf("%d are accepted", test.most+1)
			}
			if err.Error() != test.want {
				t.Errorf("\n got %s\nwant %s", err, test.want)
			}
		})
	}
}

// TestParseErrorIsBounded: a hopeless document does not cause a hopeless error.
func TestParseErrorIsBounded(t *testing.T) {
	_, err := tsl.Parse([]byte(`{"properties":[` + strings.TrimSuffix(strings.Repeat("0,", 5000), ",") + `]}`))
	var parseError *tsl.ParseError
	if !errors.As(err, &parseError) || len(parseError.Issues) != 100 || parseError.More != 4900 {
		t.Fatalf("%d issues and %d more, want 100 and 4900", len(parseError.Issues), parseError.More)
	}
	if text := err.Error(); !strings.HasPrefix(text, "thing model: 5000 mistakes\n") || !strings.HasSuffix(text, "\n  and 4900 more") {
		t.Errorf("error reads %.60s …", text)
	}
}

// TestParseKeepsNothing: the model must not share memory with the document.
func TestParseKeepsNothing(t *testing.T) {
	doc, err := os.ReadFile("testdata/stc15.json")
	if err != nil {
		t.Fatal(err)
	}
	m := model(t, string(doc))
	before := string(m.Export("pk"))
	for i := range doc {
		doc[i] = 'x'
	}
	if string(m.Export("pk")) != before {
		t.Error("the model changed with the caller's buffer")
	}
}

func TestValidIdentifier(t *testing.T) {
	for id, want := range map[string]bool{
		"Temp": true, "_t1": true, "1": true, "Value": true, "times": true, strings.Repeat("a", 50): true,
		"": false, "set": false, "get": false, "post": false, "time": false, "value": false,
		"a-b": false, "a:b": false, "a b": false, "温度": false, strings.Repeat("a", 51): false,
	} {
		if got := tsl.ValidIdentifier(id); got != want {
			t.Errorf("ValidIdentifier(%q) = %v", id, got)
		}
	}
}

func TestSplitModule(t *testing.T) {
	for in, want := range map[string][2]string{"Temp": {"", "Temp"}, "roomA:Temp": {"roomA", "Temp"}, "a:b:c": {"a", "b:c"}, "": {"", ""}} {
		if module, id := tsl.SplitModule(in); module != want[0] || id != want[1] {
			t.Errorf("SplitModule(%q) = %q, %q", in, module, id)
		}
	}
}
