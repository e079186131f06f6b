package transport

import (
	"sync/atomic"
	"testing"
	"time"
)

// TestFlood: while others talk, a connection that floods gets a part of the loop's
// time and no more; alone it waits for nobody.
func TestFlood(t *testing.T) {
	const work = 200 * time.Microsecond // that a read of the flood costs
	var flood atomic.Pointer[Conn]
	var spent atomic.Int64
	h := newRecorder()
	h.received = func(c *Conn, b []byte) int {
		if len(b) >= readSize {
			flood.Store(c)
			for begun := time.Now(); time.Since(begun) < work; {
			}
			spent.Add(int64(work))
			return len(b)
		}
		if flood.Load() != c {
			c.Write(b)
		}
		return len(b)
	}
	s := mustListen(t, Options{Handler: h, Loops: 1, OpeningTimeout: time.Minute})
	nc := mustDial(t, s)
	nc.Write(connect)
	mustRead(t, nc, connect) // it speaks MQTT
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for block := make([]byte, 1<<20); ; {
			select {
			case <-quit:
				return
			default:
			}
			if _, err := nc.Write(block); err != nil {
				return
			}
		}
	}()
	defer func() { close(quit); nc.Close(); <-ended }()
	share := func(beside func()) float64 {
		begun, before := time.Now(), spent.Load()
		for time.Since(begun) < 300*time.Millisecond {
			beside()
		}
		return float64(spent.Load()-before) / float64(time.Since(begun))
	}
	for flood.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	held := false
	alone := share(func() {
		time.Sleep(5 * time.Millisecond)
		on(t, s.Loops()[0], func() { held = held || len(s.Loops()[0].flood.held) > 0 })
	})
	other := mustDial(t, s)
	other.Write(connect)
	mustRead(t, other, connect)
	beside := share(func() { mustEcho(t, other, []byte("x")) })
	t.Logf("the flood had %.0f%% of the loop alone, %.0f%% beside another connection", 100*alone, 100*beside)
	if held {
		t.Error("a connection was held although it was alone")
	}
	// It gets a quarter. The processor is not always ours, which makes it less.
	if beside > 0.45 {
		t.Errorf("the flood had %.0f%% of the loop, want at most 45%%", 100*beside)
	}
	if beside < 0.01 {
		t.Errorf("the flood had %.1f%% of the loop: it starves", 100*beside)
	}
}
