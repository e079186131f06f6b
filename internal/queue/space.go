package queue

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// spaceCheckEvery is how stale the knowledge of free space may be. At 100 MB/s
// the default reserve outlasts half of it; past that the fence takes over.
const spaceCheckEvery = time.Second

// spaceGuard knows whether additions may still be stored. It is used by the
// committer's goroutine alone.
type spaceGuard struct {
	fs      vfs.FS
	dir     string
	min     int64
	log     *slog.Logger
	checked time.Time
	isFull  bool
}

// full looks at the disk at most once in spaceCheckEvery. Where the file system
// does not tell, there is room.
func (g *spaceGuard) full(now time.Time) bool {
	if g.min < 0 || (!g.checked.IsZero() && now.Sub(g.checked) < spaceCheckEvery) {
		return g.isFull
	}
	g.checked = now
	usage, err := g.fs.GetDiskUsage(g.dir)
	full := err == nil && usage.AvailBytes < uint64(g.min)
	if full != g.isFull {
		g.isFull = full
		if full {
			g.log.Error("the disk is nearly full: no more messages are stored until there is room", "folder", g.dir, "free_bytes", usage.AvailBytes, "needed_bytes", g.min)
		} else {
			g.log.Info("there is room on the disk again: messages are stored", "folder", g.dir, "free_bytes", usage.AvailBytes)
		}
	}
	return full
}
