package broker

import (
	"bytes"
	"fmt"
	"time"

	"github.com/linkstead/linkstead/internal/session"
	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/internal/trace"
	"github.com/linkstead/linkstead/mqtt"
)

// asked is what was decided about a client's publication, for those that follow.
type asked struct {
	client   *client
	topic    string
	at       int64 // loop time
	decision Decision
	actor    string // key of the session it belongs to
}

// onPublish takes a PUBLISH of a client.
func (l *loop) onPublish(c *client, f mqtt.Frame) error {
	p := &l.publish
	if err := p.Decode(f, c.version, c.profile.Tolerance); err != nil {
		return err
	}
	l.stats.received.add(1)
	l.stats.receivedSize.add(uint64(len(f.Raw)))
	if p.QoS > c.profile.MaxQoS {
		return &mqtt.MalformedError{Field: "QoS", Code: mqtt.QoSNotSupported,
			Reason: fmt.Sprintf("QoS %d is not offered to this client; the highest is %d", p.QoS, c.profile.MaxQoS)}
	}
	topic := p.Topic
	if c.five != nil {
		if c.overruns(f) && !(p.QoS == 2 && c.session.in.Has(p.PacketID)) {
			return &mqtt.MalformedError{Type: mqtt.PUBLISH, Field: "packet identifier", Clause: "MQTT-3.3.4-7", Code: mqtt.ReceiveMaximumExceeded,
				Reason: fmt.Sprintf("%d messages at QoS 1 and 2 are not acknowledged, which is all that the server takes", c.profile.MaxReceived)}
		}
		for range p.Properties.SubscriptionIdentifiers() {
			return &mqtt.MalformedError{Type: mqtt.PUBLISH, Field: "Subscription Identifier", Clause: "MQTT-3.3.4-6", Code: mqtt.ProtocolError,
				Reason: "only the server sends subscription identifiers with messages"}
		}
		var err error
		if topic, err = c.aliasedTopic(p); err != nil {
			return err
		}
	}
	var query []byte
	if c.profile.Device { // spec/topics.md §10: a device may append ?_sn=default or ?_rid=…
		if at := bytes.IndexByte(topic, '?'); at >= 0 {
			topic, query = topic[:at], topic[at+1:]
		}
	}
	if len(topic) > 0 && topic[0] == '$' {
		l.drop(DropNotAuthorized, c.session.key, string(topic), p.QoS, len(p.Payload))
		l.acknowledge(c, p, mqtt.NotAuthorized)
		return nil
	}
	if limit := c.profile.MaxTopicBytes; limit > 0 && len(topic) > limit ||
		c.profile.MaxTopicLevels > 0 && levels(topic) > c.profile.MaxTopicLevels {
		l.drop(DropTopic, c.session.key, string(topic), p.QoS, len(p.Payload))
		l.acknowledge(c, p, mqtt.TopicNameInvalid)
		return nil
	}
	if c.limit != nil && c.limit.loses(l.t.NowNano(), p.QoS) {
		l.drop(DropRate, c.session.key, string(topic), p.QoS, len(p.Payload))
		return nil
	}
	if p.Retain && len(p.Payload) > 0 && !c.profile.Device && l.retainedFull(topic) {
		l.drop(DropRetainedFull, c.session.key, string(topic), p.QoS, len(p.Payload))
		l.acknowledge(c, p, mqtt.QuotaExceeded)
		return nil
	}
	r := l.cache.Known(topic)
	if r == nil { // a topic not seen before, or with new subscriptions
		if err := topics.ValidTopic(string(topic)); err != nil {
			return &mqtt.MalformedError{Type: mqtt.PUBLISH, Field: "topic name", Code: mqtt.TopicNameInvalid, Reason: err.Error()}
		}
		r = l.cache.Once(topic, p.Retain) // retained topics are many, and most change seldom
	}
	// Rights are asked for once in a turn, so that a burst costs little and a
	// change takes effect at once.
	asked := &l.asked
	if now := l.t.NowNano(); asked.client != c || asked.topic != r.Topic || asked.at != now {
		asked.client, asked.topic, asked.at = c, r.Topic, now
		asked.decision = c.session.rights.Publish(r.Topic)
		asked.actor = c.actor(r.Topic)
	}
	if asked.decision == Deny {
		l.drop(DropNotAuthorized, c.session.key, r.Topic, p.QoS, len(p.Payload))
		l.acknowledge(c, p, mqtt.NotAuthorized)
		return nil
	}
	rewritten := false
	if query != nil && asked.decision == Route {
		if rights, ok := c.session.rights.(Rewriter); ok {
			rewritten = rights.Rewrites(r.Topic, string(query))
		}
	}
	if p.QoS == 2 {
		if !c.session.in.Publish(p.PacketID) {
			l.acknowledge(c, p, mqtt.Success) // a repetition [MQTT-4.3.3-2]
			return nil
		}
		if c.five == nil && c.session.in.Len() > c.profile.MaxReceived {
			c.session.in.Release(p.PacketID)
			return &mqtt.MalformedError{Field: "packet identifier", Code: mqtt.ReceiveMaximumExceeded,
				Reason: fmt.Sprintf("more than %d QoS 2 messages are not released", c.profile.MaxReceived)}
		}
	}

	l.traceAccepted(c, r.Topic, p)
	if p.QoS > 0 && asked.actor != c.session.key {
		c.own(p.PacketID, asked.actor)
	}
	pub := &l.pub
	*pub = publication{
		topic: r.Topic, payload: p.Payload, qos: p.QoS, from: c.session, publisher: asked.actor,
		retain: p.Retain && !c.profile.Device, noEcho: asked.decision == System,
		publishedMS: l.nowMS(),
	}
	if c.version == mqtt.V5 {
		l.extra = forwarded(l.extra[:0], p.Properties)
		pub.properties = l.extra
		if v, ok := p.Properties.Uint32(mqtt.PropMessageExpiryInterval); ok {
			pub.expiresMS = pub.publishedMS + int64(v)*1000
		}
	} else if f.Raw[0] == 0x30 && query == nil && len(f.Raw) == 1+varintSize(len(f.Body))+len(f.Body) {
		pub.frame = f.Raw // a length in its shortest form, which some devices do not send, suits every receiver
	}

	if asked.decision == System || rewritten || p.QoS == 2 && c.session.durable.Load() {
		pub.x = l.newExchange(c)
	}
	from := 0
	if p.QoS == 2 && c.session.durable.Load() {
		cm := l.pending()
		l.identify(c.session)
		from, pub.exact = cm.batch.Bytes(), true
		cm.batch.PutReceived(c.session.id, p.PacketID)
		pub.x.hold()
		cm.exchanges = append(cm.exchanges, pub.x)
	}
	if pub.retain {
		l.retain(pub)
	}
	if !rewritten {
		l.route(pub, r)
		if pub.tie != nil {
			l.pending().batch.Tie(pub.tie, from)
		}
		if pub.frame != nil && pub.x == nil && !r.Once() {
			l.follow = l.planOf(r).sole
		}
	}
	if asked.decision == System || rewritten {
		x := pub.x
		x.Key, x.Principal, x.ClientID = c.session.key, c.principal, c.clientID
		x.Topic, x.Query, x.Payload, x.Properties = r.Topic, string(query), p.Payload, pub.properties
		if len(pub.properties) > 0 {
			x.correlate(pub.properties)
		}
		x.QoS, x.Dup, x.Time = p.QoS, p.Dup, l.now()
		x.hold()
		l.b.handler.Handle(x)
	}

	switch x := pub.x; {
	case x == nil:
		l.acknowledge(c, p, mqtt.Success)
	case p.QoS > 0:
		x.owed = true
		x.QoS, x.id = p.QoS, p.PacketID
		x.ticket = c.acks.Push(session.Ack{Type: ackOf(p.QoS), ID: p.PacketID})
		x.release(l)
	default:
		x.release(l)
	}
	return nil
}

