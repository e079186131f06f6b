package transport

import (
	"crypto/tls"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// whoami answers a connection with its kind and the address of its client.
func whoami(c *Conn, b []byte) int {
	c.Write([]byte(c.Kind().String() + " " + PeerName(c.RemoteAddr())))
	return len(b)
}

// ask sends parts one after the other and returns what comes back, "" if the
// connection is closed.
func ask(t *testing.T, nc net.Conn, parts ...string) string {
	t.Helper()
	nc.SetDeadline(time.Now().Add(patience))
	for _, p := range parts {
		if _, err := io.WriteString(nc, p); err != nil {
			return ""
		}
	}
	b := make([]byte, 200)
	n, _ := nc.Read(b)
	return string(b[:n])
}

func dialTo(t *testing.T, s *Server) net.Conn {
	t.Helper()
	addr := s.Addrs()[0]
	nc, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func both(t *testing.T, f func(t *testing.T, portable bool)) {
	t.Run("native", func(t *testing.T) { f(t, false) })
	t.Run("portable", func(t *testing.T) { f(t, true) })
}

// TestProxied: behind a load balancer the client's address is the one that the
// PROXY header names, however its bytes arrive and whatever follows.
func TestProxied(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		cert := mustCreate(t, CertificateOptions{Dir: t.TempDir(), Hosts: []string{"127.0.0.1"}})
		s := mustListen(t, Options{Handler: &recorder{received: whoami, ended: make(chan closing, 100)}, Portable: portable, TLS: cert.Config,
			Listeners: []Listener{{Network: "tcp", Address: "127.0.0.1:0", Proxies: loopback}}})
		const v1 = "PROXY TCP4 192.0.2.1 198.51.100.2 12345 1883\r\n"
		v2 := string(proxyV2(0x21, 0x21, v6))
		connect := "\x10\x00"
		const want4, want6 = "tcp 192.0.2.1:12345", "tcp [2001:db8::1]:12345"
		for name, c := range map[string]struct {
			want  string
			parts []string
		}{
			"v1":             {want4, []string{v1, connect}},
			"v1 in one":      {want4, []string{v1 + connect}},
			"v1 in letters":  {want4, append(strings.Split(v1, ""), connect)},
			"v2":             {want6, []string{v2, connect}},
			"v2 in one":      {want6, []string{v2 + connect}},
			"v2 in halves":   {want6, []string{v2[:20], v2[20:] + connect}},
			"no header":      {"", []string{connect}},
			"broken header":  {"", []string{"PROXY TCP4 a b c d\r\n" + connect}},
			"second header":  {"", []string{v1 + v1 + connect}},
			"then something": {"", []string{v1 + "SSH-2.0"}},
		} {
			if got := ask(t, dialTo(t, s), c.parts...); got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		}
		nc := dialTo(t, s)
		own := nc.LocalAddr().String()
		if got := ask(t, nc, string(proxyV2(0x20, 0)), connect); got != "tcp "+own {
			t.Errorf("the proxy itself: %q, want tcp %s", got, own)
		}
		nc = dialTo(t, s)
		io.WriteString(nc, v1)
		if got := ask(t, tls.Client(nc, &tls.Config{InsecureSkipVerify: true}), connect); got != "tls 192.0.2.1:12345" {
			t.Errorf("TLS behind the header: %q", got)
		}
		if n := s.Stats().Refused[RefusedProxy]; n != 2 {
			t.Errorf("%d refused for their header, want 2", n)
		}
	})
}

// TestStrangers: who is no load balancer is not let in, with a header or without.
func TestStrangers(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		s := mustListen(t, Options{Handler: newRecorder(), Portable: portable, Listeners: []Listener{{Network: "tcp", Address: "127.0.0.1:0",
			Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}})
		for _, text := range []string{"\x10\x00", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 1883\r\n\x10\x00"} {
			if got := ask(t, dialTo(t, s), text); got != "" {
				t.Errorf("a stranger gets %q", got)
			}
		}
		if n := s.Stats().Refused[RefusedProxy]; n != 2 {
			t.Errorf("%d refused, want 2", n)
		}
	})
}

// TestKinds: a listener may take some ways to carry MQTT only.
func TestListenerKinds(t *testing.T) {
	cert := mustCreate(t, CertificateOptions{Dir: t.TempDir(), Hosts: []string{"127.0.0.1"}})
	const connect, upgrade = "\x10\x00", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
	for _, kinds := range [][]Kind{nil, {TCP}, {TLS}, {WebSocket}, {SecureWebSocket}, {TLS, SecureWebSocket}} {
		s := mustListen(t, Options{Handler: &recorder{received: whoami, ended: make(chan closing, 100)}, TLS: cert.Config, WebSocket: true,
			Listeners: []Listener{{Network: "tcp", Address: "127.0.0.1:0", Kinds: kinds}}})
		refused := 0
		for k := range kinds0 {
			nc, text, want := dialTo(t, s), connect, k.String()+" "
			if k.Secure() {
				nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
			}
			if k == WebSocket || k == SecureWebSocket {
				text, want = upgrade, "HTTP/1.1 101 "
			}
			l := Listener{Kinds: kinds}
			if !l.takes(k) {
				want = ""
				refused++
			}
			if got := ask(t, nc, text); want == "" && got != "" || !strings.HasPrefix(got, want) {
				t.Errorf("a listener of %v answers %v with %q", kinds, k, got)
			}
		}
		if n := s.Stats().Refused[RefusedProtocol]; n != uint64(refused) {
			t.Errorf("a listener of %v has refused %d, want %d", kinds, n, refused)
		}
	}
}

