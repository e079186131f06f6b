package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/internal/server"
	"github.com/linkstead/linkstead/mqtt"
)

// TestDamagedMessages damages a table of the message store of a server that is stopped. Told to stop, the next
// start names it and changes nothing; otherwise it serves what is in the other files, and log, metrics and the
// check say what is damaged and where it is now.
func TestDamagedMessages(t *testing.T) {
	cfg := defaults(t.TempDir())
	h := mustStartWith(t, cfg)
	u := h.addUser("app")
	connect := func(h *home, id string, clean bool) *wire {
		c := mqtt.Connect{Version: mqtt.V311, CleanStart: clean, KeepAlive: 60, ClientID: []byte(id), HasUsername: true, Username: []byte(u.name),
			HasPassword: true, Password: []byte(u.password)}
		conn, err := net.DialTimeout("tcp", h.address(), patience)
		if err != nil {
			t.Fatal(err)
		}
		w := newWire(t, conn)
		w.send(c.Append(nil))
		if f := w.next(); f.Type != mqtt.CONNACK || f.Raw[3] != 0 {
			t.Fatalf("%s: % X", id, f.Raw)
		}
		return w
	}
	retain := func(h *home, from, to int) {
		w := connect(h, "pub", true)
		for n := from; n < to; n++ {
			m := mqtt.Publish{QoS: 1, PacketID: 1, Retain: true, Topic: fmt.Appendf(nil, "r/%d", n), Payload: fmt.Append(nil, n)}
			w.ask(m.Append(nil, mqtt.V311), []byte{0x40, 2, 0, 1})
		}
	}
	retain(h, 0, 100)
	h = h.restart() // what was in the log is in a table now
	retain(h, 100, 150)
	h.stop()
	cfg = h.cfg
	messages := filepath.Join(cfg.Data, "messages")
	tables, err := filepath.Glob(filepath.Join(messages, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no table: %v", err)
	}
	b, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/4] ^= 1
	if err := os.WriteFile(tables[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(tables[0])
	if out := linkstead(t, 1, "check", cfg.Data); !strings.Contains(out, name) || !strings.Contains(out, "DAMAGED") {
		t.Errorf("the check says %q", out)
	}
	cfg.OnDamage = "stop"
	if s, err := server.Start(t.Context(), cfg, server.Options{}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "on_damage") {
		t.Fatalf("told to stop, the start says %v, %v", s, err)
	}
	cfg.OnDamage = "contain"
	h = mustStartWith(t, cfg)
	if line := h.log.find("is damaged"); !strings.Contains(line, name) || !strings.Contains(line, "level=ERROR") {
		t.Errorf("the log says %q", line)
	}
	w := connect(h, "sub", true)
	sub := mqtt.Subscribe{PacketID: 2, Filters: []mqtt.Subscription{{Filter: []byte("r/#")}, {Filter: []byte("end")}}}
	w.send(sub.Append(nil, mqtt.V311))
	if f := w.next(); f.Type != mqtt.SUBACK {
		t.Fatalf("% X", f.Raw)
	}
	d := connect(h, "end", true)
	end := mqtt.Publish{Topic: []byte("end")}
	d.send(end.Append(nil, mqtt.V311))
	got := map[string]bool{}
	for {
		m := w.publication()
		if string(m.Topic) == "end" {
			break
		}
		if "r/"+string(m.Payload) != string(m.Topic) {
			t.Errorf("%s holds %q", m.Topic, m.Payload)
		}
		got[string(m.Topic)] = true
	}
	for n := 100; n < 150; n++ {
		if !got[fmt.Sprintf("r/%d", n)] {
			t.Errorf("r/%d, which was in another file, is gone", n)
		}
	}
	if len(got) == 150 {
		t.Error("nothing is missing: the test has damaged nothing")
	}
	h.stop()
	aside, err := filepath.Glob(messages + ".damaged-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside are %v, %v", aside, err)
	}
	if kept, err := os.ReadFile(filepath.Join(aside[0], name)); err != nil || string(kept) != string(b) {
		t.Errorf("the damaged file is not as it was: %v", err)
	}
	if out := linkstead(t, 0, "check", cfg.Data); !strings.Contains(out, aside[0]) {
		t.Errorf("the check of what is left says %q", out)
	}
}
