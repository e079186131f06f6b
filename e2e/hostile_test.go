package e2e

import (
	be "encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

// hostileInput is what a device sends to every service. Unreadable is no request at all: it cannot be answered with
// success by anybody.
var hostileInput = []struct {
	name       string
	unreadable bool
	payload    string
}{
	{"nothing", true, ""},
	{"half a message", true, `{"id":"1","params":{`},
	{"an array", true, `[1,2,3]`},
	{"a text", true, `"x"`},
	{"null", true, `null`},
	{"bytes", true, "\x00\xFF\xFE\x80{}"},
	{"100,000 arrays deep", true, strings.Repeat("[", 100_000)},
	{"20,000 objects deep", true, strings.Repeat(`{"a":`, 20_000)},
	{"deep params that end", false, `{"id":"1","params":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `}`},
	{"params too deep", true, `{"id":"1","params":` + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000) + `}`},
	{"no params", false, `{"id":"1"}`},
	{"params is a number", false, `{"id":"1","params":-1e308}`},
	{"params is a text", false, `{"id":"1","params":"{}"}`},
	{"params is 200,000 bytes", false, `{"id":"1","params":"` + strings.Repeat("x", 200_000) + `"}`},
	{"params is null", false, `{"id":"1","params":null}`},
	{"params is an array of all kinds", false, `{"id":"1","params":[1,"x",null,true,[],{},[[{}]]]}`},
	{"5,000 members", false, `{"id":"1","params":{` + manyMembers(5_000) + `}}`},
	{"members twice", false, `{"id":"1","id":["2"],"params":{},"params":[],"method":1,"method":{},"version":null,"sys":[],"sys":"ack"}`},
	{"an id that is an object", false, `{"id":{"id":{}},"params":{}}`},
	{"an id of 10,000 bytes", false, `{"id":"` + strings.Repeat("9", 10_000) + `","params":{}}`},
	{"an id of 100,000 bytes", false, `{"id":"` + strings.Repeat("8", 100_000) + `","params":{}}`},
	{"numbers beyond all", false, `{"id":1e999,"params":{"Temp":1e999,"version":-9223372036854775809,"step":99999999999999999999,"fileInfo":{"streamId":1e30,"fileId":-1},"fileBlock":{"size":9223372036854775807,"offset":-9223372036854775808}},"version":1e400,"state":{"reported":{"a":1e999}},"method":"update"}`},
	{"members of a wrong type", false, `{"id":"1","params":{"version":{},"module":[],"step":true,"token":{},"configScope":[],"getType":{},"properties":"x","events":7,"subDevices":{},"identity":[],"deviceList":"x","proxieds":{},"value":[]},"state":[],"method":[]}`},
	{"another device's names", false, `{"id":"1","method":"update","params":{"productKey":"a1Gateway01","deviceName":"victim","identity":{"productKey":"a1Gateway01","deviceName":"victim"},"properties":{"Temp":99},"proxieds":[{"productKey":"a1Gateway01","deviceName":"victim","random":"1","sign":"00","signMethod":"hmacSha1"}],"deviceList":[{"productKey":"a1Gateway01","deviceName":"victim","clientId":"c","timestamp":"1","sign":"00","signMethod":"hmacSha1"}],"subDevices":[{"identity":{"productKey":"a1Gateway01","deviceName":"victim"},"properties":{"Temp":99}}],"fileInfo":{"streamId":1,"fileId":1},"fileBlock":{"size":16,"offset":0}},"state":{}}`},
	{"a list of another device's names", false, `{"id":"1","params":[{"productKey":"a1Gateway01","deviceName":"victim","clientId":"c","timestamp":"1","sign":"00","signmethod":"hmacSha1","identity":{"productKey":"a1Gateway01","deviceName":"victim"},"properties":[{"Temp":{"value":99}}],"attrKey":"room","attrValue":"` + strings.Repeat("y", 5_000) + `"}]}`},
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"member%d":{"value":%d,"time":-1}`, i, i)
	}
	return b.String()[1:]
}

// servedTopics are the topics that docs/compatibility.md says this server takes, in its order.
func servedTopics(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if m := compatibilityRow.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			served[m[2]+" "+m[1]] = m[3] != "not"
		}
	}
	return served
}

// codeIn is the code of an answer, whatever form the service gives it.
func codeIn(payload []byte) string {
	if len(payload) > 2 && payload[0] != '{' && int(be.BigEndian.Uint16(payload)) <= len(payload)-2 { // a block's header
		payload = payload[2 : 2+be.BigEndian.Uint16(payload)]
	}
	var m struct {
		Code    json.RawMessage
		Payload struct {
			Status  string
			Content struct{ ErrorCode string }
		}
	}
	if err := json.Unmarshal(payload, &m); err != nil {
		return ""
	}
	if m.Payload.Status == "success" {
		return "200"
	}
	if m.Payload.Content.ErrorCode != "" {
		return m.Payload.Content.ErrorCode
	}
	return strings.Trim(string(m.Code), `"`)
}

