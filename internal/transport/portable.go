package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// portable is the driver for systems without epoll. Each connection has a
// goroutine that reads; it hands its bytes to the loop and waits until they are
// taken, so a paused connection is a reader that is not asked to go on. Writing
// is done by a goroutine that lives as long as there is something to write; it
// plays the part of the kernel's socket buffer.
type portable struct {
	loop   *Loop
	signal chan struct{}
	timer  *time.Timer
}

func newPortable(l *Loop) *portable {
	return &portable{loop: l, signal: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
}

func (d *portable) wait(l *Loop, patience time.Duration) {
	if patience == 0 || !l.inbox.sleep() {
		return
	}
	var expired <-chan time.Time
	if patience > 0 {
		d.timer.Reset(patience)
		expired = d.timer.C
	}
	select {
	case <-d.signal:
	case <-expired:
	}
	l.inbox.awake()
}

func (d *portable) wake() {
	select {
	case d.signal <- struct{}{}:
	default:
	}
}

// peer is the socket of a connection with its two goroutines.
type peer struct {
	c    *Conn
	nc   net.Conn
	loop atomic.Pointer[Loop] // where the connection is or goes; c.loop must not be read from other goroutines
	here atomic.Pointer[Loop] // where it is; nil on its way

	got  []byte // what the reader read; the loop's until it signals next
	err  error  // why reading ended
	full bool   // got or err waits to be taken; loop only
	next chan struct{}
	done chan struct{} // closed with the socket

	mu       sync.Mutex
	writing  bool
	owed     bool // the loop was told errAgain and wants to hear when to go on
	finish   bool // half-close after what is being written
	last     bool // close after what is being written
	writeErr error
}

const (
	portableSmall = 512      // read buffer of a quiet connection
	portableLarge = readSize // and of a busy one, borrowed; also the most that is being written
)

var portableBuffers = sync.Pool{New: func() any { return new([portableLarge]byte) }}

func (d *portable) attach(c *Conn) error {
	p := c.peer
	p.here.Store(d.loop)
	if p.next == nil {
		p.next = make(chan struct{}, 1)
		p.done = make(chan struct{})
		d.loop.server.helpers.Go(p.readAll)
	}
	if p.full {
		c.flags |= flagReadable
	}
	p.mu.Lock()
	if p.writing {
		// What is under way was begun on another loop; its end comes here.
		p.owed = true
		c.flags |= flagBlocked
	}
	p.mu.Unlock()
	return nil
}

// detach: what the goroutines post from now on goes to the new loop. It may come
// there before the connection does; see reached.
func (d *portable) detach(c *Conn, to *Loop) {
	c.peer.here.Store(nil)
	c.peer.loop.Store(to)
}

// reached reports whether a task that concerns p has come to its loop. If not, it
// has been sent after it. There is at most one task of a kind on its way, so
// none is overtaken.
func (p *peer) reached(l *Loop, t Task) bool {
	if p.here.Load() == l {
		return true
	}
	p.loop.Load().Post(t)
	return false
}

// readAll is the reader.
func (p *peer) readAll() {
	small := make([]byte, portableSmall)
	busy := false
	for {
		buf := small
		var large *[portableLarge]byte
		if busy {
			large = portableBuffers.Get().(*[portableLarge]byte)
			buf = large[:]
		}
		n, err := p.nc.Read(buf)
		p.got, p.err = buf[:n], err
		p.loop.Load().Post(readTask{p})
		select {
		case <-p.next:
		case <-p.done:
		}
		if large != nil {
			portableBuffers.Put(large)
		}
		if err != nil || p.isDone() {
			return
		}
		busy = n > portableSmall/2
	}
}

func (p *peer) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// readTask tells the loop that the reader has something.
type readTask struct{ p *peer }

// Run enqueues the connection, or follows it to the loop it has moved to.
func (t readTask) Run(l *Loop) {
	p := t.p
	if !p.reached(l, t) {
		return
	}
	if p.c.phase == phaseClosed {
		return
	}
	p.full = true
	p.c.flags |= flagReadable
	l.enqueue(p.c)
}

func (d *portable) read(c *Conn) int {
	p, l := c.peer, d.loop
	c.flags &^= flagReadable
	if !p.full {
		return 0
	}
	p.full = false
	n, err := copy(l.buf[headroom:], p.got), p.err
	p.next <- struct{}{}
	if n > 0 {
		l.receive(c, l.buf, headroom, headroom+n)
	}
	if err != nil && c.phase != phaseClosed {
		l.ended(c, err)
	}
	return n
}

func (d *portable) resumed(*Conn) {}

func (d *portable) write(c *Conn, b []byte) (int, error) {
	p := c.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writeErr != nil {
		return 0, p.writeErr
	}
	if p.writing {
		p.owed = true
		return 0, errAgain
	}
	buf := portableBuffers.Get().(*[portableLarge]byte)
	n := copy(buf[:], b)
	p.writing = true
	d.loop.server.helpers.Go(func() { p.send(buf, n) })
	if n < len(b) {
		p.owed = true
		return n, errAgain
	}
	return n, nil
}

// send is the writer.
func (p *peer) send(buf *[portableLarge]byte, n int) {
	_, err := p.nc.Write(buf[:n])
	portableBuffers.Put(buf)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing = false
	p.writeErr = err
	if p.finish {
		p.closeWrite()
	}
	if p.last {
		p.nc.Close()
		return
	}
	if p.owed || err != nil {
		p.owed = false
		p.loop.Load().Post(wroteTask{p})
	}
}

// wroteTask tells the loop that the writer has finished.
type wroteTask struct{ p *peer }

// Run goes on writing, or follows the connection to the loop it has moved to.
func (t wroteTask) Run(l *Loop) {
	p := t.p
	if !p.reached(l, t) {
		return
	}
	c := p.c
	if c.phase == phaseClosed {
		return
	}
	p.mu.Lock()
	err := p.writeErr
	p.mu.Unlock()
	if err != nil {
		l.broken(c, err)
		return
	}
	c.flags |= flagWritable
	l.enqueue(c)
}

func (d *portable) halfClose(c *Conn) {
	p := c.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writing {
		p.finish = true
		return
	}
	p.closeWrite()
}

func (p *peer) closeWrite() {
	if w, ok := p.nc.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
	}
}

