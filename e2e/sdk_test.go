package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
)

// sdkDevice runs the official Node SDK as a device. Only its configuration is ours: brokerUrl instead of the
// cloud's host name and, with TLS, a certificate authority that Node.js is told about in its environment.
func (h *home) sdkDevice(scheme string, d alink.Triple) *script {
	h.t.Helper()
	ca := ""
	if scheme == "mqtts" {
		ca = h.CAFile()
	}
	return runScript(h.t, "device.js", ca, map[string]any{
		"productKey": d.ProductKey, "deviceName": d.DeviceName, "deviceSecret": d.DeviceSecret,
		"brokerUrl": scheme + "://127.0.0.1:" + h.port() + "/",
	})
}

// TestNodeSDK walks through what the official Node SDK can do, over TCP and over TLS.
func TestNodeSDK(t *testing.T) {
	for _, scheme := range []string{"mqtt", "mqtts"} {
		t.Run(scheme, func(t *testing.T) {
			h := mustStart(t)
			h.addProduct(stc15.ProductKey, "testdata/model.json")
			d := h.addDevice(stc15)
			s := h.sdkDevice(scheme, d)
			s.await("connect", nil)
			// On connecting the SDK sends 16 SUBSCRIBE packets with QoS 1; a refused one would be 128.
			for range 16 {
				if granted := s.await("suback", nil)["granted"]; !cmp.Equal(granted, []any{1.0}) {
					t.Fatalf("a subscription was answered %v, want [1]", granted)
				}
			}
			sdkReports(t, h, d, s)
			sdkIsSet(t, h, d, s)
			sdkServes(t, h, d, s)
			if n := s.count("error", nil) + s.count("failed", nil); n != 0 {
				t.Errorf("the SDK reported %d errors", n)
			}
		})
	}
}

// sdkReports posts properties, an event and tags, and awaits the SDK's callbacks.
func sdkReports(t *testing.T, h *home, d alink.Triple, s *script) {
	t.Helper()
	s.do("postProps", event{"params": event{"Temp": 21, "Hum": 40}})
	reply := s.await("reply", event{"to": "postProps"})
	if reply.at("reply", "code") != 200.0 {
		t.Errorf("the post was answered %v", reply)
	}
	// The SDK packs the topic of the reply into the id, and needs it back as it was.
	if id, _ := reply.at("reply", "id").(string); !strings.HasSuffix(id, "|exp-topic|"+seedPostTopic+"_reply") {
		t.Errorf("the reply carries the id %q", id)
	}
	h.wantLatest(d, map[string]string{"Temp": "21", "Hum": "40"})

	s.do("postEvent", event{"name": "GasAlarm", "params": event{"Gas": 900, "Level": 2}})
	if reply := s.await("reply", event{"to": "postEvent"}); reply.at("reply", "code") != 200.0 {
		t.Errorf("the event was answered %v", reply)
	}
	events, err := h.Platform.EventHistory(t.Context(), d.ProductKey, d.DeviceName, "GasAlarm", platform.HistoryQuery{})
	if err != nil || len(events) != 1 {
		t.Fatalf("stored events: %v, %v; want one", events, err)
	}
	wantJSON(t, events[0].Value, `{"Gas":900,"Level":2}`)

	// Two of the SDK's filters match the reply to a post; it gets the reply once all the same.
	if n := s.count("message", event{"topic": seedPostTopic + "_reply"}); n != 1 {
		t.Errorf("the SDK got the reply to its post %d times", n)
	}

	s.do("postTags", event{"tags": []event{{"attrKey": "room", "attrValue": "kitchen"}, {"attrKey": "floor", "attrValue": "2"}}})
	if reply := s.await("reply", event{"to": "postTags"}); reply.at("reply", "code") != 200.0 {
		t.Errorf("the tags were answered %v", reply)
	}
	wantTags(t, h, d, map[string]string{"room": "kitchen", "floor": "2"})
	s.do("deleteTags", event{"keys": []string{"floor"}})
	if reply := s.await("reply", event{"to": "deleteTags"}); reply.at("reply", "code") != 200.0 {
		t.Errorf("the deletion of a tag was answered %v", reply)
	}
	wantTags(t, h, d, map[string]string{"room": "kitchen"})
}

