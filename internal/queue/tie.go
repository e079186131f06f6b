package queue

import (
	"bytes"
	"slices"
	"sync/atomic"
	"time"
)

// Tie holds changes of several batches together: they become durable at once, or
// none does. A QoS 2 message whose receivers live on several event loops needs
// it. Its identifier must not be remembered as received while a receiver's queue
// may lack the message, or a publisher that sends it again after a crash is
// thought to repeat itself and the message is lost; and no queue may have it
// while the identifier is not remembered, or it is published twice.
//
// Each part is a piece of a batch, see [Batch.Tie]. What is not tied in these
// batches is written without waiting for the others, but all of a batch is
// reported together, and batches are reported in the order in which they were
// submitted. A tie whose parts do not all come within some seconds fails, and
// with it the batches that have a part of it.
type Tie struct {
	parts atomic.Int32

	// The committer's own:
	came    int32
	since   time.Time
	pieces  []piece
	settled bool // written or failed
	err     error
}

// NewTie begins a tie with one part, that of the caller.
func NewTie() *Tie {
	t := new(Tie)
	t.parts.Store(1)
	return t
}

// Add says that there will be another part. It is called before the caller
// submits its own.
func (t *Tie) Add() { t.parts.Add(1) }

// tied is a part of a tie in a batch: its operations from an offset to another.
type tied struct {
	tie      *Tie
	from, to int
}

// Tie makes what was added to the batch since Bytes was from a part of t. It may
// be nothing at all. Parts of a batch must not overlap.
func (b *Batch) Tie(t *Tie, from int) {
	b.ties = append(b.ties, tied{t, from, len(b.ops)})
}

// piece is a part that waits for the others, and the ranges that later batches
// have deleted meanwhile.
type piece struct {
	ops  []byte
	cuts []cut
}

type cut struct{ start, end []byte }

func (p *piece) has(key []byte) bool {
	return !slices.ContainsFunc(p.cuts, func(c cut) bool {
		return bytes.Compare(key, c.start) >= 0 && bytes.Compare(key, c.end) < 0
	})
}

// tiePatience is how long parts may be apart; the turns of event loops are a
// million times shorter.
const tiePatience = 5 * time.Second

// ties are those of which parts are missing. The committer's own.
type ties struct{ open []*Tie }

// arrived takes one more part, and tells whether it was the last.
func (o *ties) arrived(t *Tie, ops []byte) bool {
	if t.settled {
		return false
	}
	if t.came++; t.came == 1 {
		t.since = time.Now()
		o.open = append(o.open, t)
	}
	t.pieces = append(t.pieces, piece{ops: ops})
	if t.came < t.parts.Load() {
		return false
	}
	o.close(t)
	return true
}

func (o *ties) close(t *Tie) {
	o.open = slices.DeleteFunc(o.open, func(other *Tie) bool { return other == t })
}

// cut keeps what waits in a range from being written: a later batch deletes it.
func (o *ties) cut(start, end []byte) {
	for _, t := range o.open {
		for i := range t.pieces {
			t.pieces[i].cuts = append(t.pieces[i].cuts, cut{slices.Clone(start), slices.Clone(end)})
		}
	}
}

// settle notes what became of a tie.
func (t *Tie) settle(err error) {
	if !t.settled {
		t.settled, t.err, t.pieces = true, err, nil
	}
}

// fail settles ties that will not be written.
func (o *ties) fail(of []tied, err error) {
	for i := range of {
		o.close(of[i].tie)
		of[i].tie.settle(err)
	}
}

// expire fails the ties that have waited since before a time.
func (o *ties) expire(before time.Time, err error) {
	for len(o.open) > 0 && !o.open[0].since.After(before) {
		o.open[0].settle(err)
		o.open = o.open[1:]
	}
}

// reportable is a submission that was written, or failed, and not yet reported.
type reportable struct {
	submission
	verdict error
}

// outcome is what to report, once every tie is settled.
func (r *reportable) outcome() (err error, settled bool) {
	err = r.verdict
	for i := range r.batch.ties {
		t := r.batch.ties[i].tie
		if !t.settled {
			return nil, false
		}
		if err == nil {
			err = t.err
		}
	}
	return err, true
}

// flush reports, in order, what need not wait for a tie.
func (l *Log) flush() {
	n := 0
	for n < len(l.unreported) {
		r := &l.unreported[n]
		err, settled := r.outcome()
		if !settled {
			break
		}
		l.finish(&r.submission, err)
		n++
	}
	if n > 0 {
		l.unreported = slices.Delete(l.unreported, 0, n)
	}
}
