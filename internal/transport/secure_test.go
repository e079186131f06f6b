package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

var (
	certificateOnce sync.Once
	certificateOnly *Certificate
	certificateErr  error
)

// testCertificate is made once: RSA keys take their time.
func testCertificate(t testing.TB) *Certificate {
	t.Helper()
	certificateOnce.Do(func() {
		dir, err := os.MkdirTemp("", "certificate")
		if err != nil {
			certificateErr = err
			return
		}
		defer os.RemoveAll(dir)
		certificateOnly, certificateErr = LoadOrCreate(CertificateOptions{Dir: dir, Hosts: []string{"127.0.0.1", "localhost"}, MinVersion: tls.VersionTLS10})
	})
	if certificateErr != nil {
		t.Fatal(certificateErr)
	}
	return certificateOnly
}

// clientTLS does not check the certificate; TestCertificate does.
func clientTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func mustDialTLS(t testing.TB, s *Server) net.Conn {
	t.Helper()
	nc := tls.Client(mustDial(t, s), clientTLS())
	if err := nc.Handshake(); err != nil {
		t.Fatal(err)
	}
	return nc
}

// wsConn is a WebSocket client made of gobwas/ws: each Write is one frame.
type wsConn struct {
	net.Conn
	r    *bufio.Reader
	rest []byte
}

func (c *wsConn) Write(b []byte) (int, error) {
	return len(b), wsutil.WriteClientBinary(c.Conn, b)
}

func (c *wsConn) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		data, err := wsutil.ReadServerBinary(readWriter{c.r, c.Conn})
		if err != nil {
			return 0, err
		}
		c.rest = data
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

type readWriter struct {
	*bufio.Reader
	net.Conn
}

func (rw readWriter) Read(b []byte) (int, error) { return rw.Reader.Read(b) }

func mustUpgrade(t testing.TB, nc net.Conn) *wsConn {
	t.Helper()
	dialer := ws.Dialer{
		Protocols: []string{"mqttv3.1", "mqtt"},
		NetDial:   func(context.Context, string, string) (net.Conn, error) { return nc, nil },
	}
	_, r, hs, err := dialer.Dial(context.Background(), "ws://"+nc.RemoteAddr().String()+"/mqtt")
	if err != nil {
		t.Fatal(err)
	}
	if hs.Protocol != "mqtt" {
		t.Errorf("sub-protocol %q, want mqtt [MQTT-6.0.0-3]", hs.Protocol)
	}
	if r == nil {
		r = bufio.NewReader(nc)
	}
	nc.SetDeadline(time.Now().Add(patience))
	return &wsConn{Conn: nc, r: r}
}

func mustDialWS(t testing.TB, s *Server) net.Conn { return mustUpgrade(t, mustDial(t, s)) }

func mustDialWSS(t testing.TB, s *Server) net.Conn { return mustUpgrade(t, mustDialTLS(t, s)) }

// TestKinds lets one port take all four kinds at once.
func TestKinds(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		h.received = func(c *Conn, b []byte) int {
			if (c.TLSState() != nil) != c.Kind().Secure() {
				t.Errorf("%v with TLS state %v", c.Kind(), c.TLSState())
			}
			c.Write([]byte(c.Kind().String() + "\n"))
			return len(b)
		}
		o.Handler, o.TLS, o.WebSocket = h, testCertificate(t).Config, true
		s := mustListen(t, o)
		var open []net.Conn
		for _, tt := range []struct {
			dial func(testing.TB, *Server) net.Conn
			want string
		}{{mustDial, "tcp\n"}, {mustDialTLS, "tls\n"}, {mustDialWS, "ws\n"}, {mustDialWSS, "wss\n"}} {
			nc := tt.dial(t, s)
			open = append(open, nc)
			nc.Write(connect)
			mustRead(t, nc, []byte(tt.want))
		}
		if got := s.Stats().Open; got != [kinds]int{1, 1, 1, 1} {
			t.Errorf("open by kind: %v", got)
		}
		for _, nc := range open {
			nc.Close()
			h.waitClosed(t)
		}
	})
}