// levels is how many levels a topic has.
func levels(topic []byte) int { return 1 + bytes.Count(topic, []byte{'/'}) }

func ackOf(qos byte) mqtt.Type {
	if qos == 2 {
		return mqtt.PUBREC
	}
	return mqtt.PUBACK
}

// acknowledge answers a PUBLISH that needs nothing more. A 3.1.1 client cannot be
// told that it has no right to a topic: the message is acknowledged and dropped
// (spec/topics.md §9).
func (l *loop) acknowledge(c *client, p *mqtt.Publish, code mqtt.ReasonCode) {
	if p.QoS == 0 {
		return
	}
	if c.version != mqtt.V5 {
		code = mqtt.Success
	}
	c.acknowledge(ackOf(p.QoS), p.PacketID, code)
}

// forwarded appends the properties that go on to receivers unaltered
// [MQTT-3.3.2-4], [MQTT-3.3.2-15] … [MQTT-3.3.2-20].
func forwarded(dst []byte, p mqtt.Properties) []byte {
	out := mqtt.Properties(dst)
	p.Each(func(prop mqtt.Property) bool {
		switch prop.ID {
		case mqtt.PropPayloadFormatIndicator:
			out = mqtt.AppendByteProperty(out, prop.ID, byte(prop.Number))
		case mqtt.PropContentType, mqtt.PropResponseTopic, mqtt.PropCorrelationData:
			out = mqtt.AppendBinaryProperty(out, prop.ID, prop.Value)
		case mqtt.PropUserProperty:
			out = mqtt.AppendUserProperty(out, prop.Name, prop.Value)
		}
		return true
	})
	return out
}

