package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"testing"

	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

// unit is one of the physical devices that share a DeviceName: what its registration gave it.
type unit struct{ clientID, token string }

// registerUnit registers without pre-registration over TLS, and wants a return code.
func (h *home) registerUnit(name, mqttID, secret string, want byte) unit {
	h.t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", h.address(), h.tlsConfig())
	if err != nil {
		h.t.Fatal(err)
	}
	w := newWire(h.t, conn)
	w.ask(connectBytes(0xC2, 60, mqttID+"|random=42,authType=regnwl,securemode=-2,signmethod=hmacsha256|", name+"&"+dev01.ProductKey,
		signed(sha256.New, secret, "deviceName"+name+"productKey"+dev01.ProductKey+"random42")), []byte{0x20, 2, 0, want})
	if want != 0 {
		w.wantClosed()
		return unit{}
	}
	p := w.publication()
	var got struct{ ProductKey, DeviceName, ClientID, DeviceToken string }
	if err := json.Unmarshal(p.Payload, &got); err != nil || string(p.Topic) != "/ext/regnwl" || got.DeviceName != name || got.ClientID == "" || got.DeviceToken == "" {
		h.t.Fatalf("pushed %s %s", p.Topic, p.Payload)
	}
	w.send([]byte{0xE0, 0})
	w.wantClosed()
	return unit{got.ClientID, got.DeviceToken}
}

// loginUnit logs a unit in as the C Link SDK 4 does, and wants a return code.
func (h *home) loginUnit(name string, u unit, want byte) *wire {
	h.t.Helper()
	w := h.dial()
	w.ask(connectBytes(0xC2, 1200, u.clientID+"|authType=connwl,securemode=-2,_ss=1,ext=3,_v=sdk-c-4.1.0|", name+"&"+dev01.ProductKey, u.token), []byte{0x20, 2, 0, want})
	if want != 0 {
		w.wantClosed()
	}
	return w
}

