package broker

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/mqtt"
)

var update = flag.Bool("update", false, "write what the server sent into the scenarios")

// TestScenarios plays testdata/scenarios/*.txt against a real server. A file is
// a list of scenarios, each headed by "=== name [clauses]". Lines are
//
//	c1 > PACKET            c1 sends (see notation_test.go); c1 >> joins it with the next
//	c1 < PACKET            the next thing c1 receives is exactly this; properties in {… a=1 !b} are
//	                       these and any others, but not b
//	c1 < nothing           c1 has received nothing more
//	c1 closed              the server has closed c1; "closed after 1.5s": no sooner than that
//	                       after c1 last sent something
//	later 1.1s             so much time passes
//	hurry 2s, no hurry     what lies between takes no longer than that; on a machine that was too slow
//	                       the scenario says nothing and is played again
//	c2 > CONNECT client=$c1 …
//	                       with the identifier that c1 was assigned
//	kill c1                c1's connection breaks
//	restart, crash         the server stops in order, or is killed, and starts again
//	synced                 everything is on disk
//	hold commits, fail commits, fill disk, open commits
//	                       the disk keeps what it is given to itself; fails; is full; works
//	dropped REASON N …     since the last such line (or the start); no more and no less
//	handled KEY TOPIC TEXT the handler was given this next
//	left c1 TEXT           the handler was told why c1 is gone
//	expires c1 SECONDS     the session of c1 lives that long after its connection
//	queued c1 N            soon so many messages wait on disk for c1, also by the loops' figures
//	disconnect c1 CODE TEXT
//	                       the server ends the connection with this reason
//	server PUBLISH …       the server publishes
//	revoke PREFIX          nobody has a right to these topics any more
//	unsure                 the next question for rights finds no answer
//	allow logins, finish   slow logins are answered; slow handlers finish
//	with NAME=N …          (first) settings: loops, window, queued, output, subscriptions, received, packet,
//	                       aliases, minkeep, maxkeep, expiry, share (least, sticky), share-key
//
// A scenario listed in testdata/conformance/awaiting.txt is written by the
// standard for what the server does not do yet: it has to fail, and to leave the
// list when it does not any more.
func TestScenarios(t *testing.T) {
	awaiting := mustReadAwaiting(t)
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(content), "\n")
		for from := 0; from < len(lines); {
			to := from + 1
			for to < len(lines) && !strings.HasPrefix(lines[to], "=== ") {
				to++
			}
			if name, ok := strings.CutPrefix(lines[from], "=== "); ok {
				name, _, _ = strings.Cut(name, " [")
				part, first := lines[from+1:to], from+2
				base := strings.TrimSuffix(filepath.Base(file), ".txt")
				t.Run(base+"/"+strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
					p := &play{t: t, file: file, first: first, lines: part, patience: patience}
					if reason, missing := awaiting[base+": "+name]; missing {
						p.mustFail(reason)
						return
					}
					if p.slow() && !*update {
						t.Parallel()
					}
					p.play()
				})
			}
			from = to
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// play is one scenario on its way.
type play struct {
	t     *testing.T
	file  string
	first int // number of its first line
	lines []string
	at    int
	// failed, if set, is told of a failure in place of the test.
	failed   func(string)
	patience time.Duration
	// hurry is until when the machine has to be fast enough; zero if it need not be.
	hurry time.Time
	late  bool // it failed, and the machine was not fast enough

	s        *server
	peers    map[string]*peer
	assigned map[string]string // client identifiers that the server made, by peer
	seen     int               // lines of the handler that were compared
}

func (p *play) failf(format string, args ...any) {
	p.t.Helper()
	text := fmt.Sprintf("%s:%d: %s\n\t%s", p.file, p.first+p.at, p.lines[p.at], fmt.Sprintf(format, args...))
	p.late = !p.hurry.IsZero() && time.Now().After(p.hurry)
	if p.failed != nil {
		p.failed(text)
		runtime.Goexit()
	}
	p.t.Fatal(text)
}

