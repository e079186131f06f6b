package store

import (
	"context"
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

// TestSweepIsSliced deletes far more than one sweep may: each takes a bounded part
// of the writer's time, and together they take all.
func TestSweepIsSliced(t *testing.T) {
	ctx := context.Background()
	opts := testOptions(t)
	clk := newClock()
	opts.Now = clk.now
	opts.Retention = time.Hour
	s := mustOpen(t, opts)
	keys := mustSeries(t, s, 4)
	var points []Point
	for _, key := range keys {
		points = append(points, Point{key, t0, Int(1)})
	}
	mustAppend(t, s, points...)
	foldAll(t, s)
	// Chunks by hand: the first series has two and a half sweeps of them, the others few.
	if err := s.write(ctx, "fill", "", func(x *tx) error {
		ids, err := x.int64s(ctx, `select id from history_series order by id`)
		if err != nil {
			return err
		}
		for i, id := range ids {
			n := 3
			if i == 0 {
				n = 5 * sweepChunks / 2
			}
			for k := range n {
				if _, err := x.exec(ctx, `insert into history_chunk (series, t_min, seq, t_max, points, data) values ($1, $2, $3, $2, 1, $4)`,
					id, t0+1+int64(k/2), k, appendChunk(nil, []Sample{{t0 + 1 + int64(k/2), Int(1)}})); err != nil {
					return err
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	clk.add(30 * time.Minute)
	mustAppend(t, s, Point{keys[0], t0 + 30*60_000, Int(7)}) // stays
	foldAll(t, s)
	clk.add(31 * time.Minute)
	left := func() (n int) {
		t.Helper()
		if err := s.r.db.QueryRow(`select count(*) from history_chunk`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	sweeps := 0
	for before := left(); s.sweep(); sweeps++ {
		now := left()
		if before-now > sweepChunks+1 || before == now {
			t.Fatalf("sweep %d deletes %d chunks, at most should be %d", sweeps, before-now, sweepChunks)
		}
		before = now
	}
	if sweeps != 2 || left() != 1 {
		t.Errorf("%d chunks are left after %d sweeps that had more to do; want 1 and 2", left(), sweeps)
	}
	wantStrings(t, mustRange(t, s, keys[0], RangeQuery{}), "1800000=7")
}
