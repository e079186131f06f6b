package broker

import (
	"sync"
	"sync/atomic"

	"github.com/linkstead/linkstead/internal/session"
	"github.com/linkstead/linkstead/internal/trace"
	"github.com/linkstead/linkstead/mqtt"
)

// A sub-device has a session of its own, with its subscriptions and its queue,
// but no connection: a gateway's carries it (spec/gateway.md §9). While it does,
// the session is online and what it gets leaves on the gateway's connection under
// the sub-device's topics. A message at QoS 1 stays in the sub-device's queue
// until the gateway has acknowledged it; when the gateway goes it waits there
// until the sub-device is back, by whatever way.
//
// Both sessions keep their homes. What crosses loops is posted, always first to
// the gateway's loop and from there to the sub-device's, so that carrying and
// ending it happen in the order in which they were asked for.

// Carrier is a Rights whose client speaks for other sessions too.
type Carrier interface {
	// ActsFor names the carried session that a topic or filter belongs to, "" if it
	// is the client's own or of nobody that it carries.
	ActsFor(topic string) (key string)
}

// carriage is one gateway's connection carrying one session. It is not changed
// once made.
type carriage struct {
	client    *client
	loop      *loop // of client
	principal any   // of client
	gateway   string
	shared    *carrying // of client
	sinceMS   int64
}

// carrying is what a connection keeps of the sessions it carries.
type carrying struct {
	sessions map[string]*carriage // by key
	inflight map[uint16]carriedMessage
	nextID   uint16
	// window is the most in flight over the connection, its own messages included,
	// and limit the most of carried sessions; held are those that wait for that.
	window, limit int
	held          []heldMessage

	bytes   atomic.Int64 // on their way, for all sessions
	mu      sync.Mutex
	waiting []*Session // sessions that have more to send when bytes are fewer
}

// carriedMessage is a QoS 1 message that awaits the gateway's PUBACK.
type carriedMessage struct {
	s     *Session
	via   *carriage
	seq   uint64
	bytes int64
}

// heldMessage is a carried message that waits for its turn on the connection.
type heldMessage struct {
	carriedMessage
	it  item
	dup bool
}

const (
	// carriedWindow is the most QoS 1 messages in flight to one carried session.
	carriedWindow = 8
	// carriedBytes is how much may be in flight over one connection to all of them.
	carriedBytes = 4 << 20
)

// Carry lets a connection carry another session: a gateway has logged a
// sub-device in. principal is the gateway's, of the connection that asked. clean
// discards what waits for the session. A connection or a carriage that the session
// had before ends. done is called once, later, on an event loop; it reports false if
// the gateway's connection is gone. Carry may be called from any goroutine.
func (b *Broker) Carry(gateway string, principal any, key string, rights Rights, profile *Profile, clean bool, done func(carried bool)) {
	g := b.sessions.get(gateway)
	if g == nil {
		b.loops[0].t.Post(task{func() { done(false) }})
		return
	}
	g.home.t.Post(task{func() {
		l, c := g.home, g.client
		if c == nil || c.closed || c.principal != principal {
			done(false)
			return
		}
		if c.carrying == nil {
			c.carrying = newCarrying(c)
		}
		v := &carriage{client: c, loop: l, principal: principal, gateway: gateway, shared: c.carrying, sinceMS: l.nowMS()}
		c.carrying.sessions[key] = v
		b.carryIn(l, v, key, rights, profile, clean, done)
	}})
}

func newCarrying(c *client) *carrying {
	k := &carrying{sessions: make(map[string]*carriage), inflight: make(map[uint16]carriedMessage), window: 1 << 14, limit: 1 << 14}
	if c.version == mqtt.V5 {
		// Its Receive Maximum holds for everything on the connection [MQTT-3.3.4-9], so
		// half of the window goes to what it carries.
		out := &c.session.out
		k.window = out.Window()
		k.limit = max(k.window-k.window/2, 1)
		out.SetWindow(k.window / 2)
	}
	return k
}

