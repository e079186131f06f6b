package platform_test

import (
	"encoding/json"
	"testing"

	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/store"
)

// TestCommandsAreAudited looks into the audit log at the moment the device gets the
// command: what was done is written down before it is done, without its values.
func TestCommandsAreAudited(t *testing.T) {
	s := mustStart(t, nil)
	d := login(t, s)
	ctx := t.Context()
	newest := func() store.AuditEntry {
		t.Helper()
		list, err := s.Platform.AuditLog(ctx, 0, 1)
		if err != nil || len(list) != 1 {
			t.Fatalf("audit log: %v, %v", list, err)
		}
		return list[0]
	}
	check := func(action, object, detail string) {
		t.Helper()
		e := newest()
		if e.Who != "ann" || e.Action != action || e.Object != object || e.Detail != detail {
			t.Errorf("the newest entry is %+v, want %s of %s: %s", e, action, object, detail)
		}
	}

	if _, err := s.Platform.SetProperties(ctx, "ann", pk, dn, json.RawMessage(`{"Light":1}`), platform.CallOptions{ForceID: "21"}); err != nil {
		t.Fatal(err)
	}
	expect(t, d, demo.TopicSet, `{"method":"thing.service.property.set","id":"21","params":{"Light":1},"version":"1.0.0"}`)
	check("property.set", pk+"/"+dn, "message 21: Light")

	if _, err := s.Platform.InvokeService(ctx, "ann", pk, dn, "Blink", json.RawMessage(`{"times":3}`), platform.CallOptions{ForceID: "22"}); err != nil {
		t.Fatal(err)
	}
	expect(t, d, "/sys/"+pk+"/"+dn+"/thing/service/Blink", `{"method":"thing.service.Blink","id":"22","params":{"times":3},"version":"1.0.0"}`)
	check("service.call", pk+"/"+dn, "message 22, service Blink: times")

	topic := "/" + pk + "/" + dn + "/user/get"
	if err := s.Platform.Publish(ctx, "ann", topic, []byte("secret"), 1, true); err != nil {
		t.Fatal(err)
	}
	check("publish", topic, "QoS 1, 6 bytes, retained")

	// What changes nothing, and what was not sent, is not there.
	before := newest().ID
	if _, err := s.Platform.SetProperties(ctx, "ann", pk, dn, json.RawMessage(`{"Temp":1}`), platform.CallOptions{}); err == nil {
		t.Error("a read-only property was set")
	}
	if err := s.Platform.Publish(ctx, "ann", "a/+", nil, 0, false); err == nil {
		t.Error("a message was published to a filter")
	}
	if after := newest(); after.ID != before {
		t.Errorf("the audit log has grown by %+v", after)
	}
}
