package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// packets is a receiver of packets with a length of four bytes in front, the
// first of which is 0x10: enough to begin like MQTT does. It hands each packet
// to take, whole.
func packets(take func(c *Conn, packet []byte)) func(c *Conn, b []byte) int {
	return func(c *Conn, b []byte) (n int) {
		for len(b)-n >= 4 {
			size := int(binary.BigEndian.Uint32(b[n:]) & 0xffffff)
			if len(b)-n < 4+size {
				break
			}
			take(c, b[n+4:n+4+size])
			n += 4 + size
		}
		return n
	}
}

func appendPacket(dst, payload []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, 0x10<<24|uint32(len(payload)))
	return append(dst, payload...)
}

func echoPacket(c *Conn, packet []byte) { c.SetOutput(appendPacket(c.Output(), packet)) }

func TestByteByByte(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		h.received = packets(echoPacket)
		o.Handler = h
		nc := mustDial(t, mustListen(t, o))
		nc.(*net.TCPConn).SetNoDelay(true)
		stream := appendPacket(appendPacket(appendPacket(nil, []byte("one")), nil), []byte("three"))
		for i := range stream {
			if _, err := nc.Write(stream[i : i+1]); err != nil {
				t.Fatal(err)
			}
		}
		mustRead(t, nc, stream)
	})
}

// TestSplitAndJoined sends packets of all sizes, from nothing to more than any
// buffer holds, cut at random places, and expects them back in order.
func TestSplitAndJoined(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		for _, dial := range []func(testing.TB, *Server) net.Conn{mustDial, mustDialTLS, mustDialWS, mustDialWSS} {
			h := newRecorder()
			h.opened = func(c *Conn) { c.SetLimit(4 << 20) }
			h.received = packets(echoPacket)
			o.Handler, o.TLS, o.WebSocket = h, testCertificate(t).Config, true
			nc := dial(t, mustListen(t, o))
			random := rand.New(rand.NewPCG(1, 2))
			var stream []byte
			for _, size := range []int{0, 1, 100, 511, 512, 513, 15 << 10, 16<<10 - 4, 16 << 10, 17 << 10, 64 << 10, 256 << 10, 300 << 10, 1 << 20, 3, 2 << 20, 7} {
				payload := make([]byte, size)
				for i := range payload {
					payload[i] = byte(random.Uint32())
				}
				stream = appendPacket(stream, payload)
			}
			go func() {
				for rest := stream; len(rest) > 0; {
					n := min(len(rest), 1+int(float64(200<<10)*random.Float64()*random.Float64()*random.Float64()))
					if _, err := nc.Write(rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			mustRead(t, nc, stream)
			nc.Close()
		}
	})
}

// TestBacklog has a client that does not read: the kernel refuses, the backlog
// is kept, and Writable comes once it is gone.
func TestBacklog(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		for _, dial := range []func(testing.TB, *Server) net.Conn{mustDial, mustDialTLS, mustDialWS} {
			h := newRecorder()
			const chunk, chunks = 1 << 20, 24
			blocked := make(chan int, 1)
			var reported atomic.Bool
			h.received = func(c *Conn, b []byte) int {
				for i := range chunks {
					c.SetOutput(append(c.Output(), bytes.Repeat([]byte{byte(i)}, chunk)...))
				}
				c.Loop().Post(taskFunc(func(*Loop) { blocked <- c.Buffered() }))
				return len(b)
			}
			h.writable = func(c *Conn) {
				if c.Buffered() != 0 {
					t.Errorf("Writable with %d bytes pending", c.Buffered())
				}
				reported.Store(true)
				c.Write([]byte("writable"))
			}
			o.Handler, o.TLS, o.WebSocket = h, testCertificate(t).Config, true
			nc := dial(t, mustListen(t, o))
			nc.Write(connect)
			if n := <-blocked; n < chunk {
				t.Fatalf("%d bytes pending, want a backlog", n)
			}
			if reported.Load() {
				t.Fatal("Writable came before the client read anything")
			}
			for i := range chunks {
				mustRead(t, nc, bytes.Repeat([]byte{byte(i)}, chunk))
			}
			mustRead(t, nc, []byte("writable"))
			nc.Close()
		}
	})
}

