package broker

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/mqtt"
)

// expect reads packets and compares them with the notation.
func (p *peer) expect(want ...string) {
	p.s.t.Helper()
	for _, w := range want {
		f, err := p.next()
		got := ""
		switch {
		case err == nil:
			got = describe(f, p.version)
		case !errors.Is(err, os.ErrDeadlineExceeded):
			got = "closed"
		}
		if got != w {
			p.s.t.Fatalf("%s got %s (%v), want %s", p.name, got, err, w)
		}
	}
}

// TestOwner: what the server's owner can do to a session from outside.
func TestOwner(t *testing.T) {
	s := mustStart(t, settings{})
	p := s.connect(&mqtt.Connect{ClientID: []byte("c"), Version: mqtt.V5})
	p.subscribe("t", 1)
	if !s.broker.Online("a:c") || s.broker.Online("a:nobody") {
		t.Error("Online is wrong")
	}
	s.broker.Disconnect("a:c")
	p.expect("DISCONNECT 98", "closed")

	d := s.connect(&mqtt.Connect{ClientID: []byte("d"), HasUsername: true, Username: []byte("dev")})
	d.subscribe("t", 1)
	s.broker.Forget("d:d")
	d.expect("closed")
	s.synced()
	if st := s.broker.Stats(); st.Sessions != 0 || st.Subscriptions != 0 || st.Connected != 0 {
		t.Errorf("after Forget: %+v", st)
	}
	none := make(chan *SessionInfo, 1)
	s.broker.Session("d:d", func(i *SessionInfo) { none <- i })
	if i := <-none; i != nil {
		t.Errorf("session after Forget: %+v", i)
	}
	s.crash()
	if n := s.broker.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions are back after a restart", n)
	}

	p = s.connect(&mqtt.Connect{ClientID: []byte("c"), Version: mqtt.V5, CleanStart: true})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.broker.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	p.expect("DISCONNECT 8b", "closed")
}

// TestTap: a tap shows both directions of one session, and no password.
func TestTap(t *testing.T) {
	s := mustStart(t, settings{loops: 1})
	tap := s.broker.NewTap("a:c")
	defer tap.Close()
	other := s.connect(&mqtt.Connect{ClientID: []byte("other"), CleanStart: true})
	p := s.connect(&mqtt.Connect{ClientID: []byte("c"), CleanStart: true, HasUsername: true, Username: []byte("app"),
		HasPassword: true, Password: []byte("hunter2")})
	p.subscribe("t", 0)
	m := mqtt.Publish{Topic: []byte("t"), Payload: []byte("x")}
	other.send(m.Append(nil, mqtt.V311))
	p.expect(`PUBLISH t "x"`)
	want := []struct {
		fromServer bool
		kind       mqtt.Type
	}{{false, mqtt.CONNECT}, {true, mqtt.CONNACK}, {false, mqtt.SUBSCRIBE}, {true, mqtt.SUBACK}, {true, mqtt.PUBLISH}}
	for i, w := range want {
		select {
		case got := <-tap.C():
			f, _, err := mqtt.Split(got.Frame, 0)
			if err != nil || f.Type != w.kind || got.FromServer != w.fromServer || got.Key != "a:c" || got.Missed != 0 {
				t.Errorf("packet %d: %+v %v", i, got, err)
			}
			if bytes.Contains(got.Frame, []byte("hunter2")) {
				t.Error("the password is shown")
			}
		case <-time.After(patience):
			t.Fatalf("packet %d did not come", i)
		}
	}
	select {
	case extra := <-tap.C():
		t.Errorf("one more: %+v", extra)
	default:
	}
}

// TestRecord: the stored form of a session is read back whole; cut or altered it
// is refused or read as something, but never ends in a panic.
func TestRecord(t *testing.T) {
	in := Session{key: "a:c", owner: "app", sent: 7, seq: 300, offlineMS: -5, expirySeconds: ^uint32(0), device: true,
		subs: subscriptions{list: []subscription{{filter: "a/+", options: topics.QoS1 | topics.NoLocal, id: 268435455}, {filter: "b"}}}}
	in.durable.Store(true)
	b := in.appendRecord(nil)
	var out Session
	if err := out.parseRecord(b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in.subs.list, out.subs.list, cmp.AllowUnexported(subscription{})); d != "" {
		t.Error(d)
	}
	if out.key != in.key || out.owner != in.owner || out.sent != 7 || out.seq != 300 || out.offlineMS != -5 ||
		out.expirySeconds != in.expirySeconds || !out.device || !out.durable.Load() {
		t.Errorf("read back %+v", &out)
	}
	for n := range b {
		if err := new(Session).parseRecord(b[:n]); err == nil {
			t.Errorf("%d of %d bytes are accepted", n, len(b))
		}
		for _, v := range []byte{0, 0x7F, 0x80, 0xFF} {
			altered := bytes.Clone(b)
			altered[n] = v
			_ = new(Session).parseRecord(altered)
		}
	}
}

// TestPortable plays one exchange over the transport of other systems.
func TestPortable(t *testing.T) {
	s := mustStart(t, settings{portable: true, loops: 2})
	sub := s.connect(&mqtt.Connect{ClientID: []byte("s")})
	sub.subscribe("t", 1)
	p := s.connect(&mqtt.Connect{ClientID: []byte("p"), CleanStart: true})
	m := mqtt.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: 1, PacketID: 9}
	p.send(m.Append(nil, mqtt.V311))
	p.expect("PUBACK 9")
	sub.expect(`PUBLISH t "x" qos1 id=2`)
	again := s.connect(&mqtt.Connect{ClientID: []byte("s")})
	again.expect(`PUBLISH t "x" qos1 id=2 dup`)
	sub.expect("closed")
}
