package queue

import (
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/internal/meter"
)

// Metrics is a snapshot of the Log for monitoring. Counters start at Open.
type Metrics struct {
	// Available is false while the store is being reopened after a failure.
	Available bool
	// DiskBytes is the size of the store's files.
	DiskBytes uint64
	// MemoryBytes is what memtables and cached blocks occupy.
	MemoryBytes uint64
	// BacklogBytes is submitted and not reported.
	BacklogBytes int64
	// Groups, Batches and Changes count what was written: Batches/Groups is how
	// many batches shared one sync.
	Groups, Batches, Changes uint64
	// Failed counts batches reported with an error.
	Failed uint64
	// Reopened counts recoveries from a failure of the disk.
	Reopened uint64
	// LastSync and MaxSync are the times from handing a group to the store until
	// it was as durable as the options say.
	LastSync, MaxSync time.Duration
	// Full is true while the disk has too little room for more messages.
	Full bool
	// Damaged is how many damaged files Open found, and SetAside how many damaged
	// stores lie beside this one.
	Damaged, SetAside int
	// Syncs tells how long groups took, ns, and GroupSizes how many batches were
	// in each.
	Syncs, GroupSizes meter.Snapshot
}

type counters struct {
	groups, batches, changes, failed, reopened atomic.Uint64
	lastSync, maxSync                          atomic.Int64
	full                                       atomic.Bool
	syncs, sizes                               *meter.Histogram
}

// committed counts a written group; called by the writer's goroutine alone.
func (c *counters) committed(g *group, took time.Duration) {
	c.groups.Add(1)
	c.syncs.Observe(int64(took))
	c.sizes.Observe(int64(len(g.members)))
	c.batches.Add(uint64(len(g.members)))
	c.changes.Add(uint64(g.changes))
	c.lastSync.Store(int64(took))
	if int64(took) > c.maxSync.Load() {
		c.maxSync.Store(int64(took))
	}
}

// Metrics gives the present figures. It costs some microseconds.
func (l *Log) Metrics() Metrics {
	m := Metrics{
		Groups:   l.stats.groups.Load(),
		Batches:  l.stats.batches.Load(),
		Changes:  l.stats.changes.Load(),
		Failed:   l.stats.failed.Load(),
		Reopened: l.stats.reopened.Load(),
		LastSync: time.Duration(l.stats.lastSync.Load()),
		MaxSync:  time.Duration(l.stats.maxSync.Load()),

		Full:       l.stats.full.Load(),
		Syncs:      l.stats.syncs.Snapshot(),
		GroupSizes: l.stats.sizes.Snapshot(),
	}
	if m.SetAside = l.aside; l.damage != nil {
		m.Damaged = len(l.damage.Files)
	}
	l.mu.Lock()
	m.BacklogBytes = l.backlog
	l.mu.Unlock()
	e, err := l.acquire()
	if err != nil {
		return m
	}
	defer e.release()
	store := e.db.Metrics()
	m.Available = true
	m.DiskBytes = store.DiskSpaceUsage()
	m.MemoryBytes = store.MemTable.Size + uint64(store.BlockCache.Size)
	return m
}
