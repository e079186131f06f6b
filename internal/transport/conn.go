package transport

import (
	"crypto/tls"
	"net/netip"
	"time"
)

// Conn is one connection. Its methods belong to its loop, unless they say
// otherwise.
type Conn struct {
	// Attachment is the handler's. It is set to nil after Handler.Closed.
	Attachment any

	loop  *Loop
	layer *layer // TLS and WebSocket; nil for plain TCP
	peer  *peer  // the portable variant's socket; nil with epoll

	bufs *buffers // nil: nothing is kept or pending

	id     uint64
	remote netip.AddrPort

	last  int64 // loop time of the last bytes received
	until int64 // loop time at which it must have logged in, or, lingering, be gone; 0: no such time
	next  *Conn // in the same slot of the wheel
	prev  *Conn

	readTimeout uint32 // milliseconds; 0: none
	limit       uint32 // most unconsumed bytes
	fd          int32
	slot        int32 // in loop.conns
	flags       flags
	wheelSlot   int16 // -1: in none
	phase       phase
	kind        Kind
	outClass    uint8 // pool class that the output needed lately
	door        uint8 // index of its listener
}

// phase is how far a connection has come.
type phase uint8

const (
	phaseProxy     phase = iota // collecting the PROXY header
	phaseSniff                  // waiting for the first byte
	phaseHello                  // collecting the TLS ClientHello
	phaseHandshake              // TLS handshake under way
	phaseInner                  // waiting for the first decrypted byte
	phaseUpgrade                // collecting the HTTP request head
	phaseRequest                // collecting an HTTP request
	phaseAnswer                 // the request is being answered
	phaseOpen                   // the handler's
	phaseLinger                 // over for the handler; output still on its way
	phaseClosed                 // descriptor closed
)

// waitsFor says what a connection in this phase has not sent yet.
func (p phase) waitsFor() string {
	switch p {
	case phaseProxy:
		return "the complete PROXY header"
	case phaseSniff:
		return "the first byte"
	case phaseHello:
		return "the complete TLS ClientHello"
	case phaseHandshake:
		return "the end of the TLS handshake"
	case phaseInner:
		return "the first byte inside TLS"
	case phaseUpgrade:
		return "the complete HTTP request head of the WebSocket upgrade"
	case phaseRequest:
		return "the complete HTTP request"
	case phaseAnswer:
		return "its answer to an HTTP request"
	}
	return "a complete CONNECT and its acceptance"
}

type flags uint32

const (
	flagOpened      flags = 1 << iota // Handler.Opened was called
	flagEstablished                   // logged in
	flagEnding                        // Close or Abort was called
	flagTouched                       // in loop.touched
	flagReady                         // in loop.ready
	flagReadable                      // the socket may have bytes for us
	flagHangup                        // the end of the stream has been announced
	flagWritable                      // the kernel takes bytes again
	flagBlocked                       // the kernel took less than it was given
	flagBacklog                       // a turn ended with bytes pending: Writable is owed
	flagPaused                        // reading stopped by Pause
	flagRepresent                     // kept bytes are to be presented again
	flagMoving                        // MoveTo was called
	flagEOF                           // the peer sent everything it had
	flagHalfClosed                    // we did
	flagTold                          // Handler.Closed was called, if it was due
	flagFlooding                      // the last read was filled
	flagHeld                          // it floods: not read for a moment
)

// Loop returns the loop that the connection belongs to. After MoveTo it is the
// old one until Received has returned.
func (c *Conn) Loop() *Loop { return c.loop }

// ID returns a number that no other connection of this server has or will
// have. Any goroutine.
func (c *Conn) ID() uint64 { return c.id }

// Kind says how the connection carries MQTT.
func (c *Conn) Kind() Kind { return c.kind }

// RemoteAddr returns the peer's address, that of the client if a load balancer has
// told it; the zero AddrPort for Unix sockets. See PeerName.
// Any goroutine, from Handler.Opened on.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// LocalAddr returns our address; the zero AddrPort for Unix sockets and after
// the descriptor is closed.
func (c *Conn) LocalAddr() netip.AddrPort {
	if c.phase == phaseClosed {
		return netip.AddrPort{}
	}
	return c.loop.driver.localAddr(c)
}

// TLSState returns the state of the TLS connection, nil if there is none.
func (c *Conn) TLSState() *tls.ConnectionState {
	if c.layer == nil || c.layer.tls == nil || c.phase < phaseInner {
		return nil
	}
	state := c.layer.tls.ConnectionState()
	return &state
}

// Output returns the pending output for appending:
//
//	c.SetOutput(mqtt.AppendPingresp(c.Output()))
//
// Only append: what is already there may be half written. The slice is valid
// until the next call on c. After Close or Abort, what is appended is lost.
func (c *Conn) Output() []byte {
	if c.flags&flagEnding != 0 {
		return c.pending()
	}
	b := c.own()
	if b.out == nil {
		b.out = c.loop.pool.get(c.outClass)
	}
	return b.out
}

