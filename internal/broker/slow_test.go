package broker

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// TestPublishRate: a client that publishes faster than it may is read from as
// fast as it may. Everything it sent arrives, in order, and others do not feel it.
func TestPublishRate(t *testing.T) {
	const rate, size, count = 200, 1000, 300
	for name, set := range map[string]func(*Profile){
		"messages": func(p *Profile) { p.PublishRate = rate },
		"bytes":    func(p *Profile) { p.PublishBytes = rate * size },
	} {
		t.Run(name, func(t *testing.T) {
			log := new(logText)
			s := mustStart(t, settings{device: set, log: log})
			sub := s.connect(&mqtt.Connect{ClientID: []byte("s"), CleanStart: true})
			sub.subscribe("t", 1)
			fast := s.connect(&mqtt.Connect{ClientID: []byte("fast"), CleanStart: true, HasUsername: true, Username: []byte("dev")})
			other := s.connect(&mqtt.Connect{ClientID: []byte("other"), CleanStart: true, HasUsername: true, Username: []byte("dev")})
			m := mqtt.Publish{Topic: []byte("t"), QoS: 1}
			m.Payload = make([]byte, size-2-len(m.Topic)-2-3) // the whole packet is size bytes

			// It owes for years; another client is answered all the same.
			s.withDevice("fast", func(l *loop, c *client) {
				c.limit.messages.Take(l.t.NowNano(), 1e9, rate, rate)
				c.limit.bytes.Take(l.t.NowNano(), 1e12, rate*size, rate*size)
			})
			m.PacketID = 1
			fast.send(m.Append(nil, mqtt.V311))
			for stalled := false; !stalled; {
				s.withDevice("fast", func(_ *loop, c *client) { stalled = c.stalled })
			}
			if err := other.ping(); err != nil {
				t.Fatal(err)
			}
			s.withDevice("fast", func(l *loop, c *client) {
				if n := l.meters.in[kindDevice].packets[publishQoS1].Load(); n > 0 || !c.stalled {
					t.Errorf("%d messages of a client that owes were taken", n)
				}
				*c.limit = publishLimit{logged: true}
				c.proceed()
			})
			if f, err := sub.next(); err != nil || f.Type != mqtt.PUBLISH {
				t.Fatalf("%v %x", err, f.Raw)
			}
			sub.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, 2, 0))
			if f, err := fast.next(); err != nil || f.Type != mqtt.PUBACK {
				t.Fatalf("%v %x", err, f.Raw)
			}

			var all []byte
			for i := range count {
				m.PacketID = uint16(i + 1)
				binary.BigEndian.PutUint32(m.Payload, uint32(i))
				all = m.Append(all, mqtt.V311)
			}
			begun := time.Now()
			fast.send(mqtt.AppendPingreq(all)) // what comes behind waits, too
			for i := range count {
				f, err := sub.next()
				var got mqtt.Publish
				if err == nil {
					err = got.Decode(f, mqtt.V311, 0)
				}
				if err != nil || binary.BigEndian.Uint32(got.Payload) != uint32(i) {
					t.Fatalf("message %d: %v %x", i, err, f.Raw)
				}
				sub.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, got.PacketID, 0))
			}
			if took, least := time.Since(begun), time.Second*(count-rate-1)/rate; took < least {
				t.Errorf("%d messages came in %v, want %v at least", count, took, least)
			}
			if err := fast.ping(); err != nil {
				t.Fatal(err)
			}
			if n := s.broker.Figures().Paused[pausedRate]; n == 0 {
				t.Error("it is not counted")
			}
			if n := strings.Count(log.String(), "publishes faster than it may"); n != 1 {
				t.Errorf("%d lines say so", n)
			}
			if d := s.recorder.take(); len(d) > 0 {
				t.Errorf("dropped: %+v", d[0])
			}
		})
	}
}

