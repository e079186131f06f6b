package broker

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// neighbours exchanges messages between pairs of clients.
func (s *server) neighbours(round, pairs, each int) {
	var wg sync.WaitGroup
	for i := range pairs {
		topic := fmt.Sprintf("pair/%d", i)
		sub := s.connect(&mqtt.Connect{ClientID: fmt.Appendf(nil, "s%d-%d", round, i), CleanStart: true})
		sub.subscribe(topic, 1)
		pub := s.connect(&mqtt.Connect{ClientID: fmt.Appendf(nil, "p%d-%d", round, i), CleanStart: true})
		wg.Go(func() {
			m := mqtt.Publish{Topic: []byte(topic), Payload: make([]byte, 100), QoS: 1}
			for n := range each {
				m.PacketID = uint16(n + 1)
				binary.BigEndian.PutUint32(m.Payload, uint32(n))
				pub.conn.Write(m.Append(nil, mqtt.V311))
				var got mqtt.Publish
				f, err := sub.next()
				if err == nil {
					err = got.Decode(f, mqtt.V311, 0)
				}
				if err != nil || binary.BigEndian.Uint32(got.Payload) != uint32(n) {
					s.t.Errorf("pair %d, message %d: %v, %x", i, n, err, f.Raw)
					return
				}
				sub.conn.Write(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, got.PacketID, 0))
				if f, err := pub.next(); err != nil || f.Type != mqtt.PUBACK {
					s.t.Errorf("pair %d, message %d is not acknowledged: %v", i, n, err)
					return
				}
			}
			pub.conn.Close()
			sub.conn.Close()
		})
	}
	wg.Wait()
}

// perTurn counts in every turn of a loop how many QoS 0 messages it takes from
// applications, until it is told to stop, and returns the most.
func (s *server) perTurn(home int) (stop func() (most uint64)) {
	var most, before uint64
	over := false
	var look func(*loop)
	look = func(l *loop) {
		now := l.meters.in[kindApplication].packets[publishQoS0].Load()
		most, before = max(most, now-before), now
		if !over {
			l.t.Post(task{func() { look(l) }})
		}
	}
	s.onLoop(home, func(l *loop) {
		before = l.meters.in[kindApplication].packets[publishQoS0].Load()
		look(l)
	})
	return func() (result uint64) {
		s.onLoop(home, func(*loop) { over, result = true, most })
		return result
	}
}

