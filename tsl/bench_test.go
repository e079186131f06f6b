package tsl_test

import (
	"testing"

	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/tsl"
)

// Sinks keep the compiler from dropping what is measured.
var (
	sinkSum     float64
	sinkProblem *tsl.Problem
)

// sum visits a post the way a platform does: every value is looked at.
func sum(m *tsl.Model, params devjson.Value, mode tsl.Mode) (total float64, err error) {
	err = m.EachProperty(params, mode, now, func(_ string, _ *tsl.Property, v devjson.Value, timeMS int64, problem *tsl.Problem) bool {
		if problem == nil {
			f, _ := v.Float64()
			total += f + float64(timeMS)
		}
		return true
	})
	return total, err
}

const (
	post3     = `{"Temp":6,"Hum":6,"Gas":6}`
	postTimed = `{"Temp":{"value":6,"time":1},"Hum":{"value":6,"time":2},"Gas":{"value":6,"time":"3"}}`
)

// TestNoAllocations: messages that are fine cost no memory.
func TestNoAllocations(t *testing.T) {
	m := file(t, "stc15.json")
	var parser devjson.Parser
	parse := func(text string) devjson.Value {
		v, err := parser.ParseStrict([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for text, want := range map[string]float64{post3: 18, postTimed: 24} {
		params := parse(text)
		allocs := testing.AllocsPerRun(100, func() {
			got, err := sum(m, params, tsl.Strong)
			if got != want || err != nil {
				t.Fatalf("%s: sum %v, error %v; want %v", text, got, err, want)
			}
		})
		if allocs != 0 {
			t.Errorf("EachProperty of %s allocates %v times", text, allocs)
		}
	}

	points := dataType(t, pointsType)
	array := parse(`[{"x":1,"y":"a"},{"y":"b","x":2}]`)
	buf := make([]byte, 0, 256)
	if allocs := testing.AllocsPerRun(100, func() {
		if problem := points.Check(array, tsl.Strong); problem != nil {
			t.Fatal(problem)
		}
		buf = points.AppendValue(buf[:0], array)
	}); allocs != 0 {
		t.Errorf("checking and appending an array of structs allocates %v times", allocs)
	}

	event := parse(`{"value":{"Gas":900,"Level":1},"time":1524448722000}`)
	if allocs := testing.AllocsPerRun(100, func() {
		if _, _, problem := m.CheckEvent("GasAlarm", event, tsl.Strong, now); problem != nil {
			t.Fatal(problem)
		}
	}); allocs != 0 {
		t.Errorf("CheckEvent allocates %v times", allocs)
	}

	set := parse(`{"Light":1}`)
	if allocs := testing.AllocsPerRun(100, func() {
		if problem := m.CheckSet(set); problem != nil {
			t.Fatal(problem)
		}
	}); allocs != 0 {
		t.Errorf("CheckSet allocates %v times", allocs)
	}

	input := parse(`{"times":3}`)
	if allocs := testing.AllocsPerRun(100, func() {
		if problem := m.CheckServiceInput("Blink", input, tsl.Strong); problem != nil {
			t.Fatal(problem)
		}
	}); allocs != 0 {
		t.Errorf("CheckServiceInput allocates %v times", allocs)
	}
}

func BenchmarkEachProperty(b *testing.B) {
	m := file(b, "stc15.json")
	for _, bench := range []struct {
		name, params string
		mode         tsl.Mode
	}{{"3/weak", post3, tsl.Weak}, {"3/strong", post3, tsl.Strong}, {"3/timed", postTimed, tsl.Strong}} {
		b.Run(bench.name, func(b *testing.B) {
			params := value(b, bench.params)
			b.ReportAllocs()
			for b.Loop() {
				total, err := sum(m, params, bench.mode)
				if err != nil {
					b.Fatal(err)
				}
				sinkSum = total
			}
		})
	}
}

// BenchmarkParseAndCheck is what one post costs from its bytes on.
func BenchmarkParseAndCheck(b *testing.B) {
	m := file(b, "stc15.json")
	var parser devjson.Parser
	payload := []byte(post3)
	b.ReportAllocs()
	for b.Loop() {
		params, err := parser.Parse(payload)
		if err != nil {
			b.Fatal(err)
		}
		if sinkSum, err = sum(m, params, tsl.Weak); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnknown is what a post costs that a product without a model gets.
func BenchmarkUnknown(b *testing.B) {
	params := value(b, post3)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sum(nil, params, tsl.Weak); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckStructs(b *testing.B) {
	points := dataType(b, pointsType)
	v := value(b, `[{"x":1,"y":"a"},{"y":"b","x":2}]`)
	b.ReportAllocs()
	for b.Loop() {
		sinkProblem = points.Check(v, tsl.Strong)
	}
}

func BenchmarkParse(b *testing.B) {
	doc := file(b, "stc15.json").Export("pk")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tsl.Parse(doc); err != nil {
			b.Fatal(err)
		}
	}
}
