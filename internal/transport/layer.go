package transport

import "crypto/tls"

// layer is what lies between the socket and the handler's bytes: TLS,
// WebSocket, or WebSocket in TLS. Plain connections have none.
type layer struct {
	pipe *pipe     // beneath tls
	tls  *tls.Conn // nil without TLS
	ws   *frames   // nil without WebSocket

	wire []byte // encoded output that waits for the kernel; from the pool
	sent int    // bytes at the beginning of wire that are written already
}

// layered returns c's layer, made if there is none.
func layered(c *Conn) *layer {
	if c.layer == nil {
		c.layer = &layer{}
	}
	return c.layer
}

// toWire appends bytes as they go to the socket.
func (y *layer) toWire(c *Conn, p []byte) {
	if y.wire == nil {
		y.wire = c.loop.pool.get(ceilClass(len(p)))
	}
	y.wire = append(y.wire, p...)
}

// raw appends bytes that are not framed, but encrypted if there is TLS.
func (y *layer) raw(c *Conn, p []byte) {
	if y.tls != nil {
		y.tls.Write(p) // into the pipe, which takes everything
		return
	}
	y.toWire(c, p)
}

// encode turns the pending output into bytes for the wire.
func (y *layer) encode(c *Conn) {
	l := c.loop
	switch {
	case y.ws == nil || c.phase < phaseOpen:
		if out := c.pending(); len(out) > 0 {
			y.raw(c, out)
		}
	case y.tls != nil:
		l.frame = y.ws.appendFrames(l.frame[:0], c.pending())
		if len(l.frame) > 0 {
			y.tls.Write(l.frame)
		}
		if cap(l.frame) > readSize {
			l.frame = nil
		}
	default:
		if y.wire == nil {
			y.wire = l.pool.get(ceilClass(len(c.pending()) + frameHeader))
		}
		y.wire = y.ws.appendFrames(y.wire, c.pending())
	}
	l.recycle(c)
}

// farewell appends what TLS and WebSocket want to say at the end.
func (y *layer) farewell(c *Conn, cause error) {
	if y.pipe != nil && (y.pipe.handshake != nil || y.tls == nil) {
		return // the handshake has said what there was to say
	}
	y.encode(c)
	if y.ws != nil && c.phase == phaseOpen {
		y.raw(c, y.ws.appendClose(nil, cause))
	}
	if y.tls != nil {
		y.tls.CloseWrite()
	}
}

// abandon ends the goroutine of a handshake under way.
func (y *layer) abandon() {
	if y.pipe != nil && y.pipe.handshake != nil {
		y.pipe.handshake.abandon()
	}
}

// writeLayer is write for a connection with a layer. Nothing is encoded while
// the kernel takes nothing.
func (l *Loop) writeLayer(c *Conn) {
	y := c.layer
	if c.flags&flagBlocked != 0 {
		return
	}
	if c.phase < phaseLinger && (y.pipe == nil || y.pipe.handshake == nil) {
		y.encode(c)
	}
	if len(y.wire) > y.sent {
		n, err := l.driver.write(c, y.wire[y.sent:])
		l.wrote(c, n)
		y.sent += n
		if err == errAgain {
			c.flags |= flagBlocked
			y.wire, y.sent = compact(y.wire, y.sent)
			return
		}
		if err != nil {
			y.sent = len(y.wire)
			l.broken(c, err)
			return
		}
	}
	if y.wire != nil {
		l.pool.put(y.wire)
		y.wire, y.sent = nil, 0
	}
}
