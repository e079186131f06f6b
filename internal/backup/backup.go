// Package backup copies what a server stores: while it runs, back into an empty
// data directory, and it tells whether either is sound.
//
// A backup is a directory:
//
//	backup.json   what it holds, with a SHA-256 of each file; written last
//	records/      the database of records and history
//	messages/     sessions, queues and retained messages
//	tls/          the authority and certificate that the server made, if it did
//
// The master key is not in it: who finds a backup must not find the devices'
// secrets. Keep a copy of it elsewhere.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/store"
)

const (
	manifestName   = "backup.json"
	manifestFormat = 1
)

// The directories of a backup, named as in the data directory.
const (
	recordsDir  = "records"
	messagesDir = "messages"
	tlsDir      = "tls"
)

// Manifest is what backup.json says.
type Manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of linkstead
	Created time.Time `json:"created"` // everything acknowledged before is in it
	Files   []File    `json:"files"`
}

// File is one file of a backup.
type File struct {
	Path   string `json:"path"` // with slashes
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// ErrPlace: the directory named for a backup cannot take one.
var ErrPlace = errors.New("the directory cannot take a backup")

// Bytes is the size of the backup.
func (m *Manifest) Bytes() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// Sources are what a running server stores.
type Sources struct {
	Store   *store.Store
	Log     *queue.Log
	Data    string // the data directory
	Version string
	// Begins, if set, is called before anything is copied, once the directory can
	// take the backup.
	Begins func()
}

// Write backs a running server up into dir, an absolute path of a directory that
// is empty or not there yet. It is on disk when Write returns. If it fails,
// nothing is left.
func Write(ctx context.Context, s Sources, dir string) (m Manifest, err error) {
	if !filepath.IsAbs(dir) {
		return m, fmt.Errorf("%w: %q is not an absolute path; name it from the root on", ErrPlace, dir)
	}
	if err := wantEmpty(dir); err != nil {
		return m, fmt.Errorf("%w: %w", ErrPlace, err)
	}
	if err := store.MakeDir(dir); err != nil {
		return m, fmt.Errorf("the directory for the backup cannot be made: %w", err)
	}
	defer func() {
		if err != nil {
			for _, name := range []string{recordsDir, messagesDir, tlsDir, manifestName} {
				_ = os.RemoveAll(filepath.Join(dir, name))
			}
		}
	}()
	if s.Begins != nil {
		s.Begins()
	}
	m = Manifest{Format: manifestFormat, Version: s.Version, Created: time.Now().UTC()}
	if err := s.Log.Backup(filepath.Join(dir, messagesDir)); err != nil {
		return m, err
	}
	if err := s.Store.Backup(ctx, filepath.Join(dir, recordsDir)); err != nil {
		return m, err
	}
	if err := copyTree(filepath.Join(s.Data, tlsDir), filepath.Join(dir, tlsDir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("the certificates cannot be copied: %w", err)
	}
	if m.Files, err = list(ctx, dir); err != nil {
		return m, err
	}
	return m, writeManifest(dir, m)
}

// wantEmpty refuses a directory that holds something.
func wantEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty: name a directory that is not there yet", dir)
	}
	return nil
}

// list sums up the files of a backup, and syncs the directories they are in.
func list(ctx context.Context, dir string) (files []File, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if d.IsDir() {
			return store.SyncDir(path)
		}
		f, err := sum(dir, path)
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	return files, err
}

func sum(dir, path string) (f File, err error) {
	in, err := os.Open(path)
	if err != nil {
		return f, err
	}
	defer in.Close()
	h := sha256.New()
	if f.Size, err = io.Copy(h, in); err != nil {
		return f, err
	}
	name, err := filepath.Rel(dir, path)
	f.Path, f.SHA256 = filepath.ToSlash(name), hex.EncodeToString(h.Sum(nil))
	return f, err
}

func writeManifest(dir string, m Manifest) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	temporary := filepath.Join(dir, "."+manifestName)
	if err := writeFile(temporary, append(b, '\n')); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, manifestName)); err != nil {
		return err
	}
	return store.SyncDir(dir)
}

func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// copyTree copies the files of a directory, and of those below it.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return store.MakeDir(filepath.Join(to, name))
		}
		return copyFile(path, filepath.Join(to, name))
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
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
	return errors.Join(err, out.Close())
}
