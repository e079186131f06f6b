package e2e

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
)

// TestNodeSDKGateway walks through what the official SDK's gateway can do, over TCP and over TLS: it registers a
// sub-device, adds it, logs it in, and speaks and listens for it.
func TestNodeSDKGateway(t *testing.T) {
	for _, scheme := range []string{"mqtt", "mqtts"} {
		t.Run(scheme, func(t *testing.T) {
			h := mustStart(t)
			g := alink.Triple{ProductKey: "a1Gateway01", DeviceName: "gateway1"}
			if _, err := h.Platform.CreateProduct(t.Context(), who, platform.Product{ProductKey: g.ProductKey, Name: "gateway", NodeType: "gateway"}); err != nil {
				t.Fatal(err)
			}
			const subKey = "a1SubSubSub"
			if _, err := h.Platform.CreateProduct(t.Context(), who, platform.Product{ProductKey: subKey, Name: "sub", NodeType: "subdevice", DynamicRegister: true}); err != nil {
				t.Fatal(err)
			}
			h.importModel(subKey, "testdata/model.json")
			g = h.addDevice(g)
			sub := h.addDevice(alink.Triple{ProductKey: subKey, DeviceName: "sub001"})
			h.addDevice(alink.Triple{ProductKey: subKey, DeviceName: "sub002"})

			ca := ""
			if scheme == "mqtts" {
				ca = h.CAFile()
			}
			s := runScript(t, "gateway.js", ca, map[string]any{"productKey": g.ProductKey, "deviceName": g.DeviceName, "deviceSecret": g.DeviceSecret,
				"brokerUrl": scheme + "://127.0.0.1:" + h.port() + "/"})
			for range 16 {
				s.await("suback", nil)
			}
			reply := func(to string) event {
				t.Helper()
				r := s.await("reply", event{"to": to})
				if r.at("reply", "code") != 200.0 {
					t.Fatalf("%s was answered %v", to, r)
				}
				return r
			}
			names := []any{map[string]any{"productKey": subKey, "deviceName": "sub001"}}

			s.do("registerSub", event{"devices": names})
			given := reply("registerSub").at("reply", "data").([]any)[0].(map[string]any)
			if given["deviceSecret"] != sub.DeviceSecret || given["deviceName"] != "sub001" || given["iotId"] == "" {
				t.Fatalf("the SDK was given %v", given)
			}
			triple := event{"productKey": subKey, "deviceName": "sub001", "deviceSecret": given["deviceSecret"]}
			s.do("addTopo", event{"devices": []any{triple}})
			if data := reply("addTopo").at("reply", "data"); !cmp.Equal(data, any(names)) {
				t.Errorf("addTopo: %v", data)
			}
			s.do("getTopo", nil)
			if data := reply("getTopo").at("reply", "data"); !cmp.Equal(data, any(names)) {
				t.Errorf("getTopo: %v", data)
			}
			s.do("login", event{"device": triple})
			if data := reply("login").at("reply", "data"); !cmp.Equal(data, names[0]) {
				t.Errorf("login: %v", data)
			}
			s.await("subConnect", event{"name": "sub001"})
			for range 16 { // the sub-device's, on the gateway's connection
				if granted := s.await("suback", nil)["granted"]; !cmp.Equal(granted, []any{1.0}) {
					t.Fatalf("a subscription for the sub-device was answered %v", granted)
				}
			}

			s.do("postProps", event{"sub": "sub001", "params": event{"Temp": 23}})
			reply("postProps")
			h.wantLatest(sub, map[string]string{"Temp": "23"})
			s.do("postEvent", event{"sub": "sub001", "name": "GasAlarm", "params": event{"Gas": 900, "Level": 2}})
			reply("postEvent")
			s.do("postTags", event{"sub": "sub001", "tags": []event{{"attrKey": "room", "attrValue": "attic"}}})
			reply("postTags")
			wantTags(t, h, sub, map[string]string{"room": "attic"})
			s.do("deleteTags", event{"sub": "sub001", "keys": []string{"room"}})
			reply("deleteTags")
			wantTags(t, h, sub, map[string]string{})

			set := h.start("set Light", func(ctx context.Context) (*platform.CallResult, error) {
				return h.Platform.SetProperties(ctx, who, subKey, "sub001", json.RawMessage(`{"Light":1}`), platform.CallOptions{Wait: true})
			})
			if props := s.await("props", event{"name": "sub001"}); !cmp.Equal(props.at("message", "params"), any(map[string]any{"Light": 1.0})) {
				t.Errorf("the sub-device was told to set %v", props)
			}
			if r := set.result(); !r.Replied || r.Code != 200 {
				t.Errorf("the set's result is %+v", r)
			}
			for _, v := range []struct{ name, kind, input, output string }{
				{"Blink", "async", `{"times":3}`, `{}`},
				{"ReadSensor", "sync", `{}`, `{"Temp":21,"Hum":40,"Gas":6}`},
			} {
				s.do("service", event{"sub": "sub001", "name": v.name, "type": v.kind, "data": json.RawMessage(v.output)})
				s.await("listening", event{"sub": "sub001", "name": v.name})
				c := h.start(v.name, func(ctx context.Context) (*platform.CallResult, error) {
					return h.Platform.InvokeService(ctx, who, subKey, "sub001", v.name, json.RawMessage(v.input), platform.CallOptions{Wait: true})
				})
				s.await("service", event{"sub": "sub001", "name": v.name})
				r := c.result()
				if !r.Replied || r.Code != 200 {
					t.Errorf("the result of %s is %+v", v.name, r)
				}
				wantJSON(t, r.Data, v.output)
			}
			custom := "/" + subKey + "/sub001/user/get"
			s.do("subscribe", event{"sub": "sub001", "topic": custom})
			s.await("suback", nil) // that of the first service
			s.await("suback", nil)
			if err := h.Platform.Publish(t.Context(), who, custom, []byte(`{"hello":1}`), 1, false); err != nil {
				t.Fatal(err)
			}
			s.await("message", event{"topic": custom, "payload": `{"hello":1}`}) // the SDK's gateway drops what is not JSON

			// A sub-device that was not added, and one with a wrong secret.
			s.do("login", event{"device": event{"productKey": subKey, "deviceName": "sub002", "deviceSecret": "wrong"}})
			if e := s.await("subError", event{"name": "sub002"}); e.at("resp", "code") != 6287.0 {
				t.Errorf("a wrong secret: %v", e)
			}
			s.await("reply", event{"to": "login"})
			s.do("logout", event{"device": names[0]})
			reply("logout")
			s.do("removeTopo", event{"devices": names})
			reply("removeTopo")
			s.do("getTopo", nil)
			if data := reply("getTopo").at("reply", "data"); !cmp.Equal(data, any([]any{})) {
				t.Errorf("getTopo after removeTopo: %v", data)
			}
			if n := s.count("error", nil) + s.count("failed", nil); n != 0 {
				t.Errorf("the SDK reported %d errors", n)
			}
		})
	}
}

