package broker

import (
	"hash/maphash"
	"strings"

	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/mqtt"
)

// ShareStrategy is how the member of a shared subscription is chosen that gets a
// message.
type ShareStrategy uint8

const (
	// RoundRobin: one after the other.
	RoundRobin ShareStrategy = iota
	// LeastInFlight: the one with the fewest messages that it has not acknowledged.
	LeastInFlight
	// Sticky: always the same for the same key, as long as it is connected. When a
	// member comes or goes, only keys that it gets or had change their member.
	Sticky
)

// Sharing is how messages of shared subscriptions are spread over their members.
// The zero value is round robin.
type Sharing struct {
	Strategy ShareStrategy
	// Key is what Sticky goes by: "topic", which is also meant by "", "client" for
	// the publisher's client identifier, or "property:NAME" for the value of the
	// first user property of that name, the topic if a message has none.
	Key string
}

// share is what a session that has shared subscriptions keeps for them.
type share struct {
	// flying are the QoS 1 messages in flight to a session that ends with its
	// connection, by sequence number: others get them then. Those of persistent
	// sessions are on disk.
	flying map[uint64]item
	bytes  int
}

// deliverShared gives the message to one member of a shared subscription,
// preferably one that is connected.
func (l *loop) deliverShared(p *publication, g *topics.Group[*Session]) {
	chosen := l.choose(p, g)
	if chosen == nil {
		l.drop(DropOffline, "$share/"+g.Name, p.topic, p.qos, len(p.payload))
		return
	}
	s := chosen.Subscriber
	if p.qos > 0 && l.b.options.Sharing.Strategy == LeastInFlight {
		s.load.Add(1) // its loop will know better
	}
	t := target{s: s, options: chosen.Options, id: chosen.ID, group: g}
	if s.home == l {
		l.deliver(p, &t)
		return
	}
	l.need(p, true)
	l.hand(s.home.index, p, []target{t}, true, nil, true)
}

// choose finds the member that gets a message, nil if none can take it: one that
// is connected, or else one that will be again.
func (l *loop) choose(p *publication, g *topics.Group[*Session]) *topics.Entry[*Session] {
	members := g.Members()
	var best *topics.Entry[*Session]
	var bestOnline bool
	var bestRank uint64 // the lower, the better
	var start int
	var key uint64
	how := &l.b.options.Sharing
	if how.Strategy == Sticky {
		key = how.hash(p)
	} else if len(members) > 0 {
		start = int(g.Next() % uint32(len(members)))
	}
	for i := range members {
		m := &members[(start+i)%len(members)]
		s := m.Subscriber
		online := s.online.Load()
		if !online && (bestOnline || !s.durable.Load()) {
			continue
		}
		var rank uint64
		switch how.Strategy {
		case RoundRobin:
			if online {
				return m
			}
		case LeastInFlight:
			rank = uint64(max(s.load.Load(), 0))
		case Sticky:
			rank = mix(key ^ maphash.String(shareSeed, s.key))
		}
		if best == nil || online && !bestOnline || rank < bestRank {
			best, bestOnline, bestRank = m, online, rank
		}
	}
	return best
}

var shareSeed = maphash.MakeSeed()

// hash gives a number that is the same for all messages with the same key.
func (s *Sharing) hash(p *publication) uint64 {
	name, byProperty := strings.CutPrefix(s.Key, "property:")
	switch {
	case byProperty:
		for n, value := range mqtt.Properties(p.properties).UserProperties() {
			if string(n) == name {
				return maphash.Bytes(shareSeed, value)
			}
		}
	case s.Key == "client":
		return maphash.String(shareSeed, p.publisher)
	}
	return maphash.String(shareSeed, p.topic)
}

// mix spreads the bits of a number.
func mix(x uint64) uint64 {
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

// weigh tells all loops how much a member of a shared subscription has to do.
func (s *Session) weigh() {
	if s.rare.share() != nil {
		s.load.Store(int32(max(s.stored, s.out.InFlight()+s.waiting.count())))
	}
}

// joinShare prepares a session for a filter, if it is a shared one.
func (s *Session) joinShare(filter string) {
	if s.rare.share() == nil && strings.HasPrefix(filter, "$share/") {
		s.rarely().shares = new(share)
	}
}

// fly remembers a message that is sent to a session which ends with its
// connection.
func (s *Session) fly(it item) {
	h := s.rare.share()
	if h == nil || it.share == "" || it.qos != 1 || h.bytes+it.bytes() > s.profile.MaxQueuedBytes {
		return
	}
	if h.flying == nil {
		h.flying = make(map[uint64]item)
	}
	h.flying[it.seq] = it
	h.bytes += it.bytes()
}

// land forgets a message that was acknowledged.
func (s *Session) land(seq uint64) {
	if h := s.rare.share(); h != nil {
		if it, some := h.flying[seq]; some {
			h.bytes -= it.bytes()
			delete(h.flying, seq)
		}
	}
}

// orphans takes out of a session that ends with its connection what other members
// of its shared subscriptions may get (4.8.2): what was not sent, and at QoS 1
// what was not acknowledged. At QoS 2 what was sent is lost rather than delivered
// twice [MQTT-4.8.2-5].
func (s *Session) orphans() (list []item) {
	h := s.rare.share()
	if h == nil || s.durable.Load() {
		return nil
	}
	oldest, _ := s.out.Oldest()
	for seq := oldest; len(h.flying) > 0 && seq <= s.seq; seq++ {
		if it, some := h.flying[seq]; some {
			list = append(list, it)
			s.land(seq)
		}
	}
	for _, it := range s.waiting.waits() {
		if it.share != "" {
			list = append(list, it)
		}
	}
	return list
}

// passOn gives a message to another member of the shared subscription that t was
// chosen from: while the message was on its way between loops the session ended.
// It reports false if there is nobody else, or t is of no shared subscription.
func (l *loop) passOn(p *publication, t *target) bool {
	if t == nil || t.group == nil {
		return false
	}
	// The member that is gone has left the index, so this comes to an end.
	for _, g := range l.cache.Lookup([]byte(p.topic)).Shared {
		if g.Text == t.group.Text && len(g.Members()) > 0 {
			l.deliverShared(p, g)
			return true
		}
	}
	return false
}

// adopt gives what a member of a shared subscription leaves behind to another
// one. It reports false if the subscription has no members any more, and nobody
// gets it. x may be nil; else it holds back until what must keep the message has it.
func (l *loop) adopt(it *item, x *Exchange) bool {
	r := l.cache.Lookup([]byte(it.topic))
	for _, g := range r.Shared {
		if g.Text != it.share || len(g.Members()) == 0 {
			continue
		}
		p := &publication{
			topic: r.Topic, payload: it.payload, properties: it.properties, qos: it.qos, retain: it.retain,
			publishedMS: l.nowMS(), publisher: it.publisher, x: x,
			keptPayload: it.payload, keptProperties: it.properties, kept: true,
		}
		if !it.ownLimit {
			p.expiresMS = it.expiresMS
		}
		l.deliverShared(p, g)
		return true
	}
	return false
}
