package e2e

import (
	"bytes"
	"crypto/tls"
	be "encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
)

// addFamily registers gateways gateway1 and gateway2, and sub-devices sub001 and sub002 that belong to the first.
func (h *home) addFamily() (gateways, subs []alink.Triple) {
	h.t.Helper()
	const gw, sub = "a1Gateway01", "a1SubSubSub"
	for _, p := range []platform.Product{{ProductKey: gw, Name: "gateway", NodeType: "gateway"}, {ProductKey: sub, Name: "sub", NodeType: "subdevice"}} {
		if _, err := h.Platform.CreateProduct(h.t.Context(), who, p); err != nil {
			h.t.Fatal(err)
		}
	}
	h.importModel(sub, "../tsl/testdata/stc15.json")
	for _, name := range []string{"gateway1", "gateway2"} {
		gateways = append(gateways, h.addDevice(alink.Triple{ProductKey: gw, DeviceName: name, DeviceSecret: "secret"}))
	}
	var refs []platform.DeviceRef
	for _, name := range []string{"sub001", "sub002"} {
		subs = append(subs, h.addDevice(alink.Triple{ProductKey: sub, DeviceName: name, DeviceSecret: "secret"}))
		refs = append(refs, platform.DeviceRef{ProductKey: sub, DeviceName: name})
	}
	if err := h.Platform.AddTopology(h.t.Context(), who, gw, "gateway1", refs); err != nil {
		h.t.Fatal(err)
	}
	return gateways, subs
}

// carries logs a sub-device in through a gateway.
func (w *wire) carries(g, sub alink.Triple) {
	w.t.Helper()
	sign := alink.Sign(alink.HMACSHA256, sub.DeviceSecret, alink.SubDeviceContent("c", true, sub.DeviceName, sub.ProductKey, "1"))
	topic := "/ext/session/" + g.ProductKey + "/" + g.DeviceName + "/combine/login"
	w.send(publish(topic, fmt.Sprintf(`{"id":"1","params":{"productKey":%q,"deviceName":%q,"clientId":"c","timestamp":"1","signMethod":"hmacSha256","sign":%q,"cleanSession":"false"}}`,
		sub.ProductKey, sub.DeviceName, sign), 0))
	w.wantPublication(topic+"_reply", fmt.Sprintf(`{"id":"1","code":200,"message":"success","data":{"deviceName":%q,"productKey":%q}}`, sub.DeviceName, sub.ProductKey))
}

