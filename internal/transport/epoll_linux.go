package transport

import (
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// epoll is the driver over bare descriptors. Sockets are registered once, for
// both directions and edge-triggered: no further epoll_ctl for back-pressure or
// backlogs. After a read that did not fill the buffer the socket is empty, and
// whatever comes later is a new edge; after one that did, and when the end of
// the stream was announced, the connection stays readable.
type epoll struct {
	loop      *Loop
	fd        int
	event     int // eventfd that wakes the loop
	events    []unix.EpollEvent
	stirred   bool  // the last wait found something
	worked    int64 // loop time at which one last did; see watchFor
	watchTime time.Duration
	listeners []*listener

	mu       sync.RWMutex
	released bool // event must not be written to any more
}

const (
	epollEvents   = 1024
	epollWatch    = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff
	epollReadable = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	epollHangup   = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	wakeSlot      = -1
	guestSlot     = -1 << 30 // and below: guests, see lodging.go; above: listeners
)

var eventOne = [8]byte{1, 0, 0, 0, 0, 0, 0, 0}

func newDriver(l *Loop, portable bool) (driver, error) {
	if portable {
		return newPortable(l), nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	e := &epoll{loop: l, fd: fd, event: event, watchTime: watchTime(l.server.options.Loops), events: make([]unix.EpollEvent, epollEvents)}
	// Edge-triggered, so that the counter need not be read back.
	if err := e.watch(event, wakeSlot, unix.EPOLLIN|unix.EPOLLET&0xffffffff); err != nil {
		e.release()
		return nil, err
	}
	return e, nil
}

func (e *epoll) watch(fd int, slot int32, events uint32) error {
	return unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: slot})
}

// listen watches a listener, from any goroutine, before or while the loop runs.
func (e *epoll) listen(ln *listener) error {
	done := make(chan error, 1)
	e.loop.Post(listenTask{e, ln, done})
	return <-done
}

type listenTask struct {
	e    *epoll
	ln   *listener
	done chan error
}

// Run begins to watch the listener.
func (t listenTask) Run(*Loop) {
	e := t.e
	e.listeners = append(e.listeners, t.ln)
	t.done <- e.watchListener(len(e.listeners) - 1)
}

func (e *epoll) watchListener(i int) error {
	ln := e.listeners[i]
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.fd < 0 {
		return nil
	}
	if !slices.Contains(ln.epolls, e.fd) {
		ln.epolls = append(ln.epolls, e.fd)
	}
	return e.watch(ln.fd, int32(wakeSlot-1-i), unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
}

// ignore leaves a listener alone for a while.
func (e *epoll) ignore(i int, pause time.Duration) {
	ln := e.listeners[i]
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.fd >= 0 {
		unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, ln.fd, nil)
		e.loop.After(pause, relisten{e, i})
	}
}

type relisten struct {
	e *epoll
	i int
}

// Run watches the listener again.
func (r relisten) Run(*Loop) { r.e.watchListener(r.i) }

func (e *epoll) wait(l *Loop, d time.Duration) {
	ms := -1
	if d >= 0 {
		ms = int(min((d+time.Millisecond-1)/time.Millisecond, 1<<30))
	}
	if ms != 0 && !l.doze() {
		ms = 0
	}
	n, err := e.poll(ms)
	l.rouse()
	if err != nil {
		return // EINTR: the next turn waits again
	}
	for i := range e.events[:n] {
		ev := &e.events[i]
		switch {
		case ev.Fd == wakeSlot:
		case ev.Fd <= guestSlot:
			l.guests[guestSlot-ev.Fd].called = true
		case ev.Fd < wakeSlot:
			i := int(wakeSlot - 1 - ev.Fd)
			if pause := e.listeners[i].accept(l); pause > 0 {
				e.ignore(i, pause)
			}
		default:
			// All events are noted before any connection is served, so a slot
			// cannot have been given to another one in between.
			c := l.conns[ev.Fd]
			if c == nil {
				// Closed, but reported: a process that this one is forking holds
				// a copy of the descriptor until it executes its program, and the
				// watch ends with the last copy only.
				continue
			}
			if ev.Events&epollReadable != 0 {
				c.flags |= flagReadable
				if ev.Events&epollHangup != 0 {
					c.flags |= flagHangup
				}
			}
			if ev.Events&unix.EPOLLOUT != 0 && c.flags&flagBlocked != 0 {
				c.flags |= flagWritable
			}
			if c.flags&(flagReadable|flagWritable) != 0 {
				l.enqueue(c)
			}
		}
	}
}

func (e *epoll) wake() {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if !e.released {
		writeNow(int32(e.event), eventOne[:])
	}
}

// adopt watches the guest's epoll, level-triggered: it is ready while it has
// something that the guest has not seen.
func (e *epoll) adopt(guest *Loop, place int) error {
	return e.watch(guest.driver.(*epoll).fd, int32(guestSlot-place), unix.EPOLLIN)
}

func (e *epoll) dismiss(guest *Loop) {
	unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, guest.driver.(*epoll).fd, nil)
}

func (e *epoll) attach(c *Conn) error { return e.watch(int(c.fd), c.slot, epollWatch) }

func (e *epoll) detach(c *Conn, _ *Loop) { unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, int(c.fd), nil) }

func (e *epoll) read(c *Conn) int {
	l := e.loop
	buf := l.buf[headroom:]
	if c.flags&flagFlooding != 0 && l.beside() {
		buf = buf[:floodRead]
	}
	n, err := readNow(c.fd, buf)
	switch {
	case err == unix.EAGAIN:
		c.flags &^= flagReadable
		return 0
	case err == unix.EINTR:
		l.enqueue(c)
		return 0
	case err != nil:
		c.flags &^= flagReadable
		l.ended(c, err)
		return 0
	case n == 0:
		c.flags &^= flagReadable
		l.ended(c, io.EOF)
		return 0
	}
	if n == len(buf) {
		begun := time.Now()
		l.receive(c, l.buf, headroom, headroom+n)
		l.flooded(c, time.Since(begun))
		return n
	}
	if c.flags&flagHangup == 0 {
		c.flags &^= flagReadable
	}
	l.trickled(c)
	l.receive(c, l.buf, headroom, headroom+n)
	if c.flags&flagReadable != 0 {
		l.enqueue(c)
	}
	return n
}

func (e *epoll) resumed(*Conn) {}

func (e *epoll) write(c *Conn, p []byte) (int, error) {
	n, err := writeNow(c.fd, p)
	if n < 0 {
		n = 0
	}
	switch {
	case err == unix.EAGAIN || err == unix.EINTR && n == 0:
		return n, errAgain
	case err != nil:
		return n, err
	case n < len(p):
		return n, errAgain
	}
	return n, nil
}

func (e *epoll) halfClose(c *Conn) { unix.Shutdown(int(c.fd), unix.SHUT_WR) }

func (e *epoll) close(c *Conn) { unix.Close(int(c.fd)) }

func (e *epoll) localAddr(c *Conn) netip.AddrPort {
	address, err := unix.Getsockname(int(c.fd))
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(address)
}

func (e *epoll) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.released = true
	unix.Close(e.event)
	unix.Close(e.fd)
}
