package broker

import (
	"errors"
	"time"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/transport"
)

// purge makes room in the full queue of a session whose client is away: messages
// whose time is up wait for nothing [MQTT-3.3.2-5].
type purge struct {
	loop    *loop
	session *Session
	id      queue.SessionID
	after   queue.Seq
	items   []queue.Item
	err     error
}

// purgeEvery is how long a queue that was looked through is left alone.
const purgeEvery = 30 * time.Second

// purge begins to look through a session's queue, unless that was done lately.
func (l *loop) purge(s *Session) {
	now := l.nowMS()
	if s.client != nil || s.id == 0 || now < l.purged[s]+purgeEvery.Milliseconds() {
		return
	}
	if l.purged == nil {
		l.purged = make(map[*Session]int64)
	}
	for other, at := range l.purged {
		if now >= at+purgeEvery.Milliseconds() {
			delete(l.purged, other)
		}
	}
	l.purged[s] = now
	v := &purge{loop: l, session: s, id: s.id}
	l.after(func(error) { l.b.readers.submit(v) })
}

// work runs on a reader goroutine.
func (v *purge) work(log storage) {
	v.items, v.err = log.Read(v.id, v.after, readMessages, readBytes)
	v.loop.t.Post(v)
}

// Run drops what has expired in a slice, on the loop.
func (v *purge) Run(*transport.Loop) {
	l, s := v.loop, v.session
	if s.client != nil || s.gone || s.id != v.id {
		return // its client is back, or it has ended: others see to it
	}
	if damaged := (*queue.CorruptMessageError)(nil); errors.As(v.err, &damaged) {
		v.after = damaged.Seq // dropped when it is its turn
	} else if v.err != nil {
		l.b.storageFailed(v.err)
		return
	} else if len(v.items) == 0 {
		return
	}
	now := l.nowMS()
	for i := range v.items {
		seq, m := v.items[i].Seq, &v.items[i].Message
		v.after = max(v.after, seq)
		if uint64(seq) <= s.sent || m.ExpiresMS == 0 || now < m.ExpiresMS {
			continue // one whose delivery began goes on
		}
		l.drop(DropExpired, s.key, m.Topic, m.QoS, len(m.Payload))
		l.pending().batch.Delete(s.id, seq)
		s.unstore()
	}
	v.items = nil
	l.b.readers.submit(v)
}
