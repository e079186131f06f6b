package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

// dev01 is the device of the specification's own test vectors.
var dev01 = alink.Triple{ProductKey: "a1B2c3D4e5F", DeviceName: "dev01", DeviceSecret: "0123456789abcdef0123456789abcdef"}

// addDev01 registers dev01 with the seed's model.
func (h *home) addDev01() alink.Triple {
	h.t.Helper()
	h.addProduct(dev01.ProductKey, "../tsl/testdata/stc15.json")
	return h.addDevice(dev01)
}

// connect5 is the CONNECT of MQTT 5.0 of a device or application.
func connect5(l alink.Login, clean bool, keepAlive uint16, properties ...byte) []byte {
	p := mqtt.Connect{
		Version: mqtt.V5, CleanStart: clean, KeepAlive: keepAlive, Properties: properties, ClientID: []byte(l.ClientID),
		HasUsername: true, Username: []byte(l.Username), HasPassword: true, Password: []byte(l.Password),
	}
	return p.Append(nil)
}

// login5 connects as a device with MQTT 5.0 and fails unless it is let in.
func (h *home) login5(d alink.Triple, clean bool, properties ...byte) *wire {
	h.t.Helper()
	w := h.dial()
	w.send(connect5(d.Login(alink.LoginOptions{Method: alink.HMACSHA256, Extra: []alink.Param{{Key: "ext", Value: "1"}}}), clean, 300, properties...))
	if f := w.next(); f.Type != mqtt.CONNACK || f.Body[0] != 0 || f.Body[1] != 0 {
		h.t.Fatalf("the login was answered % X", f.Raw)
	}
	return w
}

// app5 connects an application with MQTT 5.0 and subscribes to a filter.
func (h *home) app5(name, filter string) *wire {
	h.t.Helper()
	u := h.addUser(name)
	w := h.dial()
	w.send(connect5(alink.Login{ClientID: name, Username: u.name, Password: u.password}, true, 60))
	if f := w.next(); f.Type != mqtt.CONNACK || f.Body[1] != 0 {
		h.t.Fatalf("the application's login was answered % X", f.Raw)
	}
	w.ask(subscribe5(1, filter), []byte{0x90, 4, 0, 1, 0, 1})
	return w
}

// subscribe5 is a SUBSCRIBE of MQTT 5.0 at QoS 1 without properties.
func subscribe5(id uint16, filters ...string) []byte {
	p := mqtt.Subscribe{PacketID: id}
	for _, f := range filters {
		p.Filters = append(p.Filters, mqtt.Subscription{Filter: []byte(f), QoS: 1})
	}
	return p.Append(nil, mqtt.V5)
}

// publish5 is a PUBLISH of MQTT 5.0, at QoS 1 if id is not 0.
func publish5(topic, payload string, id uint16, properties []byte) []byte {
	p := mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), PacketID: id, Properties: properties}
	if id != 0 {
		p.QoS = 1
	}
	return p.Append(nil, mqtt.V5)
}

// publication5 is the next packet, a PUBLISH of MQTT 5.0.
func (w *wire) publication5() mqtt.Publish {
	w.t.Helper()
	f := w.next()
	var p mqtt.Publish
	if err := p.Decode(f, mqtt.V5, 0); f.Type != mqtt.PUBLISH || err != nil {
		w.t.Fatalf("the server sent %v (% X), want a PUBLISH: %v", f.Type, f.Raw, err)
	}
	return p
}

// wantPublication5 fails unless the next packet is exactly this PUBLISH at QoS 0.
func (w *wire) wantPublication5(topic, payload string, properties []byte) {
	w.t.Helper()
	w.want(publish5(topic, payload, 0, properties))
}

// said is what a message says beside its payload, with a property of each kind that is passed on.
var said = slices.Concat([]byte{0x01, 1}, []byte("\x03\x00\x10application/json"), []byte("\x08\x00\x1b/a1B2c3D4e5F/dev01/user/ans"),
	[]byte{0x09, 0, 3, 0, 0xFF, 'c'}, []byte("\x26\x00\x01a\x00\x011\x26\x00\x01a\x00\x012"))

// promptly lets a device's messages leave at once and several in a segment, so that what comes next is known.
func promptly(c *config.Config) { c.Device.Pace, c.Device.Settle = 0, 0 }

