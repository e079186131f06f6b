package queue

import (
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fence stands between one opening of the store and the file system. It exists
// because the store treats a failed log write, log rotation or manifest write as
// the end of the process: it calls Fatalf or panics, partly on goroutines of its
// own where no one can recover. So once the store is open it never sees such a
// failure. The first one trips the fence; from then on everything that would
// change the disk is swallowed and reported to the store as done, so that it
// winds down cleanly, while the Log, which asks the fence after every commit,
// reports the failure to its callers and opens the store anew.
//
// Rejected: retrying the write inside the file system. After a failed fsync the
// kernel may have dropped the pages, so a second fsync that succeeds proves
// nothing; only reading back what is on the disk, which opening does, is sound.
//
// The fence also guarantees that a store that was given up, with goroutines
// still busy, cannot touch the files of its successor.
type fence struct {
	vfs.FS
	// skipLogSync turns syncs of the write-ahead log into nothing (WriteToOS). A
	// log that is closed is synced nevertheless: two logs with torn ends after a
	// power cut could not be told from corruption.
	skipLogSync bool

	gate    sync.RWMutex // read-held during every change of the disk
	swallow atomic.Bool  // set once the store is open; before, errors are returned
	cause   atomic.Pointer[error]
	tripped chan struct{} // closed by the first failure
}

func newFence(inner vfs.FS, skipLogSync bool) *fence {
	return &fence{FS: inner, skipLogSync: skipLogSync, tripped: make(chan struct{})}
}

// trip closes the gate. Only the first cause counts.
func (f *fence) trip(cause error) {
	if f.cause.CompareAndSwap(nil, &cause) {
		close(f.tripped)
	}
}

// err is the first failure, nil while there was none.
func (f *fence) err() error {
	if p := f.cause.Load(); p != nil {
		return *p
	}
	return nil
}

// drain waits for changes under way to end. After trip and drain nothing reaches
// the disk any more.
func (f *fence) drain() {
	f.gate.Lock()
	defer f.gate.Unlock()
}

// enter opens the gate for one change; false means that it must be swallowed.
func (f *fence) enter() bool {
	f.gate.RLock()
	if f.cause.Load() == nil {
		return true
	}
	f.gate.RUnlock()
	return false
}

// leave ends a change that enter allowed, and judges its result.
func (f *fence) leave(err error) error {
	f.gate.RUnlock()
	if err == nil || !f.swallow.Load() {
		return err
	}
	f.trip(err)
	return nil
}

func (f *fence) wrap(file vfs.File, name string, err error) (vfs.File, error) {
	err = f.leave(err)
	if err != nil {
		return nil, err
	}
	if file == nil {
		return nullFile(filepath.Base(name)), nil
	}
	return &fencedFile{File: file, fence: f, log: strings.HasSuffix(name, ".log")}, nil
}

func (f *fence) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if !f.enter() {
		return nullFile(filepath.Base(name)), nil
	}
	file, err := f.FS.Create(name, category)
	if err != nil {
		file = nil
	}
	return f.wrap(file, name, err)
}

func (f *fence) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if !f.enter() {
		return nullFile(filepath.Base(name)), nil
	}
	file, err := f.FS.OpenReadWrite(name, category, opts...)
	if err != nil {
		file = nil
	}
	return f.wrap(file, name, err)
}

func (f *fence) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if !f.enter() {
		return nullFile(filepath.Base(newname)), nil
	}
	file, err := f.FS.ReuseForWrite(oldname, newname, category)
	if err != nil {
		file = nil
	}
	return f.wrap(file, newname, err)
}

func (f *fence) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: dir, fence: f}, nil
}

func (f *fence) Link(oldname, newname string) error {
	if !f.enter() {
		return nil
	}
	return f.leave(f.FS.Link(oldname, newname))
}

func (f *fence) Rename(oldname, newname string) error {
	if !f.enter() {
		return nil
	}
	return f.leave(f.FS.Rename(oldname, newname))
}

