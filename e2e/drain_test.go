package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/admin/client"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

// admin calls the admin API of the process.
func (p *process) admin() *client.Client {
	p.t.Helper()
	c, err := client.Find(client.Options{Data: p.dir})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// signal sends one to the process.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// ended waits for the end of the process and returns its exit code.
func (p *process) ended() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("the server does not end:\n%s", p.log)
	}
	return p.cmd.ProcessState.ExitCode()
}

// user adds an application that may do everything.
func (p *process) user(name, password string) {
	p.t.Helper()
	err := p.admin().PutUser(p.t.Context(), name, admin.UserRequest{Password: password,
		Rights: []platform.Right{{Filter: "#", Publish: true, Subscribe: true}}})
	if err != nil {
		p.t.Fatal(err)
	}
}

// dial logs an application in and returns its connection.
func (p *process) dial(id string, v mqtt.Version, clean bool) *wire {
	p.t.Helper()
	conn, err := net.DialTimeout("tcp", p.address, patience)
	if err != nil {
		p.t.Fatal(err)
	}
	w := newWire(p.t, conn)
	c := mqtt.Connect{Version: v, CleanStart: clean, ClientID: []byte(id), HasUsername: true, Username: []byte("ann"),
		HasPassword: true, Password: []byte("ann's password")}
	w.send(c.Append(nil))
	if f := w.next(); f.Type != mqtt.CONNACK || f.Raw[3] != 0 {
		p.t.Fatalf("CONNACK % X", f.Raw)
	}
	return w
}

// owing is an application that has been sent a QoS 1 message and does not
// acknowledge it, so that a drain waits for it.
func (p *process) owing() *wire {
	p.t.Helper()
	w := p.dial("owing", mqtt.V5, true)
	sub := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte("t"), QoS: 1}}}
	w.send(sub.Append(nil, mqtt.V5))
	if f := w.next(); f.Type != mqtt.SUBACK {
		p.t.Fatalf("% X", f.Raw)
	}
	m := mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: 2}
	w.send(m.Append(nil, mqtt.V5))
	for range 2 { // its own message, and the acknowledgement
		w.next()
	}
	return w
}

// TestDrain stops a server with SIGTERM while a client has a message to
// acknowledge: load balancers are told, nobody new is let in, and the end is told
// to the client once it has acknowledged.
func TestDrain(t *testing.T) {
	p := serve(t, t.TempDir(), "LINKSTEAD_DRAIN_TIMEOUT=30s", "LINKSTEAD_DRAIN_SERVER=standby.example:1883")
	p.user("ann", "ann's password")
	w := p.owing()
	address, _, err := admin.ReadAddress(filepath.Join(p.dir, "admin.json"))
	if err != nil {
		t.Fatal(err)
	}
	ready := func() (int, []string) {
		resp, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var h admin.Health
		if err := json.NewDecoder(resp.Body).Decode(&h); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, h.Reasons
	}
	if status, reasons := ready(); status != 200 {
		t.Fatalf("readyz before: %d %v", status, reasons)
	}
	p.signal(syscall.SIGTERM)
	p.log.await(t, "stopping")
	eventually(t, "readyz says draining", func() bool {
		status, reasons := ready()
		return status == 503 && len(reasons) == 1 && reasons[0] == "draining"
	})
	if conn, err := net.DialTimeout("tcp", p.address, patience); err == nil {
		_ = conn.Close()
		t.Error("a new connection is accepted while the server drains")
	}
	w.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V5, 2, mqtt.Success))
	f := w.next()
	var d mqtt.Disconnect
	if err := d.Decode(f, mqtt.V5); err != nil || d.Code != mqtt.UseAnotherServer {
		t.Errorf("the client is told % X (%v)", f.Raw, err)
	}
	if code := p.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if p.log.find("stopped") == "" || p.log.find("cut off") != "" {
		t.Errorf("log:\n%s", p.log)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "admin.json")); err == nil {
		t.Error("admin.json is left behind")
	}
}

// TestSecondSignal cuts a drain short.
func TestSecondSignal(t *testing.T) {
	p := serve(t, t.TempDir(), "LINKSTEAD_DRAIN_TIMEOUT=1h")
	p.user("ann", "ann's password")
	w := p.owing()
	p.signal(syscall.SIGTERM)
	p.log.await(t, "stopping")
	p.signal(syscall.SIGTERM)
	if code := p.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := w.read(); err == nil {
		t.Error("the client was told something")
	}
	if !strings.Contains(p.log.String(), "second signal") {
		t.Errorf("log:\n%s", p.log)
	}
}
