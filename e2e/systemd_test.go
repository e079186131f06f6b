package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// notifications is a service manager's end of sd_notify.
type notifications struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func listenNotifications(t *testing.T) *notifications {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &notifications{t, conn, path}
}

// await waits for a notification that begins so, and returns it.
func (n *notifications) await(state string) string {
	n.t.Helper()
	_ = n.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4096)
	for {
		size, err := n.conn.Read(b)
		if err != nil {
			n.t.Fatalf("no %s: %v", state, err)
		}
		if strings.HasPrefix(string(b[:size]), state) {
			return string(b[:size])
		}
	}
}

// TestSystemd runs the server as systemd does: on a socket that was opened for it,
// with a watchdog, through a reload and a restart during which nobody is refused.
func TestSystemd(t *testing.T) {
	owner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close() }()
	socket, err := owner.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	manager := listenNotifications(t)
	dir := t.TempDir()
	activated := func(listen string) *process {
		return serveWith(t, dir, func(cmd *exec.Cmd) {
			// As systemd does: the process that is told is the one that it is told about.
			cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, cmd.Args...)
			cmd.Path = need(t, "sh")
			cmd.ExtraFiles = []*os.File{socket}
			cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=mqtt", "NOTIFY_SOCKET="+manager.path, "WATCHDOG_USEC=400000",
				"LINKSTEAD_LISTEN="+listen)
		})
	}
	p := activated("systemd:mqtt")
	if p.address != owner.Addr().String() {
		t.Fatalf("it listens on %s, not on %s", p.address, owner.Addr())
	}
	if got := manager.await("READY=1"); !strings.Contains(got, p.address) {
		t.Errorf("%q", got)
	}
	manager.await("WATCHDOG=1")
	manager.await("WATCHDOG=1")
	p.user("ann", "ann's password")
	p.dial("a", mqtt.V5, true)
	p.signal(syscall.SIGHUP)
	manager.await("RELOADING=1\nMONOTONIC_USEC=")
	manager.await("READY=1")

	p.signal(syscall.SIGTERM)
	manager.await("STOPPING=1")
	if code := p.ended(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	late, err := net.DialTimeout("tcp", owner.Addr().String(), patience)
	if err != nil {
		t.Fatalf("refused between two servers: %v", err)
	}
	w := newWire(t, late)
	c := mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: []byte("late"), HasUsername: true, Username: []byte("ann"),
		HasPassword: true, Password: []byte("ann's password")}
	w.send(c.Append(nil))
	activated("systemd:mqtt")
	if f := w.next(); f.Type != mqtt.CONNACK || f.Raw[3] != 0 {
		t.Errorf("who came between two servers gets % X", f.Raw)
	}
}

// TestSocketsAreNamed: a socket that nobody wants, or one that is wanted and not
// there, keeps the server from starting.
func TestSocketsAreNamed(t *testing.T) {
	owner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close() }()
	socket, err := owner.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	for name, c := range map[string]struct {
		listen string
		fds    []*os.File
		want   string
	}{
		"not wanted": {"127.0.0.1:0", []*os.File{socket}, `set listen = [\"systemd:mqtt\"]`},
		"not there":  {"systemd:mqtt", nil, "FileDescriptorName=mqtt"},
		"other name": {"systemd:other", []*os.File{socket}, "FileDescriptorName=other"},
	} {
		cmd := exec.Command(need(t, "sh"), "-c", `LISTEN_PID=$$ exec "$@"`, "sh", program(t), "serve", "--data", t.TempDir(), "--admin", "127.0.0.1:0")
		cmd.ExtraFiles = c.fds
		cmd.Env = append(withoutSettings(os.Environ()), "LINKSTEAD_LISTEN="+c.listen)
		if len(c.fds) > 0 {
			cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=mqtt")
		}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(strings.ReplaceAll(string(out), `"`, `\"`), strings.ReplaceAll(c.want, `\\`, `\`)) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