var kinds0 = map[Kind]bool{TCP: true, TLS: true, WebSocket: true, SecureWebSocket: true}

func TestUnixSocketFile(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		path := filepath.Join(t.TempDir(), "mqtt.sock")
		// One that a killed server has left behind.
		old, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		old.(*net.UnixListener).SetUnlinkOnClose(false)
		old.Close()
		listen := func(mode fs.FileMode, proxied bool) (*Server, error) {
			return Listen(Options{Handler: &recorder{received: whoami, ended: make(chan closing, 100)}, Portable: portable, Loops: 1,
				Listeners: []Listener{{Network: "unix", Address: path, Mode: mode, Proxied: proxied}}})
		}
		for mode, want := range map[fs.FileMode]fs.FileMode{0: 0o600, 0o660: 0o660, 0o666: 0o666} {
			s, err := listen(mode, mode == 0o660)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("mode %v: %v %v", mode, info, err)
			}
			if other, err := listen(mode, false); err == nil {
				other.Close()
				t.Error("the socket of a running server was taken away")
			}
			text, peer := "\x10\x00", "tcp unix"
			if mode == 0o660 {
				text, peer = "PROXY TCP4 192.0.2.1 198.51.100.2 12345 1883\r\n\x10\x00", "tcp 192.0.2.1:12345"
			}
			if got := ask(t, dialTo(t, s), text); got != peer {
				t.Errorf("the peer is %q, want %q", got, peer)
			}
			s.Close()
			if _, err := os.Lstat(path); err == nil {
				t.Error("the socket is left behind")
			}
		}
		// What is no socket stays.
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := listen(0, false); err == nil {
			s.Close()
			t.Error("a file was taken for a socket")
		}
		if b, _ := os.ReadFile(path); string(b) != "precious" {
			t.Errorf("the file holds %q", b)
		}
	})
}

func TestIPv6(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		s := mustListen(t, Options{Handler: &recorder{received: whoami, ended: make(chan closing, 100)}, Portable: portable,
			Listeners: []Listener{{Network: "tcp", Address: "[::1]:0"}}})
		nc := dialTo(t, s)
		if got := ask(t, nc, "\x10\x00"); got != "tcp "+nc.LocalAddr().String() || !strings.Contains(got, "[::1]:") {
			t.Errorf("%q", got)
		}
	})
}

// TestInheritedSocket: a socket that was handed over serves, and goes on to exist
// for its owner when the server stops listening; nobody turns in circles then.
func TestInheritedSocket(t *testing.T) {
	both(t, func(t *testing.T, portable bool) {
		owner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer owner.Close()
		start := func() *Server {
			file, err := owner.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			return mustListen(t, Options{Handler: &recorder{received: whoami, ended: make(chan closing, 100)}, Portable: portable,
				Listeners: []Listener{{Network: "tcp", Address: "systemd:mqtt", Socket: file}}})
		}
		s := start()
		first := dialTo(t, s)
		if got := ask(t, first, "\x10\x00"); got != "tcp "+first.LocalAddr().String() {
			t.Errorf("%q", got)
		}
		s.StopAccepting()
		late, err := net.Dial("tcp", owner.Addr().String()) // waits for whoever accepts next
		if err != nil {
			t.Fatalf("the owner's socket does not listen any more: %v", err)
		}
		defer late.Close()
		if got := ask(t, first, "more"); !strings.HasPrefix(got, "tcp ") {
			t.Errorf("the old connection: %q", got)
		}
		turns := s.Stats().Turns.Count()
		if got := ask(t, first, "more"); !strings.HasPrefix(got, "tcp ") {
			t.Errorf("the old connection: %q", got)
		}
		if n := s.Stats().Turns.Count() - turns; n > 50 {
			t.Errorf("%d turns for one message: the loops turn for a socket they do not accept from", n)
		}
		s.Close()
		start()
		if got := ask(t, late, "\x10\x00"); got != "tcp "+late.LocalAddr().String() {
			t.Errorf("the connection that has waited: %q", got)
		}
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		if _, err := Listen(Options{Handler: newRecorder(), Portable: portable, Listeners: []Listener{{Socket: null}}}); err == nil {
			t.Error("something that is no socket was listened on")
		}
	})
}
