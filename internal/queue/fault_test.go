package queue

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// testMemTable makes logs and tables rotate often.
const testMemTable = 512 << 10

// faults fails chosen changes of the disk while it is on.
type faults struct {
	on     atomic.Bool
	failed atomic.Int64 // since it was last put on
	hits   atomic.Int64
	pick   func(op errorfs.Op) bool
}

func (f *faults) String() string { return "faults" }

func (f *faults) MaybeError(op errorfs.Op) error {
	if !f.on.Load() || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !f.pick(op) {
		return nil
	}
	f.failed.Add(1)
	f.hits.Add(1)
	return syscall.ENOSPC
}

func suffix(s ...string) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		for _, s := range s {
			if strings.HasSuffix(op.Path, s) || strings.Contains(op.Path, s+"-") {
				return true
			}
		}
		return false
	}
}

// TestDiskFailure fails kinds of files, one after the other, under load, and
// checks that the process lives, that every batch is reported, that what was
// acknowledged stays, and that the log recovers by itself.
func TestDiskFailure(t *testing.T) {
	kind := func(kinds ...errorfs.OpKind) func(errorfs.Op) bool {
		return func(op errorfs.Op) bool {
			for _, k := range kinds {
				if op.Kind == k {
					return true
				}
			}
			return false
		}
	}
	var ops atomic.Int64
	for _, tt := range []struct {
		name string
		pick func(op errorfs.Op) bool
	}{
		{"everything", func(errorfs.Op) bool { return true }},
		{"log", suffix(".log")},
		{"tables", suffix(".sst")},
		{"manifest", suffix("MANIFEST")},
		{"writes", kind(errorfs.OpFileWrite)},
		{"syncs", kind(errorfs.OpFileSync, errorfs.OpFileSyncData)},
		{"creations", kind(errorfs.OpCreate, errorfs.OpReuseForWrite)},
		{"now and then", func(errorfs.Op) bool { return ops.Add(1)%23 == 0 }},
		{"removals", kind(errorfs.OpRemove, errorfs.OpRemoveAll)},
	} {
		for _, d := range durabilities {
			t.Run(fmt.Sprintf("%s/%v", tt.name, d), func(t *testing.T) {
				f := &faults{pick: tt.pick}
				rnd := rand.New(rand.NewPCG(3, uint64(d)))
				l := open(t, Options{
					Dir: "queue", Durability: d, reopenIn: time.Millisecond, memTable: testMemTable,
					FS: errorfs.Wrap(vfs.NewMem(), f),
				})
				survives(t, l, f, rnd)
				if f.hits.Load() == 0 {
					t.Error("nothing failed, so nothing was tested")
				}
			})
		}
	}
}

func survives(t *testing.T, l *Log, f *faults, rnd *rand.Rand) {
	t.Helper()
	const sid = 1
	round, acknowledged := Seq(1), Seq(0)
	unknown := false // a failed round may or may not have been applied
	attempt := func() error {
		if unknown {
			// What the engine does after a failure: look, and go on from there.
			if _, last, _, _, err := l.Stats(sid); err != nil {
				return err
			} else if last/crashBatch < acknowledged && l.opts.Durability != WriteToMemory {
				t.Fatalf("round %d was acknowledged, %d is the last", acknowledged, last/crashBatch)
			} else {
				round, unknown = last/crashBatch+1, false
			}
		}
		err := submit(l, func(b *Batch) { crashRound(b, sid, round) })
		if err != nil {
			if !errors.Is(err, ErrUnavailable) {
				t.Fatalf("a failing disk is reported as %v", err)
			}
			unknown = true
			return err
		}
		acknowledged = round
		round++
		return nil
	}
	for range 3 {
		for range rnd.IntN(200) {
			// In memory mode the failure of an earlier write may show only now.
			if err := attempt(); err != nil && l.opts.Durability != WriteToMemory {
				t.Fatalf("with a good disk: %v", err)
			}
		}
		f.on.Store(true)
		// Until something fails; logs rotate after about 80 rounds.
		for n := 0; n < 250 && f.failed.Load() == 0; n++ {
			_ = attempt()
		}
		_ = attempt()
		f.on.Store(false)
		f.failed.Store(0)
		deadline := time.Now().Add(30 * time.Second)
		for attempt() != nil {
			if time.Now().After(deadline) {
				t.Fatalf("the log does not recover: %v", attempt())
			}
			time.Sleep(time.Millisecond)
		}
		if l.opts.Durability != WriteToMemory {
			verifyRounds(t, l, sid, acknowledged)
		}
	}
	// What is on disk is what was acknowledged.
	if l.opts.Durability == WriteToMemory {
		_ = l.Close() // may tell of the last failure
		l, acknowledged = open(t, l.opts), 0
	} else {
		l = reopen(t, l)
	}
	verifyRounds(t, l, sid, acknowledged)
}

