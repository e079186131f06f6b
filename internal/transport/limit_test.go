package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestOpeningStages has clients stop at each stage before the login.
func TestOpeningStages(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		for _, tt := range []struct {
			name   string
			client func(nc net.Conn)
			stage  string
		}{
			{"silent", func(net.Conn) {}, "the first byte"},
			{"half ClientHello", func(nc net.Conn) { nc.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc")) }, "the complete TLS ClientHello"},
			{"half handshake", func(nc net.Conn) { tls.Client(&firstWriteOnly{nc}, clientTLS()).Handshake() }, "the end of the TLS handshake"},
			{"silent in TLS", func(nc net.Conn) { tls.Client(nc, clientTLS()).Handshake() }, "the first byte inside TLS"},
			{"half HTTP head", func(nc net.Conn) { io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n") }, "the complete HTTP request head"},
			{"half CONNECT", func(nc net.Conn) { nc.Write(connect) }, "a complete CONNECT"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				// On a slow machine the time may be up at an earlier stage; then the client gets more of it.
				for o.OpeningTimeout = 300 * time.Millisecond; ; o.OpeningTimeout *= 4 {
					var log lockedBuffer
					h := newRecorder()
					h.received = func(*Conn, []byte) int { return 0 }
					o.Handler, o.Logger, o.TLS, o.WebSocket = h, log.logger(), testCertificate(t).Config, true
					s := mustListen(t, o)
					began := time.Now()
					nc := mustDial(t, s)
					tt.client(nc)
					mustEnd(t, nc)
					if d := time.Since(began); d < o.OpeningTimeout {
						t.Errorf("closed after %v already", d)
					}
					log.waitFor(t, "still waiting for") // whatever
					nc.Close()
					if h.opens.Load() > 0 {
						var opening *OpeningError
						if err := h.waitClosed(t); !errors.As(err, &opening) || !opening.Timeout() {
							t.Errorf("closed with %v", err)
						}
					}
					if got := s.Stats().Refused[RefusedOpeningTimeout]; got != 1 {
						t.Errorf("%d counted", got)
					}
					if strings.Contains(log.String(), tt.stage) {
						return
					}
					if o.OpeningTimeout > patience {
						t.Fatalf("the log does not say %q:\n%s", tt.stage, log.String())
					}
				}
			})
		}
	})
}

// TestSlowDrip sends one byte after the other: the opening time-out is absolute.
func TestSlowDrip(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		received := make(chan struct{}, 1<<10)
		h.received = func(*Conn, []byte) int {
			received <- struct{}{}
			return 0
		}
		o.Handler, o.OpeningTimeout = h, 200*time.Millisecond
		nc := mustDial(t, mustListen(t, o))
		nc.Write(connect)
		go func() {
			for range received { // the next byte as soon as the last has been seen
				if _, err := nc.Write([]byte{0}); err != nil {
					return
				}
			}
		}()
		defer close(received)
		var opening *OpeningError
		if err := h.waitClosed(t); !errors.As(err, &opening) {
			// Fast machines fill OpeningBytes first.
			var limit *LimitError
			if !errors.As(err, &limit) {
				t.Errorf("closed with %v", err)
			}
		}
	})
}

func TestIdle(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		// A machine that is too slow to keep a connection busy gets more time.
		for unit := 50 * time.Millisecond; unit < patience; unit *= 4 {
			h := newRecorder()
			h.opened = func(c *Conn) {
				c.Established()
				c.SetReadTimeout(3 * unit)
			}
			o.Handler, o.OpeningTimeout = h, unit // lifted by Established
			nc := mustDial(t, mustListen(t, o))
			began := time.Now()
			echoed := 0
			for b := bytes.Clone(connect); echoed < 5; echoed++ {
				nc.Write(b)
				if _, err := io.ReadFull(nc, b); err != nil {
					break
				}
			}
			mustEnd(t, nc)
			if h.opens.Load() == 0 { // its first bytes came too late
				continue
			}
			if err := h.waitClosed(t); err != ErrIdle {
				t.Errorf("closed with %v, want ErrIdle", err)
			}
			if d := time.Since(began); d < 3*unit {
				t.Errorf("closed after %v already", d)
			}
			if echoed == 5 {
				return
			}
		}
		t.Error("the machine is too slow, or the connection is closed although it talks")
	})
}

// TestIdleOff: 0 switches it off again.
func TestIdleOff(t *testing.T) {
	h := newRecorder()
	done := make(chan struct{})
	h.received = func(c *Conn, b []byte) int {
		c.Established()
		c.SetReadTimeout(20 * time.Millisecond)
		c.SetReadTimeout(0)
		c.Loop().After(100*time.Millisecond, taskFunc(func(*Loop) { close(done) }))
		return len(b)
	}
	s := mustListen(t, Options{Handler: h})
	nc := mustDial(t, s)
	nc.Write(connect)
	<-done
	if n := h.closes.Load(); n != 0 {
		t.Errorf("closed although the time-out is off")
	}
}

