package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/server"
	"github.com/linkstead/linkstead/mqtt"
)

const (
	pk = demo.ProductKey
	dn = demo.DeviceName
)

func start(t *testing.T, change func(*config.Config)) *server.Server {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Durability = filepath.Join(t.TempDir(), "data"), "os"
	cfg.Listen, cfg.Admin = []string{"127.0.0.1:0"}, "127.0.0.1:0"
	cfg.Device.Settle, cfg.Device.Pace = 0, 0
	cfg.Loops = 2
	if change != nil {
		change(&cfg)
	}
	s, err := server.Start(t.Context(), cfg, server.Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
	})
	ctx := t.Context()
	if _, err := s.Platform.CreateProduct(ctx, "test", platform.Product{ProductKey: pk, Name: "STC15"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Platform.ImportModel(ctx, "test", pk, demo.Model); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Platform.CreateDevice(ctx, "test", platform.NewDevice{ProductKey: pk, DeviceName: dn, DeviceSecret: demo.DeviceSecret}); err != nil {
		t.Fatal(err)
	}
	rights := []platform.Right{{Filter: "#", Publish: true, Subscribe: true}, {Filter: "$SYS/#", Subscribe: true}}
	if err := s.Platform.PutUser(ctx, "test", "ann", "ann's password", rights); err != nil {
		t.Fatal(err)
	}
	return s
}

// get asks the admin address for a path.
func get(t *testing.T, s *server.Server, path, token string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.AdminAddress()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// counting is an MQTT client that counts every packet and byte itself.
type counting struct {
	t        *testing.T
	conn     net.Conn
	buf      []byte
	sent, in map[string][2]int // packets and bytes by type and QoS
}

func dial(t *testing.T, s *server.Server) *counting {
	t.Helper()
	return dialAt(t, s, 0)
}

// dialAt connects to the server's i-th address.
func dialAt(t *testing.T, s *server.Server, i int) *counting {
	t.Helper()
	address, network := s.Addresses()[i], "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &counting{t: t, conn: conn, sent: map[string][2]int{}, in: map[string][2]int{}}
}

func kind(packet []byte) string {
	if packet[0]>>4 == byte(mqtt.PUBLISH) {
		return "PUBLISH " + strconv.Itoa(int(packet[0]>>1&3))
	}
	return mqtt.Type(packet[0] >> 4).String()
}

func note(m map[string][2]int, packet []byte) {
	n := m[kind(packet)]
	m[kind(packet)] = [2]int{n[0] + 1, n[1] + len(packet)}
}

func (c *counting) send(packet []byte) {
	c.t.Helper()
	note(c.sent, packet)
	if _, err := c.conn.Write(packet); err != nil {
		c.t.Fatal(err)
	}
}

// receive gives the next packet.
func (c *counting) receive() mqtt.Frame {
	c.t.Helper()
	for {
		f, n, err := mqtt.Split(c.buf, 0)
		if err != nil {
			c.t.Fatal(err)
		}
		if n > 0 {
			c.buf = c.buf[n:]
			note(c.in, f.Raw)
			return f
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		b := make([]byte, 4096)
		got, err := c.conn.Read(b)
		if err != nil {
			c.t.Fatal(err)
		}
		c.buf = append(c.buf[:len(c.buf):len(c.buf)], b[:got]...)
	}
}

func (c *counting) expect(kinds ...string) {
	c.t.Helper()
	var got []string
	for range kinds {
		got = append(got, kind(c.receive().Raw))
	}
	slices.Sort(kinds)
	slices.Sort(got)
	if !slices.Equal(got, kinds) {
		c.t.Fatalf("received %v, want %v", got, kinds)
	}
}

func (c *counting) login(client, user, password string, clean bool) {
	c.t.Helper()
	p := mqtt.Connect{Version: mqtt.V311, CleanStart: clean, KeepAlive: 60, ClientID: []byte(client),
		HasUsername: true, Username: []byte(user), HasPassword: true, Password: []byte(password)}
	c.send(p.Append(nil))
	if f := c.receive(); f.Type != mqtt.CONNACK || f.Raw[3] != 0 {
		c.t.Fatalf("CONNACK % X", f.Raw)
	}
}

func (c *counting) deviceLogin() {
	c.t.Helper()
	triple := alink.Triple{ProductKey: pk, DeviceName: dn, DeviceSecret: demo.DeviceSecret}
	l := triple.Login(alink.LoginOptions{Method: alink.HMACSHA256})
	c.login(l.ClientID, l.Username, l.Password, true)
}

func (c *counting) publish(topic string, qos byte, id uint16, payload string) {
	c.t.Helper()
	p := mqtt.Publish{Topic: []byte(topic), QoS: qos, PacketID: id, Payload: []byte(payload)}
	c.send(p.Append(nil, mqtt.V311))
}

func (c *counting) subscribe(filter string, qos byte) {
	c.t.Helper()
	p := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte(filter), QoS: qos}}}
	c.send(p.Append(nil, mqtt.V311))
	c.expect("SUBACK")
}

