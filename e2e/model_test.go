package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/store"
)

// rooms is a device of a product with text properties and a module.
var rooms = alink.Triple{ProductKey: "a1rooms0001", DeviceName: "dev01", DeviceSecret: "bc0834e2beeb03d37eeb7361cc387918"}

func (h *home) addRooms() alink.Triple {
	h.t.Helper()
	h.addProduct(rooms.ProductKey, "testdata/rooms.json")
	return h.addDevice(rooms)
}

// sysOf is the topic of a device's own system topics.
func sysOf(d alink.Triple, tail string) string {
	return "/sys/" + d.ProductKey + "/" + d.DeviceName + "/" + tail
}

// request is a device's question and the answer it has to get.
type request struct{ name, tail, payload, want string }

// asks sends requests one after the other and compares the replies byte for byte.
func (w *wire) asks(d alink.Triple, requests ...request) {
	w.t.Helper()
	for _, r := range requests {
		w.send(publish(sysOf(d, r.tail), r.payload, 0))
		p := w.publication()
		if got := string(p.Topic); got != sysOf(d, r.tail+"_reply") {
			w.t.Errorf("%s: answered on %s", r.name, got)
		}
		if got := string(p.Payload); got != r.want {
			w.t.Errorf("%s:\n got %s\nwant %s", r.name, got, r.want)
		}
	}
}

// series is a stored history as JSON texts, oldest first.
func (h *home) series(read func(context.Context, string, string, string, platform.HistoryQuery) ([]platform.Value, error), d alink.Triple, id string) string {
	h.t.Helper()
	values, err := read(h.t.Context(), d.ProductKey, d.DeviceName, id, platform.HistoryQuery{})
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, v := range values {
		out = append(out, string(v.Value))
	}
	return strings.Join(out, " ")
}

// awaitLog waits for a line of a device's log with a code.
func (h *home) awaitLog(d alink.Triple, code string) platform.LogLine {
	h.t.Helper()
	var found platform.LogLine
	eventually(h.t, "a line with code "+code+" in the log of "+d.DeviceName, func() bool {
		lines, err := h.Platform.DeviceLog(h.t.Context(), d.ProductKey, d.DeviceName, 0, 100)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, l := range lines {
			if l.Code == code {
				found = l
				return true
			}
		}
		return false
	})
	return found
}

// now returns times in the near past, so that retention keeps them and they are in order.
func (h *home) times(n int) []any {
	var out []any
	base := nowMS() - 60_000
	for i := range n {
		out = append(out, base+int64(i)*1000)
	}
	return out
}