// mustFail plays a scenario that cannot succeed yet.
func (p *play) mustFail(reason string) {
	p.patience = time.Second
	why := ""
	p.failed = func(text string) { why = text }
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run()
	}()
	<-done
	if why == "" {
		p.t.Errorf("%s: the scenario succeeds now; take it off testdata/conformance/awaiting.txt (%s) and write its clauses into docs/conformance.md with -table", p.file, reason)
		return
	}
	p.t.Logf("not yet: %s\n%s", reason, why)
}

// slow reports whether the scenario waits for time to pass.
func (p *play) slow() bool {
	for _, line := range p.lines {
		if strings.HasPrefix(line, "later ") || strings.HasPrefix(line, "hurry ") || strings.Contains(line, " closed after ") {
			return true
		}
	}
	return false
}

// play plays a scenario, again if the machine was too slow for it.
func (p *play) play() {
	if !strings.Contains(strings.Join(p.lines, "\n"), "hurry ") {
		p.run()
		return
	}
	for attempt := 1; ; attempt++ {
		why := ""
		p.failed = func(text string) { why = text }
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.run()
		}()
		<-done
		switch {
		case why == "":
			return
		case !p.late:
			p.t.Fatal(why)
		case attempt == 5:
			p.t.Fatalf("too slow in each of %d attempts: %s", attempt, why)
		}
		p.t.Logf("too slow, played again: %s", why)
	}
}

func (p *play) run() {
	p.s, p.hurry, p.seen = nil, time.Time{}, 0
	p.peers = make(map[string]*peer)
	p.assigned = make(map[string]string)
	var o settings
	for p.at = range p.lines {
		line := strings.TrimSpace(p.lines[p.at])
		if line == "" || line[0] == '#' {
			continue
		}
		w := strings.Fields(line)
		if w[0] == "with" {
			o = p.settings(w[1:])
			continue
		}
		if p.s == nil {
			p.s = mustStart(p.t, o)
		}
		if !p.command(line, w) {
			p.failf("is not understood")
		}
	}
}

func (p *play) settings(fields []string) (o settings) {
	values := map[string]int{}
	for _, f := range fields {
		name, v, _ := strings.Cut(f, "=")
		switch name {
		case "share":
			o.sharing.Strategy = map[string]ShareStrategy{"least": LeastInFlight, "sticky": Sticky}[v]
			continue
		case "share-key":
			o.sharing.Key = v
			continue
		}
		n, err := strconv.Atoi(v)
		if err != nil {
			p.failf("%v", err)
		}
		values[name] = n
	}
	o.loops = values["loops"]
	set := func(profile *Profile) {
		for name, field := range map[string]*int{"window": &profile.Window, "queued": &profile.MaxQueued, "output": &profile.MaxOutput,
			"subscriptions": &profile.MaxSubscriptions, "received": &profile.MaxReceived, "aliases": &profile.TopicAliases, "packet": &profile.MaxPacket} {
			if n, ok := values[name]; ok {
				*field = n
			}
		}
		if n, ok := values["expiry"]; ok {
			profile.SessionExpiry = time.Duration(n) * time.Second
		}
		profile.MinKeepAlive, profile.MaxKeepAlive = uint16(values["minkeep"]), uint16(values["maxkeep"])
	}
	o.device, o.application = set, set
	return o
}

