package e2e

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
)

const (
	strangers   = 2000             // connections that never log in
	mayCost     = 50 << 20         // bytes of memory that they may cost together
	openingTime = 10 * time.Second // the default of limits.opening_timeout
)

// TestStrangers opens 2,000 connections that do not log in, half of which announce packets of 256 MB and half of
// which send a byte a second. They cost little, a device logs in all the while, and they are closed when the time
// to log in is over.
func TestStrangers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the memory of a process is read from /proc")
	}
	cfg := defaults(t.TempDir())
	h := mustStartWith(t, cfg)
	d := h.addSeed()
	h.stop()
	p := serve(t, cfg.Data)
	p.login(t, d) // everything that a first login allocates is there
	idle := p.memory()

	conns := make([]net.Conn, strangers)
	announced := []byte{0x10, 0xFF, 0xFF, 0xFF, 0x7F, 0, 4, 'M', 'Q', 'T', 'T', 4, 0xC2, 0, 100}
	for i := range conns {
		c, err := net.DialTimeout("tcp", p.address, patience)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		conns[i] = c
		if i%2 == 0 {
			// The server may close at once: what is announced is over the limit of a CONNECT.
			_, _ = c.Write(announced)
		}
	}
	opened := time.Now()
	connect := connectOf(d.Login(alink.LoginOptions{}), 100)
	most, among := uint64(0), 0 // memory, and logins while strangers were there
	for second := range int(openingTime / time.Second) {
		for i, c := range conns {
			if i%2 == 1 {
				_, _ = c.Write(connect[second : second+1])
			} else {
				_, _ = c.Write([]byte{'x'})
			}
		}
		p.login(t, d)
		if time.Since(opened) < openingTime {
			among++
		}
		most = max(most, p.memory())
		time.Sleep(time.Until(opened.Add(time.Duration(second+1) * time.Second)))
	}
	t.Logf("resident memory: %d KB idle, %d KB at most with %d strangers", idle>>10, most>>10, strangers)
	if most > idle+mayCost {
		t.Errorf("%d strangers cost %d MB, want at most %d", strangers, (most-idle)>>20, mayCost>>20)
	}
	if among == 0 {
		t.Error("a device could not log in before the strangers were gone")
	}
	for i, c := range conns {
		_ = c.SetReadDeadline(opened.Add(openingTime + patience))
		if n, err := c.Read(make([]byte, 16)); err == nil {
			t.Errorf("stranger %d received %d bytes", i, n)
		} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Fatalf("stranger %d is still connected %v after it came", i, time.Since(opened))
		}
	}
	p.login(t, d)
}

// login logs a device in, pings and leaves.
func (p *process) login(t *testing.T, d alink.Triple) {
	t.Helper()
	c, err := net.DialTimeout("tcp", p.address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w := &wire{t: t, conn: c}
	w.ask(connectOf(d.Login(alink.LoginOptions{Method: alink.HMACSHA256}), 100), connected)
	w.ping()
	w.send([]byte{0xE0, 0})
	w.wantClosed()
}

// memory is the resident memory of the process in bytes.
func (p *process) memory() uint64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kb << 10
		}
	}
	p.t.Fatal("the process has no VmRSS: it ended")
	return 0
}
