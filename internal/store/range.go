package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// Sample is a value with its time.
type Sample struct {
	TimeMS int64 // UTC milliseconds
	Value  Value
}

const (
	// DefaultRangeLimit is how many points Range returns if no limit is given.
	DefaultRangeLimit = 1000
	// MaxRangeLimit is how many points Range returns at most.
	MaxRangeLimit = 100_000
	// MaxRangeBytes is how many bytes of texts and documents Range returns at
	// most, but for one point that it always returns.
	MaxRangeBytes = 16 << 20
)

// RangeQuery selects points of a series.
type RangeQuery struct {
	From, To   int64 // ms, both included; To 0 means no end
	Limit      int   // at most this many: DefaultRangeLimit if 0, MaxRangeLimit at most
	Descending bool  // newest first, and with a limit the newest
}

// Range is Page for callers to whom it does not matter why there are no more.
func (s *Store) Range(ctx context.Context, key SeriesKey, q RangeQuery) ([]Sample, error) {
	points, _, err := s.Page(ctx, key, q)
	return points, err
}

// Page returns the committed points of a series in a range of time, sorted, one
// for each time: of several written with the same time the last. Points older
// than Options.Retention are not returned. A series that does not exist has no
// points. more tells that the limit or MaxRangeBytes ended the page, so that
// others may lie behind its last point.
//
// A damaged chunk is left out, with about a hundred points, and reported in the
// log and in Stats.Damaged; the rest of the range is returned.
func (s *Store) Page(ctx context.Context, key SeriesKey, q RangeQuery) (points []Sample, more bool, err error) {
	const op = "read history"
	name := func() string { return fmt.Sprintf("of device %d, %.40q", key.DeviceID, key.Identifier) }
	if s.closed.Load() {
		return nil, false, &Error{Kind: KindClosed, Op: op, Key: name()}
	}
	if q.To <= 0 || q.To > MaxTime {
		q.To = MaxTime
	}
	q.From = max(q.From, s.expired(), 0)
	if q.Limit <= 0 {
		q.Limit = DefaultRangeLimit
	}
	q.Limit = min(q.Limit, MaxRangeLimit)
	if q.From > q.To {
		return nil, false, nil
	}
	id, err := s.seriesID(ctx, key)
	if err != nil || id == 0 {
		return nil, false, wrap(op, name(), err)
	}
	// The head first: what is folded in between is then seen twice, not missed.
	recent := headSamples(nil, s.heads.read(id), q.From, q.To)
	old, end, err := s.chunks(ctx, seriesRef{id, key}, q, recent)
	if err != nil {
		return nil, false, wrap(op, name(), err)
	}
	// Sorting is stable, so what was written later has to come later.
	out := normalize(append(old, recent...))
	if q.Descending {
		slices.Reverse(out)
	}
	return bounded(out, q, end)
}

// bounded cuts points, in the order of the answer, to the limits; end is where
// they cease to be complete.
func bounded(out []Sample, q RangeQuery, end int64) (points []Sample, more bool, err error) {
	bytes := 0
	for i := range out {
		beyond := !q.Descending && out[i].TimeMS >= end || q.Descending && out[i].TimeMS <= end
		bytes += len(out[i].Value.text)
		if beyond || i == q.Limit || i > 0 && bytes > MaxRangeBytes {
			return out[:i], true, nil
		}
	}
	return out, end != noEnd(q), nil
}

// noEnd is an end behind every point.
func noEnd(q RangeQuery) int64 {
	if q.Descending {
		return -1
	}
	return MaxTime + 1
}

// The chunks that reach into a range begin before it by no more than the longest
// chunk of the series is long.
const (
	chunkRange = `select c.t_min, c.t_max, c.seq, s.span, c.data
		from history_series s join history_chunk c on c.series = s.id
		where s.id = $1 and c.t_min >= $2 - s.span and c.t_min <= $3 and c.t_max >= $2 order by c.t_min`
	chunkRangeAscending  = chunkRange
	chunkRangeDescending = chunkRange + ` desc`
)

