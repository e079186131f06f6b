package broker

import (
	"fmt"
	"testing"

	"github.com/linkstead/linkstead/mqtt"
)

// TestRuns: messages that go to another loop in a run reach each kind of receiver
// as they would one by one.
func TestRuns(t *testing.T) {
	const count = 600
	s := mustStart(t, settings{})
	type receiver struct {
		*peer
		version mqtt.Version
		id      uint32
		want    string // prefix of the topics it gets
	}
	var all []receiver
	for i := range 2 * len(s.broker.loops) { // some on each loop
		for _, r := range []receiver{
			{version: mqtt.V311, want: "r/"}, {version: mqtt.V311, want: "r/1/"},
			{version: mqtt.V5, want: "r/"}, {version: mqtt.V5, want: "r/", id: 7},
		} {
			r.peer = s.connect(&mqtt.Connect{Version: r.version, ClientID: fmt.Appendf(nil, "%d-%d-%s-%d", i, r.version, r.want, r.id), CleanStart: true})
			sub := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte(r.want + "#")}}}
			if r.id > 0 {
				sub.Properties = mqtt.AppendSubscriptionIdentifier(nil, r.id)
			}
			r.send(sub.Append(nil, r.version))
			if f, err := r.next(); err != nil || f.Type != mqtt.SUBACK {
				t.Fatalf("%v, %v", f.Type, err)
			}
			all = append(all, r)
		}
	}
	// This one gets its own messages from one filter, and would not from another.
	both := s.connect(&mqtt.Connect{ClientID: []byte("both"), CleanStart: true})
	both.subscribe("r/1/#", 0)
	var block []byte
	for n := range count {
		block = (&mqtt.Publish{Topic: fmt.Appendf(nil, "r/%d/%d", n/50%2, n%7), Payload: fmt.Appendf(nil, "m%d", n)}).Append(block, mqtt.V311)
	}
	both.send(block)
	all = append(all, receiver{peer: both, version: mqtt.V311, want: "r/1/"})
	for _, r := range all {
		for n := range count {
			if r.want == "r/1/" && n/50%2 == 0 {
				continue
			}
			f, err := r.next()
			var m mqtt.Publish
			if err == nil {
				err = m.Decode(f, r.version, 0)
			}
			want := fmt.Sprintf("r/%d/%d m%d", n/50%2, n%7, n)
			if got := fmt.Sprintf("%s %s", m.Topic, m.Payload); err != nil || got != want || m.QoS != 0 || m.Retain {
				t.Fatalf("version %v, %s#: %v, %q, want %q", r.version, r.want, err, got, want)
			}
			id := uint32(0)
			for v := range m.Properties.SubscriptionIdentifiers() {
				id = v
			}
			if id != r.id {
				t.Fatalf("subscription identifier %d, want %d", id, r.id)
			}
		}
	}
	want := uint64(0)
	for _, r := range all {
		want += count
		if r.want == "r/1/" {
			want -= count / 2
		}
	}
	if got := s.broker.Stats().Delivered; got != want {
		t.Errorf("%d are counted as delivered, want %d", got, want)
	}
	for k := range kinds {
		for _, f := range s.broker.Figures().Out[k] {
			if f.Type == mqtt.PUBLISH.String() {
				want -= f.Packets
			}
		}
	}
	if want != 0 {
		t.Errorf("PUBLISH packets are off by %d", int64(want))
	}
}

// TestBursts: what repeats the topic of the message before goes along with it, and
// what differs in anything does not: all arrives, in order, and is counted.
func TestBursts(t *testing.T) {
	s := mustStart(t, settings{})
	pub := s.connect(&mqtt.Connect{ClientID: []byte("p"), CleanStart: true})
	for i := range 2 * len(s.broker.loops) { // receivers on the publisher's loop and on others
		for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			topic := fmt.Sprintf("b/%d/%d", i, version)
			sub := s.connect(&mqtt.Connect{Version: version, ClientID: []byte(topic), CleanStart: true})
			filter := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte(topic + "/#"), QoS: 1}}}
			sub.send(filter.Append(nil, version))
			if f, err := sub.next(); err != nil || f.Type != mqtt.SUBACK {
				t.Fatalf("%v, %v", f.Type, err)
			}
			var block []byte
			var want []mqtt.Publish
			for n := range 200 {
				m := mqtt.Publish{Topic: []byte(topic), Payload: fmt.Appendf(nil, "%d%*s", n, n%150, "")}
				switch n % 20 {
				case 7:
					m.Topic[0] = 'o' // as long as the other, and nobody's
				case 11:
					m.Topic = append(m.Topic, "/y"...)
				case 13:
					m.QoS, m.PacketID = 1, uint16(n)
				case 17:
					block = mqtt.AppendPingreq(block)
				}
				if m.Topic[0] == 'b' {
					want = append(want, m)
				}
				block = m.Append(block, mqtt.V311)
			}
			before := s.broker.Stats()
			pub.send(block)
			for n, w := range want {
				f, err := sub.next()
				var m mqtt.Publish
				if err == nil {
					err = m.Decode(f, version, 0)
				}
				if err != nil || string(m.Topic) != string(w.Topic) || string(m.Payload) != string(w.Payload) || m.QoS != w.QoS {
					t.Fatalf("%s, message %d: %v, %s %q at QoS %d, want %s %q", topic, n, err, m.Topic, m.Payload, m.QoS, w.Topic, w.Payload)
				}
			}
			after := s.broker.Stats()
			if in, out := after.Received-before.Received, after.Delivered-before.Delivered; in != 200 || out != uint64(len(want)) {
				t.Errorf("%s: %d received and %d delivered, want 200 and %d", topic, in, out, len(want))
			}
		}
	}
}
