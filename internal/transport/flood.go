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
	others bool          // another connection was read since
	held   []*Conn       // wait for the end of the break
	timer  *Timer
}

// floodShare is how much work those that flood get between two breaks, and
// floodPause how long a break is: together a quarter of the loop, which is still
// most of a million small messages a second.
const (
	floodShare = time.Millisecond
	floodPause = 3 * time.Millisecond
)

// flooded notes that the connection filled a read, which took so long to deal
// with, and has it read again in the next turn or after a break.
func (l *Loop) flooded(c *Conn, took time.Duration) {
	f := &l.flood
	c.flags |= flagFlooding
	f.last = c
	f.spent += took
	if f.spent > floodShare && !f.others && len(f.held) == 0 {
		f.spent = 0
	}
	if f.spent <= floodShare || c.flags&(flagMoving|flagEnding) != 0 {
		l.enqueue(c)
		return
	}
	c.flags |= flagHeld
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
		l.flood.others = true
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
	f.held, f.spent, f.others = f.held[:0], 0, false
}
