package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// waiter is a Done that a test waits for.
type waiter chan error

func (w waiter) Committed(err error) { w <- err }

// appendWait appends points and waits for the outcome.
func appendWait(s *Store, points ...Point) error {
	w := make(waiter, 1)
	s.Append(points, w)
	return <-w
}

func mustAppend(t testing.TB, s *Store, points ...Point) {
	t.Helper()
	if err := appendWait(s, points...); err != nil {
		t.Fatal(err)
	}
}

const t0 = int64(1_700_000_000_000) // the test clock's beginning

// show is samples in a form that reads well in failures.
func show(samples []Sample) []string {
	var out []string
	for _, p := range samples {
		out = append(out, fmt.Sprintf("%d=%s", p.TimeMS-t0, p.Value.AppendJSON(nil)))
	}
	return out
}

func mustRange(t testing.TB, s *Store, key SeriesKey, q RangeQuery) []string {
	t.Helper()
	out, err := s.Range(context.Background(), key, q)
	if err != nil {
		t.Fatal(err)
	}
	return show(out)
}

func wantStrings(t testing.TB, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// foldAll folds every head.
func foldAll(t testing.TB, s *Store) {
	t.Helper()
	old := s.opts.MaxHeads
	s.wmu.Lock()
	s.opts.MaxHeads = 1
	s.wmu.Unlock()
	mustRound(t, s)
	s.wmu.Lock()
	s.opts.MaxHeads = old
	n := len(s.heads.m)
	s.wmu.Unlock()
	if n != 0 {
		t.Fatalf("%d heads are left", n)
	}
}

// mustRound makes the writer commit a round, which folds what must go.
func mustRound(t testing.TB, s *Store) {
	t.Helper()
	mustAppend(t, s)
}

func TestValuesOfEveryTypeSurvive(t *testing.T) {
	opts := testOptions(t)
	s := mustOpen(t, opts)
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1")
	key := SeriesKey{dev.ID, Property, "v"}
	values := []Value{Int(-5), Float(21.5), Bool(true), Text("a \"quoted\"\n文"), JSON([]byte(`{"x":[1,2]}`)), {}, Float(1e300), Int(1 << 62)}
	var want []string
	for i, v := range values {
		mustAppend(t, s, Point{key, t0 + int64(i), v})
		want = append(want, fmt.Sprintf("%d=%s", i, v.AppendJSON(nil)))
	}
	wantStrings(t, mustRange(t, s, key, RangeQuery{}), want...)
	s = reopen(t, s, opts)
	wantStrings(t, mustRange(t, s, key, RangeQuery{}), want...)
	foldAll(t, s)
	wantStrings(t, mustRange(t, s, key, RangeQuery{}), want...)
	s = reopen(t, s, opts)
	wantStrings(t, mustRange(t, s, key, RangeQuery{}), want...)
}

func TestAppendCopies(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1")
	for round := range 2 { // the series is unknown, then known
		name, doc := []byte("state"), []byte(`{"n":1}`)
		points := []Point{{SeriesKey{dev.ID, Event, alias(name)}, t0 + int64(round), JSON(doc)}}
		w := make(waiter, 1)
		s.Append(points, w)
		copy(name, "XXXXX")
		copy(doc, `XXXXXXX`)
		points[0] = Point{}
		if err := <-w; err != nil {
			t.Fatal(err)
		}
	}
	wantStrings(t, mustRange(t, s, SeriesKey{dev.ID, Event, "state"}, RangeQuery{}), `0={"n":1}`, `1={"n":1}`)
	names, err := s.Series(context.Background(), dev.ID, Event)
	if err != nil {
		t.Fatal(err)
	}
	wantStrings(t, names, "state")
}

func TestLastWriteWinsWhereverItLies(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	key := SeriesKey{mustDevice(t, s, "dev1").ID, Property, "v"}
	at := func(ms int64, v int64) Point { return Point{key, t0 + ms, Int(v)} }

	mustAppend(t, s, at(0, 1), at(10, 1), at(20, 1), at(10, 2)) // in one batch
	wantStrings(t, mustRange(t, s, key, RangeQuery{}), "0=1", "10=2", "20=1")
	foldAll(t, s)
	mustAppend(t, s, at(20, 3)) // chunk and head
	wantStrings(t, mustRange(t, s, key, RangeQuery{}), "0=1", "10=2", "20=3")
	foldAll(t, s) // two chunks
	wantStrings(t, mustRange(t, s, key, RangeQuery{}), "0=1", "10=2", "20=3")
	wantStrings(t, mustRange(t, s, key, RangeQuery{Descending: true, Limit: 2}), "20=3", "10=2")
	mustAppend(t, s, at(-10, 4)) // a late point before everything
	foldAll(t, s)
	mustAppend(t, s, at(10, 5)) // a late point in the middle
	wantStrings(t, mustRange(t, s, key, RangeQuery{}), "-10=4", "0=1", "10=5", "20=3")
	wantStrings(t, mustRange(t, s, key, RangeQuery{Limit: 2}), "-10=4", "0=1")
	wantStrings(t, mustRange(t, s, key, RangeQuery{From: t0, To: t0 + 10}), "0=1", "10=5")
}

// A row of history_wal may hold a folded point and one that is not folded. When
// it is replayed, the folded point must not win over a newer one in a chunk.
func TestReplayDoesNotBringOldPointsBack(t *testing.T) {
	opts := testOptions(t)
	s := mustOpen(t, opts)
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1")
	busy, slow := SeriesKey{dev.ID, Property, "busy"}, SeriesKey{dev.ID, Property, "slow"}
	mustAppend(t, s, Point{slow, t0, Int(0)}, Point{busy, t0, Int(1)})
	for i := range int64(3 * headPoints) {
		mustAppend(t, s, Point{busy, t0 + i, Int(1000 + i)})
	}
	s.wmu.Lock()
	rows, chunked := len(s.wr.wal), s.heads.m[s.series.get(busy)] == nil || s.heads.m[s.series.get(busy)].n < 2*headPoints
	s.wmu.Unlock()
	if rows < 3*headPoints || !chunked {
		t.Fatalf("%d rows, folded %v: the test does not test what it says", rows, chunked)
	}
	s = reopen(t, s, opts)
	wantStrings(t, mustRange(t, s, busy, RangeQuery{Limit: 2}), "0=1000", "1=1001")
	wantStrings(t, mustRange(t, s, slow, RangeQuery{}), "0=0")
}

func TestLatest(t *testing.T) {
	ctx := context.Background()
	opts := testOptions(t)
	clk := newClock()
	opts.Now = clk.now
	s := mustOpen(t, opts)
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1")
	temp, hum, ev := SeriesKey{dev.ID, Property, "Temp"}, SeriesKey{dev.ID, Property, "Hum"}, SeriesKey{dev.ID, Event, "Alarm"}
	latest := func() (out []string) {
		t.Helper()
		values, err := s.Latest(ctx, dev.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			out = append(out, fmt.Sprintf("%s %d=%s", v.Identifier, v.TimeMS-t0, v.Value.AppendJSON(nil)))
		}
		return out
	}
	wantStrings(t, latest())
	mustAppend(t, s, Point{temp, t0 + 5, Int(1)}, Point{temp, t0 + 3, Int(2)}, Point{hum, t0, Text("wet")}, Point{ev, t0, Int(9)})
	want := []string{`Hum 0="wet"`, "Temp 5=1"}
	wantStrings(t, latest(), want...)
	foldAll(t, s)
	wantStrings(t, latest(), want...)
	mustAppend(t, s, Point{temp, t0 + 4, Int(3)}) // older: no change
	wantStrings(t, latest(), want...)
	foldAll(t, s)
	wantStrings(t, latest(), want...)
	mustAppend(t, s, Point{temp, t0 + 5, Int(4)}) // equal: written last
	want[1] = "Temp 5=4"
	wantStrings(t, latest(), want...)
	s = reopen(t, s, opts)
	wantStrings(t, latest(), want...)
	foldAll(t, s)
	s = reopen(t, s, opts)
	wantStrings(t, latest(), want...)

	// What was measured earlier and is told late is history, however new it is.
	past := func(points ...Point) {
		t.Helper()
		w := make(waiter, 1)
		s.AppendPast(points, w)
		if err := <-w; err != nil {
			t.Fatal(err)
		}
	}
	late := SeriesKey{dev.ID, Property, "Late"} // has nothing else
	past(Point{temp, t0 + 50, Int(5)}, Point{late, t0 + 50, Int(6)}, Point{late, t0 + 60, Int(7)})
	wantStrings(t, latest(), want...)
	wantStrings(t, mustRange(t, s, late, RangeQuery{}), "50=6", "60=7")
	s = reopen(t, s, opts)
	wantStrings(t, latest(), want...)
	foldAll(t, s)
	wantStrings(t, latest(), want...)
	mustAppend(t, s, Point{temp, t0 + 7, Int(8)}, Point{late, t0 + 1, Int(9)})
	past(Point{temp, t0 + 51, Int(5)})
	want = []string{`Hum 0="wet"`, "Late 1=9", "Temp 7=8"}
	wantStrings(t, latest(), want...)
	foldAll(t, s)
	wantStrings(t, latest(), want...)
	s = reopen(t, s, opts)
	wantStrings(t, latest(), want...)
	wantStrings(t, mustRange(t, s, late, RangeQuery{}), "1=9", "50=6", "60=7")

	// The present value outlives the history.
	clk.add(31 * 24 * time.Hour)
	s.sweep()
	wantStrings(t, mustRange(t, s, temp, RangeQuery{}))
	wantStrings(t, latest(), want...)
}

func TestAppendRefuses(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	id := mustDevice(t, s, "dev1").ID
	for name, p := range map[string]Point{
		"no identifier":   {SeriesKey{id, Property, ""}, t0, Int(1)},
		"long identifier": {SeriesKey{id, Property, string(make([]byte, 257))}, t0, Int(1)},
		"before 1970":     {SeriesKey{id, Property, "a"}, -1, Int(1)},
		"after 9999":      {SeriesKey{id, Property, "a"}, MaxTime + 1, Int(1)},
		"huge value":      {SeriesKey{id, Property, "a"}, t0, Text(string(make([]byte, MaxValueSize+1)))},
		"strange type":    {SeriesKey{id, Property, "a"}, t0, Value{typ: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			wantKind(t, appendWait(s, Point{SeriesKey{id, Property, "good"}, t0, Int(1)}, p), ErrInvalid)
		})
	}
	wantStrings(t, mustRange(t, s, SeriesKey{id, Property, "good"}, RangeQuery{})) // all or nothing
	mustAppend(t, s, Point{SeriesKey{id + 100, Property, "a"}, t0, Int(1)})        // no such device
	if names, err := s.Series(context.Background(), id+100, Property); err != nil || len(names) != 0 {
		t.Errorf("a device that does not exist has series %v, %v", names, err)
	}
	s.Append([]Point{{SeriesKey{id, Property, "quiet"}, t0, Int(1)}}, nil)
	mustAppend(t, s)
	wantStrings(t, mustRange(t, s, SeriesKey{id, Property, "quiet"}, RangeQuery{}), "0=1")
}

func TestBacklogIsBounded(t *testing.T) {
	opts := testOptions(t)
	opts.MaxBacklog = 10_000
	s := mustOpen(t, opts)
	mustProduct(t, s)
	key := SeriesKey{mustDevice(t, s, "dev1").ID, Property, "v"}
	s.wmu.Lock() // the writer cannot commit
	done := make(waiter, 1000)
	overloaded, accepted := 0, 0
	for i := range 100 {
		before := len(done)
		s.Append([]Point{{key, t0 + int64(i), Text(string(make([]byte, 500)))}}, done)
		if len(done) > before {
			wantKind(t, <-done, ErrOverloaded)
			overloaded++
		} else {
			accepted++
		}
	}
	s.wmu.Unlock()
	if accepted < 10 || accepted > 40 || overloaded != 100-accepted {
		t.Errorf("%d accepted, %d overloaded; want about 17 to be accepted", accepted, overloaded)
	}
	for range accepted {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	mustAppend(t, s, Point{key, t0 + 1000, Int(1)})
	if got := len(mustRange(t, s, key, RangeQuery{})); got != accepted+1 {
		t.Errorf("%d points are stored, want the %d accepted and one more", got, accepted)
	}
}

func TestDeletedDeviceLeavesNothing(t *testing.T) {
	ctx := context.Background()
	opts := testOptions(t)
	s := mustOpen(t, opts)
	mustProduct(t, s)
	var keys []SeriesKey
	for _, name := range []string{"gone", "stays"} {
		key := SeriesKey{mustDevice(t, s, name).ID, Property, "v"}
		keys = append(keys, key)
		mustAppend(t, s, Point{key, t0, Int(1)})
		if err := s.PutTags(ctx, key.DeviceID, []Tag{{Key: "floor", Value: "3"}}); err != nil {
			t.Fatal(err)
		}
	}
	foldAll(t, s)
	mustAppend(t, s, Point{keys[0], t0 + 1, Int(2)}, Point{keys[1], t0 + 1, Int(2)})

	// One point is handed over but not committed when the device is deleted.
	s.wmu.Lock()
	w := make(waiter, 1)
	s.Append([]Point{{keys[0], t0 + 2, Int(3)}}, w)
	deleted := make(chan error)
	go func() { deleted <- s.DeleteDevice(ctx, "a1prod", "gone") }()
	s.wmu.Unlock()
	if err := <-deleted; err != nil {
		t.Fatal(err)
	}
	if err := <-w; err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, Point{keys[0], t0 + 3, Int(4)}) // and one comes after
	check := func() {
		t.Helper()
		wantStrings(t, mustRange(t, s, keys[0], RangeQuery{}))
		wantStrings(t, mustRange(t, s, keys[1], RangeQuery{}), "0=1", "1=2")
		for _, table := range []string{"history_series", "history_chunk", "device_tag", "device"} {
			var n int
			if err := s.r.db.QueryRow(`select count(*) from ` + table).Scan(&n); err != nil || n != 1 {
				t.Errorf("%s has %d rows, %v; want 1", table, n, err)
			}
		}
		s.wmu.Lock()
		defer s.wmu.Unlock()
		if len(s.heads.m) != 1 {
			t.Errorf("%d heads, want 1", len(s.heads.m))
		}
	}
	check()
	s = reopen(t, s, opts)
	check()
	again := mustDevice(t, s, "gone")
	if again.ID == keys[0].DeviceID {
		t.Error("the device's id was used twice")
	}
}

var errDisk = errors.New("the disk is on fire")

func TestFailedCommitIsReportedAndOvercome(t *testing.T) {
	ctx := context.Background()
	opts := testOptions(t)
	s := mustOpen(t, opts)
	mustProduct(t, s)
	dev := mustDevice(t, s, "dev1")
	key, other := SeriesKey{dev.ID, Property, "v"}, SeriesKey{dev.ID, Property, "new"}
	mustAppend(t, s, Point{key, t0, Int(0)})

	set := func(fail func() error) {
		s.wmu.Lock()
		defer s.wmu.Unlock()
		s.wr.beforeCommit = fail
	}
	set(func() error { return errDisk })
	s.SetOnline(dev.ID, time.UnixMilli(t0+7), "192.0.2.1:5")
	for i := range int64(3) { // one of a known, one of a new series
		if err := appendWait(s, Point{key, t0 + 1 + i, Int(1)}, Point{other, t0, Int(1)}); !errors.Is(err, errDisk) {
			t.Fatalf("got %v, want %v", err, errDisk)
		}
	}
	wantStrings(t, mustRange(t, s, key, RangeQuery{}), "0=0")
	set(nil)
	mustAppend(t, s, Point{key, t0 + 10, Int(2)}, Point{other, t0 + 10, Int(2)})
	check := func() {
		t.Helper()
		wantStrings(t, mustRange(t, s, key, RangeQuery{}), "0=0", "10=2")
		wantStrings(t, mustRange(t, s, other, RangeQuery{}), "10=2")
		d, err := s.Device(ctx, "a1prod", "dev1")
		if err != nil || d.LastOnlineAt.UnixMilli() != t0+7 {
			t.Errorf("online at %v, %v: the change was not tried again", d.LastOnlineAt, err)
		}
	}
	check()
	s = reopen(t, s, opts)
	check()
}

// A disk that is really full: SQLite refuses to let the file grow.
func TestFullDisk(t *testing.T) {
	ctx := context.Background()
	s := mustOpen(t, testOptions(t))
	mustProduct(t, s)
	key := SeriesKey{mustDevice(t, s, "dev1").ID, Property, "v"}
	limit := func(pages int) {
		s.wmu.Lock()
		defer s.wmu.Unlock()
		if _, err := s.w.conn.ExecContext(ctx, fmt.Sprintf("pragma max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite takes it as the present size
	var stored int
	var err error
	for i := range 1000 {
		if err = appendWait(s, Point{key, t0 + int64(i), Text(string(make([]byte, 20_000)))}); err != nil {
			break
		}
		stored++
	}
	wantKind(t, err, ErrFull)
	if got := len(mustRange(t, s, key, RangeQuery{})); got != stored {
		t.Errorf("%d points are stored, %d were acknowledged", got, stored)
	}
	limit(1 << 20)
	mustAppend(t, s, Point{key, t0 + 5000, Int(1)})
	if got := len(mustRange(t, s, key, RangeQuery{})); got != stored+1 {
		t.Errorf("%d points are stored after the disk has room, want %d", got, stored+1)
	}
}

// TestLaterPointWinsOverOneToBeLookedUp appends a point whose series has to be
// looked up, and before it is committed a second one with the same time, whose
// series is known by then.
func TestLaterPointWinsOverOneToBeLookedUp(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	key := mustSeries(t, s, 1)[0]
	mustAppend(t, s, Point{key, t0, Int(0)})
	id := s.series.get(key)
	s.wmu.Lock() // holds the writer up
	s.series.forget(key)
	first, second := make(waiter, 1), make(waiter, 1)
	s.Append([]Point{{key, t0, Int(1)}}, first)
	s.series.put(key, id)
	s.Append([]Point{{key, t0, Int(2)}}, second)
	s.wmu.Unlock()
	for _, w := range []waiter{first, second} {
		if err := <-w; err != nil {
			t.Fatal(err)
		}
	}
	wantStrings(t, mustRange(t, s, key, RangeQuery{}), "0=2")
}
