package broker

import (
	"fmt"
	"testing"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/mqtt"
)

// TestReadAhead: what is on disk before the messages in front of it, because those
// wait for what another loop stores, does not pass them by.
func TestReadAhead(t *testing.T) {
	s := mustStart(t, settings{})
	sub := s.connect(&mqtt.Connect{ClientID: []byte("sub")})
	sub.subscribe("t", 1)
	session := s.broker.sessions.get("a:sub")
	slice := func(through uint64, seqs ...queue.Seq) {
		t.Helper()
		r := &reading{loop: session.home, session: session, through: through}
		for _, seq := range seqs {
			r.items = append(r.items, queue.Item{Seq: seq, Message: queue.Message{Topic: "t", QoS: 1, Payload: fmt.Append(nil, seq)}})
		}
		s.onLoop(session.home.index, func(l *loop) {
			r.client = session.client
			session.reading = true
			session.committed, session.seq = through, 20
			r.Run(l.t)
			if session.loaded > through {
				t.Errorf("of what is on disk up to %d, all up to %d counts as read", through, session.loaded)
			}
		})
	}
	slice(10, 1, 2, 15, 16)
	slice(12, 15, 16) // nothing of it may be taken yet
	slice(20, 13, 14, 15, 16)
	for _, want := range []string{"1", "2", "13", "14", "15", "16"} {
		f, err := sub.next()
		var m mqtt.Publish
		if err == nil {
			err = m.Decode(f, mqtt.V311, 0)
		}
		if err != nil || string(m.Payload) != want {
			t.Fatalf("received %q, %v, want %s", m.Payload, err, want)
		}
		sub.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, m.PacketID, 0))
	}
}
