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
