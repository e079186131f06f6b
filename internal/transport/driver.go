package transport

import (
	"errors"
	"net/netip"
	"time"
)

// driver is what differs between epoll and the portable variant. All methods
// but wake are called on the loop.
type driver interface {
	// wait blocks until something is ready, wake is called, or d has passed
	// (negative: no end), and enqueues the connections that are ready.
	wait(l *Loop, d time.Duration)
	// wake ends wait. Any goroutine.
	wake()
	// attach begins to watch c, on its first loop or after a move.
	attach(c *Conn) error
	// detach stops watching c, which will be attached to another loop.
	detach(c *Conn, to *Loop)
	// read reads once and hands the bytes to the loop's receive.
	read(c *Conn) (n int)
	// resumed says that reading goes on.
	resumed(c *Conn)
	// write gives p to the kernel. It returns errAgain if not all was taken.
	write(c *Conn, p []byte) (n int, err error)
	// halfClose tells the peer that nothing more will come.
	halfClose(c *Conn)
	// close lets go of the socket.
	close(c *Conn)
	// localAddr returns our end's address.
	localAddr(c *Conn) netip.AddrPort
	// release lets go of what the driver itself holds, when the loop has ended.
	release()
}

// errAgain: the kernel takes no more at the moment.
var errAgain = errors.New("the socket takes no more at the moment")
