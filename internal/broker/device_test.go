package broker

import (
	"net"
	"testing"
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// reads gives what each read of a connection brings, with the time since the one
// before, until the last packet has come.
func (p *peer) reads(packets int) (chunks [][]byte, gaps []time.Duration) {
	p.s.t.Helper()
	last := time.Now()
	for seen := 0; seen < packets; {
		p.conn.SetReadDeadline(time.Now().Add(patience))
		chunk := make([]byte, 4096)
		n, err := p.conn.Read(chunk)
		if err != nil {
			p.s.t.Fatalf("after %d packets: %v", seen, err)
		}
		chunk = chunk[:n]
		chunks, gaps = append(chunks, chunk), append(gaps, time.Since(last))
		last = time.Now()
		for len(chunk) > 0 {
			_, n, err := mqtt.Split(chunk, 0)
			if err != nil || n == 0 {
				p.s.t.Fatalf("%x: %v", chunk, err)
			}
			chunk = chunk[n:]
			seen++
		}
	}
	return chunks, gaps
}

// TestPace: in the first seconds a device gets each packet in a segment of its
// own (spec/connect.md §5), until it sends several at once itself.
func TestPace(t *testing.T) {
	s := mustStart(t, settings{device: func(p *Profile) { p.Pace, p.PaceFor = 40*time.Millisecond, time.Hour }})
	connect := mqtt.Connect{Version: mqtt.V311, ClientID: []byte("d"), HasUsername: true, Username: []byte("dev"), CleanStart: true}
	subscribe := mqtt.Subscribe{PacketID: 10, Filters: []mqtt.Subscription{{Filter: []byte("t"), QoS: 1}}}
	ask := mqtt.Publish{Topic: []byte("/sys/d/up/ask"), Payload: []byte("1"), QoS: 1, PacketID: 3}

	d := s.dial("d")
	d.send(subscribe.Append(connect.Append(nil), mqtt.V311))
	chunks, _ := d.reads(2)
	if len(chunks) != 2 || chunks[0][0] != 0x20 || chunks[1][0] != 0x90 {
		t.Fatalf("CONNACK and SUBACK came as %x", chunks)
	}
	d.send(ask.Append(nil, mqtt.V311))
	chunks, gaps := d.reads(2)
	if len(chunks) != 2 || chunks[0][0] != 0x40 || chunks[1][0] != 0x30 {
		t.Fatalf("PUBACK and the reply came as %x", chunks)
	}
	if gaps[1] < 20*time.Millisecond { // the reader may have been late for the first
		t.Errorf("only %v lie between PUBACK and the reply", gaps[1])
	}
	// Now it pipelines: packets may share a segment, and do not wait.
	d.send(ask.Append(ask.Append(nil, mqtt.V311), mqtt.V311))
	if chunks, _ = d.reads(4); len(chunks) > 2 {
		t.Errorf("after pipelining, four packets came as %x", chunks)
	}
	s.onLoop(0, func(*loop) {})
	home := s.broker.sessions.get("d:d").home
	s.onLoop(home.index, func(*loop) {
		if s.broker.sessions.get("d:d").client.pace != nil {
			t.Error("pacing has not ended")
		}
	})
}

// TestSettle: what a device has not asked for comes a while after CONNACK; an
// answer to what it sends does not wait.
func TestSettle(t *testing.T) {
	const settle = 150 * time.Millisecond
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
	if err := d.conn.(*net.TCPConn).SetNoDelay(true); err != nil {
		t.Fatal(err)
	}
	d.send(mqtt.AppendPingreq(nil))
	want := []string{"PINGRESP", `PUBLISH /sys/d/down/push "y"`, `PUBLISH /sys/d/down/set "x" qos1 id=2`}
	for i, w := range want {
		f, err := d.next()
		if err != nil {
			t.Fatal(err)
		}
		if got := describe(f, mqtt.V311); got != w {
			t.Fatalf("packet %d is %s, want %s", i, got, w)
		}
		if i > 0 && time.Since(start) < settle {
			t.Errorf("%s came %v after CONNECT", w, time.Since(start))
		}
	}
}
