package e2e

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	be "encoding/binary"
	hexenc "encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
)

func withFiles(c *config.Config) { c.Files.Listen = "127.0.0.1:0" }

// addFirmware uploads n bytes that differ from each other.
func (h *home) addFirmware(in platform.Firmware, n int) (platform.Firmware, []byte) {
	h.t.Helper()
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i/256)
	}
	f, err := h.Platform.AddFirmware(h.t.Context(), who, in, bytes.NewReader(b))
	if err != nil {
		h.t.Fatal(err)
	}
	return f, b
}

func (h *home) startUpgrade(j platform.UpgradeJob, devices int) int64 {
	h.t.Helper()
	id, n, err := h.Platform.StartUpgrade(h.t.Context(), who, j)
	if err != nil || n != devices {
		h.t.Fatalf("%d devices, %v; want %d", n, err, devices)
	}
	return id
}

// task returns a device's task of a job.
func (h *home) task(job int64, d alink.Triple) platform.UpgradeTask {
	h.t.Helper()
	list, err := h.Platform.UpgradeTasks(h.t.Context(), job, 0, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, k := range list {
		if k.DeviceName == d.DeviceName {
			return k
		}
	}
	h.t.Fatalf("job %d has no task of %s", job, d.DeviceName)
	return platform.UpgradeTask{}
}

func (h *home) awaitTask(job int64, d alink.Triple, state string) platform.UpgradeTask {
	h.t.Helper()
	var k platform.UpgradeTask
	eventually(h.t, "the upgrade of "+d.DeviceName+" is "+state, func() bool { k = h.task(job, d); return k.State == state })
	return k
}

func otaTopic(word string, d alink.Triple) string {
	return "/ota/device/" + word + "/" + d.ProductKey + "/" + d.DeviceName
}

// The texts that clients with sscanf expect (spec/services.md §2.2).
var (
	pushHTTPS = regexp.MustCompile(`^\{"code":"1000","data":\{"size":(\d+),"sign":"([0-9a-f]{32})","version":"1\.1","url":"(http[^"]+)","signMethod":"Md5","md5":"([0-9a-f]{32})"\},"id":\d{13},"message":"success"\}$`)
	pushMQTT  = regexp.MustCompile(`^\{"code":"1000","data":\{"size":(\d+),"streamId":(\d+),"sign":"([0-9a-f]{32})","dProtocol":"mqtt","version":"1\.1","signMethod":"Md5","streamFileId":1,"md5":"([0-9a-f]{32})"\},"id":\d{13},"message":"success"\}$`)
)

// TestUpgradeHTTP is an upgrade from the version report to the next one, the file fetched in two parts.
func TestUpgradeHTTP(t *testing.T) {
	h := mustStart(t, withFiles)
	d := h.addSeed()
	w := h.login(d)
	w.ask(publish(otaTopic("inform", d), `{"id":1,"params":{"version":"1.0"}}`, 5), []byte{0x40, 2, 0, 5})
	w.ask(publish(otaTopic("inform", d), `{"id":"2","params":{"version":"0.9","module":"MCU"}}`, 6), []byte{0x40, 2, 0, 6})
	if m, err := h.Platform.ModuleVersions(t.Context(), d.ProductKey, d.DeviceName); err != nil || fmt.Sprint(m) != "map[MCU:0.9 default:1.0]" {
		t.Errorf("modules %v, %v", m, err)
	}
	f, content := h.addFirmware(platform.Firmware{ProductKey: d.ProductKey, Version: "1.1"}, 5000)
	job := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Sources: []string{"0.8", "1.0"}}, 1)
	p := w.publication()
	m := pushHTTPS.FindStringSubmatch(string(p.Payload))
	sum := md5.Sum(content)
	if m == nil || string(p.Topic) != otaTopic("upgrade", d) || p.QoS != 0 || m[1] != "5000" || m[2] != hexenc.EncodeToString(sum[:]) || m[4] != m[2] || len(m[3]) > 250 {
		t.Fatalf("pushed %s %s", p.Topic, p.Payload)
	}
	url := m[3]
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Errorf("a device without TLS is sent to %s", url)
	}
	get := func(url, ranges string) (int, http.Header, []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ranges != "" {
			r.Header.Set("Range", ranges)
		}
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: h.tlsConfig(), DisableKeepAlives: true}}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header, b
	}
	if code, head, b := get(url, ""); code != 200 || !bytes.Equal(b, content) || head.Get("Content-Length") != "5000" {
		t.Errorf("the whole file: %d, %v, %d bytes", code, head, len(b))
	}
	if code, _, b := get(url, "bytes=4000-"); code != 206 || !bytes.Equal(b, content[4000:]) {
		t.Errorf("the end of the file: %d, %d bytes", code, len(b))
	}
	if code, _, b := get(strings.Replace(url, "http://", "https://", 1), "bytes=10-19"); code != 206 || !bytes.Equal(b, content[10:20]) {
		t.Errorf("a part over TLS: %d, %d bytes", code, len(b))
	}
	for what, wrong := range map[string]string{
		"another file":      strings.Replace(url, "/firmware/", "/firmware/9", 1),
		"another time":      strings.Replace(url, "Expires=1", "Expires=2", 1),
		"without signature": url[:strings.Index(url, "&Signature")],
		"a way out":         strings.Replace(url, "/firmware/", "/firmware/../../", 1),
	} {
		if code, _, b := get(wrong, ""); code != 403 && code != 404 {
			t.Errorf("%s: %d, %d bytes", what, code, len(b))
		}
	}
	w.send(publish(otaTopic("progress", d), `{"id":"3","params":{"step": "35","desc":"downloading"}}`, 0))
	if k := h.awaitTask(job, d, "upgrading"); k.Step != 35 {
		t.Errorf("the step is %d", k.Step)
	}
	w.send(publish(otaTopic("progress", d), `{"id":"4","params":{"step":100,"desc":""}}`, 0))
	w.send(publish(otaTopic("inform", d), `{"id":"5","params":{"version":"1.1"}}`, 0))
	if k := h.awaitTask(job, d, "success"); k.Reported != "1.1" {
		t.Errorf("the task is %+v", k)
	}
	w.ping() // and nothing more is pushed
	if _, _, err := h.Platform.StartUpgrade(t.Context(), who, platform.UpgradeJob{Firmware: f.ID}); platform.KindOf(err) != platform.KindNotFound {
		t.Errorf("an upgrade to what it has: %v", err)
	}
	for name, payload := range map[string]string{"step": `{"params":{"step":"101"}}`, "no version": `{"params":{}}`, "no JSON": `{`, "long": `{"params":{"version":"` + strings.Repeat("1", 65) + `"}}`} {
		w.send(publish(otaTopic(map[bool]string{true: "progress", false: "inform"}[name == "step"], d), payload, 0))
	}
	w.ping()
	h.awaitLog(d, "460")
	h.awaitLog(d, "6207")
}

