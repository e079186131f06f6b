package store

import (
	"context"
	"slices"
	"sort"
)

// noTime is before the time of a series without a present value.
const noTime = -2

// folder turns heads into chunks. Its buffers are used again and again.
type folder struct {
	points []Sample
	steps  []int64
	buf    []byte
}

// write stores the points of a head as chunks, but for those that have expired,
// and brings the series' row up to date.
func (f *folder) write(ctx context.Context, t *tx, h *head, seq, expired int64) error {
	f.points = normalize(headSamples(f.points[:0], h.buf, 0, MaxTime))
	defer f.release()
	if len(f.points) == 0 {
		return nil
	}
	points := f.points
	latest, some := h.latest()
	if !some {
		latest.TimeMS = noTime
	}
	points = points[sort.Search(len(points), func(i int) bool { return points[i].TimeMS >= expired }):]

	var gap, span int64
	if len(points) > 0 {
		gap, f.steps = endingGap(points, f.steps)
	}
	for rest := points; len(rest) > 0; {
		n := cutChunk(rest, gap)
		span = max(span, rest[n-1].TimeMS-rest[0].TimeMS)
		rest = rest[n:]
	}
	f.buf = appendValue(f.buf[:0], latest.Value)
	n, err := t.exec(ctx, `update history_series set
		span = case when span < $2 then $2 else span end,
		last_value = case when last_time <= $3 then $4 else last_value end,
		last_time = case when last_time <= $3 then $3 else last_time end
		where id = $1`, h.series, span, latest.TimeMS, f.buf)
	if err != nil || n == 0 { // no such series: its device is gone
		return err
	}
	for len(points) > 0 {
		n := cutChunk(points, gap)
		f.buf = appendChunk(f.buf[:0], points[:n])
		if _, err := t.exec(ctx, `insert into history_chunk (series, t_min, seq, t_max, points, data)
			values ($1, $2, $3, $4, $5, $6)`,
			h.series, points[0].TimeMS, seq, points[n-1].TimeMS, n, f.buf); err != nil {
			return err
		}
		points = points[n:]
	}
	return nil
}

// keptPoints is the capacity above which a folder's buffer is not kept.
const keptPoints = 4096

// release lets go of what the points refer to.
func (f *folder) release() {
	if cap(f.points) > keptPoints {
		f.points = nil
	}
	clear(f.points[:cap(f.points)])
}

// normalize sorts points by time, and of points with one time keeps the last.
func normalize(points []Sample) []Sample {
	ordered := true
	for i := 1; i < len(points) && ordered; i++ {
		ordered = points[i-1].TimeMS < points[i].TimeMS
	}
	if ordered {
		return points
	}
	slices.SortStableFunc(points, func(a, b Sample) int {
		switch {
		case a.TimeMS < b.TimeMS:
			return -1
		case a.TimeMS > b.TimeMS:
			return 1
		}
		return 0
	})
	n := 0
	for i := range points {
		if i+1 < len(points) && points[i+1].TimeMS == points[i].TimeMS {
			continue
		}
		points[n] = points[i]
		n++
	}
	return points[:n]
}
