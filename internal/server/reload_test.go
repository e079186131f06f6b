package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/server"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// lines keeps a log.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// reloadable is a server with a configuration file.
type reloadable struct {
	*server.Server
	t    *testing.T
	file string
	log  *lines
}

func (r *reloadable) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// mustReload returns the changes as "key old new live".
func (r *reloadable) mustReload() []string {
	r.t.Helper()
	changes, err := r.Reload(r.t.Context(), "test")
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprint(c.Key, " ", c.Old, " ", c.New, " ", c.Live))
	}
	return out
}

func startReloadable(t *testing.T, text string) *reloadable {
	t.Helper()
	dir := t.TempDir()
	r := &reloadable{t: t, file: filepath.Join(dir, "linkstead.toml"), log: &lines{}}
	r.write(text)
	load := func() (config.Config, config.Sources, error) {
		return config.Load(r.file, []string{"LINKSTEAD_DATA=" + filepath.Join(dir, "data"), "LINKSTEAD_LISTEN=127.0.0.1:0",
			"LINKSTEAD_ADMIN=127.0.0.1:0", "LINKSTEAD_DURABILITY=memory", "LINKSTEAD_DEVICE_SETTLE=0s"})
	}
	cfg, sources, err := load()
	if err != nil {
		t.Fatal(err)
	}
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	r.Server, err = server.Start(t.Context(), cfg, server.Options{
		Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: level})), Level: level, Sources: sources, Load: load,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_ = r.Shutdown(ctx)
	})
	rights := []platform.Right{{Filter: "#", Publish: true, Subscribe: true}}
	if err := r.Platform.PutUser(t.Context(), "test", "ann", "ann's password", rights); err != nil {
		t.Fatal(err)
	}
	return r
}

// entry is a value of the configuration in use, as the admin API shows it.
func (r *reloadable) entry(key string) string {
	r.t.Helper()
	_, body := get(r.t, r.Server, "/v1/status", r.AdminToken())
	_, rest, found := strings.Cut(body, `{"key":"`+key+`",`)
	if !found {
		r.t.Fatalf("no %s in %s", key, body)
	}
	value, _, _ := strings.Cut(rest, "}")
	return value
}

// TestReload changes settings under a client that stays connected.
func TestReload(t *testing.T) {
	r := startReloadable(t, "[limits]\npacket = 1048576\n[log]\nlevel = \"warn\"\n")
	token := filepath.Join(t.TempDir(), "metrics.token")
	if err := os.WriteFile(token, []byte("the-scraper's-own-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	app := dial(t, r.Server)
	app.login("app", "ann", "ann's password", true)
	app.subscribe("x", 0)
	app.publish("x", 0, 0, strings.Repeat("a", 3000))
	app.expect("PUBLISH 0")
	if status, _ := get(t, r.Server, "/metrics", "the-scraper's-own-token"); status != 401 {
		t.Errorf("the token opens /metrics before it is configured: %d", status)
	}

	r.write("durability = \"os\"\nloops = 3\n[limits]\npacket = 2048\nopening_bytes = 300\n[log]\nlevel = \"info\"\n[observe]\nmetrics_token_file = \"" + token + "\"\n")
	want := []string{
		"limits.opening_bytes 16384 300 true", "limits.packet 1048576 2048 true", "log.level warn info true",
		"loops 0 3 false", "observe.metrics_token_file  " + token + " true",
	}
	if got := r.mustReload(); !slices.Equal(got, want) {
		t.Errorf("changes %q,\nwant %q", got, want)
	}
	if status, _ := get(t, r.Server, "/metrics", "the-scraper's-own-token"); status != 200 {
		t.Errorf("the token does not open /metrics: %d", status)
	}
	for key, want := range map[string]string{
		"limits.packet": `"value":2048,"source":"file ` + r.file + `"`,
		"loops":         `"value":0,"source":"default"`,
	} {
		if got := r.entry(key); got != want {
			t.Errorf("%s in use: %s, want %s", key, got, want)
		}
	}
	for _, want := range []string{"key=log.level old=warn new=info", "key=loops old=0 new=3", "need_restart=loops"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, r.log)
		}
	}
	audit, err := r.Platform.AuditLog(t.Context(), 1<<62, 1)
	if err != nil || len(audit) == 0 || audit[0].Action != "reload" || audit[0].Who != "test" || !strings.Contains(audit[0].Detail, "loops: 0 to 3 after a restart") {
		t.Errorf("audited: %+v %v", audit, err)
	}

	app.publish("x", 0, 0, "small") // still connected
	app.expect("PUBLISH 0")
	app.publish("x", 0, 0, strings.Repeat("a", 3000)) // larger than what is allowed now
	if _, err := app.conn.Read(make([]byte, 1)); err == nil {
		t.Error("a packet above the new limit is accepted")
	}
	late := dial(t, r.Server)
	c := mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: []byte(strings.Repeat("c", 400))}
	late.send(c.Append(nil))
	if _, err := late.conn.Read(make([]byte, 1)); err == nil {
		t.Error("a CONNECT above the new limit is accepted")
	}
}

