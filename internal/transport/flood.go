package transport

import "time"

// flood keeps connections that always have more to read than is read at once
// from taking a loop's whole time. While others are served on the loop, all that
// flood together get floodShare of work and then have to wait for floodPause: the
// loop sleeps in between, so that whoever sends a little is answered at once, and so
// that the system does not count the loop among those that always want the
// processor. Alone, nobody waits.
type flood struct {
	spent  time.Duration // on connections that flood, since the last break
	last   *Conn         // flooded last: what it sends is never another's
	others int64         // loop time at which another connection was last read
	held   []*Conn       // wait for the end of the break
	at     int64         // loop time of the last break
	timer  *Timer
}

// floodShare is how much work those that flood get between two breaks, floodPause
// how long a break is, floodRead how much is read of them at once, floodBeside how
// long others count as served after a read, and floodMemory how long loops stay
// apart after a break (see lodging.go). These are short bursts, because what arrives
// meanwhile waits, and so does whoever needs the processor that the flood's sender is
// woken on; and still a hundred thousand small messages a second.
const (
	floodShare  = 100 * time.Microsecond
	floodPause  = 4 * time.Millisecond
	floodRead   = 16 << 10
	floodBeside = 10 * time.Millisecond
	floodMemory = time.Second
)

// beside reports whether others are served on the loop.
func (l *Loop) beside() bool { return l.nowNano-l.flood.others <= int64(floodBeside) }

// flooding reports whether somebody had to wait a moment ago.
func (l *Loop) flooding() bool { return l.flood.at != 0 && l.nowNano-l.flood.at < int64(floodMemory) }

// flooded notes that the connection filled a read, which took so long to deal
// with, and has it read again in the next turn or after a break.
func (l *Loop) flooded(c *Conn, took time.Duration) {
	f := &l.flood
	c.flags |= flagFlooding
	f.last = c
	f.spent += took
	if f.spent > floodShare && !l.beside() && len(f.held) == 0 {
		f.spent = 0
	}
	if f.spent <= floodShare || c.flags&(flagMoving|flagEnding) != 0 {
		l.enqueue(c)
		return
	}
	c.flags |= flagHeld
	f.at = l.nowNano
	f.held = append(f.held, c)
	switch {
	case len(f.held) > 1:
	case f.timer == nil:
		f.timer = l.After(floodPause, floodBreak{})
	default:
		f.timer.Reset(floodPause)
	}
}

// trickled notes that the connection did not fill a read. One that flooded a moment
// ago is not another one for that.
func (l *Loop) trickled(c *Conn) {
	switch {
	case c.flags&flagFlooding != 0:
		c.flags &^= flagFlooding
	case c != l.flood.last:
		l.flood.others = l.nowNano
	}
}

// floodBreak ends a break.
type floodBreak struct{}

// Run has those that were held read again.
func (floodBreak) Run(l *Loop) {
	f := &l.flood
	for i, c := range f.held {
		f.held[i] = nil
		c.flags &^= flagHeld
		l.enqueue(c)
	}
	f.held, f.spent = f.held[:0], 0
}
