package store

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestReserve: with less free than the reserve points are refused with a reason,
// and everything else is stored; what was acknowledged is there; when there is room
// again points are taken again by themselves. Free pages of the database count.
func TestReserve(t *testing.T) {
	const reserve = 64 << 20
	var free atomic.Uint64
	free.Store(1 << 40)
	opts := testOptions(t)
	opts.Reserve, opts.Free = reserve, func() (uint64, bool) { return free.Load(), true }
	s := mustOpen(t, opts)
	mustProduct(t, s)
	key := SeriesKey{mustDevice(t, s, "dev1").ID, Property, "v"}
	stored := 0
	// until posts until the outcome is as wanted.
	until := func(taken bool) (err error) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			if err = appendWait(s, Point{key, t0 + int64(stored), Int(int64(stored))}); err == nil {
				stored++
			}
			if (err == nil) == taken {
				return err
			}
			if time.Now().After(end) {
				t.Fatalf("after 30 s: %v", err)
			}
		}
	}
	_ = until(true)
	free.Store(reserve - 1<<20)
	err := until(false)
	wantKind(t, err, ErrFull)
	if !strings.Contains(err.Error(), "history.reserve") {
		t.Errorf("the reason is %q", err)
	}
	if st := s.Stats(); !st.Full || st.Refused != 1 || st.Failed != 0 {
		t.Errorf("figures: %+v", st)
	}
	mustDevice(t, s, "dev2") // records go on
	if got := len(mustRange(t, s, key, RangeQuery{})); got != stored {
		t.Errorf("%d points are stored, %d were acknowledged", got, stored)
	}
	free.Store(reserve)
	_ = until(true)
	if s.Stats().Full {
		t.Error("the figures say that it is full")
	}

	// The file does not become smaller, but the database has room in it.
	big := SeriesKey{mustDevice(t, s, "dev3").ID, Property, "v"}
	for i := range 150 {
		mustAppend(t, s, Point{big, t0 + int64(i), Text(strings.Repeat("x", 20_000))})
	}
	foldAll(t, s)
	free.Store(reserve - 1<<20 - s.freePages())
	_ = until(false)
	if err := s.DeleteDevice(t.Context(), "a1prod", "dev3"); err != nil {
		t.Fatal(err)
	}
	_ = until(true)
}