// TestTLSVersions shakes hands as devices do: from TLS 1.0 with RSA key exchange
// (spec connect.md §3) to TLS 1.3.
func TestTLSVersions(t *testing.T) {
	h := newRecorder()
	s := mustListen(t, Options{Handler: h, TLS: testCertificate(t).Config})
	for _, tt := range []struct {
		name    string
		version uint16
		suite   uint16
	}{
		{"1.0 RSA AES128 SHA", tls.VersionTLS10, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
		{"1.1 RSA AES256 SHA", tls.VersionTLS11, tls.TLS_RSA_WITH_AES_256_CBC_SHA},
		{"1.2 RSA AES128 SHA256", tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_CBC_SHA256},
		{"1.2 RSA AES128 SHA", tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_CBC_SHA},
		{"1.2 ECDHE AES128 GCM", tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		{"1.3", tls.VersionTLS13, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := clientTLS()
			config.MinVersion, config.MaxVersion = tt.version, tt.version
			if tt.suite != 0 {
				config.CipherSuites = []uint16{tt.suite}
			}
			nc := tls.Client(mustDial(t, s), config)
			mustEcho(t, nc, connect)
			if state := nc.ConnectionState(); tt.suite != 0 && state.CipherSuite != tt.suite {
				t.Errorf("negotiated %s", tls.CipherSuiteName(state.CipherSuite))
			}
			// A close says so inside TLS, in both directions.
			nc.CloseWrite()
			if got := mustEnd(t, nc); len(got) != 0 {
				t.Errorf("got %q after the end", got)
			}
			nc.Close()
		})
	}
}

// TestTLSRefused checks what is said about handshakes that fail.
func TestTLSRefused(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		var log lockedBuffer
		o.Handler, o.Logger, o.TLS = h, log.logger(), testCertificate(t).Config
		s := mustListen(t, o)
		strict := tls.Client(mustDial(t, s), &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()})
		if strict.Handshake() == nil {
			t.Error("a client without the CA was content")
		}
		strict.Close()
		log.waitFor(t, "it may not trust the certificate")
		broken := mustDial(t, s)
		broken.Write([]byte("\x16\x03\x01\x00\x05hello"))
		mustEnd(t, broken)
		log.waitFor(t, "TLS handshake failed")
		if got := s.Stats().Refused[RefusedTLS]; got != 2 {
			t.Errorf("%d TLS handshakes refused, want 2", got)
		}
		twice := mustDialTLS(t, s)
		twice.Write([]byte("\x16\x03\x01\x00\x05hello"))
		mustEnd(t, twice)
		log.waitFor(t, "a second TLS handshake inside the first")

		o.TLS = func() *tls.Config { return nil }
		off := mustListen(t, o)
		if tls.Client(mustDial(t, off), clientTLS()).Handshake() == nil {
			t.Error("a handshake without a certificate succeeded")
		}
		log.waitFor(t, ErrTLSOff.Error())
		if h.opens.Load() != 0 {
			t.Errorf("Opened was called %d times", h.opens.Load())
		}
	})
}

// TestSlowHandshakesDoNotBlock has more half handshakes than workers; another
// client still gets through.
func TestSlowHandshakesDoNotBlock(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		o.Handler, o.TLS, o.HandshakeWorkers = h, testCertificate(t).Config, 1
		s := mustListen(t, o)
		for range 8 {
			// The whole ClientHello, then silence.
			client := tls.Client(&firstWriteOnly{Conn: mustDial(t, s)}, clientTLS())
			if client.Handshake() == nil {
				t.Fatal("half a handshake succeeded")
			}
		}
		mustEcho(t, mustDialTLS(t, s), connect)
	})
}

// firstWriteOnly sends the first flight of a handshake and then gives up.
type firstWriteOnly struct{ net.Conn }

func (c *firstWriteOnly) Read([]byte) (int, error) { return 0, net.ErrClosed }

// TestPipelinedTLS sends data right behind the handshake, more than the loop
// reads ahead of it.
func TestPipelinedTLS(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		o.Handler, o.TLS = h, testCertificate(t).Config
		s := mustListen(t, o)
		nc := tls.Client(mustDial(t, s), clientTLS())
		message := append([]byte{0x10}, make([]byte, 1<<20)...)
		go nc.Write(message) // shakes hands first
		mustRead(t, nc, message)
	})
}
