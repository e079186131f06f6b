package fraildisk

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"modernc.org/libc"
	sqlite "modernc.org/sqlite/lib"
)

// SQLite asks a VFS, a C structure of functions, for everything it wants of the
// system. Here is one for each disk: a copy of the default one that opens files
// through it and then replaces their functions for reading, writing, truncating
// and syncing by those below. Only the files of a database and its log are
// treated so; the index of the log lives in memory and is made anew after a
// cut, as SQLite does when no process has it open.

var (
	disks   sync.Map // uintptr of the VFS → *Disk
	handles sync.Map // uintptr of the sqlite3_file → *handle
	tables  sync.Map // uintptr of the original sqlite3_io_methods → *table
	count   atomic.Int64
)

// handle is an open file.
type handle struct {
	d       *Disk
	f       *file
	table   *table
	scratch int64 // where C code writes: the stack may move
}

// table is a set of file functions and the copy that calls ours.
type table struct {
	original sqlite.Tsqlite3_io_methods
	ours     uintptr
}

const watched = sqlite.SQLITE_OPEN_MAIN_DB | sqlite.SQLITE_OPEN_WAL | sqlite.SQLITE_OPEN_MAIN_JOURNAL

// register makes SQLite know the disk, for as long as the process lives.
func (d *Disk) register() {
	tls := libc.NewTLS()
	defer tls.Close()
	original := sqlite.Xsqlite3_vfs_find(tls, 0)
	if original == 0 {
		panic("fraildisk: SQLite has no VFS")
	}
	d.name = fmt.Sprintf("frail-%d", count.Add(1))
	name, err := libc.CString(d.name)
	if err != nil {
		panic("fraildisk: " + err.Error())
	}
	v := *at[sqlite.Tsqlite3_vfs](original)
	v.FpNext, v.FzName, v.FpAppData = 0, name, original
	v.FxOpen, v.FxDelete = pointer(open), pointer(remove)
	own := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(v)))
	*at[sqlite.Tsqlite3_vfs](own) = v
	disks.Store(own, d)
	if rc := sqlite.Xsqlite3_vfs_register(tls, own, 0); rc != sqlite.SQLITE_OK {
		panic(fmt.Sprint("fraildisk: registering a VFS gives ", rc))
	}
}

// at is the C object at an address.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// pointer makes a C function pointer of a declared function, as ccgo does.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

// function makes a Go function of a C function pointer.
func function[F any](p uintptr) F {
	return *(*F)(unsafe.Pointer(&struct{ p uintptr }{p}))
}

// code is how SQLite is told of a failure.
func code(err error, otherwise int32) int32 {
	if errors.Is(err, syscall.ENOSPC) {
		return sqlite.SQLITE_FULL
	}
	return otherwise
}

type (
	openFunc   = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	removeFunc = func(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32
	moveFunc   = func(tls *libc.TLS, file, buf uintptr, n int32, at int64) int32
	cutFunc    = func(tls *libc.TLS, file uintptr, size int64) int32
	sizeFunc   = func(tls *libc.TLS, file, out uintptr) int32
	closeFunc  = func(tls *libc.TLS, file uintptr) int32
)

func diskOf(vfs uintptr) *Disk { d, _ := disks.Load(vfs); return d.(*Disk) }

func handleOf(file uintptr) *handle { h, _ := handles.Load(file); return h.(*handle) }

// raw reads a file as it really is.
type raw struct {
	h    *handle
	tls  *libc.TLS
	file uintptr
}

func (r raw) size() (int64, error) {
	if rc := function[sizeFunc](r.h.table.original.FxFileSize)(r.tls, r.file, uintptr(unsafe.Pointer(&r.h.scratch))); rc != sqlite.SQLITE_OK {
		return 0, fmt.Errorf("the size of a file gives %d", rc)
	}
	return r.h.scratch, nil
}

func (r raw) readAt(b []byte, at int64) error {
	if rc := function[moveFunc](r.h.table.original.FxRead)(r.tls, r.file, uintptr(unsafe.Pointer(&b[0])), int32(len(b)), at); rc != sqlite.SQLITE_OK {
		return fmt.Errorf("reading a file gives %d", rc)
	}
	return nil
}

func open(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	d := diskOf(vfs)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return sqlite.SQLITE_CANTOPEN
	}
	v := at[sqlite.Tsqlite3_vfs](vfs)
	original := at[sqlite.Tsqlite3_vfs](v.FpAppData)
	rc := function[openFunc](original.FxOpen)(tls, v.FpAppData, name, file, flags, out)
	if rc != sqlite.SQLITE_OK || name == 0 || flags&watched == 0 {
		return rc
	}
	path := libc.GoString(name)
	f := d.files[path]
	if f == nil {
		f = newFile(path)
		d.files[path] = f
	}
	methods := &at[sqlite.Tsqlite3_file](file).FpMethods
	t := tableOf(tls, *methods)
	handles.Store(file, &handle{d: d, f: f, table: t})
	*methods = t.ours
	return rc
}