// scrape reads the metrics: value by name and labels.
func scrape(t *testing.T, s *server.Server) map[string]float64 {
	t.Helper()
	status, body := get(t, s, "/metrics", s.AdminToken())
	if status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	out := map[string]float64{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if line == "" || line[0] == '#' || at < 0 {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out[line[:at]] = v
	}
	return out
}

// TestMetricsEqualTheClients lets a device and an application talk at every QoS and
// compares what the server has counted with what they counted themselves.
func TestMetricsEqualTheClients(t *testing.T) {
	s := start(t, nil)
	app, dev := dial(t, s), dial(t, s)
	app.login("app", "ann", "ann's password", false)
	app.subscribe("x/#", 2)
	for i := range 20 {
		app.publish("x/a", 0, 0, strings.Repeat("0", i))
		app.expect("PUBLISH 0")
		app.publish("x/a", 1, 7, strings.Repeat("1", 200*i))
		var id uint16
		for range 2 {
			if f := app.receive(); f.Type == mqtt.PUBLISH {
				var p mqtt.Publish
				if err := p.Decode(f, mqtt.V311, 0); err != nil {
					t.Fatal(err)
				}
				id = p.PacketID
			}
		}
		app.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, id, 0))
	}
	app.publish("nobody", 0, 0, "lost")
	app.send(mqtt.AppendPingreq(nil))
	app.expect("PINGRESP")

	dev.deviceLogin()
	for i := range 10 {
		dev.publish(demo.TopicPost, 1, uint16(i+1), fmt.Sprintf(`{"id":"%d","params":{"Temp":%d,"Hum":40}}`, i, i))
		dev.expect("PUBACK", "PUBLISH 0")
	}
	stranger := dial(t, s)
	p := mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: []byte("x"), HasUsername: true, Username: []byte("ann"), HasPassword: true, Password: []byte("wrong")}
	stranger.send(p.Append(nil))
	stranger.expect("CONNACK")
	app.send(mqtt.AppendPingreq(nil)) // what the acknowledgements did has been done
	app.expect("PINGRESP")

	m := scrape(t, s)
	none := map[string][2]int{}
	for _, c := range []*counting{app, dev, stranger} {
		n := c.sent["CONNECT"]
		delete(c.sent, "CONNECT") // nobody knows yet whose it is
		none["CONNECT"] = [2]int{none["CONNECT"][0] + n[0], none["CONNECT"][1] + n[1]}
	}
	compare := func(direction, client string, want map[string][2]int) {
		t.Helper()
		for name, n := range want {
			typ, qos, _ := strings.Cut(name, " ")
			labels := fmt.Sprintf(`{client="%s",qos="%s",type="%s"}`, client, qos, typ)
			if got := m["linkstead_mqtt_packets_"+direction+"_total"+labels]; got != float64(n[0]) {
				t.Errorf("%s %s: the server counted %v packets, the client %d", direction, labels, got, n[0])
			}
			if got := m["linkstead_mqtt_packet_bytes_"+direction+"_total"+labels]; got != float64(n[1]) {
				t.Errorf("%s %s: the server counted %v bytes, the client %d", direction, labels, got, n[1])
			}
		}
		var all float64
		for name, v := range m {
			if strings.HasPrefix(name, "linkstead_mqtt_packets_"+direction+`_total{client="`+client+`"`) {
				all += v
			}
		}
		sum := 0
		for _, n := range want {
			sum += n[0]
		}
		if all != float64(sum) {
			t.Errorf("%s of %s: %v packets of all types, want %d", direction, client, all, sum)
		}
	}
	compare("received", "application", app.sent)
	compare("sent", "application", app.in)
	compare("received", "device", dev.sent)
	compare("sent", "device", dev.in)
	compare("received", "none", none)
	compare("sent", "none", stranger.in)
	for name, want := range map[string]float64{
		`linkstead_mqtt_connections{client="application",transport="tcp",version="3.1.1"}`: 1,
		`linkstead_mqtt_connections{client="device",transport="tcp",version="3.1.1"}`:      1,
		`linkstead_mqtt_logins_total{client="device"}`:                                     1,
		`linkstead_mqtt_logins_refused_total{cause="bad_user_name_or_password"}`:           1,
		`linkstead_mqtt_messages_dropped_total{reason="no_receiver"}`:                      1,
		`linkstead_mqtt_messages_queued_total`:                                             20,
		`linkstead_mqtt_queue_messages`:                                                    0,
		`linkstead_mqtt_queue_bytes`:                                                       0,
		`linkstead_property_posts_total`:                                                   10,
		`linkstead_property_values_total`:                                                  20,
		`linkstead_history_points_total`:                                                   20,
		`linkstead_mqtt_sessions`:                                                          2,
		`linkstead_mqtt_subscriptions`:                                                     1,
	} {
		if got, there := m[name]; !there || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"linkstead_loop_turn_seconds_count", "linkstead_queue_sync_seconds_count", "linkstead_store_commit_seconds_count", "go_goroutines", "process_open_fds"} {
		if m[name] <= 0 {
			t.Errorf("%s is %v", name, m[name])
		}
	}
}

