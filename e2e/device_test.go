package e2e

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

// login connects as a device with clean session 1 and hmacsha256.
func (h *home) login(d alink.Triple, extra ...alink.Param) *wire {
	h.t.Helper()
	w := h.dial()
	w.ask(connectOf(d.Login(alink.LoginOptions{Method: alink.HMACSHA256, Extra: extra}), 300), connected)
	return w
}

// TestNoSubscribe is a device made with the C Link SDK 4: it subscribes to nothing, gets its replies and commands
// all the same, and ends subscriptions with the first byte A0 (spec/sdk-behaviour.md §14, scenario 2).
func TestNoSubscribe(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d, alink.Param{Key: "_v", Value: "sdk-c-4.1.0"}, alink.Param{Key: "_ss", Value: "1"})

	w.send(publish(seedPostTopic, `{"id":"1","version":"1.0","params":{"Temp":24},"sys":{"ack":1}}`, 0))
	w.wantPublication(seedPostTopic+"_reply", replyTo(200, "{}", "1", "success", "thing.event.property.post"))
	h.wantLatest(d, map[string]string{"Temp": "24"})

	set := h.start("set Light", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.SetProperties(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"Light":0}`), platform.CallOptions{Wait: true, ForceID: "7"})
	})
	w.wantPublication(seedSetTopic, `{"method":"thing.service.property.set","id":"7","params":{"Light":0},"version":"1.0.0"}`)
	w.send(publish(seedSetTopic+"_reply", `{"id":"7","code":200,"data":{}}`, 0))
	if r := set.result(); !r.Replied || r.Code != 200 {
		t.Errorf("the set's result is %+v", r)
	}

	ntp := "/ext/ntp/" + d.ProductKey + "/" + d.DeviceName
	w.send(publish(ntp+"/request", `{"deviceSendTime":"1234"}`, 0))
	p := w.publication()
	var times struct{ DeviceSendTime, ServerRecvTime, ServerSendTime json.RawMessage }
	if string(p.Topic) != ntp+"/response" || json.Unmarshal(p.Payload, &times) != nil ||
		string(times.DeviceSendTime) != `"1234"` || len(times.ServerRecvTime) == 0 || len(times.ServerSendTime) == 0 {
		t.Errorf("the time was answered %s %s", p.Topic, p.Payload)
	}

	unsubscribe := append(hex(t, "A0 35 00 03 00 31"), seedSetTopic...)
	w.ask(unsubscribe, hex(t, "B0 02 00 03"))
	w.ping()
}

// TestUnwantedReply: sys.ack 0 asks for no reply, and there is none.
func TestUnwantedReply(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	w.send(publish(seedPostTopic, `{"id":"1","params":{"Temp":1},"sys":{"ack":0}}`, 9))
	w.want(hex(t, "40 02 00 09"))
	w.send(publish(seedPostTopic, `{"id":"2","params":{"Temp":2}}`, 0))
	w.wantPublication(seedPostTopic+"_reply", replyTo(200, "{}", "2", "success", "thing.event.property.post"))
	history, err := h.Platform.PropertyHistory(t.Context(), d.ProductKey, d.DeviceName, "Temp", platform.HistoryQuery{})
	if err != nil || len(history) == 0 {
		t.Fatalf("history: %v, %v", history, err)
	}
	h.wantLatest(d, map[string]string{"Temp": "2"})
}

// TestSingleQuotes: AT modules send what the user typed in single quotes (scenario 7).
func TestSingleQuotes(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	w.send(publish(seedPostTopic, `{'id':'1','version':'1.0','params':{'Temp':19},'method':'thing.event.property.post'}`, 0))
	w.wantPublication(seedPostTopic+"_reply", replyTo(200, "{}", "1", "success", "thing.event.property.post"))
	h.wantLatest(d, map[string]string{"Temp": "19"})
}

// TestLateTriple: of two connections with one triple the newer counts (scenario 8).
func TestLateTriple(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	older := h.login(d)
	newer := h.login(d)
	older.wantClosed()
	newer.ping()
	got, err := h.Platform.Device(t.Context(), d.ProductKey, d.DeviceName)
	if err != nil || !got.Online {
		t.Errorf("after the takeover the device is %+v, %v; want it online", got, err)
	}
	h.log.await(t, "replaced", d.DeviceName)
}

// TestStrictKeepAlive: when the server is told to refuse what the cloud refuses, a keep-alive outside 30 to 1200 s
// is (scenario 8), and the log says so. Otherwise it is accepted.
func TestStrictKeepAlive(t *testing.T) {
	for _, strict := range []bool{false, true} {
		h := mustStart(t, func(c *config.Config) { c.Device.Strict = strict })
		d := h.addSeed()
		for keepAlive, cloud := range map[uint16]bool{29: false, 30: true, 1200: true, 1201: false} {
			w := h.dial()
			w.send(connectOf(d.Login(alink.LoginOptions{}), keepAlive))
			if cloud || !strict {
				w.want(connected)
				continue
			}
			if f := w.next(); f.Type != mqtt.CONNACK || f.Body[1] == 0 {
				t.Errorf("strict: keep-alive %d was answered % X, want a refusal", keepAlive, f.Raw)
			}
			w.wantClosed()
		}
		h.stop()
	}
}

// TestPacketIdentifierZero: the first SUBSCRIBE of some hand-written clients carries 00 00; it is echoed.
func TestPacketIdentifierZero(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	w.ask(append(hex(t, "82 36 00 00 00 31"), seedSetTopic+"\x00"...), hex(t, "90 03 00 00 01"))
	custom := append(hex(t, "32 1F 00 1C"), seedCustomTopic+"\x00\x00x"...)
	custom[1] = byte(len(custom) - 2)
	w.ask(custom, hex(t, "40 02 00 00"))
	w.ask(append(hex(t, "A2 35 00 00 00 31"), seedSetTopic...), hex(t, "B0 02 00 00"))
}

// TestRefusedLogins: a login is refused with the cloud's code, and the owner is told why, never the secret.
func TestRefusedLogins(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	good := d.Login(alink.LoginOptions{Method: alink.HMACSHA1, Prefix: "10001"})
	wrongSecret := alink.Triple{ProductKey: d.ProductKey, DeviceName: d.DeviceName, DeviceSecret: "00000000000000000000000000000000"}
	unknown := alink.Triple{ProductKey: d.ProductKey, DeviceName: "STC99", DeviceSecret: d.DeviceSecret}
	tests := []struct {
		name  string
		login alink.Login
		cause []string // on one line of the log
	}{
		{"wrong secret", wrongSecret.Login(alink.LoginOptions{}), []string{"STC15"}},
		{"unknown device", unknown.Login(alink.LoginOptions{}), []string{"STC99"}},
		{"wrong method", alink.Login{ClientID: "10001|securemode=3,signmethod=hmacmd5|", Username: good.Username, Password: good.Password}, []string{"STC15", "hmacsha1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := h.dial()
			w.send(connectOf(tt.login, 100))
			f := w.next()
			if f.Type != mqtt.CONNACK || len(f.Body) != 2 || f.Body[1] == 0 {
				t.Errorf("the login was answered % X, want a refusal", f.Raw)
			}
			w.wantClosed()
			line := h.log.await(t, append(tt.cause, "refused")...)
			t.Logf("CONNACK %d, %s", f.Body[1], line)
		})
	}
	if line := h.log.find(d.DeviceSecret); line != "" {
		t.Errorf("the log shows the secret: %s", line)
	}
	if n := len(h.Platform.Refusals()); n != len(tests) {
		t.Errorf("%d refusals are kept, want %d", n, len(tests))
	}
}
