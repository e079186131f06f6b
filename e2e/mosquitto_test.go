package e2e

import (
	"bufio"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestMosquitto runs the programs of the Debian package mosquitto-clients.
func TestMosquitto(t *testing.T) {
	need(t, "mosquitto_pub")
	need(t, "mosquitto_sub")
	h := mustStart(t)
	u := h.addUser("script")
	for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s TLS %v", version, secure), func(t *testing.T) {
				args := []string{"-h", "127.0.0.1", "-p", h.port(), "-u", u.name, "-P", u.password, "-V", version}
				if secure {
					args = append(args, "--cafile", h.CAFile())
				}
				testMosquitto(t, args)
			})
		}
	}
}

func testMosquitto(t *testing.T, login []string) {
	pub := func(args ...string) {
		t.Helper()
		out, err := exec.Command("mosquitto_pub", slices.Concat(login, args)...).CombinedOutput()
		if err != nil {
			t.Fatalf("mosquitto_pub %v: %v\n%s", args, err, out)
		}
	}
	// sub returns the lines that mosquitto_sub prints until it has what -C asks for.
	sub := func(args ...string) []string {
		t.Helper()
		cmd := exec.Command("mosquitto_sub", slices.Concat([]string{"-W", "20"}, login, args)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("mosquitto_sub %v: %v after %q", args, err, out)
		}
		return strings.Split(strings.TrimSpace(string(out)), "\n")
	}
	want := func(got []string, want ...string) {
		t.Helper()
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("mosquitto_sub printed %q, want %q", got, want)
		}
	}

	// Retained: set, replaced, cleared.
	pub("-t", "yard/gate", "-m", "open", "-r", "-q", "1")
	pub("-t", "yard/gate", "-m", "shut", "-r", "-q", "2")
	want(sub("-t", "yard/+", "-C", "1", "-q", "2", "-F", "%t %p %q %r"), "yard/gate shut 2 1")
	pub("-t", "yard/gate", "-n", "-r")

	// A persistent session: subscribed, left, and the mail of every QoS is there on return.
	keep := []string{"-i", "yard-keeper", "-c", "-q", "2"}
	if slices.Contains(login, "mqttv5") {
		keep = append(keep, "-x", "3600")
	}
	sub(append(slices.Clone(keep), "-t", "mail/#", "-E")...)
	pub("-t", "mail/1", "-m", "one", "-q", "1")
	pub("-t", "mail/2", "-m", "two", "-q", "2")
	want(sub(append(slices.Clone(keep), "-t", "mail/#", "-C", "2", "-F", "%t %p %q")...), "mail/1 one 1", "mail/2 two 2")

	// A live subscriber and a will. The retained message shows that a subscription is there: what -d prints
	// about it is stuck in the program's buffer.
	pub("-t", "yard/ready", "-m", "ready", "-r")
	live := startMosquitto(t, append(slices.Clone(login), "-t", "yard/#"))
	live.await("ready")
	pub("-t", "yard/bell", "-m", "ring")
	live.await("ring")
	mortal := startMosquitto(t, append(slices.Clone(login), "-t", "yard/ready", "--will-topic", "yard/will", "--will-payload", "dead", "--will-qos", "1"))
	mortal.await("ready")
	mortal.kill()
	live.await("dead")
	pub("-t", "yard/ready", "-n", "-r")
}

// TestMosquitto5 is what only 5.0 has, with the same programs.
func TestMosquitto5(t *testing.T) {
	need(t, "mosquitto_pub")
	need(t, "mosquitto_sub")
	h := mustStart(t)
	u := h.addUser("script")
	login := []string{"-h", "127.0.0.1", "-p", h.port(), "-u", u.name, "-P", u.password, "-V", "5"}
	run := func(program string, args ...string) string {
		t.Helper()
		out, err := exec.Command(program, slices.Concat(login, args)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	same := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("mosquitto_sub printed %q, want %q", got, want)
		}
	}

	// Properties of a retained message, as they come to a subscriber.
	run("mosquitto_pub", "-t", "yard/gate", "-m", "open", "-r", "-q", "1", "-D", "publish", "content-type", "text/plain",
		"-D", "publish", "user-property", "a", "1", "-D", "publish", "correlation-data", "c1", "-D", "publish", "response-topic", "answers",
		"-D", "publish", "message-expiry-interval", "1000", "-D", "publish", "payload-format-indicator", "1")
	same(run("mosquitto_sub", "-W", "20", "-t", "yard/+", "-C", "1", "-q", "1", "-F", "%t %p %q %r %C %D %R %F %P",
		"-D", "subscribe", "subscription-identifier", "9"), "yard/gate open 1 1 text/plain c1 answers 1 a:1")
	// Retain handling, and the aliases of both sides, which the programs leave to the server.
	run("mosquitto_pub", "-t", "yard/end", "-m", "end", "-r")
	same(run("mosquitto_sub", "-W", "20", "-t", "yard/end", "-C", "1", "-D", "connect", "topic-alias-maximum", "5", "-F", "%t %p"), "yard/end end")
	// A session that expires at once, and a message that does.
	run("mosquitto_sub", "-i", "keeper", "-c", "-x", "1000", "-q", "1", "-t", "mail/#", "-E")
	run("mosquitto_pub", "-t", "mail/1", "-m", "late", "-q", "1", "-D", "publish", "message-expiry-interval", "0")
	run("mosquitto_pub", "-t", "mail/2", "-m", "in time", "-q", "1")
	same(run("mosquitto_sub", "-W", "20", "-i", "keeper", "-c", "-x", "0", "-q", "1", "-t", "mail/#", "-C", "1", "-F", "%t %p"), "mail/2 in time")
	// A packet that is larger than the client takes is not sent to it.
	run("mosquitto_pub", "-t", "big/1", "-m", strings.Repeat("x", 1000), "-r")
	run("mosquitto_pub", "-t", "big/2", "-m", "small", "-r")
	same(run("mosquitto_sub", "-W", "20", "-t", "big/+", "-C", "1", "-D", "connect", "maximum-packet-size", "200", "-F", "%t %p"), "big/2 small")
	// Refusals have their reason.
	out, err := exec.Command("mosquitto_sub", slices.Concat(login[:7], []string{"wrong", "-V", "5", "-t", "a", "-W", "20"})...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Bad User Name or Password") {
		t.Errorf("a wrong password: %v, %q", err, out)
	}
}

// mosquittoSub is a running mosquitto_sub.
type mosquittoSub struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	seen  []string
}

func startMosquitto(t *testing.T, args []string) *mosquittoSub {
	t.Helper()
	m := &mosquittoSub{t: t, cmd: exec.Command("mosquitto_sub", append([]string{"-W", "20"}, args...)...)}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.kill)
	m.lines = bufio.NewScanner(out)
	return m
}

// await reads until a line is printed.
func (m *mosquittoSub) await(line string) {
	m.t.Helper()
	for m.lines.Scan() {
		m.seen = append(m.seen, m.lines.Text())
		if m.lines.Text() == line {
			return
		}
	}
	m.t.Fatalf("mosquitto_sub did not print %q but %q", line, m.seen)
}

// kill ends the program without DISCONNECT.
func (m *mosquittoSub) kill() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
}
