package platform_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/server"
	"github.com/linkstead/linkstead/mqtt"
)

const (
	pk = demo.ProductKey
	dn = demo.DeviceName
)

// patience is how long a test waits for what must happen. It bounds failing tests
// only.
const patience = 30 * time.Second

// mustStart starts a real server with the note's product, model and device.
func mustStart(t testing.TB, change func(*config.Config)) *server.Server {
	t.Helper()
	cfg := config.Default()
	cfg.Data = t.TempDir()
	cfg.Listen = []string{"127.0.0.1:0"}
	cfg.Admin = "127.0.0.1:0"
	cfg.Device.Settle = 0
	cfg.Device.Pace = 0
	if change != nil {
		change(&cfg)
	}
	s, err := server.Start(t.Context(), cfg, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	ctx := t.Context()
	if _, err := s.Platform.CreateProduct(ctx, "test", platform.Product{ProductKey: pk, Name: "STC15"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Platform.ImportModel(ctx, "test", pk, demo.Model); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Platform.CreateDevice(ctx, "test", platform.NewDevice{ProductKey: pk, DeviceName: dn, DeviceSecret: demo.DeviceSecret}); err != nil {
		t.Fatal(err)
	}
	return s
}

func dial(t testing.TB, s *server.Server) *demo.Device {
	t.Helper()
	d, err := demo.Dial(s.Addresses()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// connect sends a CONNECT with the given login and returns the return code.
func connect(t testing.TB, d *demo.Device, l alink.Login, keepAlive uint16) byte {
	t.Helper()
	c := mqtt.Connect{Version: mqtt.V311, CleanStart: true, KeepAlive: keepAlive, ClientID: []byte(l.ClientID)}
	if l.Username != "" {
		c.HasUsername, c.Username = true, []byte(l.Username)
	}
	if l.Password != "" {
		c.HasPassword, c.Password = true, []byte(l.Password)
	}
	if err := d.Send(c.Append(nil)); err != nil {
		t.Fatal(err)
	}
	got, err := d.Receive(patience)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 || got[0] != 0x20 {
		t.Fatalf("CONNACK is % X", got)
	}
	return got[3]
}

var triple = alink.Triple{ProductKey: pk, DeviceName: dn, DeviceSecret: demo.DeviceSecret}

// login logs the note's device in.
func login(t testing.TB, s *server.Server, extra ...alink.Param) *demo.Device {
	t.Helper()
	d := dial(t, s)
	if rc := connect(t, d, triple.Login(alink.LoginOptions{Method: alink.HMACSHA256, Extra: extra}), 60); rc != 0 {
		t.Fatalf("return code %d: %+v", rc, s.Platform.Refusals())
	}
	return d
}

func expect(t testing.TB, d *demo.Device, topic, payload string) {
	t.Helper()
	if err := d.Expect("the message on "+topic, demo.Publish(topic, payload)); err != nil {
		t.Fatalf("%v\nwant %s", err, payload)
	}
}

func TestLoginVariants(t *testing.T) {
	s := mustStart(t, nil)
	for _, method := range []alink.SignMethod{alink.HMACMD5, alink.HMACSHA1, alink.HMACSHA256} {
		for _, timestamp := range []string{"", "2524608000000", "789"} {
			for _, upper := range []bool{false, true} {
				l := triple.Login(alink.LoginOptions{Method: method, Timestamp: timestamp, UpperCase: upper, SecureMode: "2",
					Extra: []alink.Param{{Key: "_v", Value: "sdk-c-4.1.0"}, {Key: "lan", Value: "JS|Broswer "}}})
				if rc := connect(t, dial(t, s), l, 100); rc != 0 {
					t.Errorf("%v, timestamp %q, upper %v: return code %d: %v", method, timestamp, upper, rc, s.Platform.Refusals()[0].Cause)
				}
			}
		}
	}
	l := triple.Login(alink.LoginOptions{Method: alink.HMACSHA1, Prefix: "10001", Timestamp: "789"})
	l.ClientID = "10001|timestamp=789,signmethod=HmacSHA1,securemode=3,|" // another order, a trailing comma, other letters
	if rc := connect(t, dial(t, s), l, 100); rc != 0 {
		t.Errorf("another order of parameters: return code %d: %v", rc, s.Platform.Refusals()[0].Cause)
	}
}

func TestRefusedLogins(t *testing.T) {
	s := mustStart(t, func(c *config.Config) { c.Device.Strict = true })
	ctx := t.Context()
	if _, err := s.Platform.CreateDevice(ctx, "test", platform.NewDevice{ProductKey: pk, DeviceName: "disabled", DeviceSecret: demo.DeviceSecret}); err != nil {
		t.Fatal(err)
	}
	if err := s.Platform.SetEnabled(ctx, "test", pk, "disabled", false); err != nil {
		t.Fatal(err)
	}
	if err := s.Platform.PutUser(ctx, "test", "app", "long enough", nil); err != nil {
		t.Fatal(err)
	}
	good := triple.Login(alink.LoginOptions{Method: alink.HMACSHA1})
	with := func(change func(l *alink.Login)) alink.Login { l := good; change(&l); return l }
	wrongMethod := triple.Login(alink.LoginOptions{Method: alink.HMACMD5})
	for _, tt := range []struct {
		name  string
		login alink.Login
		keep  uint16
		code  byte
		cause string
	}{
		{"method of another hash", alink.Login{ClientID: good.ClientID, Username: good.Username, Password: wrongMethod.Password}, 60, 4, "hmacmd5"},
		{"wrong secret", alink.Triple{ProductKey: pk, DeviceName: dn, DeviceSecret: "x"}.Login(alink.LoginOptions{Method: alink.HMACSHA1}), 60, 4, "password"},
		{"no password", with(func(l *alink.Login) { l.Password = "" }), 60, 4, "no password"},
		{"unknown device", with(func(l *alink.Login) { l.Username = "nobody&" + pk }), 60, 4, "there is no device nobody in product " + pk},
		{"unknown product", with(func(l *alink.Login) { l.Username = dn + "&nothing" }), 60, 4, "there is no product nothing"},
		{"swapped user name", with(func(l *alink.Login) { l.Username = pk + "&" + dn }), 60, 4, "not the other way round"},
		{"disabled", alink.Triple{ProductKey: pk, DeviceName: "disabled", DeviceSecret: demo.DeviceSecret}.Login(alink.LoginOptions{}), 60, 5, "disabled"},
		{"client id not closed", with(func(l *alink.Login) { l.ClientID = "10001|securemode=3" }), 60, 2, "client id"},
		{"keep-alive of 29", good, 29, 2, "keep-alive is 29 s"},
		{"keep-alive of 1201", good, 1201, 2, "keep-alive is 1201 s"},
		{"dynamic registration", with(func(l *alink.Login) { l.ClientID = "x|securemode=2,authType=register,random=1,signmethod=hmacsha1|" }), 60, 2, "dynamic registration without TLS"},
		{"token login", with(func(l *alink.Login) { l.ClientID = "x|securemode=-1|" }), 60, 4, "securemode=-1"},
		{"anonymous", alink.Login{ClientID: "someone"}, 60, 5, "nobody may log in anonymously"},
		{"device without user name", alink.Login{ClientID: ".|securemode=2|"}, 60, 4, "X.509"},
		{"unknown user", alink.Login{ClientID: "c", Username: "nobody", Password: "long enough"}, 60, 4, "there is no user nobody"},
		{"wrong password", alink.Login{ClientID: "c", Username: "app", Password: "long enoughh"}, 60, 4, "wrong password"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := dial(t, s)
			if rc := connect(t, d, tt.login, tt.keep); rc != tt.code {
				t.Errorf("return code %d, want %d", rc, tt.code)
			}
			last := s.Platform.Refusals()[0]
			if !strings.Contains(last.Cause, tt.cause) {
				t.Errorf("cause %q, want %q in it", last.Cause, tt.cause)
			}
			if strings.Contains(fmt.Sprint(last), demo.DeviceSecret) || strings.Contains(fmt.Sprint(last), good.Password) {
				t.Errorf("the refusal shows a secret: %v", last)
			}
			if _, err := netip.ParseAddrPort(last.Remote); err != nil {
				t.Errorf("remote %q", last.Remote)
			}
			if _, err := d.Receive(patience); err == nil || os.IsTimeout(err) {
				t.Error("the connection is still open")
			}
		})
	}
}

// The bytes of replies are those of spec/thing-model.md §3 to §7.
func TestPostsAndReplies(t *testing.T) {
	s := mustStart(t, nil)
	d := login(t, s)
	future := time.Now().Add(48 * time.Hour).UnixMilli()
	var many strings.Builder
	for i := range 201 {
		fmt.Fprintf(&many, `%s"p%d":1`, map[bool]string{true: ",", false: ""}[i > 0], i)
	}
	const post, event = "thing.event.property.post", "thing.event.GasAlarm.post"
	reply := func(code int, data, id, message, method string) string {
		return fmt.Sprintf(`{"code":%d,"data":%s,"id":"%s","message":"%s","method":"%s","version":"1.0"}`, code, data, id, message, method)
	}
	ok := func(id string) string { return reply(200, "{}", id, "success", post) }
	const tailPost, tailEvent = "thing/event/property/post", "thing/event/GasAlarm/post"
	for _, tt := range []struct{ name, tail, payload, want string }{
		{"plain", tailPost, `{"id":"17","version":"1.0","params":{"Temp": 6},"method":"thing.event.property.set"}`, ok("17")},
		{"timestamped", tailPost, `{"id":"18","params":{"Temp":{"value":7,"time":1524448722000},"Light":1}}`, ok("18")},
		{"numeric id", tailPost, `{"id":19,"params":{"Temp":8}}`, ok("19")},
		{"no id", tailPost, `{"params":{"Light":0}}`, ok("")},
		{"composite id", tailPost, `{"id":"1|exp-topic|/sys/x","params":{"Temp":8}}`, ok("1|exp-topic|/sys/x")},
		{"single quotes", tailPost, `{'id':'20','version':'1.0','params':{'Light':1},'method':'thing.event.property.post'}`, ok("20")},
		{"leading zero", tailPost, `{"id":"21","params":{"Temp": 02}}`, ok("21")},
		{"trailing NUL", tailPost, "{\"id\":\"22\",\"params\":{\"Temp\":9}}\x00", ok("22")},
		{"unknown property", tailPost, `{"id":"23","params":{"Temp":10,"Colour":"red"}}`,
			reply(200, `{"Colour":"tsl parse: params not exist"}`, "23", "success", post)},
		{"more than 200", tailPost, `{"id":"24","params":{` + many.String() + `}}`, reply(6106, "{}", "24", "params too much", post)},
		{"event with value and time", tailEvent, `{"id":"26","params":{"value":{"Gas":700,"Level":1},"time":1524448722000}}`, reply(200, "{}", "26", "success", event)},
		{"event bare", tailEvent, `{"id":"27","params":{"Gas":800,"Level":1}}`, reply(200, "{}", "27", "success", event)},
	} {
		topic := "/sys/" + pk + "/" + dn + "/" + tt.tail
		if err := d.Send(demo.Publish(topic, tt.payload)); err != nil {
			t.Fatal(err)
		}
		got, err := d.Receive(patience)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if want := demo.Publish(topic+"_reply", tt.want); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, want)
		}
	}
	// What is refused as a whole carries a code, whatever its text.
	for name, tt := range map[string]struct {
		tail, payload, id string
		code              int
	}{
		"not JSON":       {tailPost, `{"id":"30","params":`, "", 6207},
		"not an object":  {tailPost, `[1,2]`, "", 6831},
		"no params":      {tailPost, `{"id":"31"}`, "31", 460},
		"empty params":   {tailPost, `{"id":"32","params":{}}`, "32", 460},
		"unknown event":  {"thing/event/Nothing/post", `{"id":"33","params":{"value":{}}}`, "33", 6320},
		"event bad type": {tailEvent, `{"id":"34","params":{"value":{"Gas":"much"}}}`, "34", 6306},
	} {
		topic := "/sys/" + pk + "/" + dn + "/" + tt.tail
		if err := d.Send(demo.Publish(topic, tt.payload)); err != nil {
			t.Fatal(err)
		}
		got, err := d.Receive(patience)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := fmt.Sprintf(`{"code":%d,"data":{},"id":"%s",`, tt.code, tt.id)
		if !bytes.Contains(got, []byte(topic+"_reply"+want)) {
			t.Errorf("%s:\n got %q\nwant %s in it", name, got, want)
		}
	}
	// A value that is no good is named, the others are stored.
	if err := d.Send(demo.Publish(demo.TopicPost, fmt.Sprintf(`{"id":"40","params":{"Temp":"hot","Hum":{"value":5,"time":%d},"Gas":42}}`, future))); err != nil {
		t.Fatal(err)
	}
	got, err := d.Receive(patience)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"code":200,"data":{"Temp":"tsl parse:`, `"Hum":"tsl parse:`, `"id":"40"`} {
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("got %q, want %s in it", got, want)
		}
	}
	// sys.ack 0: no reply, but stored.
	if err := d.Send(demo.Publish(demo.TopicPost, `{"id":"41","sys":{"ack":0},"params":{"Gas":43}}`)); err != nil {
		t.Fatal(err)
	}
	if err := d.Send(demo.Publish(demo.TopicPost, `{"id":"42","sys":{"ack":1},"params":{"Hum":44}}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, d, demo.TopicPost+"_reply", ok("42"))

	values, err := s.Platform.LatestProperties(t.Context(), pk, dn)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, v := range values {
		have[v.Identifier] = string(v.Value)
	}
	if want := map[string]string{"Temp": "10", "Hum": "44", "Gas": "43", "Light": "1"}; fmt.Sprint(have) != fmt.Sprint(want) {
		t.Errorf("stored %v, want %v", have, want)
	}
	old, err := s.Platform.EventHistory(t.Context(), pk, dn, "GasAlarm", platform.HistoryQuery{})
	if err != nil || len(old) != 1 || string(old[0].Value) != `{"Gas":800,"Level":1}` { // the one of 2018 is beyond the retention
		t.Errorf("events %v, %v", old, err)
	}
}

func TestCommands(t *testing.T) {
	s := mustStart(t, func(c *config.Config) { c.Device.CallTimeout = config.Duration(patience) })
	d := login(t, s)
	ctx := t.Context()
	type outcome struct {
		r   *platform.CallResult
		err error
	}
	async := func(f func() (*platform.CallResult, error)) <-chan outcome {
		c := make(chan outcome, 1)
		go func() { r, err := f(); c <- outcome{r, err} }()
		return c
	}
	sys := "/sys/" + pk + "/" + dn + "/"

	done := async(func() (*platform.CallResult, error) {
		return s.Platform.SetProperties(ctx, "test", pk, dn, json.RawMessage(`{ "Light" : 1 }`), platform.CallOptions{Wait: true, ForceID: "934414241"})
	})
	expect(t, d, demo.TopicSet, `{"method":"thing.service.property.set","id":"934414241","params":{"Light":1},"version":"1.0.0"}`)
	_ = d.Send(demo.Publish(demo.TopicSet+"_reply", `{"id": 934414241, "code": "200", "data": {}}`)) // number, text and blanks
	if o := <-done; o.err != nil || !o.r.Replied || o.r.Code != 200 || o.r.ID != "934414241" {
		t.Errorf("set: %+v, %v", o.r, o.err)
	}

	done = async(func() (*platform.CallResult, error) {
		return s.Platform.GetProperties(ctx, pk, dn, []string{"Light", "Temp"}, platform.CallOptions{ForceID: "55"})
	})
	expect(t, d, sys+"thing/service/property/get", `{"method":"thing.service.property.get","id":"55","params":["Light","Temp"],"version":"1.0.0"}`)
	_ = d.Send(demo.Publish(sys+"thing/service/property/get_reply", `{"id":"55","code":200,"data":{"Light":1,"Temp":22}}`))
	if o := <-done; o.err != nil || string(o.r.Data) != `{"Light":1,"Temp":22}` {
		t.Errorf("get: %+v, %v", o.r, o.err)
	}

	done = async(func() (*platform.CallResult, error) {
		return s.Platform.InvokeService(ctx, "test", pk, dn, "Blink", json.RawMessage(`{"times":3}`), platform.CallOptions{Wait: true, ForceID: "7"})
	})
	expect(t, d, sys+"thing/service/Blink", `{"method":"thing.service.Blink","id":"7","params":{"times":3},"version":"1.0.0"}`)
	_ = d.Send(demo.Publish(sys+"thing/service/Blink_reply", `{"id":"7","code":100001,"data":{}}`))
	if o := <-done; o.err != nil || o.r.Code != 100001 {
		t.Errorf("service: %+v, %v", o.r, o.err)
	}

	// A synchronous service of a device that did not ask for /ext/rrpc.
	done = async(func() (*platform.CallResult, error) {
		return s.Platform.InvokeService(ctx, "test", pk, dn, "ReadSensor", nil, platform.CallOptions{ForceID: "8"})
	})
	expect(t, d, sys+"rrpc/request/8", `{"method":"thing.service.ReadSensor","id":"8","params":{},"version":"1.0.0"}`)
	_ = d.Send(demo.Publish(sys+"rrpc/response/8", `{"id":"8","code":200,"data":{"Temp":1,"Hum":2}}`))
	if o := <-done; o.err != nil || string(o.r.Data) != `{"Temp":1,"Hum":2}` {
		t.Errorf("rrpc: %+v, %v", o.r, o.err)
	}
	history, err := s.Platform.ServiceHistory(ctx, pk, dn, "Blink", platform.HistoryQuery{})
	if err != nil || len(history) != 1 || string(history[0].Value) != `{"id":"7","code":100001,"input":{"times":3},"output":{}}` {
		t.Errorf("service history %v, %v", history, err)
	}

	// No reply: a time-out; a late one is nobody's.
	done = async(func() (*platform.CallResult, error) {
		return s.Platform.SetProperties(ctx, "test", pk, dn, json.RawMessage(`{"Light":0}`), platform.CallOptions{Wait: true, ForceID: "9", Timeout: 50 * time.Millisecond})
	})
	expect(t, d, demo.TopicSet, `{"method":"thing.service.property.set","id":"9","params":{"Light":0},"version":"1.0.0"}`)
	if o := <-done; platform.KindOf(o.err) != platform.KindTimeout {
		t.Errorf("without a reply: %+v, %v", o.r, o.err)
	}
	_ = d.Send(demo.Publish(demo.TopicSet+"_reply", `{"id":"9","code":200,"data":{}}`))

	// What the model does not allow is not sent.
	for name, tt := range map[string]struct {
		call func() error
		code alink.Code
	}{
		"read-only": {func() error {
			_, err := s.Platform.SetProperties(ctx, "test", pk, dn, json.RawMessage(`{"Temp":1}`), platform.CallOptions{})
			return err
		}, 6332},
		"unknown": {func() error {
			_, err := s.Platform.SetProperties(ctx, "test", pk, dn, json.RawMessage(`{"X":1}`), platform.CallOptions{})
			return err
		}, 6320},
		"wrong type": {func() error {
			_, err := s.Platform.SetProperties(ctx, "test", pk, dn, json.RawMessage(`{"Light":7}`), platform.CallOptions{})
			return err
		}, 6308},
		"not JSON": {func() error {
			_, err := s.Platform.SetProperties(ctx, "test", pk, dn, json.RawMessage(`{'Light':1}`), platform.CallOptions{})
			return err
		}, 460},
		"no service": {func() error {
			_, err := s.Platform.InvokeService(ctx, "test", pk, dn, "Dance", nil, platform.CallOptions{})
			return err
		}, 6206},
		"input missing": {func() error {
			_, err := s.Platform.InvokeService(ctx, "test", pk, dn, "Blink", nil, platform.CallOptions{})
			return err
		}, 6302},
	} {
		if err := tt.call(); err == nil || platform.CodeOf(err) != tt.code {
			t.Errorf("%s: %v (code %d), want code %d", name, err, platform.CodeOf(err), tt.code)
		}
	}
	if _, err := s.Platform.SetProperties(ctx, "test", pk, "nobody", json.RawMessage(`{"Light":1}`), platform.CallOptions{}); platform.KindOf(err) != platform.KindNotFound {
		t.Errorf("unknown device: %v", err)
	}
}

func TestSynchronousServiceOverExtRRPC(t *testing.T) {
	s := mustStart(t, nil)
	d := login(t, s, alink.Param{Key: "_ss", Value: "1"}, alink.Param{Key: "ext", Value: "3"})
	done := make(chan error, 1)
	var r *platform.CallResult
	go func() {
		var err error
		r, err = s.Platform.InvokeService(t.Context(), "test", pk, dn, "ReadSensor", nil, platform.CallOptions{ForceID: "77"})
		done <- err
	}()
	topic := "/ext/rrpc/77/sys/" + pk + "/" + dn + "/thing/service/ReadSensor"
	expect(t, d, topic, `{"method":"thing.service.ReadSensor","id":"77","params":{},"version":"1.0.0"}`)
	if err := d.Send(demo.Publish(topic, `{"id":"77","code":200,"data":{"Temp":3,"Hum":4}}`)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || string(r.Data) != `{"Temp":3,"Hum":4}` {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOtherServices(t *testing.T) {
	s := mustStart(t, nil)
	d := login(t, s)
	sys := "/sys/" + pk + "/" + dn + "/"
	ntp := "/ext/ntp/" + pk + "/" + dn + "/"
	_ = d.Send(demo.Publish(ntp+"request", `{"deviceSendTime":"1571724098000"}`))
	got, err := d.Receive(patience)
	if err != nil {
		t.Fatal(err)
	}
	var times struct{ DeviceSendTime, ServerSendTime, ServerRecvTime string }
	at := bytes.IndexByte(got, '{')
	if err := json.Unmarshal(got[max(at, 0):], &times); err != nil || times.DeviceSendTime != "1571724098000" || len(times.ServerSendTime) != 13 || len(times.ServerRecvTime) != 13 {
		t.Errorf("NTP: %q, %v", got, err)
	}
	_ = d.Send(demo.Publish(sys+"thing/deviceinfo/update", `{"id":"1","params":[{"attrKey":"floor","attrValue":"3"},{"attrKey":"SYS_SDK_LANGUAGE","attrValue":"C","domain":"SYSTEM"}]}`))
	expect(t, d, sys+"thing/deviceinfo/update_reply", `{"code":200,"data":{},"id":"1","message":"success","method":"thing.deviceinfo.update","version":"1.0"}`)
	tags, err := s.Platform.Tags(t.Context(), pk, dn)
	if err != nil || fmt.Sprint(tags) != "[{floor 3 } {SYS_SDK_LANGUAGE C SYSTEM}]" {
		t.Errorf("tags %v, %v", tags, err)
	}
	_ = d.Send(demo.Publish(sys+"thing/deviceinfo/delete", `{"id":"2","params":[{"attrKey":"floor"},{"attrKey":"none"}]}`))
	expect(t, d, sys+"thing/deviceinfo/delete_reply", `{"code":200,"data":{},"id":"2","message":"success","method":"thing.deviceinfo.delete","version":"1.0"}`)
	_ = d.Send(demo.Publish(sys+"thing/deviceinfo/update", `{"id":"3","params":{}}`))
	expect(t, d, sys+"thing/deviceinfo/update_reply", `{"code":460,"data":{},"id":"3","message":"`+alink.CodeParameter.Message()+`","method":"thing.deviceinfo.update","version":"1.0"}`)
	_ = d.Send(demo.Publish(sys+"thing/dsltemplate/get", `{"id":"4","params":{}}`))
	got, err = d.Receive(patience)
	if err != nil || !bytes.Contains(got, []byte(`"link":"/sys/`+pk+`/`+dn+`/thing/"`)) || !bytes.Contains(got, []byte(`"identifier":"Light"`)) {
		t.Errorf("template: %q, %v", got, err)
	}
}

func TestDisableDeleteAndSecrets(t *testing.T) {
	s := mustStart(t, nil)
	ctx := t.Context()
	d := login(t, s)
	if dev, err := s.Platform.Device(ctx, pk, dn); err != nil || !dev.Online {
		t.Errorf("device %+v, %v", dev, err)
	}
	if err := s.Platform.SetEnabled(ctx, "test", pk, dn, false); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Receive(patience); err == nil || os.IsTimeout(err) {
		t.Error("a disabled device is still connected")
	}
	l := triple.Login(alink.LoginOptions{})
	if rc := connect(t, dial(t, s), l, 60); rc != 5 {
		t.Errorf("a disabled device gets return code %d", rc)
	}
	if err := s.Platform.SetEnabled(ctx, "test", pk, dn, true); err != nil {
		t.Fatal(err)
	}
	d = dial(t, s)
	if rc := connect(t, d, l, 60); rc != 0 {
		t.Errorf("an enabled device gets return code %d", rc)
	}
	if secret, err := s.Platform.RevealSecret(ctx, "test", pk, dn, "checking"); err != nil || secret != demo.DeviceSecret {
		t.Errorf("reveal: %v", err)
	}
	entries, err := s.Platform.AuditLog(ctx, 0, 10)
	if err != nil || len(entries) == 0 || entries[0].Action != "device.secret.reveal" || entries[0].Detail != "checking" {
		t.Errorf("audit %+v, %v", entries, err)
	}
	if err := s.Platform.DeleteDevice(ctx, "test", pk, dn); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Receive(patience); err == nil || os.IsTimeout(err) {
		t.Error("a deleted device is still connected")
	}
	if rc := connect(t, dial(t, s), l, 60); rc != 4 {
		t.Errorf("a deleted device gets return code %d", rc)
	}
}

func TestUserChangeClosesConnections(t *testing.T) {
	s := mustStart(t, nil)
	ctx := t.Context()
	right := []platform.Right{{Filter: "#", Subscribe: true}}
	if err := s.Platform.PutUser(ctx, "test", "app", "first password", right); err != nil {
		t.Fatal(err)
	}
	d := dial(t, s)
	if rc := connect(t, d, alink.Login{ClientID: "c1", Username: "app", Password: "first password"}, 60); rc != 0 {
		t.Fatalf("return code %d", rc)
	}
	if err := s.Platform.PutUser(ctx, "test", "app", "second password", right); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Receive(patience); err == nil || os.IsTimeout(err) {
		t.Error("the connection of before the change is open")
	}
	if rc := connect(t, dial(t, s), alink.Login{ClientID: "c1", Username: "app", Password: "first password"}, 60); rc != 4 {
		t.Errorf("the old password gives return code %d", rc)
	}
	for range 2 { // computed, then remembered
		if rc := connect(t, dial(t, s), alink.Login{ClientID: "c1", Username: "app", Password: "second password"}, 60); rc != 0 {
			t.Errorf("the new password gives return code %d", rc)
		}
	}
	for _, bad := range []struct{ name, password, filter string }{
		{"", "long enough", "#"}, {"a&b", "long enough", "#"}, {"x", "short", "#"}, {"x", "long enough", "a/#/b"}, {"x", "long enough", "$share/g/a"},
	} {
		if err := s.Platform.PutUser(ctx, "test", bad.name, bad.password, []platform.Right{{Filter: bad.filter}}); platform.KindOf(err) != platform.KindInvalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// Whatever a device sends, it is answered or dropped, and the connection lives.
func TestHostilePayloads(t *testing.T) {
	s := mustStart(t, nil)
	d := login(t, s)
	sys := "/sys/" + pk + "/" + dn + "/"
	payloads := []string{"", "\x00", "{", `{"params":` + strings.Repeat("[", 10_000), strings.Repeat("{\"a\":", 200), `{"id":{"a":1},"params":{"Temp":{"value":{"value":{}}}}}`,
		`{"id":"` + strings.Repeat("9", 100_000) + `","params":{"Temp":1}}`, `{"params":{"` + strings.Repeat("x", 100_000) + `":1}}`, `{"params":{"Temp":1e999}}`,
		`{"id":null,"params":{"Temp":{"time":"x","value":1}},"sys":{"ack":"0"}}`, "\xff\xfe\xfd", `{"params":[{"attrKey":1}]}`}
	for _, tail := range []string{"thing/event/property/post", "thing/event/GasAlarm/post", "thing/deviceinfo/update", "thing/service/property/set_reply",
		"thing/service/Blink_reply", "rrpc/response/1", "thing/dsltemplate/get", "thing/model/up_raw", "thing/event/property/pack/post", "thing/unknown"} {
		for _, p := range payloads {
			if err := d.Send(demo.Publish(sys+tail, p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, p := range payloads {
		if err := d.Send(demo.Publish("/ext/ntp/"+pk+"/"+dn+"/request", p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Send(demo.Ping); err != nil {
		t.Fatal(err)
	}
	for {
		got, err := d.Receive(patience)
		if err != nil {
			t.Fatal(err)
		}
		if got[0] == 0xD0 {
			return
		}
	}
}

func TestReservedNamesAndIDs(t *testing.T) {
	s := mustStart(t, nil)
	ctx := t.Context()
	for _, key := range []string{"sys", "ext", "ota", "shadow", "broadcast"} {
		if _, err := s.Platform.CreateProduct(ctx, "test", platform.Product{ProductKey: key, Name: "x"}); platform.KindOf(err) != platform.KindInvalid {
			t.Errorf("product %s: %v", key, err)
		}
	}
	login(t, s)
	for _, id := range []string{"x", "1/2", "-1", strings.Repeat("1", 21)} {
		if _, err := s.Platform.SetProperties(ctx, "test", pk, dn, json.RawMessage(`{"Light":1}`), platform.CallOptions{ForceID: id}); platform.KindOf(err) != platform.KindInvalid {
			t.Errorf("message id %q: %v", id, err)
		}
	}
	for _, name := range []string{"", "a/b", "+", "#"} {
		if _, err := s.Platform.InvokeService(ctx, "test", pk, dn, name, nil, platform.CallOptions{NoCheck: true}); platform.KindOf(err) != platform.KindInvalid {
			t.Errorf("service %q: %v", name, err)
		}
	}
	if _, err := s.Platform.SetProperties(ctx, "test", pk, dn, json.RawMessage(`{"Light":1}`), platform.CallOptions{ForceID: "5"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Platform.SetProperties(ctx, "test", pk, dn, json.RawMessage(`{"Light":1}`), platform.CallOptions{ForceID: "5"}); platform.KindOf(err) != platform.KindConflict {
		t.Errorf("an id that waits is used again: %v", err)
	}
}

func TestRefusalHidesTheBindToken(t *testing.T) {
	s := mustStart(t, nil)
	l := triple.Login(alink.LoginOptions{Extra: []alink.Param{{Key: "tokenType", Value: "0"}, {Key: "token", Value: "0123456789abcdef"}, {Key: "_ss", Value: "1"}}})
	l.Password = "00"
	connect(t, dial(t, s), l, 60)
	if got := s.Platform.Refusals()[0].ClientID; strings.Contains(got, "0123456789abcdef") || !strings.Contains(got, "token=***,_ss=1|") {
		t.Errorf("client id %q", got)
	}
}
