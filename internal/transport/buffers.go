package transport

// buffers are what a connection holds of its input and output between two
// steps. One that rests has none: it costs a word, not three slices.
type buffers struct {
	in   []byte // received and not consumed; from the pool
	out  []byte // appended and not yet written; from the pool
	sent int    // bytes at the beginning of out that are written already
}

// buffersSpare is how many unused ones a loop keeps.
const buffersSpare = 1024

// kept returns what was received and not consumed.
func (c *Conn) kept() []byte {
	if c.bufs == nil {
		return nil
	}
	return c.bufs.in
}

// pending returns what was appended and not yet taken away, its written beginning
// included.
func (c *Conn) pending() []byte {
	if c.bufs == nil {
		return nil
	}
	return c.bufs.out
}

// sent returns how many bytes at the beginning of pending are written already.
func (c *Conn) sent() int {
	if c.bufs == nil {
		return 0
	}
	return c.bufs.sent
}

// own returns the connection's buffers for filling them.
func (c *Conn) own() *buffers {
	if c.bufs == nil {
		if l := c.loop; l != nil && len(l.spare) > 0 {
			last := len(l.spare) - 1
			c.bufs, l.spare = l.spare[last], l.spare[:last]
		} else {
			c.bufs = new(buffers)
		}
	}
	return c.bufs
}

// disown gives the connection's buffers back once both are empty.
func (l *Loop) disown(c *Conn) {
	b := c.bufs
	if b == nil || b.in != nil || b.out != nil {
		return
	}
	b.sent = 0
	c.bufs = nil
	if len(l.spare) < buffersSpare {
		l.spare = append(l.spare, b)
	}
}

// dropKept gives the input buffer back with what is in it.
func (l *Loop) dropKept(c *Conn) {
	if b := c.bufs; b != nil {
		l.pool.put(b.in)
		b.in = nil
		l.disown(c)
	}
}

// dropPending gives the output buffer back with what is in it.
func (l *Loop) dropPending(c *Conn) {
	if b := c.bufs; b != nil {
		l.pool.put(b.out)
		b.out, b.sent = nil, 0
		l.disown(c)
	}
}