// piece is the points of one chunk that are in the range.
type piece struct {
	seq    int64
	points []Sample
}

// chunks returns the points of the chunks that reach into a range, in the order
// in which they were written. It stops at the chunk after which no point can be
// among the q.Limit first, the caller's recent points counted, or within
// MaxRangeBytes; before end the points are complete.
func (s *Store) chunks(ctx context.Context, ref seriesRef, q RangeQuery, recent []Sample) (all []Sample, end int64, err error) {
	query := chunkRangeAscending
	if q.Descending {
		query = chunkRangeDescending
	}
	rows, err := s.r.rows(ctx, query, ref.id, q.From, q.To)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	var (
		pieces  []piece
		inOrder = true
		check   = q.Limit // look whether it is enough when there are so many points
		bytes   int       // of what is held; text refers to whole chunks
		data    sql.RawBytes
	)
	end = noEnd(q)
	for rows.Next() {
		var tmin, tmax, seq, span int64
		if err := rows.Scan(&tmin, &tmax, &seq, &span, &data); err != nil {
			return nil, 0, err
		}
		if len(all)+len(recent) >= check {
			if enough(all, recent, q, tmin, span) {
				end = edge(q, tmin, span)
				break
			}
			check = len(all) + len(recent) + q.Limit
		}
		if bytes > MaxRangeBytes && settled(all, edge(q, tmin, span), q) {
			end = edge(q, tmin, span)
			break
		}
		// The driver's memory is not ours to keep, and text refers to it.
		points, err := readChunk(nil, slices.Clone(data))
		if err != nil {
			s.damaged(ref, tmin, tmax, seq, err)
			continue
		}
		points = within(points, q.From, q.To)
		bytes += len(data)
		inOrder = inOrder && (len(pieces) == 0 || pieces[len(pieces)-1].seq <= seq)
		pieces = append(pieces, piece{seq, points})
		all = append(all, points...)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	if inOrder {
		return all, end, nil
	}
	slices.SortStableFunc(pieces, func(a, b piece) int { return int(a.seq - b.seq) })
	all = all[:0]
	for _, p := range pieces {
		all = append(all, p.points...)
	}
	return all, end, nil
}

// edge is the first time that a chunk which begins at tmin, or one behind it in
// the order of the query, can hold; in descending order the last.
func edge(q RangeQuery, tmin, span int64) int64 {
	if q.Descending {
		return tmin + span
	}
	return tmin
}

// settled reports whether some point lies before an edge, so that there is
// something to answer with.
func settled(points []Sample, edge int64, q RangeQuery) bool {
	return slices.ContainsFunc(points, func(p Sample) bool {
		return !q.Descending && p.TimeMS < edge || q.Descending && p.TimeMS > edge
	})
}

// within cuts sorted points to a range.
func within(points []Sample, from, to int64) []Sample {
	for len(points) > 0 && points[0].TimeMS < from {
		points = points[1:]
	}
	for len(points) > 0 && points[len(points)-1].TimeMS > to {
		points = points[:len(points)-1]
	}
	return points
}

// enough reports whether the limit is reached by points that lie before (or, in
// descending order, after) everything the remaining chunks can hold: they begin
// at tmin or later (or earlier) and are no longer than span.
func enough(all, recent []Sample, q RangeQuery, tmin, span int64) bool {
	times := make([]int64, 0, len(all)+len(recent))
	for _, points := range [2][]Sample{all, recent} {
		for i := range points {
			if t := points[i].TimeMS; !q.Descending && t < tmin || q.Descending && t > tmin+span {
				times = append(times, t)
			}
		}
	}
	if len(times) < q.Limit {
		return false
	}
	slices.Sort(times)
	return len(slices.Compact(times)) >= q.Limit
}