func (f *fence) MkdirAll(dir string, perm fs.FileMode) error {
	if !f.enter() {
		return nil
	}
	return f.leave(f.FS.MkdirAll(dir, perm))
}

// Remove passes failures on: a file that stays costs room, not truth.
func (f *fence) Remove(name string) error {
	if !f.enter() {
		return nil
	}
	defer f.gate.RUnlock()
	return f.FS.Remove(name)
}

func (f *fence) RemoveAll(name string) error {
	if !f.enter() {
		return nil
	}
	defer f.gate.RUnlock()
	return f.FS.RemoveAll(name)
}

// Lock does nothing: the Log holds the folder's lock over all reopenings.
func (f *fence) Lock(string) (io.Closer, error) { return unlocked{}, nil }

func (f *fence) Unwrap() vfs.FS { return f.FS }

type unlocked struct{}

func (unlocked) Close() error { return nil }

// fencedFile is a file or folder opened for writing through a fence.
type fencedFile struct {
	vfs.File
	fence *fence
	log   bool // a write-ahead log
}

func (f *fencedFile) Write(p []byte) (int, error) {
	if !f.fence.enter() {
		return len(p), nil
	}
	n, err := f.File.Write(p)
	if err = f.fence.leave(err); err != nil {
		return n, err
	}
	return len(p), nil
}

func (f *fencedFile) WriteAt(p []byte, off int64) (int, error) {
	if !f.fence.enter() {
		return len(p), nil
	}
	n, err := f.File.WriteAt(p, off)
	if err = f.fence.leave(err); err != nil {
		return n, err
	}
	return len(p), nil
}

func (f *fencedFile) Sync() error {
	if (f.log && f.fence.skipLogSync) || !f.fence.enter() {
		return nil
	}
	return f.fence.leave(f.File.Sync())
}

func (f *fencedFile) SyncData() error {
	if (f.log && f.fence.skipLogSync) || !f.fence.enter() {
		return nil
	}
	return f.fence.leave(f.File.SyncData())
}

func (f *fencedFile) SyncTo(length int64) (bool, error) {
	if !f.fence.enter() {
		return false, nil
	}
	full, err := f.File.SyncTo(length)
	if err = f.fence.leave(err); err != nil {
		return false, err
	}
	return full, nil
}

// Preallocate is an optimisation whose failure the store ignores.
func (f *fencedFile) Preallocate(offset, length int64) error {
	if !f.fence.enter() {
		return nil
	}
	defer f.fence.gate.RUnlock()
	return f.File.Preallocate(offset, length)
}

func (f *fencedFile) Close() error {
	if !f.fence.enter() {
		_ = f.File.Close() // releases the descriptor, changes nothing
		return nil
	}
	var err error
	if f.log && f.fence.skipLogSync {
		err = f.File.SyncData()
	}
	if closeErr := f.File.Close(); err == nil {
		err = closeErr
	}
	return f.fence.leave(err)
}

// nullFile takes the place of a file that could not be created.
type nullFile string

var _ vfs.File = nullFile("")

func (nullFile) Close() error                           { return nil }
func (nullFile) Read([]byte) (int, error)               { return 0, io.EOF }
func (nullFile) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (nullFile) Write(p []byte) (int, error)            { return len(p), nil }
func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (nullFile) Preallocate(int64, int64) error         { return nil }
func (nullFile) Sync() error                            { return nil }
func (nullFile) SyncData() error                        { return nil }
func (nullFile) SyncTo(int64) (bool, error)             { return false, nil }
func (nullFile) Prefetch(int64, int64) error            { return nil }
func (nullFile) Fd() uintptr                            { return vfs.InvalidFd }
func (f nullFile) Stat() (vfs.FileInfo, error)          { return nullInfo(f), nil }

type nullInfo string

func (i nullInfo) Name() string         { return string(i) }
func (nullInfo) Size() int64            { return 0 }
func (nullInfo) Mode() fs.FileMode      { return 0o600 }
func (nullInfo) ModTime() time.Time     { return time.Time{} }
func (nullInfo) IsDir() bool            { return false }
func (nullInfo) Sys() any               { return nil }
func (nullInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
