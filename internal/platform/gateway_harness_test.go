package platform_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/server"
	"github.com/linkstead/linkstead/mqtt"
)

const (
	gatewayKey = "a1Gateway01"
	subKey     = "a1SubSubSub"
	subSecret  = "fedcba9876543210fedcba9876543210"
)

var gatewayTriple = alink.Triple{ProductKey: gatewayKey, DeviceName: "gateway1", DeviceSecret: "0123456789abcdef0123456789abcdef"}

// gatewayHome is a server with a gateway gateway1 and gateway2, and sub-devices
// sub001 … of a product that has the note's thing model. They belong to nobody yet.
func gatewayHome(t testing.TB, subs int, change func(*config.Config)) *server.Server {
	t.Helper()
	s := mustStart(t, change)
	ctx := t.Context()
	for _, p := range []platform.Product{
		{ProductKey: gatewayKey, Name: "gateway", NodeType: "gateway"},
		{ProductKey: subKey, Name: "sub", NodeType: "subdevice"},
	} {
		if _, err := s.Platform.CreateProduct(ctx, "test", p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Platform.ImportModel(ctx, "test", subKey, demo.Model); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gateway1", "gateway2"} {
		addDevice(t, s, gatewayKey, name, gatewayTriple.DeviceSecret)
	}
	for i := range subs {
		addDevice(t, s, subKey, subName(i+1), subSecret)
	}
	return s
}

func addDevice(t testing.TB, s *server.Server, pk, dn, secret string) {
	t.Helper()
	if _, err := s.Platform.CreateDevice(t.Context(), "test", platform.NewDevice{ProductKey: pk, DeviceName: dn, DeviceSecret: secret}); err != nil {
		t.Fatal(err)
	}
}

func subName(i int) string { return fmt.Sprintf("sub%03d", i) }

// gate is a gateway's connection.
type gate struct {
	t  testing.TB
	s  *server.Server
	d  *demo.Device
	dn string
	v  mqtt.Version
	// messages that came while another was awaited
	early []message
}

type message struct {
	topic, payload string
	qos            byte
	id             uint16
	dup            bool
}

func loginGateway(t testing.TB, s *server.Server, dn string, extra ...alink.Param) *gate {
	t.Helper()
	d := dial(t, s)
	l := alink.Triple{ProductKey: gatewayKey, DeviceName: dn, DeviceSecret: gatewayTriple.DeviceSecret}.
		Login(alink.LoginOptions{Method: alink.HMACSHA256, Extra: extra})
	if rc := connect(t, d, l, 60); rc != 0 {
		t.Fatalf("return code %d: %+v", rc, s.Platform.Refusals())
	}
	return &gate{t: t, s: s, d: d, dn: dn, v: mqtt.V311}
}

func (g *gate) own(tail string) string { return "/sys/" + gatewayKey + "/" + g.dn + "/" + tail }

func (g *gate) ext(action string) string {
	return "/ext/session/" + gatewayKey + "/" + g.dn + "/combine/" + action
}

func (g *gate) publish(topic, payload string) {
	g.t.Helper()
	p := mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload)}
	if err := g.d.Send(p.Append(nil, g.v)); err != nil {
		g.t.Fatal(err)
	}
}

// read returns the next PUBLISH.
func (g *gate) read(wait time.Duration) (message, error) {
	for {
		frame, err := g.d.Receive(wait)
		if err != nil {
			return message{}, err
		}
		f, _, err := mqtt.Split(frame, 0)
		if err != nil {
			return message{}, err
		}
		if f.Type != mqtt.PUBLISH {
			continue
		}
		var p mqtt.Publish
		if err := p.Decode(f, g.v, mqtt.Tolerance(0)); err != nil {
			return message{}, err
		}
		return message{string(p.Topic), string(p.Payload), p.QoS, p.PacketID, p.Dup}, nil
	}
}

// await returns the next message on a topic; others are kept.
func (g *gate) await(topic string) message {
	g.t.Helper()
	for i, m := range g.early {
		if m.topic == topic {
			g.early = append(g.early[:i:i], g.early[i+1:]...)
			return m
		}
	}
	for {
		m, err := g.read(patience)
		if err != nil {
			g.t.Fatalf("nothing came on %s: %v; before it came %v", topic, err, g.early)
		}
		if m.topic == topic {
			return m
		}
		g.early = append(g.early, m)
	}
}