// SetOutput takes back what Output returned, with more at its end. It will be
// written at the end of the turn.
func (c *Conn) SetOutput(p []byte) {
	if c.flags&flagEnding != 0 {
		return
	}
	c.own().out = p
	c.touch()
}

// Write appends p to the output.
func (c *Conn) Write(p []byte) { c.SetOutput(append(c.Output(), p...)) }

// touch has the connection written at the end of the turn.
func (c *Conn) touch() {
	if c.flags&flagTouched == 0 {
		c.flags |= flagTouched
		c.loop.touched = append(c.loop.touched, c)
	}
}

// Buffered returns how many bytes of output the kernel has not taken yet.
func (c *Conn) Buffered() int {
	n := len(c.pending()) - c.sent()
	if c.layer != nil {
		n += len(c.layer.wire) - c.layer.sent
	}
	return n
}

// Flush writes what is pending now, instead of at the end of the turn. What the
// kernel does not take stays pending.
func (c *Conn) Flush() {
	if c.phase < phaseClosed {
		c.loop.write(c)
	}
}

// Close writes what has been appended and then closes the connection. For the
// handler it is over: nothing is received or written any more, and
// Handler.Closed is called with the cause soon. The transport keeps the socket
// for at most Options.Linger, until the peer has taken everything.
func (c *Conn) Close(cause error) { c.loop.end(c, cause, true) }

// Abort closes the connection at once. Pending output is lost.
func (c *Conn) Abort(cause error) { c.loop.end(c, cause, false) }

// Pause stops reading: back-pressure. Bytes already received are kept and not
// presented. Time-outs go on.
func (c *Conn) Pause() {
	if c.flags&(flagPaused|flagEstablished|flagEnding) == 0 {
		c.loop.server.await(1)
	}
	c.flags |= flagPaused
}

// Paused reports whether reading is stopped.
func (c *Conn) Paused() bool { return c.flags&flagPaused != 0 }

// Resume ends Pause. Kept bytes are presented again, in the next turn at the
// latest, whether or not more has arrived.
func (c *Conn) Resume() {
	if c.flags&flagPaused == 0 {
		return
	}
	if c.flags&(flagEstablished|flagEnding) == 0 {
		c.loop.server.await(-1)
	}
	c.flags &^= flagPaused
	c.flags |= flagRepresent // inside Received it is not known yet what will be kept
	c.loop.driver.resumed(c)
	c.loop.enqueue(c)
}

// SetLimit sets how many unconsumed bytes are kept. A connection for which
// Received consumes nothing of n bytes or more is closed with *LimitError. It
// starts with Options.OpeningBytes.
func (c *Conn) SetLimit(n int) { c.limit = uint32(min(max(n, 1), 1<<32-1)) }

// Established says that the login is done. It lifts Options.OpeningTimeout and
// takes the connection out of the count that Options.MaxOpening limits.
func (c *Conn) Established() {
	if c.flags&(flagEstablished|flagEnding) != 0 {
		return
	}
	if c.flags&flagPaused != 0 {
		c.loop.server.await(-1)
	}
	c.flags |= flagEstablished
	c.until = 0
	c.loop.server.opening.Add(-1)
}

// SetReadTimeout closes the connection with ErrIdle when nothing was received
// for d, counted from the last bytes received. 0 switches it off. The precision
// is 10 ms, never early.
func (c *Conn) SetReadTimeout(d time.Duration) {
	c.readTimeout = uint32(min(max(0, (d+time.Millisecond-1)/time.Millisecond), 1<<32-1))
	c.loop.arm(c)
}

// MoveTo hands the connection over to another loop. Only inside
// Handler.Received: after that has returned and its output has been written,
// the connection goes on on l, where Received is called at once with the bytes
// that were not consumed. Pending output moves along; Opened and Closed are not
// called for a move. Time-outs and limits stay.
func (c *Conn) MoveTo(l *Loop) {
	if l == c.loop || c.flags&flagEnding != 0 {
		return
	}
	c.flags |= flagMoving
	c.loop.departing = append(c.loop.departing, departure{c, l})
}

// waitsForUs reports whether it is our turn: a handshake to be computed, a login
// to be checked.
func (c *Conn) waitsForUs() bool { return c.phase == phaseHandshake || c.flags&flagPaused != 0 }

// deadline returns the loop time at which the connection has to be looked at,
// 0 if never.
func (c *Conn) deadline() int64 {
	at := c.until
	if c.readTimeout > 0 && c.phase == phaseOpen {
		if idle := c.last + int64(c.readTimeout)*int64(time.Millisecond); at == 0 || idle < at {
			at = idle
		}
	}
	return at
}
