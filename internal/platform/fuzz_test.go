package platform

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/tsl"
)

// fuzzDevice is a device with the note's thing model and nothing else.
func fuzzDevice(t testing.TB) *device {
	t.Helper()
	m, err := tsl.Parse(demo.Model)
	if err != nil {
		t.Fatal(err)
	}
	pr := &product{key: demo.ProductKey}
	pr.model.Store(m)
	return newDevice(&deviceEntry{id: 1, product: pr}, demo.ProductKey, demo.DeviceName, 0, testNow)
}

// FuzzReports: whatever a batch, pack or history post carries, it is refused with a code or gives points that the
// store can take.
func FuzzReports(f *testing.F) {
	for _, seed := range []string{
		`{"id":"1","params":{"properties":{"Temp":[{"value":1,"time":1524448722000},{"value":"x"}]},"events":{"GasAlarm":[{"value":{"Gas":1,"Level":1},"time":1}]}}}`,
		`{"params":{"properties":{"Temp":{"value":1}},"subDevices":[{"identity":{"productKey":"a1ji0qFv6Jf","deviceName":"STC15"},"properties":{"Hum":2}}]}}`,
		`{"params":[{"identity":{"productKey":"a1ji0qFv6Jf","deviceName":"STC15"},"properties":[{"Temp":{"value":1,"time":"9"}}],"events":[{"GasAlarm":{"value":{"Gas":1}}}]}]}`,
		`{"params":{"properties":{"Temp":[[[[]]]]}}}`, `{"params":[]}`, `{'params':{properties:{Temp:[1,02,]}}}`,
	} {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(1))
		f.Add([]byte(seed), uint8(2))
	}
	d, p := fuzzDevice(f), &Platform{}
	var w worker
	f.Fuzz(func(t *testing.T, b []byte, kind uint8) {
		if w.decoder.Request(b, &w.request) != nil {
			return
		}
		for _, mode := range []tsl.Mode{tsl.Strong, tsl.Weak, tsl.None} {
			d.product.mode.Store(uint32(mode))
			w.points, w.data, w.values = w.points[:0], w.data[:0], w.values[:0]
			k := []alink.TopicKind{alink.PropertyBatchPost, alink.PropertyPackPost, alink.PropertyHistoryPost}[kind%3]
			_, problem := p.gather(&w, d, k, testNow.UnixMilli())
			if problem != nil && problem.Code == 0 {
				t.Errorf("refused without a code: %v", problem)
			}
			for _, point := range w.points {
				if point.TimeMS < 0 || point.TimeMS > store.MaxTime || point.Series.Identifier == "" || !json.Valid(point.Value.AppendJSON(nil)) {
					t.Errorf("point %+v, %s", point, point.Value.AppendJSON(nil))
				}
			}
			if len(w.data) > 0 && !json.Valid(append(bytes.Clone(w.data), '}')) {
				t.Errorf("the reply's data is %s", w.data)
			}
		}
	})
}

// FuzzShadow: whatever a device sends to its shadow, the shadow stays within its limits and can be written and
// read.
func FuzzShadow(f *testing.F) {
	for _, seed := range []string{
		`{"method":"update","state":{"reported":{"color":"red"}},"version":1}`, `{"method":"update","state":{"desired":"null"},"version":-1}`,
		`{"method":"delete","state":{"reported":{"a":"null"}}}`, `{"method":"delete","state":{"reported":null,"desired":null}}`, `{"method":"get"}`,
		`{"method":"update","state":{"reported":{"a":{"b":[1,{"c":null}]}},"desired":null},"version":1700000000000}`,
	} {
		f.Add([]byte(seed), []byte(`{"method":"update","state":{"reported":{"a":1,"b":"x"}}}`))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var doc shadowDocument
		var version int64
		for _, b := range [][]byte{first, second} {
			var parser devjson.Parser
			r, err := parseShadow(parser.Parse(b))
			if err != nil || r.method == "get" {
				continue
			}
			next, reset, err := nextVersion(r.version, version)
			if err != nil {
				continue
			}
			after, _ := json.Marshal(&doc)
			change, err := readShadow(after)
			if err != nil {
				t.Fatal(err)
			}
			if reset {
				change = shadowDocument{}
			}
			if r.apply(&change, 1700000000) != nil {
				continue
			}
			if !reset && next <= version && version < 1<<63-1 {
				t.Errorf("version %d after %d", next, version)
			}
			doc, version = change, next
			if state, meta := doc.appendState(nil), doc.appendMetadata(nil); !json.Valid(state) || !json.Valid(meta) || len(state) > maxShadowBytes && r.method == "update" {
				t.Errorf("state %s, metadata %s", state, meta)
			}
		}
	})
}

