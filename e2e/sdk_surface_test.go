package e2e

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
)

// notCalled are the parts of the SDK's surface that TestNodeSDKSurface does not use, and why.
var notCalled = map[string]string{
	"iot.mqtt":      "MQTT.js as it is; e2e/mqttjs_test.go is about that",
	"SubDevice.end": "a sub-device has its gateway's connection: what it ends is Gateway.end",
}

// sdkThing is a device, gateway or sub-device of the SDK.
type sdkThing struct {
	*script
	h    *home
	kind string
	d    alink.Triple
}

// call calls a method without a callback.
func (s *sdkThing) call(method string, args ...any) {
	s.t.Helper()
	s.do("call", event{"kind": s.kind, "method": method, "args": append([]any{}, args...)})
	s.await("called", event{"kind": s.kind, "method": method})
}

// ask calls a method with a callback and gives what that was called with.
func (s *sdkThing) ask(method string, args ...any) event {
	s.t.Helper()
	s.do("call", event{"kind": s.kind, "method": method, "args": append([]any{}, args...), "reply": true})
	return s.await("reply", event{"kind": s.kind, "method": method})
}

// asked is ask for what has to be answered with code 200.
func (s *sdkThing) asked(method string, args ...any) event {
	s.t.Helper()
	e := s.ask(method, args...)
	if e.at("reply", "code") != 200.0 {
		s.t.Fatalf("%s.%s was answered %v", s.kind, method, e)
	}
	return e
}

// listen registers a listener.
func (s *sdkThing) listen(method string, fields event, args ...any) {
	s.t.Helper()
	e := event{"kind": s.kind, "method": method, "args": append([]any{}, args...), "listen": true}
	for k, v := range fields {
		e[k] = v
	}
	s.do("call", e)
	s.await("called", event{"kind": s.kind, "method": method})
}

// heard is the next message of a listener.
func (s *sdkThing) heard(method string) event {
	s.t.Helper()
	return s.await("heard", event{"kind": s.kind, "method": method})
}

