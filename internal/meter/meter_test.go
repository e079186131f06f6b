package meter

import (
	"slices"
	"sync"
	"testing"
)

func TestHistogramBuckets(t *testing.T) {
	h := NewHistogram([]int64{10, 20, 30})
	for _, v := range []int64{0, 10, 11, 20, 30, 31, 1000} {
		h.Observe(v)
	}
	s := h.Snapshot()
	if want := []uint64{2, 2, 1, 2}; !slices.Equal(s.Counts, want) || s.Sum != 1102 || s.Count() != 7 {
		t.Errorf("counted %v, sum %d, want %v", s.Counts, s.Sum, want)
	}
	two := Snapshot{}.Plus(h.Snapshot()).Plus(h.Snapshot())
	if two.Count() != 14 || two.Sum != 2204 {
		t.Errorf("twice: %v, sum %d", two.Counts, two.Sum)
	}
	for _, bounds := range [][]int64{Durations, Sizes} {
		if !slices.IsSorted(bounds) || len(bounds) > maxBuckets {
			t.Errorf("bounds %v", bounds)
		}
	}
}

func TestShardedCountsEverything(t *testing.T) {
	var c Sharded
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			for range 1000 {
				c.Add(i-10, 1)
			}
		})
	}
	wg.Wait()
	if c.Load() != 100_000 {
		t.Errorf("%d", c.Load())
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	h := NewHistogram(Durations)
	var c Counter
	var s Sharded
	if n := testing.AllocsPerRun(100, func() { h.Observe(123456); c.Add(2); s.Add(7, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
