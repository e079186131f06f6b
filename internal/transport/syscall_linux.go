package transport

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of a loop's turn go to the kernel without telling Go's scheduler.
// Reads and writes of non-blocking sockets do not wait, so there is nothing for
// it to do in the meantime; and what it does around a call that does wait (hand
// the processor over, watch the thread, take a processor back) costs more than
// the message that ends the wait.

// watchFor is how long a loop that has had work waits for more as a thread that Go
// believes to be busy. If it waited as a thread that Go knows to wait, Go's monitor
// would look after it every 20 µs for a while, each time anew, which costs a server
// with some hundred messages a second more than these do. In exchange the wait holds
// one of the GOMAXPROCS for that long, so without one to spare beside those of all
// loops (see Options.Loops) it is only watchShortly. A stop of the world interrupts
// the wait by its signal.
const (
	watchFor     = 50 * time.Millisecond
	watchShortly = time.Millisecond
)

// watchTime returns how long a loop of so many watches.
func watchTime(loops int) time.Duration {
	if runtime.GOMAXPROCS(0) > loops {
		return watchFor
	}
	return watchShortly
}

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
	if e.stirred {
		e.stirred, e.worked = false, e.loop.nowNano
	}
	// Signals end a wait, so it is the time since the last work that counts.
	if left := int64(e.watchTime) - (e.loop.nowNano - e.worked); left > 0 {
		watch := int((left + int64(time.Millisecond) - 1) / int64(time.Millisecond))
		short := ms > 0 && ms <= watch
		if short {
			watch = ms
		}
		n, err := e.pollNow(watch)
		e.stirred = n > 0
		if n > 0 || err != nil || short {
			return n, err
		}
		if ms > 0 {
			ms -= watch
		}
	}
	n, err := unix.EpollWait(e.fd, e.events, ms)
	e.stirred = n > 0
	return n, err
}

// pollNow is epoll_wait(2) without telling Go's scheduler, for short waits.
func (e *epoll) pollNow(ms int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(e.fd), uintptr(unsafe.Pointer(unsafe.SliceData(e.events))),
		uintptr(len(e.events)), uintptr(ms), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
