package broker

import (
	"testing"
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// reads gives what each read of a connection brings until the last packet has
// come.
func (p *peer) reads(packets int) (chunks [][]byte) {
	p.s.t.Helper()
	for seen := 0; seen < packets; {
		p.conn.SetReadDeadline(time.Now().Add(patience))
		chunk := make([]byte, 4096)
		n, err := p.conn.Read(chunk)
		if err != nil {
			p.s.t.Fatalf("after %d packets: %v", seen, err)
		}
		chunk = chunk[:n]
		chunks = append(chunks, chunk)
		for len(chunk) > 0 {
			_, n, err := mqtt.Split(chunk, 0)
			if err != nil || n == 0 {
				p.s.t.Fatalf("%x: %v", chunk, err)
			}
			chunk = chunk[n:]
			seen++
		}
	}
	return chunks
}

// withDevice calls f with the device's client on its event loop.
func (s *server) withDevice(id string, f func(l *loop, c *client)) {
	session := s.broker.sessions.get("d:" + id)
	s.onLoop(session.home.index, func(l *loop) { f(l, session.client) })
}

// TestPace: in the first seconds a device gets each packet in a segment of its
// own (spec/connect.md §5), until it sends several at once itself. The gap is an
// hour, so what comes has been let go by the test.
func TestPace(t *testing.T) {
	s := mustStart(t, settings{device: func(p *Profile) { p.Pace, p.PaceFor = time.Hour, 100*time.Hour }})
	connect := mqtt.Connect{Version: mqtt.V311, ClientID: []byte("d"), HasUsername: true, Username: []byte("dev"), CleanStart: true}
	subscribe := mqtt.Subscribe{PacketID: 10, Filters: []mqtt.Subscription{{Filter: []byte("t"), QoS: 1}}}
	ask := mqtt.Publish{Topic: []byte("/sys/d/up/ask"), Payload: []byte("1"), QoS: 1, PacketID: 3}

	d := s.dial("d")
	// one expects a packet, alone, and that others wait.
	one := func(first byte, waiting int) {
		t.Helper()
		chunks := d.reads(1)
		if _, n, _ := mqtt.Split(chunks[0], 0); n != len(chunks[0]) || chunks[0][0] != first {
			t.Fatalf("%x came", chunks)
		}
		for left, deadline := -1, time.Now().Add(patience); left != waiting; {
			s.withDevice("d", func(_ *loop, c *client) { left = len(c.pace.sizes) })
			if time.Now().After(deadline) {
				t.Fatalf("%d packets wait after %x, want %d", left, first, waiting)
			}
		}
	}
	hourLater := func() {
		s.withDevice("d", func(_ *loop, c *client) {
			c.pace.last = c.pace.last.Add(-time.Hour)
			c.pace.release(c)
		})
	}
	d.send(subscribe.Append(connect.Append(nil), mqtt.V311))
	one(0x20, 1) // CONNACK; SUBACK waits
	hourLater()
	one(0x90, 0)
	d.send(ask.Append(nil, mqtt.V311))
	for left := 0; left != 2; {
		s.withDevice("d", func(_ *loop, c *client) { left = len(c.pace.sizes) })
	}
	hourLater()
	one(0x40, 1) // PUBACK; the reply waits
	hourLater()
	one(0x30, 0)
	// Now it pipelines: packets may share a segment, and do not wait.
	d.send(ask.Append(ask.Append(nil, mqtt.V311), mqtt.V311))
	if chunks := d.reads(4); len(chunks) > 2 {
		t.Errorf("after pipelining, four packets came as %x", chunks)
	}
	s.withDevice("d", func(_ *loop, c *client) {
		if c.pace != nil {
			t.Error("pacing has not ended")
		}
	})
}

// TestPaceGap: packets go by themselves, and not before the gap has passed by the
// server's own clock.
func TestPaceGap(t *testing.T) {
	const gap = 40 * time.Millisecond
	s := mustStart(t, settings{device: func(p *Profile) { p.Pace, p.PaceFor = gap, time.Hour }})
	d := s.connect(&mqtt.Connect{ClientID: []byte("d"), HasUsername: true, Username: []byte("dev"), CleanStart: true})
	last := func() (at time.Time) {
		s.withDevice("d", func(_ *loop, c *client) { at = c.pace.last })
		return at
	}
	begun := last()
	ask := mqtt.Publish{Topic: []byte("/sys/d/up/ask"), Payload: []byte("1"), QoS: 1, PacketID: 3}
	d.send(ask.Append(nil, mqtt.V311))
	d.expect("PUBACK 3", `PUBLISH /sys/d/down/ask_reply "re:1"`)
	if took := last().Sub(begun); took < 2*gap {
		t.Errorf("CONNACK, PUBACK and the reply were sent within %v, want %v", took, 2*gap)
	}
}

// TestSettle: what a device has not asked for comes a while after CONNACK; an
// answer to what it sends does not wait.
func TestSettle(t *testing.T) {
	for _, settle := range []time.Duration{150 * time.Millisecond, time.Hour} {
		s := mustStart(t, settings{device: func(p *Profile) { p.Settle = settle }})
		login := mqtt.Connect{ClientID: []byte("d"), HasUsername: true, Username: []byte("dev")}
		d := s.connect(&login)
		d.kill()
		done := make(chan error, 1)
		s.broker.Publish(Message{Topic: "/sys/d/down/set", Payload: []byte("x"), QoS: 1}, func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		d = s.connect(&login)
		s.broker.Publish(Message{Topic: "/sys/d/down/push", Payload: []byte("y")}, nil)
		if settle == time.Hour { // the test lets it pass
			s.synced()
			for range 2 {
				d.send(mqtt.AppendPingreq(nil))
				d.expect("PINGRESP")
			}
			s.withDevice("d", func(l *loop, c *client) { l.begin(c) })
			start = start.Add(-settle)
		}
		d.expect(`PUBLISH /sys/d/down/push "y"`, `PUBLISH /sys/d/down/set "x" qos1 id=2`)
		if took := time.Since(start); took < settle {
			t.Errorf("it came %v after CONNECT", took)
		}
	}
}
