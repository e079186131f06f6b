package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/linkstead/linkstead/internal/store"
)

// Verify reads a backup and fails unless every file of it is there as it was
// written.
func Verify(ctx context.Context, dir string) (m Manifest, err error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%s is no backup, or one that was not finished: it has no %s", dir, manifestName)
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%s of the backup cannot be read: %w", manifestName, err)
	}
	if m.Format != manifestFormat {
		return m, fmt.Errorf("the backup has format %d, this linkstead knows %d: use the linkstead that made it (%s)", m.Format, manifestFormat, m.Version)
	}
	var bad []error
	for _, want := range m.Files {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		if !filepath.IsLocal(filepath.FromSlash(want.Path)) {
			bad = append(bad, fmt.Errorf("%s leads out of the backup", want.Path))
			continue
		}
		got, err := sum(dir, filepath.Join(dir, filepath.FromSlash(want.Path)))
		switch {
		case err != nil:
			bad = append(bad, err)
		case got != want:
			bad = append(bad, fmt.Errorf("%s is not as it was written: %d bytes instead of %d, or others", want.Path, got.Size, want.Size))
		}
	}
	if len(bad) > 0 {
		return m, fmt.Errorf("the backup in %s is damaged: %w", dir, errors.Join(bad...))
	}
	return m, nil
}

// Restore puts a backup into a data directory that holds no records and no
// messages. The backup is verified first; if Restore fails the directory is as it
// was.
func Restore(ctx context.Context, dir, data string) (m Manifest, err error) {
	if m, err = Verify(ctx, dir); err != nil {
		return m, err
	}
	if err := store.MakeDir(data); err != nil {
		return m, fmt.Errorf("the data directory cannot be made: %w", err)
	}
	for _, name := range []string{recordsDir, messagesDir} {
		if err := wantEmpty(filepath.Join(data, name)); err != nil {
			return m, fmt.Errorf("nothing is restored over what is there: %w", err)
		}
	}
	fresh := filepath.Join(data, ".restoring")
	if err := os.RemoveAll(fresh); err != nil {
		return m, err
	}
	defer os.RemoveAll(fresh)
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		to := filepath.Join(fresh, filepath.FromSlash(f.Path))
		if err := store.MakeDir(filepath.Dir(to)); err != nil {
			return m, err
		}
		if err := copyFile(filepath.Join(dir, filepath.FromSlash(f.Path)), to); err != nil {
			return m, fmt.Errorf("%s cannot be restored: %w", f.Path, err)
		}
		if err := store.SyncDir(filepath.Dir(to)); err != nil {
			return m, err
		}
	}
	return m, place(fresh, data)
}

// place moves what was copied to where it belongs. The records come last: a
// directory without them is not taken for restored.
func place(fresh, data string) error {
	for _, name := range []string{tlsDir, messagesDir, recordsDir} {
		from, to := filepath.Join(fresh, name), filepath.Join(data, name)
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		// An empty directory may be in the way; certificates that are there are
		// older or younger than the backup's, and devices trust the backup's.
		if name == tlsDir {
			if err := os.Rename(to, to+".before-restore"); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("the certificates in %s are in the way: %w", to, err)
			}
		} else if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Rename(from, to); err != nil {
			return fmt.Errorf("%s cannot be put into place: %w", strings.TrimPrefix(to, data), err)
		}
	}
	return store.SyncDir(data)
}
