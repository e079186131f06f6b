package store

import (
	"context"
	"time"
)

const (
	// sweepSeries is how many series one sweep looks at: a few milliseconds of the
	// writer's time. A million series are gone through in under three hours.
	sweepSeries = 500
	// sweepChunks is how many chunks one sweep deletes at most: they hold a hundred
	// thousand points. When there are more, the next sweep is soon; points that are
	// to be committed do not wait for all of them.
	sweepChunks = 1000
	// sweepAgain is how soon.
	sweepAgain = 100 * time.Millisecond
)

// sweep deletes chunks that have expired, of the next few series in turn. It
// reports whether it left some of them.
func (s *Store) sweep() (more bool) {
	err := s.write(context.Background(), "expire history", "", func(t *tx) error {
		ctx := context.Background()
		ids, err := t.int64s(ctx, `select id from history_series where id > $1 order by id limit $2`,
			s.wr.sweeping, sweepSeries)
		if err != nil {
			return err
		}
		expired, budget := s.expired(), int64(sweepChunks)
		s.wr.sweeping, more = 0, false
		for i, id := range ids {
			if budget == 0 {
				more = true
			} else {
				n, whole, err := sweepOne(ctx, t, id, expired, budget)
				if err != nil {
					return err
				}
				budget -= n
				more = !whole
			}
			if more { // this series is the first of the next sweep
				if s.wr.sweeping = id - 1; i > 0 {
					s.wr.sweeping = ids[i-1]
				}
				return nil
			}
		}
		if len(ids) == sweepSeries {
			s.wr.sweeping = ids[len(ids)-1]
		}
		return nil
	})
	if err != nil && !s.closed.Load() {
		s.log.Warn("old history could not be deleted; it is tried again", "error", err)
	}
	return more && err == nil
}

// sweepAgain sweeps, and gives when to go on; nil if with the next tick.
func (s *Store) sweepAgain() <-chan time.Time {
	if s.sweep() {
		return time.After(sweepAgain)
	}
	return nil
}

// sweepOne deletes the expired chunks of a series, the oldest most of them; whole
// tells that none is left.
func sweepOne(ctx context.Context, t *tx, id, expired, most int64) (n int64, whole bool, err error) {
	// Chunks that begin at one time are deleted together, so it may be some more.
	bound, err := t.int64s(ctx, `select t_min from history_chunk where series = $1 and t_min < $2 and t_max < $2
		order by t_min limit 1 offset $3`, id, expired, most-1)
	if err != nil {
		return 0, false, err
	}
	last := expired
	if len(bound) > 0 {
		last = bound[0]
	}
	n, err = t.exec(ctx, `delete from history_chunk where series = $1 and t_min <= $2 and t_min < $3 and t_max < $3`, id, last, expired)
	return min(n, most), len(bound) == 0, err
}
