package broker

import (
	"errors"
	"time"

	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// ErrClosed is returned for what comes after the broker was closed.
var ErrClosed = errors.New("the server is shutting down")

// ErrNotStored is returned for a message that the disk did not take.
var ErrNotStored = errors.New("the message could not be stored; look at the disk under the data folder and send it again")

// sending is a publication of the server on its way to a loop.
type sending struct {
	loop *loop
	m    Message
	done func(error)
}

// Publish publishes a message of the server to everybody its topic has: the
// device that a system topic belongs to, and subscribers. The payload must not be
// changed afterwards. done may be nil; otherwise it is called once on an event
// loop, when the message has been handed over or, for a persistent receiver,
// is on disk. Publish may be called from any goroutine.
func (b *Broker) Publish(m Message, done func(error)) {
	l := b.loops[0]
	if b.authority != nil {
		key := m.To
		if key == "" {
			key = b.authority.Implicit(m.Topic)
		}
		if key != "" {
			if s := b.sessions.get(key); s != nil {
				l = s.home
			}
		}
	}
	l.t.Post(&sending{l, m, done})
}

// Run publishes on the loop.
func (q *sending) Run(*transport.Loop) {
	l := q.loop
	m := &q.m
	r := l.cache.Lookup([]byte(m.Topic))
	p := &publication{
		topic: r.Topic, payload: m.Payload, qos: min(m.QoS, 1), retain: m.Retain,
		publishedMS: l.nowMS(), publisher: m.Publisher, keptPayload: m.Payload, kept: true,
	}
	if m.Expires > 0 {
		p.expiresMS = p.publishedMS + m.Expires.Milliseconds()
	}
	if q.done != nil {
		p.x = l.newExchange(nil)
		p.x.after = func(failed mqtt.ReasonCode) {
			if failed != mqtt.Success {
				q.done(ErrNotStored)
				return
			}
			q.done(nil)
		}
	}
	switch s := l.b.sessions.get(m.To); {
	case m.To == "":
		if m.Retain {
			l.retain(p)
		}
		l.route(p, r)
	case s == nil:
		l.drop(DropOffline, m.To, p.topic, p.qos, len(p.payload))
	default:
		l.toSession(p, s)
	}
	if p.x != nil {
		p.x.release(l)
	}
}

// send publishes a message of the server at once, on the loop of the session it
// belongs to.
func (l *loop) send(s *Session, topic, payload []byte, qos byte, x *Exchange) {
	r := l.cache.Lookup(topic)
	p := &l.pub
	*p = publication{topic: r.Topic, payload: payload, qos: qos, publishedMS: l.nowMS(), publisher: "server", reply: true, x: x}
	l.route(p, r)
}

// sendTo sends a message of the server to one session of this loop and to nobody
// else: it holds a secret.
func (l *loop) sendTo(s *Session, topic, payload []byte) {
	p := &l.pub
	*p = publication{topic: string(topic), payload: payload, publishedMS: l.nowMS(), publisher: "server", reply: true}
	l.deliverTo(p, s, 0, false, nil)
}

// Online reports whether the client of a session is connected. It may be called
// from any goroutine.
func (b *Broker) Online(key string) bool {
	s := b.sessions.get(key)
	return s != nil && s.online.Load()
}

// task runs a function on a loop.
type task struct{ f func() }

func (t task) Run(*transport.Loop) { t.f() }

// Disconnect closes the connection of a session, if there is one: its device was
// disabled or deleted, or its user's rights were taken. It may be called from any
// goroutine.
func (b *Broker) Disconnect(key string) { b.DisconnectWith(key, mqtt.AdministrativeAction, errKicked) }

// DisconnectOwner closes the connections of all sessions that belong to an owner
// (Admission.Owner), as Disconnect does. It looks at every session there is. It
// may be called from any goroutine.
func (b *Broker) DisconnectOwner(owner string) {
	var keys []string
	b.sessions.each(func(s *Session) {
		if s.owner == owner && s.online.Load() {
			keys = append(keys, s.key)
		}
	})
	for _, key := range keys {
		b.Disconnect(key)
	}
}

// DisconnectWith closes the connection of a session, if there is one, with a
// reason: a 5.0 client is told the code, which must be one of a DISCONNECT that a
// server sends (MQTT 5.0, 3.14.2.1), and the cause in words; the log and the
// Handler have the cause of any. It may be called from any goroutine.
func (b *Broker) DisconnectWith(key string, code mqtt.ReasonCode, cause error) {
	s := b.sessions.get(key)
	if s == nil {
		return
	}
	s.home.t.Post(task{func() {
		if s.client != nil {
			s.client.close(cause, code)
		}
		if s.via != nil {
			s.home.putDown(s)
		}
	}})
}

// Forget ends a session with everything that waits for it: its device was
// deleted. It may be called from any goroutine.
func (b *Broker) Forget(key string) {
	s := b.sessions.get(key)
	if s == nil {
		return
	}
	l := s.home
	l.t.Post(task{func() {
		if s.gone {
			return
		}
		if c := s.client; c != nil {
			c.close(errKicked, mqtt.AdministrativeAction)
			l.leave(c)
		}
		if s.via != nil {
			l.putDown(s)
		}
		if !s.gone {
			l.end(s)
		}
	}})
}

// SessionInfo is a snapshot of one session.
type SessionInfo struct {
	Key           string    `json:"key"`
	Online        bool      `json:"online"`
	ClientID      string    `json:"clientId,omitempty"`
	Remote        string    `json:"remote,omitempty"`
	Transport     string    `json:"transport,omitempty"`
	Version       string    `json:"version,omitempty"`
	KeepAlive     uint16    `json:"keepAlive"` // seconds
	Clean         bool      `json:"clean"`
	Since         time.Time `json:"since"` // of the connection, or of its end
	Subscriptions []string  `json:"subscriptions"`
	Queued        int       `json:"queued"`
	Via           string    `json:"via,omitempty"` // session of the gateway that carries it
	InFlight      int       `json:"inFlight"`
}

// Session looks a session up. answer is called once from an event loop; nil if
// there is none.
func (b *Broker) Session(key string, answer func(*SessionInfo)) {
	s := b.sessions.get(key)
	if s == nil {
		answer(nil)
		return
	}
	s.home.t.Post(task{func() {
		info := &SessionInfo{Key: s.key, Queued: s.stored, InFlight: s.out.InFlight(), Since: time.UnixMilli(s.offlineMS)}
		if !s.durable.Load() {
			info.Queued = s.waiting.count()
		}
		for _, sub := range s.subs.list {
			info.Subscriptions = append(info.Subscriptions, sub.filter)
		}
		if c := s.client; c != nil {
			info.Online, info.ClientID, info.Remote = true, c.clientID, transport.PeerName(c.conn.RemoteAddr())
			info.Transport, info.Version = c.conn.Kind().String(), c.version.String()
			info.KeepAlive, info.Clean, info.Since = c.keepAlive, c.clean, time.UnixMilli(c.sinceMS)
		}
		if v := s.via; v != nil {
			info.Online, info.Via, info.Since = true, v.gateway, time.UnixMilli(v.sinceMS)
		}
		answer(info)
	}})
}
