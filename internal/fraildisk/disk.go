// Package fraildisk is a disk for tests that can lose its power, run full and
// fail. It lies beneath both stores of a server: as a file system for the
// message store, as a VFS of SQLite for the records. No program uses it.
//
// # Losing power
//
// [Disk.Cut] leaves what was synced and, of what was written since, any part: of
// messages as Pebble's own crashable file system does it, of records any of the
// 512-byte sectors in any combination, and truncations or not. [Disk.PowerUp]
// makes the disk usable again.
//
// What is not simulated: that the creation or removal of a file of the records
// is forgotten (SQLite syncs the folder), that sectors tear within, and disks
// that lie about a sync.
package fraildisk

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Disk is one disk. Its methods may be called from any goroutine.
type Disk struct {
	// SyncTime is the longest that a sync takes; each takes a random part of it.
	// Set it before the first use.
	SyncTime time.Duration

	name string // of the VFS

	mu    sync.Mutex // held during every change of the records' files
	rnd   *rand.Rand
	mem   *vfs.MemFS
	off   bool
	files map[string]*file // of records, by path

	fault atomic.Pointer[Fault]
	hits  atomic.Int64
}

// Fault is how a disk fails.
type Fault struct {
	// Err is syscall.ENOSPC or syscall.EIO.
	Err error
	// Messages and Records say which of the stores meets it.
	Messages, Records bool
	// SyncsOnly lets writes succeed.
	SyncsOnly bool
	// Free is what the disk reports as free, bytes; 0 is plenty.
	Free uint64
}

// New makes an empty disk. What is left by a cut depends on seed and on chance.
func New(seed uint64) *Disk {
	d := &Disk{rnd: rand.New(rand.NewPCG(seed, 0xd15c)), mem: vfs.NewCrashableMem(), files: map[string]*file{}}
	d.register()
	return d
}

// Messages is the file system for the message store. It has to be asked for
// again after PowerUp.
func (d *Disk) Messages() vfs.FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	return messages{FS: errorfs.Wrap(d.mem, faults{d}), d: d}
}

// Records is the name of the VFS for the records; their files are real ones.
func (d *Disk) Records() string { return d.name }

// Cut takes the power away: from now on records can be neither read nor
// written, and what messages do is lost.
func (d *Disk) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return
	}
	d.off = true
	d.mem = d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: d.rnd.IntN(101), RNG: rand.New(rand.NewPCG(d.rnd.Uint64(), 0))})
	for _, f := range d.files {
		f.crash(d.rnd)
	}
}

// PowerUp gives the power back. Everything that used the disk before has to be
// closed.
func (d *Disk) PowerUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = false
	clear(d.files)
}

// Fail makes the disk fail until Heal.
func (d *Disk) Fail(f Fault) {
	d.hits.Store(0)
	d.fault.Store(&f)
}

// Heal ends a failure.
func (d *Disk) Heal() { d.fault.Store(nil) }

// Hits is how many operations failed since Fail.
func (d *Disk) Hits() int { return int(d.hits.Load()) }

func (d *Disk) sync() {
	if d.SyncTime <= 0 {
		return
	}
	d.mu.Lock()
	t := time.Duration(d.rnd.Int64N(int64(d.SyncTime)))
	d.mu.Unlock()
	time.Sleep(t)
}

// hit is the error of an operation on a store, or nil.
func (d *Disk) hit(isMessages, isSync bool) error {
	f := d.fault.Load()
	if f == nil || f.SyncsOnly && !isSync || isMessages && !f.Messages || !isMessages && !f.Records {
		return nil
	}
	d.hits.Add(1)
	return f.Err
}

// messages is a file system that tells how full the disk is.
type messages struct {
	vfs.FS
	d *Disk
}

func (m messages) GetDiskUsage(string) (vfs.DiskUsage, error) {
	u := vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 41, UsedBytes: 1 << 40}
	if f := m.d.fault.Load(); f != nil && f.Free > 0 {
		u.AvailBytes = f.Free
	}
	return u, nil
}

func (m messages) Unwrap() vfs.FS { return m.FS }

// faults are the failures of messages.
type faults struct{ d *Disk }

func (faults) String() string { return "fraildisk" }

func (f faults) MaybeError(op errorfs.Op) error {
	isSync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
	if isSync && strings.HasSuffix(op.Path, ".log") {
		f.d.sync()
	}
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	return f.d.hit(true, isSync)
}
