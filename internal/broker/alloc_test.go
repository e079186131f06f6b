package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/linkstead/linkstead/mqtt"
)

// drain reads and counts bytes on another goroutine until n have come.
func drain(conn net.Conn, n int) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, conn, int64(n))
		done <- err
	}()
	return done
}

// TestAllocations: the way from PUBLISH to its receivers allocates nothing in
// steady state, at QoS 0 and 1, on one loop and across two. What other
// goroutines of the test allocate is the same for any number of messages, so it
// vanishes in the average.
func TestAllocations(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("allocations of the whole process are not counted here")
	}
	for _, loops := range []int{1, 2} {
		for _, qos := range []byte{0, 1} {
			t.Run(fmt.Sprintf("loops=%d/qos=%d", loops, qos), func(t *testing.T) {
				s := mustStart(t, settings{loops: loops})
				sub := s.connect(&mqtt.Connect{ClientID: []byte("s"), CleanStart: true})
				sub.subscribe("t", qos)
				pub := s.connect(&mqtt.Connect{ClientID: []byte("p"), CleanStart: true})
				const burst, rounds = 100, 50
				m := mqtt.Publish{Topic: []byte("t"), QoS: qos, Payload: make([]byte, 100)}
				var frames []byte
				for i := range burst {
					if qos > 0 {
						m.PacketID = uint16(i + 1)
					}
					frames = m.Append(frames, mqtt.V311)
				}
				in := make([]byte, len(frames))
				acks := make([]byte, 4*burst)
				back := make([]byte, 0, 4*burst)
				round := func() {
					pub.conn.Write(frames)
					if _, err := io.ReadFull(sub.conn, in); err != nil {
						t.Fatal(err)
					}
					if qos == 0 {
						return
					}
					if _, err := io.ReadFull(pub.conn, acks); err != nil {
						t.Fatal(err)
					}
					back = back[:0]
					size := len(frames) / burst
					for i := range burst {
						id := binary.BigEndian.Uint16(in[i*size+5:])
						back = mqtt.AppendAck(back, mqtt.PUBACK, mqtt.V311, id, 0)
					}
					sub.conn.Write(back)
				}
				for range rounds {
					round()
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range rounds {
					round()
				}
				runtime.ReadMemStats(&after)
				each := float64(after.Mallocs-before.Mallocs) / (burst * rounds)
				t.Logf("%.4f allocations a message", each)
				if each > 0.02 {
					t.Errorf("%.3f allocations a message, want none", each)
				}
			})
		}
	}
}

// BenchmarkPublish sends 100-byte QoS 0 messages over real sockets to one
// subscriber and to a hundred. ns/op is per delivered message, b.N counts
// deliveries.
func BenchmarkPublish(b *testing.B) {
	for _, fan := range []int{1, 100} {
		b.Run(fmt.Sprintf("fan=%d", fan), func(b *testing.B) {
			s := mustStart(b, settings{application: func(p *Profile) { p.MaxOutput = 1 << 30 }}) // nothing is dropped
			subs := make([]*peer, fan)
			for i := range subs {
				subs[i] = s.connect(&mqtt.Connect{ClientID: fmt.Appendf(nil, "s%d", i), CleanStart: true})
				subs[i].subscribe("t", 0)
			}
			pub := s.connect(&mqtt.Connect{ClientID: []byte("p"), CleanStart: true})
			m := mqtt.Publish{Topic: []byte("t"), Payload: make([]byte, 100)}
			frame := m.Append(nil, mqtt.V311)
			var burst []byte
			for range 100 {
				burst = append(burst, frame...)
			}
			bursts := max(1, b.N/(100*fan))
			b.ReportAllocs()
			b.ResetTimer()
			var waits []<-chan error
			for _, sub := range subs {
				waits = append(waits, drain(sub.conn, bursts*len(burst)))
			}
			for range bursts {
				pub.conn.Write(burst)
			}
			for _, w := range waits {
				if err := <-w; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(bursts*100*fan)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
