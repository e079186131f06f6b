package broker

import (
	"bytes"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/linkstead/linkstead/mqtt"
)

// logText is a log that a test reads.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// login tries to log in and returns the return code of the CONNACK.
func (s *server) login(user, id string) byte {
	s.t.Helper()
	p := s.dial(id)
	c := mqtt.Connect{Version: mqtt.V311, ClientID: []byte(id), CleanStart: true, HasUsername: true, Username: []byte(user)}
	p.send(c.Append(nil))
	f, err := p.next()
	if err != nil || f.Type != mqtt.CONNACK {
		s.t.Fatalf("login of %s: %v %x", user, err, f.Raw)
	}
	p.conn.Close()
	return f.Body[1]
}

// TestFailedLogins: a name whose logins fail is held off for its address without
// asking the authority, is logged once, and nobody else is touched.
func TestFailedLogins(t *testing.T) {
	const allowed = 5
	log := new(logText)
	s := mustStart(t, settings{failed: allowed, log: log})
	for i := range allowed {
		if code := s.login("nobody", "x"); code != 4 {
			t.Fatalf("failure %d has code %d", i, code)
		}
	}
	for range 20 {
		if code := s.login("nobody", "x"); code != 3 { // the cloud's code for too many logins (spec/connect.md §12)
			t.Fatalf("a login that is held off has code %d", code)
		}
	}
	if code := s.login("app", "y"); code != 0 {
		t.Errorf("another name has code %d", code)
	}
	text := log.String()
	if n := strings.Count(text, "logins are held off"); n != 1 || !strings.Contains(text, "limits.failed_logins") {
		t.Errorf("%d lines say so:\n%s", n, text)
	}
	if n := strings.Count(text, "login refused"); n != allowed {
		t.Errorf("%d refusals are logged, want %d", n, allowed)
	}
	if n := s.broker.Figures().RefusedBy[mqtt.ConnectionRateExceeded]; n != 20 {
		t.Errorf("%d are counted", n)
	}

	// Under many names, the address becomes suspect.
	suspect := func() (yes bool) {
		s.onLoop(0, func(l *loop) {
			r := &LoginRequest{Username: "somebody"}
			r.Remote = netip.MustParseAddrPort("127.0.0.1:1")
			l.holdOff(r)
			yes = r.Suspect
		})
		return yes
	}
	if suspect() {
		t.Error("suspect after a few failures")
	}
	for i := range suspectAfter * allowed {
		s.login("nobody"+strings.Repeat("x", i), "x")
	}
	if !suspect() {
		t.Error("not suspect after many")
	}
}
