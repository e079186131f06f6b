package broker

import (
	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/session"
	"github.com/linkstead/linkstead/internal/trace"
	"github.com/linkstead/linkstead/mqtt"
)

func queueSeq(seq uint64) queue.Seq { return queue.Seq(seq) }

const queueReleased = queue.Released

// maxWaiting is how many messages of a durable session are kept in memory while
// its client is connected; what comes beyond is read from disk when its turn
// has come.
const (
	maxWaiting      = 256
	maxWaitingBytes = 256 << 10
)

// deliver gives a publication to a receiver that subscribed to it.
func (l *loop) deliver(p *publication, t *target) {
	s := t.s
	if p.from == s {
		if t.own != nil {
			t = t.own
		}
		if p.noEcho || t.options.NoLocal() {
			return
		}
	}
	qos := p.qos
	if s.device {
		qos = min(qos, 1) // the publisher's QoS counts (spec/connect.md §5)
	} else {
		qos = min(qos, t.options.QoS())
	}
	l.deliverTo(p, s, qos, p.retain && t.options.RetainAsPublished(), t)
	if t.group != nil {
		s.weigh()
	}
}

// deliverTo gives a publication to a session of this loop.
func (l *loop) deliverTo(p *publication, s *Session, qos byte, retain bool, t *target) {
	if s.device {
		qos, retain = min(qos, 1), false
	}
	if s.via != nil {
		l.deliverCarried(p, s, qos, t)
		return
	}
	c := s.client
	if qos == 0 {
		if c == nil || c.closed {
			l.drop(DropOffline, s.key, p.topic, 0, len(p.payload))
			return
		}
		why, slow := l.slow(c, s.profile.MaxOutput)
		switch {
		case slow:
			l.drop(why, s.key, p.topic, 0, len(p.payload))
		case !c.started && !p.reply:
			l.holdBack(c, p, retain, t)
		default:
			l.write(c, p, retain, t)
		}
		return
	}
	if s.gone {
		if !l.passOn(p, t) {
			l.drop(DropSessionEnded, s.key, p.topic, qos, len(p.payload))
		}
		return
	}
	if s.durable.Load() {
		l.enqueue(p, s, qos, retain, t)
		return
	}
	ending := c == nil || c.closed
	if ending && (c == nil || t == nil || t.group == nil) {
		l.drop(DropOffline, s.key, p.topic, qos, len(p.payload))
		return
	}
	seq := s.seq + 1
	// A member of a shared subscription whose connection is being closed keeps the
	// message until it has left: others get it then, see orphans.
	if !ending && c.started && s.waiting.count() == 0 && s.out.Ready(seq) && !c.full(s.profile.MaxOutput) {
		m := packetOf(p, qos, retain, t)
		if !c.fits(&m) {
			l.drop(DropTooLarge, s.key, p.topic, qos, len(p.payload))
			return
		}
		s.seq = seq
		s.sent, s.committed = seq, seq
		id := s.out.Send(seq, qos)
		if t != nil && t.group != nil {
			s.fly(itemOf(p, seq, qos, retain, t))
		}
		l.stats.delivered.add(1)
		l.traceDown(s, trace.Delivered, p.topic, id, qos, len(p.payload))
		c.end(l.appendTo(c.begin(), c, &m, id))
		return
	}
	if why, crowded := l.crowded(s, len(p.payload)); crowded {
		l.drop(why, s.key, p.topic, qos, len(p.payload))
		return
	}
	s.seq = seq
	s.committed = seq
	l.traceDown(s, trace.Queued, p.topic, session.PacketID(seq), qos, len(p.payload))
	l.wait(s, p, seq, qos, retain, t)
}

// write appends a QoS 0 PUBLISH.
func (l *loop) write(c *client, p *publication, retain bool, t *target) {
	if p.frame != nil && c.version != mqtt.V5 && !retain {
		l.stats.delivered.add(1)
		l.traceDown(c.session, trace.Delivered, p.topic, 0, 0, len(p.payload))
		c.end(append(c.begin(), p.frame...))
		return
	}
	m := packetOf(p, 0, retain, t)
	if !c.fits(&m) {
		l.drop(DropTooLarge, c.session.key, p.topic, 0, len(p.payload))
		return
	}
	l.stats.delivered.add(1)
	l.traceDown(c.session, trace.Delivered, p.topic, 0, 0, len(p.payload))
	c.end(l.appendTo(c.begin(), c, &m, 0))
}

// holdBack keeps a QoS 0 message that comes before the client is ready for what
// it has not asked for; see Profile.Settle.
func (l *loop) holdBack(c *client, p *publication, retain bool, t *target) {
	if c.held == nil {
		c.held = new(held)
	}
	if c.held.bytes+len(p.payload) > c.profile.MaxOutput {
		l.drop(DropSlowConsumer, c.session.key, p.topic, 0, len(p.payload))
		return
	}
	m := packetOf(p, 0, retain, t)
	if !c.fits(&m) {
		l.drop(DropTooLarge, c.session.key, p.topic, 0, len(p.payload))
		return
	}
	frame := l.appendTo(nil, c, &m, 0)
	l.traceDown(c.session, trace.Queued, p.topic, 0, 0, len(p.payload))
	c.held.packets = append(c.held.packets, frame)
	c.held.bytes += len(frame)
}

