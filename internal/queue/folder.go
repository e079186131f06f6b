package queue

import "github.com/cockroachdb/pebble/v2/vfs"

// makeFolder creates a folder and those above it that are missing, and makes
// their names durable: a synced file in a folder that a power cut has taken away
// is lost as well.
func makeFolder(fs vfs.FS, dir string) error {
	var missing []string
	for at := dir; ; {
		if _, err := fs.Stat(at); err == nil {
			break
		}
		missing = append(missing, at)
		above := fs.PathDir(at)
		if above == at {
			break
		}
		at = above
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, at := range missing {
		above, err := fs.OpenDir(fs.PathDir(at))
		if err != nil {
			return err
		}
		err = above.Sync()
		if closeErr := above.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
	}
	return nil
}
