package transport

import (
	"net"
	"syscall"
	"testing"
)

// TestNoDescriptors accepts with no file descriptor left: clients are turned
// away instead of waiting, and it goes on once there are descriptors again.
func TestNoDescriptors(t *testing.T) {
	h := newRecorder()
	var log lockedBuffer
	s := mustListen(t, Options{Handler: h, Logger: log.logger()})
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	// The client's socket first; then the next descriptor is over the limit.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	low := before
	low.Cur = uint64(firstFree(t))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	addr := s.Addrs()[0].(*net.TCPAddr)
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if n, err := syscall.Read(fd, make([]byte, 1)); n != 0 && err == nil {
		t.Errorf("read %d bytes, %v; want the end of the stream", n, err)
	}
	log.waitFor(t, "ulimit -n")
	restore()
	mustEcho(t, mustDial(t, s), connect)
}

// firstFree returns the lowest free descriptor number: with that as the limit
// no other can be opened.
func firstFree(t *testing.T) int {
	fd, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(fd)
	return fd
}
