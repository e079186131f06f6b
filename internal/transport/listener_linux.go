package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listener is one listening socket. With epoll it is a bare descriptor that
// all loops watch; the kernel wakes one of them for a new connection, and that
// one gives the connection to the loop with the fewest.
type listener struct {
	Listener
	index    uint8
	addr     net.Addr
	fd       int
	path     string // of a Unix socket, to be removed
	shared   bool   // others hold it, too
	portable *portableListener
	closed   sync.Once

	mu    sync.Mutex
	spare int // a descriptor in reserve, see shed
	// epolls watch the descriptor. If it is shared they have to be told when it is
	// closed: the watch ends with its last copy only, and the others have some.
	epolls []int
}

// Dead peers are found by the kernel, whatever keep-alive MQTT has: the first
// probe after two minutes of silence, then four more, half a minute apart.
// Accepted sockets inherit these from the listening one, which saves the system
// calls for each.
var listenOptions = [][3]int{
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 120},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 30},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
	{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
}

func openListener(a Listener, portable bool) (*listener, error) {
	if portable {
		return openPortable(a)
	}
	if a.Socket != nil {
		return inherit(a)
	}
	if a.Network == "unix" {
		removeStale(a.Address)
	}
	config := net.ListenConfig{KeepAlive: -1, Control: func(network, _ string, raw syscall.RawConn) error {
		if network == "unix" {
			return nil
		}
		var err error
		controlErr := raw.Control(func(fd uintptr) {
			for _, o := range listenOptions {
				if e := unix.SetsockoptInt(int(fd), o[0], o[1], o[2]); e != nil && err == nil {
					err = e
				}
			}
		})
		if controlErr != nil {
			return controlErr
		}
		return err
	}}
	ln, err := config.Listen(context.Background(), a.Network, a.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s %s: %w", a.Network, a.Address, err)
	}
	// The descriptor is duplicated and the net.Listener closed, or the runtime's
	// own poller would be woken for each connection as well.
	l := &listener{addr: ln.Addr(), fd: -1, spare: openSpare()}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
		l.path = a.Address
		if err := os.Chmod(a.Address, a.mode()); err != nil {
			ln.Close()
			l.close()
			return nil, fmt.Errorf("the permissions of %s cannot be set: %w", a.Address, err)
		}
	}
	raw, err := ln.(syscall.Conn).SyscallConn()
	if err == nil {
		controlErr := raw.Control(func(fd uintptr) {
			l.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		})
		if err == nil {
			err = controlErr
		}
	}
	ln.Close()
	if err != nil {
		l.close()
		return nil, fmt.Errorf("cannot listen on %s %s: %w", a.Network, a.Address, err)
	}
	return l, nil
}

// inherit takes over a listening socket that somebody else has opened, such as
// systemd. The others who hold it must not notice when it is closed here.
func inherit(a Listener) (*listener, error) {
	ln, err := net.FileListener(a.Socket) // checks what it is; has a descriptor of its own
	if err != nil {
		return nil, fmt.Errorf("the socket %s that was handed over cannot be listened on: %w", a.Address, err)
	}
	defer ln.Close()
	defer a.Socket.Close()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	l := &listener{addr: ln.Addr(), shared: true, fd: -1, spare: openSpare()}
	raw, err := a.Socket.SyscallConn()
	if err == nil {
		controlErr := raw.Control(func(fd uintptr) {
			if l.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err != nil {
				return
			}
			err = unix.SetNonblock(l.fd, true)
			if _, ok := ln.(*net.TCPListener); ok && err == nil {
				for _, o := range listenOptions {
					if e := unix.SetsockoptInt(l.fd, o[0], o[1], o[2]); e != nil && err == nil {
						err = e
					}
				}
			}
		})
		if err == nil {
			err = controlErr
		}
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("the socket %s that was handed over cannot be used: %w", a.Address, err)
	}
	return l, nil
}

