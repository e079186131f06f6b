package transport

import (
	"math/bits"
	"time"
)

// wheel finds connections whose deadline has come. Two rings: 256 ticks of
// 10 ms, and 256 turns of the first ring (2.56 s each, 11 minutes in all).
// What lies further away waits in the last slot of the second ring and is
// looked at again there. A connection sits in at most one slot; receiving
// bytes does not move it: when its slot comes, the true deadline is computed
// and the connection put where it belongs then.
type wheel struct {
	at     int64 // the tick up to which everything has been handled
	fine   [wheelSlots]*Conn
	coarse [wheelSlots]*Conn
	used   [2][wheelSlots / 64]uint64 // one bit for each slot that is not empty
}

const (
	wheelTick  = 10 * time.Millisecond
	wheelSlots = 256
)

// add puts c where it comes up at the deadline (loop time, nanoseconds),
// rounded up to a tick.
func (w *wheel) add(c *Conn, deadline int64) {
	tick := (deadline + int64(wheelTick) - 1) / int64(wheelTick)
	tick = max(tick, w.at+1)
	if tick-w.at < wheelSlots {
		w.link(c, int16(tick%wheelSlots))
		return
	}
	// The coarse slot comes up when its first tick begins; what is in it is
	// then put into the fine ring.
	turn := tick / wheelSlots
	turn = min(turn, w.at/wheelSlots+wheelSlots-1)
	w.link(c, int16(wheelSlots+turn%wheelSlots))
}

func (w *wheel) link(c *Conn, slot int16) {
	head := w.head(slot)
	c.wheelSlot = slot
	c.prev = nil
	c.next = *head
	if c.next != nil {
		c.next.prev = c
	}
	*head = c
	ring, i := slot/wheelSlots, slot%wheelSlots
	w.used[ring][i/64] |= 1 << (i % 64)
}

func (w *wheel) head(slot int16) **Conn {
	if slot < wheelSlots {
		return &w.fine[slot]
	}
	return &w.coarse[slot-wheelSlots]
}

// remove takes c out, if it is in.
func (w *wheel) remove(c *Conn) {
	if c.wheelSlot < 0 {
		return
	}
	slot := c.wheelSlot
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		*w.head(slot) = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	if *w.head(slot) == nil {
		w.clear(slot)
	}
	c.next, c.prev, c.wheelSlot = nil, nil, -1
}

func (w *wheel) clear(slot int16) {
	ring, i := slot/wheelSlots, slot%wheelSlots
	w.used[ring][i/64] &^= 1 << (i % 64)
}

// detach empties a slot and returns its list, chained by next.
func (w *wheel) detach(slot int16) *Conn {
	head := w.head(slot)
	list := *head
	*head = nil
	w.clear(slot)
	return list
}

// advance moves to now (loop time, nanoseconds) and calls due for each
// connection whose slot has come, after taking it out. due may add it again.
func (w *wheel) advance(now int64, due func(c *Conn)) {
	to := now / int64(wheelTick)
	for w.at < to {
		next := w.next()
		if next < 0 || next > to {
			w.at = to
			return
		}
		w.at = next
		if next%wheelSlots == 0 {
			w.drain(int16(wheelSlots+(next/wheelSlots)%wheelSlots), due)
		}
		w.drain(int16(next%wheelSlots), due)
	}
}

func (w *wheel) drain(slot int16, due func(c *Conn)) {
	for c := w.detach(slot); c != nil; {
		next := c.next
		c.next, c.prev, c.wheelSlot = nil, nil, -1
		due(c)
		c = next
	}
}

// next returns the tick at which a slot comes up, -1 if the wheel is empty.
func (w *wheel) next() int64 {
	tick := int64(-1)
	if d := distance(&w.used[0], int(w.at%wheelSlots)); d > 0 {
		tick = w.at + int64(d)
	}
	turn := w.at / wheelSlots
	if d := distance(&w.used[1], int(turn%wheelSlots)); d > 0 {
		if t := (turn + int64(d)) * wheelSlots; tick < 0 || t < tick {
			tick = t
		}
	}
	return tick
}

// distance returns how many slots after from the next used one is, 0 if none.
// The slot from itself is a whole round away.
func distance(used *[wheelSlots / 64]uint64, from int) int {
	for d := 1; d <= wheelSlots; {
		i := (from + d) % wheelSlots
		if word := used[i/64] >> (i % 64); word != 0 {
			return min(d+bits.TrailingZeros64(word), wheelSlots)
		}
		d += 64 - i%64
	}
	return 0
}
