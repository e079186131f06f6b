package transport

import (
	"sync/atomic"
	"testing"
	"time"
)

// TestFlood: while others talk, a connection that floods gets a part of the loop's
// time and no more; alone it waits for nobody. What is counted are reads, not
// time: the processor is not always ours.
func TestFlood(t *testing.T) {
	const (
		work   = 200 * time.Microsecond // that a read of the flood costs
		enough = 20                     // breaks, and answers during breaks
	)
	var (
		reads, got, breaks, answers atomic.Int64 // of the flood; its bytes; that it had; to others meanwhile
		tooMuch, wasHeld            atomic.Bool
	)
	h := newRecorder()
	h.received = func(c *Conn, b []byte) int {
		f := &c.loop.flood
		if c != f.last && len(b) < readSize {
			if len(f.held) > 0 {
				answers.Add(1)
				wasHeld.Store(true)
			}
			c.Write(b)
			return len(b)
		}
		if c.flags&flagHeld != 0 || f.spent > floodShare {
			tooMuch.Store(true)
		}
		if wasHeld.Swap(false) {
			breaks.Add(1)
		}
		reads.Add(1)
		got.Add(int64(len(b)))
		for begun := time.Now(); time.Since(begun) < work; {
		}
		return len(b)
	}
	s := mustListen(t, Options{Handler: h, Loops: 1, OpeningTimeout: time.Minute})
	nc := mustDial(t, s)
	nc.Write(connect)
	mustRead(t, nc, connect) // it speaks MQTT
	l := s.Loops()[0]
	on(t, l, func() { l.flood.others = 0 }) // its first packet was another's
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		sent := got.Load()
		// It floods still, although two reads in between are not filled.
		for i, block := 0, make([]byte, 1<<20); ; i++ {
			n := len(block)
			if i%3 > 0 {
				n = 1
			}
			if _, err := nc.Write(block[:n]); err != nil {
				return
			}
			for sent += int64(n); got.Load() < sent; time.Sleep(50 * time.Microsecond) {
				select {
				case <-quit:
					return
				default:
				}
			}
		}
	}()
	defer func() { close(quit); nc.Close(); <-ended }()

	for held := false; reads.Load() < 500; {
		on(t, l, func() { held = len(l.flood.held) > 0 })
		if held {
			t.Fatal("a connection was held although it was alone")
		}
	}

	other := mustDial(t, s)
	other.Write(connect)
	mustRead(t, other, connect)
	for before := reads.Load(); breaks.Load() < enough || answers.Load() < enough || reads.Load() == before; {
		mustEcho(t, other, []byte("x"))
	}
	if tooMuch.Load() {
		t.Error("the flood was read although it had its share")
	}
}