// TestMQTT5Login is the C Link SDK 4 in its MQTT 5.0 mode with an assigned client identifier, byte for byte, and
// what other logins are told.
func TestMQTT5Login(t *testing.T) {
	h := mustStart(t, promptly)
	d := h.addDev01()
	cv4 := alink.Login{ClientID: "|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=3,signmethod=hmacsha256,ext=3,|",
		Username: "dev01&a1B2c3D4e5F", Password: "38EB2E648BD66C629937811E2B092186079AC9396B67003E9F48354180F3BB18"}
	w := h.dial()
	// The flags are 0 although the session is kept; QoS 1 at most, nothing retained, nothing shared.
	w.ask(connect5(cv4, true, 1200), hex(t, "20 28 00 00 25 12 00 11"+fmt.Sprintf(" % X", "a1B2c3D4e5F.dev01")+
		" 21 00 80 22 00 10 24 01 25 00 2A 00 27 00 04 04 00"))
	post := sysOf(d, "thing/event/property/post")
	w.send(publish5(post, `{"id":"1","version":"1.0","params":{"Temp":24},"sys":{"ack":1}}`, 0, nil))
	w.wantPublication5(post+"_reply", replyTo(200, "{}", "1", "success", "thing.event.property.post"), nil)

	// A newer login of the same device: the older one hears 8E in the shortest form that has a code.
	again := h.login5(d, true)
	w.want(hex(t, "E0 01 8E"))
	w.wantClosed()
	// What a device cannot have in 5.0 ends its connection with the reason.
	for what, c := range map[string]struct {
		packet []byte
		code   byte
	}{
		"QoS 2":               {[]byte{0x34, 7, 0, 1, '/', 0, 1, 0, 'x'}, 0x9B},
		"alias beyond 16":     {publish5("/x", "", 0, []byte{0x23, 0, 17}), 0x94},
		"alias never given":   {publish5("", "", 0, []byte{0x23, 0, 3}), 0x82},
		"AUTH without method": {[]byte{0xF0, 0}, 0x82},
	} {
		again.send(c.packet)
		if f := again.next(); !bytes.Equal(f.Raw, []byte{0xE0, 1, c.code}) {
			t.Errorf("%s was answered % X, want code %X", what, f.Raw, c.code)
		}
		again.wantClosed()
		again = h.login5(d, true)
	}
	if err := h.Platform.SetEnabled(t.Context(), who, d.ProductKey, d.DeviceName, false); err != nil {
		t.Fatal(err)
	}
	again.want(hex(t, "E0 01 98"))
	again.wantClosed()

	refused := func(what string, l alink.Login, code byte, properties ...byte) {
		t.Helper()
		w := h.dial()
		w.ask(connect5(l, true, 300, properties...), []byte{0x20, 3, 0, code, 0})
		w.wantClosed()
	}
	refused("a disabled device", cv4, 0x87)
	if err := h.Platform.SetEnabled(t.Context(), who, d.ProductKey, d.DeviceName, true); err != nil {
		t.Fatal(err)
	}
	wrong := cv4
	wrong.Password = strings.Repeat("0", 64)
	refused("a wrong password", wrong, 0x86)
	wrong = cv4
	wrong.Username = "nobody&a1B2c3D4e5F"
	refused("an unknown device", wrong, 0x86)
	wrong = cv4
	wrong.ClientID = "x|signmethod=hmacsha256"
	refused("a client id that is not closed", wrong, 0x85)
	refused("an extended authentication", cv4, 0x8C, []byte("\x15\x00\x05X-OWN")...)
}

// TestMQTT5KeepAlive: where the cloud's bounds are kept, a 5.0 device outside of them is told which keep-alive counts.
func TestMQTT5KeepAlive(t *testing.T) {
	h := mustStart(t, promptly, func(c *config.Config) { c.Device.Strict = true })
	d := h.addDev01()
	for wanted, granted := range map[uint16]uint16{20: 30, 0: 1200, 6000: 1200, 30: 0, 1200: 0} {
		w := h.dial()
		w.send(connect5(d.Login(alink.LoginOptions{Method: alink.HMACSHA1}), true, wanted))
		var ack mqtt.Connack
		if err := ack.Decode(w.next(), mqtt.V5); err != nil || ack.Code != mqtt.Success {
			t.Fatalf("keep-alive %d: %v, %v", wanted, ack, err)
		}
		if got, _ := ack.Properties.Uint16(mqtt.PropServerKeepAlive); got != granted {
			t.Errorf("for a keep-alive of %d s the server announced %d, want %d", wanted, got, granted)
		}
	}
}

