package meter

import (
	"sync/atomic"
	"time"
)

// Durations are the upper bounds of a histogram of times, in nanoseconds: 10 µs to
// 10 s.
var Durations = []int64{
	10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000,
	100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
}

// Sizes are the upper bounds of a histogram of numbers of things: 1 to 65,536.
var Sizes = []int64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536}

// maxBuckets is the most bounds a Histogram can have.
const maxBuckets = 24

// Histogram counts how often values fell between bounds. Make one with
// NewHistogram. It allocates nothing after that.
type Histogram struct {
	bounds []int64
	counts [maxBuckets + 1]atomic.Uint64 // the last one used is what exceeds all bounds
	sum    atomic.Uint64
}

// NewHistogram makes a histogram with rising upper bounds, at most 24.
func NewHistogram(bounds []int64) *Histogram {
	if len(bounds) > maxBuckets {
		panic("meter: too many bounds")
	}
	return &Histogram{bounds: bounds}
}

// Observe counts a value, which must not be negative. Any goroutine.
func (h *Histogram) Observe(v int64) {
	low, high := 0, len(h.bounds)
	for low < high {
		if middle := (low + high) / 2; v > h.bounds[middle] {
			low = middle + 1
		} else {
			high = middle
		}
	}
	h.counts[low].Add(1)
	h.sum.Add(uint64(max(v, 0)))
}

// ObserveSince counts the time that has passed since t, in nanoseconds.
func (h *Histogram) ObserveSince(t time.Time) { h.Observe(int64(time.Since(t))) }

// Snapshot returns what was counted. Any goroutine.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Bounds: h.bounds, Counts: make([]uint64, len(h.bounds)+1)}
	for i := range s.Counts {
		s.Counts[i] = h.counts[i].Load()
	}
	s.Sum = h.sum.Load()
	return s
}

// Snapshot is what a histogram has counted.
type Snapshot struct {
	Bounds []int64  // upper bounds, rising
	Counts []uint64 // values up to each bound and above the one before; the last: above all
	Sum    uint64   // of all values
}

// Plus adds two snapshots with the same bounds up; the zero Snapshot is nothing.
func (s Snapshot) Plus(o Snapshot) Snapshot {
	if s.Bounds == nil {
		return o
	}
	for i, n := range o.Counts {
		s.Counts[i] += n
	}
	s.Sum += o.Sum
	return s
}

// Count is how many values were counted.
func (s Snapshot) Count() (n uint64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}
