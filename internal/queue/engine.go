package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// engine is one opening of the store. The Log replaces it after a failure; those
// who use it hold a reference, so that it is closed under no one.
type engine struct {
	db    *pebble.DB
	fence *fence
	users sync.WaitGroup
	// rangeDeletes counts those since the last flush was asked for; the writer
	// goroutine's own.
	rangeDeletes int
}

const (
	// A small memtable keeps the process small and restarts quick; four of them
	// may wait for the disk before writers do.
	memTableBytes = 8 << 20
	memTables     = 4
	// flushAfterRangeDeletes bounds what range deletions cost readers: in memory
	// they are sorted anew for the first reader after each write.
	flushAfterRangeDeletes = 1024
	// storeFormat is the newest on-disk format that does not record in a log how
	// far it was synced: that record would make the log of WriteToOS look corrupt
	// after a power cut.
	storeFormat = pebble.FormatColumnarBlocks
	// recordFormat is that of the keys and values of this package. Format 1 is read
	// as it is: it has no retained messages with identifiers.
	recordFormat = 2
)

// openEngine opens the store, creating it if there is none. Panics of the store
// become errors.
func openEngine(dir string, inner vfs.FS, o *Options) (e *engine, err error) {
	e = &engine{fence: newFence(inner, o.Durability == WriteToOS)}
	log := &storeLogger{log: o.Logger, fence: e.fence}
	defer func() {
		if r := recover(); r != nil {
			e.fence.trip(fmt.Errorf("%v", r))
			e, err = nil, describeOpen(dir, fmt.Errorf("opening ended in panic: %v", r))
		}
	}()
	opts := &pebble.Options{
		FS:                          e.fence,
		CacheSize:                   o.CacheBytes,
		MemTableSize:                o.memTable,
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       4,
		LBaseMaxBytes:               16 << 20,
		MaxOpenFiles:                256,
		WALBytesPerSync:             512 << 10,
		FormatMajorVersion:          storeFormat,
		Merger:                      stateMerger,
		Logger:                      log,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { log.warn("background work of the message store failed and will be tried again", err) },
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				log.warn("a file of the message store is damaged: restart the server, which sets it aside and goes on with what can be read, or restore a backup",
					fmt.Errorf("%s: %w", info.Path, info.Details))
			},
		},
	}
	if e.db, err = pebble.Open(dir, opts); err != nil {
		return nil, describeOpen(dir, err)
	}
	if err := e.fence.err(); err != nil {
		_ = e.db.Close()
		return nil, describeOpen(dir, err)
	}
	if err := e.checkFormat(); err != nil {
		_ = e.db.Close()
		return nil, err
	}
	e.fence.swallow.Store(true)
	return e, nil
}

// describeOpen says what to do about a store that does not open.
func describeOpen(dir string, err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: the message store in %s does not open: restore the folder from a backup, or move it aside to start without queued and retained messages: %v", ErrCorrupt, dir, err)
	}
	return fmt.Errorf("queue: the message store in %s does not open: see that the folder belongs to this user and that its disk is sound and has room: %w", dir, err)
}

// checkFormat refuses a store written by a later version, and marks a new one.
func (e *engine) checkFormat() error {
	v, closer, err := e.db.Get(metaFormat)
	if errors.Is(err, pebble.ErrNotFound) {
		return e.markFormat()
	}
	if err != nil {
		return readFailed(err)
	}
	defer closer.Close()
	if len(v) != 4 {
		return damaged("the format of the message store is not a number: restore the folder from a backup")
	}
	switch got := binary.BigEndian.Uint32(v); {
	case got == 0 || got > recordFormat:
		return fmt.Errorf("queue: the message store has format %d and this version reads formats 1 to %d: run the version that wrote it, or move the folder aside", got, recordFormat)
	case got < recordFormat:
		return e.markFormat()
	}
	return nil
}

// markFormat has versions that do not know what this one writes refuse the store.
func (e *engine) markFormat() error {
	if err := e.db.Set(metaFormat, binary.BigEndian.AppendUint32(nil, recordFormat), pebble.Sync); err != nil {
		return fmt.Errorf("queue: the message store cannot be written: %w", err)
	}
	return e.fence.err()
}

// close ends the store once no one uses it.
func (e *engine) close() (err error) {
	e.users.Wait()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("queue: closing the message store ended in panic: %v", r)
		}
	}()
	if err := e.db.Close(); err != nil {
		return fmt.Errorf("queue: closing the message store: %w", err)
	}
	return e.fence.err()
}

// storeLogger gives the store's warnings to slog. Its Fatalf returns, which the
// store does not expect; the tripped fence makes that safe.
type storeLogger struct {
	log   *slog.Logger
	fence *fence
}

var _ pebble.Logger = (*storeLogger)(nil)

// Infof drops the store's running commentary.
func (l *storeLogger) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (l *storeLogger) Errorf(format string, args ...any) {
	l.warn("the message store reports an error", fmt.Errorf(format, args...))
}

// Fatalf implements pebble.Logger.
func (l *storeLogger) Fatalf(format string, args ...any) {
	l.fence.trip(fmt.Errorf(format, args...))
}

func (l *storeLogger) warn(msg string, err error) {
	// A store that was given up has nothing to say that was not said.
	if l.fence.err() == nil {
		l.log.Warn(msg, "error", err)
	}
}
