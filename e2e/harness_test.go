// Package e2e runs unmodified clients against the real server: devices with the bytes of their firmware, the
// official SDK, and ordinary MQTT applications. Nothing is faked on either side of the socket.
//
// The clients are installed by install.sh. A client that is missing fails the tests that need it; set
// LINKSTEAD_E2E=optional to skip them instead.
package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/server"
)

// patience is how long a test waits for something that has to happen. Only a failing test waits that long.
const patience = 30 * time.Second

// who is the name these tests leave in the audit log.
const who = "e2e"

// stc15 is the device of the seed note: an 8-bit microcontroller with a gas sensor and a lamp.
var stc15 = alink.Triple{ProductKey: "a1ji0qFv6Jf", DeviceName: "STC15", DeviceSecret: "bc0834e2beeb03d37eeb7361cc387918"}

// TestMain removes the compiled server, and fails if a server or client left a goroutine behind.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		removeBinary()
		os.Exit(code)
	}))
}

// home is a running server in this process.
type home struct {
	*server.Server
	t   *testing.T
	cfg config.Config
	log *logLines
}

// defaults is the configuration of a test server on a free port, its data in dir. Everything else is as a user
// gets it.
func defaults(dir string) config.Config {
	cfg := config.Default()
	cfg.Data = dir
	cfg.Listen = []string{"127.0.0.1:0"}
	cfg.Admin = "127.0.0.1:0"
	return cfg
}

// mustStart starts a server with a fresh data directory and stops it at the end of the test. Each of change
// may alter the configuration.
func mustStart(t *testing.T, change ...func(*config.Config)) *home {
	t.Helper()
	cfg := defaults(t.TempDir())
	for _, f := range change {
		f(&cfg)
	}
	return mustStartWith(t, cfg)
}

// mustStartWith starts a server with exactly this configuration.
func mustStartWith(t *testing.T, cfg config.Config) *home {
	t.Helper()
	h := &home{t: t, cfg: cfg, log: &logLines{}}
	var err error
	h.Server, err = server.Start(t.Context(), cfg, server.Options{
		Logger: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		h.stop()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", h.log.tail(16<<10))
		}
	})
	return h
}

// stop stops the server, if it still runs.
func (h *home) stop() {
	h.t.Helper()
	select {
	case <-h.Done():
		return
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		h.t.Errorf("shutdown: %v", err)
	}
}

// restart stops the server and starts it again with the same data on the same port.
func (h *home) restart() *home {
	h.t.Helper()
	cfg := h.cfg
	cfg.Listen = h.Addresses()
	h.stop()
	return mustStartWith(h.t, cfg)
}

// address is host:port for devices and applications.
func (h *home) address() string { return h.Addresses()[0] }

// port is the port of address.
func (h *home) port() string {
	_, port, err := net.SplitHostPort(h.address())
	if err != nil {
		h.t.Fatal(err)
	}
	return port
}

// addSeed registers the seed's product, model and device.
func (h *home) addSeed() alink.Triple {
	h.t.Helper()
	h.addProduct(stc15.ProductKey, "../tsl/testdata/stc15.json")
	return h.addDevice(stc15)
}

// addProduct registers a product and imports its thing model from a file, if one is named.
func (h *home) addProduct(key, model string) {
	h.t.Helper()
	if _, err := h.Platform.CreateProduct(h.t.Context(), who, platform.Product{ProductKey: key, Name: "product " + key}); err != nil {
		h.t.Fatal(err)
	}
	if model != "" {
		h.importModel(key, model)
	}
}

// importModel imports a thing model from a file.
func (h *home) importModel(key, model string) {
	h.t.Helper()
	doc, err := os.ReadFile(model)
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.Platform.ImportModel(h.t.Context(), who, key, doc); err != nil {
		h.t.Fatal(err)
	}
}

// addDevice registers a device; its secret is made up if it is empty.
func (h *home) addDevice(d alink.Triple) alink.Triple {
	h.t.Helper()
	got, err := h.Platform.CreateDevice(h.t.Context(), who, platform.NewDevice{
		ProductKey: d.ProductKey, DeviceName: d.DeviceName, DeviceSecret: d.DeviceSecret,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return alink.Triple{ProductKey: got.ProductKey, DeviceName: got.DeviceName, DeviceSecret: got.DeviceSecret}
}

// user is an application's login.
type user struct{ name, password string }

// addUser registers an application that may do everything.
func (h *home) addUser(name string) user {
	h.t.Helper()
	u := user{name, name + " secret 42"}
	if err := h.Platform.PutUser(h.t.Context(), who, u.name, u.password, []platform.Right{{Filter: "#", Publish: true, Subscribe: true}}); err != nil {
		h.t.Fatal(err)
	}
	return u
}

// latest gives the stored value of a device's property as JSON text, "" if there is none.
func (h *home) latest(d alink.Triple, property string) string {
	h.t.Helper()
	values, err := h.Platform.LatestProperties(h.t.Context(), d.ProductKey, d.DeviceName)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, v := range values {
		if v.Identifier == property {
			return string(v.Value)
		}
	}
	return ""
}

// wantLatest fails unless a device's properties have these values, as JSON text.
func (h *home) wantLatest(d alink.Triple, want map[string]string) {
	h.t.Helper()
	for id, w := range want {
		if got := h.latest(d, id); got != w {
			h.t.Errorf("stored %s of %s = %q, want %q", id, d.DeviceName, got, w)
		}
	}
}

// tlsConfig trusts the server's own authority and nothing else.
func (h *home) tlsConfig() *tls.Config {
	h.t.Helper()
	pem, err := os.ReadFile(h.CAFile())
	if err != nil {
		h.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		h.t.Fatalf("%s holds no certificate", h.CAFile())
	}
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// call is a command to a device that runs beside the test.
type call struct {
	t    *testing.T
	name string
	done chan struct{}
	res  *platform.CallResult
	err  error
}

// start runs f, which asks a device for something and waits for its reply.
func (h *home) start(name string, f func(context.Context) (*platform.CallResult, error)) *call {
	c := &call{t: h.t, name: name, done: make(chan struct{})}
	ctx := h.t.Context()
	go func() {
		defer close(c.done)
		c.res, c.err = f(ctx)
	}()
	return c
}

// result waits for the device's reply.
func (c *call) result() *platform.CallResult {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.t.Fatalf("%s: no result", c.name)
	}
	if c.err != nil {
		c.t.Fatalf("%s: %v", c.name, c.err)
	}
	return c.res
}

// eventually waits until f is true. It is for what announces itself to nobody, such as a stored value.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// need looks for a program that a test cannot do without.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(t, fmt.Sprintf("%s is not installed", program))
	}
	return path
}

// missing ends a test whose client is not there.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("LINKSTEAD_E2E") == "optional" {
		t.Skipf("%s; e2e/install.sh installs the clients", what)
	}
	t.Fatalf("%s: run e2e/install.sh, or set LINKSTEAD_E2E=optional to do without this test", what)
}
