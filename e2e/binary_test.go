package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/config"
)

// binary is the server compiled as a user gets it, once for all tests.
var binary struct {
	once sync.Once
	dir  string
	err  error
}

// program compiles linkstead and returns the path of the executable.
func program(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "linkstead-e2e-"); binary.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", binary.dir, "../cmd/linkstead")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatalf("linkstead cannot be compiled: %v", binary.err)
	}
	return filepath.Join(binary.dir, "linkstead")
}

// removeBinary deletes what program made.
func removeBinary() {
	if binary.dir != "" {
		_ = os.RemoveAll(binary.dir)
	}
}

// process is a server in a process of its own.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	dir     string // of its data
	address string // of devices and applications
	log     *logLines
	done    chan struct{}
}

// serve starts the compiled server on a data directory and returns when it serves.
// settings are variables of its environment.
func serve(t *testing.T, dir string, settings ...string) *process {
	t.Helper()
	return serveWith(t, dir, func(cmd *exec.Cmd) { cmd.Env = append(append(cmd.Env, "LINKSTEAD_LISTEN=127.0.0.1:0"), settings...) })
}

// serveWith is serve for those who say more about the process.
func serveWith(t *testing.T, dir string, change func(*exec.Cmd)) *process {
	t.Helper()
	p := &process{t: t, dir: dir, log: &logLines{}, done: make(chan struct{})}
	p.cmd = exec.Command(program(t), "serve", "--data", dir, "--admin", "127.0.0.1:0", "--log-format", "json")
	p.cmd.Env = withoutSettings(os.Environ())
	change(p.cmd)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	serving := make(chan string, 1)
	go func() {
		defer close(p.done)
		p.follow(stderr, serving)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", p.log.tail(4<<10))
		}
	})
	select {
	case p.address = <-serving:
	case <-p.done:
		t.Fatalf("the server ended:\n%s", p.log)
	case <-time.After(patience):
		t.Fatalf("the server does not serve:\n%s", p.log)
	}
	return p
}

// follow keeps the log, and reports the address that it names.
func (p *process) follow(r io.Reader, serving chan<- string) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Fprintln(p.log, lines.Text())
		var l struct{ Msg, MQTT string }
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Msg == "linkstead is serving" {
			serving <- l.MQTT
		}
	}
}

// kill ends the process as kill -9 does and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// withoutSettings drops variables that would configure the server.
func withoutSettings(env []string) []string {
	var out []string
	for _, v := range env {
		if !strings.HasPrefix(v, config.EnvPrefix) {
			out = append(out, v)
		}
	}
	return out
}
