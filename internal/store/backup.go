package store

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
)

// Backup writes a copy of the database, as it is at one moment, into a directory
// that it makes; Open opens it. The store goes on meanwhile: what was committed
// before the call is in the copy, what is committed during it may be. The copy is
// on disk when Backup returns. It is sealed under the same master key, which is
// not in it.
func (s *Store) Backup(ctx context.Context, dir string) (err error) {
	const op = "back up records"
	if s.closed.Load() {
		return &Error{Kind: KindClosed, Op: op, Key: dir}
	}
	if err := MakeDir(dir); err != nil {
		return wrap(op, dir, err)
	}
	// A connection of its own: those that read may not write, not even elsewhere.
	db, err := sql.Open("sqlite", dsn(filepath.Join(s.opts.Dir, databaseName), s.opts.VFS))
	if err != nil {
		return wrap(op, dir, err)
	}
	defer db.Close()
	path := filepath.Join(dir, databaseName)
	if err := makePrivate(path); err != nil {
		return wrap(op, path, err)
	}
	if _, err := db.ExecContext(ctx, `vacuum into $1`, path); err != nil {
		return wrap(op, path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return wrap(op, path, err)
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = SyncDir(dir)
	}
	return wrap(op, path, err)
}