// TestMQTT5Properties: what a message says beside its payload goes along in both directions, through custom and
// system topics; a reply brings the correlation data of its request back; topics have aliases.
func TestMQTT5Properties(t *testing.T) {
	h := mustStart(t, promptly)
	d := h.addDev01()
	app := h.app5("app", "#")
	old := h.dial() // of 3.1.1: it gets the messages without
	u := h.addUser("old")
	old.ask(connectOf(alink.Login{ClientID: "old", Username: u.name, Password: u.password}, 60), connected)
	custom := "/" + d.ProductKey + "/" + d.DeviceName + "/user/up"
	old.ask(append([]byte{0x82, byte(5 + len(custom)), 0, 1, 0, byte(len(custom))}, custom+"\x00"...), []byte{0x90, 3, 0, 1, 0})
	w := h.login5(d, true, 0x22, 0, 4) // Topic Alias Maximum 4

	w.ask(publish5(custom, "up", 1, slices.Concat(said, []byte{0x23, 0, 2})), hex(t, "40 02 00 01"))
	app.wantQoS1(custom, "up", said)
	old.wantPublication(custom, "up")
	w.ask(publish5("", "again", 2, []byte{0x23, 0, 2}), hex(t, "40 02 00 02"))
	app.wantQoS1(custom, "again", nil)
	old.wantPublication(custom, "again")

	// A post: applications see all of it, the reply has the correlation data, and the server's alias from the second on.
	post := sysOf(d, "thing/event/property/post")
	correlation := []byte{0x09, 0, 3, 0, 0xFF, 'c'}
	for i := range 2 {
		id := fmt.Sprint(i)
		body := `{"id":"` + id + `","params":{"Temp":` + id + `}}`
		reply := replyTo(200, "{}", id, "success", "thing.event.property.post")
		w.send(publish5(post, body, 0, said))
		p := w.publication5()
		if alias, _ := p.Properties.Uint16(mqtt.PropTopicAlias); alias == 0 || alias > 4 || (len(p.Topic) == 0) != (i > 0) || string(p.Payload) != reply {
			t.Fatalf("reply %d came on %q with alias %d: %s", i, p.Topic, alias, p.Payload)
		}
		if got, _ := p.Properties.Binary(mqtt.PropCorrelationData); string(got) != "\x00\xFFc" {
			t.Errorf("reply %d brings %q back", i, got)
		}
		app.wantPublication5(post, body, said)
		app.wantPublication5(post+"_reply", reply, correlation)
	}

	// Down, from an application; and for a device that was away, with the time that is left.
	down := "/" + d.ProductKey + "/" + d.DeviceName + "/user/get"
	w.ask(subscribe5(3, down), hex(t, "90 04 00 03 00 01"))
	app.send(publish5(down, "down", 0, said))
	if p := w.publication5(); string(p.Payload) != "down" || !bytes.HasPrefix(p.Properties, said) {
		t.Errorf("the device got %q with % X", p.Payload, p.Properties)
	}
	app.publication5() // its own
	w.send(hex(t, "E0 00"))
	w.wantClosed()
	w = h.login5(d, false, 0x11, 0, 0, 0x0E, 0x10) // a session of an hour
	w.send(hex(t, "E0 00"))
	w.wantClosed()
	app.send(publish5(down, "later", 7, append([]byte{0x02, 0, 0, 3, 0xE8}, said...)))
	app.wantBoth(hex(t, "40 02 00 07"), "later")
	w = h.login5(d, false, 0x11, 0, 0, 0x0E, 0x10)
	p := w.publication5()
	left, _ := p.Properties.Uint32(mqtt.PropMessageExpiryInterval)
	if string(p.Payload) != "later" || p.QoS != 1 || !bytes.HasPrefix(p.Properties, said) || left == 0 || left > 1000 {
		t.Errorf("a device that was away got %q at QoS %d with % X, %d s left", p.Payload, p.QoS, p.Properties, left)
	}
	w.send(slices.Concat(hex(t, "40 02"), []byte{byte(p.PacketID >> 8), byte(p.PacketID)}))

	// Refusals in 5.0 have their codes.
	w.ask(publish5("/a1B2c3D4e5F/other/user/up", "x", 9, nil), hex(t, "40 03 00 09 87"))
	foreign := subscribe5(4, "/a1B2c3D4e5F/other/user/up", "$share/g/"+custom, custom)
	w.ask(foreign, hex(t, "90 06 00 04 00 87 9E 01"))
	for i := 1; ; i++ { // a hundred filters at most
		filter := fmt.Sprintf("/a1B2c3D4e5F/dev01/user/%d", i)
		w.send(subscribe5(uint16(10+i), filter))
		f := w.next()
		if code := f.Body[3]; i <= 98 && code != 1 || i > 98 && code != 0x97 {
			t.Fatalf("filter %d was answered % X", i+2, f.Raw)
		}
		if i > 98 {
			break
		}
	}
}