// TestNeighbours: a subscriber that does not read at all, one that reads 1 KB/s
// and a publisher that sends as fast as it can let the others through between any
// two reads, hold a bounded amount of memory, and lose what they may lose: QoS 0,
// counted and with its reason. What is acknowledged waits for them. How long the
// others wait is measured by bench/neighbours.
func TestNeighbours(t *testing.T) {
	const limit, rounds, pairs, each, kept = 256 << 10, 3, 8, 60, 300
	s := mustStart(t, settings{application: func(p *Profile) { p.MaxOutput = limit }})
	frozen := s.connect(&mqtt.Connect{ClientID: []byte("frozen")})
	frozen.subscribe("flood", 0)
	frozen.subscribe("kept", 1)
	slow := s.connect(&mqtt.Connect{ClientID: []byte("slow"), CleanStart: true})
	slow.subscribe("flood", 0)

	var flooding, over atomic.Bool
	var offenders sync.WaitGroup
	offenders.Go(func() {
		for b := make([]byte, 102); !over.Load(); time.Sleep(100 * time.Millisecond) {
			slow.conn.SetReadDeadline(time.Now().Add(patience))
			slow.conn.Read(b)
		}
	})
	flood := s.connect(&mqtt.Connect{ClientID: []byte("flood"), CleanStart: true})
	offenders.Go(func() {
		m := mqtt.Publish{Topic: []byte("flood"), Payload: make([]byte, 200)}
		var block []byte
		for len(block) < 64<<10 {
			block = m.Append(block, mqtt.V311)
		}
		for !over.Load() {
			if !flooding.Load() {
				time.Sleep(time.Millisecond)
				continue
			}
			flood.conn.SetWriteDeadline(time.Now().Add(patience))
			if _, err := flood.conn.Write(block); err != nil {
				t.Errorf("the flood: %v", err)
				return
			}
		}
	})
	defer offenders.Wait()
	defer over.Store(true)

	most := func(id string) (bytes int) {
		session := s.broker.sessions.get("a:" + id)
		s.onLoop(session.home.index, func(*loop) { bytes = session.client.conn.Buffered() })
		return bytes
	}
	for r := range rounds {
		flooding.Store(false)
		s.neighbours(2*r, pairs, each)
		stop := s.perTurn(s.broker.sessions.get("a:flood").home.index)
		flooding.Store(true)
		s.neighbours(2*r+1, pairs, each)
		if n := stop(); n == 0 || n > readMost/floodPacket+1 {
			t.Errorf("%d messages of the flood were taken in one turn, want at most what one read holds, %d", n, readMost/floodPacket)
		}
		for _, id := range []string{"frozen", "slow"} {
			if n := most(id); n > limit+1<<10 {
				t.Errorf("%d bytes wait for the %s client, want at most %d and a message", n, id, limit)
			}
		}
	}
	flooding.Store(false)

	pub := s.connect(&mqtt.Connect{ClientID: []byte("pub"), CleanStart: true})
	m := mqtt.Publish{Topic: []byte("kept"), QoS: 1, Payload: make([]byte, 200)}
	for i := range kept {
		m.PacketID = uint16(i + 1)
		binary.BigEndian.PutUint32(m.Payload, uint32(i))
		pub.send(m.Append(nil, mqtt.V311))
	}
	for range kept {
		if f, err := pub.next(); err != nil || f.Type != mqtt.PUBACK {
			t.Fatalf("%v %x", err, f.Raw)
		}
	}
	for want := 0; want < kept; { // now it reads
		f, err := frozen.next()
		var got mqtt.Publish
		if err == nil {
			err = got.Decode(f, mqtt.V311, 0)
		}
		if err != nil {
			t.Fatalf("after %d kept messages: %v", want, err)
		}
		if got.QoS == 0 {
			continue
		}
		if n := binary.BigEndian.Uint32(got.Payload); n != uint32(want) {
			t.Fatalf("message %d came, want %d", n, want)
		}
		frozen.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, got.PacketID, 0))
		want++
	}
	over.Store(true)
	offenders.Wait()
	if err := flood.ping(); err != nil { // all that it sent has been dealt with
		t.Fatal(err)
	}
	for range 2 { // and handed over
		for i := range s.broker.loops {
			s.onLoop(i, func(*loop) {})
		}
	}
	stats, recorded := s.broker.Stats(), uint64(0)
	for _, d := range s.recorder.take() {
		if d.Reason != DropSlowConsumer.String() || d.Topic != "flood" || d.QoS != 0 {
			t.Fatalf("dropped: %+v", d)
		}
		recorded += uint64(d.Count)
	}
	if counted := stats.Dropped[DropSlowConsumer.String()]; counted == 0 || counted != recorded {
		t.Errorf("%d messages for slow clients were counted, %d recorded", counted, recorded)
	}
}

// TestUnreadAnswers: who does not read what it asked for is not asked any more. A
// client sends publications and pings and reads nothing; what waits for it is
// bounded, and nothing is lost when it reads at last.
func TestUnreadAnswers(t *testing.T) {
	const limit, count = 64 << 10, 1_500_000 // what the system keeps of the answers is filled first
	s := mustStart(t, settings{application: func(p *Profile) { p.MaxOutput = limit }})
	c := s.connect(&mqtt.Connect{ClientID: []byte("c"), CleanStart: true})
	c.conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	c.conn.SetWriteDeadline(time.Time{})
	session := s.broker.sessions.get("a:c")
	sent := make(chan error, 1)
	go func() {
		m := mqtt.Publish{Topic: []byte("t"), QoS: 1}
		var b []byte
		for i := range count {
			m.PacketID = uint16(i%65_535 + 1)
			if b = m.Append(b, mqtt.V311); len(b) > 32<<10 {
				if _, err := c.conn.Write(b); err != nil {
					sent <- err
					return
				}
				b = b[:0]
			}
		}
		_, err := c.conn.Write(b)
		sent <- err
	}()
	for stalled := false; !stalled; {
		s.onLoop(session.home.index, func(*loop) {
			stalled = session.client.stalled
			if n := session.client.conn.Buffered(); n > 2*limit+readAtOnce {
				t.Errorf("%d bytes wait for the client", n)
				stalled = true
			}
		})
	}
	for i := range count {
		f, err := c.next()
		if want := uint16(i%65_535 + 1); err != nil || f.Type != mqtt.PUBACK || binary.BigEndian.Uint16(f.Body) != want {
			t.Fatalf("acknowledgement %d: %v %x", i, err, f.Raw)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if n := s.broker.Figures().Paused[pausedOutput]; n == 0 {
		t.Error("the pause is not counted")
	}
}

// readAtOnce is more than what one packet adds to the output.
const readAtOnce = 1 << 10

const (
	readMost    = 32 << 10            // a read of the transport
	floodPacket = 2 + 1 + 2 + 5 + 200 // a packet of the flood
)