// TestRetainedFull: beyond the limit a retained message under a new topic is
// refused, one under a topic that has one replaces it, and deleting makes room.
func TestRetainedFull(t *testing.T) {
	s := mustStart(t, settings{retained: 2})
	a := s.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: []byte("a"), CleanStart: true,
		HasWill: true, Will: mqtt.Will{Topic: []byte("r/will"), Payload: []byte("w"), Retain: true}})
	for _, tt := range []struct {
		topic, payload string
		want           mqtt.ReasonCode
	}{
		{"r/1", "x", mqtt.NoMatchingSubscribers}, {"r/2", "x", mqtt.NoMatchingSubscribers}, {"r/3", "x", mqtt.QuotaExceeded},
		{"r/2", "y", mqtt.NoMatchingSubscribers}, {"r/1", "", mqtt.NoMatchingSubscribers}, {"r/3", "z", mqtt.NoMatchingSubscribers},
	} {
		m := mqtt.Publish{Topic: []byte(tt.topic), Payload: []byte(tt.payload), QoS: 1, PacketID: 9, Retain: true}
		a.send(m.Append(nil, mqtt.V5))
		f, err := a.next()
		var ack mqtt.Ack
		if err == nil {
			err = ack.Decode(f, mqtt.V5, 0)
		}
		if taken := ack.Code < mqtt.UnspecifiedError; err != nil || taken != (tt.want < mqtt.UnspecifiedError) || !taken && ack.Code != tt.want {
			t.Errorf("%s %q: %v %v, want %v", tt.topic, tt.payload, err, ack.Code, tt.want)
		}
	}
	a.kill() // its will would be a third
	b := s.connect(&mqtt.Connect{ClientID: []byte("b"), CleanStart: true})
	b.subscribe("r/#", 1)
	got := map[string]string{}
	for range 2 {
		f, err := b.next()
		var m mqtt.Publish
		if err == nil {
			err = m.Decode(f, mqtt.V311, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		got[string(m.Topic)] = string(m.Payload)
	}
	if len(got) != 2 || got["r/2"] != "y" || got["r/3"] != "z" {
		t.Errorf("retained: %v", got)
	}
	full := 0
	for _, d := range s.recorder.take() {
		if d.Reason == DropRetainedFull.String() {
			full += d.Count
		}
	}
	if full != 2 {
		t.Errorf("%d refusals are recorded, want that of r/3 and of the will", full)
	}
}

// TestClientLimits: each limit of a client refuses what is beyond it, with a
// reason, and leaves alone what is within.
func TestClientLimits(t *testing.T) {
	s := mustStart(t, settings{sessions: 3, application: func(p *Profile) {
		p.MaxSubscriptions, p.MaxTopicBytes, p.MaxTopicLevels, p.Window, p.MaxQueued, p.MaxQueuedBytes = 2, 16, 3, 2, 5, 10_000
	}})
	a := s.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: []byte("a"), CleanStart: true})
	subscribe := func(filter string) mqtt.ReasonCode {
		m := mqtt.Subscribe{PacketID: 7, Filters: []mqtt.Subscription{{Filter: []byte(filter), QoS: 1}}}
		a.send(m.Append(nil, mqtt.V5))
		f, err := a.next()
		if err != nil || f.Type != mqtt.SUBACK {
			t.Fatalf("%v %x", err, f.Raw)
		}
		return mqtt.ReasonCode(f.Raw[len(f.Raw)-1])
	}
	for _, tt := range []struct {
		filter string
		want   mqtt.ReasonCode
	}{
		{"a/b/c", mqtt.GrantedQoS1}, {"a/b/c/d", mqtt.TopicFilterInvalid}, {strings.Repeat("x", 17), mqtt.TopicFilterInvalid},
		{strings.Repeat("x", 16), mqtt.GrantedQoS1}, {"one too many", mqtt.QuotaExceeded}, {"a/b/c", mqtt.GrantedQoS1},
	} {
		if got := subscribe(tt.filter); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.filter, got, tt.want)
		}
	}
	if by := s.broker.Figures().FiltersBy; by[mqtt.QuotaExceeded] != 1 || by[mqtt.TopicFilterInvalid] != 2 {
		t.Errorf("refused filters by code: %v", by)
	}
	for topic, want := range map[string]mqtt.ReasonCode{"a/b/c/d": mqtt.TopicNameInvalid, strings.Repeat("y", 17): mqtt.TopicNameInvalid, "a/b": mqtt.Success} {
		m := mqtt.Publish{Topic: []byte(topic), QoS: 1, PacketID: 9}
		a.send(m.Append(nil, mqtt.V5))
		f, err := a.next()
		var ack mqtt.Ack
		if err == nil {
			err = ack.Decode(f, mqtt.V5, 0)
		}
		if err != nil || ack.Code != want {
			t.Errorf("publication to %s: %v %v, want %v", topic, err, ack.Code, want)
		}
	}
	for i := range s.broker.loops {
		s.onLoop(i, func(*loop) {})
	}
	for _, d := range s.recorder.take() {
		if d.Reason != "topic" {
			t.Errorf("dropped: %+v", d)
		}
	}

	// 2 of 10 are in flight, 5 wait, 3 are refused with their reason.
	b := s.connect(&mqtt.Connect{ClientID: []byte("b"), CleanStart: true})
	b.subscribe("q", 1)
	for i := range 10 {
		m := mqtt.Publish{Topic: []byte("q"), QoS: 1, PacketID: uint16(i + 1), Payload: []byte("m")}
		a.send(m.Append(nil, mqtt.V5))
		if f, err := a.next(); err != nil || f.Type != mqtt.PUBACK {
			t.Fatalf("%v %x", err, f.Raw)
		}
	}
	for i := range s.broker.loops {
		s.onLoop(i, func(*loop) {})
	}
	full := 0
	for _, d := range s.recorder.take() {
		if d.Key != "a:b" || d.Reason != DropQueueFull.String() {
			t.Errorf("dropped: %+v", d)
		}
		full += d.Count
	}
	if full != 3 {
		t.Errorf("%d messages did not fit into the queue, want 3", full)
	}
	for range 7 {
		f, err := b.next()
		var got mqtt.Publish
		if err == nil {
			err = got.Decode(f, mqtt.V311, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		b.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, got.PacketID, 0))
	}

	// a, b and c are the user's three sessions; whose connection is replaced or comes
	// back takes none more, and one that ends makes room.
	c := s.connect(&mqtt.Connect{ClientID: []byte("c")})
	if code := s.login("app", "d"); code != 3 {
		t.Errorf("a fourth session: code %d, want 3 (quota exceeded)", code)
	}
	if code := s.login("other", "e"); code != 0 {
		t.Errorf("another user's session: code %d", code)
	}
	c.kill()
	s.connect(&mqtt.Connect{ClientID: []byte("c")})
	b.kill() // it was clean
	s.connect(&mqtt.Connect{ClientID: []byte("d"), CleanStart: true})
}
