package store

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyValue draws values, with those that are hard to store among them.
func anyValue() *rapid.Generator[Value] {
	return rapid.OneOf(
		rapid.Map(rapid.Int64(), Int),
		rapid.Map(rapid.Float64(), Float),
		rapid.Map(rapid.Int64Range(-5000, 5000), func(i int64) Value { return Float(float64(i) / 100) }),
		rapid.Map(rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Copysign(0, -1), 1e14 + 0.1, 5e-324, 1 << 53}), Float),
		rapid.Map(rapid.Bool(), Bool),
		rapid.Map(rapid.String(), Text),
		rapid.Map(rapid.SampledFrom([]string{`{}`, `[1,2]`, ``}), func(s string) Value { return JSON([]byte(s)) }),
		rapid.Just(Value{}),
	)
}

// sortedSamples draws points as a chunk has them; sameType makes all their
// values come from one of anyValue's kinds.
func sortedSamples(t *rapid.T) []Sample {
	times := rapid.SliceOfNDistinct(rapid.Int64Range(0, MaxTime), 1, 200, rapid.ID).Draw(t, "times")
	numbers := rapid.Bool().Draw(t, "decimals only")
	out := make([]Sample, len(times))
	for i, at := range times {
		out[i].TimeMS = at
		if numbers {
			out[i].Value = Float(float64(rapid.Int64Range(-1e6, 1e6).Draw(t, "m")) / 1000)
		} else {
			out[i].Value = anyValue().Draw(t, "value")
		}
	}
	return normalize(out)
}

var byValue = cmp.AllowUnexported(Value{})

func TestChunkRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := sortedSamples(t)
		prefix := []Sample{{TimeMS: 1, Value: Int(1)}}
		out, err := readChunk(prefix, appendChunk(nil, in))
		if d := cmp.Diff(in, out[1:], byValue); d != "" || err != nil {
			t.Fatalf("%v (-in +out)\n%s", err, d)
		}
	})
}

func TestChunkSizes(t *testing.T) {
	series := func(value func(i int) Value) (out []Sample) {
		for i := range 100 {
			out = append(out, Sample{t0 + int64(i)*10_000, value(i)})
		}
		return out
	}
	for name, tt := range map[string]struct {
		points []Sample
		layout byte
		most   int
	}{
		"slow integer":    {series(func(i int) Value { return Int(int64(1000 + i%3)) }), layoutInt, 215},
		"decimal":         {series(func(i int) Value { return Float(21.5 + float64(i%7)/10) }), layoutDecimal, 215},
		"whole floats":    {series(func(i int) Value { return Float(float64(i)) }), layoutDecimal, 215},
		"measured floats": {series(func(i int) Value { return Float(math.Sqrt(float64(i + 2))) }), layoutFloat, 915},
		"switch":          {series(func(i int) Value { return Bool(i%2 == 0) }), layoutBool, 215},
		"text":            {series(func(i int) Value { return Text("on") }), layoutMixed, 515},
	} {
		t.Run(name, func(t *testing.T) {
			layout, _ := chunkLayout(tt.points)
			if size := len(appendChunk(nil, tt.points)); layout != tt.layout || size-(chunkHeader-1) > tt.most { // beside the checksum
				t.Errorf("layout %d with %d bytes, want %d with at most %d", layout, size, tt.layout, tt.most)
			}
		})
	}
}

func TestDecimalsAreExact(t *testing.T) {
	for _, f := range []float64{0.1, 0.2, 0.3, 1.005, 99.999999, -273.15, 1e15, 123456.789} {
		points := []Sample{{0, Float(f)}, {1, Float(0.000001)}}
		out, err := readChunk(nil, appendChunk(nil, points))
		if err != nil || math.Float64bits(math.Float64frombits(out[0].Value.num)) != math.Float64bits(f) {
			t.Errorf("%v came back as %v, %v", f, out[0].Value, err)
		}
	}
	if isDecimal(math.Copysign(0, -1), 0) || isDecimal(math.NaN(), 0) || isDecimal(math.Inf(-1), 3) {
		t.Error("a number that is not m/10^e is taken for one")
	}
}