// TestCloseDeliversBacklog closes a connection that still has a lot to send.
func TestCloseDeliversBacklog(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		cause := errors.New("enough")
		const size = 8 << 20
		h.received = func(c *Conn, b []byte) int {
			c.Write(bytes.Repeat([]byte("x"), size))
			c.Close(cause)
			c.Write([]byte("lost"))
			return 0
		}
		o.Handler, o.Linger = h, patience
		s := mustListen(t, o)
		nc := mustDial(t, s)
		nc.Write(append(bytes.Clone(connect), bytes.Repeat([]byte("unread"), 1000)...))
		if err := h.waitClosed(t); err != cause {
			t.Errorf("closed with %v, want %v", err, cause)
		}
		if got := mustEnd(t, nc); len(got) != size || bytes.Count(got, []byte("x")) != size {
			t.Errorf("got %d bytes, want %d", len(got), size)
		}
		nc.Close()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestLingerIsBounded closes a connection whose peer does not read.
func TestLingerIsBounded(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		h.received = func(c *Conn, b []byte) int {
			c.Write(bytes.Repeat([]byte("x"), 32<<20))
			c.Close(nil)
			return 0
		}
		o.Handler, o.Linger = h, 30*time.Millisecond
		s := mustListen(t, o)
		nc := mustDial(t, s)
		nc.Write(connect)
		h.waitClosed(t)
		// Shutdown waits for lingering connections; the peer never reads.
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestAbort(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		cause := errors.New("no more")
		h.received = func(c *Conn, b []byte) int {
			c.Write([]byte("not delivered"))
			c.Abort(cause)
			c.Abort(errors.New("second"))
			c.Close(errors.New("third"))
			if h.closes.Load() != 0 {
				t.Error("Closed was called from inside Received")
			}
			return len(b)
		}
		o.Handler = h
		nc := mustDial(t, mustListen(t, o))
		nc.Write(connect)
		if err := h.waitClosed(t); err != cause {
			t.Errorf("closed with %v, want %v", err, cause)
		}
		if got := mustEnd(t, nc); len(got) != 0 {
			t.Errorf("got %q", got)
		}
		if n := h.closes.Load(); n != 1 {
			t.Errorf("Closed was called %d times", n)
		}
	})
}

// TestPause stops reading in the middle of what has arrived; the rest comes
// after Resume, even though nothing new arrives.
func TestPause(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		for _, dial := range []func(testing.TB, *Server) net.Conn{mustDial, mustDialTLS, mustDialWS} {
			h := newRecorder()
			paused := make(chan *Conn, 1)
			var got strings.Builder
			done := make(chan string, 1)
			h.received = func(c *Conn, b []byte) int {
				if c.Paused() {
					t.Error("Received on a paused connection")
				}
				if c.Attachment == nil {
					c.Attachment = true
					got.WriteByte(b[0])
					c.Pause()
					paused <- c
					return 1
				}
				got.Write(b)
				if strings.HasSuffix(got.String(), "end") {
					done <- got.String()
				}
				return len(b)
			}
			o.Handler, o.TLS, o.WebSocket = h, testCertificate(t).Config, true
			nc := dial(t, mustListen(t, o))
			nc.Write(connect)
			c := <-paused
			nc.Write([]byte(", later, "))
			c.Loop().Post(taskFunc(func(l *Loop) { c.Resume() }))
			nc.Write([]byte("the end"))
			if want := string(connect) + ", later, the end"; <-done != want {
				t.Errorf("got %q, want %q", got.String(), want)
			}
			nc.Close()
			h.waitClosed(t)
		}
	})
}

// TestResumePresentsKeptBytes has everything arrive before the pause.
func TestResumePresentsKeptBytes(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		calls := 0
		h.received = func(c *Conn, b []byte) int {
			calls++
			if calls == 1 {
				c.Pause()
				c.Loop().After(time.Millisecond, taskFunc(func(*Loop) { c.Resume() }))
				return 0
			}
			c.Write(b)
			return len(b)
		}
		o.Handler = h
		nc := mustDial(t, mustListen(t, o))
		mustEcho(t, nc, connect)
	})
}

