package store

import (
	"strings"
	"sync"
	"time"
)

// batch is what one round of the writer commits.
type batch struct {
	recs    records   // points of series whose id is known
	unnamed []unnamed // points of series to be looked up, and all behind them
	ended   []int64   // series deleted since; their points before are obsolete
	dones   []Done    // one for each Append
	points  int       // for counting
	size    int       // bytes that wait
	due     time.Time // when it is to be committed, zero while nothing asks for it
	patient bool      // due for the states of devices only, see statusWindow
	status  map[int64]status
}

// unnamed is a copied point whose series has yet to be looked up, or one that came
// behind such a point: of two points with one time the later has to stay so.
type unnamed struct {
	Point
	id   int64 // of its series, 0 if it is to be looked up
	past bool
}

func newBatch() *batch {
	b := &batch{status: map[int64]status{}}
	b.recs.reset()
	return b
}

func (b *batch) empty() bool {
	return b.recs.empty() && len(b.unnamed) == 0 && len(b.ended) == 0 && len(b.dones) == 0 && len(b.status) == 0
}

// keptBatch is the buffer size above which a batch is not used again.
const keptBatch = 4 << 20

// reset makes a batch ready for the next round, or returns a new one if this has
// become too big to keep.
func (b *batch) reset() *batch {
	if cap(b.recs.buf) > keptBatch {
		return newBatch()
	}
	clear(b.unnamed)
	clear(b.dones)
	clear(b.status)
	b.recs.reset()
	b.unnamed, b.ended, b.dones = b.unnamed[:0], b.ended[:0], b.dones[:0]
	b.points, b.size, b.due, b.patient = 0, 0, time.Time{}, false
	return b
}

// queue is where Append and SetOnline leave work for the writer.
type queue struct {
	kick    chan struct{} // something waits
	urgent  chan struct{} // so much waits that the window need not pass
	stop    chan struct{}
	stopped chan struct{} // the writer has ended

	mu     sync.Mutex
	window time.Duration // see Options.Window
	bound  int
	flying int // bytes being committed
	next   *batch
	spare  *batch
	closed bool
}

// urgentSize is how many bytes end the window early.
const urgentSize = 256 << 10

func newQueue(window time.Duration, bound int) *queue {
	return &queue{
		window: window,
		kick:   make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		stop: make(chan struct{}), stopped: make(chan struct{}),
		bound: bound, next: newBatch(), spare: newBatch(),
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// doneSize is what a waiting Append costs besides its points.
const doneSize = 32

// append encodes points into the next batch. Series are looked up while mu is
// held: after forget has returned, no point can carry a forgotten id.
func (q *queue) append(points []Point, past bool, done Done, series *seriesCache) error {
	for i := range points {
		if err := points[i].check(); err != nil {
			return err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return &Error{Kind: KindClosed, Op: "append history"}
	}
	b := q.next
	if b.size+q.flying >= q.bound {
		return ErrOverloaded
	}
	before := len(b.recs.buf)
	series.mu.Lock()
	for i := range points {
		p := &points[i]
		if id := series.getLocked(p.Series); id != 0 && len(b.unnamed) == 0 {
			b.recs.point(id, p.TimeMS, p.Value, past)
		} else {
			b.addUnnamed(p, id, past)
		}
	}
	series.mu.Unlock()
	if done != nil {
		b.dones = append(b.dones, done)
	}
	b.points += len(points)
	b.size += len(b.recs.buf) - before + doneSize
	q.arrived(b)
	return nil
}

// addUnnamed copies a point whose series has yet to be looked up, which happens
// once for a series while it stays in the cache, or one behind it.
func (b *batch) addUnnamed(p *Point, id int64, past bool) {
	c := *p
	c.Series.Identifier = strings.Clone(p.Series.Identifier)
	c.Value.text = strings.Clone(p.Value.text)
	b.unnamed = append(b.unnamed, unnamed{c, id, past})
	b.size += 64 + len(c.Series.Identifier) + len(c.Value.text)
}

// arrived has the batch committed within the window. The caller holds mu.
func (q *queue) arrived(b *batch) {
	if b.due.IsZero() || b.patient {
		b.due, b.patient = time.Now().Add(q.window), false
		notify(q.kick)
	}
	if b.size >= urgentSize {
		notify(q.urgent)
	}
}

// wait returns how long the writer may gather before it commits what waits, 0 if it
// is to do so now; ok is false if nothing waits.
func (q *queue) wait() (left time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next.due.IsZero() {
		return 0, false
	}
	return max(0, time.Until(q.next.due)), true
}

// take returns what waits. The writer gives it back with settle.
func (q *queue) take() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.next
	q.next, q.spare = q.spare, nil
	q.flying = b.size
	return b
}

// settle ends a round: the batch may be used again.
func (q *queue) settle(b *batch) {
	b = b.reset()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spare = b
	q.flying = 0
}

// forget makes sure that no point of ended series survives: their ids are not
// found any more, and what waits already is dropped after it is written.
func (q *queue) forget(ended []seriesRef, series *seriesCache) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, ref := range ended {
		series.forget(ref.key)
		q.next.ended = append(q.next.ended, ref.id)
	}
	q.arrived(q.next)
}

// close takes nothing more and lets the writer finish.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	close(q.stop)
}
