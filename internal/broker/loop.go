package broker

import (
	"time"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// loop is the broker's state on one event loop.
type loop struct {
	b     *Broker
	t     *transport.Loop
	index int
	cache *topics.Cache[*Session]
	stats loopStats

	clients *client // all connections of the loop, linked

	// what this turn will submit; nil until needed
	commit *commit
	out    []*handoff // by loop index

	// scratch of the turn
	publish     mqtt.Publish
	subscribe   mqtt.Subscribe
	unsubscribe mqtt.Unsubscribe
	message     queue.Message
	extra       []byte
	pub         publication

	sweepAt *Session
}

func (l *loop) now() time.Time { return l.t.Now() }
func (l *loop) nowMS() int64   { return l.t.Now().UnixMilli() }

// endTurn sends what has been gathered during the turn to where it belongs.
func (l *loop) endTurn() {
	for i, h := range l.out {
		if h != nil {
			l.out[i] = nil
			l.b.loops[i].t.Post(h)
		}
	}
	if c := l.commit; c != nil {
		l.commit = nil
		for _, s := range c.sessions {
			s.touched = false
		}
		for i := range c.sessions {
			c.through = append(c.through, c.sessions[i].seq)
		}
		if c.wanted() {
			l.b.log.Submit(c.batch, c)
		} else {
			batch := c.batch
			c.batch = nil
			commits.Put(c)
			l.b.log.Submit(batch, nil)
		}
	}
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
