package broker

import (
	"hash/fnv"
	"strings"

	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/internal/trace"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// Inbound is a publication of a client that speaks no MQTT: another door than this
// engine's has found out who it is. From here on it goes the way of every other
// publication of the same client: rights, subscribers, handler, records.
type Inbound struct {
	Key       string // session key of the publisher, which may have a session or not
	ClientID  string
	Principal any // comes back in the Exchange
	Rights    Rights
	Profile   *Profile // its limits of topics hold
	Topic     string   // may end in a query, as a device's may
	Payload   []byte   // not to be changed afterwards
	QoS       byte     // 0 or 1
}

// Reply is what the Handler replied to an Inbound.
type Reply struct {
	Topic   string
	Payload []byte
}

// PublishFor publishes a message for a client that is not connected here. done is
// called once, on an event loop, when everything that the message must outlive is on
// disk: with Success and what the Handler replied, or with the reason why the
// message was not taken: ServerShuttingDown, TopicNameInvalid, NotAuthorized, or
// UnspecifiedError if it could not be stored. PublishFor may be called from any
// goroutine.
func (b *Broker) PublishFor(in Inbound, done func(mqtt.ReasonCode, []Reply)) {
	var l *loop
	if s := b.sessions.get(in.Key); s != nil {
		l = s.home // in order with what it publishes by itself
	} else {
		h := fnv.New32a()
		_, _ = h.Write([]byte(in.Key))
		l = b.loops[h.Sum32()%uint32(len(b.loops))]
	}
	l.t.Post(&inbound{Inbound: in, loop: l, done: done})
}

// inbound is an Inbound on its way to a loop.
type inbound struct {
	Inbound
	loop *loop
	done func(mqtt.ReasonCode, []Reply)
}

// Run publishes on the loop. It does what onPublish does, in the same order.
func (in *inbound) Run(*transport.Loop) {
	l := in.loop
	if l.draining || l.b.draining.Load() {
		in.done(mqtt.ServerShuttingDown, nil)
		return
	}
	qos := min(in.QoS, 1)
	l.stats.received.add(1)
	l.stats.receivedSize.add(uint64(len(in.Payload)))
	topic, query, hasQuery := strings.Cut(in.Topic, "?")
	if !in.named(topic) {
		l.drop(DropTopic, in.Key, topic, qos, len(in.Payload))
		in.done(mqtt.TopicNameInvalid, nil)
		return
	}
	decision := Deny
	if topic[0] != '$' {
		decision = in.Rights.Publish(topic)
	}
	if decision == Deny {
		l.drop(DropNotAuthorized, in.Key, topic, qos, len(in.Payload))
		in.done(mqtt.NotAuthorized, nil)
		return
	}
	rewritten := false
	if rights, ok := in.Rights.(Rewriter); ok && hasQuery && decision == Route {
		rewritten = rights.Rewrites(topic, query)
	}
	if l.b.options.Tracer != nil && in.Profile.Device {
		l.note(trace.Record{Key: in.Key, Event: trace.Accepted, Up: true, Topic: topic, QoS: qos, Bytes: len(in.Payload)})
	}
	l.b.show(in.Key, false, topic, in.Payload, l.nowMS())

	r := l.cache.Lookup([]byte(topic))
	x := l.newExchange(nil)
	p := &publication{
		topic: r.Topic, payload: in.Payload, qos: qos, from: l.b.sessions.get(in.Key), publisher: in.Key,
		noEcho: decision == System, publishedMS: l.nowMS(), keptPayload: in.Payload, kept: true, x: x,
	}
	x.after = func(failed mqtt.ReasonCode) { in.finished(x, failed) }
	if !rewritten {
		l.route(p, r)
	}
	if decision == System || rewritten {
		x.Key, x.Principal, x.ClientID = in.Key, in.Principal, in.ClientID
		x.Topic, x.Query, x.Payload = r.Topic, query, in.Payload
		x.QoS, x.Time = qos, l.now()
		x.hold()
		l.b.handler.Handle(x)
	}
	x.release(l)
}

// named reports whether a topic is one, within the publisher's limits.
func (in *inbound) named(topic string) bool {
	if topic == "" || topics.ValidTopic(topic) != nil {
		return false
	}
	if limit := in.Profile.MaxTopicBytes; limit > 0 && len(topic) > limit {
		return false
	}
	if limit := in.Profile.MaxTopicLevels; limit > 0 && 1+strings.Count(topic, "/") > limit {
		return false
	}
	return true
}

// finished tells the door what became of the message. Subscribers get the replies
// as they get those to any client; a session of the publisher does not: it has not
// asked there.
func (in *inbound) finished(x *Exchange, failed mqtt.ReasonCode) {
	l := in.loop
	if failed != mqtt.Success {
		in.done(failed, nil)
		return
	}
	if l.b.options.Tracer != nil && in.Profile.Device && in.QoS > 0 {
		l.note(trace.Record{Key: in.Key, Event: trace.Acknowledged, Up: true, QoS: 1})
	}
	replies := make([]Reply, 0, len(x.replies))
	for _, r := range x.replies {
		topic, payload := string(x.buf[r.topic:r.payload]), append([]byte(nil), x.buf[r.payload:r.end]...)
		replies = append(replies, Reply{topic, payload})
		if r.private {
			continue
		}
		l.b.show(in.Key, true, topic, payload, l.nowMS())
		route := l.cache.Lookup([]byte(topic))
		l.route(&publication{topic: route.Topic, payload: payload, publishedMS: l.nowMS(), publisher: "server", reply: true,
			from: l.b.sessions.get(in.Key), noEcho: true, elsewhere: true, keptPayload: payload, kept: true}, route)
	}
	in.done(mqtt.Success, replies)
}

// show passes a message that did not come or go as an MQTT packet to those who
// watch the session, as the packet that it would have been.
func (b *Broker) show(key string, fromServer bool, topic string, payload []byte, nowMS int64) {
	if b.tapCount.Load() == 0 {
		return
	}
	frame := appendPublish(nil, mqtt.V311, publishHeader(0, false, false), topic, 0, nil, nil, payload)
	b.tapMu.Lock()
	defer b.tapMu.Unlock()
	for _, t := range b.taps {
		if t.key == "" || t.key == key {
			t.pass(Traffic{AtMS: nowMS, Key: key, FromServer: fromServer, Version: mqtt.V311, Frame: frame})
		}
	}
}
