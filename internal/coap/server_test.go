package coap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers with what it was asked, and counts.
type echo struct {
	served chan *Request
	wait   chan struct{} // nil, or what an answer waits for
	keys   map[string]string
}

func (e *echo) ServeCoAP(_ context.Context, r *Request) Response {
	if r.Path == "/panic" {
		panic("as asked")
	}
	if e.served != nil {
		e.served <- r
	}
	if e.wait != nil {
		<-e.wait
	}
	return Response{Code: Content, Format: OctetStream, Payload: append([]byte(r.Identity), r.Payload...), MessageID: "1", Known: true}
}

func (e *echo) PSK(identity string) ([]byte, error) {
	if k := e.keys[identity]; k != "" {
		return []byte(k), nil
	}
	return nil, errors.New("nobody")
}

func (e *echo) PSKEnded(string, string, error) {}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return s
}

func dialUDP(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func get(t *testing.T, c net.Conn, packet string) string {
	t.Helper()
	var b [maxRecord]byte
	for range 10 {
		if _, err := c.Write([]byte(packet)); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(3 * time.Second))
		if n, err := c.Read(b[:]); err == nil {
			return string(b[:n])
		}
	}
	t.Fatalf("no answer to %q", packet)
	return ""
}

// RFC 7252 sections 3, 4.2, 4.3, byte for byte.
func TestPackets(t *testing.T) {
	s := start(t, Options{Handler: &echo{}})
	c := dialUDP(t, s.Address())
	for _, tt := range []struct{ name, packet, want string }{
		{"CON", "\x42\x02\x12\x34\xaa\xbb\xb1a\xffhello", "\x62\x45\x12\x34\xaa\xbb\xc1\x2a\xed\x07\x11\x311\xffhello"[:0]},
		{"ping", "\x40\x00\x00\x07", "\x70\x00\x00\x07"},
		{"a CON answer to nobody", "\x40\x45\x00\x08", "\x70\x00\x00\x08"},
		{"an unreadable option", "\x40\x02\x00\x09\xf0", "\x70\x00\x00\x09"},
		{"an empty message with more", "\x40\x00\x00\x0a\xb1a", "\x70\x00\x00\x0a"},
		{"a critical option", "\x40\x02\x00\x0b\x10", "\x60\x82\x00\x0b"},
		{"a panic", "\x40\x02\x00\x0c\xb5panic", "\x60\xa0\x00\x0c"},
	} {
		got := get(t, c, tt.packet)
		if tt.want == "" {
			tt.want = "\x62\x45\x12\x34\xaa\xbb\xc1\x2a\xe1\x07\x11\x31\xffhello"
		}
		if got != tt.want {
			t.Errorf("%s:\n got %x\nwant %x", tt.name, got, tt.want)
		}
	}
	if st := s.Stats(); st.Malformed < 2 || st.Failed < 2 {
		t.Errorf("%+v", st)
	}
}

// A packet that comes again while the first is being answered is not served twice,
// and later it gets the same answer.
func TestRepetition(t *testing.T) {
	e := &echo{served: make(chan *Request, 10), wait: make(chan struct{})}
	s := start(t, Options{Handler: e})
	c := dialUDP(t, s.Address())
	const packet = "\x50\x02\x00\x01\xb1a\xffx"
	for range 3 {
		if _, err := c.Write([]byte(packet)); err != nil {
			t.Fatal(err)
		}
	}
	<-e.served
	for s.Stats().Repeated < 2 {
		time.Sleep(time.Millisecond)
	}
	close(e.wait)
	var b [100]byte
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, err := c.Read(b[:])
	if err != nil {
		t.Fatal(err)
	}
	first := string(b[:n])
	if again := get(t, c, packet); again != first || len(e.served) != 0 {
		t.Errorf("%x, at first %x; served %d times more", again, first, len(e.served))
	}
	if other := get(t, dialUDP(t, s.Address()), packet); len(e.served) != 1 {
		t.Errorf("the same bytes of another client were not served: %x", other)
	}
}

