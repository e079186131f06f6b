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
)

// event is one line of a script of e2e/node.
type event map[string]any

func (e event) String() string { b, _ := json.Marshal(map[string]any(e)); return string(b) }

// text is a field that is a string, "" if it is not there.
func (e event) text(key string) string { s, _ := e[key].(string); return s }

// at follows keys into nested objects: e.at("reply", "code").
func (e event) at(keys ...string) any {
	var v any = map[string]any(e)
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// script is a running script of e2e/node.
type script struct {
	t     *testing.T
	name  string
	stdin io.WriteCloser
	done  chan struct{}
	cmd   *exec.Cmd

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when something arrives
	waiting []event       // not yet awaited, in order of arrival
	history []string
}

// runScript starts a script with its arguments as JSON and ends it with the test. It trusts the certificates in
// caFile in addition to the usual ones, if one is named.
func runScript(t *testing.T, name, caFile string, args ...any) *script {
	t.Helper()
	node := need(t, "node")
	if _, err := os.Stat(filepath.Join("node", "node_modules", ".package-lock.json")); err != nil {
		missing(t, "the npm packages are not installed")
	}
	s := &script{t: t, name: name, done: make(chan struct{}), changed: make(chan struct{})}
	argv := []string{filepath.Join("node", name)}
	for _, a := range args {
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		argv = append(argv, string(b))
	}
	s.cmd = exec.Command(node, argv...)
	s.cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+caFile)
	s.cmd.Stderr = scriptErrors{s}
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.listen(stdout)
	t.Cleanup(func() {
		s.end()
		if t.Failed() {
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Logf("%s:\n%s", name, strings.Join(s.history, "\n"))
		}
	})
	return s
}

// listen reads lines until the script ends.
func (s *script) listen(stdout io.Reader) {
	defer close(s.done)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			e = event{"event": "unreadable", "line": lines.Text()}
		}
		s.note(lines.Text(), e)
	}
	_ = s.cmd.Wait()
}

func (s *script) note(line string, e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(line) > 500 {
		line = line[:500] + "…"
	}
	s.history = append(s.history, line)
	if e != nil {
		s.waiting = append(s.waiting, e)
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// scriptErrors adds what a script writes to standard error to its history.
type scriptErrors struct{ s *script }

func (w scriptErrors) Write(p []byte) (int, error) {
	w.s.note("stderr: "+strings.TrimSpace(string(p)), nil)
	return len(p), nil
}

// do sends a command: the name of a handler of the script, and its fields.
func (s *script) do(name string, fields event) {
	s.t.Helper()
	c := event{"do": name}
	for k, v := range fields {
		c[k] = v
	}
	if _, err := fmt.Fprintln(s.stdin, c); err != nil {
		s.t.Fatalf("%s: %s: %v", s.name, name, err)
	}
}

// await returns the oldest event of this name, and with these fields, that was not awaited before.
func (s *script) await(name string, with event) event {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		e, changed := s.take(name, with)
		if e != nil {
			return e
		}
		select {
		case <-changed:
		case <-s.done:
			if e, _ := s.take(name, with); e != nil {
				return e
			}
			s.t.Fatalf("%s ended without event %s %v", s.name, name, with)
		case <-deadline:
			s.t.Fatalf("%s: no event %s %v after %v", s.name, name, with, patience)
		}
	}
}

// take removes the oldest matching event. The channel is closed when there are more.
func (s *script) take(name string, with event) (event, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
search:
	for i, e := range s.waiting {
		if e["event"] != name {
			continue
		}
		for k, v := range with {
			if e[k] != v {
				continue search
			}
		}
		s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
		return e, nil
	}
	return nil, s.changed
}

// count is how many events of this name, and with these fields, have arrived and were not awaited.
func (s *script) count(name string, with event) int {
	n := 0
	s.mu.Lock()
	defer s.mu.Unlock()
search:
	for _, e := range s.waiting {
		if e["event"] != name {
			continue
		}
		for k, v := range with {
			if e[k] != v {
				continue search
			}
		}
		n++
	}
	return n
}

// kill ends the process without giving its client a chance to say good-bye.
func (s *script) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// end closes the script's input, which ends it.
func (s *script) end() {
	_ = s.stdin.Close()
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Errorf("%s does not end", s.name)
		s.kill()
	}
}
