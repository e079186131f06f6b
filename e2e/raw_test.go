package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
)

var rawDevice = alink.Triple{ProductKey: "a1rawbytes1", DeviceName: "dev01", DeviceSecret: "bc0834e2beeb03d37eeb7361cc387918"}

// addRaw registers a product whose devices send bytes.
func (h *home) addRaw() alink.Triple {
	h.t.Helper()
	if _, err := h.Platform.CreateProduct(h.t.Context(), who, platform.Product{ProductKey: rawDevice.ProductKey, Name: "raw", DataFormat: "raw"}); err != nil {
		h.t.Fatal(err)
	}
	doc, err := os.ReadFile("testdata/frame.json")
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.Platform.ImportModel(h.t.Context(), who, rawDevice.ProductKey, doc); err != nil {
		h.t.Fatal(err)
	}
	h.setScript(rawDevice.ProductKey)
	return h.addDevice(rawDevice)
}

func (h *home) setScript(pk string) {
	h.t.Helper()
	source, err := os.ReadFile("testdata/frame.js")
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.Platform.PutScript(h.t.Context(), who, pk, string(source)); err != nil {
		h.t.Fatal(err)
	}
}

// TestRawDevice is a device that sends bytes, with the conversions that the protocol's documentation publishes.
func TestRawDevice(t *testing.T) {
	h := mustStart(t)
	d := h.addRaw()
	w := h.login(d)
	up, upReply := sysOf(d, "thing/model/up_raw"), sysOf(d, "thing/model/up_raw_reply")
	w.send(publish(up, string(hex(t, "00 00 22 33 44 12 32 01 3F A0 00 00")), 0))
	w.wantPublication(upReply, string(hex(t, "02 00 22 33 44 C8")))
	h.wantLatest(d, map[string]string{"prop_int16": "4658", "prop_bool": "1", "prop_float": "1.25"})
	w.ask(publish(up, string(hex(t, "00 00 00 00 01 00 32 01 00 00 00 00")), 9), hex(t, "40 02 00 09"))
	w.wantPublication(upReply, string(hex(t, "02 00 00 00 01 C8")))
	h.wantLatest(d, map[string]string{"prop_int16": "50", "prop_float": "0"})

	down := sysOf(d, "thing/model/down_raw")
	set := h.start("set", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.SetProperties(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"prop_int16":333,"prop_bool":1,"prop_float":123.452}`), platform.CallOptions{Wait: true, ForceID: "12345"})
	})
	w.wantPublication(down, string(hex(t, "01 00 00 30 39 01 4D 01 42 F6 E7 6D")))
	w.send(publish(sysOf(d, "thing/model/down_raw_reply"), string(hex(t, "03 00 00 30 39 C8")), 0))
	if r := set.result(); !r.Replied || r.Code != 200 || r.Topic != down {
		t.Errorf("the set's result is %+v", r)
	}
	// A service that waits goes out as bytes too, and its answer comes back that way.
	call := h.start("Ping", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.InvokeService(ctx, who, d.ProductKey, d.DeviceName, "Ping", nil, platform.CallOptions{ForceID: "7"})
	})
	w.wantPublication(sysOf(d, "rrpc/request/7"), string(hex(t, "01 00 00 00 07 00 00 00 00 00 00 00")))
	w.send(publish(sysOf(d, "rrpc/response/7"), string(hex(t, "03 00 00 00 07 C8")), 0))
	if r := call.result(); r.Code != 200 {
		t.Errorf("the service's result is %+v", r)
	}
	// Desired values, asked for in bytes; a request of any bytes stays as it is.
	if _, err := h.Platform.SetDesired(t.Context(), who, d.ProductKey, d.DeviceName, json.RawMessage(`{"prop_bool":0}`), nil); err != nil {
		t.Fatal(err)
	}
	if p := w.publication(); string(p.Topic) != down || len(p.Payload) != 12 {
		t.Errorf("the desired value came on %s: % X", p.Topic, p.Payload)
	}
	w.send(publish(up, "\xF4", 0))
	w.wantPublication(upReply, string(hex(t, "02 00 00 00 4D C8")))

	// With ext=1 the call goes to /ext/rrpc, and after a restart the script is still there.
	h = h.restart()
	w = h.login(d, alink.Param{Key: "ext", Value: "1"})
	if p := w.publication(); string(p.Topic) != down {
		t.Errorf("at its connection the desired value came on %s", p.Topic)
	}
	call = h.start("Ping", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.InvokeService(ctx, who, d.ProductKey, d.DeviceName, "Ping", nil, platform.CallOptions{ForceID: "8"})
	})
	ext := "/ext/rrpc/8" + down
	w.wantPublication(ext, string(hex(t, "01 00 00 00 08 00 00 00 00 00 00 00")))
	w.send(publish(ext, string(hex(t, "03 00 00 00 08 C8")), 0))
	if r := call.result(); r.Code != 200 {
		t.Errorf("the service's result is %+v", r)
	}
}

// TestScriptErrors: what a script does wrong is in the device's log with the cloud's code, the message is
// acknowledged, nothing else is affected.
func TestScriptErrors(t *testing.T) {
	h := mustStart(t)
	d := h.addRaw()
	seed := h.addSeed()
	w, other := h.login(d), h.login(seed)
	up, upReply := sysOf(d, "thing/model/up_raw"), sysOf(d, "thing/model/up_raw_reply")
	failed := string(hex(t, "02 00 00 00 00 FF"))
	for first, code := range map[string]string{"\xF1": "26002", "\xF2": "6450", "\xF3": "6831", "\x09": "6201"} {
		w.ask(publish(up, first+"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 3), hex(t, "40 02 00 03"))
		w.wantPublication(upReply, failed)
		h.awaitLog(d, code)
	}
	if l := h.awaitLog(d, "26002"); !strings.Contains(l.Content, "no such frame") || l.Source != "server" {
		t.Errorf("the log says %+v", l)
	}
	// Too short for what the script reads: an exception of its own.
	w.send(publish(up, "\x00\x01", 0))
	w.wantPublication(upReply, failed)

	// Five calls without end, and it is left alone for a while; other products go on.
	for i := range 5 {
		w.send(publish(up, "\xF0", 0))
		other.send(publish(seedPostTopic, fmt.Sprintf(`{"id":"%d","params":{"Temp":%d}}`, i, i), 0))
		other.wantPublication(seedPostTopic+"_reply", replyTo(200, "{}", fmt.Sprint(i), "success", "thing.event.property.post"))
		if i < 4 { // the reply of the fifth needs the script too
			w.wantPublication(upReply, failed)
		}
	}
	w.send(publish(up, string(hex(t, "00 00 00 00 01 00 32 01 00 00 00 00")), 0))
	h.awaitLog(d, "26010")
	if got := h.latest(d, "prop_int16"); got != "" {
		t.Errorf("a message was read by a script that is paused: %s", got)
	}
	_, err := h.Platform.SetProperties(t.Context(), who, d.ProductKey, d.DeviceName, json.RawMessage(`{"prop_bool":1}`), platform.CallOptions{})
	if platform.CodeOf(err) != 26010 {
		t.Errorf("a command through a script that is paused: %v", err)
	}
	// A new script begins anew; none at all has a code of its own.
	h.setScript(d.ProductKey)
	w.send(publish(up, string(hex(t, "00 00 00 00 01 00 32 01 00 00 00 00")), 0))
	w.wantPublication(upReply, string(hex(t, "02 00 00 00 01 C8")))
	if err := h.Platform.PutScript(t.Context(), who, d.ProductKey, ""); err != nil {
		t.Fatal(err)
	}
	w.ask(publish(up, "\x00", 4), hex(t, "40 02 00 04"))
	h.awaitLog(d, "6200")
	for source, code := range map[string]alink.Code{"function (": 26002, "for (;;) {}": 26002, strings.Repeat(" ", 9): 26001} {
		if err := h.Platform.PutScript(t.Context(), who, d.ProductKey, source); platform.CodeOf(err) != code {
			t.Errorf("%q: %v, want code %d", source, err, code)
		}
	}
}

// TestTransformPayload: a custom message with ?_sn=default reaches its subscribers as the script puts it.
func TestTransformPayload(t *testing.T) {
	h := mustStart(t)
	d := h.addRaw()
	u := h.addUser("app")
	app := h.dial()
	app.ask(connectOf(alink.Login{ClientID: "app", Username: u.name, Password: u.password}, 60), connected)
	topic := "/" + d.ProductKey + "/" + d.DeviceName + "/user/update"
	app.ask(append([]byte{0x82, byte(5 + len(topic)), 0, 1, 0, byte(len(topic))}, topic+"\x00"...), []byte{0x90, 3, 0, 1, 0})
	w := h.login(d)
	w.ask(publish(topic+"?_sn=default", "\x07\x08", 2), hex(t, "40 02 00 02"))
	app.wantPublication(topic, `{"topic":"`+topic+`?_sn=default","first":7}`)
	w.send(publish(topic, "\x07\x08", 0))
	app.wantPublication(topic, "\x07\x08")
	w.send(publish(topic+"?_rid=123", "plain", 0))
	app.wantPublication(topic, "plain")
	// What the script cannot read reaches nobody.
	w.ask(publish(topic+"?_sn=default", "", 3), hex(t, "40 02 00 03"))
	h.awaitLog(d, "26002")
	app.ping()
}