func TestCutChunk(t *testing.T) {
	const minute, hour, day = 60_000, gapLeast, gapMost
	at := func(times ...int64) (out []Sample) {
		for _, t := range times {
			out = append(out, Sample{t, Int(1)})
		}
		return out
	}
	every := func(step int64, n int, from int64) (out []int64) {
		for i := range n {
			out = append(out, from+int64(i)*step)
		}
		return out
	}
	big := at(0, 1, 2)
	big[0].Value = Text(strings.Repeat("x", chunkBytes))
	for name, tt := range map[string]struct {
		points []Sample
		want   []int
	}{
		"one":                {at(5), []int{1}},
		"too many":           {at(every(minute, 300, 0)...), []int{128, 128, 44}},
		"one late point":     {at(append([]int64{0}, every(minute, 50, 3*day)...)...), []int{1, 50}},
		"hourly":             {at(every(hour, 30, 0)...), []int{30}},
		"hourly with a hole": {at(append(every(hour, 5, 0), every(hour, 5, 10*hour)...)...), []int{10}},
		"every two days":     {at(every(2*day, 3, 0)...), []int{1, 1, 1}},
		"short pause":        {at(append(every(1000, 5, 0), every(1000, 5, 50*minute)...)...), []int{10}},
		"a big value":        {big, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			gap, _ := endingGap(tt.points, nil)
			var got []int
			for rest := tt.points; len(rest) > 0; {
				n := cutChunk(rest, gap)
				got = append(got, n)
				rest = rest[n:]
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func FuzzReadChunk(f *testing.F) {
	f.Add(appendChunk(nil, []Sample{{t0, Int(1)}, {t0 + 5, Int(7)}, {t0 + 9, Int(-7)}}))
	f.Add(appendChunk(nil, []Sample{{t0, Float(1.5)}, {t0 + 5, Float(math.Pi)}}))
	f.Add(appendChunk(nil, []Sample{{t0, Float(1.5)}, {t0 + 5, Float(2)}}))
	f.Add(appendChunk(nil, []Sample{{t0, Text("x")}, {t0 + 5, Bool(true)}, {t0 + 6, Value{}}}))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := readChunk(nil, data)
		if len(out) > len(data) || err != nil && len(out) > 0 {
			t.Fatalf("%d points from %d bytes, %v", len(out), len(data), err)
		}
	})
}

func FuzzRecords(f *testing.F) {
	var r records
	r.reset()
	r.point(7, t0, Text("x"), false)
	r.drop(7)
	r.point(1<<40, t0-5, Float(2.5), true)
	f.Add(r.seal()[recordsHeader:])
	f.Fuzz(func(t *testing.T, data []byte) {
		h := newHeads()
		whole := h.apply(1, 0, data)
		r := recordReader{rest: data}
		var again records
		again.reset()
		for r.next() {
			if r.drop {
				again.drop(r.series)
			} else {
				v, size := readValue(r.value)
				if size != len(r.value) {
					t.Fatalf("a value of %d bytes reads as %d", len(r.value), size)
				}
				again.point(r.series, r.timeMS, v, r.past)
			}
		}
		if whole && len(again.buf) > recordsHeader+len(data) {
			t.Fatal("what was read is longer than what was written")
		}
		h2 := newHeads()
		if whole && !h2.apply(1, 0, again.buf[recordsHeader:]) || whole && (len(h.m) != len(h2.m) || h.bytes != h2.bytes) {
			t.Fatal("read and written again it is not the same")
		}
	})
}

func TestDamagedRecordsAreFound(t *testing.T) {
	var r records
	r.reset()
	r.point(7, t0, Text("a value"), false)
	good := bytes.Clone(r.seal())
	if _, err := openRecords(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if _, err := openRecords(bad); err == nil {
			t.Errorf("byte %d is changed and it is not noticed", i)
		}
	}
	for i := range good {
		if _, err := openRecords(good[:i]); err == nil {
			t.Errorf("cut at %d and it is not noticed", i)
		}
	}
}
