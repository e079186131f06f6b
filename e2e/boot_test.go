package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/internal/platform"
)

// TestConsumerBoot is the boot of firmware made for consumers' apps (spec/sdk-behaviour.md §10, scenario 5): it
// goes on only when each question was answered.
func TestConsumerBoot(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	filter := sysOf(d, "thing/event/+/post_reply")
	w.ask(append([]byte{0x82, byte(5 + len(filter)), 0, 1, 0, byte(len(filter))}, filter+"\x00"...), []byte{0x90, 3, 0, 1, 1})
	w.asks(d, request{"device info", "thing/deviceinfo/update", `{"id":"1","version":"1.0","params":[{"attrKey":"SYS_MODULE_ID","attrValue":"m","domain":"SYSTEM"}],"method":"thing.deviceinfo.update"}`,
		replyTo(200, "{}", "1", "success", "thing.deviceinfo.update")})
	w.ask(publish("/ota/device/inform/"+d.ProductKey+"/"+d.DeviceName, `{"id":"2","params":{"version":"1.0.0"}}`, 7), []byte{0x40, 2, 0, 7})

	var first []byte
	for range 2 { // the pair stays the same
		w.send(publish(sysOf(d, "thing/lan/prefix/get"), `{"id":"3","version":"1.0","params":{},"method":"thing.lan.prefix.get"}`, 0))
		p := w.publication()
		var m struct {
			Code int
			Data struct{ DeviceSecret, Prefix, ProductKey, DeviceName string }
		}
		if err := json.Unmarshal(p.Payload, &m); err != nil || string(p.Topic) != sysOf(d, "thing/lan/prefix/get_reply") || m.Code != 200 ||
			len(m.Data.DeviceSecret) != 32 || len(m.Data.Prefix) != 8 || m.Data.ProductKey != d.ProductKey || m.Data.DeviceName != d.DeviceName {
			t.Fatalf("answered %s %s", p.Topic, p.Payload)
		}
		if bytes.Contains(p.Payload, []byte(d.DeviceSecret)) {
			t.Fatal("the answer shows the device's own secret")
		}
		if first != nil && !bytes.Equal(first, p.Payload) {
			t.Errorf("another pair the second time: %s", p.Payload)
		}
		first = p.Payload
	}
	w.send(publish("/ext/ntp/"+d.ProductKey+"/"+d.DeviceName+"/request", `{"deviceSendTime":"1571724098000"}`, 0))
	if p := w.publication(); !bytes.HasPrefix(p.Payload, []byte(`{"deviceSendTime":"1571724098000","serverSendTime":"1`)) {
		t.Errorf("the time is %s", p.Payload)
	}
	w.send(publish("/ext/ntp/"+d.ProductKey+"/"+d.DeviceName+"/request", `{"deviceSendTime":100}`, 0))
	if p := w.publication(); !bytes.HasPrefix(p.Payload, []byte(`{"deviceSendTime":100,"serverSendTime":1`)) {
		t.Errorf("the time as a number is %s", p.Payload)
	}
	token := strings.Repeat("0f", 16)
	w.asks(d,
		request{"bind token", "thing/awss/enrollee/match", `{"id":"4","version":"1.0","method":"thing.awss.enrollee.match","params":{"token":"` + token + `"}}`,
			replyTo(200, "{}", "4", "success", "thing.awss.enrollee.match")},
		request{"no token", "thing/awss/enrollee/match", `{"id":"5","params":{}}`, replyTo(460, "{}", "5", "request parameter error", "thing.awss.enrollee.match")},
		request{"a device waits for its network", "thing/awss/enrollee/found", `{"id":"6","params":{"enrollees":[]}}`, replyTo(200, "{}", "6", "success", "thing.awss.enrollee.found")},
		request{"properties", "thing/event/property/post", `{"id":"7","version":"1.0","params":{"Temp":20,"Hum":30},"method":"thing.event.property.post"}`, replyTo(200, "{}", "7", "success", "thing.event.property.post")},
		request{"log", "thing/log/post", `{"id":8, "version":"1.0", "params":[{"utcTime":"2020-03-06T15:15:27.000+0800","logLevel":"INFO","module":"boot","code":"200","logContent":"up"}]}`, replyTo(200, "{}", "8", "success", "thing.log.post")},
	)
	if got, err := h.Platform.BindToken(t.Context(), d.ProductKey, d.DeviceName); err != nil || got != token {
		t.Errorf("the token is %q, %v", got, err)
	}
	if err := h.Platform.AccountEvent(t.Context(), who, d.ProductKey, d.DeviceName, "Bind"); err != nil {
		t.Fatal(err)
	}
	p := w.publication()
	if !strings.HasSuffix(string(p.Payload), `,"version":"1.0","method":"_thing.event.notify","params":{"identifier":"awss.BindNotify","value":{"Operation":"Bind"}}}`) || string(p.Topic) != sysOf(d, "_thing/event/notify") {
		t.Errorf("bound by %s %s", p.Topic, p.Payload)
	}
	w.send(publish(sysOf(d, "_thing/event/notify_reply"), `{"code":200,"id":"1","version":"1.0","method":"_thing.event.notify","message":"success","data":{"identifier":"awss.BindNotify","serviceResult":{}}}`, 0))
	if err := h.Platform.AccountEvent(t.Context(), who, d.ProductKey, d.DeviceName, "Sell"); platform.KindOf(err) != platform.KindInvalid {
		t.Errorf("an unknown operation: %v", err)
	}
	// Factory reset, with a bare number and blanks.
	w.asks(d, request{"reset", "thing/reset", `{"id":9, "version":"1.0", "method":"thing.reset", "params":{}}`, replyTo(200, "{}", "9", "success", "thing.reset")})
	if got, err := h.Platform.BindToken(t.Context(), d.ProductKey, d.DeviceName); err != nil || got != "" {
		t.Errorf("the token after the reset is %q, %v", got, err)
	}
}

