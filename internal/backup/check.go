package backup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/store"
)

// Checked is what a check of a data directory or of a backup has found.
type Checked struct {
	Backup   *Manifest     `json:"backup,omitempty"` // of a backup
	Records  store.Checked `json:"records"`
	Messages queue.Checked `json:"messages"`
	Problems []string      `json:"problems,omitempty"` // of the backup as such
}

// Sound reports whether nothing is damaged.
func (c *Checked) Sound() bool {
	return len(c.Problems)+len(c.Records.Problems)+len(c.Messages.Problems) == 0
}

// Check reads everything in a data directory that no server uses, or in a backup,
// and changes nothing. Damage is no error but told in the result.
func Check(ctx context.Context, dir string) (c Checked, err error) {
	if _, err := os.Stat(filepath.Join(dir, manifestName)); err == nil {
		m, err := Verify(ctx, dir)
		if ctx.Err() != nil {
			return c, ctx.Err()
		}
		if c.Backup = &m; err != nil {
			c.Problems = append(c.Problems, err.Error())
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	if c.Records, err = store.Check(ctx, filepath.Join(dir, recordsDir)); err != nil {
		return c, err
	}
	c.Messages, err = queue.Check(filepath.Join(dir, messagesDir), broker.CheckRecord)
	return c, err
}