// want awaits a message and compares it.
func (g *gate) want(topic, payload string) {
	g.t.Helper()
	if got := g.await(topic); got.payload != payload {
		g.t.Errorf("on %s\n got %s\nwant %s", topic, got.payload, payload)
	}
}

// ask publishes a request and compares the reply.
func (g *gate) ask(topic, payload, reply string) {
	g.t.Helper()
	g.publish(topic, payload)
	g.want(topic+"_reply", reply)
}

// code publishes a request and compares the code of the reply only.
func (g *gate) code(topic, payload string, code int) {
	g.t.Helper()
	g.publish(topic, payload)
	got := g.await(topic + "_reply").payload
	var r struct {
		Code int `json:"code"`
	}
	if err := json.Unmarshal([]byte(got), &r); err != nil || r.Code != code {
		g.t.Errorf("%.300s is answered %s, want code %d", payload, got, code)
	}
}

// quiet fails if a message has come on a topic, after everything that the server
// has done so far has arrived: a request and its reply mark the place.
func (g *gate) quiet(topic string) {
	g.t.Helper()
	g.publish(g.own("thing/topo/get"), `{"id":"fence","params":{}}`)
	g.await(g.own("thing/topo/get_reply"))
	for _, m := range g.early {
		if m.topic == topic {
			g.t.Errorf("on %s came %s", topic, m.payload)
		}
	}
}

func signSub(dn, clientID, timestamp string, m alink.SignMethod) string {
	return alink.Sign(m, subSecret, alink.SubDeviceContent(clientID, true, dn, subKey, timestamp))
}

// entry is a sub-device as topo/add and combine/login have it.
func entry(dn string) string {
	return fmt.Sprintf(`{"productKey":%q,"deviceName":%q,"clientId":%q,"timestamp":"1524448722000","signMethod":"hmacSha1","sign":%q,"cleanSession":"false"}`,
		subKey, dn, dn, signSub(dn, dn, "1524448722000", alink.HMACSHA1))
}

// loginSub adds a sub-device to the topology and logs it in.
func (g *gate) loginSub(dn string) {
	g.t.Helper()
	g.code(g.own("thing/topo/add"), `{"id":"1","params":[`+entry(dn)+`]}`, 200)
	g.code(g.ext("login"), `{"id":"2","params":`+entry(dn)+`}`, 200)
}

func subTopic(dn, tail string) string { return "/sys/" + subKey + "/" + dn + "/" + tail }

func (g *gate) subscribe(filter string, qos byte) (code byte) {
	g.t.Helper()
	p := mqtt.Subscribe{PacketID: 9, Filters: []mqtt.Subscription{{Filter: []byte(filter), QoS: qos}}}
	if err := g.d.Send(p.Append(nil, g.v)); err != nil {
		g.t.Fatal(err)
	}
	f := g.frame(0x90)
	return f[len(f)-1]
}

// frame returns the next frame that begins with a byte; messages before it are
// kept.
func (g *gate) frame(first byte) []byte {
	g.t.Helper()
	for {
		frame, err := g.d.Receive(patience)
		if err != nil {
			g.t.Fatal(err)
		}
		if frame[0] == first {
			return frame
		}
		f, _, err := mqtt.Split(frame, 0)
		if err != nil {
			g.t.Fatal(err)
		}
		var p mqtt.Publish
		if f.Type == mqtt.PUBLISH && p.Decode(f, g.v, mqtt.Tolerance(0)) == nil {
			g.early = append(g.early, message{string(p.Topic), string(p.Payload), p.QoS, p.PacketID, p.Dup})
		}
	}
}

func (g *gate) puback(id uint16) {
	g.t.Helper()
	if err := g.d.Send([]byte{0x40, 2, byte(id >> 8), byte(id)}); err != nil {
		g.t.Fatal(err)
	}
}

func send(t testing.TB, s *server.Server, topic, payload string, qos byte) {
	t.Helper()
	if err := s.Platform.Publish(t.Context(), "test", topic, []byte(payload), qos, false); err != nil {
		t.Fatal(err)
	}
}

func sessionOf(t testing.TB, s *server.Server, key string) *broker.SessionInfo {
	t.Helper()
	got := make(chan *broker.SessionInfo, 1)
	s.Broker.Session(key, func(i *broker.SessionInfo) { got <- i })
	if i := <-got; i != nil {
		return i
	}
	return &broker.SessionInfo{}
}

func waitOffline(t testing.TB, s *server.Server, key string) {
	t.Helper()
	for end := time.Now().Add(patience); s.Broker.Online(key); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s is still online", key)
		}
	}
}