// TestProvisioningCipher: the cipher of a device that waits for its network.
func TestProvisioningCipher(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	w.send(publish(sysOf(d, "thing/cipher/get"), `{"id":"1","params":{"awssVer":{},"productKey":"pk","deviceName":"dn","security":3,"random":"00ff"}}`, 0))
	p := w.publication()
	var m struct {
		Code int
		Data struct{ ProductKey, DeviceName, Cipher string }
	}
	if err := json.Unmarshal(p.Payload, &m); err != nil || m.Code != 200 || m.Data.ProductKey != "pk" || m.Data.DeviceName != "dn" || len(m.Data.Cipher) != 32 {
		t.Errorf("the cipher is answered %s", p.Payload)
	}
	w.asks(d, request{"nobody", "thing/cipher/get", `{"id":"2","params":{}}`, replyTo(460, "{}", "2", "request parameter error", "thing.cipher.get")})
}

// TestDeviceLog: the log switch in both directions, lines of the device, and what is refused.
func TestDeviceLog(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	const get, post = "thing.config.log.get", "thing.log.post"
	question := `"params":{"configScope":"device","getType":"content"},"method":"thing.config.log.get"}`
	w.asks(d, request{"off", "thing/config/log/get", `{"id":123,"version":"1.0",` + question, replyTo(200, `{"getType":"content","content":{"mode":0}}`, "123", "success", get)})
	if err := h.Platform.SwitchLog(t.Context(), who, d.ProductKey, d.DeviceName, true); err != nil {
		t.Fatal(err)
	}
	p := w.publication()
	if string(p.Topic) != sysOf(d, "thing/config/log/push") || !strings.HasSuffix(string(p.Payload), `","version":"1.0","params":{"getType":"content","content":{"mode":1}}}`) {
		t.Errorf("switched by %s %s", p.Topic, p.Payload)
	}
	line := `{"utcTime":"2020-03-06T15:15:27.000+0800","logLevel":"ERROR","module":"MQTT","code":"42","traceContext":"123456","logContent":"it hurts"}`
	w.asks(d,
		request{"on", "thing/config/log/get", `{"id":"2","version":"1.0",` + question, replyTo(200, `{"getType":"content","content":{"mode":1}}`, "2", "success", get)},
		request{"another type", "thing/config/log/get", `{"id":"3","params":{"configScope":"device","getType":"file"}}`, replyTo(6717, "{}", "3", "getType must be content", get)},
		request{"another scope", "thing/config/log/get", `{"id":"4","params":{"configScope":"product","getType":"content"}}`, replyTo(6718, "{}", "4", "configScope must be device", get)},
		request{"no params", "thing/config/log/get", `{"id":"5"}`, replyTo(460, "{}", "5", "request parameter error", get)},
		request{"lines", "thing/log/post", `{"id":"6","params":[` + line + `,{"logLevel":"MINE","logContent":7}]}`, replyTo(200, "{}", "6", "success", post)},
		request{"41 lines", "thing/log/post", `{"id":"7","params":[` + strings.Repeat(line+",", 40) + line + `]}`, replyTo(460, "{}", "7", "request parameter error", post)},
		request{"not lines", "thing/log/post", `{"id":"8","params":["x"]}`, replyTo(460, "{}", "8", "request parameter error", post)},
	)
	w.send(publish(sysOf(d, "thing/config/log/post"), `{"id":"9","params":[`+line+`]}`, 0)) // where one SDK posts them
	w.wantPublication(sysOf(d, "thing/log/post_reply"), replyTo(200, "{}", "9", "success", post))
	got := h.awaitLog(d, "42")
	got.ID, got.Time = 0, 0
	if want := (platform.LogLine{Source: "device", UTCTime: "2020-03-06T15:15:27.000+0800", Level: "ERROR", Module: "MQTT", Code: "42", Trace: "123456", Content: "it hurts"}); got != want {
		t.Errorf("the line is %+v", got)
	}
}

// TestLinkDiagnosis: measurements of the link, one and several.
func TestLinkDiagnosis(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	const tail, method = "_thing/diag/post", "_thing.diag.post"
	one := `{"wifi":{"rssi":-75,"snr":20,"per":0.01,"err_stats":"10,02,01;10,05,01"},"_time":1571724098000}`
	w.asks(d,
		request{"one", tail, `{"id":"1","version":"1.0","params":{"p":` + one + `,"model":"format=simple|quantity=single|time=now"}}`, replyTo(200, "{}", "1", "success", method)},
		request{"several", tail, `{"id":"2","version":"1.0","params":{"p":[` + one + `,` + one + `],"model":"format=simple|quantity=batch|time=history"}}`, replyTo(200, "{}", "2", "success", method)},
		request{"none", tail, `{"id":"3","params":{"p":[]}}`, replyTo(460, "{}", "3", "request parameter error", method)},
		request{"not one", tail, `{"id":"4","params":{"p":"x"}}`, replyTo(460, "{}", "4", "request parameter error", method)},
	)
	lines, err := h.Platform.DeviceLog(t.Context(), d.ProductKey, d.DeviceName, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range lines {
		if l.Module == "diag" && l.Content == one && l.UTCTime == fmt.Sprint(1571724098000) {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d measurements are kept, want 3: %+v", n, lines)
	}
}