// TestUpgradeMQTT fetches the file block by block, as small clients do: 256 bytes, the last block what remains
// (spec/sdk-behaviour.md §14, scenario 6).
func TestUpgradeMQTT(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	other := h.addDevice(alink.Triple{ProductKey: d.ProductKey, DeviceName: "other"})
	f, content := h.addFirmware(platform.Firmware{ProductKey: d.ProductKey, Version: "1.1"}, 1000)
	if _, _, err := h.Platform.StartUpgrade(t.Context(), who, platform.UpgradeJob{Firmware: f.ID}); platform.KindOf(err) != platform.KindConflict {
		t.Errorf("an upgrade over HTTPS that is not served: %v", err)
	}
	job := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt", Devices: []string{d.DeviceName}}, 1)
	w := h.login(d)
	p := w.publication() // it was away and is told when it connects
	m := pushMQTT.FindStringSubmatch(string(p.Payload))
	if m == nil || m[1] != "1000" {
		t.Fatalf("pushed %s", p.Payload)
	}
	ask := func(w *wire, d alink.Triple, stream string, size, offset int) (header string, block []byte) {
		t.Helper()
		w.send(publish(sysOf(d, "thing/file/download"), fmt.Sprintf(`{"id":"1","version":"1.0","params":{"fileToken":"1bb8","fileInfo":{"streamId":%s,"fileId":1},"fileBlock":{"size":%d,"offset":%d}}}`, stream, size, offset), 0))
		p := w.publication()
		n := int(be.BigEndian.Uint16(p.Payload))
		if string(p.Topic) != sysOf(d, "thing/file/download_reply") || len(p.Payload) < 2+n {
			t.Fatalf("answered on %s: %q", p.Topic, p.Payload)
		}
		return string(p.Payload[2 : 2+n]), p.Payload[2+n:]
	}
	var got []byte
	for offset := 0; offset < 1000; offset += 256 {
		size := min(256, 1000-offset)
		header, block := ask(w, d, m[2], size, offset)
		if want := fmt.Sprintf(`{"id":"1","code":200,"data":{"fileToken":"1bb8","fileLength":1000,"bSize":%d,"bOffset":%d}}`, size, offset); header != want || len(block) != size+2 {
			t.Fatalf("block at %d: %s and %d bytes", offset, header, len(block))
		}
		got = append(got, block[:size]...)
	}
	if !bytes.Equal(got, content) {
		t.Error("what was fetched is not the file")
	}
	if header, block := ask(w, d, m[2], 256, 900); !strings.Contains(header, `"bSize":100,"bOffset":900`) || len(block) != 102 {
		t.Errorf("past the end: %s and %d bytes", header, len(block))
	}
	w2 := h.login(other)
	for what, try := range map[string]func() (string, []byte){
		"another device's stream": func() (string, []byte) { return ask(w2, other, m[2], 256, 0) },
		"a stream of nobody":      func() (string, []byte) { return ask(w, d, "99999", 256, 0) },
		"behind the end":          func() (string, []byte) { return ask(w, d, m[2], 256, 1000) },
		"too much":                func() (string, []byte) { return ask(w, d, m[2], 131073, 0) },
		"before the beginning":    func() (string, []byte) { return ask(w, d, m[2], 10, -1) },
		"nothing":                 func() (string, []byte) { return ask(w, d, m[2], 0, 0) },
	} {
		if header, block := try(); strings.Contains(header, `"code":200`) || len(block) != 0 {
			t.Errorf("%s: %s and %d bytes", what, header, len(block))
		}
	}
	w.send(publish(otaTopic("inform", d), `{"id":1,"params":{"version":"1.1"}}`, 0))
	h.awaitTask(job, d, "success")
	if header, _ := ask(w, d, m[2], 256, 0); strings.Contains(header, `"code":200`) {
		t.Errorf("after the upgrade: %s", header)
	}
}

