package simulate

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/tsl"
)

// everyType is a model with one property of each kind, bounds that are easily
// missed, and a service and an event with parameters.
const everyType = `{"profile":{"productKey":"a1B2c3D4e5F"},"properties":[
 {"identifier":"i","accessMode":"rw","dataType":{"type":"int","specs":{"min":"-3","max":"11","step":"7"}}},
 {"identifier":"f","accessMode":"r","dataType":{"type":"float","specs":{"min":"0.5","max":"0.9","step":"0.1"}}},
 {"identifier":"d","accessMode":"r","dataType":{"type":"double","specs":{"min":"-1000000","max":"1000000"}}},
 {"identifier":"b","accessMode":"rw","dataType":{"type":"bool","specs":{"0":"off","1":"on"}}},
 {"identifier":"e","accessMode":"r","dataType":{"type":"enum","specs":{"3":"three","9":"nine"}}},
 {"identifier":"t","accessMode":"r","dataType":{"type":"text","specs":{"length":"4"}}},
 {"identifier":"date","accessMode":"r","dataType":{"type":"date","specs":{}}},
 {"identifier":"s","accessMode":"r","dataType":{"type":"struct","specs":[{"identifier":"x","name":"x","dataType":{"type":"int","specs":{"min":"1","max":"2","step":"1"}}}]}},
 {"identifier":"a","accessMode":"r","dataType":{"type":"array","specs":{"size":"3","item":{"type":"int"}}}}],
 "events":[{"identifier":"ev","type":"info","outputData":[{"identifier":"p","name":"p","dataType":{"type":"int","specs":{"min":"1","max":"2","step":"1"}}}]}],
 "services":[]}`

func mustModel(t *testing.T) *tsl.Model {
	t.Helper()
	m, err := tsl.Parse([]byte(everyType))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestValuesFitTheModel: what a device posts passes the strongest check, for
// every type, many times over.
func TestValuesFitTheModel(t *testing.T) {
	m := mustModel(t)
	f := &Fleet{}
	for seed := range uint64(50) {
		v := newValues(f, rand.New(rand.NewPCG(seed, 0)))
		for n := range 40 {
			b := v.report(nil, m.Properties(), time.Now(), int64(n%2)*time.Now().UnixMilli()) // every other with its time
			if !json.Valid(b) {
				t.Fatalf("not JSON: %s", b)
			}
			var p devjson.Parser
			params, err := p.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			if err := m.EachProperty(params, tsl.Strong, time.Now().UnixMilli(), func(id string, _ *tsl.Property, _ devjson.Value, _ int64, problem *tsl.Problem) bool {
				seen++
				if problem != nil {
					t.Errorf("%s in %s: %v", id, b, problem)
				}
				return true
			}); err != nil {
				t.Fatal(err)
			}
			if seen != len(m.Properties()) {
				t.Fatalf("%d properties in %s, want %d", seen, b, len(m.Properties()))
			}
		}
	}
}

// TestShapes: each shape gives the numbers it is documented to give.
func TestShapes(t *testing.T) {
	b := bounds{min: 0, max: 100}
	for _, c := range []struct {
		shape string
		at    []time.Duration
		want  []float64
	}{
		{"constant:7", []time.Duration{0, time.Hour}, []float64{7, 7}},
		{"sine:20:5:40s", []time.Duration{0, 10 * time.Second, 20 * time.Second, 30 * time.Second}, []float64{20, 25, 20, 15}},
		{"ramp:10:20:10s", []time.Duration{0, 5 * time.Second, 10 * time.Second}, []float64{10, 15, 10}},
		{"count:99", []time.Duration{0, 0, 0}, []float64{99, 100, 0}},
	} {
		sh, err := ParseShape(c.shape)
		if err != nil {
			t.Fatal(err)
		}
		var s series
		for i, at := range c.at {
			if got := s.next(sh, b, at, nil); got < c.want[i]-1e-9 || got > c.want[i]+1e-9 {
				t.Errorf("%s after %v: %v, want %v", c.shape, at, got, c.want[i])
			}
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for _, text := range []string{"random", "random:3:4", "walk"} {
		sh, err := ParseShape(text)
		if err != nil {
			t.Fatal(err)
		}
		lo, hi := b.min, b.max
		if text == "random:3:4" {
			lo, hi = 3, 4
		}
		var s series
		distinct := map[float64]bool{}
		for range 200 {
			v := s.next(sh, b, 0, r)
			distinct[v] = true
			if v < lo || v > hi {
				t.Fatalf("%s gave %v, beyond %v to %v", text, v, lo, hi)
			}
		}
		if len(distinct) < 100 {
			t.Errorf("%s gave only %d values of 200", text, len(distinct))
		}
	}
	for _, bad := range []string{"", "wave", "sine", "sine:1:2:0s", "sine:1:x:1s", "constant", "constant:NaN", "random:1", "walk:2"} {
		if sh, err := ParseShape(bad); err == nil {
			t.Errorf("ParseShape(%q) = %+v, want an error", bad, sh)
		}
	}
}

// TestLatencies: a quantile is never too low, and at most an eighth too high.
func TestLatencies(t *testing.T) {
	for _, us := range []int64{1, 7, 8, 9, 15, 16, 17, 100, 1000, 12345, 1_000_000, 59_999_999} {
		var l latencies
		d := time.Duration(us) * time.Microsecond
		l.add(d)
		if got := l.quantile(0.5); got <= d-1 || float64(got) > float64(d)*1.125+float64(time.Microsecond) {
			t.Errorf("the median of %v is given as %v", d, got)
		}
	}
	var l latencies
	for i := 1; i <= 1000; i++ {
		l.add(time.Duration(i) * time.Millisecond)
	}
	for _, c := range []struct{ q, ms float64 }{{0, 1}, {0.5, 500}, {0.99, 990}, {1, 1000}} {
		got := float64(l.quantile(c.q).Microseconds()) / 1000
		if got < c.ms || got > c.ms*1.14 {
			t.Errorf("quantile %v is %v ms, want %v to an eighth more", c.q, got, c.ms)
		}
	}
	if got := new(latencies).quantile(0.5); got != 0 {
		t.Errorf("the quantile of nothing is %v", got)
	}
}

// TestOptionsAreChecked: what does not fit is refused before a device connects.
func TestOptionsAreChecked(t *testing.T) {
	good := func() Options {
		return Options{Model: mustModel(t), Devices: []alink.Triple{{ProductKey: "a1B2c3D4e5F", DeviceName: "d", DeviceSecret: "s"}}, Interval: time.Second, QoS: 1, LoginRate: 1,
			KeepAlive: time.Minute, Timeout: time.Second}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Options){
		"no devices":          func(o *Options) { o.Devices = nil },
		"QoS 2":               func(o *Options) { o.QoS = 2 },
		"keep-alive":          func(o *Options) { o.KeepAlive = 0 },
		"time-out":            func(o *Options) { o.Timeout = 0 },
		"negative":            func(o *Options) { o.Churn = -1 },
		"commands to nowhere": func(o *Options) { o.CommandRate = 1 },
		"unknown property":    func(o *Options) { o.Properties = []string{"nope"} },
		"shape of nothing":    func(o *Options) { o.Shapes = map[string]Shape{"nope": {}} },
		"shape of a text":     func(o *Options) { o.Shapes = map[string]Shape{"t": {}} },
	} {
		o := good()
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: New gave no error", what)
		}
	}
}