func (p *play) command(line string, w []string) bool {
	rest := func(n int) string { return strings.Join(w[n:], " ") }
	switch w[0] {
	case "restart":
		p.s.stop()
		p.s.start()
		p.restarted()
	case "crash":
		p.s.crash()
		p.restarted()
	case "kill":
		p.peers[w[1]].kill()
		p.gone(w[1])
	case "later":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			p.failf("%v", err)
		}
		time.Sleep(d)
	case "hurry":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			p.failf("%v", err)
		}
		p.hurry = time.Now().Add(d)
	case "no":
		if rest(1) != "hurry" {
			return false
		}
		if time.Now().After(p.hurry) {
			p.failf("too late")
		}
		p.hurry = time.Time{}
	case "synced":
		p.s.synced()
	case "hold":
		p.s.gate.hold()
	case "fail":
		p.s.gate.fail(errors.New("the disk is broken"))
	case "fill":
		p.s.gate.fail(fmt.Errorf("%w: no room", queue.ErrDiskFull))
	case "open":
		p.s.gate.open()
	case "unsure":
		p.s.authority.mu.Lock()
		p.s.authority.unsure = true
		p.s.authority.mu.Unlock()
	case "revoke":
		p.s.authority.revoke(w[1])
	case "allow":
		p.s.authority.allow()
	case "finish":
		p.s.handler.finishLater()
	case "dropped":
		p.dropped(rest(1))
	case "handled":
		h := p.s.handler
		h.mu.Lock()
		for len(h.handled) <= p.seen {
			h.changed.Wait()
		}
		got := h.handled[p.seen]
		h.mu.Unlock()
		p.seen++
		if got != rest(1) {
			p.failf("the handler got %q", got)
		}
	case "left":
		if got := p.s.handler.awaitLeft(p.peers[w[1]].plain); !strings.Contains(got, rest(2)) {
			p.failf("the cause is %q", got)
		}
	case "expires":
		s := p.s.broker.sessions.get("a:" + w[1])
		var got string
		p.s.onLoop(s.home.index, func(*loop) { got = strconv.Itoa(int(s.expirySeconds)) })
		if got != w[2] {
			p.failf("it has %s s", got)
		}
	case "queued":
		s := p.s.broker.sessions.get("a:" + w[1])
		for deadline := time.Now().Add(patience); ; {
			p.settle()
			var got string
			p.s.onLoop(s.home.index, func(*loop) { got = strconv.Itoa(s.stored) })
			all := strconv.Itoa(int(p.s.broker.Figures().QueuedNow))
			if got == w[2] && all == w[2] {
				break
			}
			if time.Now().After(deadline) {
				p.failf("%s wait, %s of all sessions", got, all)
			}
		}
	case "disconnect":
		code, err := strconv.ParseUint(w[2], 16, 8)
		if err != nil {
			p.failf("%v", err)
		}
		p.s.broker.DisconnectWith("a:"+w[1], mqtt.ReasonCode(code), errors.New(rest(3)))
	case "server":
		p.publish(rest(1))
	default:
		if len(w) < 2 {
			return false
		}
		return p.peer(w[0], w[1], strings.TrimSpace(line[strings.Index(line, w[1])+len(w[1]):]))
	}
	return true
}

// gone leaves of a connection what is needed to ask why it ended.
func (p *play) gone(name string) {
	p.peers[name].conn.Close()
	p.peers[name] = &peer{plain: p.peers[name].plain}
}

func (p *play) restarted() {
	clear(p.peers)
	p.seen = 0
}

func (p *play) publish(text string) {
	v := mqtt.V311
	b, err := encode(text, &v)
	if err != nil {
		p.failf("%v", err)
	}
	f, _, err := mqtt.Split(b, 0)
	if err != nil {
		p.failf("%v", err)
	}
	var m mqtt.Publish
	if err := m.Decode(f, v, mqtt.TolerateZeroPacketID); err != nil {
		p.failf("%v", err)
	}
	done := make(chan error, 1)
	p.s.broker.Publish(Message{Topic: string(m.Topic), Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Publisher: "test"},
		func(err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			p.failf("%v", err)
		}
	case <-time.After(patience):
		p.failf("not done")
	}
}

// dropped compares what was dropped since the last call. Some drops follow from
// what is read from disk first, so it looks again while there are too few.
func (p *play) dropped(want string) {
	counts := map[string]int{}
	var order []string
	total := 0
	for _, n := range strings.Fields(want) {
		if k, err := strconv.Atoi(n); err == nil {
			total += k
		}
	}
	for until := time.Now().Add(p.patience); ; {
		p.settle()
		for _, d := range p.s.recorder.take() {
			if counts[d.Reason] == 0 {
				order = append(order, d.Reason)
			}
			counts[d.Reason] += d.Count
			total -= d.Count
		}
		if total <= 0 || time.Now().After(until) {
			break
		}
	}
	var got []string
	for _, r := range order {
		got = append(got, fmt.Sprintf("%s %d", r, counts[r]))
	}
	if g := strings.Join(got, " "); g != want && !(want == "none" && g == "") {
		p.failf("dropped: %s", g)
	}
}