// exchange publishes with QoS 1 and returns what came until everything was dealt with. The message is acknowledged
// whatever it is: otherwise it would come again for ever.
func (w *wire) exchange(topic, payload string) []mqtt.Publish {
	w.t.Helper()
	w.send(append(publish(topic, payload, 7), 0xC0, 0))
	var got []mqtt.Publish
	acked, pinged := false, false
	for !acked || !pinged {
		switch f := w.next(); f.Type {
		case mqtt.PUBACK:
			if acked = true; pinged { // what is answered now came behind the ping
				pinged = false
				w.send([]byte{0xC0, 0})
			}
		case mqtt.PINGRESP:
			pinged = true
		case mqtt.PUBLISH:
			var p mqtt.Publish
			if err := p.Decode(f, mqtt.V311, 0); err != nil {
				w.t.Fatal(err)
			}
			got = append(got, p)
		default:
			w.t.Fatalf("%s: the server sent %v", topic, f.Type)
		}
	}
	return got
}

// TestHostileInput sends everything that is wrong to every topic that a device may publish to, under its own name and
// under another device's. It gets a clear code or silence where the cloud is silent; the reason is in its log; the
// server goes on, and the other device notices nothing.
func TestHostileInput(t *testing.T) {
	h := mustStart(t, withFiles, unhurried)
	const pk = "a1Gateway01"
	if _, err := h.Platform.CreateProduct(t.Context(), who, platform.Product{ProductKey: pk, Name: "gateway", NodeType: "gateway", DynamicRegister: true}); err != nil {
		t.Fatal(err)
	}
	h.importModel(pk, "../tsl/testdata/stc15.json")
	d := h.addDevice(alink.Triple{ProductKey: pk, DeviceName: "attacker"})
	victim := h.addDevice(alink.Triple{ProductKey: pk, DeviceName: "victim"})
	f, _ := h.addFirmware(platform.Firmware{ProductKey: pk, Version: "1.1"}, 100)
	job := h.startUpgrade(platform.UpgradeJob{Firmware: f.ID, Protocol: "mqtt", Devices: []string{"victim"}}, 1)
	other := h.login(victim)
	other.publication() // its upgrade
	w := h.login(d)

	// What has no answer, and bytes of a product without a script, which nobody could put one into.
	silent := map[alink.TopicKind]bool{alink.OTAInform: true, alink.OTAProgress: true, alink.RRPCResponse: true, alink.ExtRRPC: true, alink.UpRaw: true}
	served := servedTopics(t)
	fill := func(topic string, of alink.Triple) string {
		own := of.ProductKey + "/" + of.DeviceName
		return strings.NewReplacer("{P}", own, "{topic}", own+"/user/get", "{messageId}", "1234567", "{eventId}", "GasAlarm", "{serviceId}", "Blink").Replace(topic)
	}
	round := 0
	for _, key := range specTopics(t) {
		direction, topic, _ := strings.Cut(key, " ")
		parsed, ok := alink.ParseTopic(fill(topic, d))
		if !ok || !parsed.Kind.System() || parsed.DeviceName == "" && parsed.Kind != alink.ExtRRPC {
			continue
		}
		kind := parsed.Kind
		answers := served[key] && !silent[kind]
		if direction == "down" { // what a device can say is the reply, which nobody answers
			if !kind.HasReply() {
				continue
			}
			topic, answers = topic+"_reply", false
		}
		own := fill(topic, d)
		for _, in := range hostileInput {
			var got []mqtt.Publish
			for _, p := range w.exchange(own, in.payload) {
				switch to := string(p.Topic); {
				case strings.HasPrefix(to, "/ext/error/"+pk+"/attacker"): // of sub-devices that are not logged in
				case to == own+"_reply", to == own && kind == alink.OTARequest, to == "/shadow/get/"+pk+"/attacker" && kind == alink.ShadowUpdate,
					to == "/ext/ntp/"+pk+"/attacker/response" && kind == alink.NTPRequest:
					got = append(got, p)
				default:
					t.Errorf("%s, %s: answered on %s", own, in.name, to)
				}
			}
			least := 0
			if answers && kind != alink.OTARequest { // that one is answered with an upgrade or not at all
				least = 1
			}
			switch {
			case len(got) < least, !answers && len(got) > 0, len(got) > 1:
				t.Errorf("%s, %s: %d answers", own, in.name, len(got))
			case len(got) == 0 || kind == alink.NTPRequest: // which has no codes
			default:
				code := codeIn(got[0].Payload)
				if code == "" || in.unreadable && (code == "200" || code == "1000") {
					t.Errorf("%s, %s: code %q in %.200q", own, in.name, code, got[0].Payload)
				}
			}
		}
		if direction != "down" && served[key] && kind != alink.NTPRequest && kind != alink.RRPCResponse && kind != alink.ExtRRPC {
			h.awaitRemark(d, kind)
		}
		// Under the other device's name: acknowledged, dropped, answered by nobody.
		for _, in := range hostileInput[1:3] {
			for _, p := range w.exchange(fill(topic, victim), in.payload) {
				if !strings.HasPrefix(string(p.Topic), "/ext/error/") {
					t.Errorf("%s: answered %s %.200s", fill(topic, victim), p.Topic, p.Payload)
				}
			}
		}
		round++
		id := fmt.Sprint("v", round)
		other.posts(victim, "thing/event/property/post", fmt.Sprintf(`{"id":"%s","params":{"Temp":%d}}`, id, round), id, "thing.event.property.post")
	}
	if round < 40 {
		t.Errorf("only %d topics were tried", round)
	}
	other.ping()
	h.wantLatest(victim, map[string]string{"Temp": fmt.Sprint(round), "Hum": ""})
	if k := h.task(job, victim); k.State != "pushed" {
		t.Errorf("the other device's upgrade is %+v", k)
	}
	if s, err := h.Platform.DeviceShadow(t.Context(), pk, "victim"); err != nil || s.Version != 0 {
		t.Errorf("the other device's shadow is %+v, %v", s, err)
	}
	if list, err := h.Platform.Topology(t.Context(), pk, "attacker"); err != nil || len(list) != 0 {
		t.Errorf("the attacker has sub-devices %v, %v", list, err)
	}
	resp, err := http.Get("http://" + h.AdminAddress() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("the server's health is %s", resp.Status)
	}
	if line := h.log.find("level=ERROR"); line != "" {
		t.Errorf("the log says: %s", line)
	}
}