// start has the loops watch the listener.
func (ln *listener) start(s *Server) error {
	if ln.portable != nil {
		return ln.portable.start(s, ln)
	}
	for _, l := range s.loops {
		if err := l.driver.(*epoll).listen(ln); err != nil {
			return fmt.Errorf("cannot watch %s: %w", ln.addr, err)
		}
	}
	return nil
}

// close stops listening. Loops that are just accepting get an error.
func (ln *listener) close() {
	ln.closed.Do(func() {
		if ln.portable != nil {
			ln.portable.close()
			return
		}
		ln.mu.Lock()
		defer ln.mu.Unlock()
		if ln.fd >= 0 {
			// shutdown first: it ends accepting in the loops, which may hold
			// the descriptor number, before the number can be used again.
			if ln.shared {
				for _, e := range ln.epolls {
					unix.EpollCtl(e, unix.EPOLL_CTL_DEL, ln.fd, nil)
				}
			} else {
				unix.Shutdown(ln.fd, unix.SHUT_RDWR)
			}
			unix.Close(ln.fd)
			ln.fd = -1
		}
		if ln.spare >= 0 {
			unix.Close(ln.spare)
			ln.spare = -1
		}
		if ln.path != "" {
			os.Remove(ln.path)
		}
	})
}

// acceptBatch is how many connections one loop accepts in one turn.
const acceptBatch = 32

// accept takes waiting connections and hands them out. It returns how long the
// listener should be left alone, 0 if it should not.
func (ln *listener) accept(l *Loop) (pause time.Duration) {
	s := l.server
	for range acceptBatch {
		if !s.ready(l.now) {
			return gatePause
		}
		fd, address, err := ln.accept4()
		if err != nil {
			s.gate.giveBack()
		}
		switch err {
		case nil:
		case unix.EAGAIN:
			return 0
		case unix.EINTR, unix.ECONNABORTED:
			continue
		case unix.EMFILE, unix.ENFILE:
			if !ln.shed(s, err) {
				return acceptPause
			}
			continue
		default:
			if s.closing.Load() {
				return 0
			}
			ln.trouble(s, err)
			return acceptPause
		}
		remote := addrPort(address)
		if !s.admit(ln, remote) {
			unix.Close(fd)
			continue
		}
		s.welcome(&Conn{fd: int32(fd), remote: remote}, ln)
	}
	return 0
}

func (ln *listener) accept4() (int, unix.Sockaddr, error) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.fd < 0 {
		return -1, nil, unix.EAGAIN
	}
	return unix.Accept4(ln.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
}

func (ln *listener) trouble(s *Server, err error) {
	s.refused(nil, nil, RefusedDescriptors, fmt.Errorf("cannot accept connections on %s, trying again in %v: %w", ln.addr, acceptPause, err))
}

// acceptPause is how long a loop leaves a listener alone that gives errors.
const acceptPause = 100 * time.Millisecond

// shed refuses one connection although no descriptor is left for it: it gives
// up the spare one for a moment. Otherwise the connection would wait unanswered
// and wake the loop for ever.
func (ln *listener) shed(s *Server, cause error) bool {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.fd < 0 {
		return true
	}
	if ln.spare < 0 {
		ln.spare = openSpare()
		return ln.spare >= 0
	}
	unix.Close(ln.spare)
	fd, _, err := unix.Accept4(ln.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err == nil {
		unix.Close(fd)
		s.accepted.Add(1)
		s.refused(nil, nil, RefusedDescriptors, fmt.Errorf("no file descriptor left; raise the limit of open files (ulimit -n): %w", cause))
	}
	ln.spare = openSpare()
	return err == nil || err == unix.EAGAIN
}

func openSpare() int {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

func addrPort(address unix.Sockaddr) netip.AddrPort {
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		addr := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 && addr.Is6() {
			if i, err := net.InterfaceByIndex(int(a.ZoneId)); err == nil {
				addr = addr.WithZone(i.Name)
			}
		}
		return netip.AddrPortFrom(addr, uint16(a.Port))
	}
	return netip.AddrPort{}
}