func (p *play) peer(name, what, text string) bool {
	c := p.peers[name]
	switch what {
	case ">", ">>":
		if c == nil || c.s == nil {
			c = p.s.dial(name)
			c.patience = p.patience
			p.peers[name] = c
		}
		for other, id := range p.assigned {
			text = strings.ReplaceAll(text, "client=$"+other, "client="+id)
		}
		b, err := encode(text, &c.version)
		if err != nil {
			p.failf("%v", err)
		}
		if what == ">>" {
			c.pending = append(c.pending, b...)
			return true
		}
		p.send(c, b)
	case "<":
		if c == nil || c.s == nil {
			p.failf("%s is not connected", name)
		}
		if text == "nothing" {
			p.nothing(c)
			return true
		}
		f, err := c.next()
		if err != nil {
			p.failf("%v", err)
		}
		if f.Type == mqtt.CONNACK {
			p.note(name, f, c.version)
		}
		got := describeFully(f, c.version, strings.HasSuffix(text, "}"))
		if strings.HasPrefix(text, "hex ") {
			got = "hex " + mqtt.FormatHex(f.Raw)
		}
		if agrees(got, text) {
			return true
		}
		if *update {
			p.lines[p.at] = name + " < " + got
			return true
		}
		p.failf("got %s", got)
	case "closed":
		f, err := c.next()
		if err == nil {
			p.failf("got %s", describe(f, c.version))
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.failf("it is open after %v", p.patience)
		}
		if after, ok := strings.CutPrefix(text, "after "); ok {
			least, err := time.ParseDuration(after)
			if err != nil {
				p.failf("%v", err)
			}
			// The server counts from the beginning of a turn of its loop.
			if took := time.Since(c.sentAt); took < least-20*time.Millisecond {
				p.failf("it is closed after %v", took)
			}
		}
		p.gone(name)
	default:
		return false
	}
	return true
}

func (p *play) send(c *peer, b []byte) {
	if err := c.write(b); err != nil {
		p.failf("%v", err)
	}
}

// note keeps the client identifier that a CONNACK assigns.
func (p *play) note(name string, f mqtt.Frame, v mqtt.Version) {
	var ack mqtt.Connack
	if ack.Decode(f, v) == nil {
		if id, ok := ack.Properties.String(mqtt.PropAssignedClientIdentifier); ok {
			p.assigned[name] = string(id)
		}
	}
}

// agrees reports whether a packet is what a scenario wants. Properties that begin
// with … may be among others; those with an exclamation mark must not be there.
func agrees(got, want string) bool {
	if at := strings.LastIndex(want, " {"); at >= 0 {
		want = want[:at] + bytesOf(want[at:])
	}
	head, wanted, open := strings.Cut(want, "{…")
	if !open {
		return got == want
	}
	body, properties, _ := strings.Cut(got, " {")
	if body != strings.TrimSpace(head) {
		return false
	}
	have := map[string]bool{}
	for _, f := range strings.Fields(strings.TrimSuffix(properties, "}")) {
		name, _, _ := strings.Cut(f, "=")
		have[f], have[name] = true, true
	}
	for _, f := range strings.Fields(strings.TrimSuffix(wanted, "}")) {
		if name, not := strings.CutPrefix(f, "!"); have[name] == not {
			return false
		}
	}
	return true
}

// settle lets what loops have handed to each other take effect.
func (p *play) settle() {
	for range 2 {
		for i := range p.s.broker.loops {
			p.s.onLoop(i, func(*loop) {})
		}
	}
}

// nothing makes sure that what loops have handed to each other has arrived, and
// then that c gets the answer to a PINGREQ and nothing before.
func (p *play) nothing(c *peer) {
	p.settle()
	p.send(c, mqtt.AppendPingreq(nil))
	f, err := c.next()
	if err != nil {
		p.failf("%v", err)
	}
	if got := describe(f, c.version); got != "PINGRESP" {
		p.failf("got %s", got)
	}
}
