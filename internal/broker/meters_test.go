package broker

import (
	"testing"

	"github.com/linkstead/linkstead/mqtt"
)

// BenchmarkMeter is what counting a packet costs.
func BenchmarkMeter(b *testing.B) {
	l := &loop{}
	c := &client{loop: l, session: &Session{}, profile: &Profile{}}
	m := mqtt.Publish{Topic: []byte("a/b"), QoS: 1, PacketID: 1, Payload: make([]byte, 100)}
	packet := m.Append(nil, mqtt.V311)
	b.ReportAllocs()
	for b.Loop() {
		l.meterIn(c, packet)
	}
}

// TestPacketKinds counts a packet of every first byte where it belongs.
func TestPacketKinds(t *testing.T) {
	for first := range 256 {
		want := first >> 4
		if want == int(mqtt.PUBLISH) {
			want = publishQoS0 + first>>1&3
			if first>>1&3 == 3 {
				want = publishQoS0 // no such QoS: its connection is closed
			}
		}
		if got := packetKind(byte(first)); got != want || got >= packetKinds {
			t.Errorf("% X is of kind %d, want %d", first, got, want)
		}
	}
}

// TestCensus: after a round of the sweep the figures have what is in flight, what
// waits and which sessions persist.
func TestCensus(t *testing.T) {
	const messages = 5
	s := mustStart(t, settings{application: func(p *Profile) { p.Window = 2 }})
	sub := s.connect(&mqtt.Connect{ClientID: []byte("s"), CleanStart: false})
	sub.subscribe("t", 1)
	pub := s.connect(&mqtt.Connect{ClientID: []byte("p"), CleanStart: true})
	for i := range messages {
		m := mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: uint16(i + 1)}
		pub.send(m.Append(nil, mqtt.V311))
		if f, err := pub.next(); err != nil || f.Type != mqtt.PUBACK { // it is on disk
			t.Fatal(f.Type, err)
		}
	}
	for range 2 { // and not acknowledged
		if f, err := sub.next(); err != nil || f.Type != mqtt.PUBLISH {
			t.Fatal(f.Type, err)
		}
	}
	for i := range s.broker.loops {
		s.onLoop(i, func(l *loop) {
			for range l.b.sessions.shards {
				l.sweep()
			}
		})
	}
	f := s.broker.Figures()
	if f.Persistent != 1 || f.InFlight != 2 || f.Waiting != messages-2 || f.QueuedNow != messages || f.Sessions != 2 {
		t.Errorf("persistent %d, in flight %d, waiting %d, queued %d, sessions %d", f.Persistent, f.InFlight, f.Waiting, f.QueuedNow, f.Sessions)
	}
}
