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
	if p.from == s && (p.noEcho || t.options.NoLocal()) {
		return
	}
	qos := p.qos
	if s.device {
		qos = min(qos, 1) // the publisher's QoS counts (spec/connect.md §5)
	} else {
		qos = min(qos, t.options.QoS())
	}
	l.deliverTo(p, s, qos, p.retain && t.options.RetainAsPublished(), t)
}

// deliverTo gives a publication to a session of this loop.
func (l *loop) deliverTo(p *publication, s *Session, qos byte, retain bool, t *target) {
	if s.device {
		qos, retain = min(qos, 1), false
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
		l.drop(DropSessionEnded, s.key, p.topic, qos, len(p.payload))
		return
	}
	if s.durable.Load() {
		l.enqueue(p, s, qos, retain, t)
		return
	}
	if c == nil || c.closed {
		l.drop(DropOffline, s.key, p.topic, qos, len(p.payload))
		return
	}
	seq := s.seq + 1
	if c.started && s.countWaiting() == 0 && s.out.Ready(seq) && !c.full(s.profile.MaxOutput) {
		if !l.fits(c, p, qos, t) {
			l.drop(DropTooLarge, s.key, p.topic, qos, len(p.payload))
			return
		}
		s.seq = seq
		s.sent, s.committed = seq, seq
		id := s.out.Send(seq, qos)
		l.stats.delivered.add(1)
		l.traceDown(s, trace.Delivered, p.topic, id, qos, len(p.payload))
		c.end(appendPublish(c.begin(), c.version, publishHeader(qos, retain, false), p.topic, id,
			l.propertiesFor(c, p.properties, p.expiresMS), l.identifiers(c, t), p.payload))
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
	if !l.fits(c, p, 0, t) {
		l.drop(DropTooLarge, c.session.key, p.topic, 0, len(p.payload))
		return
	}
	l.stats.delivered.add(1)
	l.traceDown(c.session, trace.Delivered, p.topic, 0, 0, len(p.payload))
	c.end(appendPublish(c.begin(), c.version, publishHeader(0, retain, false), p.topic, 0,
		l.propertiesFor(c, p.properties, p.expiresMS), l.identifiers(c, t), p.payload))
}

// holdBack keeps a QoS 0 message that comes before the client is ready for what
// it has not asked for; see Profile.Settle.
func (l *loop) holdBack(c *client, p *publication, retain bool, t *target) {
	if c.heldBytes+len(p.payload) > c.profile.MaxOutput {
		l.drop(DropSlowConsumer, c.session.key, p.topic, 0, len(p.payload))
		return
	}
	if !l.fits(c, p, 0, t) {
		l.drop(DropTooLarge, c.session.key, p.topic, 0, len(p.payload))
		return
	}
	packet := appendPublish(nil, c.version, publishHeader(0, retain, false), p.topic, 0,
		l.propertiesFor(c, p.properties, p.expiresMS), l.identifiers(c, t), p.payload)
	l.traceDown(c.session, trace.Queued, p.topic, 0, 0, len(p.payload))
	c.held = append(c.held, packet)
	c.heldBytes += len(packet)
}

// fits reports whether the packet is within the client's Maximum Packet Size
// [MQTT-3.1.2-24].
func (l *loop) fits(c *client, p *publication, qos byte, t *target) bool {
	if c.maxPacket == 0 {
		return true
	}
	props := len(p.properties)
	if p.expiresMS > 0 {
		props += 5
	}
	if t != nil && t.id != 0 {
		props += 5 * (1 + len(t.more))
	}
	return publishSize(c.version, qos, p.topic, props, len(p.payload)) <= int(c.maxPacket)
}

// propertiesFor gives the properties of a message for a 5.0 client, with what is
// left of its expiry interval [MQTT-3.3.2-6].
func (l *loop) propertiesFor(c *client, properties []byte, expiresMS int64) []byte {
	if c.version != mqtt.V5 || expiresMS == 0 {
		return properties
	}
	left := max((expiresMS-l.nowMS()+999)/1000, 0)
	b := make(mqtt.Properties, 0, len(properties)+5)
	b = append(b, properties...)
	return mqtt.AppendUint32Property(b, mqtt.PropMessageExpiryInterval, uint32(left))
}

// identifiers gives the subscription identifiers of a delivery as properties.
func (l *loop) identifiers(c *client, t *target) []byte {
	if c.version != mqtt.V5 || t == nil || t.id == 0 {
		return nil
	}
	b := mqtt.AppendSubscriptionIdentifier(nil, t.id)
	for _, id := range t.more {
		b = mqtt.AppendSubscriptionIdentifier(b, id)
	}
	return b
}

// enqueue puts a message for a durable session into the turn's batch. It is sent
// once it is on disk, so that what a client has seen is never forgotten.
func (l *loop) enqueue(p *publication, s *Session, qos byte, retain bool, t *target) {
	size := len(p.topic) + len(p.payload) + len(p.properties)
	if s.stored >= s.profile.MaxQueued || s.storedBytes+int64(size) > int64(s.profile.MaxQueuedBytes) {
		l.drop(DropQueueFull, s.key, p.topic, qos, len(p.payload))
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
	cm.batch.Append(s.id, queueSeq(s.seq), m)
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
	case s.more || s.countWaiting() >= maxWaiting || s.waitingBytes > maxWaitingBytes:
		s.more = true
	default:
		s.loaded = s.seq
		l.wait(s, p, s.seq, qos, retain, t)
		it := &s.waiting[len(s.waiting)-1]
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
	payload, properties := p.keep()
	it := item{seq: seq, topic: p.topic, payload: payload, properties: properties, expiresMS: p.expiresMS, qos: qos, retain: retain}
	if t != nil && t.id != 0 {
		it.ids = append(append(it.ids, t.id), t.more...)
	}
	s.push(it)
}

// pump sends what waits, as far as the window, the client's reading and the disk
// allow.
func (l *loop) pump(s *Session) {
	c := s.client
	if c == nil || c.closed || !c.started {
		return
	}
	durable := s.durable.Load()
	for {
		it := s.peek()
		if it == nil {
			if s.more && !s.reading {
				l.read(s)
			}
			return
		}
		if durable && it.seq > s.committed || !s.out.Ready(it.seq) || c.full(s.profile.MaxOutput) {
			return
		}
		next := s.pop()
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
	again := it.seq <= s.sent
	switch {
	case !again && it.expiresMS > 0 && l.nowMS() >= it.expiresMS: // one whose delivery began goes on [MQTT-3.3.2-5]
		reason = DropExpired
	case !s.device && !c.rights.Receive(it.topic):
		reason = DropNotAuthorized
	case c.maxPacket > 0 && publishSize(c.version, it.qos, it.topic, len(it.properties)+5+5*len(it.ids), len(it.payload)) > int(c.maxPacket):
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
	if s.suspects > 0 && !again {
		s.suspects--
		again = true
	}
	s.sent = max(s.sent, it.seq)
	id := s.out.Send(it.seq, it.qos)
	l.stats.delivered.add(1)
	l.traceDown(s, trace.Delivered, it.topic, id, it.qos, len(it.payload))
	var ids mqtt.Properties
	if c.version == mqtt.V5 {
		for _, n := range it.ids {
			ids = mqtt.AppendSubscriptionIdentifier(ids, n)
		}
	}
	var properties []byte
	if c.version == mqtt.V5 {
		properties = it.properties
		if it.expiresMS > 0 && !it.ownLimit {
			properties = l.propertiesFor(c, properties, it.expiresMS)
		}
	}
	c.end(appendPublish(c.begin(), c.version, publishHeader(it.qos, it.retain, again), it.topic, id, properties, ids, it.payload))
}