// What one address sends beyond its rate is not looked at; what many send does not
// make the memory of answers grow.
func TestFlood(t *testing.T) {
	e := &echo{}
	s := start(t, Options{Handler: e, Rate: 10})
	c := dialUDP(t, s.Address())
	for s.Stats().Limited == 0 {
		for i := range 100 {
			if _, err := c.Write([]byte{0x40, 2, 0, byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var a answers
	a.init()
	for i := range 3 * keptAnswers {
		k := answerKey{netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 1}), 1), uint64(i)}
		if _, first := a.begin(k); !first {
			t.Fatal(i)
		}
		a.end(k, []byte("x"))
	}
	if len(a.kept) != keptAnswers || len(a.busy) != 0 {
		t.Errorf("%d answers kept, %d busy", len(a.kept), len(a.busy))
	}
}

// A stop answers what was begun.
func TestShutdownAnswers(t *testing.T) {
	e := &echo{served: make(chan *Request, 1), wait: make(chan struct{})}
	s := start(t, Options{Handler: e})
	c := dialUDP(t, s.Address())
	if _, err := c.Write([]byte("\x40\x02\x00\x01\xb1a")); err != nil {
		t.Fatal(err)
	}
	<-e.served
	done := make(chan error)
	go func() { done <- s.Shutdown(context.Background()) }()
	for !s.closing.Load() {
		time.Sleep(time.Millisecond)
	}
	close(e.wait)
	var b [100]byte
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Read(b[:]); err != nil {
		t.Errorf("no answer: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func handshake(t *testing.T, s *Server, o ...dtls.ClientOption) (*dtls.Conn, error) {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", s.TLSAddress())
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	c, err := dtls.ClientWithOptions(socket, to, o...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	return c, nil
}

func psk(identity, key string, suite func() []dtls.CipherSuite, ids ...dtls.CipherSuiteID) []dtls.ClientOption {
	o := []dtls.ClientOption{dtls.WithPSK(func([]byte) ([]byte, error) { return []byte(key), nil }), dtls.WithPSKIdentityHint([]byte(identity))}
	if suite != nil {
		o = append(o, dtls.WithCustomCipherSuites(suite))
	}
	if len(ids) > 0 {
		o = append(o, dtls.WithCipherSuites(ids...))
	}
	return o
}

// Every suite that devices offer, and that of C Link SDK 4, which pion does not have.
func TestSuites(t *testing.T) {
	s := start(t, Options{Handler: &echo{keys: map[string]string{"me": "key"}}, TLSListen: "127.0.0.1:0"})
	for _, id := range suites[4:] {
		c, err := handshake(t, s, psk("me", "key", nil, id)...)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if got := get(t, c, "\x40\x02\x00\x01\xb1a\xff!"); !bytes.HasSuffix([]byte(got), []byte("\xffme!")) {
			t.Errorf("%s: %x", id, got)
		}
	}
	c, err := handshake(t, s, psk("me", "key", ownSuites)...)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "\x40\x02\x00\x01\xb1a\xff!"); !bytes.HasSuffix([]byte(got), []byte("\xffme!")) {
		t.Errorf("%x", got)
	}
	if c, err := handshake(t, s, psk("stranger", "key", nil, suites[8])...); err == nil {
		t.Errorf("a stranger: %v", c)
	}
}

// clientHello is the first packet of a client.
func clientHello(t *testing.T) []byte {
	t.Helper()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	c, err := dtls.ClientWithOptions(socket, server.LocalAddr(), psk("me", "key", nil, suites[8])...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.HandshakeContext(ctx) }()
	b := make([]byte, maxRecord)
	n, _, err := server.ReadFrom(b)
	cancel()
	<-done
	c.Close()
	if err != nil || !isHello(b[:n]) {
		t.Fatalf("%x %v", b[:n], err)
	}
	return b[:n]
}

// Beginnings of handshakes from anywhere do not take the place of others without end.
func TestHandshakeFlood(t *testing.T) {
	s := start(t, Options{Handler: &echo{keys: map[string]string{"me": "key"}}, TLSListen: "127.0.0.1:0", Sessions: 40})
	hello := clientHello(t)
	for i := range 20 { // each is asked for a cookie, and says no more
		c := dialUDP(t, s.TLSAddress())
		if _, err := c.Write(hello); err != nil {
			t.Fatal(i, err)
		}
		if _, err := c.Write([]byte("junk")); err != nil {
			t.Fatal(i, err)
		}
	}
	for s.Stats().Refused < 16 {
		if s.Stats().Received >= 40 && s.Stats().Sessions < 4 {
			t.Fatalf("%+v", s.Stats())
		}
		time.Sleep(time.Millisecond)
	}
	if n := s.Stats().Sessions; n > 4 {
		t.Errorf("one address has %d of 40 sessions", n)
	}
	d := newSecureDoor(s, nil)
	for i := range maxHandshakes + 50 {
		d.mu.Lock()
		d.evict()
		p := &peer{door: d, remote: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i+1)), cancel: func() {}, in: newBuffer()}
		d.peers[p.remote] = p
		d.handshaking = append(d.handshaking, p)
		d.mu.Unlock()
	}
	if len(d.peers) != maxHandshakes || len(d.handshaking) != maxHandshakes {
		t.Errorf("%d sessions, %d in the handshake", len(d.peers), len(d.handshaking))
	}
}

func FuzzPacket(f *testing.F) {
	f.Add([]byte("\x42\x02\x12\x34\xaa\xbb\xb1a\xffhello"))
	f.Add([]byte("\x50\x02\x00\x01\xb4auth\x11\x32\x51\x32\xe2\x07\x0aab\x13abc\xff{}"))
	f.Add([]byte("\x40\x02\x00\x01\xdd\x01\x02"))
	f.Add([]byte{22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		isHello(b)
		var p packet
		if err := p.parse(b); err != nil {
			if r := p.reset(); len(r) != 4 {
				t.Error(r)
			}
			return
		}
		var r Request
		code := p.request(&r)
		if code != 0 && code < BadRequest {
			t.Errorf("refused with %s", code)
		}
		out := p.answer(nil, Response{Code: Content, Format: JSON, Payload: r.Payload, MessageID: fmt.Sprint(p.id)}, 7)
		var back packet
		if err := back.parse(out); err != nil || !bytes.Equal(back.token, p.token) || back.code != uint8(Content) || !bytes.Equal(back.payload, r.Payload) {
			t.Errorf("the answer %x: %v", out, err)
		}
	})
}
