package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// shortPacket makes what the handlers of these tests take for a packet: 0x10, two
// bytes of length, payload.
func shortPacket(payload string) []byte {
	b := append([]byte{0x10}, 0, 0)
	binary.BigEndian.PutUint16(b[1:], uint16(len(payload)))
	return append(b, payload...)
}

// cut returns the first whole packet of b, nil if there is none.
func cut(b []byte) []byte {
	if len(b) < 3 {
		return nil
	}
	n := 3 + int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < n {
		return nil
	}
	return b[:n]
}

// await returns what comes out of events.
func await[T any](t testing.TB, events <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-events:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not happen", what)
		panic("not reached")
	}
}

// on runs f on a loop and waits for it.
func on(t testing.TB, l *Loop, f func()) {
	t.Helper()
	done := make(chan struct{})
	l.Post(taskFunc(func(*Loop) { f(); close(done) }))
	await(t, done, "a posted task")
}

func TestBytesComeOneByOne(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		presented := make(chan string, 1)
		h.received = func(c *Conn, b []byte) int {
			p := cut(b)
			c.Write(p)
			presented <- string(b)
			return len(p)
		}
		o.Handler = h
		nc := mustDial(t, mustListen(t, o))
		stream := bytes.Join([][]byte{shortPacket("one"), shortPacket(""), shortPacket("and three")}, nil)
		first := 0 // of the packet that is not complete yet
		for i := range stream {
			nc.Write(stream[i : i+1])
			if got, want := await(t, presented, "Received"), string(stream[first:i+1]); got != want {
				t.Fatalf("after byte %d: presented %q, want %q", i, got, want)
			}
			if p := cut(stream[first : i+1]); p != nil {
				first += len(p)
			}
		}
		mustRead(t, nc, stream)
	})
}

// Close and the end of the peer's stream write what was appended; Abort does not
// wait for it.
func TestEnds(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		reason := errors.New("enough")
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
		tests := []struct {
			name  string
			end   func(c *Conn, b []byte)
			cause error
			whole bool
		}{
			{"Close", func(c *Conn, b []byte) { c.Write(big); c.Close(reason); c.Write([]byte("too late")) }, reason, true},
			{"Abort", func(c *Conn, b []byte) { c.Write(big); c.Abort(reason) }, reason, false},
			{"Close twice", func(c *Conn, b []byte) { c.Write(big); c.Close(reason); c.Close(io.EOF) }, reason, true},
			{"Close, Abort", func(c *Conn, b []byte) { c.Write(big); c.Close(reason); c.Abort(io.EOF) }, reason, false},
			{"the peer", func(c *Conn, b []byte) { c.Write(big) }, io.EOF, true},
		}
		for _, test := range tests {
			h := newRecorder()
			h.received = func(c *Conn, b []byte) int { test.end(c, b); return len(b) }
			o.Handler, o.Linger = h, patience
			s := mustListen(t, o)
			nc := mustDial(t, s)
			nc.Write(connect)
			if test.cause == io.EOF {
				nc.(*net.TCPConn).CloseWrite()
			}
			got := mustEnd(t, nc)
			if whole := bytes.Equal(got, big); whole != test.whole {
				t.Errorf("%s: read %d of %d bytes", test.name, len(got), len(big))
			}
			nc.Close()
			if err := h.waitClosed(t); err != test.cause {
				t.Errorf("%s: Closed with %v, want %v", test.name, err, test.cause)
			}
			if err := s.Shutdown(context.Background()); err != nil || h.closes.Load() != 1 || h.opens.Load() != 1 {
				t.Errorf("%s: shutdown %v, %d opened, %d closed", test.name, err, h.opens.Load(), h.closes.Load())
			}
			if stats := s.Stats(); stats.Sockets != 0 || stats.Opening != 0 || stats.Open != [kinds]int{} {
				t.Errorf("%s: left over: %+v", test.name, stats)
			}
		}
	})
}

// A backlog moves along, and Writable comes on the new loop.
func TestMoveToWithBacklog(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		big := bytes.Repeat([]byte("backlog "), 1<<20)
		h := newRecorder()
		writable := make(chan *Loop, 1)
		h.received = func(c *Conn, b []byte) int {
			if c.Attachment == nil {
				c.Attachment = c.Loop()
				c.Write(big)
				c.MoveTo(c.Loop().server.Loops()[1-c.Loop().Index()])
				return 1
			}
			if c.Loop() == c.Attachment {
				t.Error("Received on the old loop")
			}
			c.Write(b)
			return len(b)
		}
		h.writable = func(c *Conn) {
			if c.Loop() == c.Attachment {
				t.Error("Writable on the old loop")
			}
			writable <- c.Loop()
		}
		o.Handler = h
		s := mustListen(t, o)
		nc := mustDial(t, s)
		nc.Write(connect)
		mustRead(t, nc, big)
		mustRead(t, nc, connect[1:])
		await(t, writable, "Writable")
		mustEcho(t, nc, []byte("still here"))
	})
}

