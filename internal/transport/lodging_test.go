package transport

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// onLoop runs f on the loop and waits for it.
func onLoop(l *Loop, f func()) {
	done := make(chan struct{})
	l.Post(taskFunc(func(*Loop) { f(); close(done) }))
	<-done
}

// settleIn has the loops that can be guests lodge with the first one, and returns when
// they do.
func settleIn(s *Server) {
	host := s.loops[0]
	for guests := 0; guests < len(s.loops)-1; {
		// As after a quiet time; how long turns took on this machine is not to matter.
		quiet := func(l *Loop) { l.load = load{calm: calmWindows, since: l.nowNano - int64(loadWindow)} }
		onLoop(host, func() { quiet(host) })
		for _, l := range s.loops[1:] {
			onLoop(l, func() { quiet(l) })
		}
		onLoop(host, func() { guests = len(host.guests) })
	}
}

// moveOut has the host send all guests home, and returns when it has.
func moveOut(s *Server) {
	host := s.loops[0]
	for guests := 1; guests > 0; {
		onLoop(host, func() { host.load.busy = time.Hour; host.load.since = host.nowNano - int64(loadWindow) })
		onLoop(host, func() { guests = len(host.guests) })
	}
}

func mustListenLodging(t *testing.T, loops int, h Handler) *Server {
	t.Helper()
	s := mustListen(t, Options{Handler: h, Loops: loops})
	if !s.loops[1].lodges {
		t.Skip("loops lodge with epoll only")
	}
	return s
}

// echo returns what it gets, and knows who ran it.
func echo() *recorder {
	h := newRecorder()
	h.received = func(c *Conn, b []byte) int {
		c.SetOutput(append(c.Output(), b...))
		return len(b)
	}
	return h
}

// TestLodging has all loops work as one: connections of guests are accepted, served and
// closed, their timers fire and their tasks run in the order in which they were posted.
func TestLodging(t *testing.T) {
	s := mustListenLodging(t, 3, echo())
	var conns []net.Conn
	for range 6 {
		conns = append(conns, mustDial(t, s))
	}
	talk := func(when string) {
		t.Helper()
		for i, nc := range conns {
			said := fmt.Sprintf("\x10%s, connection %d", when, i)
			if _, err := nc.Write([]byte(said)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(said))
			if _, err := io.ReadFull(nc, got); err != nil || string(got) != said {
				t.Fatalf("%q came back as %q, %v", said, got, err)
			}
		}
	}
	talk("alone")
	for range 3 {
		settleIn(s)
		talk("lodging")
		conns = append(conns, mustDial(t, s), mustDial(t, s), mustDial(t, s))
		talk("lodging, with new ones")
		for _, l := range s.loops {
			fired := make(chan struct{})
			onLoop(l, func() { l.After(time.Millisecond, taskFunc(func(*Loop) { close(fired) })) })
			<-fired
		}
		// There and back, many times: nobody waits for a wait to end.
		host, guest, n := s.loops[0], s.loops[2], 0
		back := make(chan struct{})
		var there, here taskFunc
		there = func(*Loop) { n++; host.Post(here) }
		here = func(*Loop) {
			if n < 1000 {
				guest.Post(there)
			} else {
				close(back)
			}
		}
		host.Post(here)
		<-back
		moveOut(s)
		talk("alone again")
	}
}

// TestLodgingOneAtATime has guests come and go while tasks are posted to them from
// everywhere: each runs once, in order, and never two at a time.
func TestLodgingOneAtATime(t *testing.T) {
	s := mustListenLodging(t, 3, echo())
	const posters, tasks = 4, 2000
	var left atomic.Int64
	left.Store(posters * tasks * 3)
	finished := make(chan struct{})
	for _, l := range s.loops {
		var inside atomic.Bool
		next := make([]int, posters)
		for p := range posters {
			go func() {
				for i := range tasks {
					l.Post(taskFunc(func(on *Loop) {
						if on != l || !inside.CompareAndSwap(false, true) {
							t.Error("a loop ran twice at a time, or another one's task")
						}
						if next[p] != i {
							t.Errorf("task %d came as number %d", i, next[p])
						}
						next[p]++
						inside.Store(false)
						if left.Add(-1) == 0 {
							close(finished)
						}
					}))
				}
			}()
		}
	}
	for range 20 {
		settleIn(s)
		moveOut(s)
	}
	<-finished
}

// TestLodgingShutdown ends a server whose loops lodge.
func TestLodgingShutdown(t *testing.T) {
	s := mustListenLodging(t, 3, echo())
	nc := mustDial(t, s)
	settleIn(s)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still there")
	}
}
