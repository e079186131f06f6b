package platform_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/server"
	"github.com/linkstead/linkstead/mqtt"
)

// scramPeer is a 5.0 client that authenticates with SCRAM.
type scramPeer struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
	talk *scram.ClientConversation
}

func (p *scramPeer) next() mqtt.Frame {
	p.t.Helper()
	p.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		f, n, err := mqtt.Split(p.buf, 0)
		if err != nil {
			p.t.Fatal(err)
		}
		if n > 0 {
			p.buf = p.buf[n:]
			return f
		}
		chunk := make([]byte, 4096)
		k, err := p.conn.Read(chunk)
		if err != nil {
			p.t.Fatal(err)
		}
		p.buf = append(p.buf[:len(p.buf):len(p.buf)], chunk[:k]...)
	}
}

func authProperties(data string) mqtt.Properties {
	p := mqtt.AppendStringProperty(nil, mqtt.PropAuthenticationMethod, "SCRAM-SHA-256")
	return mqtt.AppendBinaryProperty(p, mqtt.PropAuthenticationData, data)
}

// say answers the server and returns what it says to that.
func (p *scramPeer) say(code mqtt.ReasonCode, challenge string) mqtt.Frame {
	p.t.Helper()
	data, err := p.talk.Step(challenge)
	if err != nil {
		p.t.Fatal(err)
	}
	auth := mqtt.Auth{Code: code, Properties: authProperties(data)}
	if _, err := p.conn.Write(auth.Append(nil)); err != nil {
		p.t.Fatal(err)
	}
	return p.next()
}

func (p *scramPeer) begin(name, password string) (first string) {
	p.t.Helper()
	client, err := scram.SHA256.NewClient(name, password, "")
	if err != nil {
		p.t.Fatal(err)
	}
	p.talk = client.NewConversation()
	if first, err = p.talk.Step(""); err != nil {
		p.t.Fatal(err)
	}
	return first
}

// challenge is the data of an AUTH of the server that wants more.
func (p *scramPeer) challenge(f mqtt.Frame) string {
	p.t.Helper()
	var a mqtt.Auth
	if err := a.Decode(f); err != nil || a.Code != mqtt.ContinueAuthentication {
		p.t.Fatalf("%s: %v, code %v", f.Type, err, a.Code)
	}
	data, _ := a.Properties.Binary(mqtt.PropAuthenticationData)
	return string(data)
}

// scramLogin connects and gives the code of the CONNACK.
func scramLogin(t *testing.T, s *server.Server, name, password, username string) (*scramPeer, mqtt.ReasonCode) {
	t.Helper()
	return scramLoginAs(t, s, "scram of "+name, name, password, username)
}

func scramLoginAs(t *testing.T, s *server.Server, clientID, name, password, username string) (*scramPeer, mqtt.ReasonCode) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &scramPeer{t: t, conn: conn}
	c := mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte(clientID), Properties: authProperties(p.begin(name, password))}
	if username != "" {
		c.HasUsername, c.Username = true, []byte(username)
	}
	if _, err := conn.Write(c.Append(nil)); err != nil {
		t.Fatal(err)
	}
	f := p.next()
	if f.Type == mqtt.AUTH {
		f = p.say(mqtt.ContinueAuthentication, p.challenge(f))
	}
	var ack mqtt.Connack
	if err := ack.Decode(f, mqtt.V5); err != nil {
		t.Fatal(err)
	}
	if ack.Code == mqtt.Success {
		final, _ := ack.Properties.Binary(mqtt.PropAuthenticationData)
		if _, err := p.talk.Step(string(final)); err != nil || !p.talk.Valid() {
			t.Errorf("the server has not shown that it knows the password: %v", err)
		}
	}
	return p, ack.Code
}