// route delivers a publication to everybody its topic has.
func (l *loop) route(p *publication, r *topics.Route[*Session]) {
	pl := l.planOf(r)
	if pl.empty {
		if !p.noEcho { // what the handler takes is not lost
			l.drop(DropNoReceiver, p.publisher, p.topic, p.qos, len(p.payload))
		}
		return
	}
	for i, targets := range pl.byLoop {
		if len(targets) == 0 {
			continue
		}
		if i != l.index {
			l.need(p, pl.lasting[i])
			l.hand(i, p, targets, pl.once, nil, pl.lasting[i])
			continue
		}
		for t := range targets {
			l.deliver(p, &targets[t])
		}
	}
	if pl.implicit != "" && !p.elsewhere {
		l.toDevice(p, pl.implicit)
	}
	for _, g := range r.Shared {
		l.deliverShared(p, g)
	}
}

// toSession delivers to one session on whatever loop it lives.
func (l *loop) toSession(p *publication, s *Session) {
	if s.home == l {
		l.deliverTo(p, s, p.qos, false, nil)
		return
	}
	l.need(p, true)
	l.hand(s.home.index, p, nil, false, s, true)
}

// need makes sure that an acknowledgement can wait for a lasting delivery.
func (l *loop) need(p *publication, lasting bool) {
	if lasting && p.qos > 0 && p.x == nil && p.from != nil && p.from.client != nil && p.from.home == l {
		p.x = l.newExchange(p.from.client)
	}
}

// onAck takes PUBACK, PUBREC, PUBREL and PUBCOMP of a client.
func (l *loop) onAck(c *client, f mqtt.Frame) error {
	var p mqtt.Ack
	if err := p.Decode(f, c.version, c.profile.Tolerance); err != nil {
		return err
	}
	s := c.session
	durable := s.durable.Load()
	switch f.Type {
	case mqtt.PUBACK:
		if seq, ok := s.out.Puback(p.PacketID); ok {
			l.completed(s, seq, durable)
		} else {
			l.acknowledgeCarried(c, p.PacketID)
		}
	case mqtt.PUBREC:
		if p.Code >= mqtt.UnspecifiedError {
			if seq, ok := s.out.Refuse(p.PacketID); ok {
				l.completed(s, seq, durable)
			}
			return nil
		}
		seq, again, ok := s.out.Pubrec(p.PacketID)
		switch {
		case !ok: // unknown: released already, or never sent
			c.sendAck(mqtt.PUBREL, p.PacketID, notFound(c.version))
		case durable && !again:
			cm := l.pending()
			cm.batch.SetState(s.id, queueSeq(seq), queueReleased, p.PacketID)
			cm.replies = append(cm.replies, phaseReply{c, mqtt.PUBREL, p.PacketID})
		default:
			c.sendAck(mqtt.PUBREL, p.PacketID, mqtt.Success)
		}
	case mqtt.PUBREL:
		known := s.in.Release(p.PacketID)
		if c.five != nil {
			c.five.inherited = min(c.five.inherited, s.in.Len())
		}
		switch {
		case !known:
			c.sendAck(mqtt.PUBCOMP, p.PacketID, notFound(c.version))
		case durable && s.id != 0:
			cm := l.pending()
			cm.batch.DeleteReceived(s.id, p.PacketID)
			cm.replies = append(cm.replies, phaseReply{c, mqtt.PUBCOMP, p.PacketID})
		default:
			c.sendAck(mqtt.PUBCOMP, p.PacketID, mqtt.Success)
		}
	case mqtt.PUBCOMP:
		if seq, ok := s.out.Pubcomp(p.PacketID); ok {
			l.completed(s, seq, durable)
		}
	}
	return nil
}

func notFound(v mqtt.Version) mqtt.ReasonCode {
	if v == mqtt.V5 {
		return mqtt.PacketIdentifierNotFound
	}
	return mqtt.Success
}

// completed forgets a message that its client has taken, and sends the next.
func (l *loop) completed(s *Session, seq uint64, durable bool) {
	l.traceDown(s, trace.Acknowledged, "", session.PacketID(seq), 1, 0)
	if durable && s.id != 0 {
		l.pending().batch.Delete(s.id, queueSeq(seq))
		s.unstore()
	}
	s.land(seq)
	l.pump(s)
	s.weigh()
	if c := s.client; c != nil && c.replays != nil {
		l.replay(c)
	}
}

// Message is a publication of the server itself.
type Message struct {
	Topic   string
	Payload []byte
	// Properties are the application's, for receivers that speak 5.0: Payload Format
	// Indicator, Content Type, Response Topic, Correlation Data and user properties.
	Properties mqtt.Properties
	QoS        byte // 0 or 1
	Retain     bool
	// Expires is how long the message may wait for its receiver; 0 is the
	// receiver's own limit.
	Expires time.Duration
	// To is the key of the only session that gets it; "" is everybody the topic has.
	// A message with a secret has no other receiver.
	To string
	// Publisher names the origin in records, for example "api".
	Publisher string
}
