package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a test waits for an event before it gives up. No test
// passes because of it.
const patience = 30 * time.Second

// closing is what a recorder notes about an end.
type closing struct {
	id    uint64
	cause error
}

// recorder is a handler made of functions; what is nil does the obvious.
type recorder struct {
	opened   func(c *Conn)
	received func(c *Conn, b []byte) int
	writable func(c *Conn)
	endTurn  func(l *Loop)
	closed   func(c *Conn, cause error)

	opens, closes atomic.Int64
	ended         chan closing
}

func newRecorder() *recorder { return &recorder{ended: make(chan closing, 1<<16)} }

func (r *recorder) Idle(c *Conn) {}

func (r *recorder) Opened(c *Conn) {
	r.opens.Add(1)
	if r.opened != nil {
		r.opened(c)
	}
}

func (r *recorder) Received(c *Conn, b []byte) int {
	if r.received != nil {
		return r.received(c, b)
	}
	c.Write(b)
	return len(b)
}

func (r *recorder) Writable(c *Conn) {
	if r.writable != nil {
		r.writable(c)
	}
}

func (r *recorder) EndTurn(l *Loop) {
	if r.endTurn != nil {
		r.endTurn(l)
	}
}

func (r *recorder) Closed(c *Conn, cause error) {
	r.closes.Add(1)
	if r.closed != nil {
		r.closed(c, cause)
	}
	r.ended <- closing{c.ID(), cause}
}

// waitClosed returns the next end that the handler was told.
func (r *recorder) waitClosed(t testing.TB) error {
	t.Helper()
	select {
	case e := <-r.ended:
		return e.cause
	case <-time.After(patience):
		t.Fatal("Closed was not called")
		return nil
	}
}

// mustListen starts a server on port 0 that ends with the test.
func mustListen(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Listeners == nil {
		o.Listeners = []Listener{{Network: "tcp", Address: "127.0.0.1:0"}}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Loops == 0 {
		o.Loops = 2
	}
	if o.OpeningTimeout == 0 { // handlers that never call Established have all the time
		o.OpeningTimeout = 10 * patience
	}
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// mustDial connects to the server; the connection ends with the test.
func mustDial(t testing.TB, s *Server) net.Conn {
	t.Helper()
	addr := s.Addrs()[0]
	nc, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return nc
}

// mustEcho writes b and expects it back.
func mustEcho(t testing.TB, nc net.Conn, b []byte) {
	t.Helper()
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
	mustRead(t, nc, b)
}

// mustRead expects want.
func mustRead(t testing.TB, nc net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	nc.SetDeadline(time.Now().Add(patience))
	if n, err := io.ReadFull(nc, got); err != nil {
		t.Fatalf("%v after %d of %d bytes", err, n, len(want))
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("read % x, want % x", got[:min(64, len(got))], want[:min(64, len(want))])
	}
}

// mustEnd expects the end of the stream, whatever comes before it, and returns
// that.
func mustEnd(t testing.TB, nc net.Conn) []byte {
	t.Helper()
	nc.SetDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(nc)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("the connection stays open after %q", got)
	}
	return got
}

// waitSockets waits until the server has n sockets.
func waitSockets(t testing.TB, s *Server, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); s.Stats().Sockets != n; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("the server has %d sockets, want %d", s.Stats().Sockets, n)
		}
	}
}

// variants runs a test with epoll and with goroutines.
func variants(t *testing.T, test func(t *testing.T, o Options)) {
	t.Run("epoll", func(t *testing.T) { test(t, Options{}) })
	t.Run("portable", func(t *testing.T) { test(t, Options{Portable: true}) })
}

// connect is the smallest CONNECT-like beginning that passes the sniffer.
var connect = []byte{0x10, 0x02, 'h', 'i'}

// taskFunc makes a function a task.
type taskFunc func(l *Loop)

// Run calls it.
func (f taskFunc) Run(l *Loop) { f(l) }

func TestEcho(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		o.Handler = h
		s := mustListen(t, o)
		const conns = 500
		var wg sync.WaitGroup
		for i := range conns {
			nc := mustDial(t, s)
			wg.Go(func() {
				for j := range 20 {
					message := append(bytes.Clone(connect), fmt.Sprintf("message %d of connection %d", j, i)...)
					nc.Write(message)
					got := make([]byte, len(message))
					if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, message) {
						t.Errorf("got %q, %v; want %q", got, err, message)
						return
					}
				}
				nc.Close()
			})
		}
		wg.Wait()
		for range conns {
			if err := h.waitClosed(t); err != io.EOF {
				t.Errorf("closed with %v, want io.EOF", err)
			}
		}
		if got := s.Stats(); got.Accepted != conns || got.Open != [kinds]int{} || h.opens.Load() != conns {
			t.Errorf("accepted %d, open %v, opened %d", got.Accepted, got.Open, h.opens.Load())
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if got := s.Stats(); got.Sockets != 0 || got.Opening != 0 {
			t.Errorf("after the end: %+v", got)
		}
	})
}