func TestLimitByKind(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		for _, dial := range []func(testing.TB, *Server) net.Conn{mustDial, mustDialTLS, mustDialWS} {
			h := newRecorder()
			h.received = func(*Conn, []byte) int { return 0 }
			o.Handler, o.OpeningBytes, o.TLS, o.WebSocket = h, 1000, testCertificate(t).Config, true
			s := mustListen(t, o)
			nc := dial(t, s)
			nc.Write(append(bytes.Clone(connect), make([]byte, 900)...))
			nc.Write(make([]byte, 300))
			var limit *LimitError
			if err := h.waitClosed(t); !errors.As(err, &limit) || limit.Limit != 1000 || limit.Have < 1000 {
				t.Errorf("closed with %v", err)
			}
			mustEnd(t, nc)
			if got := s.Stats().Refused[RefusedOpeningBytes]; got != 1 {
				t.Errorf("%d counted", got)
			}
			nc.Close()
		}
	})
}

// TestRefusedFirstBytes refuses what is no MQTT and says what it looks like.
func TestRefusedFirstBytes(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		var log lockedBuffer
		h := newRecorder()
		o.Handler, o.Logger = h, log.logger()
		s := mustListen(t, o)
		tests := []struct{ send, want string }{
			{"GET / HTTP/1.1\r\n\r\n", "an HTTP request, but WebSocket is switched off here"},
			{"POST / HTTP/1.1\r\n\r\n", "an HTTP request that is not GET"},
			{"SSH-2.0-OpenSSH_9.2\r\n", "an SSH client"},
			{"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "the PROXY protocol"},
			{"\x80\x2e\x01\x00\x02", "an SSL 2 ClientHello"},
			{"\x30\x05\x00\x01ahi", "an MQTT PUBLISH; the first packet must be CONNECT [MQTT-3.1.0-1]"},
			{"\x12\x05\x00", "an MQTT CONNECT whose reserved flags are 2 instead of 0 [MQTT-2.2.2-2]"},
			{"hello\r\n", "68 65 6c 6c 6f 0d 0a"},
			{"\x00", "not a protocol this port knows"},
			{"\xff\xff", "not a protocol this port knows"},
		}
		for _, tt := range tests {
			nc := mustDial(t, s)
			io.WriteString(nc, tt.send)
			if got := mustEnd(t, nc); len(got) != 0 {
				t.Errorf("%q was answered with %q", tt.send, got)
			}
			if tt.want != "68 65 6c 6c 6f 0d 0a" || !strings.Contains(log.String(), tt.want) {
				log.waitFor(t, tt.want)
			}
		}
		if got := s.Stats().Refused[RefusedProtocol]; got != uint64(len(tests)) || h.opens.Load() != 0 {
			t.Errorf("%d refused, %d opened", got, h.opens.Load())
		}
	})
}

func TestFullServer(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		o.Handler, o.MaxConnections = h, 3
		s := mustListen(t, o)
		var open []net.Conn
		for range 3 {
			nc := mustDial(t, s)
			mustEcho(t, nc, connect)
			open = append(open, nc)
		}
		mustEnd(t, mustDial(t, s))
		if got := s.Stats().Refused[RefusedFull]; got != 1 {
			t.Errorf("%d refused", got)
		}
		open[0].Close()
		h.waitClosed(t)
		// The place is free when the socket is closed, a moment after the handler was told.
		waitSockets(t, s, 2)
		mustEcho(t, mustDial(t, s), connect)
	})
}

// TestSilentFlood floods with silent connections: the oldest go, and a client
// that logs in still gets through.
func TestSilentFlood(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		h.opened = func(c *Conn) { c.Established() }
		o.Handler, o.MaxOpening, o.Loops = h, 4, 1
		s := mustListen(t, o)
		var silent []net.Conn
		for range 12 {
			silent = append(silent, mustDial(t, s))
		}
		mustEcho(t, mustDial(t, s), connect)
		for _, nc := range silent[:8] {
			mustEnd(t, nc)
		}
		if got := s.Stats(); got.Opening > 4 || got.Refused[RefusedEvicted] < 8 {
			t.Errorf("%d opening, %d evicted", got.Opening, got.Refused[RefusedEvicted])
		}
	})
}

// TestShutdownClosesAll closes with what was appended delivered.
func TestShutdownClosesAll(t *testing.T) {
	variants(t, func(t *testing.T, o Options) {
		h := newRecorder()
		h.closed = func(c *Conn, cause error) {
			c.Write([]byte("too late"))
			if cause != ErrServerClosed {
				t.Errorf("closed with %v", cause)
			}
		}
		o.Handler = h
		s := mustListen(t, o)
		nc := mustDial(t, s)
		mustEcho(t, nc, connect)
		silent := mustDial(t, s)
		s.Close()
		for _, c := range []net.Conn{nc, silent} {
			if got := mustEnd(t, c); len(got) != 0 {
				t.Errorf("got %q", got)
			}
		}
		if _, err := net.Dial("tcp", s.Addrs()[0].String()); err == nil {
			t.Error("connected to a server that is closed")
		}
		if h.closes.Load() != 1 {
			t.Errorf("Closed was called %d times", h.closes.Load())
		}
		s.Close() // again is harmless
	})
}
