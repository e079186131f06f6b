// Package house starts a linkstead of its own for a benchmark and looks at it
// from outside: its address, its memory, its CPU.
package house

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// House is a running server.
type House struct {
	// Address is where it takes MQTT clients, host:port.
	Address string
	// Log keeps the lines it logged, the latest 64 KB.
	Log *Lines

	binary, data string
	cmd          *exec.Cmd
	ended        chan struct{}
}

// Start runs `binary serve` on a data directory and returns once it serves.
// listen is its address, "127.0.0.1:0" for any port; settings are environment
// variables such as LINKSTEAD_DURABILITY=os.
func Start(binary, data, listen string, settings ...string) (*House, error) {
	h := &House{binary: binary, data: data, Log: new(Lines), ended: make(chan struct{})}
	h.cmd = exec.Command(binary, "serve", "--data", data, "--listen", listen, "--admin", "127.0.0.1:0", "--log-format", "json")
	h.cmd.Env = append(os.Environ(), settings...)
	stderr, err := h.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("the server cannot be started: %w; build it with make build", err)
	}
	serving := make(chan string, 1)
	go func() {
		defer close(h.ended)
		h.follow(stderr, serving)
		_ = h.cmd.Wait()
	}()
	select {
	case h.Address = <-serving:
		return h, nil
	case <-h.ended:
		return nil, fmt.Errorf("the server ended: %s", h.Log)
	case <-time.After(5 * time.Minute):
		h.Stop()
		return nil, fmt.Errorf("the server does not serve after 5 minutes: %s", h.Log)
	}
}

// follow keeps the log and reports the address that it names.
func (h *House) follow(r io.Reader, serving chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		h.Log.add(lines.Text())
		var l struct{ Msg, MQTT string }
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Msg == "linkstead is serving" {
			serving <- l.MQTT
		}
	}
}

// AddUser makes a user who may do everything below filter.
func (h *House) AddUser(name, password, filter string) error {
	cmd := exec.Command(h.binary, "user", "add", name, "--allow", filter, "--password-stdin", "--data", h.data)
	cmd.Stdin = strings.NewReader(password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("linkstead user add: %w: %s", err, out)
	}
	return nil
}

// PID is the process identifier.
func (h *House) PID() int { return h.cmd.Process.Pid }

// RSS is the server's resident memory in bytes, 0 if it cannot be told.
func (h *House) RSS() int64 { return RSS(h.PID()) }

// Settled waits until the memory has not changed by more than a percent for
// three seconds, at most a minute, and returns it.
func (h *House) Settled() int64 {
	last, since := h.RSS(), time.Now()
	for begun := since; time.Since(begun) < time.Minute && time.Since(since) < 3*time.Second; time.Sleep(250 * time.Millisecond) {
		if now := h.RSS(); now > last+last/100 || now < last-last/100 {
			last, since = now, time.Now()
		}
	}
	return h.RSS()
}

// CPU is the server's user and system time so far.
func (h *House) CPU() time.Duration { return CPU(h.PID()) }

// Stop ends the server as SIGTERM does and waits, at most a minute.
func (h *House) Stop() {
	_ = h.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-h.ended:
	case <-time.After(time.Minute):
		h.Kill()
	}
}

// Kill ends the server as a power cut would.
func (h *House) Kill() {
	_ = h.cmd.Process.Kill()
	<-h.ended
}

// Lines are the latest lines of a log.
type Lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *Lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(append(l.text, line...), '\n')
	if len(l.text) > 128<<10 {
		l.text = append([]byte(nil), l.text[len(l.text)-64<<10:]...)
	}
}

// String gives the lines.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