// TestUnavailableIsReported keeps the disk failing and looks at every method.
func TestUnavailableIsReported(t *testing.T) {
	f := &faults{pick: func(errorfs.Op) bool { return true }}
	l := open(t, Options{Dir: "queue", reopenIn: time.Millisecond, FS: errorfs.Wrap(vfs.NewMem(), f)})
	mustSubmit(t, l, func(b *Batch) { b.Append(1, 1, message(1, 1)) })
	f.on.Store(true)
	for range 3 {
		if err := submit(l, func(b *Batch) { b.Append(1, 2, message(1, 2)) }); !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Submit reports %v", err)
		}
		// What failed is not seen either, not even before the store is replaced.
		if items, err := l.Read(1, 1, 1, 1); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("Read after the failure gives %v, %v", items, err)
		}
	}
	for l.Metrics().Available {
		time.Sleep(time.Millisecond)
	}
	if _, err := l.Read(1, 0, 1, 1); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Read reports %v", err)
	}
	if err := l.Retained(nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Retained reports %v", err)
	}
	if id, err := l.NextSessionID(); err != nil || id != 1 {
		t.Errorf("NextSessionID = %d, %v: identifiers are set aside ahead", id, err)
	}
	if m := l.Metrics(); m.Failed != 3 || m.Batches != 1 {
		t.Errorf("metrics: %+v", m)
	}
	if err := l.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("closing while unavailable: %v", err)
	}
}

func TestNearlyFullDisk(t *testing.T) {
	disk := vfs.NewMem()
	free := func(l *Log, n uint64) {
		disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: 1 << 40})
		l.space.checked = time.Time{} // no batch is under way
	}
	l := open(t, Options{Dir: "queue", MinFreeBytes: 1000, FS: disk})
	mustSubmit(t, l, func(b *Batch) { b.Append(1, 1, message(1, 1)); b.Append(1, 2, message(1, 2)) })
	free(l, 999)
	err := submit(l, func(b *Batch) {
		b.Append(1, 3, message(1, 3))
		b.PutReceived(1, 7)
		b.PutSession(1, []byte("s"))
		b.PutRetained(1, "t", &Message{Topic: "t"})
		b.Delete(1, 1)
		b.SetState(1, 2, Sent, 3)
	})
	if !errors.Is(err, ErrDiskFull) {
		t.Errorf("additions to a full disk: %v", err)
	}
	equal(t, "messages", seqs(t, l, 1), []Seq{2})
	states, _ := l.ReadState(1)
	equal(t, "states", states, []ItemState{{Seq: 2, State: Sent, PacketID: 3}})
	received, _ := l.Received(1)
	equal(t, "received", received, []uint16(nil))
	mustSubmit(t, l, func(b *Batch) { b.Clear(1) }) // frees room, so it works
	free(l, 1000)
	mustSubmit(t, l, func(b *Batch) { b.Append(1, 4, message(1, 4)) })
	equal(t, "messages with room again", seqs(t, l, 1), []Seq{4})
}