// TestBlockFixture is the fixture of spec/services.md §3 to the byte.
func TestBlockFixture(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	f, err := h.Platform.AddFirmware(t.Context(), who, platform.Firmware{ProductKey: d.ProductKey, Version: "2"}, strings.NewReader("ABCDEFGHI"))
	if err != nil {
		t.Fatal(err)
	}
	job := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt"}, 1)
	w := h.login(d)
	w.publication()
	w.send(publish(sysOf(d, "thing/file/download"), fmt.Sprintf(`{"id":"1","params":{"fileInfo":{"streamId":%d,"fileId":1},"fileBlock":{"size":4,"offset":0}}}`, h.task(job, d).ID), 0))
	want := "\x00\x43" + `{"id":"1","code":200,"data":{"fileLength":9,"bSize":4,"bOffset":0}}` + "ABCD\x85\x2B"
	if p := w.publication(); string(p.Payload) != want {
		t.Errorf("got %q\nwant %q", p.Payload, want)
	}
}

// TestUpgradeAsked: a device asks for its firmware in both ways, for a module, with a difference and SHA-256.
func TestUpgradeAsked(t *testing.T) {
	h := mustStart(t, withFiles)
	d := h.addSeed()
	w := h.login(d)
	const tail, method = "thing/ota/firmware/get", "thing.ota.firmware.get"
	w.asks(d, request{"nothing", tail, `{"id":"1","version":"1.0","params":{"module":"MCU"},"method":"thing.ota.firmware.get"}`, replyTo(200, "{}", "1", "success", method)})
	w.send(publish(otaTopic("request", d), `{"id":"2","params":{"version":"1.0"}}`, 0))
	w.wantPublication(otaTopic("request", d), `{"code":"1000","data":{},"id":2,"message":"success"}`)
	w.ask(publish(otaTopic("inform", d), `{"id":1,"params":{"version":"1.0","module":"MCU"}}`, 5), []byte{0x40, 2, 0, 5})

	f, content := h.addFirmware(platform.Firmware{ProductKey: d.ProductKey, Module: "MCU", Version: "1.1", SourceVersion: "1.0", SignMethod: "SHA256", UDI: `{"a":1}`}, 64)
	h.startUpgrade(platform.UpgradeJob{Firmware: f.ID}, 1)
	sum := sha256.Sum256(content)
	want := regexp.MustCompile(`\{"size":64,"sign":"` + hexenc.EncodeToString(sum[:]) + `","version":"1\.1","url":"http[^"]+","signMethod":"SHA256","isDiff":1,"module":"MCU","extData":\{"_package_udi":"\{\\"a\\":1\}"\}\}`)
	if p := w.publication(); !want.Match(p.Payload) {
		t.Errorf("pushed %s", p.Payload)
	}
	w.send(publish(sysOf(d, tail), `{"id":"3","params":{"module":"MCU"}}`, 0))
	if p := w.publication(); !want.Match(p.Payload) || !bytes.HasPrefix(p.Payload, []byte(`{"code":200,"data":{"size":64,`)) {
		t.Errorf("asked for, got %s", p.Payload)
	}
	w.send(publish(otaTopic("request", d), `{"id":"4","params":{"module":"MCU"}}`, 0))
	if p := w.publication(); !want.Match(p.Payload) || string(p.Topic) != otaTopic("request", d) || !bytes.HasSuffix(p.Payload, []byte(`,"id":4,"message":"success"}`)) {
		t.Errorf("asked for in the old way, got %s %s", p.Topic, p.Payload)
	}
	// A difference is not for a device with another version.
	w.send(publish(otaTopic("inform", d), `{"id":1,"params":{"version":"0.7","module":"MCU"}}`, 0))
	w.asks(d, request{"another source", tail, `{"id":"5","params":{"module":"MCU"}}`, replyTo(200, "{}", "5", "success", method)},
		request{"wrong", tail, `{"id":"6","params":[]}`, replyTo(460, "{}", "6", "request parameter error", method)})
}