// FuzzParams: parameters of the other requests are read or refused, never more.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{
		`{"version":"1.0","module":"MCU"}`, `[{"utcTime":"x","logLevel":"INFO","logContent":7}]`, `{"p":[{"wifi":{}}]}`, `[]`, `"x"`, `null`,
		`{"taskId":"x","status":"FAILED","progress":"12","statusDetails":{"k":"v"}}`, `{"fileName":"a.b","fileSize":-1,"ficMode":"crc64","ficValue":"fF"}`,
		`{"fileInfo":{"streamId":1,"fileId":1},"fileBlock":{"size":-1,"offset":9223372036854775807}}`,
		`{"Light":{"version":"3"},"Temp":{}}`,
	} {
		f.Add([]byte(seed))
	}
	m, err := tsl.Parse(demo.Model)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var parser devjson.Parser
		v, err := parser.Parse(b)
		if err != nil {
			return
		}
		if module, version, ok := moduleOf(v); ok && (module == "" || len(module) > maxModuleText || len(version) > maxModuleText) {
			t.Errorf("module %q, version %q", module, version)
		}
		if lines, ok := logLines(v); ok && (len(lines) == 0 || len(lines) > maxLogPost) {
			t.Errorf("%d lines", len(lines))
		}
		if r, problem := parseTaskReport(v); problem == "" && (r.status == "" || r.progress < -1 || r.progress > 100 || r.details != "" && !json.Valid([]byte(r.details))) {
			t.Errorf("the report of a task is %+v", r)
		}
		request := uploadRequest{params: v}
		if in, code, _ := request.parseInit(); code == 0 && (!validFileName(in.name) || in.size == 0 || in.size < -1 || in.size > MaxUpload) {
			t.Errorf("the upload is %+v", in)
		}
		if depth(v) > maxShadowDepth+1+len(b) {
			t.Error("deeper than it can be")
		}
		if lines, ok := measurements(v); ok && (len(lines) == 0 || len(lines) > maxDiagnoses) {
			t.Errorf("%d measurements", len(lines))
		}
		if r, why := blockIn(v); why == "" && (r.size < 1 || r.size > maxBlock || r.offset < 0 || len(r.token) > 256) {
			t.Errorf("the block %+v", r)
		}
		if changes, bad := clearedIn(m, v); bad.code == 0 {
			for _, c := range changes {
				if _, known := m.Property(c.Identifier); !known || c.Expect < -1 {
					t.Errorf("clears %+v", c)
				}
			}
		}
		if changes, told, err := desiredChanges(m, v, nil); err == nil && (len(changes) == 0 || !json.Valid(told)) {
			t.Errorf("changes %v, told %s", changes, told)
		}
	})
}

