package store

import "context"

// sweepSeries is how many series one sweep looks at: a few milliseconds of the
// writer's time. A million series are gone through in under three hours.
const sweepSeries = 500

// sweep deletes chunks that have expired, of the next few series in turn.
func (s *Store) sweep() {
	err := s.write(context.Background(), "expire history", "", func(t *tx) error {
		ctx := context.Background()
		ids, err := t.int64s(ctx, `select id from history_series where id > $1 order by id limit $2`,
			s.wr.sweeping, sweepSeries)
		if err != nil {
			return err
		}
		expired := s.expired()
		for _, id := range ids {
			if _, err := t.exec(ctx, `delete from history_chunk where series = $1 and t_min < $2 and t_max < $2`,
				id, expired); err != nil {
				return err
			}
		}
		s.wr.sweeping = 0
		if len(ids) == sweepSeries {
			s.wr.sweeping = ids[len(ids)-1]
		}
		return nil
	})
	if err != nil && !s.closed.Load() {
		s.log.Warn("old history could not be deleted; it is tried again", "error", err)
	}
}
