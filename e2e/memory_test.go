package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/mqtt"
)

// TestMemoryGuard lets clients that do not read fill a server's memory up to its bound. It then refuses new
// connections and goes on acknowledging the others, stays within the bound, has lost nothing that it keeps for a
// client that is away, and is as before when those that did not read are gone.
func TestMemoryGuard(t *testing.T) {
	const limit, size = 96 << 20, 64 << 10
	cfg := defaults(t.TempDir())
	h := mustStartWith(t, cfg)
	u := h.addUser("app")
	h.stop()
	p := serve(t, cfg.Data, fmt.Sprintf("LINKSTEAD_LIMITS_MEMORY=%d", limit))

	dial := func() (*wire, error) {
		conn, err := net.DialTimeout("tcp", p.address, patience)
		if err != nil {
			return nil, err
		}
		return newWire(t, conn), nil
	}
	login := func(id string, clean bool, filter string) *wire {
		t.Helper()
		w, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		c := mqtt.Connect{Version: mqtt.V311, CleanStart: clean, KeepAlive: 600, ClientID: []byte(id),
			HasUsername: true, Username: []byte(u.name), HasPassword: true, Password: []byte(u.password)}
		w.send(c.Append(nil))
		if f := w.next(); f.Type != mqtt.CONNACK || f.Raw[3] != 0 {
			t.Fatalf("%s: % X", id, f.Raw)
		}
		if filter != "" {
			s := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte(filter), QoS: 1}}}
			w.send(s.Append(nil, mqtt.V311))
			if f := w.next(); f.Type != mqtt.SUBACK || f.Raw[len(f.Raw)-1] != 1 {
				t.Fatalf("%s: % X", id, f.Raw)
			}
		}
		return w
	}
	_ = login("keeper", false, "kept").conn.Close()
	var frozen []*wire
	for i := range 4 {
		frozen = append(frozen, login(fmt.Sprintf("frozen%d", i), true, fmt.Sprintf("big/%d", i)))
	}
	pub := login("pub", true, "")
	kept := 0
	publish := func(n int) {
		t.Helper()
		m := mqtt.Publish{QoS: 1, PacketID: uint16(n%60_000 + 1), Topic: fmt.Appendf(nil, "big/%d", n%4), Payload: make([]byte, size)}
		if n%10 == 0 {
			m.Topic, m.Payload = []byte("kept"), fmt.Append(nil, kept)
			kept++
		}
		pub.send(m.Append(nil, mqtt.V311))
		if f := pub.next(); f.Type != mqtt.PUBACK {
			t.Fatalf("publication %d: % X", n, f.Raw)
		}
	}

	n := 0
	for ; n%32 != 0 || !strings.Contains(p.ready(), "memory"); n++ {
		if n > 2*limit/size {
			t.Fatalf("%d MB wait and memory is not short: %s", n*size>>20, p.ready())
		}
		publish(n)
	}
	t.Logf("short of memory after %d MB, %d MB resident", n*size>>20, p.memory()>>20)
	if w, err := dial(); err == nil {
		if f, err := w.read(); err == nil {
			t.Errorf("a new connection got % X", f.Raw)
		}
	}
	for range 300 {
		publish(n)
		n++
	}
	if rss := p.memory(); rss > limit*4/3 {
		t.Errorf("%d MB are resident, the limit is %d", rss>>20, limit>>20)
	}
	for _, w := range frozen {
		_ = w.conn.Close()
	}
	eventually(t, "ready again", func() bool { return strings.Contains(p.ready(), `"ok"`) })
	keeper := login("keeper", false, "")
	for want := range kept {
		m := keeper.publication()
		if got := string(m.Payload); got != fmt.Sprint(want) {
			t.Fatalf("kept message %s came, want %d of %d", got, want, kept)
		}
		keeper.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, m.PacketID, 0))
	}
	var says int
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, "memory is short") || strings.Contains(line, "memory is no longer short") {
			says++
		}
	}
	if says < 2 || says > 6 {
		t.Errorf("the log says it %d times", says)
	}
	if page := p.get("/metrics"); !strings.Contains(page, "linkstead_memory_tight_total 1") ||
		strings.Contains(page, `linkstead_mqtt_messages_dropped_total{reason="memory"} 0`) {
		t.Error("the metrics do not tell")
	}
}

// ready is what /readyz answers.
func (p *process) ready() string { return p.get("/readyz") }

// get asks the admin address of a process for a page.
func (p *process) get(path string) string {
	p.t.Helper()
	dir := p.cmd.Args[3] // serve --data DIR
	b, err := os.ReadFile(filepath.Join(dir, "admin.json"))
	if err != nil {
		p.t.Fatal(err)
	}
	var at struct{ Address string }
	if err := json.Unmarshal(b, &at); err != nil {
		p.t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(p.t.Context(), "GET", "http://"+at.Address+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return string(body)
}
