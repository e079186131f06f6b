package alink

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkstead/linkstead/devjson"
)

func TestDecodeRequest(t *testing.T) {
	type want struct {
		ID, Version, Method string
		Ack                 bool
		Params              string
	}
	tests := []struct {
		name, in string
		want     want
	}{
		{"the seed's post", `{"id":"17","version":"1.0","params":{"Temp": 6,"Hum": 6,"Gas": 6},"method":"thing.event.property.set"}`,
			want{"17", "1.0", "thing.event.property.set", true, `{"Temp":6,"Hum":6,"Gas":6}`}},
		{"the seed's text", `{"id":"15","version":"1.0","params":{"Temp": 02},"method":"x"}`, want{"15", "1.0", "x", true, `{"Temp":2}`}},
		{"numeric id", `{"id":123,"version":1.0,"params":[1]}`, want{"123", "1.0", "", true, `[1]`}},
		{"leading zeros in the id", `{"id":"0011"}`, want{"0011", "", "", true, "null"}},
		{"Node's id", `{"id":"1|exp-topic|/sys/pk/dn/thing/event/property/post_reply","params":{}}`,
			want{"1|exp-topic|/sys/pk/dn/thing/event/property/post_reply", "", "", true, "{}"}},
		{"nothing but params", `{"params":{"Switch1":0}}`, want{"", "", "", true, `{"Switch1":0}`}},
		{"no reply wanted", `{"id":"9","sys":{"ack":0},"params":{}}`, want{"9", "", "", false, "{}"}},
		{"no reply wanted, as a string", `{"sys":{"ack":"0"}}`, want{"", "", "", false, "null"}},
		{"reply wanted", `{"sys":{"ack":1}}`, want{"", "", "", true, "null"}},
		{"sys without ack", `{"sys":{}}`, want{"", "", "", true, "null"}},
		{"single quotes", `{'id':'1','params':{'a':1}}`, want{"1", "", "", true, `{"a":1}`}},
		{"params as a string", `{"id":"1","params":"{}"}`, want{"1", "", "", true, `"{}"`}},
		{"wrong types", `{"id":{},"version":[],"method":7,"sys":1}`, want{"", "", "", true, "null"}},
		{"empty", `{}`, want{Ack: true, Params: "null"}},
	}
	var d Decoder
	var r Request
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := d.Request([]byte(tt.in), &r); err != nil {
				t.Fatal(err)
			}
			got := want{r.ID, r.Version, r.Method, r.Ack, string(r.Params.AppendJSON(nil))}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeReply(t *testing.T) {
	type want struct {
		ID      string
		Code    Code
		Data    string
		Message string
	}
	tests := map[string]want{
		`{"id":"934414241","code":200,"data":{}}`:                        {"934414241", 200, "{}", ""},
		`{"id": 7, "code": 200, "data": {"x": 1}, "message": "success"}`: {"7", 200, `{"x":1}`, "success"},
		`{"id":"2241348","code":"200","data":{}}`:                        {"2241348", 200, "{}", ""},
		`{"code":100001}`:        {"", 100001, "null", ""},
		`{'id':'1','code':0460}`: {"1", 460, "null", ""},
		`{"id":"1","version":"1.0","method":"m","code":-1,"message":null}`: {"1", -1, "null", ""},
	}
	var d Decoder
	var r Reply
	for in, w := range tests {
		if err := d.Reply([]byte(in), &r); err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if diff := cmp.Diff(w, want{r.ID, r.Code, string(r.Data.AppendJSON(nil)), r.Message}); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	tests := []struct {
		in    string
		reply bool
		code  Code
		text  string
	}{
		{`{"id":`, false, CodeNotJSON, "the payload is not JSON: JSON: byte 6: found the end of the message, expected a value"},
		{``, true, CodeNotJSON, "the payload is not JSON: JSON: byte 0: found the end of the message, expected a value"},
		{`[1]`, false, CodeNotAlink, "the payload must be a JSON object, this is of type array"},
		{`"x"`, true, CodeNotAlink, "the payload must be a JSON object, this is of type string"},
		{`{"id":"1"}`, true, CodeParameter, "the reply has no code"},
		{`{"code":"OK"}`, true, CodeParameter, "the reply's code must be an integer, this is of type string"},
		{`{"code":2.5}`, true, CodeParameter, "the reply's code must be an integer, this is of type number"},
		{`{"code":99999999999}`, true, CodeParameter, "the reply's code must be an integer, this is of type number"},
		{`{"code":null}`, true, CodeParameter, "the reply's code must be an integer, this is of type null"},
	}
	var d Decoder
	for _, tt := range tests {
		var err error
		if tt.reply {
			err = d.Reply([]byte(tt.in), new(Reply))
		} else {
			err = d.Request([]byte(tt.in), new(Request))
		}
		var e *EnvelopeError
		if !errors.As(err, &e) {
			t.Errorf("%s: error %v, want an *EnvelopeError", tt.in, err)
			continue
		}
		if e.Code != tt.code || err.Error() != tt.text {
			t.Errorf("%s: code %v, %v", tt.in, e.Code, err)
		}
		var syntax *devjson.SyntaxError
		if errors.As(err, &syntax) != (tt.code == CodeNotJSON) {
			t.Errorf("%s: a syntax error: %v", tt.in, syntax)
		}
	}
}

// The exact bytes matter: small clients search them with strstr.
func TestAppend(t *testing.T) {
	for got, want := range map[string]string{
		string(AppendReply(nil, CodeSuccess, nil, "17", "", "thing.event.property.post", "")):                                    `{"code":200,"data":{},"id":"17","message":"success","method":"thing.event.property.post","version":"1.0"}`,
		string(AppendReply(nil, CodeTooManyProperties, nil, "1", "", "m", "1.0")):                                                `{"code":6106,"data":{},"id":"1","message":"params too much","method":"m","version":"1.0"}`,
		string(AppendReply(nil, CodeSuccess, []byte(`{"LightSwitch":"tsl parse: params not exist"}`), `a"b`, "done", "", "1.1")): `{"code":200,"data":{"LightSwitch":"tsl parse: params not exist"},"id":"a\"b","message":"done","method":"","version":"1.1"}`,
		string(AppendCommand(nil, "thing.service.property.set", "934414241", []byte(`{"Light":1}`), "")):                         `{"method":"thing.service.property.set","id":"934414241","params":{"Light":1},"version":"1.0.0"}`,
		string(AppendCommand(nil, "thing.disable", "1", nil, "1.0")):                                                             `{"method":"thing.disable","id":"1","params":{},"version":"1.0"}`,
		string(AppendSessionReply(nil, CodeNoSession, []byte(`{"productKey":"a1SubSubSub","deviceName":"sub001"}`), "0", "")):    `{"id":"0","code":520,"message":"device no session","data":{"productKey":"a1SubSubSub","deviceName":"sub001"}}`,
		string(AppendSessionReply(nil, CodeSuccess, nil, "1", "ok")):                                                             `{"id":"1","code":200,"message":"ok","data":{}}`,
		string(AppendRequest(nil, "thing.event.property.post", "1", []byte(`{"Temp":6}`), true)):                                 `{"id":"1","version":"1.0","params":{"Temp":6},"method":"thing.event.property.post"}`,
		string(AppendRequest(nil, "m", "1", nil, false)):                                                                         `{"id":"1","version":"1.0","sys":{"ack":0},"params":{},"method":"m"}`,
		string(AppendDeviceReply(nil, 100001, nil, "105917531")):                                                                 `{"id":"105917531","code":100001,"data":{}}`,
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s is not JSON", got)
		}
	}
}

func TestCodes(t *testing.T) {
	for code, text := range codeTexts {
		if text == "" || strings.ToUpper(text[:1]) == text[:1] && text[0] >= 'A' {
			t.Errorf("%d: text %q", code, text)
		}
	}
	for got, want := range map[string]string{
		CodeSuccess.String():  "200 success",
		Code(123456).String(): "123456",
		strconv.FormatBool(Code(100000).FromDevice()) + strconv.FormatBool(Code(110001).FromDevice()): "truefalse",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	// Every number the tables of spec/thing-model.md §16 and spec/gateway.md §12 list has a text.
	for _, n := range []Code{200, 400, 401, 403, 404, 429, 460, 500, 503, 5005, 5244, 6100, 6203, 6204, 6250, 6450, 6452, 6760,
		6200, 6201, 26001, 26002, 26006, 26007, 26010, 5159, 5160, 5161, 6205, 6206, 6207, 6208, 6300, 6301, 6302, 6304, 6306, 6307,
		6308, 6309, 6310, 6311, 6312, 6313, 6314, 6316, 6317, 6318, 6320, 6321, 6322, 6323, 6324, 6325, 6326, 6328, 6329, 6332,
		6104, 6106, 6356, 6357, 6661, 6813, 6831, 427, 428, 520, 521, 522, 6280, 6287, 6288, 6289, 6292, 6400, 6401, 6402, 6600, 6619,
		9112, 6710, 6713, 6717, 6718, 1901, 1902, 1903, 1904, 1905, 1950, 1951, 9200, 9201, 9236,
		9320, 9321, 9324, 9331, 9332, 9333, 9399, 9600} {
		if n.Message() == "" {
			t.Errorf("%d has no text", int(n))
		}
	}
}

const postPayload = `{"id":"17","version":"1.0","params":{"Temp":6,"Hum":6,"Gas":6},"method":"thing.event.property.post"}`

func TestEnvelopeDoesNotAllocate(t *testing.T) {
	var d Decoder
	var r Request
	var p Reply
	payload, reply := []byte(postPayload), []byte(`{"id":"9","code":200,"data":{"a":1},"message":"success"}`)
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() {
		if d.Request(payload, &r) != nil {
			t.Fatal("refused")
		}
		buf = AppendReply(buf[:0], CodeSuccess, nil, r.ID, "", r.Method, r.Version)
		buf = AppendCommand(buf, r.Method, r.ID, nil, "")
		if d.Reply(reply, &p) != nil {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{postPayload, `{'id':01,'sys':{ack:0},}`, `{"id":"\u0000\"","code":"0200"}`, `{"code":1e2}`, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var d, e Decoder
		var r, again Request
		if err := d.Request(in, &r); err == nil {
			// What we append from it reads back as the same request.
			params := r.Params.AppendJSON(nil)
			out := AppendRequest(nil, r.Method, r.ID, params, r.Ack)
			if err := e.Request(out, &again); err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			if again.ID != r.ID || again.Method != r.Method || again.Ack != r.Ack || string(again.Params.AppendJSON(nil)) != string(params) {
				t.Fatalf("%s reads differently from %s", out, in)
			}
		}
		var p, q Reply
		if err := d.Reply(in, &p); err == nil {
			data := p.Data.AppendJSON(nil)
			out := AppendReply(nil, p.Code, data, p.ID, p.Message, "", "")
			if err := e.Reply(out, &q); err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			if q.ID != p.ID || q.Code != p.Code || (p.Message != "" && q.Message != p.Message) || string(q.Data.AppendJSON(nil)) != string(data) {
				t.Fatalf("%s reads differently from %s", out, in)
			}
		}
	})
}

func BenchmarkDecodeRequest(b *testing.B) {
	var d Decoder
	var r Request
	in := []byte(postPayload)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Request(in, &r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendReply(b *testing.B) {
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendReply(buf[:0], CodeSuccess, nil, "17", "", "thing.event.property.post", "1.0")
	}
}
