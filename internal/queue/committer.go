package queue

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// groupBytes is how much is merged into one write. It stays well below half a
// memtable, beyond which the store would set a write aside as a table of its own.
const groupBytes = 1 << 20

// group is what is written and synced together.
type group struct {
	engine       *engine
	batch        *pebble.Batch
	members      []submission
	verdicts     []error // beside members: what a successful write reports
	ties         []*Tie  // that are whole with it
	bytes        int64
	changes      int
	rangeDeletes int
	touched      touched          // sessions it adds to or changes
	iter         *pebble.Iterator // for range deletions, while it is being merged
	found        keyList          // reused by them
}

// commitLoop merges what is submitted and reports what was written. The writing
// and syncing is another goroutine's (writeLoop), for two reasons: the next group
// is merged while the disk works, and submissions beyond the backlog are refused
// at once even while the disk hangs.
func (l *Log) commitLoop() {
	groups, results := make(chan *group), make(chan error, 1)
	l.work.Go(func() { l.writeLoop(groups, results) })
	defer close(groups)

	var (
		taken   []submission // from waiting, in order
		head    int          // the first of taken not yet merged
		refused []submission
		next    = new(group) // being merged
		writing *group       // with the writer
		idle    = new(group) // the other one, while none is with the writer
	)
	for {
		// Move the rest to the front once it is the smaller part, so that a
		// backlog that never drains does not keep what was merged long ago.
		if head > 0 && head >= len(taken)/2 {
			rest := copy(taken, taken[head:])
			clear(taken[rest:])
			taken, head = taken[:rest], 0
		}
		l.mu.Lock()
		if len(taken) == 0 {
			taken, l.waiting = l.waiting, taken
		} else {
			taken = append(taken, l.waiting...)
			clear(l.waiting)
			l.waiting = l.waiting[:0]
		}
		refused, l.refused = l.refused, refused
		closing := l.closing
		l.mu.Unlock()

		for i := range refused {
			l.ties.fail(refused[i].batch.ties, ErrOverloaded)
			l.finish(&refused[i], ErrOverloaded)
		}
		clear(refused)
		refused = refused[:0]
		head += l.merge(next, taken[head:], writing)
		if writing == nil && len(next.members) > 0 {
			writing, next, idle = next, idle, nil
			writing.endLook()
			groups <- writing
			continue // merge into the next one what did not fit
		}
		if closing && writing == nil && head == len(taken) {
			l.ties.expire(time.Now(), ErrClosed)
			l.flush()
			return
		}
		var late <-chan time.Time
		if len(l.ties.open) > 0 {
			late = time.After(tiePatience)
		}
		select {
		case <-l.wake:
		case <-late:
			l.ties.expire(time.Now().Add(-tiePatience), errUntied)
			l.flush()
		case err := <-results:
			done := writing
			writing = nil
			// The disk gets its next work before those who waited are told.
			if len(next.members) > 0 {
				writing, next = next, done
				writing.endLook()
				groups <- writing
				l.report(done, err)
			} else {
				l.report(done, err)
				idle = done
			}
		}
	}
}

// merge adds submissions to g until it is full or they end, and returns how many
// it dealt with. Those that find no store are reported at once. busy is the group
// being written, nil if none.
func (l *Log) merge(g *group, from []submission, busy *group) int {
	for i := range from {
		s := &from[i]
		if g.bytes > 0 && g.bytes+s.bytes > groupBytes {
			return i
		}
		if g.engine == nil {
			e, err := l.acquire()
			if err != nil {
				l.ties.fail(s.batch.ties, err)
				l.unreported = append(l.unreported, reportable{*s, err})
				l.flush()
				continue
			}
			g.engine = e
			g.batch = e.db.NewBatch(pebble.WithInitialSizeBytes(64<<10), pebble.WithMaxRetainedSizeBytes(2<<20))
		}
		full := l.space.full(time.Now())
		l.stats.full.Store(full)
		verdict := l.mergeBatch(g, s.batch, full, busy)
		g.members = append(g.members, *s)
		g.verdicts = append(g.verdicts, verdict)
		g.bytes += s.bytes
	}
	return len(from)
}

