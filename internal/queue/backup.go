package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// backingUp lets one backup at a time use the folder for the snapshot.
type backingUp struct{ sync.Mutex }

// Backup writes a copy of the store, as it is at one moment, into a folder that it
// makes; Open opens it. The store goes on meanwhile: what was reported as
// committed before the call is in the copy, what is committed during it may be.
// The copy is on disk when Backup returns.
//
// A snapshot is taken beside the store first, which costs next to nothing: the
// copy itself reads it past the fence, so that a backup disk that is full does
// not look like a failure of the store's own.
func (l *Log) Backup(dir string) (err error) {
	l.backingUp.Lock()
	defer l.backingUp.Unlock()
	snapshot := l.opts.Dir + ".snapshot"
	defer func() {
		if removeErr := l.opts.FS.RemoveAll(snapshot); err == nil && removeErr != nil {
			err = fmt.Errorf("queue: the snapshot in %s cannot be removed: %w", snapshot, removeErr)
		}
	}()
	if err := l.snapshot(snapshot); err != nil {
		return fmt.Errorf("queue: no snapshot of the message store can be taken: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("queue: the folder for the backup cannot be made: %w", err)
	}
	names, err := l.opts.FS.List(snapshot)
	if err != nil {
		return fmt.Errorf("queue: the snapshot cannot be read: %w", err)
	}
	for _, name := range names {
		if err := l.copyOut(l.opts.FS.PathJoin(snapshot, name), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("queue: the backup in %s cannot be written: %w", dir, err)
		}
	}
	return nil
}

func (l *Log) snapshot(dir string) error {
	// What an interrupted backup has left.
	if err := l.opts.FS.RemoveAll(dir); err != nil {
		return err
	}
	e, err := l.acquire()
	if err != nil {
		return err
	}
	defer e.release()
	err = e.db.Checkpoint(dir, pebble.WithFlushedWAL())
	return errors.Join(err, e.fence.err())
}

// copyOut copies a file of the store's file system to the operating system's.
func (l *Log) copyOut(from, to string) (err error) {
	in, err := l.opts.FS.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}