// TestLastWords: what a client sends right before it closes reaches the handler,
// even if the answers fall on deaf ears.
func TestLastWords(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		var bytesIn atomic.Int64
		h.received = func(c *Conn, b []byte) int {
			bytesIn.Add(int64(len(b)))
			c.Write(b) // the peer has closed and resets the connection
			return len(b)
		}
		o.Handler = h
		s := mustListen(t, o)
		const clients, size = 50, 600 << 10
		for range clients {
			nc := mustDial(t, s)
			nc.Write(append(bytes.Clone(connect), make([]byte, size)...))
			nc.(*net.TCPConn).CloseWrite()
			go io.Copy(io.Discard, nc)
		}
		for range clients {
			if err := h.waitClosed(t); err != io.EOF {
				t.Errorf("closed with %v, want io.EOF", err)
			}
		}
		if want := int64(clients * (size + len(connect))); bytesIn.Load() != want {
			t.Errorf("received %d bytes, want %d", bytesIn.Load(), want)
		}
	})
}

func TestPanics(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		h.opened = func(c *Conn) {
			if c.ID() == 1 {
				panic("in Opened")
			}
		}
		h.received = func(c *Conn, b []byte) int {
			switch string(b[1:]) {
			case "received":
				panic("in Received")
			case "too many":
				return len(b) + 1
			}
			c.Write(b)
			return len(b)
		}
		o.Handler, o.Loops = h, 1
		s := mustListen(t, o)
		for i, text := range []string{"opened", "received", "too many"} {
			nc := mustDial(t, s)
			nc.Write(append([]byte{0x10}, text...))
			var panicked *PanicError
			if err := h.waitClosed(t); !errors.As(err, &panicked) || !strings.Contains(panicked.Stack, "recorder") && i < 2 {
				t.Errorf("%s: closed with %v", text, err)
			}
			mustEnd(t, nc)
		}
		s.Loops()[0].Post(taskFunc(func(*Loop) { panic("in a task") }))
		nc := mustDial(t, s)
		mustEcho(t, nc, connect)
	})
}

// TestPostOrder posts from many goroutines: all tasks run, in each poster's
// order.
func TestPostOrder(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		o.Handler, o.Loops = newRecorder(), 1
		l := mustListen(t, o).Loops()[0]
		const posters, each = 8, 5000
		var next [posters]int
		done := make(chan struct{})
		total := 0
		for p := range posters {
			go func() {
				for i := range each {
					l.Post(taskFunc(func(*Loop) {
						if next[p] != i {
							t.Errorf("poster %d: task %d runs as number %d", p, i, next[p])
						}
						next[p]++
						if total++; total == posters*each {
							close(done)
						}
					}))
				}
			}()
		}
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("tasks were lost")
		}
	})
}

// TestAddresses checks both ends' addresses.
func TestAddresses(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		h.received = func(c *Conn, b []byte) int {
			fmt.Fprintf(writer{c}, "%s %s %s", c.RemoteAddr(), c.LocalAddr(), c.Kind())
			return len(b)
		}
		o.Handler = h
		nc := mustDial(t, mustListen(t, o))
		nc.Write(connect)
		mustRead(t, nc, fmt.Appendf(nil, "%s %s tcp", nc.LocalAddr(), nc.RemoteAddr()))
	})
}

// writer makes a connection an io.Writer.
type writer struct{ c *Conn }

func (w writer) Write(b []byte) (int, error) {
	w.c.Write(b)
	return len(b), nil
}

func TestUnixSocket(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		path := t.TempDir() + "/mqtt.sock"
		o.Handler, o.Listeners = h, []Listener{{Network: "unix", Address: path}}
		s := mustListen(t, o)
		mustEcho(t, mustDial(t, s), connect)
		s.Close()
		// The path is free again.
		mustListen(t, o)
	})
}
