package broker

import "time"

// pace lets a gap pass between packets to a small client. Hand-written clients
// take what arrives in one burst of their serial line for one packet
// (spec/sdk-behaviour.md §9), so in the first seconds of a connection each
// packet travels alone. It ends as soon as the client sends several packets at
// once itself, or falls behind.
type pace struct {
	gap    time.Duration
	until  time.Time
	last   time.Time
	buf    []byte
	sizes  []int // of the packets in buf
	direct bool
	armed  bool
}

const maxPaced = 64

// begin gives the buffer to append a packet to; paced is false once pacing has
// ended.
func (p *pace) begin(c *client) (out []byte, paced bool) {
	now := c.loop.now()
	if len(p.sizes) == 0 && now.After(p.until) {
		c.pace = nil
		return nil, false
	}
	p.direct = len(p.sizes) == 0 && c.conn.Buffered() == 0 && now.Sub(p.last) >= p.gap
	if p.direct {
		p.last = now
		out = c.conn.Output()
		c.mark = int32(len(out))
		return out, true
	}
	c.mark = int32(len(p.buf))
	return p.buf, true
}

func (p *pace) end(c *client, out []byte) {
	if p.direct {
		c.conn.SetOutput(out)
		return
	}
	p.sizes = append(p.sizes, len(out)-len(p.buf))
	p.buf = out
	switch {
	case len(p.sizes) >= maxPaced:
		c.stopPacing()
	case !p.armed:
		p.arm(c)
	}
}

func (p *pace) arm(c *client) {
	p.armed = true
	wait := p.gap - c.loop.now().Sub(p.last)
	c.after(max(wait, 5*time.Millisecond), func() {
		if c.pace != p {
			return
		}
		p.armed = false
		p.release(c)
	})
}

// release sends the packet that is next.
func (p *pace) release(c *client) {
	if len(p.sizes) == 0 {
		return
	}
	now := c.loop.now()
	if now.After(p.until) {
		c.stopPacing()
		return
	}
	if early := p.gap - now.Sub(p.last); early > 0 || c.conn.Buffered() > 0 {
		p.arm(c)
		return
	}
	c.conn.Write(p.buf[:p.sizes[0]])
	n := copy(p.buf, p.buf[p.sizes[0]:])
	p.buf = p.buf[:n]
	p.sizes = p.sizes[:copy(p.sizes, p.sizes[1:])]
	p.last = now
	if len(p.sizes) > 0 {
		p.arm(c)
	}
}

// stopPacing sends what waits and lets packets share segments from now on.
func (c *client) stopPacing() {
	p := c.pace
	c.pace = nil
	if p != nil && len(p.buf) > 0 {
		c.conn.Write(p.buf)
	}
}
