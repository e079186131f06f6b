package transport

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// pipe is what crypto/tls takes for a network connection. After the handshake
// it lives on the loop: reading gives the bytes that were just read from the
// socket and then a temporary error, which crypto/tls passes up without
// breaking; writing appends to the wire. During the handshake, which crypto/tls
// cannot interrupt, both go through handshake.
type pipe struct {
	c         *Conn
	in        []byte // read from the socket and not yet taken by crypto/tls
	handshake *handshake
}

// errNoMore tells crypto/tls to come back later.
var errNoMore net.Error = noMore{}

type noMore struct{}

func (noMore) Error() string   { return "no more bytes at the moment" }
func (noMore) Timeout() bool   { return true }
func (noMore) Temporary() bool { return true }

func (p *pipe) Read(b []byte) (int, error) {
	if p.handshake != nil {
		return p.handshake.read(b)
	}
	if len(p.in) == 0 {
		return 0, errNoMore
	}
	n := copy(b, p.in)
	p.in = p.in[n:]
	return n, nil
}

func (p *pipe) Write(b []byte) (int, error) {
	if p.handshake != nil {
		return p.handshake.write(b)
	}
	p.c.layer.toWire(p.c, b)
	if p.c.flags&flagEnding == 0 {
		p.c.touch()
	}
	return len(b), nil
}

func (p *pipe) Close() error                     { return nil }
func (p *pipe) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(p.c.remote) }
func (p *pipe) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(p.c.remote) }
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

// handshake is a TLS handshake under way. A goroutine computes; the loop goes on
// reading and writing the socket. A goroutine that waits for the peer holds no
// token, so slow peers cannot keep others from their handshakes.
type handshake struct {
	server *Server
	loop   *Loop
	c      *Conn
	conn   *tls.Conn

	mu     sync.Mutex
	in     []byte // from the socket
	out    []byte // for the socket
	posted bool   // the loop knows that there is something in out
	gone   bool   // the connection is closed
	end    error  // what follows in: io.EOF or the error of a read
	full   bool   // the loop stopped reading
	more   chan struct{}
}

// handshakeBytes is what the loop reads ahead of a handshake: more than the
// largest handshake message crypto/tls takes.
const handshakeBytes = 96 << 10

// startTLS begins with the first bytes of a TLS connection.
func (l *Loop) startTLS(c *Conn, b []byte) {
	if l.server.options.TLS == nil {
		l.refuseTLS(c, ErrTLSOff)
		return
	}
	y := layered(c)
	y.pipe = &pipe{c: c}
	c.phase = phaseHello
	l.decrypt(c, b)
}

func (l *Loop) refuseTLS(c *Conn, cause error) {
	l.server.refused(l, c, RefusedTLS, cause)
	c.Abort(cause)
}

// decrypt takes bytes from the socket of a TLS connection.
func (l *Loop) decrypt(c *Conn, b []byte) {
	switch c.phase {
	case phaseHello:
		l.collectHello(c, b)
	case phaseHandshake:
		l.feedHandshake(c, b)
	default:
		c.layer.pipe.in = b
		l.readTLS(c)
	}
}

// collectHello waits for the whole first record, so that a connection that
// sends half of it does not cost a goroutine.
func (l *Loop) collectHello(c *Conn, b []byte) {
	l.keep(c, b)
	if len(c.kept()) < 5 || len(c.kept()) < 5+int(binary.BigEndian.Uint16(c.kept()[3:])) {
		if len(c.kept()) >= max(int(c.limit), 1<<10) {
			l.refuseTLS(c, &LimitError{Limit: int(c.limit), Have: len(c.kept())})
		}
		return
	}
	config := l.server.options.TLS()
	if config == nil {
		l.refuseTLS(c, ErrTLSOff)
		return
	}
	h := &handshake{server: l.server, loop: l, c: c, more: make(chan struct{}, 1)}
	h.in = append(h.in, c.kept()...)
	l.dropKept(c)
	c.phase = phaseHandshake
	c.layer.pipe.handshake = h
	h.conn = tls.Server(c.layer.pipe, config)
	l.server.helpers.Go(h.run)
}

// feedHandshake hands bytes to the goroutine.
func (l *Loop) feedHandshake(c *Conn, b []byte) {
	h := c.layer.pipe.handshake
	h.mu.Lock()
	h.in = append(h.in, b...)
	if len(h.in) > handshakeBytes {
		h.full = true
		c.flags |= flagPaused
	}
	h.mu.Unlock()
	h.signal()
}

func (h *handshake) signal() {
	select {
	case h.more <- struct{}{}:
	default:
	}
}