// carryIn goes on with Carry on the loop of the carried session, which it makes if
// there is none. l is the loop it is called on.
func (b *Broker) carryIn(l *loop, v *carriage, key string, rights Rights, profile *Profile, clean bool, done func(bool)) {
	s, _ := b.sessions.getOrPut(key, func() *Session {
		return &Session{key: key, owner: key, home: l, device: profile.Device, profile: profile}
	})
	if s.home != l {
		s.home.t.Post(task{func() { b.carryIn(s.home, v, key, rights, profile, clean, done) }})
		return
	}
	again := func() { b.sessions.remove(s); b.carryIn(l, v, key, rights, profile, clean, done) }
	if s.gone {
		again()
		return
	}
	if old := s.client; old != nil {
		old.close(errTakeover, mqtt.SessionTakenOver)
		l.leave(old)
	}
	if s.via != nil {
		l.putDown(s)
	}
	if s.gone {
		again()
		return
	}
	if clean {
		l.discard(s, false)
	}
	s.via, s.profile, s.rights = v, profile, rights
	s.online.Store(true)
	s.offlineMS = 0
	s.expirySeconds = ^uint32(0)
	if clean {
		s.expirySeconds = 0
	}
	s.out.SetWindow(carriedWindow)
	was := s.durable.Load()
	s.durable.Store(!clean || s.stored > 0)
	if s.durable.Load() || was && s.id != 0 {
		l.store(s)
	}
	done(true)
	if s.durable.Load() {
		s.loaded = s.done
		s.more = s.stored > 0 || s.seq > s.loaded
	}
	if !s.more {
		return
	}
	s.reading = true // as in begin: what was acknowledged last time is deleted first
	l.after(func(error) {
		if s.via == v {
			s.reading = false
			l.pump(s)
		}
	})
}

// PutDown ends the carrying of a session by a connection. done may be nil; it is
// called once, later, on an event loop. PutDown may be called from any goroutine.
func (b *Broker) PutDown(gateway string, principal any, key string, done func()) {
	if done == nil {
		done = func() {}
	}
	onward := func() {
		s := b.sessions.get(key)
		if s == nil {
			b.loops[0].t.Post(task{done})
			return
		}
		s.home.t.Post(task{func() {
			if s.via != nil && s.via.principal == principal {
				s.home.putDown(s)
			}
			done()
		}})
	}
	g := b.sessions.get(gateway)
	if g == nil {
		onward()
		return
	}
	g.home.t.Post(task{func() {
		if c := g.client; c != nil && c.principal == principal && c.carrying != nil {
			delete(c.carrying.sessions, key)
		}
		onward()
	}})
}

// putDownAll ends what a connection carries; it is gone.
func (l *loop) putDownAll(c *client) {
	for key, v := range c.carrying.sessions {
		s := l.b.sessions.get(key)
		if s == nil {
			continue
		}
		if s.home == l {
			if s.via == v {
				l.putDown(s)
			}
			continue
		}
		s.home.t.Post(task{func() {
			if s.via == v {
				s.home.putDown(s)
			}
		}})
	}
	c.carrying = nil
}

// putDown ends the carriage of a session of this loop. What it keeps is what a
// device keeps when its connection ends.
func (l *loop) putDown(s *Session) {
	s.via = nil
	s.online.Store(false)
	s.offlineMS = l.nowMS()
	waiting := s.forget()
	s.more, s.reading = false, false
	if s.durable.Load() && s.expirySeconds != 0 {
		if s.id != 0 {
			l.store(s)
		}
		return
	}
	if s.durable.Load() {
		l.discard(s, false)
	} else {
		l.dropAll(DropSessionEnded, s.key, waiting)
	}
	s.durable.Store(false)
	if s.id == 0 && len(s.subs.list) == 0 {
		l.end(s)
	}
}

// deliverCarried gives a publication to a carried session of this loop.
func (l *loop) deliverCarried(p *publication, s *Session, qos byte, t *target) {
	v := s.via
	switch {
	case qos == 0:
		l.traceDown(s, trace.Delivered, p.topic, 0, 0, len(p.payload))
		if v.loop == l {
			l.deliverTo(p, v.client.session, 0, false, nil)
			return
		}
		payload, properties := p.keep()
		topic, publishedMS, expiresMS, publisher := p.topic, p.publishedMS, p.expiresMS, p.publisher
		v.loop.t.Post(task{func() {
			g := v.client.session
			if g == nil || g.client != v.client {
				v.loop.drop(DropOffline, s.key, topic, 0, len(payload))
				return
			}
			v.loop.deliverTo(&publication{topic: topic, payload: payload, properties: properties, publishedMS: publishedMS,
				expiresMS: expiresMS, publisher: publisher, keptPayload: payload, keptProperties: properties, kept: true}, g, 0, false, nil)
		}})
	case s.durable.Load():
		before := s.seq
		l.enqueue(p, s, 1, false, t)
		if s.seq > before {
			s.more = true // it is read when it is on disk
		}
	case s.waiting.count() >= s.profile.MaxQueued || s.waiting.size()+len(p.payload) > s.profile.MaxQueuedBytes:
		l.drop(DropQueueFull, s.key, p.topic, 1, len(p.payload))
	default:
		s.seq++
		s.committed = s.seq
		l.traceDown(s, trace.Queued, p.topic, session.PacketID(s.seq), 1, len(p.payload))
		l.wait(s, p, s.seq, 1, false, t)
		l.pumpCarried(s)
	}
}