// TestReloadKeepsTheOld: whatever is wrong with the new configuration, nothing of it
// is taken over.
func TestReloadKeepsTheOld(t *testing.T) {
	r := startReloadable(t, "")
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":         {"[log]\nlevel = \"debug\"\nlevle = 1\n", "line 3"},
		"bad value":           {"[log]\nlevel = \"debug\"\n[limits]\nopening = 0\n", "limits.opening"},
		"missing token":       {"[log]\nlevel = \"debug\"\n[observe]\nmetrics_token_file = \"/nonexistent\"\n", "observe.metrics_token_file"},
		"missing certificate": {"[log]\nlevel = \"debug\"\n[tls]\ncert = \"/nonexistent\"\nkey = \"/nonexistent\"\n", "/nonexistent"},
	} {
		r.write(c.text)
		if _, err := r.Reload(t.Context(), "test"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if got := r.entry("log.level"); !strings.HasPrefix(got, `"value":"info"`) {
			t.Errorf("%s: log.level in use: %s", name, got)
		}
	}
	if got := r.log.String(); !strings.Contains(got, "the old one stays") {
		t.Errorf("log:\n%s", got)
	}
}

// TestReloadCertificate shows a new certificate to new handshakes, and leaves a
// connection alone that was made with the old one.
func TestReloadCertificate(t *testing.T) {
	r := startReloadable(t, "")
	shake := func() (*tls.Conn, string) {
		conn, err := tls.Dial("tcp", r.Addresses()[0], &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn, conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	old, was := shake()
	// Another certificate, made as the server makes its own.
	dir := t.TempDir()
	if _, err := transport.LoadOrCreate(transport.CertificateOptions{Dir: dir, Hosts: []string{"new.example"}}); err != nil {
		t.Fatal(err)
	}
	r.write(fmt.Sprintf("[tls]\nmin_version = \"1.3\"\ncert = %q\nkey = %q\n", filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")))
	if got := r.mustReload(); len(got) != 3 {
		t.Errorf("changes: %q", got)
	}
	conn, is := shake()
	if is == was {
		t.Error("new handshakes see the old certificate")
	}
	if err := conn.ConnectionState().PeerCertificates[0].VerifyHostname("new.example"); err != nil {
		t.Error(err)
	}
	if _, err := tls.Dial("tcp", r.Addresses()[0], &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 is accepted although 1.3 is the oldest now")
	}
	c := mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: []byte("c"), HasUsername: true, Username: []byte("ann"),
		HasPassword: true, Password: []byte("ann's password")}
	if _, err := old.Write(c.Append(nil)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := old.Read(b); err != nil || b[3] != 0 {
		t.Errorf("the connection of before: % x %v", b, err)
	}

	// The same names, other files: the reload need not find a changed setting.
	if _, err := transport.LoadOrCreate(transport.CertificateOptions{Dir: dir, Hosts: []string{"newer.example"}}); err != nil {
		t.Fatal(err)
	}
	if got := r.mustReload(); len(got) != 0 {
		t.Errorf("changes: %q", got)
	}
	conn, _ = shake()
	var leaf *x509.Certificate = conn.ConnectionState().PeerCertificates[0]
	if err := leaf.VerifyHostname("newer.example"); err != nil {
		t.Error(err)
	}
}
