package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// series makes devices and returns n series of theirs, known to the cache.
func mustSeries(t testing.TB, s *Store, n int) []SeriesKey {
	t.Helper()
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1")
	keys := make([]SeriesKey, n)
	for i := range keys {
		keys[i] = SeriesKey{dev.ID, Property, fmt.Sprintf("p%05d", i)}
	}
	return keys
}

func TestHeadsStayWithinTheirMemory(t *testing.T) {
	opts := testOptions(t)
	opts.MaxHeads = 50_000
	s := mustOpen(t, opts)
	keys := mustSeries(t, s, 1000)
	for round := range 4 {
		for from := 0; from < len(keys); from += 50 {
			var points []Point
			for _, key := range keys[from : from+50] {
				points = append(points, Point{key, t0 + int64(round), Int(int64(round))})
			}
			mustAppend(t, s, points...)
			// One batch above the bound: its points arrive after what is chosen.
			if st := s.Stats(); st.HeadBytes > opts.MaxHeads+50*(headOverhead+64) {
				t.Fatalf("heads take %d bytes, allowed are %d", st.HeadBytes, opts.MaxHeads)
			}
		}
	}
	for _, key := range keys {
		wantStrings(t, mustRange(t, s, key, RangeQuery{}), "0=0", "1=1", "2=2", "3=3")
	}
	if st := s.Stats(); st.Folds < 3000 || st.Points != 4000 {
		t.Errorf("%+v", st)
	}
}

func TestOldHeadsAreFolded(t *testing.T) {
	opts := testOptions(t)
	clk := newClock()
	opts.Now = clk.now
	s := mustOpen(t, opts)
	keys := mustSeries(t, s, 2)
	mustAppend(t, s, Point{keys[0], t0, Int(1)})
	clk.add(11 * time.Hour)
	mustAppend(t, s, Point{keys[1], t0, Int(1)})
	if st := s.Stats(); st.Heads != 2 {
		t.Fatalf("%d heads after 11 hours, want 2", st.Heads)
	}
	clk.add(2 * time.Hour)
	mustRound(t, s)
	if st := s.Stats(); st.Heads != 1 || st.Folds != 1 {
		t.Errorf("%d heads and %d folds after 13 hours, want 1 and 1", st.Heads, st.Folds)
	}
	wantStrings(t, mustRange(t, s, keys[0], RangeQuery{}), "0=1")
}

// One slow series must not keep the rows of a busy one.
func TestSlowSeriesDoNotHoldTheLogBack(t *testing.T) {
	opts := testOptions(t)
	s := mustOpen(t, opts)
	keys := mustSeries(t, s, 2)
	s.wmu.Lock()
	s.wr.maxRows = 300
	s.wmu.Unlock()
	mustAppend(t, s, Point{keys[0], t0, Int(1)})
	for i := range int64(1000) {
		mustAppend(t, s, Point{keys[1], t0 + i, Int(i)})
		if st := s.Stats(); st.LogRows > 310 {
			t.Fatalf("%d rows are kept, allowed are 300", st.LogRows)
		}
	}
	s.wmu.Lock()
	var rows int
	if err := s.r.db.QueryRow(`select count(*) from history_wal`).Scan(&rows); err != nil || rows != len(s.wr.wal) {
		t.Errorf("the table has %d rows, %d are known, %v", rows, len(s.wr.wal), err)
	}
	s.wmu.Unlock()
	s = reopen(t, s, opts)
	wantStrings(t, mustRange(t, s, keys[0], RangeQuery{}), "0=1")
	if got := mustRange(t, s, keys[1], RangeQuery{}); len(got) != 1000 || got[999] != "999=999" {
		t.Errorf("%d points are left of 1000", len(got))
	}
}

// The next round is counted from the log, so it must never become empty.
func TestRoundsAreNeverCountedTwice(t *testing.T) {
	opts := testOptions(t)
	s := mustOpen(t, opts)
	keys := mustSeries(t, s, 1)
	for i := range int64(5) {
		mustAppend(t, s, Point{keys[0], t0, Int(i)}) // always the same time
		foldAll(t, s)
		s.SetOnline(keys[0].DeviceID, time.UnixMilli(t0), "192.0.2.1:1")
		mustRound(t, s)
		s = reopen(t, s, opts)
		wantStrings(t, mustRange(t, s, keys[0], RangeQuery{}), fmt.Sprint("0=", i))
	}
}

func TestBigValuesFillAHead(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	keys := mustSeries(t, s, 1)
	for i := range int64(10) {
		mustAppend(t, s, Point{keys[0], t0 + i, Text(strings.Repeat("x", 20_000))})
	}
	mustAppend(t, s)
	if st := s.Stats(); st.HeadBytes > 100_000 || st.Folds < 4 {
		t.Errorf("%+v", st)
	}
	if got := mustRange(t, s, keys[0], RangeQuery{}); len(got) != 10 {
		t.Errorf("%d points are left of 10", len(got))
	}
}

func TestSeriesCacheIsBounded(t *testing.T) {
	opts := testOptions(t)
	opts.MaxSeriesCached = 40
	s := mustOpen(t, opts)
	keys := mustSeries(t, s, 200)
	for round := range int64(3) {
		for _, key := range keys {
			mustAppend(t, s, Point{key, t0 + round, Int(round)})
			if n := len(s.series.young) + len(s.series.old); n > 41 {
				t.Fatalf("%d series are cached, allowed are 40", n)
			}
		}
	}
	for _, key := range keys {
		wantStrings(t, mustRange(t, s, key, RangeQuery{}), "0=0", "1=1", "2=2")
	}
	if names, err := s.Series(context.Background(), keys[0].DeviceID, Property); err != nil || len(names) != 200 {
		t.Errorf("%d series, %v: some were registered twice", len(names), err)
	}
}

// What is handed over costs no memory but what waits.
func TestAppendAllocatesNothing(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	keys := mustSeries(t, s, 1)
	mustAppend(t, s, Point{keys[0], t0, Int(1)})
	points := []Point{{keys[0], t0, Float(21.5)}, {keys[0], t0 + 1, Text("on")}, {keys[0], t0 + 2, Bool(true)}}
	q := newQueue(-1, 1<<30) // no writer behind it
	q.next.recs.buf = append(make([]byte, 0, 1<<20), q.next.recs.buf...)
	if n := testing.AllocsPerRun(1000, func() {
		if err := q.append(points, false, nil, s.series); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations an Append, want none", n)
	}
}
