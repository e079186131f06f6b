package queue

import (
	"errors"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// hangingDisk holds syncs of logs up until they are let through.
type hangingDisk struct {
	hang    chan struct{} // closed to let through
	arrived chan struct{}
	once    sync.Once
}

func (h *hangingDisk) String() string { return "hanging disk" }

func (h *hangingDisk) MaybeError(op errorfs.Op) error {
	if op.Kind == errorfs.OpFileSyncData && suffix(".log")(op) {
		h.once.Do(func() { close(h.arrived) })
		<-h.hang
	}
	return nil
}

// order notes which batch is reported when.
type order struct {
	mu   sync.Mutex
	seen []int
	errs []error
	left sync.WaitGroup
}

type place struct {
	o *order
	n int
}

func (p place) Committed(err error) {
	p.o.mu.Lock()
	p.o.seen = append(p.o.seen, p.n)
	p.o.errs = append(p.o.errs, err)
	p.o.mu.Unlock()
	p.o.left.Done()
}

func TestSubmitKeepsOrderAndGroups(t *testing.T) {
	disk := &hangingDisk{hang: make(chan struct{}), arrived: make(chan struct{})}
	close(disk.hang)
	l := open(t, Options{Dir: "queue", FS: errorfs.Wrap(vfs.NewMem(), disk)})
	disk.hang, disk.arrived, disk.once = make(chan struct{}), make(chan struct{}), sync.Once{}
	var o order
	const batches = 500
	o.left.Add(batches)
	for n := range batches {
		b := l.GetBatch()
		b.Append(1, Seq(n+1), message(1, Seq(n+1)))
		if n > 0 {
			b.Delete(1, Seq(n)) // only right when applied in order
		}
		l.Submit(b, place{&o, n})
		if n == 0 {
			<-disk.arrived
		}
	}
	if m := l.Metrics(); m.BacklogBytes == 0 {
		t.Error("nothing waits for a hanging disk")
	}
	close(disk.hang)
	o.left.Wait()
	for i, n := range o.seen {
		if n != i || o.errs[i] != nil {
			t.Fatalf("report %d is that of batch %d: %v", i, n, o.errs[i])
		}
	}
	equal(t, "messages", seqs(t, l, 1), []Seq{batches})
	// The first batch, what was merged while the disk hung, and what had been submitted but not merged when it went on.
	if m := l.Metrics(); m.Batches != batches || m.Groups < 2 || m.Groups > 3 || m.BacklogBytes != 0 {
		t.Errorf("%d batches in %d groups, backlog %d: want %d in 2 or 3, 0", m.Batches, m.Groups, m.BacklogBytes, batches)
	}
}

func TestOverloadIsRefusedWhileTheDiskHangs(t *testing.T) {
	disk := &hangingDisk{hang: make(chan struct{}), arrived: make(chan struct{})}
	close(disk.hang)
	l := open(t, Options{Dir: "queue", MaxBacklogBytes: 1000, FS: errorfs.Wrap(vfs.NewMem(), disk)})
	disk.hang, disk.arrived, disk.once = make(chan struct{}), make(chan struct{}), sync.Once{}
	fill := func(n int) *Batch {
		b := l.GetBatch()
		b.PutSession(SessionID(n), make([]byte, 600))
		return b
	}
	first := make(outcome, 1)
	l.Submit(fill(1), first)
	<-disk.arrived
	for range 100 {
		second := make(outcome, 1)
		l.Submit(fill(2), second)
		if err := <-second; !errors.Is(err, ErrOverloaded) {
			t.Fatalf("a batch beyond the backlog: %v", err)
		}
	}
	close(disk.hang)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	mustSubmit(t, l, func(b *Batch) { b.PutSession(3, make([]byte, 5000)) }) // alone it may be large
	var sessions []SessionID
	if err := l.Sessions(func(sid SessionID, _ []byte) error { sessions = append(sessions, sid); return nil }); err != nil {
		t.Fatal(err)
	}
	equal(t, "sessions", sessions, []SessionID{1, 3})
}

func TestBatchesLargerThanAGroup(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), Durability: WriteToOS})
	var o order
	const batches = 12
	o.left.Add(batches)
	for n := range batches { // 3 MB each: every one is a write of its own
		b := l.GetBatch()
		m := message(1, Seq(n+1))
		m.Properties = make([]byte, 3<<20)
		b.Append(1, Seq(n+1), m)
		l.Submit(b, place{&o, n})
	}
	o.left.Wait()
	mustSubmit(t, l, func(b *Batch) { // and one beyond half a memtable
		m := message(1, batches+1)
		m.Properties = make([]byte, 20<<20)
		b.Append(1, batches+1, m)
	})
	l = reopen(t, l)
	if got := seqs(t, l, 1); len(got) != batches+1 {
		t.Errorf("found %v", got)
	}
}

func TestCloseReportsEverything(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	var o order
	o.left.Add(50)
	for n := range 50 {
		b := l.GetBatch()
		b.Append(1, Seq(n+1), message(1, Seq(n+1)))
		l.Submit(b, place{&o, n})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	o.left.Wait()
	for _, err := range o.errs {
		if err != nil {
			t.Errorf("submitted before Close: %v", err)
		}
	}
	if err := submit(l, func(b *Batch) { b.Clear(1) }); !errors.Is(err, ErrClosed) {
		t.Errorf("Submit after Close: %v", err)
	}
	if _, err := l.Read(1, 0, 1, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if err := l.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	l = open(t, l.opts)
	if got := seqs(t, l, 1); len(got) != 50 {
		t.Errorf("%d of 50 messages are left", len(got))
	}
}

func TestEmptyBatchIsReportedInOrder(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	var o order
	o.left.Add(3)
	full := l.GetBatch()
	full.PutSession(1, nil)
	l.Submit(l.GetBatch(), place{&o, 0})
	l.Submit(full, place{&o, 1})
	l.Submit(l.GetBatch(), place{&o, 2})
	o.left.Wait()
	equal(t, "order", o.seen, []int{0, 1, 2})
}