// awaitRemark waits for a line of the server in a device's log about messages of a kind.
func (h *home) awaitRemark(d alink.Triple, kind alink.TopicKind) {
	h.t.Helper()
	eventually(h.t, "a line about "+kind.String()+" in the log of "+d.DeviceName, func() bool {
		lines, err := h.Platform.DeviceLog(h.t.Context(), d.ProductKey, d.DeviceName, 0, 100)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, l := range lines {
			if l.Source == "server" && l.Module == kind.String() && l.Code != "" && l.Content != "" {
				return true
			}
		}
		return false
	})
}

// TestHostileScripts gives a product one script after the other that runs for ever, takes all memory or returns
// nonsense: its device's messages are acknowledged, the log has a code, devices of other products wait for nothing.
func TestHostileScripts(t *testing.T) {
	h := mustStart(t, unhurried)
	d, seed := h.addRaw(), h.addSeed()
	w, other := h.login(d), h.login(seed)
	up := sysOf(d, "thing/model/up_raw")
	for i, body := range []string{
		`for (;;) {}`,
		`var a = []; for (;;) a.push(new Array(10000).fill(7));`,
		`var s = "x"; for (;;) s += s;`,
		`function f() { return f() + f(); } return f();`,
		`return /^(a+)+$/.test("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!") ? {} : {method: 1};`,
		`var a = {}; a.a = a; return a;`,
		`return {get method() { for (;;) {} }, id: "1", params: {}};`,
		`return {method: "thing.event.property.post", id: {}, params: () => 1};`,
		`return new Proxy({}, {ownKeys() { throw 1; }});`,
		`Object.prototype.toJSON = function () { for (;;) {} }; return {method: "thing.event.property.post", id: "1", params: {}};`,
		`throw {toString() { for (;;) {} }};`,
		`return "x".repeat(50000000);`,
		`return {method: "thing.topo.add", id: "1", version: "1.0", params: [{productKey: "a1ji0qFv6Jf", deviceName: "STC15"}]};`,
	} {
		if err := h.Platform.PutScript(t.Context(), who, d.ProductKey, "function rawDataToProtocol(bytes) { "+body+" }\nfunction protocolToRawData(json) { return [1]; }"); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		w.send(publish(up, "\x01", 5))
		id := fmt.Sprint("s", i)
		other.posts(seed, "thing/event/property/post", fmt.Sprintf(`{"id":"%s","params":{"Temp":%d}}`, id, i), id, "thing.event.property.post")
		for acked := false; !acked; {
			switch f := w.next(); f.Type {
			case mqtt.PUBACK:
				acked = true
			case mqtt.PUBLISH: // a failure in bytes
			default:
				t.Fatalf("%s: the server sent %v", body, f.Type)
			}
		}
	}
	h.wantLatest(seed, map[string]string{"Temp": "12"})
	if err := h.Platform.PutScript(t.Context(), who, d.ProductKey, `function rawDataToProtocol(b) { return {method: "thing.event.property.post", id: "9", params: {prop_int16: 77}}; } function protocolToRawData(j) { return [2]; }`); err != nil {
		t.Fatal(err)
	}
	w.exchange(up, "\x01")
	h.wantLatest(d, map[string]string{"prop_int16": "77"})
	lines, err := h.Platform.DeviceLog(t.Context(), d.ProductKey, d.DeviceName, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]string{}
	for _, l := range lines {
		codes[l.Code] = l.Content
	}
	if len(codes) < 3 {
		t.Errorf("the log has %v", codes)
	}
	if line := h.log.find("level=ERROR"); line != "" {
		t.Errorf("the log says: %s", line)
	}
}
