package broker

import (
	"errors"
	"time"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// salvage gives what waits on disk for a session that has ended to other members
// of its shared subscriptions (4.8.2), slice by slice. Until it is done the
// session's record stays, marked as ended, so that a server which stops in between
// goes on with it.
type salvage struct {
	loop    *loop
	id      queue.SessionID
	key     string
	sent    uint64 // newest message ever sent to the client
	suspect uint64 // newest that may have been sent before the server was killed
	expiry  time.Duration

	stored int // messages that are left
	after  queue.Seq
	items  []queue.Item
	err    error
}

// salvageSlice is how many messages are read at a time, and salvageRetry how long
// a disk that does not take them is left alone.
const (
	salvageSlice = 128
	salvageRetry = time.Second
)

// salvageOf takes over what a persistent session has on disk.
func (l *loop) salvageOf(s *Session) *salvage {
	return &salvage{loop: l, id: s.id, key: s.key, sent: s.sent, suspect: s.rare.suspected(), stored: s.stored, expiry: s.profile.MessageExpiry}
}

// begin reads once everything that was submitted is on disk.
func (v *salvage) begin() {
	v.loop.after(func(error) { v.loop.b.readers.submit(v) })
}

// work runs on a reader goroutine.
func (v *salvage) work(log storage) {
	v.items, v.err = log.Read(v.id, v.after, salvageSlice, readBytes)
	v.loop.t.Post(v)
}

// Run gives a slice away, on the loop.
func (v *salvage) Run(*transport.Loop) {
	l := v.loop
	damaged := (*queue.CorruptMessageError)(nil)
	switch {
	case errors.As(v.err, &damaged):
		l.b.logger.Error("a stored message is damaged and dropped", "client", v.key, "error", v.err)
		l.drop(DropStorage, v.key, "", 1, 0)
		v.stored--
		v.items = append(v.items, queue.Item{Seq: damaged.Seq})
	case v.err != nil:
		l.b.storageFailed(v.err)
		l.t.After(salvageRetry, task{func() { l.b.readers.submit(v) }})
		return
	case len(v.items) == 0:
		v.end()
		return
	}
	x := l.newExchange(nil)
	kept := 0
	for i := range v.items {
		if it := v.item(&v.items[i]); it != nil && l.adopt(it, x) {
			kept++
		}
	}
	last := v.items[len(v.items)-1].Seq
	x.after = func(failed mqtt.ReasonCode) {
		if failed != mqtt.Success { // once more: twice is better than never
			l.t.After(salvageRetry, task{func() { l.b.readers.submit(v) }})
			return
		}
		v.stored -= kept
		v.after = last
		l.b.readers.submit(v)
	}
	v.items = nil
	x.release(l)
}

// item is a message that others may get, nil if they may not: at QoS 2 one whose
// delivery has begun is lost rather than delivered twice [MQTT-4.8.2-5].
func (v *salvage) item(q *queue.Item) *item {
	seq, m := uint64(q.Seq), &q.Message
	begun := seq <= v.sent || seq <= v.suspect || q.State == queue.Released
	switch {
	case m.Share == "" || begun && m.QoS == 2:
		return nil
	case m.ExpiresMS > 0 && v.loop.nowMS() >= m.ExpiresMS:
		v.loop.drop(DropExpired, v.key, m.Topic, m.QoS, len(m.Payload))
		v.stored--
		return nil
	}
	return &item{
		seq: seq, topic: m.Topic, payload: m.Payload, properties: m.Properties, share: m.Share, publisher: m.Publisher,
		expiresMS: m.ExpiresMS, ownLimit: m.ExpiresMS == m.PublishedMS+v.expiry.Milliseconds(), qos: m.QoS, retain: m.Retain,
	}
}

// end forgets what is left.
func (v *salvage) end() {
	l := v.loop
	l.dropAll(DropSessionEnded, v.key, v.stored)
	batch := l.pending().batch
	batch.Clear(v.id)
	batch.DeleteSession(v.id)
}
