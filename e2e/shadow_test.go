package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/platform"
)

var seconds = regexp.MustCompile(`"timestamp":1\d{9}`)

// wantShadow fails unless the next packet is this message on the shadow's topic; T stands for a time.
func (w *wire) wantShadow(d alink.Triple, want string) {
	w.t.Helper()
	p := w.publication()
	got := seconds.ReplaceAllString(string(p.Payload), `"timestamp":T`)
	if string(p.Topic) != "/shadow/get/"+d.ProductKey+"/"+d.DeviceName || got != want {
		w.t.Errorf("the shadow answers on %s\n got %s\nwant %s", p.Topic, got, want)
	}
}

// TestShadow walks through everything a device and an application do with a shadow.
func TestShadow(t *testing.T) {
	h := mustStart(t)
	d := h.addSeed()
	w := h.login(d)
	ask := func(payload, want string) {
		t.Helper()
		w.send(publish("/shadow/update/"+d.ProductKey+"/"+d.DeviceName, payload, 0))
		w.wantShadow(d, want)
	}
	ok := func(version int) string {
		return fmt.Sprintf(`{"method":"reply","payload":{"status":"success","version":%d},"timestamp":T}`, version)
	}
	fail := func(code int, text string) string {
		return fmt.Sprintf(`{"method":"reply","payload":{"status":"error","content":{"errorcode":"%d","errormessage":"%s"}},"timestamp":T}`, code, text)
	}
	whole := func(method, state, metadata string, version int) string {
		return fmt.Sprintf(`{"method":"%s","payload":{"status":"success","state":%s,"metadata":%s},"version":%d,"timestamp":T}`, method, state, metadata, version)
	}
	const conflict = "the version is not greater than the shadow's"
	ask(`{"method":"get"}`, fail(407, "the shadow is empty"))
	ask(`{"method":"update","state":{"reported":{"color":"red","size":{"x":1}}},"version":1}`, ok(1))
	ask(`{"method":"update","state":{"reported":{"color":"blue"}},"version":1}`, fail(409, conflict))
	ask(`{"method":"get"}`, whole("reply", `{"reported":{"color":"red","size":{"x":1}}}`, `{"reported":{"color":{"timestamp":T},"size":{"timestamp":T}}}`, 1))

	desire := func(desired string, version int64) (platform.Shadow, error) {
		return h.Platform.DesireShadow(t.Context(), who, d.ProductKey, d.DeviceName, json.RawMessage(desired), version)
	}
	if s, err := desire(`{"color":"green","fan":2}`, 0); err != nil || s.Version != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	state := `{"reported":{"color":"red","size":{"x":1}},"desired":{"color":"green","fan":2}}`
	metadata := `{"reported":{"color":{"timestamp":T},"size":{"timestamp":T}},"desired":{"color":{"timestamp":T},"fan":{"timestamp":T}}}`
	w.wantShadow(d, whole("control", state, metadata, 2))
	if _, err := desire(`{"color":"green"}`, 2); platform.KindOf(err) != platform.KindConflict {
		t.Errorf("an old version: %v", err)
	}
	if s, err := desire(`{"fan":null}`, 0); err != nil || string(s.State) != `{"reported":{"color":"red","size":{"x":1}},"desired":{"color":"green"}}` {
		t.Errorf("%s, %v", s.State, err)
	}
	w.publication()
	// It is away and comes back: told again, after a restart too.
	h = h.restart()
	w = h.login(d)
	w.wantShadow(d, whole("control", `{"reported":{"color":"red","size":{"x":1}},"desired":{"color":"green"}}`,
		`{"reported":{"color":{"timestamp":T},"size":{"timestamp":T}},"desired":{"color":{"timestamp":T}}}`, 3))
	// Done: reported and desired in one, with the text null and as 64-bit version.
	ask(`{"method":"update","state":{"reported":{"color":"green"},"desired":"null"},"version":1700000000000}`, ok(1700000000000))
	ask(`{"method":"get"}`, whole("reply", `{"reported":{"color":"green","size":{"x":1}}}`, `{"reported":{"color":{"timestamp":T},"size":{"timestamp":T}},"desired":{"timestamp":T}}`, 1700000000000))
	ask(`{"method":"update","state":{"desired":null}}`, ok(1700000000001))
	ask(`{"method":"delete","state":{"reported":{"size":"null","none":"null"}},"version":1700000000002}`, ok(1700000000002))
	ask(`{"method":"delete","state":{"reported":"null"},"version":1700000000003}`, ok(1700000000003))
	ask(`{"method":"update","state":{"reported":{"a":1}},"version":-1}`, ok(0))
	ask(`{"method":"get"}`, whole("reply", `{"reported":{"a":1}}`, `{"reported":{"a":{"timestamp":T}}}`, 0))

	// What is wrong has a code, and changes nothing.
	var many []string
	for i := range 129 {
		many = append(many, fmt.Sprintf(`"k%d":1`, i))
	}
	for payload, want := range map[string]string{
		`{"method":`:          fail(400, "the message is not JSON"),
		`[1]`:                 fail(400, "the message is not JSON"),
		`{"state":{}}`:        fail(401, "method is missing"),
		`{"method":"update"}`: fail(402, "state is missing"),
		`{"method":"update","state":{"reported":{"a":2}},"version":"x"}`:                       fail(403, "version is not a number"),
		`{"method":"update","state":{}}`:                                                       fail(404, "reported is missing"),
		`{"method":"update","state":{"reported":{}}}`:                                          fail(405, "reported is empty"),
		`{"method":"drop","state":{}}`:                                                         fail(406, "the method is none of update, get and delete"),
		`{"method":"update","state":{"reported":{` + strings.Join(many, ",") + `}}}`:           fail(408, "more than 128 attributes"),
		`{"method":"update","state":{"reported":{"a":{"b":{"c":{"d":{"e":1}}}}}}}`:             fail(400, "the shadow is larger than 16384 bytes or deeper than 5 levels"),
		`{"method":"update","state":{"reported":{"a":"` + strings.Repeat("x", 16<<10) + `"}}}`: fail(400, "the shadow is larger than 16384 bytes or deeper than 5 levels"),
		`{"method":"update","state":{"reported":{"a":"` + strings.Repeat("x", 64<<10) + `"}}}`: fail(400, "the shadow is larger than 16384 bytes or deeper than 5 levels"),
	} {
		ask(payload, want)
	}
	ask(`{"method":"get"}`, whole("reply", `{"reported":{"a":1}}`, `{"reported":{"a":{"timestamp":T}}}`, 0))
	h.awaitLog(d, "408")
	if err := h.Platform.DeleteShadow(t.Context(), who, d.ProductKey, d.DeviceName); err != nil {
		t.Fatal(err)
	}
	ask(`{"method":"get"}`, fail(407, "the shadow is empty"))
}
