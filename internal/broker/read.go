package broker

import (
	"errors"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

const (
	readMessages = 128
	readBytes    = 256 << 10
)

// reading is one slice of a session's messages on its way from the disk.
type reading struct {
	loop    *loop
	session *Session
	client  *client
	via     *carriage
	after   uint64
	through uint64 // on disk when the read began
	items   []queue.Item
	err     error
}

// read asks for the messages behind those in waiting. The disk is read on
// another goroutine.
func (l *loop) read(s *Session) {
	if s.id == 0 {
		s.more = false
		return
	}
	s.reading = true
	r := &reading{loop: l, session: s, client: s.client, via: s.via, after: s.loaded, through: s.committed}
	l.b.readers.submit(r)
}

// work runs on a reader goroutine.
func (r *reading) work(log storage) {
	r.items, r.err = log.Read(r.session.id, queueSeq(r.after), readMessages, readBytes)
	r.loop.t.Post(r)
}

// Run takes the slice over on the loop.
func (r *reading) Run(*transport.Loop) {
	l, s := r.loop, r.session
	if s.client != r.client || s.via != r.via {
		return // the connection it was read for is gone
	}
	s.reading = false
	if damaged := (*queue.CorruptMessageError)(nil); errors.As(r.err, &damaged) {
		// One message is lost; those behind it are sound.
		l.b.logger.Error("a stored message is damaged and dropped", "client", s.key, "error", r.err)
		l.drop(DropStorage, s.key, "", 1, 0)
		l.pending().batch.Delete(s.id, damaged.Seq)
		s.unstore()
		r.items = append(r.items, queue.Item{Seq: damaged.Seq})
	} else if r.err != nil {
		l.b.storageFailed(r.err)
		if r.client != nil {
			r.client.close(errStorage, mqtt.UnspecifiedError)
		}
		return
	}
	for _, it := range r.items {
		seq := uint64(it.Seq)
		if seq <= s.loaded {
			continue
		}
		s.loaded = seq
		m := it.Message
		if m.Topic == "" { // the damaged one
			continue
		}
		s.waiting.push(item{
			seq: seq, topic: m.Topic, payload: m.Payload, properties: m.Properties, ids: m.SubscriptionIDs,
			expiresMS: m.ExpiresMS, qos: m.QoS, retain: m.Retain, released: it.State == queue.Released,
			ownLimit: m.ExpiresMS == m.PublishedMS+s.profile.MessageExpiry.Milliseconds(),
		})
	}
	if len(r.items) == 0 { // everything that was on disk has been seen
		s.loaded = max(s.loaded, r.through)
	}
	s.more = s.loaded < s.seq
	if len(r.items) == 0 && s.more && s.committed <= r.through {
		return // the rest is not on disk yet; its commit pumps again
	}
	l.pump(s)
}
