package transport

import (
	"log/slog"
	"net/netip"
	"time"
)

// sink is a driver without sockets: it takes what is written and gives nothing.
type sink struct {
	room  int // bytes that it still takes; negative: all
	taken int
}

func (s *sink) wait(*Loop, time.Duration)          {}
func (s *sink) wake()                              {}
func (s *sink) attach(*Conn) error                 { return nil }
func (s *sink) detach(*Conn, *Loop)                {}
func (s *sink) read(*Conn) int                     { return 0 }
func (s *sink) resumed(*Conn)                      {}
func (s *sink) halfClose(*Conn)                    {}
func (s *sink) close(*Conn)                        {}
func (s *sink) localAddr(*Conn) (a netip.AddrPort) { return a }
func (s *sink) release()                           {}

func (s *sink) write(_ *Conn, p []byte) (int, error) {
	if s.room >= 0 && len(p) > s.room {
		n := s.room
		s.room = 0
		s.taken += n
		return n, errAgain
	}
	if s.room >= 0 {
		s.room -= len(p)
	}
	s.taken += len(p)
	return len(p), nil
}

// fakeLoop is a loop that a test turns by hand.
func fakeLoop(h Handler) *Loop {
	o := Options{Handler: h, Logger: slog.New(slog.DiscardHandler)}
	o.setDefaults()
	s := &Server{options: o, empty: make(chan struct{}), gate: newGate(&o)}
	l := newLoop(s, 0)
	l.driver = &sink{room: -1}
	s.loops = []*Loop{l}
	return l
}

// fakeConn is an open connection on it.
func (l *Loop) fakeConn() *Conn {
	c := &Conn{loop: l, phase: phaseOpen, flags: flagOpened | flagEstablished, wheelSlot: -1, limit: 1 << 20, slot: int32(len(l.conns))}
	l.conns = append(l.conns, c)
	return c
}