// TestSubDeviceUpgrade upgrades sub-devices over their gateway's connection: by blocks, through a break of the
// connection and a change of the gateway, and never for a sub-device that is not logged in.
func TestSubDeviceUpgrade(t *testing.T) {
	h := mustStart(t, withFiles, unhurried)
	gateways, subs := h.addFamily()
	g, one, two := gateways[0], subs[0], subs[1]
	f, content := h.addFirmware(platform.Firmware{ProductKey: one.ProductKey, Version: "1.1"}, 600)
	job := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt"}, 2)
	w := h.login(g)
	w.ping() // the upgrades are the sub-devices', who are not there
	told := func(w *wire, d alink.Triple) string {
		t.Helper()
		p := w.publication()
		m := pushMQTT.FindStringSubmatch(string(p.Payload))
		if m == nil || string(p.Topic) != otaTopic("upgrade", d) || p.QoS != 0 {
			t.Fatalf("pushed %s %s", p.Topic, p.Payload)
		}
		return m[2]
	}
	w.carries(g, one)
	stream := told(w, one)
	w.carries(g, two)
	other := told(w, two)
	if stream == other {
		t.Fatalf("both sub-devices have stream %s", stream)
	}
	if k := h.task(job, one); k.State != "pushed" || k.Pushes != 1 {
		t.Errorf("the task is %+v", k)
	}

	// An old version, reported by the sub-device: told again, it and nobody else.
	w.send(publish(otaTopic("inform", one), `{"id":"1","params":{"version":"1.0"}}`, 0))
	if got := told(w, one); got != stream {
		t.Errorf("told of stream %s, before it was %s", got, stream)
	}
	if m, err := h.Platform.ModuleVersions(t.Context(), one.ProductKey, one.DeviceName); err != nil || m["default"] != "1.0" {
		t.Errorf("versions %v, %v", m, err)
	}
	if m, err := h.Platform.ModuleVersions(t.Context(), g.ProductKey, g.DeviceName); err != nil || len(m) != 0 {
		t.Errorf("the gateway has versions %v, %v", m, err)
	}
	block := func(w *wire, d alink.Triple, stream string, offset int) (string, []byte) {
		t.Helper()
		w.send(publish(sysOf(d, "thing/file/download"), fmt.Sprintf(`{"id":"2","params":{"fileInfo":{"streamId":%s,"fileId":1},"fileBlock":{"size":256,"offset":%d}}}`, stream, offset), 0))
		p := w.publication()
		if string(p.Topic) != sysOf(d, "thing/file/download_reply") || len(p.Payload) < 2 {
			t.Fatalf("answered on %s: %q", p.Topic, p.Payload)
		}
		n := int(be.BigEndian.Uint16(p.Payload))
		return string(p.Payload[2 : 2+n]), p.Payload[2+n:]
	}
	header, got := block(w, one, stream, 0)
	if !strings.Contains(header, `"bSize":256,"bOffset":0`) || !bytes.Equal(got[:len(got)-2], content[:256]) {
		t.Errorf("the first block: %s, %d bytes", header, len(got))
	}
	for what, try := range map[string]func() (string, []byte){
		"another sub-device's stream":        func() (string, []byte) { return block(w, two, stream, 0) },
		"the gateway with its sub-device's":  func() (string, []byte) { return block(w, g, stream, 0) },
		"its own stream on another's topics": func() (string, []byte) { return block(w, one, other, 0) },
	} {
		if header, rest := try(); strings.Contains(header, `"code":200`) || len(rest) != 0 {
			t.Errorf("%s: %s and %d bytes", what, header, len(rest))
		}
	}
	w.send(publish(otaTopic("progress", one), `{"id":"3","params":{"step":"42","desc":""}}`, 8))
	w.want(acknowledged(8))
	if k := h.task(job, one); k.State != "upgrading" || k.Step != 42 {
		t.Errorf("the task is %+v", k)
	}
	if k := h.task(job, two); k.State != "pushed" || k.Step != 0 {
		t.Errorf("the other's task is %+v", k)
	}

	// The gateway's connection breaks. The one that upgrades goes on where it was, the other is told again.
	_ = w.conn.Close()
	w = h.login(g)
	w.ping()
	w.send(publish(otaTopic("inform", one), `{"id":"4","params":{"version":"1.1"}}`, 0)) // before its login: not taken
	w.wantPublication("/ext/error/"+g.ProductKey+"/"+g.DeviceName, `{"id":"0","code":520,"message":"device no session","data":{"productKey":"a1SubSubSub","deviceName":"sub001"}}`)
	w.carries(g, two)
	told(w, two)
	w.carries(g, one)
	for offset := 256; offset < len(content); offset += 256 {
		if header, got := block(w, one, stream, offset); !bytes.Equal(got[:len(got)-2], content[offset:min(offset+256, len(content))]) {
			t.Errorf("the block at %d: %s, %d bytes", offset, header, len(got))
		}
	}
	if k := h.task(job, one); k.State != "upgrading" || k.Reported != "1.0" {
		t.Errorf("the task is %+v", k)
	}
	w.send(publish(otaTopic("inform", one), `{"id":"5","params":{"version":"1.1"}}`, 9))
	w.want(acknowledged(9))
	h.awaitTask(job, one, "success")

	// The other goes to another gateway with its upgrade, and fails there.
	second := h.login(gateways[1])
	sign := alink.Sign(alink.HMACSHA256, two.DeviceSecret, alink.SubDeviceContent("c", true, two.DeviceName, two.ProductKey, "1"))
	second.send(publish(sysOf(gateways[1], "thing/topo/add"), fmt.Sprintf(`{"id":"1","params":[{"productKey":%q,"deviceName":%q,"clientId":"c","timestamp":"1","signmethod":"hmacSha256","sign":%q}]}`, two.ProductKey, two.DeviceName, sign), 0))
	second.wantPublication(sysOf(gateways[1], "thing/topo/add_reply"), replyTo(200, `[{"deviceName":"sub002","productKey":"a1SubSubSub"}]`, "1", "success", "thing.topo.add"))
	second.carries(gateways[1], two)
	if got := told(second, two); got != other {
		t.Errorf("told of stream %s, want %s", got, other)
	}
	if header, got := block(second, two, other, 0); !bytes.Equal(got[:len(got)-2], content[:256]) {
		t.Errorf("through the second gateway: %s, %d bytes", header, len(got))
	}
	second.send(publish(otaTopic("progress", two), `{"id":"6","params":{"step":"-4","desc":"no room"}}`, 0))
	if k := h.awaitTask(job, two, "failure"); !strings.Contains(k.Reason, "no room") {
		t.Errorf("the task is %+v", k)
	}
	// It asks in both other ways, on its own topics.
	second.asks(two, request{"nothing more", "thing/ota/firmware/get", `{"id":"7","version":"1.0","params":{"module":"default"},"method":"thing.ota.firmware.get"}`, replyTo(200, "{}", "7", "success", "thing.ota.firmware.get")})
	second.send(publish(otaTopic("request", two), `{"id":"8","params":{"version":"1.0"}}`, 0))
	second.wantPublication(otaTopic("request", two), `{"code":"1000","data":{},"id":8,"message":"success"}`)
}

// TestSubDeviceUpgradeHTTP: the address of a sub-device's file is one that its gateway reaches, over TLS if the gateway
// is connected so.
func TestSubDeviceUpgradeHTTP(t *testing.T) {
	h := mustStart(t, withFiles, unhurried)
	gateways, subs := h.addFamily()
	g, sub := gateways[0], subs[0]
	f, content := h.addFirmware(platform.Firmware{ProductKey: sub.ProductKey, Version: "1.1"}, 600)
	job := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Devices: []string{sub.DeviceName}}, 1)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: h.tlsConfig(), DisableKeepAlives: true}}
	for _, scheme := range []string{"http://127.0.0.1:", "https://127.0.0.1:"} {
		w := h.dial()
		if strings.HasPrefix(scheme, "https") {
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", h.address(), h.tlsConfig())
			if err != nil {
				t.Fatal(err)
			}
			w = newWire(t, conn)
		}
		w.ask(connectOf(g.Login(alink.LoginOptions{Method: alink.HMACSHA256}), 300), connected)
		w.carries(g, sub)
		p := w.publication()
		m := pushHTTPS.FindStringSubmatch(string(p.Payload))
		if m == nil || string(p.Topic) != otaTopic("upgrade", sub) || !strings.HasPrefix(m[3], scheme) {
			t.Fatalf("pushed %s %s, want an address with %s", p.Topic, p.Payload, scheme)
		}
		resp, err := client.Get(m[3])
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !bytes.Equal(b, content) {
			t.Errorf("%s: %d, %d bytes, %v", m[3], resp.StatusCode, len(b), err)
		}
		if scheme == "https://127.0.0.1:" {
			w.send(publish(otaTopic("inform", sub), `{"id":"1","params":{"version":"1.1"}}`, 0))
			h.awaitTask(job, sub, "success")
		}
	}
}
