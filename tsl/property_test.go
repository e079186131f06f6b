package tsl_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/tsl"
)

// visits runs EachProperty and writes down every visit in one line.
func visits(t *testing.T, m *tsl.Model, params string, mode tsl.Mode) ([]string, error) {
	t.Helper()
	var got []string
	err := m.EachProperty(value(t, params), mode, now,
		func(id string, p *tsl.Property, v devjson.Value, timeMS int64, problem *tsl.Problem) bool {
			line := fmt.Sprintf("%s=%s", id, v.AppendJSON(nil))
			if timeMS != 0 {
				line += fmt.Sprintf(" @%d", timeMS)
			}
			if p == nil {
				line += " unknown"
			}
			if problem != nil {
				line += fmt.Sprintf(" %d %s", problem.Code, problem.ForwardMessage())
			}
			got = append(got, line)
			return true
		})
	return got, err
}

const room = `{"properties":[
	{"identifier":"Temp","accessMode":"r","dataType":{"type":"float","specs":{"min":"-40","max":"125"}}},
	{"identifier":"Light","accessMode":"rw","dataType":` + boolType + `},
	{"identifier":"Pos","accessMode":"rw","dataType":` + structType + `},
	{"identifier":"Secret","accessMode":"w","dataType":{"type":"text"}}],
 "functionBlocks":[{"functionBlockId":"roomA","functionBlockName":"Room A",
	"properties":[{"identifier":"Temp","accessMode":"rw","dataType":{"type":"float","specs":{"max":"30"}}}],
	"events":[{"identifier":"Alarm","type":"error","outputData":[]}],
	"services":[{"identifier":"Vent","callType":"async","inputData":[],"outputData":[]}]}]}`

