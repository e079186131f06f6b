package broker

import (
	"fmt"
	"testing"

	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/mqtt"
)

// TestPassingTopics: messages to topics whose routes are not kept reach whom they
// are for, on the publisher's loop and on others, many in a turn.
func TestPassingTopics(t *testing.T) {
	const clients, rounds = 40, 25
	s := mustStart(t, settings{})
	for i, l := range s.broker.loops {
		s.onLoop(i, func(*loop) { l.cache = topics.NewCache(s.broker.index, 1, 1<<20) })
	}
	subs := make([]*peer, clients)
	for i := range subs {
		subs[i] = s.connect(&mqtt.Connect{ClientID: fmt.Appendf(nil, "s%d", i), CleanStart: true})
		subs[i].subscribe(fmt.Sprintf("own/%d/+", i), 1)
		subs[i].subscribe("all/#", 0)
	}
	pub := s.connect(&mqtt.Connect{ClientID: []byte("p"), CleanStart: true})
	var block []byte
	id := uint16(0)
	for r := range rounds {
		for i := range clients {
			id++
			block = (&mqtt.Publish{Topic: fmt.Appendf(nil, "own/%d/%d", i, r), QoS: 1, PacketID: id, Payload: fmt.Appendf(nil, "%d of %d", r, i)}).Append(block, mqtt.V311)
		}
		block = (&mqtt.Publish{Topic: fmt.Appendf(nil, "all/%d", r), Payload: fmt.Appendf(nil, "%d of all", r)}).Append(block, mqtt.V311)
	}
	pub.send(block)
	for i, sub := range subs {
		for r := range rounds {
			for _, want := range []string{fmt.Sprintf("own/%d/%d %d of %d", i, r, r, i), fmt.Sprintf("all/%d %d of all", r, r)} {
				f, err := sub.next()
				var m mqtt.Publish
				if err == nil {
					err = m.Decode(f, mqtt.V311, 0)
				}
				if got := fmt.Sprintf("%s %s", m.Topic, m.Payload); err != nil || got != want {
					t.Fatalf("client %d, round %d: %v, %q, want %q", i, r, err, got, want)
				}
				if m.QoS > 0 {
					sub.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, m.PacketID, 0))
				}
			}
		}
	}
	if n := s.broker.loops[0].cache.Len(); n > 1 {
		t.Errorf("%d routes are kept", n)
	}
}
