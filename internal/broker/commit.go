package broker

import (
	"errors"
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
	size  int64 // bytes of the batch

	sessions  []queued
	records   []*Session // whose records are in the batch
	exchanges []*Exchange
	owed      []owed
	replies   []phaseReply
	after     []func(error)
}

// queued are the messages of one session in a batch: those after from up to
// through.
type queued struct {
	s             *Session
	from, through uint64
}

// owed is an acknowledgement of a client that needs the batch.
type owed struct {
	client *client
	ticket uint64
	fresh  []string // filters to be taken back if the disk does not take them
}

// phaseReply is a PUBREL or PUBCOMP that may leave once the step it answers is
// on disk: sent earlier, a crash could deliver a QoS 2 message twice or never.
type phaseReply struct {
	client *client
	kind   mqtt.Type
	id     uint16
}

var commits = sync.Pool{New: func() any { return new(commit) }}

// Committed is called by the queue when the batch is on disk, or never will be.
func (c *commit) Committed(err error) {
	c.err = err
	c.loop.t.Post(c)
}

// Run goes on with what waited, on the loop.
func (c *commit) Run(*transport.Loop) {
	l := c.loop
	l.b.submitted.Add(-c.size)
	l.committing--
	l.b.log.PutBatch(c.batch)
	if c.err != nil {
		l.b.storageFailed(c.err)
		for _, s := range c.records {
			s.unsaved = true
		}
	}
	for _, x := range c.exchanges {
		if c.err != nil {
			x.fail(storeCode(c.err))
		}
		x.release(l)
	}
	for _, o := range c.owed {
		code := mqtt.Success
		if c.err != nil {
			code = storeCode(c.err)
			l.takeBack(o.client.session, o.fresh)
		}
		if !o.client.closed {
			o.client.acks.Complete(o.ticket, code)
			o.client.sendAcks()
		}
	}
	for _, r := range c.replies {
		switch {
		case r.client.closed:
		case c.err != nil:
			r.client.close(errStorage, storeCode(c.err))
		default:
			r.client.sendAck(r.kind, r.id, mqtt.Success)
		}
	}
	for _, f := range c.after {
		f(c.err)
	}
	for _, q := range c.sessions {
		if c.err != nil {
			l.withdraw(q)
		} else {
			q.s.committed = max(q.s.committed, q.through)
		}
		l.pump(q.s)
	}
	clear(c.sessions)
	clear(c.records)
	clear(c.exchanges)
	clear(c.owed)
	clear(c.replies)
	clear(c.after)
	*c = commit{sessions: c.sessions[:0], records: c.records[:0], exchanges: c.exchanges[:0],
		owed: c.owed[:0], replies: c.replies[:0], after: c.after[:0]}
	commits.Put(c)
}

// storeCode is how a 5.0 client is told that a message could not be stored: the
// server's limits, or a fault.
func storeCode(err error) mqtt.ReasonCode {
	if errors.Is(err, queue.ErrDiskFull) || errors.Is(err, queue.ErrOverloaded) {
		return mqtt.QuotaExceeded
	}
	return mqtt.ImplementationSpecificError
}

// withdraw takes messages that the disk did not accept out of a session: their
// publishers are told, so they must not be delivered as if they were safe. Those
// of other batches stay, whichever is reported first.
func (l *loop) withdraw(q queued) {
	s := q.s
	if q.through <= s.done { // the session was emptied in the meantime
		return
	}
	lost := int(q.through - q.from)
	s.waiting.keep(func(it *item) bool {
		if it.seq <= q.from || it.seq > q.through {
			return true
		}
		l.drop(DropStorage, s.key, it.topic, it.qos, len(it.payload))
		s.unstore()
		lost--
		return false
	})
	l.dropAll(DropStorage, s.key, lost)
	for range lost {
		s.unstore()
	}
	// The store may find them after all when it comes back.
	if s.id != 0 {
		for seq := q.from + 1; seq <= q.through; seq++ {
			l.pending().batch.Delete(s.id, queueSeq(seq))
		}
	}
}

// takeBack undoes subscriptions that could not be stored: their client is told
// that it does not have them.
func (l *loop) takeBack(s *Session, filters []string) {
	for _, filter := range filters {
		if s.subs.remove(filter) {
			l.b.index.Unsubscribe(filter, s)
		}
	}
}
