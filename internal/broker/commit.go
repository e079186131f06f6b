package broker

import (
	"sync"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// commit is what waits for one batch to be on disk.
type commit struct {
	loop  *loop
	batch *queue.Batch
	err   error

	sessions  []*Session // that have new messages in the batch …
	through   []uint64   // … up to these
	exchanges []*Exchange
	owed      []owed
	replies   []phaseReply
	after     []func(error)
}

// owed is an acknowledgement of a client that needs the batch.
type owed struct {
	client *client
	ticket uint64
	code   mqtt.ReasonCode
}

// phaseReply is a PUBREL or PUBCOMP that may leave once the step it answers is
// on disk: sent earlier, a crash could deliver a QoS 2 message twice or never.
type phaseReply struct {
	client *client
	kind   mqtt.Type
	id     uint16
}

var commits = sync.Pool{New: func() any { return new(commit) }}

// wanted reports whether anything waits for the batch; without it nobody needs
// to know when it is on disk.
func (c *commit) wanted() bool {
	return len(c.sessions)+len(c.exchanges)+len(c.owed)+len(c.replies)+len(c.after) > 0
}

// Committed is called by the queue when the batch is on disk, or never will be.
func (c *commit) Committed(err error) {
	c.err = err
	c.batch = nil
	c.loop.t.Post(c)
}

// Run goes on with what waited, on the loop.
func (c *commit) Run(*transport.Loop) {
	l := c.loop
	if c.err != nil {
		l.b.storageFailed(c.err)
	}
	for _, x := range c.exchanges {
		if c.err != nil {
			x.fail(mqtt.ImplementationSpecificError)
		}
		x.release(l)
	}
	for _, o := range c.owed {
		if o.client.closed {
			continue
		}
		code := o.code
		if c.err != nil {
			code = mqtt.ImplementationSpecificError
		}
		o.client.acks.Complete(o.ticket, code)
		o.client.sendAcks()
	}
	for _, r := range c.replies {
		switch {
		case r.client.closed:
		case c.err != nil:
			r.client.close(causeStorage, mqtt.ImplementationSpecificError)
		default:
			r.client.sendAck(r.kind, r.id, mqtt.Success)
		}
	}
	for _, f := range c.after {
		f(c.err)
	}
	for i, s := range c.sessions {
		if c.err != nil {
			l.withdraw(s, c.through[i])
		}
		s.committed = max(s.committed, c.through[i])
		l.pump(s)
	}
	clear(c.sessions)
	clear(c.exchanges)
	clear(c.owed)
	clear(c.replies)
	clear(c.after)
	*c = commit{sessions: c.sessions[:0], through: c.through[:0], exchanges: c.exchanges[:0],
		owed: c.owed[:0], replies: c.replies[:0], after: c.after[:0]}
	commits.Put(c)
}

// withdraw takes messages that the disk did not accept out of a session: their
// publishers are told, so they must not be delivered as if they were safe.
func (l *loop) withdraw(s *Session, through uint64) {
	kept := s.waiting[s.head:]
	out := kept[:0:0]
	for _, it := range kept {
		if it.seq > s.committed && it.seq <= through && !it.released {
			l.drop(DropStorage, s.key, it.topic, it.qos, len(it.payload))
			s.waitingBytes -= it.bytes()
			s.unstore()
			continue
		}
		out = append(out, it)
	}
	s.waiting, s.head = out, 0
}