func TestBatchPost(t *testing.T) {
	h := mustStart(t)
	d := h.addRooms()
	w := h.login(d)
	const tail, method = "thing/event/property/batch/post", "thing.event.property.batch.post"
	at := h.times(4)
	ok := func(id string) string { return replyTo(200, "{}", id, "success", method) }
	w.asks(d,
		request{"several values", tail, fmt.Sprintf(`{"id":"123","version":"1.0","params":{"properties":{"Power":[{"value":"on","time":%d},{"value":"off","time":%d}],"WF":[{"value":3,"time":%d}]},"events":{"alarmEvent":[{"value":{"Power":"on"},"time":%d}]}},"method":"x"}`, at[0], at[1], at[1], at[2]), ok("123")},
		request{"the newest time counts", tail, fmt.Sprintf(`{"id":2,"params":{"properties":{"WF":[{"value":9,"time":%d},{"value":1,"time":%d}]}}}`, at[3], at[0]), ok("2")},
		request{"what does not fit is named, the rest is kept", tail, `{"id":"3","params":{"properties":{"Color":[{"value":1}],"Power":[{"value":7},{"value":8}],"WF":[{"value":50}]}}}`,
			replyTo(200, `{"Color":"tsl parse: params not exist","Power":"tsl parse: text type error"}`, "3", "success", method)},
		request{"nothing in it", tail, `{"id":"4","params":{"properties":{}}}`, replyTo(460, "{}", "4", "params is empty", method)},
		request{"not an object", tail, `{"id":"5","params":{"properties":[1]}}`, replyTo(460, "{}", "5", "params format error", method)},
		request{"no params", tail, `{"id":"6"}`, replyTo(460, "{}", "6", "params is empty", method)},
	)
	var many strings.Builder
	for i := range 201 {
		fmt.Fprintf(&many, `,"p%d":[{"value":1}]`, i)
	}
	w.asks(d, request{"too many", tail, `{"id":"7","params":{"properties":{` + many.String()[1:] + `}}}`, replyTo(6106, "{}", "7", "params too much", method)})
	if got := h.series(h.Platform.PropertyHistory, d, "Power"); got != `"on" "off"` {
		t.Errorf("stored %s", got)
	}
	if got := h.series(h.Platform.PropertyHistory, d, "WF"); got != "1 3 9 50" {
		t.Errorf("stored %s", got)
	}
	if got := h.series(h.Platform.EventHistory, d, "alarmEvent"); got != `{"Power":"on"}` {
		t.Errorf("stored %s", got)
	}
	h.wantLatest(d, map[string]string{"Power": `"off"`, "WF": "50"})
	if l := h.awaitLog(d, "6106"); l.Source != "server" || l.Module != "PropertyBatchPost" {
		t.Errorf("the device's log says %+v", l)
	}
}

func TestPackPost(t *testing.T) {
	h := mustStart(t)
	d := h.addRooms()
	w := h.login(d)
	const tail, method = "thing/event/property/pack/post", "thing.event.property.pack.post"
	at := h.times(1)
	w.asks(d,
		request{"its own", tail, fmt.Sprintf(`{"id":"1","params":{"properties":{"Power":{"value":"on","time":%d},"WF":4},"events":{"alarmEvent":{"value":{"Power":"x"},"time":%d}},"subDevices":[]}}`, at[0], at[0]), replyTo(200, "{}", "1", "success", method)},
		request{"itself by name", tail, `{"id":"2","params":{"subDevices":[{"identity":{"productKey":"a1rooms0001","deviceName":"dev01"},"properties":{"WF":{"value":5}}}]}}`, replyTo(200, "{}", "2", "success", method)},
		request{"a stranger", tail, `{"id":"3","params":{"properties":{"WF":6},"subDevices":[{"identity":{"productKey":"a1SubSubSub","deviceName":"sub001"},"properties":{"WF":1}}]}}`, replyTo(6401, "{}", "3", "topo relation not exist", method)},
		request{"one value that does not fit fails all", tail, `{"id":"4","params":{"properties":{"WF":7,"Power":3}}}`, replyTo(6310, "{}", "4", "tsl parse: text type error", method)},
		request{"nothing", tail, `{"id":"5","params":{}}`, replyTo(460, "{}", "5", "params is empty", method)},
		request{"21 sub-devices", tail, `{"id":"6","params":{"subDevices":[` + strings.Repeat("{},", 20) + `{}]}}`, replyTo(6357, "{}", "6", "too many sub-devices", method)},
		request{"201 events", tail, `{"id":"7","params":{"events":{"alarmEvent":[` + strings.Repeat(`{"value":{"Power":"x"}},`, 200) + `{"value":{}}]}}}`, replyTo(6356, "{}", "7", "too many events", method)},
	)
	h.wantLatest(d, map[string]string{"Power": `"on"`, "WF": "5"}) // nothing of what was refused
}