// wantQoS1 fails unless the next packet is this PUBLISH of MQTT 5.0 at QoS 1, and acknowledges it.
func (w *wire) wantQoS1(topic, payload string, properties []byte) {
	w.t.Helper()
	p := w.publication5()
	if string(p.Topic) != topic || string(p.Payload) != payload || p.QoS != 1 || !bytes.Equal(p.Properties, properties) {
		w.t.Fatalf("got %q at QoS %d on %s with % X, want %q on %s with % X", p.Payload, p.QoS, p.Topic, p.Properties, payload, topic, properties)
	}
	w.send([]byte{0x40, 2, byte(p.PacketID >> 8), byte(p.PacketID)})
}

// wantBoth fails unless an acknowledgement and a message with this payload come, in any order.
func (w *wire) wantBoth(ack []byte, payload string) {
	w.t.Helper()
	for acked, got := false, false; !acked || !got; {
		f := w.next()
		if bytes.Equal(f.Raw, ack) {
			acked = true
			continue
		}
		var p mqtt.Publish
		if err := p.Decode(f, mqtt.V5, 0); f.Type != mqtt.PUBLISH || err != nil || string(p.Payload) != payload {
			w.t.Fatalf("the server sent % X, want % X and a PUBLISH of %q", f.Raw, ack, payload)
		}
		got = true
		w.send([]byte{0x40, 2, byte(p.PacketID >> 8), byte(p.PacketID)})
	}
}

