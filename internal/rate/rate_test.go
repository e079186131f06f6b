package rate

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	var b Bucket
	now := int64(time.Hour)
	for i := range 5 {
		if !b.TakeWhole(now, 2, 5) {
			t.Fatalf("token %d of 5 is not there", i)
		}
	}
	if b.TakeWhole(now, 2, 5) {
		t.Error("a sixth token")
	}
	if b.TakeWhole(now+int64(499*time.Millisecond), 2, 5) || !b.TakeWhole(now+int64(501*time.Millisecond), 2, 5) {
		t.Error("a token comes after half a second")
	}
	if now += int64(time.Minute); !b.Take(now, 12, 2, 5) { // 5 are there: it owes 7
		t.Fatal("what is larger than the burst does not get through")
	}
	if b.Take(now, 1, 2, 5) {
		t.Error("it lends twice")
	}
	if w := b.Wait(2); w < 3499*time.Millisecond || w > 3501*time.Millisecond {
		t.Errorf("wait %v for 7 tokens at 2 a second", w)
	}
	if !b.Take(now+int64(b.Wait(2)), 1, 2, 5) {
		t.Error("after the wait there is nothing")
	}
}

func TestTable(t *testing.T) {
	tb := NewTable[int](64, 1, 2)
	now := int64(time.Hour)
	if tb.Empty(1, now) {
		t.Error("unknown and empty")
	}
	if ok, last := tb.Take(1, now); !ok || last {
		t.Error("first of two", ok, last)
	}
	if ok, last := tb.Take(1, now); !ok || !last {
		t.Error("second of two", ok, last)
	}
	if ok, _ := tb.Take(1, now); ok || !tb.Empty(1, now) {
		t.Error("a third of two")
	}
	if tb.Forget(1); tb.Empty(1, now) {
		t.Error("empty, forgotten")
	}
	// A flood of keys neither grows the table nor empties the bucket of who comes
	// back all the time.
	tb.Take(1, now)
	tb.Take(1, now)
	for k := range 100_000 {
		tb.Take(k+2, now-1)
	}
	if len(tb.entries) != 64 {
		t.Errorf("%d entries", len(tb.entries))
	}
	if !tb.Empty(1, now) {
		t.Error("older keys took the place of the newest")
	}
}
