//go:build !linux

package transport

import (
	"net"
	"sync"
)

// listener is one listening socket.
type listener struct {
	Listener
	index    uint8
	addr     net.Addr
	portable *portableListener
	closed   sync.Once
}

func openListener(a Listener, _ bool) (*listener, error) { return openPortable(a) }

func (ln *listener) start(s *Server) error { return ln.portable.start(s, ln) }

func (ln *listener) close() { ln.closed.Do(ln.portable.close) }

func newDriver(l *Loop, _ bool) (driver, error) { return newPortable(l), nil }