// tableOf is the table whose original is at an address.
func tableOf(tls *libc.TLS, original uintptr) *table {
	if t, ok := tables.Load(original); ok {
		return t.(*table)
	}
	m := *at[sqlite.Tsqlite3_io_methods](original)
	t := &table{original: m}
	m.FxClose, m.FxRead, m.FxWrite = pointer(closeFile), pointer(read), pointer(write)
	m.FxTruncate, m.FxSync = pointer(truncate), pointer(syncFile)
	t.ours = libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(m)))
	*at[sqlite.Tsqlite3_io_methods](t.ours) = m
	kept, _ := tables.LoadOrStore(original, t)
	return kept.(*table)
}

func remove(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32 {
	d := diskOf(vfs)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return sqlite.SQLITE_IOERR_DELETE
	}
	v := at[sqlite.Tsqlite3_vfs](vfs)
	rc := function[removeFunc](at[sqlite.Tsqlite3_vfs](v.FpAppData).FxDelete)(tls, v.FpAppData, name, syncDir)
	if f := d.files[libc.GoString(name)]; rc == sqlite.SQLITE_OK && f != nil {
		f.unsynced = nil
	}
	return rc
}

func closeFile(tls *libc.TLS, file uintptr) int32 {
	h := handleOf(file)
	handles.Delete(file)
	return function[closeFunc](h.table.original.FxClose)(tls, file)
}

func read(tls *libc.TLS, file, buf uintptr, n int32, at int64) int32 {
	h := handleOf(file)
	h.d.mu.Lock()
	off := h.d.off
	h.d.mu.Unlock()
	if off {
		return sqlite.SQLITE_IOERR_READ
	}
	return function[moveFunc](h.table.original.FxRead)(tls, file, buf, n, at)
}

func write(tls *libc.TLS, file, buf uintptr, n int32, at int64) int32 {
	h := handleOf(file)
	if err := h.d.hit(false, false); err != nil {
		return code(err, sqlite.SQLITE_IOERR_WRITE)
	}
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.off {
		return sqlite.SQLITE_IOERR_WRITE
	}
	if err := h.f.before(raw{h, tls, file}, at, append([]byte(nil), libc.GoBytes(buf, int(n))...), false); err != nil {
		return sqlite.SQLITE_IOERR_WRITE
	}
	return function[moveFunc](h.table.original.FxWrite)(tls, file, buf, n, at)
}

func truncate(tls *libc.TLS, file uintptr, size int64) int32 {
	h := handleOf(file)
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.off {
		return sqlite.SQLITE_IOERR_TRUNCATE
	}
	if err := h.f.before(raw{h, tls, file}, size, nil, true); err != nil {
		return sqlite.SQLITE_IOERR_TRUNCATE
	}
	return function[cutFunc](h.table.original.FxTruncate)(tls, file, size)
}

// syncFile only notes that the file is synced: what the real disk does with it
// does not matter, and other tests want to use it.
func syncFile(_ *libc.TLS, file uintptr, _ int32) int32 {
	h := handleOf(file)
	if err := h.d.hit(false, true); err != nil {
		return code(err, sqlite.SQLITE_IOERR_FSYNC)
	}
	h.d.mu.Lock()
	begun := len(h.f.unsynced) // what is written meanwhile is not part of it
	h.d.mu.Unlock()
	h.d.sync()
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.off {
		return sqlite.SQLITE_IOERR_FSYNC
	}
	h.f.unsynced = append([]change(nil), h.f.unsynced[min(begun, len(h.f.unsynced)):]...)
	return sqlite.SQLITE_OK
}
