package tsl_test

import (
	"testing"

	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/tsl"
)

func TestCheckEvent(t *testing.T) {
	m := file(t, "stc15.json")
	tests := []struct {
		id, params string
		mode       tsl.Mode
		out        string
		timeMS     int64
		problem    string
	}{
		{"GasAlarm", `{"value":{"Gas":900,"Level":1},"time":1524448722000}`, tsl.Strong, `{"Gas":900,"Level":1}`, now, ""},
		{"GasAlarm", `{"value":{"Gas":900}}`, tsl.Strong, `{"Gas":900}`, 0, ""},
		{"GasAlarm", `{"Gas":900,"Level":2}`, tsl.Strong, `{"Gas":900,"Level":2}`, 0, ""},
		{"GasAlarm", `{}`, tsl.Strong, `{}`, 0, ""},
		{"GasAlarm", `{"value":{}}`, tsl.Strong, `{}`, 0, ""},
		{"GasAlarm", `{"Level":3}`, tsl.Weak, `{"Level":3}`, 0, ""},
		{"GasAlarm", `{"Level":3}`, tsl.Strong, `{"Level":3}`, 0,
			"tsl parse: enum value not exist (code 6309): Level: 3 is none of 0 cleared, 1 warning, 2 danger"},
		{"GasAlarm", `{"value":{"Level":"high"},"time":5}`, tsl.Weak, `{"Level":"high"}`, 5,
			`tsl parse: enum type error (code 6309): Level: "high" is not an integer of 32 bits`},
		{"GasAlarm", `{"value":{"Gas":1,"Who":2}}`, tsl.Weak, `{"Gas":1,"Who":2}`, 0,
			"tsl parse: params not exist (code 6304): Who: the thing model has no such parameter"},
		{"GasAlarm", `{"value":{"Gas":1},"time":"now"}`, tsl.Weak, `{"Gas":1}`, 0,
			`tsl parse: time format error (code 6326): time is "now", it should be UTC milliseconds`},
		{"GasAlarm", `{"value":5}`, tsl.Weak, `5`, 0,
			"params format error (code 460): params are 5, they should be an object"},
		{"GasAlarm", `[]`, tsl.Weak, `[]`, 0,
			"params format error (code 460): params are an array, they should be an object"},
		{"post", `{"Temp":1}`, tsl.Weak, `{"Temp":1}`, 0,
			"tsl parse: event not exist (code 6320): post: the thing model has no such event"},
		{"", `{}`, tsl.Weak, `{}`, 0, "tsl parse: identifier is empty (code 6321): the topic names no event"},
		{"Nothing", `{"value":{"a":1},"time":7}`, tsl.None, `{"a":1}`, 7, ""},
		{"GasAlarm", `{"value":{"Gas":"x"},"time":"now"}`, tsl.None, `{"Gas":"x"}`, 0, ""},
	}
	for _, test := range tests {
		out, timeMS, problem := m.CheckEvent(test.id, value(t, test.params), test.mode, now)
		if got := string(out.AppendJSON(nil)); got != test.out || timeMS != test.timeMS {
			t.Errorf("%s %s: out %s at %d, want %s at %d", test.id, test.params, got, timeMS, test.out, test.timeMS)
		}
		got := ""
		if problem != nil {
			got = problem.Error()
		}
		if got != test.problem {
			t.Errorf("%s %s (%v)\n got %s\nwant %s", test.id, test.params, test.mode, got, test.problem)
		}
	}
	if _, _, problem := m.CheckEvent("GasAlarm", devjson.Value{}, tsl.Weak, now); problem == nil || problem.Code != tsl.CodeParams {
		t.Errorf("absent params: %v, want 460", problem)
	}
}

func TestCheckEventOfModule(t *testing.T) {
	m := model(t, room)
	if _, _, problem := m.CheckEvent("roomA:Alarm", value(t, `{}`), tsl.Strong, now); problem != nil {
		t.Error(problem)
	}
	if _, _, problem := m.CheckEvent("Alarm", value(t, `{}`), tsl.Strong, now); problem == nil {
		t.Error("the event of a module was found without its module")
	}
}
