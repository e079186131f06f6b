package store

import (
	"context"
	"fmt"
)

// LatestValue is the present value of a property.
type LatestValue struct {
	Identifier string
	TimeMS     int64
	Value      Value
}

// Latest returns the present values of a device's properties, ordered by
// identifier: of each the point with the greatest time that is not of the past, of
// equals the one written last. They do not expire with the history.
func (s *Store) Latest(ctx context.Context, deviceID int64) ([]LatestValue, error) {
	const op = "read latest values"
	if s.closed.Load() {
		return nil, &Error{Kind: KindClosed, Op: op}
	}
	out, err := s.latest(ctx, deviceID)
	return out, wrap(op, fmt.Sprint("of device ", deviceID), err)
}

// latest reads under the heads' lock: a head folded between the two readings
// would be missed by both. The writer waits meanwhile, for one short query.
func (s *Store) latest(ctx context.Context, deviceID int64) ([]LatestValue, error) {
	s.heads.mu.RLock()
	defer s.heads.mu.RUnlock()
	rows, err := s.r.rows(ctx, `select id, name, last_time, last_value from history_series
		where device = $1 and kind = $2 order by name`, deviceID, int64(Property))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []LatestValue
	for rows.Next() {
		var (
			id   int64
			v    LatestValue
			data []byte
		)
		if err := rows.Scan(&id, &v.Identifier, &v.TimeMS, &data); err != nil {
			return nil, err
		}
		if value, size := readValue(data); size == len(data) {
			v.Value = value
		} else if v.TimeMS >= 0 {
			s.damaged(seriesRef{id, SeriesKey{deviceID, Property, v.Identifier}}, v.TimeMS, v.TimeMS, 0, errValue)
			v.TimeMS = -1
		}
		if recent, ok := s.heads.latest(id); ok && recent.TimeMS >= v.TimeMS {
			v.TimeMS, v.Value = recent.TimeMS, recent.Value
		}
		if v.TimeMS >= 0 {
			out = append(out, v)
		}
	}
	return out, rows.Err()
}