// pumpCarried is pump for a carried session.
func (l *loop) pumpCarried(s *Session) {
	v, durable := s.via, s.durable.Load()
	k := v.shared
	for {
		it := s.waiting.peek()
		if it == nil {
			if s.more && !s.reading {
				l.read(s)
			}
			return
		}
		if durable && it.seq > s.committed || !s.out.Ready(it.seq) {
			return
		}
		if v.waits(s) {
			return
		}
		m := s.waiting.pop()
		again := m.seq <= s.sent
		if !again && m.expiresMS > 0 && l.nowMS() >= m.expiresMS {
			l.drop(DropExpired, s.key, m.topic, m.qos, len(m.payload))
			if durable && s.id != 0 {
				l.pending().batch.Delete(s.id, queueSeq(m.seq))
				s.unstore()
			}
			continue
		}
		again = again || m.seq <= s.rare.suspected()
		s.sent = max(s.sent, m.seq)
		s.out.Send(m.seq, 1)
		size := int64(m.bytes())
		k.bytes.Add(size)
		l.traceDown(s, trace.Delivered, m.topic, session.PacketID(m.seq), 1, len(m.payload))
		cm := carriedMessage{s: s, via: v, seq: m.seq, bytes: size}
		if v.loop == l {
			l.sendCarried(cm, &m, again)
			continue
		}
		v.loop.t.Post(task{func() { v.loop.sendCarried(cm, &m, again) }})
	}
}