func TestHistoryPost(t *testing.T) {
	h := mustStart(t)
	d := h.addRooms()
	w := h.login(d)
	const tail, method = "thing/event/property/history/post", "thing.event.property.history.post"
	at := h.times(2)
	identity := `"identity":{"productKey":"a1rooms0001","deviceName":"dev01"}`
	w.asks(d,
		request{"now", "thing/event/property/post", `{"id":"0","params":{"WF":50}}`, replyTo(200, "{}", "0", "success", "thing.event.property.post")},
		request{"earlier", tail, fmt.Sprintf(`{"id":123,"version":"1.0","params":[{%s,"properties":[{"Power":{"value":"on","time":%d},"WF":{"value":3,"time":%d}},{"Power":{"value":"off","time":%d}}],"events":[{"alarmEvent":{"value":{"Power":"on"},"time":%d}}]}]}`, identity, at[0], at[0], at[1], at[0]), replyTo(200, "{}", "123", "success", method)},
		request{"no identity", tail, `{"id":"2","params":[{"properties":[{"WF":1}]}]}`, replyTo(460, "{}", "2", "request parameter error", method)},
		request{"a stranger", tail, `{"id":"3","params":[{"identity":{"productKey":"a","deviceName":"b"},"properties":[{"WF":1}]}]}`, replyTo(6401, "{}", "3", "topo relation not exist", method)},
		request{"unknown", tail, `{"id":"4","params":[{` + identity + `,"properties":[{"Color":{"value":1,"time":1}}]}]}`, replyTo(6304, "{}", "4", "tsl parse: params not exist", method)},
		request{"no array", tail, `{"id":"5","params":{}}`, replyTo(460, "{}", "5", "request parameter error", method)},
	)
	// History is never the current value: neither of what was reported nor of what was not.
	soon := nowMS() + 3_600_000
	w.asks(d, request{"newer than all", tail, fmt.Sprintf(`{"id":"6","params":[{%s,"properties":[{"WF":{"value":77,"time":%d}}]}]}`, identity, soon), replyTo(200, "{}", "6", "success", method)})
	h.wantLatest(d, map[string]string{"WF": "50", "Power": ""})
	if got := h.series(h.Platform.PropertyHistory, d, "Power"); got != `"on" "off"` {
		t.Errorf("stored %s", got)
	}
	if got := h.series(h.Platform.PropertyHistory, d, "WF"); got != "3 50 77" {
		t.Errorf("stored %s", got)
	}
	if got := h.series(h.Platform.EventHistory, d, "alarmEvent"); got != `{"Power":"on"}` {
		t.Errorf("stored %s", got)
	}
}

