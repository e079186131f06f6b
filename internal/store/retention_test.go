package store

import (
	"testing"
	"time"
)

func TestRetention(t *testing.T) {
	opts := testOptions(t)
	clk := newClock()
	opts.Now = clk.now
	opts.Retention = time.Hour
	s := mustOpen(t, opts)
	keys := mustSeries(t, s, 2)
	count := func() (n int) {
		t.Helper()
		if err := s.r.db.QueryRow(`select count(*) from history_chunk`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	mustAppend(t, s, Point{keys[0], t0, Int(1)}, Point{keys[1], t0, Int(1)})
	foldAll(t, s)
	clk.add(40 * time.Minute)
	mustAppend(t, s, Point{keys[0], t0 + 40*60_000, Int(2)})
	foldAll(t, s)
	clk.add(21 * time.Minute)
	// Expired points are not read even before they are deleted.
	wantStrings(t, mustRange(t, s, keys[0], RangeQuery{}), "2400000=2")
	wantStrings(t, mustRange(t, s, keys[1], RangeQuery{}))
	if n := count(); n != 3 {
		t.Fatalf("%d chunks before the sweep, want 3", n)
	}
	s.sweep()
	if n := count(); n != 1 {
		t.Errorf("%d chunks after the sweep, want 1", n)
	}
	// A point that comes expired is not stored in a chunk.
	mustAppend(t, s, Point{keys[1], t0 + 1, Int(3)})
	foldAll(t, s)
	if n := count(); n != 1 {
		t.Errorf("%d chunks after an expired point, want 1", n)
	}
}

func TestSweepComesRound(t *testing.T) {
	opts := testOptions(t)
	clk := newClock()
	opts.Now = clk.now
	opts.Retention = time.Hour
	s := mustOpen(t, opts)
	keys := mustSeries(t, s, sweepSeries+10)
	var points []Point
	for _, key := range keys {
		points = append(points, Point{key, t0, Int(1)})
	}
	mustAppend(t, s, points...)
	foldAll(t, s)
	clk.add(2 * time.Hour)
	for i, want := range []int{10, 0, 0} {
		s.sweep()
		var n int
		if err := s.r.db.QueryRow(`select count(*) from history_chunk`).Scan(&n); err != nil || n != want {
			t.Errorf("%d chunks after sweep %d, %v; want %d", n, i+1, err, want)
		}
	}
}
