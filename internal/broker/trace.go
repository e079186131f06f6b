package broker

import (
	"github.com/linkstead/linkstead/internal/trace"
	"github.com/linkstead/linkstead/mqtt"
)

// Tracer keeps records of what becomes of devices' messages. Record is called on
// event loops and must not block; it takes the batch and returns an empty one.
type Tracer interface {
	Record(batch []trace.Record) (empty []trace.Record)
}

// maxTraced is how many records a turn gathers before it hands them over.
const maxTraced = 1024

// note adds a record of a device's message to the turn's. The caller has looked
// that it is a device's.
func (l *loop) note(r trace.Record) {
	r.AtMS = l.nowMS()
	l.traced = append(l.traced, r)
	if len(l.traced) >= maxTraced {
		l.handTrace()
	}
}

// handTrace hands the records of the turn over.
func (l *loop) handTrace() {
	if len(l.traced) > 0 {
		l.traced = l.b.options.Tracer.Record(l.traced)
	}
}

// tracing reports whether what becomes of a session's messages is recorded.
func (l *loop) tracing(s *Session) bool { return s.device && l.b.options.Tracer != nil }

// traceAccepted notes a message that a client has published.
func (l *loop) traceAccepted(c *client, topic string, p *mqtt.Publish) {
	if l.tracing(c.session) {
		l.note(trace.Record{Key: l.asked.actor, Event: trace.Accepted, Up: true, Topic: topic, PacketID: p.PacketID, QoS: p.QoS, Bytes: len(p.Payload)})
	}
}

// traceAnswered notes that a client's message is acknowledged to it.
func (l *loop) traceAnswered(c *client, t mqtt.Type, id uint16) {
	if t == mqtt.PUBACK && l.tracing(c.session) {
		l.note(trace.Record{Key: c.session.key, Event: trace.Acknowledged, Up: true, PacketID: id, QoS: 1})
	}
}

// traceDown notes what becomes of a message for a client.
func (l *loop) traceDown(s *Session, e trace.Event, topic string, id uint16, qos byte, bytes int) {
	if l.tracing(s) {
		l.note(trace.Record{Key: s.key, Event: e, Topic: topic, PacketID: id, QoS: qos, Bytes: bytes})
	}
}

// traceDropped notes messages that are not delivered. The key tells whether they
// are a device's: it may have no session.
func (l *loop) traceDropped(r DropReason, key, topic string, qos byte, bytes, count int) {
	if l.b.options.Tracer == nil || len(key) < 2 || key[:2] != "d:" || r == DropNoReceiver {
		return
	}
	rec := trace.Record{Key: key, Event: trace.Dropped, Topic: topic, QoS: qos, Bytes: bytes, Reason: r.String(), Up: r == DropNotAuthorized || r == DropTopic || r == DropRetainedFull}
	if r == DropExpired {
		rec.Event, rec.Reason = trace.Expired, ""
	}
	if count > 1 {
		rec.Count = count
	}
	l.note(rec)
}

// traceHeld notes that a packet that was held back is sent.
func (l *loop) traceHeld(c *client, packet []byte) {
	if !l.tracing(c.session) {
		return
	}
	var p mqtt.Publish
	f, _, err := mqtt.SplitTolerant(packet, 0, mqtt.TolerateDevices)
	if err == nil && p.Decode(f, c.version, mqtt.TolerateDevices) == nil {
		l.traceDown(c.session, trace.Delivered, string(p.Topic), 0, 0, len(p.Payload))
	}
}
