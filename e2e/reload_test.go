package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/linkstead/linkstead/mqtt"
)

// linkstead runs a command on the process's server and returns its output and exit
// code.
func (p *process) linkstead(args ...string) (string, int) {
	p.t.Helper()
	cmd := exec.Command(program(p.t), append(args, "--data", p.dir)...)
	cmd.Env = withoutSettings(os.Environ())
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// TestReload changes the file of a server in its own process, by signal and by
// command, while a client stays connected.
func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "linkstead.toml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	p := serve(t, t.TempDir(), "LINKSTEAD_CONFIG="+file)
	p.user("ann", "ann's password")
	w := p.dial("app", mqtt.V311, true)

	write("[log]\nlevel = \"debug\"\n")
	p.signal(syscall.SIGHUP)
	p.log.await(t, `"msg":"a setting was changed"`, `"key":"log.level"`, `"new":"debug"`)
	p.log.await(t, "were reloaded", `"who":"SIGHUP"`)

	write("loops = 1\n[device]\npace = \"0s\"\n")
	out, code := p.linkstead("reload")
	for _, want := range []string{"device.pace", "30ms", "in use", "NEEDS A RESTART", "Restart the server for loops"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q in:\n%s", code, want, out)
		}
	}
	p.log.await(t, "were reloaded", `"who":"token:`)

	write("[device]\npace = \"fast\"\n")
	out, code = p.linkstead("reload")
	if code != 1 || !strings.Contains(out, "not a duration") {
		t.Errorf("a wrong file: exit code %d\n%s", code, out)
	}
	p.signal(syscall.SIGHUP)
	p.log.await(t, "the configuration was not reloaded", "not a duration", "SIGHUP")

	w.send(mqtt.AppendPingreq(nil))
	if f := w.next(); f.Type != mqtt.PINGRESP {
		t.Errorf("the client that stayed gets % X", f.Raw)
	}
}
