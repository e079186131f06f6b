//go:build unix

package systemd

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// manager is the socket of a service manager.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

func next(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 1024)
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// mark puts a message of our own behind those that have been sent.
func mark(t *testing.T, conn *net.UnixConn) {
	t.Helper()
	c, err := net.DialUnix("unixgram", nil, conn.LocalAddr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	go func() { // there may be no room before something has been read
		_, _ = c.Write([]byte("mark"))
		_ = c.Close()
	}()
}

func TestNotify(t *testing.T) {
	conn := manager(t)
	var n Notifier
	n.Ready("serving")
	if got := next(t, conn); got != "READY=1\nSTATUS=serving" {
		t.Errorf("%q", got)
	}
	n.Reloading()
	if got := next(t, conn); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("%q", got)
	}
	n.Stopping(3 * time.Second)
	if got := next(t, conn); got != "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=3000000" {
		t.Errorf("%q", got)
	}
}

// TestDeafManager: one that does not read what it is told does not hold us up.
func TestDeafManager(t *testing.T) {
	conn := manager(t)
	fill, err := net.DialUnix("unixgram", nil, conn.LocalAddr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fill.Close() }()
	for err == nil {
		_ = fill.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, err = fill.Write([]byte("x"))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Notifier{}.Ready("serving")
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("the server waits for its service manager")
	}
}

// TestWatchdog: it is fed while there is life, and only then.
func TestWatchdog(t *testing.T) {
	conn := manager(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	var dead atomic.Bool
	starving := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Notifier{}.Watchdog(ctx, func(context.Context) bool { return !dead.Load() }, func() { starving <- struct{}{} })
	}()
	for range 3 {
		if got := next(t, conn); got != "WATCHDOG=1" {
			t.Errorf("%q", got)
		}
	}
	dead.Store(true)
	for range 3 { // the first may have been decided before
		<-starving
	}
	mark(t, conn)
	for next(t, conn) != "mark" { // what was sent before
	}
	for range 5 {
		<-starving
	}
	mark(t, conn)
	if got := next(t, conn); got != "mark" {
		t.Errorf("%q for the watchdog of a dead server", got)
	}
	dead.Store(false)
	if got := next(t, conn); got != "WATCHDOG=1" {
		t.Errorf("%q", got)
	}
	cancel()
	<-ended
}

func TestNoManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	var n Notifier
	n.Ready("")
	n.Watchdog(t.Context(), nil, nil) // returns at once
	if s := Sockets(); len(s) != 0 {
		t.Errorf("%v", s)
	}
}