// waits reports whether too much is on its way over the connection; the session
// is pumped again when it is less.
func (v *carriage) waits(s *Session) bool {
	k := v.shared
	if k.bytes.Load() < carriedBytes {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bytes.Load() < carriedBytes {
		return false
	}
	k.waiting = append(k.waiting, s)
	return true
}

// sendCarried writes a QoS 1 message of a carried session, on the connection's
// loop, when its turn has come.
func (l *loop) sendCarried(m carriedMessage, it *item, dup bool) {
	c := m.via.client
	if c.closed || c.session == nil || c.session.client != c || c.carrying == nil {
		return // the session is being put down, and the message stays in its queue
	}
	c.carrying.held = append(c.carrying.held, heldMessage{m, *it, dup})
	l.sendHeld(c)
}

// sendHeld writes carried messages as far as the window allows.
func (l *loop) sendHeld(c *client) {
	k := c.carrying
	for len(k.held) > 0 && len(k.inflight) < k.limit && len(k.inflight)+c.session.out.InFlight() < k.window {
		h := k.held[0]
		k.held[0] = heldMessage{}
		if k.held = k.held[1:]; len(k.held) == 0 {
			k.held = nil
		}
		it := &h.it
		m := packet{topic: it.topic, qos: 1, dup: h.dup, payload: it.payload, properties: it.properties}
		if !it.ownLimit {
			m.expiresMS = it.expiresMS
		}
		if !c.fits(&m) {
			l.drop(DropTooLarge, h.s.key, it.topic, 1, len(it.payload))
			l.carriedDone(k, h.carriedMessage)
			continue
		}
		id := c.carriedID()
		k.inflight[id] = h.carriedMessage
		l.stats.delivered.add(1)
		c.end(l.appendTo(c.begin(), c, &m, id))
	}
}

// carriedID gives a packet identifier that is in flight neither for a carried
// session nor for the connection's own. Its own are consecutive, so one from half
// way round is out of their reach.
func (c *client) carriedID() uint16 {
	k := c.carrying
	far := uint32(session.PacketID(c.session.seq)) + 32_000
	for {
		k.nextID = (k.nextID + 1) % 16_384
		id := uint16((far+uint32(k.nextID))%65_535) + 1
		if _, taken := k.inflight[id]; !taken {
			return id
		}
	}
}

// acknowledgeCarried takes a PUBACK for a message of a carried session.
func (l *loop) acknowledgeCarried(c *client, id uint16) {
	k := c.carrying
	if k == nil {
		return
	}
	m, known := k.inflight[id]
	if !known {
		return
	}
	delete(k.inflight, id)
	l.carriedDone(k, m)
	if c.carrying == k {
		l.sendHeld(c)
	}
}

// carriedDone tells a carried session that a message of it is completed, and those
// that waited for room that there is some.
func (l *loop) carriedDone(k *carrying, m carriedMessage) {
	var wake []*Session
	if k.bytes.Add(-m.bytes) < carriedBytes {
		k.mu.Lock()
		wake, k.waiting = k.waiting, nil
		k.mu.Unlock()
	}
	l.on(m.s, func(h *loop) {
		if m.s.via != m.via {
			return
		}
		if seq, ok := m.s.out.Puback(session.PacketID(m.seq)); ok {
			h.completed(m.s, seq, m.s.durable.Load())
		}
	})
	for _, s := range wake {
		l.on(s, func(h *loop) { h.pump(s) })
	}
}

// on runs f on the loop of a session: now if it is this one.
func (l *loop) on(s *Session, f func(h *loop)) {
	if s.home == l {
		f(l)
		return
	}
	s.home.t.Post(task{func() { f(s.home) }})
}

// actor names the session that a publication of a client belongs to.
func (c *client) actor(topic string) string {
	if c.carrying != nil {
		if r, ok := c.session.rights.(Carrier); ok {
			if key := r.ActsFor(topic); key != "" {
				return key
			}
		}
	}
	return c.session.key
}

// carriedFilter is a filter of a SUBSCRIBE or UNSUBSCRIBE that belongs to a
// carried session; at is where its code goes.
type carriedFilter struct {
	subscription
	at int
}

// carriedFilters gathers the filters that belong to carried sessions, by session.
type carriedFilters map[string][]carriedFilter

// take reports whether a filter belongs to a carried session, and keeps it then.
func (m *carriedFilters) take(c *client, sub subscription, at int) bool {
	key := c.actor(sub.filter)
	if key == c.session.key {
		return false
	}
	if *m == nil {
		*m = make(carriedFilters)
	}
	(*m)[key] = append((*m)[key], carriedFilter{sub, at})
	return true
}

// carriedAck is a SUBACK or UNSUBACK that waits for carried sessions and, if the
// packet changes the gateway's own session too, for that.
type carriedAck struct {
	client *client
	ticket uint64
	left   int
	code   mqtt.ReasonCode
}

func (a *carriedAck) one() {
	if a.left--; a.left > 0 || a.client.closed {
		return
	}
	a.client.acks.Complete(a.ticket, a.code)
	a.client.sendAcks()
}

// subscribedCarried is subscribed for a packet with filters of carried sessions:
// each changes on its own loop, and the acknowledgement leaves when all are on
// disk.
func (l *loop) subscribedCarried(c *client, s *Session, ack session.Ack, changed bool, fresh []string, others carriedFilters) {
	a := &carriedAck{client: c, ticket: c.acks.Push(ack), left: len(others)}
	if changed {
		a.left++
		l.store(s)
		l.after(func(err error) {
			if err != nil {
				a.code = mqtt.ImplementationSpecificError
				l.takeBack(s, fresh)
			}
			a.one()
		})
	}
	for key, filters := range others {
		v := c.carrying.sessions[key]
		other := l.b.sessions.get(key)
		if v == nil || other == nil {
			for _, f := range filters {
				ack.Codes[f.at] = refusalOf(c.version, mqtt.NotAuthorized)
			}
			a.one()
			continue
		}
		l.on(other, func(h *loop) {
			codes := make([]mqtt.ReasonCode, len(filters))
			var fresh []string
			for i, f := range filters {
				switch {
				case other.via != v:
					codes[i] = refusalOf(c.version, mqtt.NotAuthorized)
				case ack.Type == mqtt.UNSUBACK:
					codes[i] = mqtt.NoSubscriptionExisted
					if other.subs.remove(f.filter) {
						h.b.index.Unsubscribe(f.filter, other)
						codes[i] = mqtt.Success
					}
				case len(other.subs.list) >= other.profile.MaxSubscriptions && other.subs.find(f.filter) < 0:
					codes[i] = refusalOf(c.version, mqtt.QuotaExceeded)
				default:
					if !other.subs.put(f.subscription) {
						fresh = append(fresh, f.filter)
					}
					h.b.index.Subscribe(f.filter, other, f.options, f.id)
					codes[i] = mqtt.GrantedQoS1
				}
			}
			h.store(other)
			h.after(func(err error) {
				if err != nil {
					h.takeBack(other, fresh)
				}
				l.back(h, func() {
					if err != nil {
						a.code = mqtt.ImplementationSpecificError
					}
					for i, f := range filters {
						if f.at < len(ack.Codes) {
							ack.Codes[f.at] = codes[i]
						}
					}
					a.one()
				})
			})
		})
	}
}

// back runs f on l, coming from another loop or this one.
func (l *loop) back(from *loop, f func()) {
	if from == l {
		f()
		return
	}
	l.t.Post(task{f})
}
