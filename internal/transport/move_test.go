package transport

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// TestMoveUnderLoad has connections jump between loops all the time while they
// receive, and checks that each packet arrives once, in order, on the loop that
// the connection is on, and that so do the answers.
func TestMoveUnderLoad(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		type state struct {
			next  uint32
			home  *Loop
			moved bool
		}
		h := newRecorder()
		var moves atomic.Int64
		h.opened = func(c *Conn) { c.Attachment = &state{home: c.Loop()} }
		h.received = func(c *Conn, b []byte) (n int) {
			s := c.Attachment.(*state)
			if s.moved {
				t.Error("Received between MoveTo and the move")
			}
			if c.Loop() != s.home {
				t.Error("Received on a loop that the connection was not moved to")
			}
			for len(b)-n >= 8 && !s.moved {
				if got := binary.BigEndian.Uint32(b[n+4:]); got != s.next {
					t.Errorf("connection %d: packet %d comes as number %d", c.ID(), got, s.next)
					c.Abort(nil)
					return len(b)
				}
				s.next++
				c.SetOutput(append(c.Output(), b[n:n+8]...))
				n += 8
				if rand.IntN(20) == 0 {
					loops := c.Loop().server.Loops()
					to := loops[rand.IntN(len(loops))]
					c.MoveTo(to)
					if to != c.Loop() {
						s.moved = true
						moves.Add(1)
						// The rest of this turn still belongs to the old loop.
						c.Loop().Post(taskFunc(func(*Loop) {}))
						s.home = to
					}
				}
			}
			return n
		}
		// moved is reset by the first call on the new loop: here, at the end of
		// the turn in which the move was asked for.
		h.endTurn = func(l *Loop) {
			for _, d := range l.departing {
				if d.c != nil && d.c.Attachment != nil {
					d.c.Attachment.(*state).moved = false
				}
			}
		}
		o.Handler, o.Loops, o.TLS, o.WebSocket = h, 3, testCertificate(t).Config, true
		s := mustListen(t, o)
		var wg sync.WaitGroup
		const packets = 3000
		for i := range 24 {
			dial := []func(testing.TB, *Server) net.Conn{mustDial, mustDial, mustDialTLS, mustDialWS}[i%4]
			nc := dial(t, s)
			var stream []byte
			for j := range packets {
				stream = binary.BigEndian.AppendUint32(stream, 0x10000000)
				stream = binary.BigEndian.AppendUint32(stream, uint32(j))
			}
			wg.Go(func() {
				for rest := stream; len(rest) > 0; {
					n := min(len(rest), 1+rand.IntN(500))
					if _, err := nc.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
			})
			wg.Go(func() {
				got := make([]byte, len(stream))
				if n, err := io.ReadFull(nc, got); err != nil || string(got) != string(stream) {
					t.Errorf("connection %d: %v after %d bytes, or out of order", i, err, n)
				}
				nc.Close()
			})
		}
		wg.Wait()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if h.opens.Load() != 24 || h.closes.Load() != 24 || moves.Load() == 0 {
			t.Errorf("%d opened, %d closed, %d moves", h.opens.Load(), h.closes.Load(), moves.Load())
		}
	})
}

// TestMoveKeepsUnconsumed moves with the first packet untouched, as a login
// does that belongs to a session on another loop.
func TestMoveKeepsUnconsumed(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		h.received = func(c *Conn, b []byte) int {
			target := c.Loop().server.Loops()[2]
			if c.Loop() != target {
				c.Write([]byte("moving "))
				c.MoveTo(target)
				return 0
			}
			c.Write(b)
			return len(b)
		}
		o.Handler, o.Loops = h, 3
		s := mustListen(t, o)
		for range 12 { // some of them begin on the right loop
			nc := mustDial(t, s)
			nc.Write(connect)
			want := connect
			first := make([]byte, 1)
			if _, err := io.ReadFull(nc, first); err != nil {
				t.Fatal(err)
			}
			if first[0] == 'm' {
				mustRead(t, nc, []byte("oving "))
				mustRead(t, nc, want)
			} else {
				mustRead(t, nc, want[1:])
			}
		}
		if got := s.Loops()[2].count.Load(); got != 12 {
			t.Errorf("%d of 12 connections are on the loop they moved to", got)
		}
	})
}

// TestEvenDistribution: few connections, too, are spread over the loops.
func TestEvenDistribution(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		o.Handler, o.Loops = h, 4
		s := mustListen(t, o)
		for range 8 {
			mustEcho(t, mustDial(t, s), connect)
		}
		for _, l := range s.Loops() {
			if got := l.count.Load(); got != 2 {
				t.Errorf("loop %d has %d of 8 connections", l.Index(), got)
			}
		}
	})
}