func (d *portable) close(c *Conn) {
	p := c.peer
	if p.done != nil {
		close(p.done)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writing && c.phase == phaseLinger && c.flags&flagEOF != 0 {
		// Everything was handed over and only has to be sent.
		p.last = true
		p.nc.SetWriteDeadline(time.Now().Add(d.loop.server.options.Linger))
		return
	}
	p.nc.Close()
}

func (d *portable) localAddr(c *Conn) netip.AddrPort { return netAddrPort(c.peer.nc.LocalAddr()) }

func (d *portable) release() { d.timer.Stop() }

func netAddrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// portableListener accepts in a goroutine.
type portableListener struct {
	ln   net.Listener
	done chan struct{} // closed when the goroutine has ended; nil before it is started
}

func openPortable(a Listener) (*listener, error) {
	if a.Socket != nil {
		ln, err := net.FileListener(a.Socket)
		if err != nil {
			return nil, fmt.Errorf("the socket %s that was handed over cannot be listened on: %w", a.Address, err)
		}
		a.Socket.Close()
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		return &listener{addr: ln.Addr(), portable: &portableListener{ln: ln}}, nil
	}
	if a.Network == "unix" {
		removeStale(a.Address)
	}
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Minute, Interval: 30 * time.Second, Count: 4}}
	ln, err := config.Listen(context.Background(), a.Network, a.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s %s: %w", a.Network, a.Address, err)
	}
	if a.Network == "unix" {
		if err := os.Chmod(a.Address, a.mode()); err != nil {
			ln.Close()
			return nil, fmt.Errorf("the permissions of %s cannot be set: %w", a.Address, err)
		}
	}
	return &listener{addr: ln.Addr(), portable: &portableListener{ln: ln}}, nil
}

func (pl *portableListener) start(s *Server, ln *listener) error {
	pl.done = make(chan struct{})
	go pl.acceptAll(s, ln)
	return nil
}

func (pl *portableListener) acceptAll(s *Server, ln *listener) {
	defer close(pl.done)
	for {
		for !s.ready(time.Now()) {
			time.Sleep(gatePause)
		}
		nc, err := pl.ln.Accept()
		if err != nil {
			s.gate.giveBack()
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.refused(nil, nil, RefusedDescriptors, fmt.Errorf("cannot accept connections on %s: %w", pl.ln.Addr(), err))
			if s.closing.Load() {
				return
			}
			time.Sleep(10 * time.Millisecond)
			continue
		}
		remote := netAddrPort(nc.RemoteAddr())
		if !s.admit(ln, remote) {
			nc.Close()
			continue
		}
		c := &Conn{fd: -1, remote: remote}
		c.peer = &peer{c: c, nc: nc}
		s.welcome(c, ln)
	}
}

func (pl *portableListener) close() {
	pl.ln.Close()
	if pl.done != nil {
		<-pl.done
	}
}