// TestNodeSDKSurface calls every public method of the official SDK, of a device, a gateway and a sub-device, and fails
// if one is neither called nor excused.
func TestNodeSDKSurface(t *testing.T) {
	h := mustStart(t, withFiles)
	product := func(pk, node string) alink.Triple {
		t.Helper()
		if _, err := h.Platform.CreateProduct(t.Context(), who, platform.Product{ProductKey: pk, Name: pk, NodeType: node, DynamicRegister: true}); err != nil {
			t.Fatal(err)
		}
		h.importModel(pk, "testdata/model.json")
		return h.addDevice(alink.Triple{ProductKey: pk, DeviceName: node + "1"})
	}
	own, gateway, sub := product("a1Device001", "device"), product("a1Gateway01", "gateway"), product("a1SubSubSub", "subdevice")
	s := runScript(t, "surface.js", h.CAFile())

	// Registration first: with what it is given the device logs in.
	p, err := h.Platform.Product(t.Context(), own.ProductKey)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := h.Platform.RevealProductSecret(t.Context(), who, p.ProductKey, "test")
	if err != nil {
		t.Fatal(err)
	}
	s.do("register", event{"config": event{"productKey": own.ProductKey, "deviceName": own.DeviceName, "productSecret": secret,
		"registerURL": "https://127.0.0.1:" + h.port() + "/auth/register/device"}})
	if got := s.await("reply", event{"kind": "iot", "method": "register"}); got.at("reply", "data", "deviceSecret") != own.DeviceSecret {
		t.Fatalf("the SDK was given %v", got)
	}
	config := func(d alink.Triple) event {
		return event{"productKey": d.ProductKey, "deviceName": d.DeviceName, "deviceSecret": d.DeviceSecret, "brokerUrl": "mqtt://127.0.0.1:" + h.port() + "/"}
	}
	things := map[string]*sdkThing{}
	for kind, d := range map[string]alink.Triple{"Device": own, "Gateway": gateway} {
		things[kind] = &sdkThing{s, h, kind, d}
		s.do("open", event{"kind": kind, "config": config(d)})
		s.await("connect", event{"kind": kind})
	}
	g, triple := things["Gateway"], event{"productKey": sub.ProductKey, "deviceName": sub.DeviceName, "deviceSecret": sub.DeviceSecret}
	name := event{"productKey": sub.ProductKey, "deviceName": sub.DeviceName}
	if got := g.asked("regiestSubDevice", []any{name}).at("reply", "data").([]any)[0].(map[string]any)["deviceSecret"]; got != sub.DeviceSecret {
		t.Errorf("the gateway was given the secret %v", got)
	}
	g.asked("addTopo", []any{triple})
	if data, _ := g.asked("getTopo").at("reply", "data").([]any); len(data) != 1 {
		t.Errorf("the topology is %v", data)
	}
	s.do("login", event{"device": triple})
	s.await("connect", event{"kind": "SubDevice"})
	if got := s.await("reply", event{"kind": "Gateway", "method": "login"}); got.at("reply", "code") != 200.0 {
		t.Fatalf("the login was answered %v", got)
	}
	things["SubDevice"] = &sdkThing{s, h, "SubDevice", sub}
	for _, kind := range []string{"Device", "Gateway", "SubDevice"} {
		things[kind].walk()
	}

	g.asked("logout", name)
	g.asked("removeTopo", []any{name})
	s.do("get", event{"kind": "iot", "name": "sdkver"})
	if got := s.await("got", event{"kind": "iot", "name": "sdkver"}); got["value"] != "1.2.8" {
		t.Errorf("the SDK has the version %v; has its surface changed?", got["value"])
	}
	for _, kind := range []string{"Device", "Gateway"} {
		things[kind].call("end")
		s.await("close", event{"kind": kind})
		eventually(t, kind+" is offline", func() bool {
			return !h.Broker.Online("d:" + things[kind].d.ProductKey + "/" + things[kind].d.DeviceName)
		})
	}

	s.do("surface", nil)
	result := s.await("surface", nil)
	texts := func(key string) (list []string) {
		for _, v := range result[key].([]any) {
			list = append(list, v.(string))
		}
		return list
	}
	methods, called := texts("methods"), texts("called")
	if len(methods) < 60 {
		t.Errorf("the SDK has only the methods %v", methods)
	}
	for _, m := range methods {
		switch _, excused := notCalled[m]; {
		case excused && slices.Contains(called, m):
			t.Errorf("%s is called, and excused: %s", m, notCalled[m])
		case !excused && !slices.Contains(called, m):
			t.Errorf("%s is neither called nor excused", m)
		}
	}
	for m := range notCalled {
		if !slices.Contains(methods, m) {
			t.Errorf("%s is excused, and the SDK does not have it", m)
		}
	}
	if n := s.count("error", nil) + s.count("failed", nil); n != 0 {
		t.Errorf("the SDK reported %d errors", n)
	}
}

