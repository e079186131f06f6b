package store

import (
	"context"
	"time"
)

// The bounds of history_wal. Beyond them the heads that hold the oldest rows
// back are folded: the rows cost disk, and time at the next start.
const (
	maxWALBytes = 256 << 20
	maxWALRows  = 250_000
)

// tickEvery is how often the writer looks after what is old.
const tickEvery = 5 * time.Second

const insertWAL = `insert into history_wal (seq, data) values ($1, $2)`

// walRow is a row of history_wal that is still needed.
type walRow struct {
	seq  int64
	size int
}

// writer is the state of the rounds. Store.wmu guards it.
type writer struct {
	wal      []walRow // what history_wal holds, in order
	walBytes int
	fold     folder
	out      records // the row of this round
	failing  bool    // the last round failed
	sweeping int64   // the last series whose old chunks were deleted

	maxBytes, maxRows int // bounds of history_wal

	// beforeCommit, if set, is asked before a round commits; tests make it fail.
	beforeCommit func() error
}

// runWriter commits rounds until the queue is closed and empty.
func (s *Store) runWriter() {
	defer close(s.queue.stopped)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	due := time.NewTimer(time.Hour) // set when something comes
	defer due.Stop()
	var again <-chan time.Time // there is more to sweep
	for {
		select {
		case <-s.queue.kick:
			s.gather(due)
		case <-due.C:
			s.gather(due)
		case <-s.queue.urgent:
			s.gathered()
		case <-tick.C:
			s.lookAtSpace(time.Now())
			s.commitRound()
			again = s.sweepAgain()
		case <-again:
			again = s.sweepAgain()
		case <-s.queue.stop:
			s.commitRound()
			return
		}
	}
}

// gather commits what waits if it is due, and otherwise sets the timer for it.
func (s *Store) gather(due *time.Timer) {
	switch left, ok := s.queue.wait(); {
	case !ok: // committed in the meantime
	case left > 0:
		due.Reset(left)
	default:
		s.gathered()
	}
}

// gathered commits what has been waiting.
func (s *Store) gathered() {
	s.lookAtSpace(time.Now())
	// A full head is folded in the round after the one that filled it.
	for s.commitRound() {
	}
}

// commitRound commits what waits, and folds, in one transaction, and tells the
// Dones. It reports whether another round is due at once. Only the writer's
// goroutine calls it.
func (s *Store) commitRound() (more bool) {
	s.wmu.Lock()
	b := s.queue.take()
	folds, oldest := s.heads.choose(s.pressure())
	var err error
	if !b.empty() || len(folds) > 0 {
		began := time.Now()
		if err = s.writeRound(b, folds, oldest); err == nil {
			s.stats.committed(b.points, began)
		}
		s.logged()
	}
	more = err == nil && len(s.heads.full) > 0
	s.wmu.Unlock()

	for _, done := range b.dones {
		done.Committed(err)
	}
	if err != nil {
		s.queue.restore(b.status)
	}
	s.queue.settle(b)
	return more
}

// pressure says what is to be folded besides full heads. The caller holds wmu.
func (s *Store) pressure() pressure {
	p := pressure{bytes: s.opts.MaxHeads, before: s.now() - s.opts.HeadAge.Milliseconds()}
	bytes, rows := s.wr.walBytes, len(s.wr.wal)
	for _, row := range s.wr.wal {
		if bytes <= s.wr.maxBytes && rows <= s.wr.maxRows {
			break
		}
		p.round = row.seq
		bytes -= row.size
		rows--
	}
	return p
}

