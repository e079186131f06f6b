package broker

import (
	"fmt"
	"testing"

	"github.com/linkstead/linkstead/mqtt"
)

// TestPressure: while a loop or the disk is behind, publishers are not read
// from, and all they sent arrives when it has caught up.
func TestPressure(t *testing.T) {
	const payload, count = 64 << 10, 1200
	for _, behind := range []string{"loop", "disk"} {
		t.Run(behind, func(t *testing.T) {
			s := mustStart(t, settings{application: func(p *Profile) { p.MaxOutput, p.MaxQueuedBytes = 1<<30, 1<<30 }})
			sub := s.connect(&mqtt.Connect{ClientID: []byte("s"), CleanStart: behind == "loop"})
			sub.subscribe("t", 1)
			home := s.broker.sessions.get("a:s").home.index
			var p *peer
			for i := 0; p == nil; i++ { // a publisher on another loop
				c := s.connect(&mqtt.Connect{ClientID: fmt.Appendf(nil, "p%d", i), CleanStart: true})
				if s.broker.sessions.get(fmt.Sprintf("a:p%d", i)).home.index != home {
					p = c
				}
			}
			free := make(chan struct{})
			if behind == "loop" {
				s.broker.loops[home].t.Post(task{func() { <-free }})
			} else {
				s.gate.hold()
			}
			m := mqtt.Publish{Topic: []byte("t"), Payload: make([]byte, payload)}
			if behind == "disk" {
				m.QoS = 1
			}
			sent := make(chan error, 1)
			go func() {
				for i := range count {
					if m.QoS > 0 {
						m.PacketID = uint16(i + 1)
					}
					p.conn.Write(m.Append(nil, mqtt.V311))
				}
				sent <- nil
			}()
			for pressing := false; !pressing; { // the event that is awaited
				s.onLoop(1-home, func(l *loop) { pressing = len(l.hindered) > 0 })
			}
			if s.broker.Stats().Pressed == 0 {
				t.Error("pressure is not counted")
			}
			s.onLoop(1-home, func(l *loop) {
				if l.b.loops[home].handed.Load() > maxHanded+5<<20 {
					t.Errorf("%d bytes wait for the loop", l.b.loops[home].handed.Load())
				}
				if n := l.b.submitted.Load(); n > maxSubmitted+maxHanded+10<<20 { // what was handed over before goes there, too
					t.Errorf("%d bytes wait for the disk", n)
				}
			})
			close(free)
			s.gate.open()
			for i := range count {
				f, err := sub.next()
				if err != nil || f.Type != mqtt.PUBLISH {
					t.Fatalf("after %d: %v", i, err)
				}
				if m.QoS > 0 {
					sub.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, uint16(i+2), 0))
				}
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if d := s.recorder.take(); len(d) > 0 {
				t.Errorf("dropped: %+v", d[0])
			}
		})
	}
}