// TestNodeSDKRegister fetches a device's secret with its product's, by the official SDK and over HTTPS on the port
// of MQTT.
func TestNodeSDKRegister(t *testing.T) {
	h := mustStart(t)
	p, err := h.Platform.CreateProduct(t.Context(), who, platform.Product{ProductKey: "a1B2c3D4e5F", Name: "registering", DynamicRegister: true})
	if err != nil {
		t.Fatal(err)
	}
	d := h.addDevice(alink.Triple{ProductKey: p.ProductKey, DeviceName: "dev01"})
	// The SDK signs with hmacsha1 whatever its configuration says, so there is nothing else to try.
	c := map[string]any{"productKey": d.ProductKey, "deviceName": d.DeviceName, "productSecret": p.ProductSecret,
		"registerURL": "https://127.0.0.1:" + h.port() + "/auth/register/device"}
	r := runScript(t, "register.js", h.CAFile(), c).await("registered", nil)
	if r.at("reply", "data", "deviceSecret") != d.DeviceSecret || r.at("reply", "message") != "success" {
		t.Errorf("the SDK was given %v", r)
	}
	bad := map[string]any{"productKey": d.ProductKey, "deviceName": d.DeviceName, "productSecret": "wrong",
		"registerURL": "https://127.0.0.1:" + h.port() + "/auth/register/device"}
	if r := runScript(t, "register.js", h.CAFile(), bad).await("registered", nil); r.at("reply", "code") != 6600.0 {
		t.Errorf("with a wrong secret the SDK was told %v", r)
	}
	// What it was given is good to log in.
	s := h.sdkDevice("mqtts", d)
	s.await("connect", nil)
}
