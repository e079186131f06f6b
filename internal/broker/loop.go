package broker

import (
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/internal/trace"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// loop is the broker's state on one event loop.
type loop struct {
	b      *Broker
	t      *transport.Loop
	index  int
	cache  *topics.Cache[*Session]
	stats  loopStats
	meters meters

	clients *client // all connections of the loop, linked

	// what this turn will submit; nil until needed
	commit *commit
	out    []*handoff         // by loop index
	tasks  [][]transport.Task // by loop index

	// scratch of the turn
	publish     mqtt.Publish
	subscribe   mqtt.Subscribe
	unsubscribe mqtt.Unsubscribe
	message     queue.Message
	extra       []byte
	own         []byte // properties of one receiver's packet
	traced      []trace.Record
	pub         publication
	asked       asked
	follow      *target // gets what follows to the same topic, too; see burst
	once        plan    // of a route that is not kept

	expiring  expiring     // on the loop that keeps retained messages
	handed    atomic.Int64 // bytes in handoffs on their way to this loop
	pressing  bool         // publishers wait; see pressure.go
	pressedAt int64        // since when, ns
	tight     bool         // memory is short; see tight.go
	hindered  []*client    // those that do

	exchanging int  // exchanges that are not finished
	committing int  // commits on their way to the disk
	draining   bool // nothing new is begun; see drain.go
	lastDrop   Drop // of this turn, not yet handed to the recorder
	lastReason DropReason

	swept int // shards of the registry that the sweep has looked at
}

func (l *loop) now() time.Time { return l.t.Now() }
func (l *loop) nowMS() int64   { return l.t.Now().UnixMilli() }

// post has a task run on another loop when this turn is over: each for itself would
// have that loop begin with a few of them, and commit and send as little at a time.
func (l *loop) post(to *loop, t transport.Task) {
	l.tasks[to.index] = append(l.tasks[to.index], t)
}

// endTurn sends what has been gathered during the turn to where it belongs.
func (l *loop) endTurn() {
	for i, list := range l.tasks {
		if len(list) == 0 {
			continue
		}
		l.b.loops[i].t.PostAll(list)
		clear(list)
		if l.tasks[i] = list[:0]; cap(list) > tasksKept {
			l.tasks[i] = nil
		}
	}
	for i, h := range l.out {
		if h != nil {
			l.out[i] = nil
			l.meters.handoffs.Observe(int64(h.count))
			h.size = int64(len(h.buf) + h.count*handedOverhead)
			h.to.handed.Add(h.size)
			l.b.loops[i].t.Post(h)
		}
	}
	if c := l.commit; c != nil {
		l.commit = nil
		for i := range c.sessions {
			q := &c.sessions[i]
			q.s.touched = false
			q.through = q.s.seq
		}
		for _, s := range c.records {
			s.dirty = false
			if s.id != 0 {
				l.extra = s.appendRecord(l.extra[:0])
				c.batch.PutSession(s.id, l.extra)
			}
		}
		c.size = int64(c.batch.Bytes())
		l.b.submitted.Add(c.size)
		l.committing++
		l.b.log.Submit(c.batch, c)
	}
	l.watch()
	l.handDrop()
	l.handTrace()
}

// tasksKept is the longest list of tasks whose place is kept for the next turn.
const tasksKept = 4096

// after runs f on the loop when everything that the loop has submitted, this
// turn included, is on disk or has failed.
func (l *loop) after(f func(error)) {
	cm := l.pending()
	cm.after = append(cm.after, f)
}

// pending is the commit of this turn.
func (l *loop) pending() *commit {
	if l.commit == nil {
		c := commits.Get().(*commit)
		c.loop = l
		c.batch = l.b.log.GetBatch()
		l.commit = c
	}
	return l.commit
}
