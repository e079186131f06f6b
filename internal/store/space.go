package store

import (
	"context"
	"sync/atomic"
	"time"
)

// History is what fills a disk. If it went on to the last byte, nothing would be
// left for what is acknowledged elsewhere: messages, sessions, devices. So history
// keeps a reserve free: below it points are refused, with a reason, until there is
// room again; everything else goes on.

// spaceEvery is how stale the knowledge of free space may be while history is
// being written. Otherwise the writer looks with every tick.
const spaceEvery = time.Second

// space is the reserve.
type space struct {
	full    atomic.Bool
	checked time.Time // the writer's own
}

// errReserve is why points are refused.
var errReserve = &Error{Kind: KindFull, Op: "append history",
	Hint: "less than history.reserve is free on the data directory's disk: free space or shorten history.retention; history is taken again by itself"}

// lookAtSpace asks how much is free, at most once in spaceEvery. Pages of the
// database that are free count: it does not give them back, but uses them first.
// Where the system does not tell, there is room. The writer's goroutine only.
func (s *Store) lookAtSpace(now time.Time) {
	if s.opts.Reserve <= 0 || s.opts.Free == nil || !s.space.checked.IsZero() && now.Sub(s.space.checked) < spaceEvery {
		return
	}
	s.space.checked = now
	free, ok := s.opts.Free()
	if !ok {
		return
	}
	if free < uint64(s.opts.Reserve) {
		free += s.freePages()
	}
	full := free < uint64(s.opts.Reserve)
	if full == s.space.full.Swap(full) {
		return
	}
	if full {
		s.log.Error("the disk is nearly full: no more history is stored until there is room; devices are not acknowledged for what they report",
			"directory", s.opts.Dir, "free_bytes", free, "history.reserve", s.opts.Reserve, "hint", "free space on that disk, or shorten history.retention")
	} else {
		s.log.Info("there is room on the disk again: history is stored", "directory", s.opts.Dir, "free_bytes", free)
	}
}

// freePages is the size of the database's free pages in bytes, 0 if it cannot be
// read.
func (s *Store) freePages() uint64 {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	var pages, size uint64
	if s.w.conn.QueryRowContext(context.Background(), `pragma freelist_count`).Scan(&pages) != nil ||
		s.w.conn.QueryRowContext(context.Background(), `pragma page_size`).Scan(&size) != nil {
		return 0
	}
	return pages * size
}
