package store

import "sync/atomic"

// counters are counted since the store was opened.
type counters struct {
	points, failed, refused atomic.Int64
	rounds, folds           atomic.Int64
}

// Stats is what an operator watches.
type Stats struct {
	// Counted since the store was opened.
	Points  int64 // points committed
	Failed  int64 // points whose commit failed
	Refused int64 // points that Append did not take
	Rounds  int64 // commits of the writer
	Folds   int64 // heads turned into chunks

	// As it is now.
	Backlog   int // bytes waiting to be committed
	Heads     int // series with points that are not in chunks yet
	HeadBytes int // memory these take
	LogRows   int // rows of history_wal: what a restart has to read
	LogBytes  int
}

// Stats returns the counters. It may wait for a commit that is under way.
func (s *Store) Stats() Stats {
	out := Stats{
		Points: s.stats.points.Load(), Failed: s.stats.failed.Load(), Refused: s.stats.refused.Load(),
		Rounds: s.stats.rounds.Load(), Folds: s.stats.folds.Load(),
	}
	s.wmu.Lock()
	out.LogRows, out.LogBytes = len(s.wr.wal), s.wr.walBytes
	s.wmu.Unlock()
	s.heads.mu.RLock()
	out.Heads, out.HeadBytes = len(s.heads.m), s.heads.bytes
	s.heads.mu.RUnlock()
	s.queue.mu.Lock()
	out.Backlog = s.queue.next.size + s.queue.flying
	s.queue.mu.Unlock()
	return out
}
