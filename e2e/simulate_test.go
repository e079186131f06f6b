package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/internal/simulate"
)

// fleet runs linkstead simulate in dir and returns its report and exit code.
func fleet(t *testing.T, dir string, args ...string) (r simulate.Report, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t), append([]string{"simulate", "--json"}, args...)...)
	cmd.Env, cmd.Dir = withoutSettings(os.Environ()), dir
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if len(out) > 0 {
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatalf("the report is not JSON: %v\n%s", err, out)
		}
	}
	return r, errs.String(), code
}

// TestSimulate: a fleet makes its devices, posts, is commanded, drops out and comes back, and what it counts is
// what the server has.
func TestSimulate(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	p := serve(t, data)
	r, stderr, code := fleet(t, dir, "--data", data, "--devices", "20", "--interval", "100ms", "--events", "300ms",
		"--commands", "20", "--duration", "3s", "--shape", "Temp=sine:20:5:1s", "--logins", "1000")
	if code != 0 || !r.Good() {
		t.Fatalf("exit code %d, report %+v\n%s", code, r, stderr)
	}
	if r.MostAtOnce != 20 || r.Logins != 20 {
		t.Errorf("%d of 20 devices were online at once, with %d logins", r.MostAtOnce, r.Logins)
	}
	if r.Posts < 20*10 || r.Acknowledged != r.Posts || r.Replied != r.Posts || r.Events == 0 {
		t.Errorf("%d posts, %d acknowledged, %d replied, %d of them events; all should be answered", r.Posts, r.Acknowledged, r.Replied, r.Events)
	}
	if r.CommandsSent == 0 || r.CommandsReplied != r.CommandsSent || r.CommandsReceived != r.CommandsSent {
		t.Errorf("%d commands sent, %d received, %d replied", r.CommandsSent, r.CommandsReceived, r.CommandsReplied)
	}
	if r.Checked != 20 || r.CheckedKept != r.Posts-r.Events || r.Lost != 0 {
		t.Errorf("the history of %d devices was compared, with %d posts, %d lost; want all 20 and %d", r.Checked, r.CheckedKept, r.Lost, r.Posts-r.Events)
	}

	// The same devices again, from the file that the first run left, by the protocol alone.
	files, err := filepath.Glob(filepath.Join(dir, "simulated-*.csv"))
	if err != nil || len(files) != 1 {
		t.Fatalf("triples in %v, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the triples have mode %v, %v; want -rw-------", info.Mode(), err)
	}
	model := filepath.Join(dir, "model.json")
	if err := os.WriteFile(model, []byte(`{"profile":{},"properties":[{"identifier":"Temp","accessMode":"r","dataType":{"type":"int","specs":{"min":"0","max":"50","step":"1"}}}],"events":[],"services":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := t.TempDir()
	r, stderr, code = fleet(t, dir, "--data", nowhere, "--triples", files[0], "--model", model, "--address", p.address,
		"--devices", "10", "--rate", "100", "--duration", "2s", "--churn", "500ms", "--offline", "50ms")
	if code != 0 || !r.Good() || r.DroppedOut == 0 || r.Logins <= 10 || r.Replied+r.Unknown != r.Posts {
		t.Errorf("exit code %d; devices should drop out, come back and lose nothing: %+v\n%s", code, r, stderr)
	}

	// Devices that the server does not know: the truth, and an exit code.
	forged := filepath.Join(dir, "forged.csv")
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if err := os.WriteFile(forged, []byte(line[:strings.LastIndex(line, ",")]+",0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, _, code = fleet(t, dir, "--data", nowhere, "--triples", forged, "--model", model, "--address", p.address, "--devices", "1", "--duration", "500ms")
	if code != 1 || r.Good() || r.LoginsRefused == 0 || !strings.Contains(r.LastError, "refused") {
		t.Errorf("a wrong secret: exit code %d, %+v; want 1 and the refusal", code, r)
	}

	// A server that dies under the fleet is not reported as well.
	go func() {
		p.kill()
	}()
	if r, _, code = fleet(t, dir, "--data", nowhere, "--triples", files[0], "--model", model, "--address", p.address, "--devices", "5", "--duration", "1s"); code != 1 || r.Good() {
		t.Errorf("without a server: exit code %d, %+v", code, r)
	}
}