func TestSCRAM(t *testing.T) {
	s := mustStart(t, func(c *config.Config) { c.Auth.SCRAM = true })
	put := func(name, password string) {
		t.Helper()
		if err := s.Platform.PutUser(t.Context(), "test", name, password, []platform.Right{{Filter: "#", Publish: true, Subscribe: true}}); err != nil {
			t.Fatal(err)
		}
	}
	put("app", "correct horse")
	put("ünï=,", "pässwörd 1")
	for _, tt := range []struct {
		name, password, username string
		want                     mqtt.ReasonCode
		cause                    string
	}{
		{"app", "correct horse", "", mqtt.Success, ""},
		{"app", "correct horse", "app", mqtt.Success, ""},
		{"ünï=,", "pässwörd 1", "", mqtt.Success, ""},
		{"app", "wrong horse", "", mqtt.NotAuthorized, "SCRAM: "},
		{"nobody", "correct horse", "", mqtt.NotAuthorized, "there is no user nobody"},
		{"app", "correct horse", "other", mqtt.NotAuthorized, "the CONNECT has the user name other"},
		{"app", "correct horse", "dev&a1ji0qFv6Jf", mqtt.BadAuthenticationMethod, ""},
	} {
		if _, got := scramLogin(t, s, tt.name, tt.password, tt.username); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		} else if tt.cause != "" && !strings.Contains(s.Platform.Refusals()[0].Cause, tt.cause) {
			t.Errorf("%+v: the cause is %q", tt, s.Platform.Refusals()[0].Cause)
		}
	}

	// The password serves in the ordinary way, too.
	d := dial(t, s)
	c := mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: []byte("plain"), HasUsername: true, Username: []byte("app"),
		HasPassword: true, Password: []byte("correct horse")}
	if err := d.Send(c.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Receive(patience); err != nil || len(got) != 4 || got[3] != 0 {
		t.Errorf("plain login: % x, %v", got, err)
	}

	// Once more on the same connection, right and wrong.
	p, _ := scramLogin(t, s, "app", "correct horse", "")
	again := func(password string) mqtt.Frame {
		t.Helper()
		auth := mqtt.Auth{Code: mqtt.ReAuthenticate, Properties: authProperties(p.begin("app", password))}
		if _, err := p.conn.Write(auth.Append(nil)); err != nil {
			t.Fatal(err)
		}
		return p.say(mqtt.ContinueAuthentication, p.challenge(p.next()))
	}
	var a mqtt.Auth
	if err := a.Decode(again("correct horse")); err != nil || a.Code != mqtt.Success {
		t.Errorf("again: %v, %v", err, a.Code)
	}
	var bye mqtt.Disconnect
	if err := bye.Decode(again("wrong horse"), mqtt.V5); err != nil || bye.Code != mqtt.NotAuthorized {
		t.Errorf("again with a wrong password: %v, %v", err, bye.Code)
	}
}

// TestSCRAMGuesses: who guesses at a password with SCRAM is held off like anybody
// else, under whatever client identifiers and user names of CONNECT, and cannot
// tell then whether a guess was right; other users of the address can log in.
func TestSCRAMGuesses(t *testing.T) {
	const allowed = 3
	s := mustStart(t, func(c *config.Config) { c.Auth.SCRAM, c.Limits.FailedLogins = true, allowed })
	for _, name := range []string{"app", "other"} {
		if err := s.Platform.PutUser(t.Context(), "test", name, "correct horse", nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range allowed {
		username := "" // and in between as the CONNECT has it
		if i == 1 {
			username = "app"
		}
		if _, got := scramLoginAs(t, s, fmt.Sprint("guess ", i), "app", "wrong horse", username); got != mqtt.NotAuthorized {
			t.Fatalf("guess %d: %v", i, got)
		}
	}
	for _, password := range []string{"wrong horse", "correct horse"} {
		if _, got := scramLoginAs(t, s, "one more "+password, "app", password, ""); got != mqtt.ConnectionRateExceeded {
			t.Errorf("%s after %d failures: %v, want %v", password, allowed, got, mqtt.ConnectionRateExceeded)
		}
	}
	if _, got := scramLoginAs(t, s, "other", "other", "correct horse", ""); got != mqtt.Success {
		t.Errorf("another user of the same address: %v", got)
	}
}

// TestSCRAMKeepsSilent: a stranger cannot tell a user that exists from one that
// does not, nor from one without a verifier.
func TestSCRAMKeepsSilent(t *testing.T) {
	s := mustStart(t, func(c *config.Config) { c.Auth.SCRAM = true })
	salts := map[string]bool{}
	for range 2 {
		conn, err := net.Dial("tcp", s.Addresses()[0])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		p := &scramPeer{t: t, conn: conn}
		c := mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("scram"), Properties: authProperties(p.begin("nobody", "x"))}
		if _, err := conn.Write(c.Append(nil)); err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(p.challenge(p.next()), ",")
		salts[rest] = true
	}
	if len(salts) != 1 {
		t.Errorf("the salt of a user that does not exist changes: %v", salts)
	}
}

func TestSCRAMOff(t *testing.T) {
	s := mustStart(t, nil)
	if err := s.Platform.PutUser(t.Context(), "test", "app", "correct horse", nil); err != nil {
		t.Fatal(err)
	}
	if _, got := scramLogin(t, s, "app", "correct horse", ""); got != mqtt.BadAuthenticationMethod {
		t.Errorf("code %v", got)
	}
}
