package broker

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/linkstead/linkstead/mqtt"
)

// connect logs in and awaits the CONNACK.
func (s *server) connect(c *mqtt.Connect) *peer {
	s.t.Helper()
	p := s.dial(string(c.ClientID))
	if c.Version == 0 {
		c.Version = mqtt.V311
	}
	if !c.HasUsername {
		c.HasUsername, c.Username = true, []byte("app")
	}
	p.version = c.Version
	p.send(c.Append(nil))
	f, err := p.next()
	if err != nil || f.Type != mqtt.CONNACK || f.Body[1] != 0 {
		s.t.Fatalf("%s: login: %v %x", p.name, err, f.Raw)
	}
	return p
}

func (p *peer) subscribe(filter string, qos byte) {
	p.s.t.Helper()
	m := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte(filter), QoS: qos}}}
	p.send(m.Append(nil, p.version))
	f, err := p.next()
	if err != nil || f.Type != mqtt.SUBACK || f.Raw[len(f.Raw)-1] != qos {
		p.s.t.Fatalf("%s: SUBACK: %v %x", p.name, err, f.Raw)
	}
}

// ping makes sure that everything sent before has been processed; other packets
// that come are thrown away.
func (p *peer) ping() error {
	p.send(mqtt.AppendPingreq(nil))
	for {
		f, err := p.next()
		if err != nil || f.Type == mqtt.PINGRESP {
			return err
		}
	}
}

// TestOrder has publishers on all loops send numbered messages at every QoS to
// subscribers on all loops, one clean and one persistent on each: each sees the
// messages of a publisher and topic in order and without a gap [MQTT-4.6.0-6].
func TestOrder(t *testing.T) {
	const publishers, subscribers, each = 3, 6, 400
	s := mustStart(t, settings{loops: 3})
	var wg sync.WaitGroup
	subs := make([]*peer, subscribers)
	for i := range subs {
		subs[i] = s.connect(&mqtt.Connect{ClientID: fmt.Appendf(nil, "s%d", i), CleanStart: i%2 == 0})
		subs[i].subscribe("t/#", 2)
	}
	errs := make(chan error, publishers+subscribers)
	for i := range publishers {
		p := s.connect(&mqtt.Connect{ClientID: fmt.Appendf(nil, "p%d", i), CleanStart: true})
		wg.Go(func() { errs <- publishNumbered(p, i, each) })
	}
	for _, sub := range subs {
		wg.Go(func() { errs <- expectNumbered(sub, publishers, each) })
	}
	wg.Wait()
	for range publishers + subscribers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for _, d := range s.recorder.take() {
		t.Errorf("dropped: %+v", d)
	}
}

// publishNumbered publishes at QoS i (0, 1 or 2) and takes the acknowledgements.
func publishNumbered(p *peer, i, each int) error {
	qos := byte(i % 3)
	var out []byte
	for n := range each {
		m := mqtt.Publish{Topic: fmt.Appendf(nil, "t/%d", i), QoS: qos, PacketID: uint16(n + 1), Payload: binary.BigEndian.AppendUint32([]byte{byte(i)}, uint32(n))}
		if qos == 0 {
			m.PacketID = 0
		}
		if out = m.Append(out, p.version); n%7 == 6 {
			p.send(out)
			out = out[:0]
		}
	}
	p.send(out)
	for done := 0; qos > 0 && done < each; {
		f, err := p.next()
		if err != nil {
			return fmt.Errorf("%s after %d: %w", p.name, done, err)
		}
		switch f.Type {
		case mqtt.PUBACK, mqtt.PUBCOMP:
			done++
		case mqtt.PUBREC:
			p.send(mqtt.AppendAck(nil, mqtt.PUBREL, p.version, binary.BigEndian.Uint16(f.Body), 0))
		default:
			return fmt.Errorf("%s got %x", p.name, f.Raw)
		}
	}
	return p.ping()
}

func expectNumbered(p *peer, publishers, each int) error {
	next := make([]int, publishers)
	for got := 0; got < publishers*each; {
		f, err := p.next()
		if err != nil {
			return fmt.Errorf("%s after %d %v: %w", p.name, got, next, err)
		}
		if f.Type == mqtt.PUBREL {
			p.send(mqtt.AppendAck(nil, mqtt.PUBCOMP, p.version, binary.BigEndian.Uint16(f.Body), 0))
			continue
		}
		var m mqtt.Publish
		if err := m.Decode(f, p.version, 0); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		from, n := int(m.Payload[0]), int(binary.BigEndian.Uint32(m.Payload[1:]))
		if n != next[from] || m.Dup || int(m.QoS) != from%3 {
			return fmt.Errorf("%s: message %d of publisher %d at QoS %d, dup %t; %d was expected", p.name, n, from, m.QoS, m.Dup, next[from])
		}
		next[from]++
		got++
		switch m.QoS {
		case 1:
			p.send(mqtt.AppendAck(nil, mqtt.PUBACK, p.version, m.PacketID, 0))
		case 2:
			p.send(mqtt.AppendAck(nil, mqtt.PUBREC, p.version, m.PacketID, 0))
		}
	}
	return nil
}

