package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of a loop's turn go to the kernel without telling Go's scheduler.
// Reads and writes of non-blocking sockets do not wait, so there is nothing for
// it to do in the meantime; and what it does around a call that does wait (hand
// the processor over, watch the thread, take a processor back) costs more than
// the message that ends the wait.

// watchMS is how long, in milliseconds, a loop that has just had work waits for
// more as a thread that Go believes to be busy. It holds one of the GOMAXPROCS
// for that long, so there should be more of those than loops (see Options.Loops);
// a stop of the world interrupts the wait by its signal.
const watchMS = 1

// readNow is read(2) on a non-blocking descriptor.
func readNow(fd int32, p []byte) (int, error) {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}

// writeNow is write(2) on a non-blocking descriptor.
func writeNow(fd int32, p []byte) (int, error) {
	n, _, e := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}

// poll waits for events for at most ms milliseconds; negative: without end.
func (e *epoll) poll(ms int) (int, error) {
	if ms == 0 {
		return e.pollNow(0)
	}
	if e.watching {
		n, err := e.pollNow(watchMS)
		if n > 0 || err != nil || ms == watchMS {
			return n, err
		}
		e.watching = false
		if ms > 0 {
			ms -= watchMS
		}
	}
	n, err := unix.EpollWait(e.fd, e.events, ms)
	e.watching = n > 0
	return n, err
}

// pollNow is epoll_wait(2) for a wait of at most watchMS.
func (e *epoll) pollNow(ms int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(e.fd), uintptr(unsafe.Pointer(unsafe.SliceData(e.events))),
		uintptr(len(e.events)), uintptr(ms), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
