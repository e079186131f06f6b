package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkstead/linkstead/internal/platform"
)

// TestNodeSDKServices walks through the rest of the official Node SDK: shadow, remote configuration, synchronous
// requests, desired values, and a firmware push that it hands to its user.
func TestNodeSDKServices(t *testing.T) {
	h := mustStart(t, withFiles)
	d := h.addSeed()
	ctx := t.Context()
	s := h.sdkDevice("mqtt", d)
	for range 16 {
		s.await("suback", nil)
	}

	// Shadow: its versions are the milliseconds of the clock, replies have no id.
	s.do("getShadow", nil)
	if got := s.await("shadow", nil); got.at("message", "payload", "content", "errorcode") != "407" {
		t.Errorf("the empty shadow is answered %v", got)
	}
	s.do("postShadow", event{"reported": event{"color": "red", "speed": 3}})
	posted := s.await("shadow", nil)
	if posted.at("message", "payload", "status") != "success" {
		t.Errorf("the report is answered %v", posted)
	}
	shadow, err := h.Platform.DesireShadow(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"color":"green"}`), 0)
	if err != nil || shadow.Version < 1_700_000_000_000 {
		t.Fatalf("the shadow is %+v, %v", shadow, err)
	}
	control := s.await("shadow", nil)
	if control.at("message", "method") != "control" || !cmp.Equal(control.at("message", "payload", "state", "desired"), any(map[string]any{"color": "green"})) {
		t.Errorf("told %v", control)
	}
	await := func(what string) event {
		t.Helper()
		got := s.await("shadow", nil)
		if got.at("message", "payload", "status") != "success" {
			t.Errorf("%s is answered %v", what, got)
		}
		return got
	}
	s.do("deleteShadow", event{"keys": []string{"speed"}})
	await("the deletion of an attribute")
	s.do("getShadow", nil)
	if got := await("the shadow"); !cmp.Equal(got.at("message", "payload", "state", "reported"), any(map[string]any{"color": "red"})) {
		t.Errorf("the shadow is %v", got)
	}

	// Remote configuration, asked for and pushed.
	if _, err := h.Platform.PutRemoteConfig(ctx, who, d.ProductKey, []byte(`{"interval":30}`)); err != nil {
		t.Fatal(err)
	}
	s.do("getConfig", nil)
	reply := s.await("reply", event{"to": "getConfig"})
	url, _ := reply.at("reply", "data", "url").(string)
	resp, err := http.Get(url)
	if err != nil {
		t.Fatalf("the configuration is answered %v: %v", reply, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if b, _ := io.ReadAll(resp.Body); string(b) != `{"interval":30}` {
		t.Errorf("%s is %q", url, b)
	}
	if n, err := h.Platform.PushRemoteConfig(ctx, who, d.ProductKey, d.DeviceName); n != 1 || err != nil {
		t.Fatalf("pushed to %d, %v", n, err)
	}
	if got := s.await("config", nil); got.at("message", "params", "configId") != reply.at("reply", "data", "configId") {
		t.Errorf("told of the configuration %v", got)
	}

	// A synchronous request of any bytes: the SDK takes those that look like a service call.
	s.do("service", event{"name": "Echo", "type": "sync", "data": event{"ok": 1}})
	s.await("listening", event{"name": "Echo"})
	done := h.rrpc(d, "", `{"method":"thing.service.Echo","id":"1","params":{},"version":"1.0.0"}`, platform.MaxRRPCTimeout)
	s.await("service", event{"name": "Echo"})
	if o := <-done; o.err != nil || !strings.Contains(string(o.r.Payload), `"ok":1`) {
		t.Errorf("the answer is %+v, %v", o.r, o.err)
	}

	// Desired values arrive as a property set.
	if _, err := h.Platform.SetDesired(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"Light":1}`), nil); err != nil {
		t.Fatal(err)
	}
	if got := s.await("props", nil); !cmp.Equal(got.at("message", "params"), any(map[string]any{"Light": 1.0})) {
		t.Errorf("the desired value came as %v", got)
	}

	// Firmware: the user's own subscription and report.
	s.do("publish", event{"topic": otaTopic("inform", d), "payload": `{"id":"1","params":{"version":"1.0"}}`})
	s.await("published", nil)
	f, _ := h.addFirmware(platform.Firmware{ProductKey: d.ProductKey, Version: "1.1"}, 100)
	job := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID}, 1)
	push := s.await("message", event{"topic": otaTopic("upgrade", d)})
	if !pushHTTPS.MatchString(push.text("payload")) {
		t.Errorf("pushed %v", push)
	}
	s.do("publish", event{"topic": otaTopic("inform", d), "payload": `{"id":"2","params":{"version":"1.1"}}`})
	h.awaitTask(job, d, "success")
	if n := s.count("error", nil) + s.count("failed", nil); n != 0 {
		t.Errorf("the SDK reported %d errors", n)
	}
}