// sdkIsSet sets a property from the server's side.
func sdkIsSet(t *testing.T, h *home, d alink.Triple, s *script) {
	t.Helper()
	set := h.start("set Light", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.SetProperties(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"Light":1}`), platform.CallOptions{Wait: true})
	})
	props := s.await("props", nil)
	if got := props.at("message", "params"); !cmp.Equal(got, any(map[string]any{"Light": 1.0})) {
		t.Errorf("the SDK was told to set %v", got)
	}
	if got := props.at("message", "method"); got != "thing.service.property.set" {
		t.Errorf("the SDK was told to %v", got)
	}
	if r := set.result(); !r.Replied || r.Code != 200 {
		t.Errorf("the set's result is %+v", r)
	}
}

// sdkServes calls two asynchronous services, of which the SDK subscribes to the first only, and two synchronous
// ones.
func sdkServes(t *testing.T, h *home, d alink.Triple, s *script) {
	t.Helper()
	services := []struct {
		name, kind, input, output string
	}{
		{"Blink", "async", `{"times":3}`, `{}`},
		{"Reset", "async", `{}`, `{"ok":1}`},
		{"ReadSensor", "sync", `{}`, `{"Temp":21,"Hum":40,"Gas":6}`},
		{"Echo", "sync", `{"text":"你好"}`, `{"text":"你好"}`},
	}
	for _, v := range services {
		s.do("service", event{"name": v.name, "type": v.kind, "data": json.RawMessage(v.output)})
		s.await("listening", event{"name": v.name})
	}
	s.await("suback", nil) // of the first service
	for _, v := range services {
		c := h.start(v.name, func(ctx context.Context) (*platform.CallResult, error) {
			return h.Platform.InvokeService(ctx, who, d.ProductKey, d.DeviceName, v.name, json.RawMessage(v.input), platform.CallOptions{Wait: true})
		})
		called := s.await("service", event{"name": v.name})
		input, err := json.Marshal(called.at("message", "params"))
		if err != nil {
			t.Fatal(err)
		}
		wantJSON(t, input, v.input)
		r := c.result()
		if !r.Replied || r.Code != 200 {
			t.Errorf("the result of %s is %+v", v.name, r)
		}
		wantJSON(t, r.Data, v.output)
	}
}

// TestNodeSDKReconnects: after a restart of the server the SDK is back by itself and everything goes on, in both
// directions. It logs in with clean session 0 and does not subscribe again: what it subscribed to is kept.
func TestNodeSDKReconnects(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	s := h.sdkDevice("mqtt", d)
	s.await("connect", nil)
	for range 16 {
		s.await("suback", nil)
	}
	h = h.restart()
	s.await("close", nil)
	s.await("connect", nil)
	s.do("postProps", event{"params": event{"Temp": 5}})
	if reply := s.await("reply", event{"to": "postProps"}); reply.at("reply", "code") != 200.0 {
		t.Errorf("the post was answered %v", reply)
	}
	h.wantLatest(d, map[string]string{"Temp": "5"})
	sdkIsSet(t, h, d, s)
	if n := s.count("suback", nil); n != 0 {
		t.Errorf("the SDK subscribed again %d times; this test is for one that does not", n)
	}
}

// TestNodeSDKCustomTopics: messages on the product's own topics, from the device to an application and back.
func TestNodeSDKCustomTopics(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	s := h.sdkDevice("mqtt", d)
	for range 16 {
		s.await("suback", nil)
	}
	get, update := "/"+d.ProductKey+"/"+d.DeviceName+"/user/get", "/"+d.ProductKey+"/"+d.DeviceName+"/user/update"
	s.do("subscribe", event{"topic": get})
	s.await("suback", nil)
	if err := h.Platform.Publish(t.Context(), who, get, []byte("hello"), 1, false); err != nil {
		t.Fatal(err)
	}
	s.await("message", event{"topic": get, "payload": "hello"})
	s.do("publish", event{"topic": update, "payload": "here I am"})
	if e := s.await("published", event{"topic": update}); e.text("error") != "" {
		t.Errorf("publish: %s", e.text("error"))
	}
}

// wantTags fails unless the device has exactly these tags.
func wantTags(t *testing.T, h *home, d alink.Triple, want map[string]string) {
	t.Helper()
	tags, err := h.Platform.Tags(t.Context(), d.ProductKey, d.DeviceName)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, tag := range tags {
		got[tag.Key] = tag.Value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

// wantJSON fails unless both texts are the same JSON value.
func wantJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Errorf("%q is not JSON: %v", got, err)
		return
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}
