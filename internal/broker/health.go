package broker

import (
	"context"
	"time"
)

// overloadedAfter is how long publishers of a loop have to wait without a break
// before the loop counts as overloaded; a moment of it is what a fast publisher
// meets every day.
const overloadedAfter = time.Second

func (l *loop) overloaded() bool {
	return l.pressing && l.t.NowNano()-l.pressedAt > int64(overloadedAfter)
}

// Health is what the broker can say of itself.
type Health struct {
	Stuck    []int // event loops that did not turn before the context ended
	Loops    int
	Pressing bool // publishers have waited for the disk or for receivers for longer than overloadedAfter
	Tight    bool // memory is short
	Draining bool // clients are being sent away
}

// Health sends a probe through the inbox of every event loop and waits until all
// have come back or ctx ends. Any goroutine.
func (b *Broker) Health(ctx context.Context) Health {
	type seen struct {
		index    int
		pressing bool
	}
	back := make(chan seen, len(b.loops))
	for i, l := range b.loops {
		l.t.Post(task{func() { back <- seen{i, l.overloaded()} }})
	}
	h := Health{Loops: len(b.loops), Draining: b.draining.Load(), Tight: b.tight.Load()}
	turned := make([]bool, len(b.loops))
	for range b.loops {
		select {
		case s := <-back:
			turned[s.index] = true
			h.Pressing = h.Pressing || s.pressing
		case <-ctx.Done():
			for i, ok := range turned {
				if !ok {
					h.Stuck = append(h.Stuck, i)
				}
			}
			return h
		}
	}
	return h
}
