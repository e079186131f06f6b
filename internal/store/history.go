package store

import (
	"context"
	"errors"
	"fmt"
)

// How history is stored
//
// One row a point costs a B-tree insert each, some 13 µs. So a round of the
// writer (see writer.go) stores all the points it took as one row of
// history_wal, and only that row makes them durable. In memory the points of
// each series gather in its head. A head that is full (about a hundred points)
// or that must go is folded: its points become rows of history_chunk, sorted
// and compressed, and its memory is freed.
//
// A history_wal row is a list of records: points, and "drop" records that say
// that all earlier points of a series are in chunks now (or that the series was
// deleted). A fold writes its chunks and its drop records in one transaction
// with the round's points, so that reading the rows in order rebuilds the heads
// exactly, at start as during operation: heads.apply does both.
//
// Rows are deleted from the front only, up to the first one that a head still
// needs. Otherwise a drop record could go before the points it is about, and a
// replayed old point would win over a newer one that is in a chunk already.
// Heads are kept in the order of their oldest point, so that first row is known
// and heads that hold back too much are folded first.
//
// A series' greatest point that is not of the past is also kept in its row, which makes the present
// value of a property cheap to read and lets it outlive Retention.
//
// All of it holds one invariant, which the crash test checks: a point whose Done
// was told nil is in a history_wal row after the last drop of its series, or in
// a chunk.

// Kind says what a series records.
type Kind byte

// The kinds of series. The numbers are part of the file format.
const (
	Property Kind = 1 // values of a property, by its identifier
	Event    Kind = 2 // outputs of an event, by its identifier
	Service  Kind = 3 // calls of a service, by its identifier
)

// SeriesKey names a series.
type SeriesKey struct {
	DeviceID   int64
	Kind       Kind
	Identifier string // at most 256 bytes
}

// Point is one value at one time.
type Point struct {
	Series SeriesKey
	TimeMS int64 // UTC milliseconds, 0 to MaxTime
	Value  Value
}

const (
	// MaxTime is the greatest time of a point: the end of the year 9999.
	MaxTime = 253_402_300_799_999
	// MaxValueSize is the size of a text or a JSON document in bytes.
	MaxValueSize = 1 << 20

	maxIdentifier = 256
)

// check refuses a point that could not be stored.
func (p *Point) check() error {
	var err error
	switch {
	case p.Series.Identifier == "" || len(p.Series.Identifier) > maxIdentifier:
		err = fmt.Errorf("an identifier has 1 to %d bytes", maxIdentifier)
	case p.TimeMS < 0 || p.TimeMS > MaxTime:
		err = fmt.Errorf("the time %d ms is not between 1970 and 9999", p.TimeMS)
	case len(p.Value.text) > MaxValueSize:
		err = fmt.Errorf("the value has %d bytes, allowed are %d", len(p.Value.text), MaxValueSize)
	case p.Value.typ > TypeJSON:
		err = errors.New("unknown type of value")
	default:
		return nil
	}
	return &Error{Kind: KindInvalid, Op: "append history", Err: err,
		Key: fmt.Sprintf("of device %d, %.40q", p.Series.DeviceID, p.Series.Identifier)}
}

// Done is told the outcome of one Append.
type Done interface {
	// Committed is called exactly once: with nil when the points outlive what
	// Options.Durability says, or with the reason why they are not stored. It
	// must not block: the writer waits for it.
	Committed(err error)
}

// Append hands points over to be stored and returns without waiting for the
// disk; done, which may be nil, is told when they are committed. All points of
// one call are committed together or not at all. They are copied: the caller may
// reuse the slice and what its values refer to.
//
// Done is called from the writer's goroutine, or from Append itself if the
// points cannot even be taken: with ErrOverloaded if more than
// Options.MaxBacklog bytes wait already, ErrInvalid if a point is unusable,
// ErrClosed after Close. Points of devices that do not exist (any more) are
// dropped without an error.
func (s *Store) Append(points []Point, done Done) { s.append(points, false, done) }

// AppendPast is Append for points that were measured earlier and are told late: they
// are kept like the others, and never become the present value, whatever their time.
func (s *Store) AppendPast(points []Point, done Done) { s.append(points, true, done) }

func (s *Store) append(points []Point, past bool, done Done) {
	var err error
	if s.space.full.Load() {
		err = errReserve
	} else if err = s.queue.append(points, past, done, s.series); err == nil {
		return
	}
	s.stats.refused.Add(int64(len(points)))
	if done != nil {
		done.Committed(err)
	}
}

// writeDrop runs fn, which deletes devices and returns the series that ended, in
// a transaction and makes the rest of the store forget those series.
func (s *Store) writeDrop(ctx context.Context, op, key string, fn func(*tx) ([]seriesRef, error)) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if s.closed.Load() {
		return &Error{Kind: KindClosed, Op: op, Key: key}
	}
	var (
		ended []seriesRef
		rec   records
	)
	err := s.writeLocked(ctx, op, key, func(t *tx) (err error) {
		if ended, err = fn(t); err != nil || len(ended) == 0 {
			return err
		}
		rec.reset()
		for _, ref := range ended {
			rec.drop(ref.id)
		}
		_, err = t.exec(ctx, insertWAL, s.round+1, rec.seal())
		return err
	})
	if err != nil || len(ended) == 0 {
		return err
	}
	s.roundDone(rec.buf)
	s.queue.forget(ended, s.series)
	return nil
}