// run computes the handshake.
func (h *handshake) run() {
	h.token()
	err := h.handshake()
	<-h.server.handshakes
	h.loop.Post(handshakeDone{h, err})
}

func (h *handshake) handshake() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("internal error in the TLS handshake: %v", v)
		}
	}()
	h.mu.Lock()
	gone := h.gone
	h.mu.Unlock()
	if gone {
		return net.ErrClosed
	}
	return h.conn.Handshake()
}

// read waits for bytes from the loop.
func (h *handshake) read(b []byte) (int, error) {
	for {
		h.mu.Lock()
		if h.gone {
			h.mu.Unlock()
			return 0, net.ErrClosed
		}
		if len(h.in) > 0 {
			n := copy(b, h.in)
			h.in = h.in[:copy(h.in, h.in[n:])]
			h.mu.Unlock()
			return n, nil
		}
		if h.end != nil {
			h.mu.Unlock()
			return 0, h.end
		}
		full := h.full
		h.full = false
		h.mu.Unlock()
		if full {
			h.loop.Post(handshakeEmpty{h})
		}
		<-h.server.handshakes
		<-h.more
		h.token()
	}
}

// token waits until the handshake may be computed.
func (h *handshake) token() {
	h.server.await(1)
	h.server.handshakes <- struct{}{}
	h.server.await(-1)
}

// write hands bytes to the loop.
func (h *handshake) write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone {
		return 0, net.ErrClosed
	}
	h.out = append(h.out, b...)
	if !h.posted {
		h.posted = true
		h.loop.Post(handshakeOutput{h})
	}
	return len(b), nil
}

// abandon has the goroutine end.
func (h *handshake) abandon() {
	h.mu.Lock()
	h.gone = true
	h.mu.Unlock()
	h.signal()
}

// finish says that nothing more will come.
func (h *handshake) finish(err error) {
	h.mu.Lock()
	h.end = err
	h.mu.Unlock()
	h.signal()
}

// take moves what was written to the wire.
func (h *handshake) take() {
	h.mu.Lock()
	h.posted = false
	if len(h.out) > 0 {
		h.c.layer.toWire(h.c, h.out)
		h.out = h.out[:0]
		h.c.touch()
	}
	h.mu.Unlock()
}

type handshakeOutput struct{ h *handshake }

// Run has the handshake's output written at the end of the turn.
func (t handshakeOutput) Run(*Loop) {
	if t.h.c.phase == phaseHandshake {
		t.h.take()
	}
}

type handshakeEmpty struct{ h *handshake }

// Run goes on reading for the handshake.
func (t handshakeEmpty) Run(*Loop) {
	if t.h.c.phase == phaseHandshake {
		t.h.c.Resume()
	}
}

type handshakeDone struct {
	h   *handshake
	err error
}

// Run goes on with the connection after its handshake.
func (t handshakeDone) Run(l *Loop) {
	h, c := t.h, t.h.c
	if c.phase != phaseHandshake {
		return
	}
	h.take()
	if t.err != nil {
		err := fmt.Errorf("TLS handshake failed: %w%s", t.err, tlsHint(t.err))
		l.server.refused(l, c, RefusedTLS, err)
		c.Close(err)
		return
	}
	y := c.layer
	y.tls = h.conn
	y.pipe.handshake = nil
	y.pipe.in = h.in
	c.phase = phaseInner
	c.kind = TLS
	c.Resume()
	l.readTLS(c)
	if h.end != nil && c.flags&flagEnding == 0 {
		l.ended(c, h.end)
	}
}

// tlsHint says what to do about the failures that devices have.
func tlsHint(err error) string {
	var op *net.OpError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &op) && op.Op == "remote error":
		return "; the client refused: it may not trust the certificate, install the server's CA in it"
	case errors.As(err, &record):
		return "; what arrived is not TLS"
	}
	return ""
}

// readTLS decrypts what the pipe holds and passes it on.
func (l *Loop) readTLS(c *Conn) {
	if l.plain == nil {
		l.plain = make([]byte, headroom+plainSize)
	}
	const start = headroom
	const record = 16 << 10 // the most that one read of crypto/tls returns
	pipe := c.layer.pipe
	for end := start; ; {
		n, err := c.layer.tls.Read(l.plain[end:])
		end += n
		if end > start && (err != nil || len(l.plain)-end < record) {
			l.content(c, l.plain, start, end)
			end = start
		}
		if c.flags&flagEnding != 0 {
			break
		}
		if err == nil {
			continue
		}
		if err != errNoMore {
			if err != io.EOF {
				err = fmt.Errorf("TLS: %w", err)
			}
			l.ended(c, err)
		}
		break
	}
	pipe.in = nil
}
