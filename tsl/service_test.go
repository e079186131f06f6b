package tsl_test

import (
	"testing"

	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/tsl"
)

func TestCheckServiceInput(t *testing.T) {
	m := file(t, "stc15.json")
	tests := []struct {
		id, params string
		mode       tsl.Mode
		want       string
	}{
		{"Blink", `{"times":100}`, tsl.Strong, ""},
		{"Blink", `{"times":101}`, tsl.Weak, ""},
		{"Blink", `{"times":101}`, tsl.Strong, "tsl parse: int out of range (code 6306): times: 101 is above the maximum 100"},
		{"Blink", `{"times":"3"}`, tsl.Weak, `tsl parse: int type error (code 6306): times: "3" is not an integer of 32 bits`},
		{"Blink", `{}`, tsl.Weak, "tsl parse: input params missing (code 6302): times: the service Blink needs this parameter"},
		{"Blink", `null`, tsl.Weak, "tsl parse: input params missing (code 6302): times: the service Blink needs this parameter"},
		{"Blink", `{"times":1,"colour":2}`, tsl.Weak, "tsl parse: params not exist (code 6304): colour: the thing model has no such parameter"},
		{"Blink", `[1]`, tsl.Weak, "params format error (code 460): params are an array, they should be an object"},
		{"ReadSensor", `{}`, tsl.Strong, ""},
		{"ReadSensor", `null`, tsl.Strong, ""},
		{"set", `{}`, tsl.Weak, "tsl parse: service not exist (code 6206): set: the thing model has no such service"},
		{"", `{}`, tsl.Weak, "tsl parse: identifier is empty (code 6321): the call names no service"},
		{"Explode", `7`, tsl.None, ""},
	}
	for _, test := range tests {
		got := ""
		if problem := m.CheckServiceInput(test.id, value(t, test.params), test.mode); problem != nil {
			got = problem.Error()
		}
		if got != test.want {
			t.Errorf("%s %s (%v)\n got %s\nwant %s", test.id, test.params, test.mode, got, test.want)
		}
	}
}

func TestCheckServiceOutput(t *testing.T) {
	m := file(t, "stc15.json")
	tests := []struct {
		id, data string
		mode     tsl.Mode
		want     string
	}{
		{"ReadSensor", `{"Temp":6,"Hum":6,"Gas":6}`, tsl.Strong, ""},
		{"ReadSensor", `{"Temp":6}`, tsl.Strong, ""},
		{"ReadSensor", `{"Temp":126}`, tsl.Strong, "tsl parse: int out of range (code 6306): Temp: 126 is above the maximum 125"},
		{"ReadSensor", `{"Temp":126}`, tsl.Weak, ""},
		{"ReadSensor", `{"Light":1}`, tsl.Weak, "tsl parse: params not exist (code 6304): Light: the thing model has no such parameter"},
		{"ReadSensor", `"ok"`, tsl.Weak, `params format error (code 460): params are "ok", they should be an object`},
		{"Blink", `{}`, tsl.Strong, ""},
		{"Explode", `{}`, tsl.Weak, "tsl parse: service not exist (code 6206): Explode: the thing model has no such service"},
		{"Explode", `{}`, tsl.None, ""},
	}
	for _, test := range tests {
		got := ""
		if problem := m.CheckServiceOutput(test.id, value(t, test.data), test.mode); problem != nil {
			got = problem.Error()
		}
		if got != test.want {
			t.Errorf("%s %s (%v)\n got %s\nwant %s", test.id, test.data, test.mode, got, test.want)
		}
	}
	if problem := m.CheckServiceOutput("Blink", devjson.Value{}, tsl.Strong); problem != nil {
		t.Errorf("a reply without data: %v", problem)
	}
}
