package store

import (
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/internal/meter"
)

// counters are counted since the store was opened.
type counters struct {
	points, failed, refused atomic.Int64
	rounds, folds           atomic.Int64
	damaged                 atomic.Int64
	logRows, logBytes       atomic.Int64
	commits, sizes          *meter.Histogram
}

// Stats is what an operator watches.
type Stats struct {
	// Counted since the store was opened.
	Points  int64 // points committed
	Failed  int64 // points whose commit failed
	Refused int64 // points that Append did not take
	Rounds  int64 // commits of the writer
	Folds   int64 // heads turned into chunks
	Damaged int64 // stored rows of history that could not be read and were left out

	// Commits tells how long rounds took that committed something, ns, and Sizes how
	// many points were in each.
	Commits, Sizes meter.Snapshot

	// As it is now.
	Full      bool // points are refused because the disk is nearly full, see Options.Reserve
	Backlog   int  // bytes waiting to be committed
	Heads     int  // series with points that are not in chunks yet
	HeadBytes int  // memory these take
	LogRows   int  // rows of history_wal: what a restart has to read
	LogBytes  int
}

// Stats returns the counters. It does not wait for the disk.
func (s *Store) Stats() Stats {
	out := Stats{
		Points: s.stats.points.Load(), Failed: s.stats.failed.Load(), Refused: s.stats.refused.Load(),
		Rounds: s.stats.rounds.Load(), Folds: s.stats.folds.Load(), Damaged: s.stats.damaged.Load(),
	}
	out.LogRows, out.LogBytes = int(s.stats.logRows.Load()), int(s.stats.logBytes.Load())
	out.Commits, out.Sizes = s.stats.commits.Snapshot(), s.stats.sizes.Snapshot()
	out.Full = s.space.full.Load()
	s.heads.mu.RLock()
	out.Heads, out.HeadBytes = len(s.heads.m), s.heads.bytes
	s.heads.mu.RUnlock()
	s.queue.mu.Lock()
	out.Backlog = s.queue.next.size + s.queue.flying
	s.queue.mu.Unlock()
	return out
}

// logged notes the size of history_wal for Stats. The caller holds wmu.
func (s *Store) logged() {
	s.stats.logRows.Store(int64(len(s.wr.wal)))
	s.stats.logBytes.Store(int64(s.wr.walBytes))
}

// committed notes a round that was committed, with its points.
func (c *counters) committed(points int, began time.Time) {
	c.commits.ObserveSince(began)
	c.sizes.Observe(int64(points))
}