// TestMetricsPage compares docs/metrics.md with what the server shows, both ways.
func TestMetricsPage(t *testing.T) {
	s := start(t, nil)
	_, body := get(t, s, "/metrics", s.AdminToken())
	types, labels := map[string]string{}, map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (linkstead_\S+) (\S+)$`).FindAllStringSubmatch(body, -1) {
		types[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile(`(?m)^(linkstead_[a-z_]+?)(?:_bucket)?(?:\{(\S*)\})? \S+$`).FindAllStringSubmatch(body, -1) {
		if types[m[1]] == "" {
			continue // _sum and _count
		}
		var names []string
		for _, l := range regexp.MustCompile(`([a-z]+)="`).FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" {
				names = append(names, l[1])
			}
		}
		labels[m[1]] = strings.Join(names, ", ")
	}
	shown := map[string]string{}
	for name, typ := range types {
		shown[name] = typ + "; " + labels[name]
	}
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(linkstead_[a-z_]+)` \\| (\\w+) \\| ([a-z, ]*) ?\\|").FindAllStringSubmatch(string(page), -1) {
		written[m[1]] = m[2] + "; " + strings.TrimSpace(m[3])
	}
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		if written[name] != shown[name] {
			t.Errorf("%s: the server shows %q, docs/metrics.md has %q", name, shown[name], written[name])
		}
	}
	for name := range written {
		if shown[name] == "" {
			t.Errorf("docs/metrics.md has %s, the server does not", name)
		}
	}
}

func TestMetricsTokenOpensNothingElse(t *testing.T) {
	const token = "a-token-for-the-scraper"
	file := filepath.Join(t.TempDir(), "metrics.token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, func(c *config.Config) { c.Observe.MetricsTokenFile = file })
	for _, c := range []struct {
		path, token string
		status      int
	}{
		{"/metrics", "", 401},
		{"/metrics", "wrong", 401},
		{"/metrics", token, 200},
		{"/metrics", s.AdminToken(), 200},
		{"/metrics/", token, 401},
		{"/v1/status", token, 401},
		{"/debug/pprof/", token, 401},
		{"/debug/pprof/", "", 401},
		{"/debug/pprof/", s.AdminToken(), 200},
		{"/debug/pprof/goroutine?debug=1", s.AdminToken(), 200},
		{"/debug/pprof/cmdline", s.AdminToken(), 200},
	} {
		if status, body := get(t, s, c.path, c.token); status != c.status {
			t.Errorf("%s with %q: status %d (%s), want %d", c.path, c.token, status, body, c.status)
		}
	}

	// Fail closed: a file that is named has to be there, private and usable.
	for name, prepare := range map[string]func(path string) error{
		"missing":  func(string) error { return nil },
		"readable": func(path string) error { return os.WriteFile(path, []byte(token), 0o644) },
		"empty":    func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		cfg := config.Default()
		cfg.Data, cfg.Listen, cfg.Admin = t.TempDir(), []string{"127.0.0.1:0"}, "127.0.0.1:0"
		cfg.Observe.MetricsTokenFile = filepath.Join(t.TempDir(), "token")
		if err := prepare(cfg.Observe.MetricsTokenFile); err != nil {
			t.Fatal(err)
		}
		s, err := server.Start(t.Context(), cfg, server.Options{})
		if err == nil {
			_ = s.Shutdown(context.Background())
			t.Errorf("%s: the server started", name)
		} else if !strings.Contains(err.Error(), "observe.metrics_token_file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHealth(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body := get(t, s, path, ""); status != 200 || body != `{"status":"ok"}`+"\n" {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	// Draining clients makes it unready, not dead.
	if err := s.Broker.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		status, body := get(t, s, "/readyz", "")
		var h struct{ Reasons []string }
		if err := json.Unmarshal([]byte(body), &h); err != nil {
			t.Fatal(err)
		}
		if status == 503 && slices.Equal(h.Reasons, []string{"draining"}) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("while draining: %d %s", status, body)
		}
	}
	if status, _ := get(t, s, "/healthz", ""); status != 200 {
		t.Errorf("healthz while draining: %d", status)
	}
}

// TestSysTopics reads a few and checks that they need a right and an interval.
func TestSysTopics(t *testing.T) {
	s := start(t, func(c *config.Config) { c.Observe.SysInterval = config.Duration(100 * time.Millisecond) })
	if err := s.Platform.PutUser(t.Context(), "test", "bob", "bob's password", []platform.Right{{Filter: "#", Subscribe: true}}); err != nil {
		t.Fatal(err)
	}
	bob := dial(t, s)
	bob.login("bob", "bob", "bob's password", true)
	p := mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: []byte("$SYS/#")}, {Filter: []byte("#")}}}
	bob.send(p.Append(nil, mqtt.V311))
	if f := bob.receive(); f.Raw[4] != 0x80 || f.Raw[5] != 0 {
		t.Fatalf("a right to # gave SUBACK % X for $SYS/#, #", f.Raw)
	}
	ann := dial(t, s)
	ann.login("ann", "ann", "ann's password", true)
	// Both at once: the first might have brought something before the second is answered.
	p.Filters = []mqtt.Subscription{{Filter: []byte("$SYS/broker/+/+")}, {Filter: []byte("$SYS/broker/version")}}
	ann.send(p.Append(nil, mqtt.V311))
	ann.expect("SUBACK")
	got := map[string]string{}
	for len(got) < 14 {
		var m mqtt.Publish
		if err := m.Decode(ann.receive(), mqtt.V311, 0); err != nil {
			t.Fatal(err)
		}
		got[string(m.Topic)] = string(m.Payload)
	}
	if got["$SYS/broker/version"] != "linkstead version test" || got["$SYS/broker/clients/connected"] != "2" ||
		got["$SYS/broker/subscriptions/count"] != "3" || got["$SYS/broker/uptime"] != "" {
		t.Errorf("%v", got)
	}
	bob.send(mqtt.AppendPingreq(nil))
	bob.expect("PINGRESP") // and nothing before it
	if n := s.Broker.Stats().Dropped["no receiver"]; n != 0 {
		t.Errorf("%d messages were published for nobody", n)
	}
}

// TestTrace follows messages from and to a device through the admin API.
func TestTrace(t *testing.T) {
	s := start(t, nil)
	dev := dial(t, s)
	dev.deviceLogin()
	topic := "/" + pk + "/" + dn + "/user/get"
	dev.publish(demo.TopicPost, 1, 3, `{"id":"1","params":{"Temp":20}}`)
	dev.expect("PUBACK", "PUBLISH 0")
	dev.publish("/"+pk+"/other/user/update", 0, 0, "not mine")
	dev.subscribe(topic, 1)
	if err := s.Platform.Publish(t.Context(), "test", topic, []byte("hello"), 1, false); err != nil {
		t.Fatal(err)
	}
	var m mqtt.Publish
	if err := m.Decode(dev.receive(), mqtt.V311, 0); err != nil || m.QoS != 1 {
		t.Fatal(err, m.QoS)
	}
	dev.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, m.PacketID, 0))
	dev.send(mqtt.AppendPingreq(nil))
	dev.expect("PINGRESP")

	want := []string{
		"accepted up " + demo.TopicPost + " #3 q1 31",
		"acknowledged up " + demo.TopicPost + " #3 q1 0",
		"delivered down " + demo.TopicPost + "_reply #0 q0",
		"dropped up /" + pk + "/other/user/update #0 q0 8 not authorized",
		"delivered down " + topic + fmt.Sprintf(" #%d q1 5", m.PacketID),
		"acknowledged down " + topic + fmt.Sprintf(" #%d q1 0", m.PacketID),
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		status, body := get(t, s, "/v1/devices/"+pk+"/"+dn+"/trace", s.AdminToken())
		var out struct {
			Entries []struct {
				Event, Direction, Topic, Reason string
				PacketID                        uint16
				QoS                             byte
				Bytes                           int
			}
		}
		if err := json.Unmarshal([]byte(body), &out); err != nil || status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		var got []string
		for _, e := range out.Entries {
			line := fmt.Sprintf("%s %s %s #%d q%d", e.Event, e.Direction, e.Topic, e.PacketID, e.QoS)
			if !strings.HasSuffix(e.Topic, "_reply") {
				line += fmt.Sprintf(" %d", e.Bytes)
			}
			got = append(got, strings.TrimSpace(line+" "+e.Reason))
		}
		if slices.Equal(got, want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the records are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		time.Sleep(10 * time.Millisecond) // the ring is written behind the loops
	}
	if status, _ := get(t, s, "/v1/devices/"+pk+"/nobody/trace", s.AdminToken()); status != 404 {
		t.Errorf("records of no device: %d", status)
	}
}
