package store

import (
	"sync"
	"time"
)

// damage remembers what was reported, so that one damaged row is reported once
// and not with every read.
type damage struct {
	mu   sync.Mutex
	seen map[damagedChunk]struct{}
}

type damagedChunk struct{ series, tmin, seq int64 }

// maxDamage bounds the memory of it.
const maxDamage = 10_000

func (d *damage) first(c damagedChunk) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.seen[c]; ok || len(d.seen) >= maxDamage {
		return false
	}
	if d.seen == nil {
		d.seen = map[damagedChunk]struct{}{}
	}
	d.seen[c] = struct{}{}
	return true
}

// damaged reports a chunk that cannot be read and is left out.
func (s *Store) damaged(ref seriesRef, tmin, tmax, seq int64, cause error) {
	if !s.damage.first(damagedChunk{ref.id, tmin, seq}) {
		return
	}
	s.stats.damaged.Add(1)
	s.log.Error("a piece of history is damaged and left out; a backup made before may hold it",
		"device", ref.key.DeviceID, "series", ref.key.Identifier,
		"from", time.UnixMilli(tmin).UTC(), "to", time.UnixMilli(tmax).UTC(), "error", cause)
}

// damagedRow reports a row of history_wal that cannot be read: the points of one
// commit that had not been folded yet.
func (s *Store) damagedRow(seq int64, cause error) {
	s.stats.damaged.Add(1)
	s.log.Error("a commit in the history's log is damaged and left out; points that were not in a chunk yet are lost",
		"commit", seq, "error", cause)
}
