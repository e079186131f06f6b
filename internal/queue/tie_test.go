package queue

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// tiedBatch appends one message to the queue of each session, the second tied.
func tiedBatch(l *Log, t *Tie, untied, held SessionID) *Batch {
	b := l.GetBatch()
	b.Append(untied, 1, message(untied, 1))
	from := b.Bytes()
	b.Append(held, 1, message(held, 1))
	b.Tie(t, from)
	return b
}

// TestTie submits two parts, one after the other: neither is stored or reported
// without the other, and batches are reported in order.
func TestTie(t *testing.T) {
	disk := vfs.NewCrashableMem()
	l := open(t, Options{Dir: "queue", FS: disk})
	tie := NewTie()
	tie.Add()
	first, between, second := make(outcome, 1), make(outcome, 1), make(outcome, 1)
	l.Submit(tiedBatch(l, tie, 1, 2), first)
	b := l.GetBatch()
	b.Append(5, 1, message(5, 1))
	l.Submit(b, between)
	for len(seqs(t, l, 5)) == 0 { // it is seen once it is written, reported or not
	}
	equal(t, "untied", seqs(t, l, 1), []Seq{1})
	equal(t, "tied", seqs(t, l, 2), []Seq(nil))
	select {
	case err := <-first:
		t.Fatalf("half of a tie is reported: %v", err)
	case err := <-between:
		t.Fatalf("a batch is reported before the one submitted before it: %v", err)
	default:
	}
	before := disk.CrashClone(vfs.CrashCloneCfg{})
	l.Submit(tiedBatch(l, tie, 3, 4), second)
	for _, o := range []outcome{first, between, second} {
		if err := <-o; err != nil {
			t.Fatal(err)
		}
	}
	for sid := SessionID(1); sid <= 4; sid++ {
		equal(t, "whole", seqs(t, l, sid), []Seq{1})
	}
	after := disk.CrashClone(vfs.CrashCloneCfg{})
	for _, tt := range []struct {
		disk *vfs.MemFS
		want []Seq
	}{{before, nil}, {after, []Seq{1}}} {
		l := open(t, Options{Dir: "queue", FS: tt.disk})
		equal(t, "one part after a power cut", seqs(t, l, 2), tt.want)
		equal(t, "the other part", seqs(t, l, 4), tt.want)
	}
}

// TestTieIsCut deletes what waits for the other part: it must not come back.
func TestTieIsCut(t *testing.T) {
	l := open(t, Options{Dir: "queue", FS: vfs.NewMem()})
	tie := NewTie()
	tie.Add()
	first, cleared, second := make(outcome, 1), make(outcome, 1), make(outcome, 1)
	l.Submit(tiedBatch(l, tie, 1, 2), first)
	b := l.GetBatch()
	b.Clear(2)
	l.Submit(b, cleared)
	l.Submit(tiedBatch(l, tie, 3, 4), second)
	for _, o := range []outcome{first, cleared, second} {
		if err := <-o; err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "cleared", seqs(t, l, 2), []Seq(nil))
	equal(t, "the other part", seqs(t, l, 4), []Seq{1})
}

// TestTieFails refuses one part, and then closes the log on one that stays alone.
func TestTieFails(t *testing.T) {
	l := open(t, Options{Dir: "queue", FS: vfs.NewMem(), MaxBacklogBytes: 1000})
	tie := NewTie()
	tie.Add()
	first, second := make(outcome, 1), make(outcome, 1)
	l.Submit(tiedBatch(l, tie, 1, 2), first)
	huge := l.GetBatch()
	huge.PutSession(9, make([]byte, 1000))
	huge.Tie(tie, 0)
	l.Submit(huge, second)
	for _, o := range []outcome{second, first} {
		if err := <-o; !errors.Is(err, ErrOverloaded) {
			t.Errorf("a tie of which one part was refused: %v", err)
		}
	}
	equal(t, "tied", seqs(t, l, 2), []Seq(nil))

	tie = NewTie()
	tie.Add()
	l.Submit(tiedBatch(l, tie, 3, 4), first)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-first; !errors.Is(err, ErrClosed) {
		t.Errorf("a tie whose other part did not come before Close: %v", err)
	}
}