// TestTakeoverStorm logs in with few identities from many connections at once,
// over three loops: whatever the order, one connection of each identity remains,
// the handler is told of as many ends as beginnings but one, and the last
// connection works [MQTT-3.1.4-2].
func TestTakeoverStorm(t *testing.T) {
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprintf("clean=%t", clean), func(t *testing.T) {
			const identities, workers, rounds = 3, 6, 25
			s := mustStart(t, settings{loops: 3})
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for r := range rounds {
						user := "app"
						if w%2 == 1 {
							user = "dev"
						}
						c := mqtt.Connect{Version: mqtt.V311, ClientID: fmt.Appendf(nil, "c%d", (w+r)%identities), CleanStart: clean,
							HasUsername: true, Username: []byte(user)}
						p := s.dial("storm")
						sub := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte("t"), QoS: 1}}}
						p.send(sub.Append(c.Append(nil), mqtt.V311))
						for { // until SUBACK, or thrown out
							if f, err := p.next(); err != nil || f.Type == mqtt.SUBACK {
								break
							}
						}
					}
				})
			}
			wg.Wait()
			for _, user := range []string{"app", "dev"} {
				for i := range identities {
					p := s.connect(&mqtt.Connect{ClientID: fmt.Appendf(nil, "c%d", i), CleanStart: clean, HasUsername: true, Username: []byte(user)})
					p.subscribe("t", 1)
					if err := p.ping(); err != nil {
						t.Errorf("the last connection of c%d: %v", i, err)
					}
				}
			}
			for i := range s.broker.loops {
				s.onLoop(i, func(*loop) {})
			}
			st := s.broker.Stats()
			if st.Connected != 2*identities || st.Sessions != 2*identities || st.Subscriptions != 2*identities {
				t.Errorf("%d connected, %d sessions, %d subscriptions; want %d of each", st.Connected, st.Sessions, st.Subscriptions, 2*identities)
			}
			s.handler.mu.Lock()
			defer s.handler.mu.Unlock()
			if joined, left := len(s.handler.joined), len(s.handler.left); joined-left != 2*identities {
				t.Errorf("%d joined, %d left", joined, left)
			}
		})
	}
}

// TestBacklog lets more wait for an absent client than is kept in memory, and
// checks that all of it comes, in order, in windows, after a crash, while more
// is published.
func TestBacklog(t *testing.T) {
	s := mustStart(t, settings{application: func(p *Profile) { p.Window = 50 }})
	sub := s.connect(&mqtt.Connect{ClientID: []byte("s")})
	sub.subscribe("t/#", 1)
	sub.kill()
	p := s.connect(&mqtt.Connect{ClientID: []byte("p"), CleanStart: true})
	const half = 1500
	if err := publishRange(p, 0, half); err != nil {
		t.Fatal(err)
	}
	s.crash()
	p = s.connect(&mqtt.Connect{ClientID: []byte("p"), CleanStart: true})
	sub = s.connect(&mqtt.Connect{ClientID: []byte("s")})
	errs := make(chan error, 1)
	go func() { errs <- publishRange(p, half, 2*half) }()
	for n := range 2 * half {
		f, err := sub.next()
		if err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
		var m mqtt.Publish
		if err := m.Decode(f, mqtt.V311, 0); err != nil {
			t.Fatal(err)
		}
		if got := int(binary.BigEndian.Uint32(m.Payload)); got != n {
			t.Fatalf("got message %d, want %d", got, n)
		}
		sub.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, m.PacketID, 0))
	}
	if err := <-errs; err != nil {
		t.Fatal(err)
	}
	if err := sub.ping(); err != nil {
		t.Fatal(err)
	}
	info := make(chan *SessionInfo, 1)
	s.broker.Session("a:s", func(i *SessionInfo) { info <- i })
	if i := <-info; i.Queued != 0 || i.InFlight != 0 || !i.Online || len(i.Subscriptions) != 1 {
		t.Errorf("session: %+v", i)
	}
}

