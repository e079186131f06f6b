package session

import (
	"testing"

	"github.com/linkstead/linkstead/mqtt"
)

// TestAllocations: a session in steady state allocates nothing.
func TestAllocations(t *testing.T) {
	var o Outbound
	o.SetWindow(64)
	seq := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		for range 32 {
			seq++
			o.Send(seq, 1)
		}
		for i := range uint64(32) {
			o.Puback(PacketID(seq - i))
		}
	}); n != 0 {
		t.Errorf("sending and acknowledging 32 messages: %v allocations", n)
	}
	var a Acks
	if n := testing.AllocsPerRun(1000, func() {
		first := a.Push(Ack{Type: mqtt.PUBACK, ID: 1})
		a.Complete(a.Push(Ack{Type: mqtt.PUBACK, ID: 2}), 0)
		a.Complete(first, 0)
		a.Next()
		a.Next()
	}); n != 0 {
		t.Errorf("two acknowledgements: %v allocations", n)
	}
	var in Inbound
	if n := testing.AllocsPerRun(1000, func() {
		in.Publish(1)
		in.Release(1)
	}); n != 0 {
		t.Errorf("receiving at QoS 2: %v allocations", n)
	}
	for range 5000 {
		seq++
		o.window = 10_000
		o.Send(seq, 1)
	}
	o.Reset()
	if o.flights != nil || o.window != 10_000 {
		t.Errorf("Reset keeps %+v, window %d", o.flights, o.window)
	}
}

func BenchmarkOutbound(b *testing.B) {
	var o Outbound
	o.SetWindow(64)
	seq := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		o.Puback(o.Send(seq, 1))
	}
}