// Pause and Resume in the same call of Received: what was not consumed comes
// again.
func TestResumeInsideReceived(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		presented := make(chan string, 16)
		h.received = func(c *Conn, b []byte) int {
			presented <- string(b)
			c.Pause()
			c.Resume()
			return 1
		}
		o.Handler = h
		nc := mustDial(t, mustListen(t, o))
		nc.Write(connect)
		for i := range connect {
			if got := await(t, presented, "Received"); got != string(connect[i:]) {
				t.Fatalf("presented %q, want %q", got, connect[i:])
			}
		}
	})
}

// A connection moves while the kept bytes are presented and more has arrived
// already.
func TestMoveToAfterResume(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		conns := make(chan *Conn, 1)
		h.received = func(c *Conn, b []byte) int {
			switch c.Attachment {
			case nil:
				c.Attachment = "paused"
				c.Pause()
				conns <- c
				return 1
			case "paused":
				c.Attachment = "moved"
				c.MoveTo(c.Loop().server.Loops()[1-c.Loop().Index()])
			default:
				c.Write(b)
			}
			return len(b)
		}
		o.Handler = h
		s := mustListen(t, o)
		nc := mustDial(t, s)
		nc.Write(connect)
		c := await(t, conns, "Received")
		nc.Write([]byte("more"))
		loop := c.Loop() // it has not moved yet
		arrived := false
		for deadline := time.Now().Add(patience); !arrived && time.Now().Before(deadline); {
			on(t, loop, func() { arrived = c.flags&flagReadable != 0 })
		}
		on(t, loop, c.Resume)
		mustRead(t, nc, []byte("more"))
	})
}

// A panic ends the connection it was about, and nothing else.
func TestPanicsOfEachCall(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		big := make([]byte, 16<<20)
		tests := map[string]func(h *recorder){
			"Opened":   func(h *recorder) { h.opened = func(*Conn) { panic("ouch") } },
			"Received": func(h *recorder) { h.received = func(*Conn, []byte) int { panic("ouch") } },
			"count":    func(h *recorder) { h.received = func(_ *Conn, b []byte) int { return len(b) + 1 } },
			"negative": func(h *recorder) { h.received = func(_ *Conn, b []byte) int { return -1 } },
			"Writable": func(h *recorder) {
				h.received = func(c *Conn, b []byte) int { c.Write(big); return len(b) }
				h.writable = func(*Conn) { panic("ouch") }
			},
		}
		for name, set := range tests {
			bad, good := newRecorder(), newRecorder()
			set(bad)
			var first atomic.Uint64
			o.Handler, o.Loops = &either{bad: bad, good: good, first: &first}, 1
			s := mustListen(t, o)
			nc := mustDial(t, s)
			nc.Write(connect)
			mustEnd(t, nc)
			var internal *PanicError
			if err := bad.waitClosed(t); !errors.As(err, &internal) || !strings.Contains(internal.Stack, "transport") {
				t.Errorf("%s: closed with %v", name, err)
			}
			mustEcho(t, mustDial(t, s), connect)
			s.Close()
		}
	})
}

// either gives the first connection to one handler and all others to another.
type either struct {
	bad, good *recorder
	first     *atomic.Uint64
}

func (e *either) of(c *Conn) *recorder {
	e.first.CompareAndSwap(0, c.ID())
	if e.first.Load() == c.ID() {
		return e.bad
	}
	return e.good
}

func (e *either) Opened(c *Conn)                 { e.of(c).Opened(c) }
func (e *either) Idle(c *Conn)                   { e.of(c).Idle(c) }
func (e *either) Received(c *Conn, b []byte) int { return e.of(c).Received(c, b) }
func (e *either) Writable(c *Conn)               { e.of(c).Writable(c) }
func (e *either) EndTurn(*Loop)                  {}
func (e *either) Closed(c *Conn, cause error)    { e.of(c).Closed(c, cause) }

// Panics that are about no connection leave the loop running, too.
func TestPanicsOfTheLoop(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		h.endTurn = func(*Loop) { panic("EndTurn") }
		h.closed = func(*Conn, error) { panic("Closed") }
		o.Handler, o.Loops = h, 1
		s := mustListen(t, o)
		s.Loops()[0].Post(taskFunc(func(*Loop) { panic("a task") }))
		for range 3 {
			nc := mustDial(t, s)
			mustEcho(t, nc, connect)
			nc.Close()
		}
		mustEcho(t, mustDial(t, s), connect)
		if h.closes.Load() > 3 {
			t.Errorf("%d closed", h.closes.Load())
		}
	})
}