// TestFiveUnits: five physical devices share one DeviceName, each with a client id and a token of its own
// (spec/connect.md §9.3, §10.2), and are connected at the same time (§13).
func TestFiveUnits(t *testing.T) {
	h := mustStart(t, unhurried)
	const secret, name = "ProductSecret123", "lamp"
	if _, err := h.Platform.CreateProduct(t.Context(), who, platform.Product{ProductKey: dev01.ProductKey, Name: "units", ProductSecret: secret, DynamicRegister: true, AutoRegister: true}); err != nil {
		t.Fatal(err)
	}
	h.importModel(dev01.ProductKey, "../tsl/testdata/stc15.json")
	d := dev01
	d.DeviceName = name
	units, wires := make([]unit, 5), make([]*wire, 5)
	tokens := map[string]bool{}
	for i := range units {
		units[i] = h.registerUnit(name, fmt.Sprint("mac-", i), secret, 0)
		wires[i] = h.loginUnit(name, units[i], 0)
		tokens[units[i].clientID], tokens[units[i].token] = true, true
	}
	if len(tokens) != 10 {
		t.Errorf("five client ids and five tokens are %d different texts", len(tokens))
	}
	h.registerUnit(name, "mac-5", secret, 4) // the sixth
	h.loginUnit(name, unit{units[0].clientID, units[1].token}, 4)
	h.loginUnit(name, unit{units[0].clientID, ""}, 4)
	everybody := func() {
		t.Helper()
		for _, w := range wires {
			w.ping() // and nothing else has come
		}
	}
	everybody()

	// Each gets the replies to what it asks, and nobody else does, though all use the same ids.
	for i, w := range wires {
		w.posts(d, "thing/event/property/post", fmt.Sprintf(`{"id":"1","params":{"Temp":%d}}`, i), "1", "thing.event.property.post")
		h.wantLatest(d, map[string]string{"Temp": fmt.Sprint(i)})
	}
	everybody()
	// What is sent to the device reaches all of them; the first answer counts.
	set := h.start("set Light", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.SetProperties(ctx, who, d.ProductKey, name, json.RawMessage(`{"Light":1}`), platform.CallOptions{Wait: true})
	})
	id := ""
	for _, w := range wires {
		id = w.idOf(sysOf(d, "thing/service/property/set"), "thing.service.property.set", `{"Light":1}`)
	}
	wires[3].send(publish(sysOf(d, "thing/service/property/set_reply"), `{"id":"`+id+`","code":200,"data":{}}`, 0))
	if r := set.result(); !r.Replied || r.Code != 200 {
		t.Errorf("the set's result is %+v", r)
	}
	read := h.start("ReadSensor", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.InvokeService(ctx, who, d.ProductKey, name, "ReadSensor", nil, platform.CallOptions{})
	})
	topic := ""
	for _, w := range wires {
		topic = string(w.publication().Topic)
	}
	wires[4].send(publish(topic, `{"id":"1","code":200,"data":{"Temp":4,"Hum":4,"Gas":4}}`, 0)) // on the request's own topic
	if r := read.result(); r.Code != 200 {
		t.Errorf("the synchronous service's result is %+v", r)
	}
	everybody()
	// A subscription is a unit's own.
	custom := "/" + d.ProductKey + "/" + name + "/user/get"
	wires[2].ask(subscribeBytes(1, 1, custom), granted(1, 1))
	if err := h.Platform.Publish(t.Context(), who, custom, []byte("hello"), 1, false); err != nil {
		t.Fatal(err)
	}
	if p := wires[2].publication(); string(p.Payload) != "hello" || p.QoS != 1 {
		t.Errorf("got %+v", p)
	} else {
		wires[2].send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, p.PacketID, 0))
	}
	everybody()

	// A unit that comes again replaces itself and nobody else.
	again := h.loginUnit(name, units[1], 0)
	wires[1].wantClosed()
	wires[1] = again
	everybody()
	// The name is online as long as one of them is.
	online := func() bool {
		got, err := h.Platform.Device(t.Context(), d.ProductKey, name)
		if err != nil {
			t.Fatal(err)
		}
		return got.Online
	}
	for _, w := range wires[1:] {
		w.send([]byte{0xE0, 0})
		w.wantClosed()
	}
	if !online() {
		t.Error("the device is offline, although a unit of it is connected")
	}
	wires[0].posts(d, "thing/event/property/post", `{"id":"2","params":{"Temp":20}}`, "2", "thing.event.property.post")
	wires[0].send([]byte{0xE0, 0})
	wires[0].wantClosed()
	eventually(t, "the device is offline", func() bool { return !online() })

	// All of it outlives the server, the subscription too.
	h = h.restart()
	for i := range wires {
		wires[i] = h.loginUnit(name, units[i], 0)
	}
	if err := h.Platform.Publish(t.Context(), who, custom, []byte("again"), 0, false); err != nil {
		t.Fatal(err)
	}
	if p := wires[2].publication(); string(p.Payload) != "again" {
		t.Errorf("got %+v", p)
	}
	everybody()
	// A unit that registers again makes its own token void, no other.
	fresh := h.registerUnit(name, "mac-1", secret, 0)
	h.loginUnit(name, units[1], 4)
	w := h.loginUnit(name, fresh, 0)
	wires[1].wantClosed()
	wires[1], units[1] = w, fresh
	everybody()

	// Disabled, all are gone; reset, all tokens are void and five others may come.
	if err := h.Platform.SetEnabled(t.Context(), who, d.ProductKey, name, false); err != nil {
		t.Fatal(err)
	}
	for i, w := range wires {
		w.wantClosed()
		h.loginUnit(name, units[i], 5)
	}
	if err := h.Platform.SetEnabled(t.Context(), who, d.ProductKey, name, true); err != nil {
		t.Fatal(err)
	}
	w = h.loginUnit(name, units[2], 0)
	if err := h.Platform.ResetDevice(t.Context(), who, d.ProductKey, name); err != nil {
		t.Fatal(err)
	}
	w.wantClosed()
	for i := range units {
		h.loginUnit(name, units[i], 4)
	}
	units[0] = h.registerUnit(name, "mac-5", secret, 0)
	h.loginUnit(name, units[0], 0).ping()
	// Deleted, nothing of them is left.
	if err := h.Platform.DeleteDevice(t.Context(), who, d.ProductKey, name); err != nil {
		t.Fatal(err)
	}
	h.loginUnit(name, units[0], 4)
}