// FuzzTags: tags are read within their limits or refused, in all three questions about them.
func FuzzTags(f *testing.F) {
	for _, seed := range []string{
		`[{"attrKey":"floor","attrValue":"3"},{"attrKey":"SYS_SDK_LANGUAGE","attrValue":"C","domain":"SYSTEM"}]`, `[{"attrKey":"k","attrValue":{"a":[1]}}]`,
		`["floor",{"attrKey":"room"}]`, `[{}]`, `{}`, `[]`, `[[]]`, `[{"attrKey":""}]`, `"floor"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var parser devjson.Parser
		v, err := parser.Parse(b)
		if err != nil {
			return
		}
		n := v.Len()
		if put, ok := tagsIn(v); ok {
			if v.Kind() == devjson.Array && len(put) != n {
				t.Errorf("%d tags of %d", len(put), n)
			}
			for _, tag := range put {
				if tag.Key == "" || len(tag.Key) > maxTagKey || tag.Domain != "" && tag.Domain != store.DomainSystem {
					t.Errorf("the tag %+v", tag)
				}
			}
		}
		if keys, ok := tagKeysIn(v); ok && v.Kind() == devjson.Array && len(keys) != n {
			t.Errorf("%d names of %d", len(keys), n)
		}
		if asked, ok := tagsAsked(v); ok && len(asked) > maxTagsInMessage {
			t.Errorf("asked for %d tags", len(asked))
		}
	})
}

// FuzzForm: the form of an HTTP request names a device within the limits or nobody.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"productKey=a1B2c3D4e5F&deviceName=dev01&random=567345&sign=ab&signMethod=hmacsha256", "productKey=%00&deviceName=&&=;", "deviceName=a%26b&productKey=c", "a=1&a=2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		if pk, dn, ok := names(form); ok && (pk == "" || dn == "" || len(pk) > maxName || len(dn) > maxName || strings.Contains(dn, "&")) {
			t.Errorf("%q names %q/%q", body, pk, dn)
		}
		content := alink.SortedContent(params(form), "sign", "signMethod")
		if form.Get("sign") != "" && len(form) == 1 && content != "" {
			t.Errorf("%q signs %q", body, content)
		}
		if method, err := alink.ParseSignMethod(form.Get("signMethod")); err == nil && !alink.MatchesContent(method, "secret", content, alink.Sign(method, "secret", content)) {
			t.Errorf("%q: its own signature does not fit", body)
		}
	})
}

// TestBlockChecksum is the standard check of CRC-16/ARC.
func TestBlockChecksum(t *testing.T) {
	if got := alink.CRC16([]byte("123456789")); got != 0xBB3D {
		t.Errorf("the checksum is %04X", got)
	}
	if got := alink.CRC16(nil); got != 0 {
		t.Errorf("the checksum of nothing is %04X", got)
	}
}

var testNow = time.UnixMilli(1_700_000_000_000)

// FuzzAuth reads bodies of /auth and queries of uploads.
func FuzzAuth(f *testing.F) {
	f.Add([]byte(`{"productKey":"a1B2c3D4e5F","deviceName":"dev01","clientId":"x","sign":"2449","seq":"10","ackMode":1,"timestamp":1501668289957}`), "qos=1&_sn=default")
	f.Add([]byte(`{"productKey":null,"seq":{},"ackMode":"0"}`), "%zz")
	f.Add([]byte(`[[[[`), "qos=%31;")
	f.Fuzz(func(t *testing.T, body []byte, query string) {
		c, err := readCredentials(body)
		if err == nil {
			if c.pk == "" || c.dn == "" || c.clientID == "" || c.sign == "" || len(c.pk) > maxName || len(c.dn) > maxName || c.hasSeq && !decimal(c.seq) {
				t.Errorf("%q is read as %+v", body, c)
			}
			_ = timely(c, time.Unix(1_700_000_000, 0))
		} else if err.why != whyMalformed || err.cause == "" {
			t.Errorf("%q: %+v", body, err)
		}
		if qos, topic, err := uploadQuery(query); qos > 1 || err == nil && topic != "" && topic[:5] != "?_sn=" {
			t.Errorf("%q: QoS %d, %q", query, qos, topic)
		}
		data := appendReplyData(nil, body)
		if !json.Valid(data) {
			t.Errorf("%q is shown as %q", body, data)
		}
	})
}