func TestEachProperty(t *testing.T) {
	m := model(t, room)
	tests := []struct {
		name, params string
		mode         tsl.Mode
		want         []string
	}{
		{"simple form", `{"Temp":23.6,"Light":1}`, tsl.Strong,
			[]string{"Temp=23.6", "Light=1"}},
		{"timestamped form, mixed", `{"Temp":{"value":23.6,"time":1524448722000},"Light":1}`, tsl.Strong,
			[]string{"Temp=23.6 @1524448722000", "Light=1"}},
		{"wrapper without a time", `{"Temp":{"value":23.6}}`, tsl.Strong,
			[]string{"Temp=23.6"}},
		{"time as text", `{"Temp":{"value":1,"time":"1524448722000"}}`, tsl.Strong,
			[]string{"Temp=1 @1524448722000"}},
		{"no clock", `{"Temp":{"value":1,"time":0},"Light":{"value":1,"time":null}}`, tsl.Strong,
			[]string{"Temp=1", "Light=1"}},
		{"struct is not a wrapper", `{"Pos":{"x":1,"y":"a"}}`, tsl.Strong,
			[]string{`Pos={"x":1,"y":"a"}`}},
		{"struct in a wrapper", `{"Pos":{"value":{"x":1,"y":"a"},"time":5}}`, tsl.Strong,
			[]string{`Pos={"x":1,"y":"a"} @5`}},
		{"module", `{"roomA:Temp":{"value":21.5,"time":5}}`, tsl.Strong,
			[]string{"roomA:Temp=21.5 @5"}},
		{"module's own range", `{"roomA:Temp":31,"Temp":31}`, tsl.Strong,
			[]string{"roomA:Temp=31 6307 tsl parse: float out of range -> roomA:Temp", "Temp=31"}},
		{"unknown among known", `{"LightSwitch":1,"Temp":6}`, tsl.Weak,
			[]string{"LightSwitch=1 unknown 6304 tsl parse: params not exist -> LightSwitch", "Temp=6"}},
		{"unknown, wrapped", `{"attr":{"value":3,"time":1524448722000}}`, tsl.Weak,
			[]string{"attr=3 @1524448722000 unknown 6304 tsl parse: params not exist -> attr"}},
		{"unknown with a bad time", `{"attr":{"value":3,"time":"soon"}}`, tsl.Weak,
			[]string{"attr=3 unknown 6304 tsl parse: params not exist -> attr"}},
		{"out of range passes weak", `{"Temp":500}`, tsl.Weak,
			[]string{"Temp=500"}},
		{"out of range fails strong", `{"Temp":500}`, tsl.Strong,
			[]string{"Temp=500 6307 tsl parse: float out of range -> Temp"}},
		{"wrong type keeps value and time", `{"Temp":{"value":"hot","time":7}}`, tsl.Weak,
			[]string{`Temp="hot" @7 6307 tsl parse: float type error -> Temp`}},
		{"malformed time", `{"Temp":{"value":1,"time":"soon"}}`, tsl.Weak,
			[]string{"Temp=1 6326 tsl parse: time format error -> Temp"}},
		{"negative time", `{"Temp":{"value":1,"time":-1}}`, tsl.Weak,
			[]string{"Temp=1 6326 tsl parse: time format error -> Temp"}},
		{"24 h ahead", `{"Temp":{"value":1,"time":1524535122000}}`, tsl.Weak,
			[]string{"Temp=1 @1524535122000"}},
		{"more than 24 h ahead", `{"Temp":{"value":1,"time":1524535122001}}`, tsl.Weak,
			[]string{"Temp=1 @1524535122001 6326 tsl parse: time is in the future -> Temp"}},
		{"empty identifier", `{"":1}`, tsl.Weak,
			[]string{"=1 unknown 6321 tsl parse: identifier is empty"}},
		{"null value", `{"Temp":null}`, tsl.Weak,
			[]string{"Temp=null 6307 tsl parse: float type error -> Temp"}},
		{"twice", `{"Temp":1,"Temp":2}`, tsl.Weak,
			[]string{"Temp=1", "Temp=2"}},
		{"none", `{"Temp":"hot","attr":{"value":[1],"time":"soon"},"":1}`, tsl.None,
			[]string{`Temp="hot"`, "attr=[1] unknown", "=1 unknown"}},
		{"relaxed JSON", `{'Temp':02,}`, tsl.Strong,
			[]string{"Temp=2"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := visits(t, m, test.params, test.mode)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEachPropertyWithoutModel(t *testing.T) {
	got, err := visits(t, nil, `{"LightSwitch":1,"RGBColor":{"value":2,"time":9}}`, tsl.Weak)
	want := []string{
		"LightSwitch=1 unknown 6304 tsl parse: params not exist -> LightSwitch",
		"RGBColor=2 @9 unknown 6304 tsl parse: params not exist -> RGBColor",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestEachPropertyStops(t *testing.T) {
	visited := 0
	err := model(t, room).EachProperty(value(t, `{"Temp":1,"Light":1}`), tsl.Weak, now,
		func(string, *tsl.Property, devjson.Value, int64, *tsl.Problem) bool { visited++; return false })
	if visited != 1 || err != nil {
		t.Errorf("visited %d, error %v; want 1 and none", visited, err)
	}
}

// object writes an object of n members P0, P1, … with the value 1.
func object(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"P%d":1`, i)
	}
	return "{" + strings.TrimPrefix(b.String(), ",") + "}"
}

func TestWholeMessage(t *testing.T) {
	tests := []struct {
		params  string
		code    int
		message string
	}{
		{`[]`, 460, "params format error"},
		{`"Temp"`, 460, "params format error"},
		{`null`, 460, "params format error"},
		{`{}`, 460, "params is empty"},
		{object(201), 6106, "params too much"},
	}
	for _, test := range tests {
		got, err := visits(t, model(t, room), test.params, tsl.Weak)
		var problem *tsl.Problem
		if !errors.As(err, &problem) || problem.Code != test.code || problem.Message != test.message || got != nil {
			t.Errorf("%.20s: error %v and visits %v, want %d %s", test.params, err, got, test.code, test.message)
		}
	}
	if got, err := visits(t, nil, object(200), tsl.Weak); len(got) != 200 || err != nil {
		t.Errorf("200 properties: %d visits, error %v", len(got), err)
	}
	err := model(t, room).EachProperty(devjson.Value{}, tsl.Weak, now, nil)
	var problem *tsl.Problem
	if !errors.As(err, &problem) || problem.Code != 460 || problem.Message != "params is empty" {
		t.Errorf("absent params: %v, want 460 params is empty", err)
	}
}

func TestCheckSet(t *testing.T) {
	m := model(t, room)
	tests := []struct {
		params string
		want   string
	}{
		{`{"Light":1}`, ""},
		{`{"Secret":"x","roomA:Temp":20.5,"Pos":{"x":1,"y":""}}`, ""},
		{`{"Temp":1}`, `tsl parse: property is read only (code 6332): Temp: its accessMode is "r"`},
		{`{"Light":true}`, "tsl parse: bool type error (code 6308): Light: true is not 0 or 1"},
		{`{"Light":1,"Pos":{"x":10,"y":""}}`, "tsl parse: int out of range (code 6306): Pos.x: 10 is above the maximum 9"},
		{`{"Light":1,"Lamp":1}`, "tsl parse: property not exist (code 6320): Lamp: the thing model has no such property"},
		{`{"":1}`, "tsl parse: identifier is empty (code 6321)"},
		{`{}`, "params is empty (code 460): params should hold at least one property"},
		{`[1]`, "params format error (code 460): params are an array, they should be an object"},
		{object(201), "params too much (code 6106): 201 properties are more than the 200 allowed in one message"},
	}
	for _, test := range tests {
		got := ""
		if problem := m.CheckSet(value(t, test.params)); problem != nil {
			got = problem.Error()
		}
		if got != test.want {
			t.Errorf("%.40s\n got %s\nwant %s", test.params, got, test.want)
		}
	}
	var none *tsl.Model
	if problem := none.CheckSet(value(t, `{"Light":1}`)); problem == nil || problem.Code != tsl.CodeNotDefined {
		t.Errorf("without a model: %v, want 6320", problem)
	}
}

// TestUnknownIdentifierIsClipped: a problem outlives the message, so it must not
// keep 256 KB of it.
func TestUnknownIdentifierIsClipped(t *testing.T) {
	_, _, _, problem := model(t, room).CheckProperty(strings.Repeat("中", 9000), value(t, `1`), tsl.Weak, now)
	if want := strings.Repeat("中", 41) + "…"; problem == nil || problem.Identifier != want {
		t.Errorf("identifier %q, want %q", problem.Identifier, want)
	}
}