// enqueue puts a message for a durable session into the turn's batch. It is sent
// once it is on disk, so that what a client has seen is never forgotten.
func (l *loop) enqueue(p *publication, s *Session, qos byte, retain bool, t *target) {
	size := len(p.topic) + len(p.payload) + len(p.properties)
	if s.stored >= s.profile.MaxQueued || s.storedBytes+int64(size) > int64(s.profile.MaxQueuedBytes) {
		l.drop(DropQueueFull, s.key, p.topic, qos, len(p.payload))
		if s.stale(l.nowMS()) { // the sweep may be far from it
			l.expire(s)
		}
		return
	}
	l.identify(s)
	cm := l.pending()
	if !s.touched {
		s.touched = true
		cm.sessions = append(cm.sessions, queued{s: s, from: s.seq})
	}
	s.seq++
	expires := p.expiresMS
	if limit := s.profile.MessageExpiry; limit > 0 {
		if at := p.publishedMS + limit.Milliseconds(); expires == 0 || at < expires {
			expires = at
		}
	}
	m := &l.message
	*m = queue.Message{
		Topic: p.topic, Payload: p.payload, QoS: qos, Retain: retain, Properties: p.properties,
		PublishedMS: p.publishedMS, ExpiresMS: expires, Publisher: p.publisher, SubscriptionIDs: m.SubscriptionIDs[:0],
	}
	if t != nil && t.id != 0 {
		m.SubscriptionIDs = append(append(m.SubscriptionIDs, t.id), t.more...)
	}
	if t != nil && t.group != nil {
		m.Share = t.group.Text
	}
	cm.batch.Append(s.id, queueSeq(s.seq), m)
	s.noteExpiry(expires)
	s.stored++
	s.storedBytes += int64(size)
	s.meterQueue(1, int64(size))
	l.stats.queued.add(1)
	l.traceDown(s, trace.Queued, p.topic, session.PacketID(s.seq), qos, len(p.payload))
	if p.x == nil && p.from != nil && p.from.home == l && p.from.client != nil {
		p.x = l.newExchange(p.from.client)
	}
	if p.x != nil {
		p.x.hold()
		cm.exchanges = append(cm.exchanges, p.x)
	}
	switch {
	case s.client == nil || !s.client.started:
	case s.more || s.waiting.count() >= maxWaiting || s.waiting.size() > maxWaitingBytes:
		s.more = true
	default:
		s.loaded = s.seq
		l.wait(s, p, s.seq, qos, retain, t)
		waits := s.waiting.waits()
		it := &waits[len(waits)-1]
		it.expiresMS, it.ownLimit = expires, expires != p.expiresMS
	}
}

// identify gives a session its place on disk.
func (l *loop) identify(s *Session) {
	if s.id == 0 || s.unsaved {
		l.store(s)
	}
}

// wait keeps a message in memory until the client can take it.
func (l *loop) wait(s *Session, p *publication, seq uint64, qos byte, retain bool, t *target) {
	s.waiting.push(itemOf(p, seq, qos, retain, t))
}

// itemOf is a publication that is kept for the receiver t, which may be nil.
func itemOf(p *publication, seq uint64, qos byte, retain bool, t *target) item {
	payload, properties := p.keep()
	it := item{seq: seq, topic: p.topic, payload: payload, properties: properties, expiresMS: p.expiresMS,
		qos: qos, retain: retain, publisher: p.publisher}
	if t != nil && t.id != 0 {
		it.ids = append(append(it.ids, t.id), t.more...)
	}
	if t != nil && t.group != nil {
		it.share = t.group.Text
	}
	return it
}

// pump sends what waits, as far as the window, the client's reading and the disk
// allow.
func (l *loop) pump(s *Session) {
	if s.via != nil {
		l.pumpCarried(s)
		return
	}
	c := s.client
	if c == nil || c.closed || !c.started {
		return
	}
	durable := s.durable.Load()
	for {
		it := s.waiting.peek()
		if it == nil {
			if s.more && !s.reading {
				l.read(s)
			}
			return
		}
		if durable && l.draining && it.seq > s.sent {
			return // it is on disk and waits for the next start
		}
		if durable && it.seq > s.committed || !s.out.Ready(it.seq) || c.full(s.profile.MaxOutput) {
			return
		}
		next := s.waiting.pop()
		l.transmit(s, c, &next, durable)
	}
}

// transmit sends one message that waited, unless its time is up or its client
// has lost the right to it.
func (l *loop) transmit(s *Session, c *client, it *item, durable bool) {
	if it.released {
		c.sendAck(mqtt.PUBREL, s.out.SendReleased(it.seq), mqtt.Success)
		s.sent = max(s.sent, it.seq)
		return
	}
	reason := dropReasons
	m := packet{topic: it.topic, qos: it.qos, retain: it.retain, payload: it.payload, properties: it.properties}
	if !it.ownLimit {
		m.expiresMS = it.expiresMS
	}
	if len(it.ids) > 0 {
		m.id, m.more = it.ids[0], it.ids[1:]
	}
	again := it.seq <= s.sent
	switch {
	case !again && it.expiresMS > 0 && l.nowMS() >= it.expiresMS: // one whose delivery began goes on [MQTT-3.3.2-5]
		reason = DropExpired
	case !s.device && !c.session.rights.Receive(it.topic):
		reason = DropNotAuthorized
	case !c.fits(&m):
		reason = DropTooLarge
	}
	if reason != dropReasons {
		l.drop(reason, s.key, it.topic, it.qos, len(it.payload))
		if durable && s.id != 0 {
			l.pending().batch.Delete(s.id, queueSeq(it.seq))
			s.unstore()
		}
		return
	}
	again = again || it.seq <= s.rare.suspected()
	s.sent = max(s.sent, it.seq)
	id := s.out.Send(it.seq, it.qos)
	if s.rare.share() != nil && !durable {
		s.fly(*it)
	}
	l.stats.delivered.add(1)
	l.traceDown(s, trace.Delivered, it.topic, id, it.qos, len(it.payload))
	m.dup = again
	c.end(l.appendTo(c.begin(), c, &m, id))
}
