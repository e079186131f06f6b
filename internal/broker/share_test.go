package broker

import (
	"fmt"
	"testing"

	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/mqtt"
)

// chosen is who gets a message, by strategy, without a server.
func chosen(l *loop, g *topics.Group[*Session], p *publication) string {
	if m := l.choose(p, g); m != nil {
		return m.Subscriber.key
	}
	return ""
}

// TestShareSticky: a key stays with its member; the coming and going of others
// moves only the keys that they get or had.
func TestShareSticky(t *testing.T) {
	index := topics.New[*Session]()
	members := make([]*Session, 8)
	for i := range members {
		members[i] = &Session{key: fmt.Sprintf("a:member%d", i)}
		members[i].online.Store(true)
		index.Subscribe("$share/g/#", members[i], 0, 0)
	}
	_, groups := index.Match("t", nil, nil)
	property := func(i int) []byte {
		return mqtt.AppendUserProperty(nil, "order", fmt.Sprint(i))
	}
	for key, message := range map[string]func(i int) *publication{
		"topic":          func(i int) *publication { return &publication{topic: fmt.Sprint("t/", i)} },
		"client":         func(i int) *publication { return &publication{topic: "t", publisher: fmt.Sprint("a:", i)} },
		"property:order": func(i int) *publication { return &publication{topic: "t", properties: property(i)} },
	} {
		t.Run(key, func(t *testing.T) {
			l := &loop{b: &Broker{options: Options{Sharing: Sharing{Strategy: Sticky, Key: key}}}}
			const keys = 8000
			before := make([]string, keys)
			load := make(map[string]int)
			for i := range keys {
				before[i] = chosen(l, groups[0], message(i))
				load[before[i]]++
			}
			for _, m := range members {
				if n := load[m.key]; n < keys/8*3/4 || n > keys/8*5/4 {
					t.Errorf("%s has %d of %d keys", m.key, n, keys)
				}
			}
			away := members[3]
			away.online.Store(false)
			for i := range keys {
				now := chosen(l, groups[0], message(i))
				if now == away.key || before[i] != away.key && now != before[i] {
					t.Fatalf("key %d went from %s to %s when %s left", i, before[i], now, away.key)
				}
			}
			away.online.Store(true)
			for i := range keys {
				if now := chosen(l, groups[0], message(i)); now != before[i] {
					t.Fatalf("key %d did not return to %s", i, before[i])
				}
			}
		})
	}
}

// TestShareNobodyOnline: a persistent session gets what no connected member can
// take, whatever the strategy.
func TestShareNobodyOnline(t *testing.T) {
	index := topics.New[*Session]()
	clean, lasting := &Session{key: "a:clean"}, &Session{key: "a:lasting"}
	lasting.durable.Store(true)
	for _, s := range []*Session{clean, lasting} {
		index.Subscribe("$share/g/t", s, 0, 0)
	}
	_, groups := index.Match("t", nil, nil)
	for _, strategy := range []ShareStrategy{RoundRobin, LeastInFlight, Sticky} {
		l := &loop{b: &Broker{options: Options{Sharing: Sharing{Strategy: strategy}}}}
		for i := range 10 {
			p := &publication{topic: fmt.Sprint(i)}
			if got := chosen(l, groups[0], p); got != lasting.key {
				t.Errorf("strategy %d: %q", strategy, got)
			}
			clean.online.Store(true)
			lasting.load.Store(-1) // less than clean has
			if got := chosen(l, groups[0], p); got != clean.key {
				t.Errorf("strategy %d: %q instead of the one that is connected", strategy, got)
			}
			clean.online.Store(false)
		}
	}
}

// TestShareMemberLeft: a message is on its way to a member on another loop, and
// the member leaves before it arrives. Its publisher has, or will have, the
// acknowledgement, so another member gets it.
func TestShareMemberLeft(t *testing.T) {
	for name, leave := range map[string]func(*server, *peer, func(l *loop)){
		"its session has ended": func(s *server, p *peer, arrive func(l *loop)) {
			home := s.broker.sessions.get("a:" + p.name).home.index
			p.kill()
			s.onLoop(home, arrive)
		},
		"its connection is being closed": func(s *server, p *peer, arrive func(l *loop)) {
			member := s.broker.sessions.get("a:" + p.name)
			s.onLoop(member.home.index, func(l *loop) {
				member.client.close(errDisconnect, mqtt.Success)
				arrive(l)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := mustStart(t, settings{loops: 2})
			left := s.connect(&mqtt.Connect{ClientID: []byte("left"), CleanStart: true})
			left.subscribe("$share/g/t", 2)
			member := s.broker.sessions.get("a:left")
			var group *topics.Group[*Session]
			s.onLoop(0, func(l *loop) { group = l.cache.Lookup([]byte("t")).Shared[0] })
			stays := s.connect(&mqtt.Connect{ClientID: []byte("stays"), CleanStart: true})
			stays.subscribe("$share/g/t", 2)

			leave(s, left, func(l *loop) {
				for i := range byte(3) {
					qos := min(i+1, 2)
					p := &publication{topic: "t", payload: []byte{'1' + i}, qos: qos, publisher: "a:p", publishedMS: l.nowMS()}
					l.deliver(p, &target{s: member, options: topics.Options(2), group: group})
				}
			})
			stays.expect(`PUBLISH t "1" qos1 id=2`, `PUBLISH t "2" qos2 id=3`, `PUBLISH t "3" qos2 id=4`)
		})
	}
}

// TestShareLastMemberLeft: there is nobody to get it, and that is recorded.
func TestShareLastMemberLeft(t *testing.T) {
	s := mustStart(t, settings{loops: 2})
	left := s.connect(&mqtt.Connect{ClientID: []byte("left"), CleanStart: true})
	left.subscribe("$share/g/t", 1)
	member := s.broker.sessions.get("a:left")
	var group *topics.Group[*Session]
	s.onLoop(0, func(l *loop) { group = l.cache.Lookup([]byte("t")).Shared[0] })
	left.kill()
	before := s.broker.Figures().Dropped[DropSessionEnded.String()]
	s.onLoop(member.home.index, func(l *loop) {
		l.deliver(&publication{topic: "t", payload: []byte("1"), qos: 1, publishedMS: l.nowMS()}, &target{s: member, options: 1, group: group})
	})
	if n := s.broker.Figures().Dropped[DropSessionEnded.String()] - before; n != 1 {
		t.Errorf("%d were recorded as dropped", n)
	}
}