// TestUpgradeFails: failures and their reasons, retries, a newer job, time-outs, cancelling, and who is selected.
func TestUpgradeFails(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	f, _ := h.addFirmware(platform.Firmware{ProductKey: d.ProductKey, Version: "1.1"}, 10)
	one := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt", Retries: 1}, 1)
	w.publication()
	fail := publish(otaTopic("progress", d), `{"id":"1","params":{"step":"-3","desc":"bad sum"}}`, 0)
	w.send(fail)
	w.publication() // told again
	w.send(fail)
	if k := h.awaitTask(one, d, "failure"); k.Reason != "the file does not fit its signature: bad sum" || k.Pushes != 2 || k.Step != -3 {
		t.Errorf("the task is %+v", k)
	}
	two := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt"}, 1)
	w.publication()
	three := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt"}, 1)
	w.publication()
	if k := h.task(two, d); k.State != "cancelled" || !strings.Contains(k.Reason, "newer") {
		t.Errorf("the older task is %+v", k)
	}
	if n, err := h.Platform.CancelUpgrade(t.Context(), who, three, false); n != 1 || err != nil {
		t.Errorf("cancelled %d, %v", n, err)
	}
	w.send(publish(otaTopic("progress", d), `{"id":"1","params":{"step":"5"}}`, 0)) // of a task that is over
	four := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt", TimeoutMS: 1}, 1)
	if k := h.awaitTask(four, d, "failure"); !strings.Contains(k.Reason, "time") {
		t.Errorf("the task is %+v", k)
	}
	// Scheduled for tomorrow: nothing today, not even when it asks.
	five := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt", StartAt: time.Now().Add(24 * time.Hour).UnixMilli()}, 1)
	w2 := h.login(d)
	w2.asks(d, request{"tomorrow", "thing/ota/firmware/get", `{"id":"1","params":{}}`, replyTo(200, "{}", "1", "success", "thing.ota.firmware.get")})
	if k := h.task(five, d); k.State != "pending" || k.Pushes != 0 {
		t.Errorf("the task is %+v", k)
	}
	for i := range 20 {
		h.addDevice(alink.Triple{ProductKey: d.ProductKey, DeviceName: fmt.Sprint("d", i)})
	}
	_, some, err := h.Platform.StartUpgrade(t.Context(), who, platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt", Percent: 50})
	if err != nil || some == 0 || some == 21 {
		t.Errorf("half of the devices are %d, %v", some, err)
	}
	for name, j := range map[string]platform.UpgradeJob{
		"an unknown device": {Firmware: f.ID, Protocol: "mqtt", Devices: []string{"nobody"}},
		"unknown firmware":  {Firmware: 99, Protocol: "mqtt"},
		"no device":         {Firmware: f.ID, Protocol: "mqtt", Sources: []string{"7%"}},
		"no such tag":       {Firmware: f.ID, Protocol: "mqtt", TagKey: "room", TagValue: "none"},
	} {
		if _, _, err := h.Platform.StartUpgrade(t.Context(), who, j); platform.KindOf(err) != platform.KindNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	list, err := h.Platform.Upgrades(t.Context(), d.ProductKey)
	if err != nil || len(list) != 6 || list[0].States["pending"]+list[0].States["pushed"] != some {
		t.Errorf("jobs %+v, %v", list, err)
	}
	if err := h.Platform.DeleteFirmware(t.Context(), who, f.ID); err != nil {
		t.Fatal(err)
	}
}

// TestRemoteConfig: a device fetches its product's configuration file and is told of a new one.
func TestRemoteConfig(t *testing.T) {
	h := mustStart(t, withFiles)
	d := h.addSeed()
	w := h.login(d)
	const tail, method = "thing/config/get", "thing.config.get"
	question := `"params":{"configScope":"product","getType":"file"},"method":"thing.config.get"}`
	w.asks(d,
		request{"none", tail, `{"id":"1","version":"1.0",` + question, replyTo(6710, "{}", "1", "no configuration", method)},
		request{"another scope", tail, `{"id":"2","params":{"configScope":"device","getType":"file"}}`, replyTo(460, "{}", "2", "request parameter error", method)},
	)
	content := []byte(`{"interval": 30, "name": "你好"}`)
	if _, err := h.Platform.PutRemoteConfig(t.Context(), who, d.ProductKey, []byte(`{`)); platform.KindOf(err) != platform.KindInvalid {
		t.Errorf("no JSON: %v", err)
	}
	c, err := h.Platform.PutRemoteConfig(t.Context(), who, d.ProductKey, content)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	check := func(raw json.RawMessage) {
		t.Helper()
		var data struct {
			ConfigID, Sign, SignMethod, URL, GetType string
			ConfigSize                               int
		}
		if err := json.Unmarshal(raw, &data); err != nil || data.ConfigID != c.ConfigID || data.ConfigSize != len(content) || data.Sign != hexenc.EncodeToString(sum[:]) || data.SignMethod != "Sha256" || data.GetType != "file" || len(data.URL) > 250 {
			t.Fatalf("the configuration is %s", raw)
		}
		resp, err := http.Get(data.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || !bytes.Equal(b, content) {
			t.Errorf("%s: %d %q", data.URL, resp.StatusCode, b)
		}
	}
	w.send(publish(sysOf(d, tail), `{"id":3,"version":"1.0",`+question, 0))
	var reply struct {
		Code int
		Data json.RawMessage
	}
	if p := w.publication(); json.Unmarshal(p.Payload, &reply) != nil || reply.Code != 200 {
		t.Fatalf("answered %s", p.Payload)
	}
	check(reply.Data)
	if n, err := h.Platform.PushRemoteConfig(t.Context(), who, d.ProductKey, ""); n != 1 || err != nil {
		t.Fatalf("pushed to %d, %v", n, err)
	}
	p := w.publication()
	var push struct {
		ID, Version, Method string
		Params              json.RawMessage
	}
	if err := json.Unmarshal(p.Payload, &push); err != nil || string(p.Topic) != sysOf(d, "thing/config/push") || push.Method != "thing.config.push" || push.Version != "1.0" {
		t.Fatalf("pushed %s %s", p.Topic, p.Payload)
	}
	check(push.Params)
	w.send(publish(sysOf(d, "thing/config/push_reply"), `"id":`+push.ID+`,"code":"400","data":{}`, 0)) // an SDK's failure, no JSON
	if err := h.Platform.EnableRemoteConfig(t.Context(), who, d.ProductKey, false); err != nil {
		t.Fatal(err)
	}
	w.asks(d, request{"off", tail, `{"id":"4","version":"1.0",` + question, replyTo(6713, "{}", "4", "remote configuration is off", method)})
	if _, err := h.Platform.PushRemoteConfig(t.Context(), who, d.ProductKey, d.DeviceName); platform.KindOf(err) != platform.KindConflict {
		t.Errorf("pushed although it is off: %v", err)
	}
}