// mergeBatch adds a batch, but for what is tied to parts that have not come. With
// full, additions are left out.
func (l *Log) mergeBatch(g *group, b *Batch, full bool, busy *group) (verdict error) {
	if full && b.adds {
		verdict = ErrDiskFull
	}
	add := func(p piece) {
		if err := l.add(g, &p, full, busy); err != nil {
			verdict = err
		}
	}
	at := 0
	for i := range b.ties {
		part := &b.ties[i]
		add(piece{ops: b.ops[at:part.from]})
		at = part.to
		if t := part.tie; l.ties.arrived(t, b.ops[part.from:part.to]) {
			for _, p := range t.pieces {
				add(p)
			}
			if full {
				t.settle(ErrDiskFull)
			}
			g.ties = append(g.ties, t)
		}
	}
	add(piece{ops: b.ops[at:]})
	return verdict
}

// add merges changes.
func (l *Log) add(g *group, p *piece, full bool, busy *group) error {
	for ops := p.ops; len(ops) > 0; {
		var c change
		c, ops = nextChange(ops)
		if len(p.cuts) > 0 && !p.has(c.key) {
			continue
		}
		var err error
		switch c.op {
		case opAdd:
			if full {
				continue
			}
			g.touched.add(c.key)
			err = g.batch.Set(c.key, c.value, nil)
		case opPut:
			g.touched.add(c.key)
			err = g.batch.Set(c.key, c.value, nil)
		case opMerge:
			g.touched.add(c.key)
			err = g.batch.Merge(c.key, c.value, nil)
		case opDelete:
			if len(l.ties.open) > 0 {
				l.ties.cut(c.key, append(c.key[:len(c.key):len(c.key)], 0))
			}
			err = g.batch.Delete(c.key, nil)
		case opDeleteRange:
			if len(l.ties.open) > 0 {
				l.ties.cut(c.key, c.value)
			}
			err = g.deleteRange(c.key, c.value, busy)
		}
		if err != nil {
			return fmt.Errorf("queue: a change cannot be written: %w", err)
		}
		g.changes++
	}
	return nil
}

// report tells the members of a written group, and empties it for reuse.
func (l *Log) report(g *group, err error) {
	g.engine.release()
	for _, t := range g.ties {
		t.settle(err)
	}
	for i := range g.members {
		verdict := err
		if verdict == nil {
			verdict = g.verdicts[i]
		}
		if len(l.unreported) == 0 && len(g.members[i].batch.ties) == 0 {
			l.finish(&g.members[i], verdict)
			continue
		}
		l.unreported = append(l.unreported, reportable{g.members[i], verdict})
	}
	l.flush()
	clear(g.members)
	clear(g.verdicts)
	clear(g.ties)
	*g = group{members: g.members[:0], verdicts: g.verdicts[:0], ties: g.ties[:0], found: g.found[:0]}
}

func (l *Log) finish(s *submission, err error) {
	l.mu.Lock()
	l.backlog -= s.bytes
	l.mu.Unlock()
	if err != nil {
		l.stats.failed.Add(1)
	}
	s.done.Committed(err)
}

// writeLoop writes group after group.
func (l *Log) writeLoop(groups <-chan *group, results chan<- error) {
	for g := range groups {
		results <- l.write(g)
	}
}

// write makes one group as durable as the options say.
func (l *Log) write(g *group) (err error) {
	e := g.engine
	defer func() {
		if r := recover(); r != nil {
			e.fence.trip(fmt.Errorf("writing ended in panic: %v", r))
		}
		// The store believes every write that the fence swallowed, so its word
		// counts only while the fence stands.
		if cause := e.fence.err(); cause != nil {
			err = fmt.Errorf("%w: %w", ErrUnavailable, cause)
		}
	}()
	sync := pebble.Sync
	if l.opts.Durability == WriteToMemory {
		sync = pebble.NoSync
	}
	if g.changes > 0 {
		start := time.Now()
		if err := g.batch.Commit(sync); err != nil {
			e.fence.trip(err)
			return err
		}
		if e.fence.err() == nil {
			l.stats.committed(g, time.Since(start))
		}
	}
	// A batch that was written goes back to the store's pool; one that failed may
	// still be looked at by the store and is left to the collector.
	if err := g.batch.Close(); err != nil {
		e.fence.trip(err)
		return err
	}
	if e.rangeDeletes += g.rangeDeletes; e.rangeDeletes >= flushAfterRangeDeletes {
		e.rangeDeletes = 0
		if _, err := e.db.AsyncFlush(); err != nil {
			e.fence.trip(err)
		}
	}
	return nil
}
