package topics

import (
	"fmt"
	"runtime"
	"sort"
	"strconv"
	"testing"
	"time"
)

// The load: of ten filters six are exact and four hold a wildcard, and each
// filter matches exactly one of the topics published to.
func benchFilter(b []byte, i int) []byte {
	switch i % 10 {
	case 6:
		return append(benchPath(append(b, '+'), i), "/v"...)
	case 7:
		return append(benchPath(append(b, 's'), i), "/+"...)
	case 8, 9:
		return append(benchPath(append(b, 's'), i), "/#"...)
	}
	return benchTopic(b, i)
}

func benchTopic(b []byte, i int) []byte {
	return append(benchPath(append(b, 's'), i), "/v"...)
}

func benchPath(b []byte, i int) []byte {
	b = strconv.AppendInt(append(b, '/'), int64(i%1000), 10)
	return strconv.AppendInt(append(b, '/'), int64(i/1000), 10)
}

type benchSubscriber struct{ _ [64]byte }

func benchIndex(n int) *Index[*benchSubscriber] {
	x := New[*benchSubscriber]()
	s := new(benchSubscriber)
	var buf []byte
	for i := range n {
		buf = benchFilter(buf[:0], i)
		x.Subscribe(string(buf), s, QoS1, 0)
	}
	return x
}

// kinds maps what a topic meets to the residues of its number modulo 10.
var kinds = []struct {
	name     string
	residues []int
	miss     bool
}{
	{"exact", []int{0, 1, 2, 3, 4, 5}, false},
	{"wildcard", []int{6, 7, 8, 9}, false},
	{"mixed", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, false},
	{"miss", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, true},
}

// quiet measures in short batches and reports the tenth percentile, which stays
// meaningful on a machine that is busy with other things.
type quiet struct {
	n       int
	start   time.Time
	batches []float64
}

const quietBatch = 500

func newQuiet() *quiet { return &quiet{start: time.Now(), batches: make([]float64, 0, 1<<16)} }

func (q *quiet) tick() {
	if q.n++; q.n%quietBatch != 0 {
		return
	}
	now := time.Now()
	if len(q.batches) < cap(q.batches) {
		q.batches = append(q.batches, float64(now.Sub(q.start).Nanoseconds())/quietBatch)
	}
	q.start = now
}

func (q *quiet) report(b *testing.B) {
	if len(q.batches) > 0 {
		sort.Float64s(q.batches)
		b.ReportMetric(q.batches[len(q.batches)/10], "quiet-ns/op")
	}
}

// BenchmarkMatch matches topics drawn at random from all of them, uncached.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		x := benchIndex(n)
		for _, k := range kinds {
			topics := make([]string, 1<<16)
			rng := uint64(0x9E3779B97F4A7C15)
			for j := range topics {
				rng ^= rng << 13
				rng ^= rng >> 7
				rng ^= rng << 17
				i := int(rng%uint64(n/10))*10 + k.residues[rng>>32%uint64(len(k.residues))]
				topic := benchTopic(nil, i)
				if k.miss {
					topic = append(topic, 'x')
					topic[0] = 'r'
				}
				topics[j] = string(topic)
			}
			b.Run(fmt.Sprintf("%s/%d", k.name, n), func(b *testing.B) {
				b.ReportAllocs()
				var dst [4]Entry[*benchSubscriber]
				got := 0
				quiet := newQuiet()
				for i := 0; b.Loop(); i++ {
					e, _ := x.Match(topics[i%len(topics)], dst[:0], nil)
					got += len(e)
					quiet.tick()
				}
				quiet.report(b)
				if want := map[bool]int{false: b.N}[k.miss]; got != want {
					b.Fatalf("%d matches in %d look-ups", got, b.N)
				}
			})
		}
	}
}

func BenchmarkMatchParallel(b *testing.B) {
	const n = 100_000
	x := benchIndex(n)
	topics := make([]string, n)
	for i := range topics {
		topics[i] = string(benchTopic(nil, i*7919%n))
	}
	b.RunParallel(func(pb *testing.PB) {
		var dst [4]Entry[*benchSubscriber]
		for i := 0; pb.Next(); i++ {
			x.Match(topics[i%n], dst[:0], nil)
		}
	})
}

