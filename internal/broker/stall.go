package broker

// pauseReason says why a client is not read from for a while.
type pauseReason uint8

const (
	pausedOwed     pauseReason = iota // too many acknowledgements are owed to it
	pausedOutput                      // it does not read what it is sent
	pausedPressure                    // receivers or the disk are behind; see pressure.go
	pausedRate                        // it publishes faster than it may; see slow.go
	pauseReasons
)

// PauseReasons are the names of the reasons for which clients are paused, in the
// order of Figures.Paused.
var PauseReasons = [pauseReasons]string{"acknowledgements", "output", "pressure", "publish_rate"}

// stall stops reading from a client: what it sends then waits in the network, and
// nothing of it is lost.
func (c *client) stall(why pauseReason) {
	c.stalled = true
	c.conn.Pause()
	c.loop.meters.paused[why].Add(1)
}

// proceed reads from a client again. Received looks at every reason anew, so it is
// enough that one of them is over.
func (c *client) proceed() {
	if c.stalled && !c.closed {
		c.stalled = false
		c.conn.Resume()
	}
}