// TestMQTT5Requests: synchronous requests, services and messages of the server's owner have properties, the answers
// of the device come back with theirs; a script's message keeps them.
func TestMQTT5Requests(t *testing.T) {
	h := mustStart(t, promptly)
	d := h.addDev01()
	w := h.login5(d, true)
	asked := &platform.MessageProperties{User: []platform.UserProperty{{Name: "trace", Value: "7f"}, {Name: "trace", Value: "80"}},
		ContentType: "text/plain", ResponseTopic: "/answers", Correlation: []byte("c\x00"), Text: true}
	wire := slices.Concat([]byte{0x01, 1}, []byte("\x03\x00\x0atext/plain\x08\x00\x08/answers\x09\x00\x02c\x00"),
		[]byte("\x26\x00\x05trace\x00\x027f\x26\x00\x05trace\x00\x0280"))
	answered := []byte("\x09\x00\x02c\x00\x26\x00\x02by\x00\x05dev01")
	wantAnswer := func(what string, got *platform.MessageProperties) {
		t.Helper()
		if diff := cmp.Diff(&platform.MessageProperties{User: []platform.UserProperty{{Name: "by", Value: "dev01"}}, Correlation: []byte("c\x00")}, got); diff != "" {
			t.Errorf("%s was answered with\n%s", what, diff)
		}
	}

	for _, topic := range []string{"", "/" + d.ProductKey + "/" + d.DeviceName + "/user/get"} {
		type outcome struct {
			r   *platform.RRPCResult
			err error
		}
		done := make(chan outcome, 1)
		ctx := t.Context()
		go func() {
			r, err := h.Platform.RRPCWith(ctx, who, d.ProductKey, d.DeviceName, topic, []byte("ping"), 8*time.Second, asked)
			done <- outcome{r, err}
		}()
		p := w.publication5()
		if string(p.Payload) != "ping" || !bytes.Equal(p.Properties, wire) {
			t.Fatalf("asked on %s with % X, want % X", p.Topic, p.Properties, wire)
		}
		w.send(publish5(strings.Replace(string(p.Topic), "/request/", "/response/", 1), "pong", 0, answered))
		o := <-done
		if o.err != nil || string(o.r.Payload) != "pong" {
			t.Fatalf("answer %+v, %v", o.r, o.err)
		}
		wantAnswer("a request on "+string(p.Topic), o.r.Properties)
	}
	set := h.start("set", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.SetProperties(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"Light":1}`),
			platform.CallOptions{Wait: true, ForceID: "5", Properties: asked})
	})
	topic := sysOf(d, "thing/service/property/set")
	w.wantPublication5(topic, `{"method":"thing.service.property.set","id":"5","params":{"Light":1},"version":"1.0.0"}`, wire)
	w.send(publish5(topic+"_reply", `{"id":"5","code":200,"data":{}}`, 0, answered))
	wantAnswer("the set", set.result().Properties)

	custom := "/" + d.ProductKey + "/" + d.DeviceName + "/user/get"
	w.ask(subscribe5(3, custom), hex(t, "90 04 00 03 00 01"))
	if err := h.Platform.PublishWith(t.Context(), who, custom, []byte("x"), 0, false, asked); err != nil {
		t.Fatal(err)
	}
	w.wantPublication5(custom, "x", wire)
	// What no device could take, and what the standard forbids, is refused.
	for what, m := range map[string]*platform.MessageProperties{
		"21 user properties":           {User: make([]platform.UserProperty, 21)},
		"a long name":                  {User: []platform.UserProperty{{Name: strings.Repeat("n", 129)}}},
		"a value that is no text":      {User: []platform.UserProperty{{Name: "n", Value: "\xFF"}}},
		"a response topic with a hash": {ResponseTopic: "a/#"},
	} {
		if err := h.Platform.PublishWith(t.Context(), who, custom, nil, 0, false, m); platform.KindOf(err) != platform.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}

	// The message that a script puts in the place of a device's keeps what it says.
	raw := h.addRaw()
	app := h.app5("app", "/"+raw.ProductKey+"/#")
	r := h.login5(raw, true)
	up := "/" + raw.ProductKey + "/" + raw.DeviceName + "/user/update"
	r.send(publish5(up+"?_sn=default", "\x07\x08", 0, answered))
	app.wantPublication5(up, `{"topic":"`+up+`?_sn=default","first":7}`, answered)
}

// TestMQTT5SubDevice: a sub-device's messages have properties on its gateway's connection too.
func TestMQTT5SubDevice(t *testing.T) {
	h := mustStart(t, promptly)
	g := h.addDev01()
	if _, err := h.Platform.CreateProduct(t.Context(), who, platform.Product{ProductKey: "a1gateway01", Name: "gateways", NodeType: "gateway"}); err != nil {
		t.Fatal(err)
	}
	gw := h.addDevice(alink.Triple{ProductKey: "a1gateway01", DeviceName: "gw1"})
	if err := h.Platform.AddTopology(t.Context(), who, gw.ProductKey, gw.DeviceName, []platform.DeviceRef{{ProductKey: g.ProductKey, DeviceName: g.DeviceName}}); err != nil {
		t.Fatal(err)
	}
	app := h.app5("app", "/"+g.ProductKey+"/#")
	w := h.login5(gw, true)
	login := "/ext/session/" + gw.ProductKey + "/" + gw.DeviceName + "/combine/login"
	sign := g.Login(alink.LoginOptions{Method: alink.HMACSHA256, Prefix: "dev01", Timestamp: "1"}).Password
	w.send(publish5(login, `{"id":"1","params":{"productKey":"`+g.ProductKey+`","deviceName":"dev01","clientId":"dev01","timestamp":"1","signMethod":"hmacSha256","sign":"`+sign+`","cleanSession":"true"}}`, 0, nil))
	if p := w.publication5(); string(p.Topic) != login+"_reply" || !bytes.Contains(p.Payload, []byte(`"code":200`)) {
		t.Fatalf("the sub-device's login was answered %s", p.Payload)
	}
	custom := "/" + g.ProductKey + "/" + g.DeviceName + "/user/up"
	w.ask(publish5(custom, "up", 1, said), hex(t, "40 02 00 01"))
	app.wantQoS1(custom, "up", said)
	post := sysOf(g, "thing/event/property/post")
	w.send(publish5(post, `{"id":"3","params":{"Temp":3}}`, 0, []byte("\x09\x00\x01z")))
	w.wantPublication5(post+"_reply", replyTo(200, "{}", "3", "success", "thing.event.property.post"), []byte("\x09\x00\x01z"))
}

// TestMQTTJS5Device is MQTT.js with protocol 5 as a device: it logs in with the triple, and an application on the
// same library sees what it says.
func TestMQTTJS5Device(t *testing.T) {
	h := mustStart(t, promptly)
	d := h.addDev01()
	u := h.addUser("app")
	url := "mqtt://127.0.0.1:" + h.port()
	app := &mqttjsClient{t: t, s: runScript(t, "app.js", "", url, map[string]any{"clientId": "app", "username": u.name, "password": u.password, "protocolVersion": 5, "reconnectPeriod": 0})}
	app.s.await("connect", nil)
	app.subscribe("/"+d.ProductKey+"/#", 1)
	l := d.Login(alink.LoginOptions{Method: alink.HMACSHA256, NoPrefix: true})
	dev := &mqttjsClient{t: t, s: runScript(t, "app.js", "", url, map[string]any{"clientId": l.ClientID, "username": l.Username, "password": l.Password,
		"protocolVersion": 5, "reconnectPeriod": 0, "autoAssignTopicAlias": true, "properties": event{"topicAliasMaximum": 5, "receiveMaximum": 10}})}
	hello := dev.s.await("connect", nil)
	for key, want := range map[string]any{"assignedClientIdentifier": "a1B2c3D4e5F.dev01", "maximumQoS": 1., "retainAvailable": false, "topicAliasMaximum": 16.,
		"receiveMaximum": 128., "sharedSubscriptionAvailable": false} {
		if got := hello.at("properties", key); got != want {
			t.Errorf("CONNACK has %s %v, want %v", key, got, want)
		}
	}
	post, custom, down := sysOf(d, "thing/event/property/post"), "/"+d.ProductKey+"/dev01/user/up", "/"+d.ProductKey+"/dev01/user/get"
	dev.subscribe(down, 1)
	for i := range 3 { // from the second on the topics are aliases, both ways
		payload := fmt.Sprintf(`{"id":"%d","params":{"Temp":%d}}`, i, i)
		dev.s.do("publish", event{"topic": post, "payload": payload, "options": event{"qos": 1, "properties": event{"correlationData": "job 7"}}})
		dev.done("published", event{"payload": payload})
		reply := dev.s.await("message", nil)
		if reply.text("topic") != post+"_reply" || reply.text("payload") != replyTo(200, "{}", fmt.Sprint(i), "success", "thing.event.property.post") ||
			reply.at("properties", "correlationData") != "job 7" {
			t.Errorf("the reply is %v", reply)
		}
	}
	h.wantLatest(d, map[string]string{"Temp": "2"})
	dev.s.do("publish", event{"topic": custom, "payload": "hello", "options": event{"qos": 1, "properties": event{
		"responseTopic": down, "correlationData": "job 8", "contentType": "text/plain", "payloadFormatIndicator": true, "userProperties": event{"line": "3"}}}})
	dev.done("published", event{"payload": "hello"})
	m := app.s.await("message", event{"topic": custom})
	p := func(key string) any { return m.at("properties", key) }
	if p("responseTopic") != down || p("correlationData") != "job 8" || p("contentType") != "text/plain" || m.at("properties", "userProperties", "line") != "3" {
		t.Errorf("the application got %v", m)
	}
	// It answers where it was asked to.
	app.s.do("publish", event{"topic": m.at("properties", "responseTopic"), "payload": "hello yourself", "options": event{"qos": 1,
		"properties": event{"correlationData": p("correlationData")}}})
	if m := dev.s.await("message", event{"topic": down}); m.text("payload") != "hello yourself" || m.at("properties", "correlationData") != "job 8" {
		t.Errorf("the device got %v", m)
	}
	if err := h.Platform.SetEnabled(t.Context(), who, d.ProductKey, d.DeviceName, false); err != nil {
		t.Fatal(err)
	}
	if code := dev.s.await("disconnect", nil)["reasonCode"]; code != 152. {
		t.Errorf("a device that was disabled was told %v", code)
	}
}