// TestDesiredValues: the server says what properties should become; the device is told at once or when it comes
// back, reads them and clears them.
func TestDesiredValues(t *testing.T) {
	h := mustStart(t)
	d := h.addRooms()
	ctx := t.Context()
	set := func(params string, versions map[string]int64) []platform.DesiredValue {
		t.Helper()
		v, err := h.Platform.SetDesired(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(params), versions)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := set(`{"WF":20,"Power":"on"}`, map[string]int64{"WF": 0}); v[0].Version != 1 || v[1].Version != 1 {
		t.Errorf("the first versions are %+v", v)
	}
	if v := set(`{"Power":"off"}`, map[string]int64{"Power": 1}); v[0].Version != 2 {
		t.Errorf("the second version is %+v", v)
	}
	if _, err := h.Platform.SetDesired(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"Power":"x"}`), map[string]int64{"Power": 1}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("an old version: %v", err)
	}
	for params, code := range map[string]alink.Code{`{"Nothing":1}`: 6320, `{"WF":101}`: 6306, `{}`: 460, `[1]`: 460, `{`: 460} {
		if _, err := h.Platform.SetDesired(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(params), nil); platform.CodeOf(err) != code {
			t.Errorf("%s: %v, want code %d", params, err, code)
		}
	}
	// It connects and is told.
	w := h.login(d)
	setTopic := sysOf(d, "thing/service/property/set")
	told := func(want string) {
		t.Helper()
		p := w.publication()
		var m struct {
			Method, ID, Version string
			Params              json.RawMessage
		}
		if err := json.Unmarshal(p.Payload, &m); err != nil || string(p.Topic) != setTopic || string(m.Params) != want || m.Method != "thing.service.property.set" {
			t.Errorf("told %s %s, want %s", p.Topic, p.Payload, want)
		}
		w.send(publish(setTopic+"_reply", `{"id":"`+m.ID+`","code":200,"data":{}}`, 0))
	}
	told(`{"Power":"off","WF":20}`)
	set(`{"Mode":1}`, nil)
	told(`{"Mode":1}`)

	const get, del = "thing.property.desired.get", "thing.property.desired.delete"
	w.asks(d,
		request{"get", "thing/property/desired/get", `{"id":"1","version":"1.0","params":["Power","Nothing","WF"],"method":"thing.property.desired.get"}`,
			replyTo(200, `{"Power":{"value":"off","version":2},"WF":{"value":20,"version":1}}`, "1", "success", get)},
		request{"no params", "thing/property/desired/get", `{"id":"2","params":{}}`, replyTo(460, "{}", "2", "request parameter error", get)},
		request{"not names", "thing/property/desired/get", `{"id":"3","params":[1]}`, replyTo(460, "{}", "3", "params should be property identifiers", get)},
		request{"too many", "thing/property/desired/get", `{"id":"4","params":["` + strings.Repeat(`x","`, 200) + `x"]}`, replyTo(6104, "{}", "4", "params too much", get)},
		request{"delete another version", "thing/property/desired/delete", `{"id":"5","params":{"Power":{"version":1}}}`, replyTo(200, "{}", "5", "success", del)},
		request{"still there", "thing/property/desired/get", `{"id":"6","params":["Power"]}`, replyTo(200, `{"Power":{"value":"off","version":2}}`, "6", "success", get)},
		request{"delete", "thing/property/desired/delete", `{"id":"7","params":{"Power":{"version":2},"Mode":{}}}`, replyTo(200, "{}", "7", "success", del)},
		request{"gone", "thing/property/desired/get", `{"id":"8","params":["Power","Mode"]}`, replyTo(200, `{}`, "8", "success", get)},
		request{"unknown", "thing/property/desired/delete", `{"id":"9","params":{"Nothing":{}}}`, replyTo(6320, "{}", "9", "tsl parse: property not defined", del)},
		// What it reports does not clear the desired value, but is not sent again.
		request{"report", "thing/event/property/post", `{"id":"10","params":{"WF":20}}`, replyTo(200, "{}", "10", "success", "thing.event.property.post")},
		request{"kept", "thing/property/desired/get", `{"id":"11","params":["WF"]}`, replyTo(200, `{"WF":{"value":20,"version":1}}`, "11", "success", get)},
	)
	h = h.restart()
	w = h.login(d)
	set(`{"Mode":0}`, nil)
	told(`{"Mode":0}`) // the first thing it is told: WF is as desired
	h.awaitLog(d, "6104")
}

func TestTags(t *testing.T) {
	h := mustStart(t)
	d := h.addRooms()
	w := h.login(d)
	const update, get, del = "thing.deviceinfo.update", "thing.deviceinfo.get", "thing.deviceinfo.delete"
	w.asks(d,
		request{"update", "thing/deviceinfo/update", `{"id":"1","version":"1.0","params":[{"attrKey":"Temperature","attrValue":"36.8"},{"attrKey":"room","attrValue":3},{"attrKey":"SYS_LP_SDK_VERSION","attrValue":"3.0.1","domain":"SYSTEM"}],"method":"x"}`, replyTo(200, "{}", "1", "success", update)},
		request{"get", "thing/deviceinfo/get", `{"id":"2","params":["Temperature","none"]}`, replyTo(200, `[{"attrKey":"Temperature","attrValue":"36.8"}]`, "2", "success", get)},
		request{"get all", "thing/deviceinfo/get", `{"id":"3","params":[]}`, replyTo(200, `[{"attrKey":"Temperature","attrValue":"36.8"},{"attrKey":"room","attrValue":"3"}]`, "3", "success", get)},
		request{"get a system tag", "thing/deviceinfo/get", `{"id":"4","params":["SYS_LP_SDK_VERSION"]}`, replyTo(200, `[{"attrKey":"SYS_LP_SDK_VERSION","attrValue":"3.0.1"}]`, "4", "success", get)},
		request{"delete", "thing/deviceinfo/delete", `{"id":"5","params":[{"attrKey":"Temperature"},{"attrKey":"none"}]}`, replyTo(200, "{}", "5", "success", del)},
		request{"gone", "thing/deviceinfo/get", `{"id":"6","params":["Temperature"]}`, replyTo(200, `[]`, "6", "success", get)},
		request{"no key", "thing/deviceinfo/update", `{"id":"7","params":[{"attrValue":"x"}]}`, replyTo(460, "{}", "7", "request parameter error", update)},
		request{"no array", "thing/deviceinfo/get", `{"id":"8","params":{"a":1}}`, replyTo(460, "{}", "8", "request parameter error", get)},
		request{"not an item", "thing/deviceinfo/delete", `{"id":"9","params":["room"]}`, replyTo(460, "{}", "9", "request parameter error", del)},
	)
	wantTags(t, h, d, map[string]string{"room": "3", "SYS_LP_SDK_VERSION": "3.0.1"})
}

// TestTemplates: a device fetches its thing model, as the C SDK 3 does in both ways.
func TestTemplates(t *testing.T) {
	h := mustStart(t)
	d := h.addRooms()
	w := h.login(d)
	for tail, params := range map[string]string{"thing/dsltemplate/get": `{}`, "thing/dynamicTsl/get": `{"nodes":["type","identifier"],"addDefault":false}`} {
		w.send(publish(sysOf(d, tail), `{"id":1,"version":"1.0","params":`+params+`}`, 0))
		p := w.publication()
		var m struct {
			Code     int
			ID       string
			Data     map[string]json.RawMessage
			Method   string
			Message  string
			Version  string
			Property []struct{ Identifier string }
		}
		if err := json.Unmarshal(p.Payload, &m); err != nil || string(p.Topic) != sysOf(d, tail+"_reply") || m.Code != 200 || m.ID != "1" ||
			string(m.Data["link"]) != `"/sys/a1rooms0001/dev01/thing/"` || string(m.Data["profile"]) == "" || !strings.Contains(string(p.Payload), `"functionBlockId":"roomA"`) {
			t.Errorf("%s was answered %s %s, %v", tail, p.Topic, p.Payload, err)
		}
	}
}

// TestModules: identifiers of a module are qualified in properties, topics and methods.
func TestModules(t *testing.T) {
	h := mustStart(t)
	d := h.addRooms()
	w := h.login(d)
	at := h.times(1)
	w.asks(d,
		request{"property", "thing/event/property/post", fmt.Sprintf(`{"id":"7","version":"1.0","params":{"roomA:Temp":{"value":21.5,"time":%d}}}`, at[0]), replyTo(200, "{}", "7", "success", "thing.event.property.post")},
		request{"unqualified", "thing/event/property/post", `{"id":"8","params":{"Temp":1}}`, replyTo(200, `{"Temp":"tsl parse: params not exist"}`, "8", "success", "thing.event.property.post")},
		request{"event", "thing/event/roomA:Smoke/post", `{"id":"9","params":{"value":{"Level":3}}}`, replyTo(200, "{}", "9", "success", "thing.event.roomA:Smoke.post")},
		request{"event of no module", "thing/event/Smoke/post", `{"id":"10","params":{"value":{"Level":3}}}`, replyTo(6320, "{}", "10", "tsl parse: event not exist", "thing.event.Smoke.post")},
		request{"batch", "thing/event/property/batch/post", `{"id":"11","params":{"properties":{"roomA:Temp":[{"value":22}]},"events":{"roomA:Smoke":[{"value":{"Level":4}}]}}}`, replyTo(200, "{}", "11", "success", "thing.event.property.batch.post")},
	)
	h.wantLatest(d, map[string]string{"roomA:Temp": "22"})
	if got := h.series(h.Platform.EventHistory, d, "roomA:Smoke"); got != `{"Level":3} {"Level":4}` {
		t.Errorf("stored events %s", got)
	}
	set := h.start("set roomA:Temp", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.SetProperties(ctx, who, d.ProductKey, d.DeviceName, json.RawMessage(`{"roomA:Temp":20}`), platform.CallOptions{Wait: true, ForceID: "1"})
	})
	w.wantPublication(sysOf(d, "thing/service/property/set"), `{"method":"thing.service.property.set","id":"1","params":{"roomA:Temp":20},"version":"1.0.0"}`)
	w.send(publish(sysOf(d, "thing/service/property/set_reply"), `{"id":"1","code":200,"data":{}}`, 0))
	set.result()
	call := h.start("call roomA:Air", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.InvokeService(ctx, who, d.ProductKey, d.DeviceName, "roomA:Air", json.RawMessage(`{"Minutes":5}`), platform.CallOptions{Wait: true, ForceID: "2"})
	})
	w.wantPublication(sysOf(d, "thing/service/roomA:Air"), `{"method":"thing.service.roomA:Air","id":"2","params":{"Minutes":5},"version":"1.0.0"}`)
	w.send(publish(sysOf(d, "thing/service/roomA:Air_reply"), `{"id":"2","code":200,"data":{}}`, 0))
	if r := call.result(); r.Code != 200 {
		t.Errorf("the call's result is %+v", r)
	}
}

// TestValidationModes: strong drops what is out of range, weak what is of another type, none keeps what the model
// knows.
func TestValidationModes(t *testing.T) {
	h := mustStart(t)
	d := h.addRooms()
	w := h.login(d)
	const method = "thing.event.property.post"
	for _, tt := range []struct{ mode, params, data string }{
		{"strong", `{"WF":101}`, `{"WF":"tsl parse: int out of range"}`},
		{"strong", `{"Power":"12345678901234567"}`, `{"Power":"tsl parse: text too long"}`},
		{"weak", `{"WF":101}`, `{}`},
		{"weak", `{"WF":"many"}`, `{"WF":"tsl parse: int type error"}`},
		{"weak", `{"Mode":7}`, `{}`},
		{"none", `{"Mode":"x","Color":1}`, `{}`},
	} {
		p, err := h.Platform.Product(t.Context(), d.ProductKey)
		if err != nil {
			t.Fatal(err)
		}
		p.Validation = tt.mode
		if err := h.Platform.UpdateProduct(t.Context(), who, p); err != nil {
			t.Fatal(err)
		}
		w.asks(d, request{tt.mode + " " + tt.params, "thing/event/property/post", `{"id":"1","params":` + tt.params + `}`, replyTo(200, tt.data, "1", "success", method)})
	}
}

// TestCustomTopicsWithoutUser: older products have custom topics without the level user.
func TestCustomTopicsWithoutUser(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	get, update := "/"+d.ProductKey+"/"+d.DeviceName+"/get", "/"+d.ProductKey+"/"+d.DeviceName+"/update"
	w.ask(append([]byte{0x82, byte(5 + len(get)), 0, 1, 0, byte(len(get))}, get+"\x01"...), []byte{0x90, 3, 0, 1, 1})
	if err := h.Platform.Publish(t.Context(), who, get, []byte("hello"), 0, false); err != nil {
		t.Fatal(err)
	}
	w.wantPublication(get, "hello")
	u := h.addUser("app")
	app := h.dial()
	app.ask(connectOf(alink.Login{ClientID: "app", Username: u.name, Password: u.password}, 60), connected)
	app.ask(append([]byte{0x82, byte(5 + len(update)), 0, 1, 0, byte(len(update))}, update+"\x00"...), []byte{0x90, 3, 0, 1, 0})
	w.send(publish(update, "here I am", 0))
	app.wantPublication(update, "here I am")
}