// publishRange publishes messages from … to-1 at QoS 1 and awaits each PUBACK.
func publishRange(p *peer, from, to int) error {
	var out []byte
	for n := from; n < to; n++ {
		m := mqtt.Publish{Topic: []byte("t/x"), QoS: 1, PacketID: uint16(n%1000 + 1), Payload: binary.BigEndian.AppendUint32(nil, uint32(n))}
		out = m.Append(out, p.version)
	}
	p.send(out)
	for range to - from {
		if f, err := p.next(); err != nil || f.Type != mqtt.PUBACK {
			return fmt.Errorf("PUBACK: %w %x", err, f.Raw)
		}
	}
	return nil
}

// TestSlowConsumer: a client that does not read costs bounded memory. QoS 0
// messages for it are dropped and recorded, others wait and come later.
func TestSlowConsumer(t *testing.T) {
	s := mustStart(t, settings{application: func(p *Profile) { p.MaxOutput = 64 << 10 }})
	slow := s.connect(&mqtt.Connect{ClientID: []byte("slow"), CleanStart: true})
	slow.subscribe("t", 1)
	p := s.connect(&mqtt.Connect{ClientID: []byte("p"), CleanStart: true})
	big := mqtt.Publish{Topic: []byte("t"), Payload: make([]byte, 32<<10)}
	frame := big.Append(nil, mqtt.V311)
	dropped := 0
	for sent := 0; dropped == 0; sent++ {
		if sent == 20_000 {
			t.Fatal("640 MB were taken for a client that does not read")
		}
		p.send(frame)
		if sent%64 == 63 {
			if err := p.ping(); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range s.recorder.take() {
			if d.Reason != "slow consumer" || d.Key != "a:slow" || d.Topic != "t" || d.Bytes != d.Count*(32<<10) || d.QoS != 0 {
				t.Fatalf("dropped: %+v", d)
			}
			dropped += d.Count
		}
	}
	last := mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1, Payload: []byte("last")}
	p.send(last.Append(nil, mqtt.V311))
	for {
		f, err := slow.next()
		if err != nil {
			t.Fatal(err)
		}
		var m mqtt.Publish
		if err := m.Decode(f, mqtt.V311, 0); err != nil {
			t.Fatal(err)
		}
		if m.QoS == 1 {
			if string(m.Payload) != "last" {
				t.Errorf("got %q", m.Payload)
			}
			return
		}
	}
}

// TestManyRetained: a subscription to more retained messages than fit the
// output, the window and a slice gets all of them, at QoS 0 and 1.
func TestManyRetained(t *testing.T) {
	const topics = 3000
	s := mustStart(t, settings{application: func(p *Profile) { p.MaxOutput, p.Window, p.MaxQueued = 16<<10, 20, 100 }})
	p := s.connect(&mqtt.Connect{ClientID: []byte("p"), CleanStart: true})
	var out []byte
	for i := range topics {
		m := mqtt.Publish{Topic: fmt.Appendf(nil, "r/%d", i), Retain: true, QoS: 1, PacketID: uint16(i + 1), Payload: make([]byte, 100)}
		out = m.Append(out, mqtt.V311)
	}
	p.send(out)
	for range topics {
		if f, err := p.next(); err != nil || f.Type != mqtt.PUBACK {
			t.Fatal(err, f)
		}
	}
	for _, c := range []mqtt.Connect{
		{ClientID: []byte("s0"), CleanStart: true}, {ClientID: []byte("s1"), CleanStart: true}, {ClientID: []byte("s2")},
	} {
		sub := s.connect(&c)
		qos := min(c.ClientID[1]-'0', 1)
		m := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte("r/+"), QoS: qos}}}
		sub.send(m.Append(nil, mqtt.V311))
		seen := make(map[string]bool)
		for len(seen) < topics {
			f, err := sub.next()
			if err != nil {
				t.Fatalf("%s after %d: %v", c.ClientID, len(seen), err)
			}
			if f.Type == mqtt.SUBACK {
				continue
			}
			var m mqtt.Publish
			if err := m.Decode(f, mqtt.V311, 0); err != nil {
				t.Fatal(err)
			}
			if seen[string(m.Topic)] || !m.Retain || m.QoS != qos {
				t.Fatalf("%s: %s again, or not retained, or at QoS %d", c.ClientID, m.Topic, m.QoS)
			}
			seen[string(m.Topic)] = true
			if qos > 0 {
				sub.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, m.PacketID, 0))
			}
		}
	}
	for _, d := range s.recorder.take() {
		t.Errorf("dropped: %+v", d)
		break
	}
}
