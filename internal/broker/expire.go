package broker

import (
	"errors"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/transport"
)

// Messages whose time is up are not sent when their turn comes (see transmit). In
// the queue of a client that stays away they would keep others out when it is
// full, and the disk occupied, until the session ends. So the sweep has them
// removed: the disk is read on another goroutine, and a turn of the loop deals
// with no more than one slice of a queue.

// expireMessages and expireBytes bound a slice.
const (
	expireMessages = 256
	expireBytes    = 256 << 10
)

// noteExpiry keeps the time at which the first of a session's stored messages
// expires.
func (s *Session) noteExpiry(expiresMS int64) {
	if expiresMS > 0 && (s.expiresMS == 0 || expiresMS < s.expiresMS) {
		s.expiresMS = expiresMS
	}
}

// stale reports whether stored messages of an absent client may have expired.
func (s *Session) stale(nowMS int64) bool {
	return s.client == nil && s.id != 0 && s.stored > 0 && s.expiresMS > 0 && nowMS >= s.expiresMS && !s.gone
}

// expiry goes through a queue, slice by slice.
type expiry struct {
	loop    *loop
	session *Session
	since   int64 // when the client went away: another time means that it was here
	after   queue.Seq
	end     queue.Seq // what is stored later was noted
	first   int64     // when the first of those that stay expires, 0: never
	items   []queue.Item
	err     error
}

// expire begins to remove what has expired of a session. It is not noted again
// until the end is reached, so there is one of them at a time.
func (l *loop) expire(s *Session) {
	s.expiresMS = 0
	l.b.readers.submit(&expiry{loop: l, session: s, since: s.offlineMS, after: queueSeq(s.done), end: queueSeq(s.committed)})
}

// work runs on a reader goroutine.
func (e *expiry) work(log storage) {
	e.items, e.err = log.Read(e.session.id, e.after, expireMessages, expireBytes)
	e.loop.t.Post(e)
}

// Run deals with a slice on the loop.
func (e *expiry) Run(*transport.Loop) {
	l, s := e.loop, e.session
	if s.gone || s.id == 0 {
		return
	}
	damaged := (*queue.CorruptMessageError)(nil)
	if s.client != nil || s.offlineMS != e.since || e.err != nil && !errors.As(e.err, &damaged) {
		s.noteExpiry(1) // looked at again when the client is away, and the disk well
		return
	}
	now := l.nowMS()
	end := len(e.items) == 0
	for i := range e.items {
		it := &e.items[i]
		if end = it.Seq > e.end; end {
			break
		}
		e.after = it.Seq
		m := &it.Message
		switch begun := uint64(it.Seq) <= s.sent || it.State != queue.Queued; {
		case begun || m.ExpiresMS == 0: // one whose delivery began goes on [MQTT-3.3.2-5]
		case now >= m.ExpiresMS:
			l.drop(DropExpired, s.key, m.Topic, m.QoS, len(m.Payload))
			l.pending().batch.Delete(s.id, it.Seq)
			s.unstore()
		case e.first == 0 || m.ExpiresMS < e.first:
			e.first = m.ExpiresMS
		}
	}
	if damaged != nil { // dropped when its turn comes, see reading
		e.after, end = damaged.Seq, false
	}
	if end {
		s.noteExpiry(e.first)
		return
	}
	l.b.readers.submit(e)
}