// writeRound is one transaction: the folds' chunks, the batch's points as a row
// of history_wal, the deletion of rows no longer needed, and the devices' status.
// In memory nothing has changed if it fails. The caller holds wmu.
func (s *Store) writeRound(b *batch, folds []*head, oldest int64) error {
	w := &s.wr
	var named []seriesRef
	err := s.writeLocked(context.Background(), "commit history", "", func(t *tx) (err error) {
		ctx := context.Background()
		seq := s.round + 1
		if named, err = resolveAll(ctx, t, b); err != nil {
			return err
		}
		w.out.reset()
		for _, f := range folds {
			w.out.drop(f.series)
		}
		w.out.buf = append(w.out.buf, b.recs.buf[recordsHeader:]...)
		for _, id := range b.ended {
			w.out.drop(id)
		}
		for _, f := range folds {
			if err := w.fold.write(ctx, t, f, seq, s.expired()); err != nil {
				return err
			}
		}
		if !w.out.empty() {
			if _, err := t.exec(ctx, insertWAL, seq, w.out.seal()); err != nil {
				return err
			}
		}
		// The last row always stays: the next round is counted from it.
		last := seq
		if w.out.empty() {
			last = s.round
		}
		if oldest == 0 || oldest > last {
			oldest = last
		}
		if len(w.wal) > 0 && w.wal[0].seq < oldest {
			if _, err := t.exec(ctx, `delete from history_wal where seq < $1`, oldest); err != nil {
				return err
			}
		}
		if err := writeStatus(ctx, t, b.status, s.resets); err != nil {
			return err
		}
		if w.beforeCommit != nil {
			return w.beforeCommit()
		}
		return nil
	})
	s.report(err, b)
	if err != nil {
		return err
	}
	s.stats.points.Add(int64(b.points))
	s.stats.folds.Add(int64(len(folds)))
	for _, ref := range named {
		s.series.put(ref.key, ref.id)
	}
	if !w.out.empty() {
		s.roundDone(w.out.buf)
	}
	for len(w.wal) > 0 && w.wal[0].seq < oldest {
		w.walBytes -= w.wal[0].size
		w.wal = w.wal[1:]
	}
	return nil
}

// roundDone takes note of a committed row of history_wal. The caller holds wmu.
func (s *Store) roundDone(data []byte) {
	s.round++
	s.wr.wal = append(s.wr.wal, walRow{s.round, len(data)})
	s.wr.walBytes += len(data)
	s.logged()
	s.heads.apply(s.round, s.now(), data[recordsHeader:])
}

// resolveAll turns the points whose series were unknown into records. It returns
// the series it found or registered; they may be cached once it is committed.
func resolveAll(ctx context.Context, t *tx, b *batch) ([]seriesRef, error) {
	if len(b.unnamed) == 0 {
		return nil, nil
	}
	var named []seriesRef
	ids := map[SeriesKey]int64{}
	for i := range b.unnamed {
		p := &b.unnamed[i]
		id, ok := p.id, p.id != 0
		if !ok {
			id, ok = ids[p.Series]
		}
		if !ok {
			var err error
			if id, err = resolve(ctx, t, p.Series); err != nil {
				return nil, err
			}
			ids[p.Series] = id
			if id != 0 {
				named = append(named, seriesRef{id, p.Series})
			}
		}
		if id != 0 {
			b.recs.point(id, p.TimeMS, p.Value, p.past)
		}
	}
	return named, nil
}

// report logs the beginning and the end of trouble, not every round of it.
func (s *Store) report(err error, b *batch) {
	switch {
	case err == nil:
		s.stats.rounds.Add(1)
	default:
		s.stats.failed.Add(int64(b.points))
	}
	switch {
	case err != nil && !s.wr.failing:
		s.log.Error("history is not being committed", "error", err, "points", b.points)
	case err == nil && s.wr.failing:
		s.log.Info("history is being committed again")
	}
	s.wr.failing = err != nil
}

// expired is the time before which history is gone, ms.
func (s *Store) expired() int64 { return s.now() - s.retention.Load() }

// noRecords is a row of history_wal without any.
var noRecords = new(records).none()

// replay rebuilds the heads from history_wal.
func (s *Store) replay(ctx context.Context) error {
	rows, err := s.w.rows(ctx, `select seq, data from history_wal order by seq`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			seq  int64
			data []byte
		)
		if err := rows.Scan(&seq, &data); err != nil {
			return err
		}
		s.round = seq - 1
		if _, err := openRecords(data); err != nil {
			// The commits behind it are sound. It stays in the count, so that it is
			// deleted with them.
			s.damagedRow(seq, err)
			s.roundDone(noRecords)
			continue
		}
		s.roundDone(data)
	}
	return rows.Err()
}
