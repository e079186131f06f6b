package broker

import (
	"time"

	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// will is what a client wants published when its connection breaks.
type will struct {
	topic      string
	payload    []byte
	properties []byte
	qos        byte
	retain     bool
	expires    uint32 // seconds
	mayExpire  bool   // expires was given
	delay      uint32 // seconds
}

func newWill(w *mqtt.Will) *will {
	out := &will{topic: string(w.Topic), payload: append([]byte(nil), w.Payload...), qos: w.QoS, retain: w.Retain}
	if len(w.Properties) > 0 {
		out.properties = forwarded(nil, w.Properties)
		out.expires, out.mayExpire = w.Properties.Uint32(mqtt.PropMessageExpiryInterval)
		out.delay, _ = w.Properties.Uint32(mqtt.PropWillDelayInterval)
	}
	return out
}

// delayedWill is the will of a session whose connection has ended, until its
// delay has passed or the session ends, or its client is back [MQTT-3.1.3-9].
// It is part of the session's record until it has been published, so a server
// that stops in between publishes it when it is there again.
type delayedWill struct {
	*will
	dueMS int64 // Unix milliseconds
	fired bool  // it is due, whether or not its client is back
	timer *transport.Timer
}

// willRetry is how long the Authority is left alone when it could not say what
// rights the owner of a will has.
const willRetry = time.Second

// delayWill keeps a will for as many seconds.
func (l *loop) delayWill(s *Session, w *will, seconds uint32) {
	s.delay(&delayedWill{will: w, dueMS: l.nowMS() + int64(seconds)*1000})
	l.awaitWill(s)
}

// awaitWill has the will of a session published when it is due.
func (l *loop) awaitWill(s *Session) {
	d := s.rare.will()
	wait := time.Duration(max(d.dueMS-l.nowMS(), 0)) * time.Millisecond
	d.timer = l.t.After(wait, task{func() { l.fireWill(s, d) }})
}

// cancelWill forgets the will of a session whose client is back in time.
func (l *loop) cancelWill(s *Session) {
	if d := s.rare.will(); d != nil && !d.fired {
		d.timer.Stop()
		s.delay(nil)
	}
}

// fireWill publishes a will that has waited.
func (l *loop) fireWill(s *Session, d *delayedWill) {
	if d.fired {
		return
	}
	d.fired = true
	d.timer.Stop()
	l.publishLate(s, d)
}

// publishLate publishes a will whose time has come. The rights its owner had may
// be gone, or, after a restart, never have been known: they are asked for, until
// they are known.
func (l *loop) publishLate(s *Session, d *delayedWill) {
	l.b.authority.Rights(s.owner, func(r Rights, err error) {
		l.t.Post(task{func() {
			if err != nil {
				l.b.logger.Warn("a will has to wait: the rights of its client cannot be looked up", "client", s.key, "error", err)
				l.t.After(willRetry, task{func() { l.publishLate(s, d) }})
				return
			}
			l.publishWill(s, r, d.will, func() {
				if s.rare.will() == d {
					s.delay(nil)
					if s.id != 0 && !s.gone {
						l.store(s)
					}
				}
			})
		}})
	})
}

// publishWill publishes the will of a session whose connection has ended
// [MQTT-3.1.2-8], if its rights of now, nil for none, allow it. done may be nil;
// else it is called when what must keep the message has it.
func (l *loop) publishWill(s *Session, rights Rights, w *will, done func()) {
	if len(w.topic) == 0 || w.topic[0] == '$' || rights == nil || rights.Publish(w.topic) != Route {
		l.drop(DropNotAuthorized, s.key, w.topic, w.qos, len(w.payload))
		if done != nil {
			done()
		}
		return
	}
	if w.retain && len(w.payload) > 0 && l.retainedFull([]byte(w.topic)) {
		l.drop(DropRetainedFull, s.key, w.topic, w.qos, len(w.payload))
		if done != nil {
			done()
		}
		return
	}
	r := l.cache.Lookup([]byte(w.topic))
	p := &publication{
		topic: r.Topic, payload: w.payload, properties: w.properties, qos: w.qos, retain: w.retain,
		publishedMS: l.nowMS(), publisher: s.key,
	}
	if w.mayExpire {
		p.expiresMS = p.publishedMS + int64(w.expires)*1000
	}
	if done != nil {
		p.x = l.newExchange(nil)
		p.x.after = func(mqtt.ReasonCode) { done() }
	}
	if w.retain {
		l.retain(p)
	}
	l.route(p, r)
	if p.x != nil {
		p.x.release(l)
	}
}