// walk calls what a thing of any kind has.
func (s *sdkThing) walk() {
	s.t.Helper()
	t, h, d, ctx := s.t, s.h, s.d, s.t.Context()
	for name, want := range map[string]any{"connected": true, "mqttClient": nil} {
		s.do("get", event{"kind": s.kind, "name": name})
		if got := s.await("got", event{"kind": s.kind, "name": name}); got["value"] != want || want == nil && got["type"] != "object" {
			t.Errorf("%s.%s is %v", s.kind, name, got)
		}
	}

	// Up: properties, an event, tags.
	s.asked("postProps", event{"Temp": 21, "Hum": 40})
	h.wantLatest(d, map[string]string{"Temp": "21", "Hum": "40"})
	s.asked("postEvent", "GasAlarm", event{"Gas": 900, "Level": 2})
	events, err := h.Platform.EventHistory(ctx, d.ProductKey, d.DeviceName, "GasAlarm", platform.HistoryQuery{})
	if err != nil || len(events) != 1 {
		t.Errorf("%s: stored events %v, %v", s.kind, events, err)
	}
	s.asked("postTags", []event{{"attrKey": "room", "attrValue": "attic"}, {"attrKey": "floor", "attrValue": "2"}})
	s.asked("deleteTags", []string{"floor"})
	wantTags(t, h, d, map[string]string{"room": "attic"})

	// Down: a property set, an asynchronous and a synchronous service.
	s.listen("onProps", nil)
	set := h.start("set Light", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.SetProperties(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"Light":1}`), platform.CallOptions{Wait: true})
	})
	told := s.heard("onProps")
	if got := told.at("message", "params"); !cmp.Equal(got, any(map[string]any{"Light": 1.0})) {
		t.Errorf("%s was told to set %v", s.kind, got)
	}
	reply, err := json.Marshal(event{"id": told.at("message", "id"), "code": 200, "data": event{}})
	if err != nil {
		t.Fatal(err)
	}
	s.call("publish", sysOf(d, "thing/service/property/set_reply"), string(reply))
	if r := set.result(); !r.Replied || r.Code != 200 {
		t.Errorf("%s: the set's result is %+v", s.kind, r)
	}
	for _, v := range []struct{ name, kind, output string }{{"Blink", "async", `{}`}, {"ReadSensor", "sync", `{"Temp":21,"Hum":40,"Gas":6}`}} {
		s.listen("onService", event{"answer": event{"type": v.kind, "data": json.RawMessage(v.output)}}, v.name)
		input := map[string]string{"Blink": `{"times":3}`}[v.name]
		c := h.start(v.name, func(ctx context.Context) (*platform.CallResult, error) {
			return h.Platform.InvokeService(ctx, who, d.ProductKey, d.DeviceName, v.name, json.RawMessage(input), platform.CallOptions{Wait: true})
		})
		s.heard("onService")
		r := c.result()
		if !r.Replied || r.Code != 200 {
			t.Errorf("%s: the result of %s is %+v", s.kind, v.name, r)
		}
		wantJSON(t, r.Data, v.output)
	}

	// Remote configuration, asked for and pushed.
	if _, err := h.Platform.PutRemoteConfig(ctx, who, d.ProductKey, []byte(`{"interval":30}`)); err != nil {
		t.Fatal(err)
	}
	s.listen("onConfig", nil)
	id := s.asked("getConfig").at("reply", "data", "configId")
	if n, err := h.Platform.PushRemoteConfig(ctx, who, d.ProductKey, d.DeviceName); n != 1 || err != nil {
		t.Fatalf("%s: pushed to %d, %v", s.kind, n, err)
	}
	if got := s.heard("onConfig"); id == nil || got.at("message", "params", "configId") != id {
		t.Errorf("%s was told of the configuration %v, and asked for %v", s.kind, got, id)
	}

	// Shadow.
	s.listen("onShadow", nil)
	s.call("postShadow", event{"color": "red", "speed": 3})
	answered := func(what string) event {
		t.Helper()
		got := s.heard("onShadow")
		if got.at("message", "payload", "status") != "success" {
			t.Errorf("%s: %s is answered %v", s.kind, what, got)
		}
		return got
	}
	answered("the report")
	s.call("deleteShadow", []string{"speed"})
	answered("the deletion")
	s.call("getShadow")
	if got := answered("the question").at("message", "payload", "state", "reported"); !cmp.Equal(got, any(map[string]any{"color": "red"})) {
		t.Errorf("%s: the shadow is %v", s.kind, got)
	}

	// Its own topics, until it unsubscribes: then the next message it hears is another one.
	down, other := "/"+d.ProductKey+"/"+d.DeviceName+"/user/get", "/"+d.ProductKey+"/"+d.DeviceName+"/user/other"
	connection := s.kind
	if connection == "SubDevice" {
		connection = "Gateway" // whose connection it is hears the messages
	}
	hears := func(topic, payload string) {
		t.Helper()
		if err := h.Platform.Publish(ctx, who, topic, []byte(payload), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range []string{down, other} {
		s.do("call", event{"kind": s.kind, "method": "subscribe", "args": []any{topic, event{"qos": 1}}, "reply": true})
		s.await("reply", event{"kind": s.kind, "method": "subscribe"})
	}
	hears(down, `{"n":1}`)
	s.await("message", event{"kind": connection, "topic": down, "payload": `{"n":1}`})
	s.do("call", event{"kind": s.kind, "method": "unsubscribe", "args": []any{down}, "reply": true})
	s.await("reply", event{"kind": s.kind, "method": "unsubscribe"})
	hears(down, `{"n":2}`)
	hears(other, `{"n":3}`)
	s.await("message", event{"kind": connection, "topic": other, "payload": `{"n":3}`})
	if n := s.count("message", event{"topic": down}); n != 0 {
		t.Errorf("%s hears %s after unsubscribing from it", s.kind, down)
	}
}
