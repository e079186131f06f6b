package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
)

// seriesRef is a series with its id.
type seriesRef struct {
	id  int64
	key SeriesKey
}

// seriesCache remembers the ids of series. It holds two generations: when the
// young one has half the bound it becomes the old one, and what is not asked for
// until the next time is forgotten.
type seriesCache struct {
	mu         sync.Mutex
	half       int
	young, old map[SeriesKey]int64
}

func newSeriesCache(bound int) *seriesCache {
	return &seriesCache{half: max(bound/2, 1), young: map[SeriesKey]int64{}}
}

// get returns the id of a series, 0 if it is not known here.
func (c *seriesCache) get(key SeriesKey) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.getLocked(key)
}

func (c *seriesCache) getLocked(key SeriesKey) int64 {
	if id := c.young[key]; id != 0 {
		return id
	}
	id := c.old[key]
	if id != 0 {
		// The caller's identifier may lie in borrowed memory.
		key.Identifier = strings.Clone(key.Identifier)
		c.putLocked(key, id)
	}
	return id
}

func (c *seriesCache) put(key SeriesKey, id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putLocked(key, id)
}

func (c *seriesCache) putLocked(key SeriesKey, id int64) {
	if len(c.young) >= c.half {
		c.old, c.young = c.young, map[SeriesKey]int64{}
	}
	c.young[key] = id
}

func (c *seriesCache) forget(key SeriesKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, key)
	delete(c.old, key)
}

// seriesOf returns the series of a device.
func seriesOf(ctx context.Context, t *tx, device int64) ([]seriesRef, error) {
	rows, err := t.rows(ctx, `select id, kind, name from history_series where device = $1`, device)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []seriesRef
	for rows.Next() {
		ref := seriesRef{key: SeriesKey{DeviceID: device}}
		if err := rows.Scan(&ref.id, &ref.key.Kind, &ref.key.Identifier); err != nil {
			return nil, err
		}
		out = append(out, ref)
	}
	return out, rows.Err()
}

const selectSeries = `select id from history_series where device = $1 and kind = $2 and name = $3`

// resolve returns the id of a series, registering it if it is new; 0 if its
// device does not exist.
func resolve(ctx context.Context, t *tx, key SeriesKey) (int64, error) {
	ids, err := t.int64s(ctx, selectSeries, key.DeviceID, int64(key.Kind), key.Identifier)
	if err != nil || len(ids) > 0 {
		return first(ids), err
	}
	devices, err := t.int64s(ctx, `select id from device where id = $1`, key.DeviceID)
	if err != nil || len(devices) == 0 {
		return 0, err
	}
	id, err := t.nextIDs(ctx, "series", 1)
	if err != nil {
		return 0, err
	}
	_, err = t.exec(ctx, `insert into history_series (id, device, kind, name, span, last_time, last_value)
		values ($1, $2, $3, $4, 0, -1, null)`, id, key.DeviceID, int64(key.Kind), key.Identifier)
	return id, err
}

func first(ids []int64) int64 {
	if len(ids) == 0 {
		return 0
	}
	return ids[0]
}

// seriesID returns the id of a series for reading, 0 if there is none.
func (s *Store) seriesID(ctx context.Context, key SeriesKey) (int64, error) {
	if id := s.series.get(key); id != 0 {
		return id, nil
	}
	row, err := s.r.row(ctx, selectSeries, key.DeviceID, int64(key.Kind), key.Identifier)
	if err != nil {
		return 0, err
	}
	var id int64
	if err := row.Scan(&id); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	return id, nil
}

// Series returns the identifiers of a device's series of one kind, in order:
// those that something was ever recorded for.
func (s *Store) Series(ctx context.Context, deviceID int64, kind Kind) ([]string, error) {
	const op = "list series"
	rows, err := s.r.rows(ctx, `select name from history_series where device = $1 and kind = $2 order by name`,
		deviceID, int64(kind))
	if err != nil {
		return nil, wrap(op, "", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, wrap(op, "", err)
		}
		out = append(out, name)
	}
	return out, wrap(op, "", rows.Err())
}
