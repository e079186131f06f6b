package queue

import (
	"fmt"
	"testing"
)

// TestClearByLengthAndAge clears queues that are deleted key by key and queues
// that need a range deletion, written and not yet written, and looks that the
// neighbours keep theirs.
func TestClearByLengthAndAge(t *testing.T) {
	for _, n := range []Seq{0, 1, fewKeys, fewKeys + 1, 5 * fewKeys} {
		for _, written := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d/written=%v", n, written), func(t *testing.T) {
				l := open(t, Options{Dir: t.TempDir(), Durability: WriteToMemory})
				fill := func(b *Batch) {
					for sid := SessionID(1); sid <= 3; sid++ {
						for s := Seq(1); s <= n; s++ {
							b.Append(sid, s, message(sid, s))
						}
					}
				}
				deletions := func(b *Batch) {
					b.Clear(2)
					b.Append(2, n+1, message(2, n+1))
				}
				if written {
					mustSubmit(t, l, fill)
					mustSubmit(t, l, deletions)
				} else {
					mustSubmit(t, l, func(b *Batch) { fill(b); deletions(b) })
				}
				for range 2 {
					equal(t, "cleared", seqs(t, l, 2), []Seq{n + 1})
					for _, other := range []SessionID{1, 3} {
						if got := seqs(t, l, other); len(got) != int(n) {
							t.Errorf("session %d has %d of %d messages", other, len(got), n)
						}
					}
					l = reopen(t, l)
				}
			})
		}
	}
}

// TestEmptyClearWritesNothing: a fleet that connects with clean sessions leaves
// no trace.
func TestEmptyClearWritesNothing(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Durability: WriteToMemory})
	mustSubmit(t, l, func(b *Batch) {
		for sid := range SessionID(1000) {
			b.Clear(sid)
		}
	})
	if n := l.engine.rangeDeletes; n != 0 {
		t.Errorf("%d range deletions for empty queues", n)
	}
	if n := l.engine.db.Metrics().WAL.BytesIn; n > 100 { // the format and the session identifiers
		t.Errorf("%d bytes written", n)
	}
}

// TestManyRangeDeletionsAreFlushed bounds what they cost readers.
func TestManyRangeDeletionsAreFlushed(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Durability: WriteToMemory})
	for range 2 {
		mustSubmit(t, l, func(b *Batch) {
			for sid := range SessionID(flushAfterRangeDeletes) {
				b.Append(sid, 1, message(sid, 1))
				b.Clear(sid)
			}
		})
	}
	mustSubmit(t, l, func(*Batch) {})
	if n := l.engine.rangeDeletes; n >= flushAfterRangeDeletes {
		t.Errorf("%d range deletions wait for a flush", n)
	}
	if _, _, count, _, err := l.Stats(1); count != 0 || err != nil {
		t.Errorf("%d messages left, %v", count, err)
	}
}
