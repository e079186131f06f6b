package server_test

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/server"
	"github.com/linkstead/linkstead/mqtt"
)

// TestTrueAddress: whoever comes through a load balancer is seen with the address
// of the client: in its session, its device's record and the refusals.
func TestTrueAddress(t *testing.T) {
	s := start(t, func(c *config.Config) { c.Listen = []string{"127.0.0.1:0?proxy=127.0.0.1&proxy=::1"} })
	dev := dial(t, s)
	if _, err := io.WriteString(dev.conn, "PROXY TCP4 192.0.2.44 198.51.100.2 40404 1883\r\n"); err != nil {
		t.Fatal(err)
	}
	dev.deviceLogin()
	info := make(chan *broker.SessionInfo, 1)
	s.Broker.Session("d:"+pk+"/"+dn, func(i *broker.SessionInfo) { info <- i })
	if i := <-info; i == nil || i.Remote != "192.0.2.44:40404" {
		t.Errorf("session: %+v", i)
	}

	bad := dial(t, s)
	if _, err := io.WriteString(bad.conn, "PROXY TCP6 2001:db8::9 ::1 40405 1883\r\n"); err != nil {
		t.Fatal(err)
	}
	p := mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: []byte("x"), HasUsername: true, Username: []byte("nobody"),
		HasPassword: true, Password: []byte("nothing much")}
	bad.send(p.Append(nil))
	if f := bad.receive(); f.Type != mqtt.CONNACK || f.Raw[3] == 0 {
		t.Fatalf("% X", f.Raw)
	}
	if r := s.Platform.Refusals(); len(r) != 1 || r[0].Remote != "[2001:db8::9]:40405" {
		t.Errorf("refusals: %+v", r)
	}
	direct := dial(t, s)
	direct.send(p.Append(nil))
	if _, err := direct.conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection without a header is answered")
	}
}

// TestListeners: several of different kinds at the same time.
func TestListeners(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "mqtt.sock")
	s := start(t, func(c *config.Config) {
		c.Listen = []string{"tcp://127.0.0.1:0", "tls://[::1]:0", "unix:" + socket + "?mode=0660"}
	})
	a := s.Addresses()
	if len(a) != 3 || !strings.HasPrefix(a[0], "127.0.0.1:") || !strings.HasPrefix(a[1], "[::1]:") || a[2] != socket {
		t.Fatalf("addresses %q", a)
	}
	for i, ok := range []bool{true, false, true} {
		c := dialAt(t, s, i)
		p := mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: []byte("x"), HasUsername: true, Username: []byte("ann"),
			HasPassword: true, Password: []byte("ann's password")}
		c.send(p.Append(nil))
		b := make([]byte, 4)
		_ = c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.ReadFull(c.conn, b); (err == nil) != ok {
			t.Errorf("plain MQTT on %s: % x %v", a[i], b, err)
		}
	}

	cfg := config.Default()
	cfg.Data, cfg.Admin, cfg.Listen = t.TempDir(), "127.0.0.1:0", []string{a[0]}
	if s, err := server.Start(t.Context(), cfg, server.Options{}); err == nil {
		_ = s.Shutdown(context.Background())
		t.Error("two servers on one address")
	}
}