// BenchmarkIndexMemory builds the index and reports heap bytes a filter with
// everything: text, subscriptions, the index itself.
func BenchmarkIndexMemory(b *testing.B) {
	const n = 1_000_000
	var bytes, seconds float64
	for b.Loop() {
		before := heap()
		start := time.Now()
		x := benchIndex(n)
		seconds += time.Since(start).Seconds()
		bytes += float64(heap()-before) / n
		if x.Len() != n {
			b.Fatalf("%d filters", x.Len())
		}
	}
	b.ReportMetric(bytes/float64(b.N), "B/filter")
	b.ReportMetric(n*float64(b.N)/seconds, "subscribes/s")
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkSubscribe adds new filters to an index that holds a million.
func BenchmarkSubscribe(b *testing.B) {
	const n = 1_000_000
	x := benchIndex(n)
	s := new(benchSubscriber)
	b.ReportAllocs()
	var buf []byte
	quiet := newQuiet()
	for i := n; b.Loop(); i++ {
		buf = benchFilter(buf[:0], i)
		x.Subscribe(string(buf), s, QoS1, 0)
		quiet.tick()
	}
	quiet.report(b)
}

// BenchmarkResubscribe ends and renews subscriptions among a million.
func BenchmarkResubscribe(b *testing.B) {
	const n = 1_000_000
	x := benchIndex(n)
	filters := make([]string, 1<<16)
	for i := range filters {
		filters[i] = string(benchFilter(nil, i*7919%n))
	}
	var s *benchSubscriber
	if got, _ := x.Match(string(benchTopic(nil, 0)), nil, nil); len(got) > 0 {
		s = got[0].Subscriber
	}
	b.ReportAllocs()
	quiet := newQuiet()
	for i := 0; b.Loop(); i++ {
		f := filters[i%len(filters)]
		if !x.Unsubscribe(f, s) {
			b.Fatalf("%s was not there", f)
		}
		x.Subscribe(f, s, QoS1, 0)
		quiet.tick()
	}
	quiet.report(b)
}

// BenchmarkLookup is a cached look-up: of one topic, and of 1,000 in turn.
func BenchmarkLookup(b *testing.B) {
	x := benchIndex(100_000)
	for _, hot := range []int{1, 1000} {
		b.Run(strconv.Itoa(hot), func(b *testing.B) {
			c := NewCache(x, 4096, 8<<20)
			topics := make([][]byte, hot)
			for i := range topics {
				topics[i] = benchTopic(nil, i*7)
				c.Lookup(topics[i])
			}
			b.ReportAllocs()
			quiet := newQuiet()
			for i := 0; b.Loop(); {
				c.Lookup(topics[i])
				if i++; i == hot {
					i = 0
				}
				quiet.tick()
			}
			quiet.report(b)
		})
	}
}

// BenchmarkLookupMiss never finds its topic in the cache: the price of a match
// that is then kept.
func BenchmarkLookupMiss(b *testing.B) {
	const n = 100_000
	x := benchIndex(n)
	c := NewCache(x, 4096, 8<<20)
	var topic []byte
	b.ReportAllocs()
	quiet := newQuiet()
	for i := 0; b.Loop(); i++ {
		topic = benchTopic(topic[:0], i*7919%n)
		c.Lookup(topic)
		quiet.tick()
	}
	quiet.report(b)
}

func benchRetained(n int) *Retained[*benchSubscriber] {
	r := NewRetained[*benchSubscriber]()
	m := new(benchSubscriber)
	for i := range n {
		r.Set(string(benchTopic(nil, i)), m)
	}
	return r
}

// BenchmarkRetained measures a million retained topics; text is counted.
func BenchmarkRetained(b *testing.B) {
	const n = 1_000_000
	before := heap()
	r := benchRetained(n)
	perTopic := float64(heap()-before) / n
	m := new(benchSubscriber)
	b.Run("get", func(b *testing.B) {
		var topic []byte
		for i := 0; b.Loop(); i++ {
			topic = benchTopic(topic[:0], i*7919%n)
			r.Get(string(topic))
		}
		b.ReportMetric(perTopic, "B/topic")
	})
	b.Run("replace", func(b *testing.B) {
		topics := make([]string, 1<<16)
		for i := range topics {
			topics[i] = string(benchTopic(nil, i*7919%n))
		}
		for i := 0; b.Loop(); i++ {
			r.Set(topics[i%len(topics)], m)
		}
	})
	b.Run("set-delete", func(b *testing.B) {
		var topic []byte
		for i := 0; b.Loop(); i++ {
			topic = append(benchTopic(topic[:0], i*7919%n), 'x')
			t := string(topic)
			r.Set(t, m)
			r.Delete(t)
		}
	})
	for _, f := range []string{"#", "s/+/500/v", "s/7/#", "s/+/500/w"} {
		b.Run("read "+f, func(b *testing.B) {
			var visits, slices int
			var longest time.Duration
			for b.Loop() {
				for cur, done := (Cursor{}), false; !done; slices++ {
					start := time.Now()
					cur, done = r.Match(f, cur, 256, func(string, *benchSubscriber) { visits++ })
					longest = max(longest, time.Since(start))
				}
			}
			b.ReportMetric(float64(visits)/float64(b.N), "visits")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(visits, 1)), "ns/visit")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(slices), "ns/slice")
			b.ReportMetric(float64(longest.Microseconds()), "longest-µs")
		})
	}
}
