package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

const (
	stormGateway = "a1Gateway01"
	stormSub     = "a1SubSubSub"
	stormSubs    = 40
	stormBatch   = 10
	stormKills   = 5
)

// TestKillGatewayStorm kills the server with signal 9 while a gateway adds sub-devices, logs them in and takes
// their messages, five times on the same data, while an application writes to them. Whatever was acknowledged holds
// afterwards: the topology, the subscriptions, and every message at QoS 1 has reached the gateway at least once.
func TestKillGatewayStorm(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	cfg := defaults(t.TempDir())
	h := mustStartWith(t, cfg)
	for _, p := range []platform.Product{{ProductKey: stormGateway, Name: "gateway", NodeType: "gateway"}, {ProductKey: stormSub, Name: "sub", NodeType: "subdevice"}} {
		if _, err := h.Platform.CreateProduct(t.Context(), who, p); err != nil {
			t.Fatal(err)
		}
	}
	g := &storm{triple: h.addDevice(alink.Triple{ProductKey: stormGateway, DeviceName: "gateway1", DeviceSecret: "secret"}),
		added: map[string]bool{}, got: map[string]bool{}}
	for i := range stormSubs {
		h.addDevice(alink.Triple{ProductKey: stormSub, DeviceName: stormName(i), DeviceSecret: "secret"})
	}
	u := h.addUser("writer")
	h.stop()

	writers := make([]*mailer, stormSubs/8)
	for i := range writers {
		writers[i] = &mailer{connect: connectApp(u, fmt.Sprint("writer-", i), true), topic: stormTopic(i * 8),
			payload: func(n int) string { return fmt.Sprintf("%d %d", i, n) }}
	}
	// The first run is not cut short: it leaves subscriptions behind.
	p := serve(t, cfg.Data)
	g.run(p.address, time.Minute)
	if !g.complete {
		t.Fatalf("the first run did not come to its end: %d sub-devices are added", len(g.added))
	}
	p.kill()
	for range stormKills {
		p := serve(t, cfg.Data)
		var running sync.WaitGroup
		running.Go(func() { g.run(p.address, 0) })
		for _, w := range writers {
			running.Go(func() { w.run(p.address) })
		}
		time.Sleep(100*time.Millisecond + time.Duration(random.Int64N(int64(500*time.Millisecond))))
		p.kill()
		running.Wait()
	}

	h = mustStartWith(t, cfg)
	topology, err := h.Platform.Topology(t.Context(), stormGateway, "gateway1")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, d := range topology {
		have[d.DeviceName] = true
	}
	for name := range g.added {
		if !have[name] {
			t.Errorf("%s was added and acknowledged, and is not there", name)
		}
	}
	for i := range writers {
		if err := h.Platform.Publish(t.Context(), who, stormTopic(i*8), []byte(fmt.Sprint("end ", i)), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	g.ends = len(writers)
	g.run(h.address(), time.Minute)
	acknowledged, lost := 0, 0
	for _, w := range writers {
		sent := map[string]bool{}
		for n := range w.sent {
			sent[w.payload(n)] = true
		}
		for _, n := range w.acknowledged {
			acknowledged++
			if !g.got[w.payload(n)] {
				lost++
			}
		}
	}
	t.Logf("%d messages were acknowledged, %d logins of %d sub-devices", acknowledged, g.logins, stormSubs)
	if lost > 0 {
		t.Errorf("%d of %d acknowledged messages have not reached the gateway", lost, acknowledged)
	}
	if acknowledged < 100 || g.logins < stormSubs {
		t.Error("too little was acknowledged for this test to mean anything")
	}
}

func stormName(i int) string  { return fmt.Sprintf("sub%03d", i) }
func stormTopic(i int) string { return "/" + stormSub + "/" + stormName(i) + "/user/get" }

// storm is a gateway that does everything at once. What it knows to be acknowledged outlives its connections.
type storm struct {
	triple   alink.Triple
	added    map[string]bool // by topo/add_reply
	got      map[string]bool // payloads that were received and acknowledged
	logins   int
	complete bool
	ends     int // how many messages "end …" are awaited before it goes
}

// run connects, adds, logs in, subscribes and receives until the server is gone, or with a patience until it has
// come to its end.
func (g *storm) run(address string, within time.Duration) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	if within == 0 {
		within = patience
	}
	_ = conn.SetDeadline(time.Now().Add(within))
	own := "/sys/" + stormGateway + "/gateway1/thing/topo/add"
	ext := "/ext/session/" + stormGateway + "/gateway1/combine/batch_login"
	var out []byte
	out = append(out, connectOf(g.triple.Login(alink.LoginOptions{Method: alink.HMACSHA256}), 300)...)
	for from := 0; from < stormSubs; from += stormBatch {
		var list []string
		for i := from; i < from+stormBatch; i++ {
			sign := alink.Sign(alink.HMACSHA256, "secret", alink.SubDeviceContent("c", true, stormName(i), stormSub, "1"))
			list = append(list, fmt.Sprintf(`{"productKey":%q,"deviceName":%q,"clientId":"c","timestamp":"1","sign":%q,"signMethod":"hmacSha256","cleanSession":"false"}`,
				stormSub, stormName(i), sign))
		}
		all := strings.Join(list, ",")
		out = append(out, publish(own, fmt.Sprintf(`{"id":"%d","params":[%s]}`, from, all), 0)...)
		out = append(out, publish(ext, fmt.Sprintf(`{"id":"%d","params":{"deviceList":[%s]}}`, from, all), 0)...)
	}
	if _, err := conn.Write(out); err != nil {
		return
	}
	ends, subacks := 0, 0
	var in []byte
	for buf := make([]byte, 16<<10); ; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		out = out[:0]
		for {
			f, n, err := mqtt.Split(in, 0)
			if err != nil || n == 0 {
				break
			}
			var p mqtt.Publish
			switch {
			case f.Type == mqtt.SUBACK:
				if subacks++; f.Body[2] == 0x80 {
					return
				}
			case f.Type != mqtt.PUBLISH || p.Decode(f, mqtt.V311, mqtt.Tolerance(0)) != nil:
			case string(p.Topic) == own+"_reply":
				for _, name := range stormNames(p.Payload) {
					g.added[name] = true
				}
			case string(p.Topic) == ext+"_reply":
				for _, name := range stormNames(p.Payload) {
					g.logins++
					s := mqtt.Subscribe{PacketID: 7, Filters: []mqtt.Subscription{{Filter: []byte("/" + stormSub + "/" + name + "/user/get"), QoS: 1}}}
					out = s.Append(out, mqtt.V311)
				}
			case p.QoS == 1:
				g.got[string(p.Payload)] = true
				if strings.HasPrefix(string(p.Payload), "end ") {
					ends++
				}
				out = mqtt.AppendAck(out, mqtt.PUBACK, mqtt.V311, p.PacketID, 0)
			}
			in = in[n:]
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
		if within == time.Minute && subacks == stormSubs && ends >= g.ends {
			g.complete = true
			return
		}
	}
}

// stormNames gives the devices that a reply says were added or logged in.
func stormNames(payload []byte) (names []string) {
	var r struct {
		Code int
		Data []struct{ DeviceName string }
	}
	if json.Unmarshal(payload, &r) != nil || r.Code != 200 {
		return nil
	}
	for _, d := range r.Data {
		names = append(names, d.DeviceName)
	}
	return names
}

// mailer publishes with QoS 1 as fast as its window allows, until the server is gone. It counts on in the next run.
type mailer struct {
	connect      []byte
	topic        string
	payload      func(n int) string
	sent         int   // publications 0 to sent-1 were sent, or at least begun
	acknowledged []int // by PUBACK
}

// mailerWindow is how many publications are not acknowledged at most.
const mailerWindow = 16

func (m *mailer) run(address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(m.connect); err != nil {
		return
	}
	waiting := map[uint16]int{}
	id := uint16(0)
	var in, out []byte
	for buf := make([]byte, 16<<10); ; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		in = append(in, buf[:n]...)
		ready := false
		for {
			f, n, err := mqtt.Split(in, 0)
			if err != nil || n == 0 {
				break
			}
			in = in[n:]
			ready = true
			if f.Type == mqtt.PUBACK {
				id := uint16(f.Body[0])<<8 | uint16(f.Body[1])
				m.acknowledged = append(m.acknowledged, waiting[id])
				delete(waiting, id)
			}
		}
		out = out[:0]
		for ready && len(waiting) < mailerWindow {
			id = max(id+1, 1)
			waiting[id] = m.sent
			out = append(out, publish(m.topic, m.payload(m.sent), id)...)
			m.sent++
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}
