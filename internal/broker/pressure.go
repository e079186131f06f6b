package broker

import (
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// Publishers can be faster than what stands behind them: a loop with many
// receivers, or the disk. What is on its way there is bounded by not reading
// from publishers while there is too much of it.
const (
	// maxHanded is how many bytes may wait for one loop in handoffs.
	maxHanded = 16 << 20
	// maxSubmitted is how many bytes all loops together may have waiting for the
	// disk: half of what the queue takes before it refuses, because what is in
	// handoffs by then goes there, too.
	maxSubmitted = 32 << 20
	// pressureEvery is how often it is looked whether there is room again.
	pressureEvery = 2 * time.Millisecond
	// handedOverhead is counted for each publication besides its bytes.
	handedOverhead = 256
)

// pressed reports whether publishers of this loop have to wait.
func (l *loop) pressed() bool {
	if l.b.submitted.Load() > maxSubmitted {
		return true
	}
	for _, other := range l.b.loops {
		if other.handed.Load() > maxHanded {
			return true
		}
	}
	return false
}

// hinder stops reading from a client that is about to publish, if it must wait.
// Whatever else it sends waits with it, so that order is kept.
func (l *loop) hinder(c *client, t mqtt.Type) bool {
	if l.draining && begins(t) {
		c.stalled = true
		c.conn.Pause()
		return true
	}
	if t != mqtt.PUBLISH || !l.pressing {
		return false
	}
	c.stalled = true
	c.conn.Pause()
	if !c.hindered {
		c.hindered = true
		l.hindered = append(l.hindered, c)
	}
	return true
}

// watch notes at the end of a turn whether publishers have to wait.
func (l *loop) watch() {
	if l.pressing || !l.pressed() {
		return
	}
	l.pressing, l.pressedAt = true, l.t.NowNano()
	l.stats.pressed.add(1)
	l.t.After(pressureEvery, task{l.relieve})
}

// relieve lets publishers go on once there is room.
func (l *loop) relieve() {
	if l.pressed() {
		l.t.After(pressureEvery, task{l.relieve})
		return
	}
	l.pressing = false
	waiting := l.hindered
	l.hindered = nil
	for _, c := range waiting {
		c.hindered = false
		if !c.closed && c.stalled && c.acks.Len() < maxOwed {
			c.stalled = false
			c.conn.Resume()
		}
	}
}
