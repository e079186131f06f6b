package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// TestExpiredMessagesLeaveAFullQueue fills the queue of an absent client, mostly
// with messages whose time is soon up. When it is, the sweep removes those, in
// slices between which other clients are served; the others stay, in order, and
// new ones are taken.
func TestExpiredMessagesLeaveAFullQueue(t *testing.T) {
	const full = 5000
	s := mustStart(t, settings{loops: 1, application: func(p *Profile) { p.MaxQueued = full }})
	sub := s.connect(&mqtt.Connect{ClientID: []byte("s")})
	sub.subscribe("t", 1)
	sub.kill()
	p := s.connect(&mqtt.Connect{ClientID: []byte("p"), Version: mqtt.V5, CleanStart: true})
	var want []string
	publish := func(n int, expires bool) {
		t.Helper()
		m := mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: uint16(n + 1), Payload: fmt.Append(nil, n)}
		if expires {
			m.Properties = mqtt.AppendUint32Property(nil, mqtt.PropMessageExpiryInterval, 1)
		} else {
			want = append(want, fmt.Sprint(n))
		}
		p.send(m.Append(nil, mqtt.V5))
		if f, err := p.next(); err != nil || f.Type != mqtt.PUBACK {
			t.Fatal(f, err)
		}
	}
	for n := range full {
		publish(n, n%100 != 7)
	}
	session := s.broker.sessions.get("a:s")
	waitFor := func(what string, f func(l *loop) bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			ok := false
			s.onLoop(0, func(l *loop) { ok = f(l) })
			if ok {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: not after %v", what, patience)
			}
		}
	}
	over := time.Now().Add(1100 * time.Millisecond).UnixMilli()
	waitFor("time is up", func(l *loop) bool { return l.nowMS() > over && session.stale(l.nowMS()) })
	s.onLoop(0, func(l *loop) { l.expire(session) })
	waitFor("removal", func(*loop) bool { return session.stored == len(want) })
	dropped := 0
	for _, d := range s.recorder.take() {
		dropped += d.Count
	}
	if dropped != full-len(want) {
		t.Errorf("%d messages were recorded as dropped, want %d", dropped, full-len(want))
	}
	publish(full, false)
	s.synced()
	sub = s.connect(&mqtt.Connect{ClientID: []byte("s")})
	for i, w := range want {
		f, err := sub.next()
		var m mqtt.Publish
		if err == nil {
			err = m.Decode(f, mqtt.V311, 0)
		}
		if err != nil || string(m.Payload) != w || m.Dup {
			t.Fatalf("message %d is %q, dup %v, %v; want %s", i, m.Payload, m.Dup, err, w)
		}
		sub.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, m.PacketID, 0))
	}
}

// TestExpirySliceIsBounded: one turn deals with no more messages than a slice has.
func TestExpirySliceIsBounded(t *testing.T) {
	s := mustStart(t, settings{loops: 1})
	sub := s.connect(&mqtt.Connect{ClientID: []byte("s")})
	sub.subscribe("t", 1)
	sub.kill()
	session := s.broker.sessions.get("a:s")
	s.synced()
	s.onLoop(0, func(l *loop) {
		for n := range 3 * expireMessages {
			l.enqueue(&publication{topic: "t", payload: fmt.Append(nil, n), qos: 1, publishedMS: l.nowMS() - 10, expiresMS: l.nowMS() - 1}, session, 1, false, nil)
		}
	})
	s.synced()
	slices := make(chan int, 10)
	s.onLoop(0, func(l *loop) {
		l.b.readers.submit(watched{&expiry{loop: l, session: session, since: session.offlineMS, after: queueSeq(session.done), end: queueSeq(session.committed)}, slices})
	})
	if n := <-slices; n != expireMessages {
		t.Errorf("a slice has %d messages, want %d", n, expireMessages)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		left := 0
		s.onLoop(0, func(*loop) { left = session.stored })
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages are left", left)
		}
	}
}

// watched tells how large the first slice was.
type watched struct {
	*expiry
	slices chan int
}

func (w watched) work(log storage) {
	w.items, w.err = log.Read(w.session.id, w.after, expireMessages, expireBytes)
	w.slices <- len(w.items)
	w.loop.t.Post(w.expiry)
}

var (
	_ transport.Task = (*expiry)(nil)
	_ job            = (*expiry)(nil)
)
