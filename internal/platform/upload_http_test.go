package platform_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/server"
)

// caller is a device's HTTPS client.
type caller struct {
	t      testing.TB
	s      *server.Server
	client *http.Client
}

func newCaller(t testing.TB, s *server.Server) *caller {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{t, s, &http.Client{Transport: transport, Timeout: time.Minute}}
}

// httpAnswer is what the door answers.
type httpAnswer struct {
	Code    int
	Message string
	Info    struct {
		Token     string
		MessageID int64 `json:"messageId"`
		Data      json.RawMessage
	}
	raw string
}

func (c *caller) post(path, kind, token string, body []byte) httpAnswer {
	c.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "https://"+c.s.Addresses()[0]+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	if token != "" {
		r.Header.Set("password", token)
	}
	res, err := c.client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := httpAnswer{raw: string(b)}
	if res.StatusCode != http.StatusOK || res.ContentLength != int64(len(b)) {
		c.t.Fatalf("%s: %s, Content-Length %d: %s", path, res.Status, res.ContentLength, b)
	}
	if err := json.Unmarshal(b, &a); err != nil {
		c.t.Fatalf("%s: %v", b, err)
	}
	return a
}

func (c *caller) auth(body string) httpAnswer {
	c.t.Helper()
	return c.post("/auth", "application/json", "", []byte(body))
}

func (c *caller) upload(topic, token, body string) httpAnswer {
	c.t.Helper()
	return c.post("/topic"+topic, "application/octet-stream", token, []byte(body))
}

// authBody is the body of C Link SDK 4, changed.
func authBody(dn, secret string, change func(m map[string]any)) string {
	m := map[string]any{"clientId": pk + "." + dn, "signmethod": "hmacsha256", "deviceName": dn, "productKey": pk,
		"sign": strings.ToUpper(alink.Sign(alink.HMACSHA256, secret, alink.SignContent(pk+"."+dn, dn, pk, "", false)))}
	if change != nil {
		change(m)
	}
	b, _ := json.Marshal(m)
	return string(b)
}

func (c *caller) token() string {
	c.t.Helper()
	a := c.auth(authBody(dn, demo.DeviceSecret, nil))
	if a.Code != 0 || len(a.Info.Token) != 32 {
		c.t.Fatal(a.raw)
	}
	return a.Info.Token
}

const (
	postTopic   = "/sys/" + pk + "/" + dn + "/thing/event/property/post"
	customTopic = "/" + pk + "/" + dn + "/user/update"
)

// spec/services.md §14.
func TestUploadHTTPS(t *testing.T) {
	s := mustStart(t, nil)
	c := newCaller(t, s)
	token := c.token()
	awaitActivated(t, s, pk, dn)

	a := c.upload(postTopic+"?qos=1", token, `{"id":"7","version":"1.0","params":{"Temp":21},"method":"thing.event.property.post"}`)
	if want := fmt.Sprintf(`{"code":0,"message":"success","info":{"messageId":%d,"data":{"code":200,`, a.Info.MessageID); !strings.HasPrefix(a.raw, want) || a.Info.MessageID < 1<<58 {
		t.Errorf("%s, want %s…", a.raw, want)
	}
	if got := string(a.Info.Data); !strings.Contains(got, `"id":"7"`) || !strings.Contains(got, `"message":"success"`) {
		t.Errorf("the reply is %s", got)
	}
	values, err := s.Platform.LatestProperties(t.Context(), pk, dn)
	if err != nil || len(values) != 1 || string(values[0].Value) != "21" {
		t.Errorf("stored: %v %v", values, err)
	}
	next := c.upload(customTopic, token, "\x00any bytes\xff")
	if next.Code != 0 || next.Info.Data != nil || next.Info.MessageID <= a.Info.MessageID {
		t.Errorf("a custom topic: %s", next.raw)
	}
	if got := c.upload("/ext/ntp/"+pk+"/"+dn+"/request", token, `{"deviceSendTime":"1571724098000"}`); !strings.Contains(got.raw, `"data":{"deviceSendTime":"1571724098000"`) {
		t.Errorf("ntp: %s", got.raw)
	}
	big := c.upload(customTopic, token, strings.Repeat("x", 128<<10))
	if big.Code != 0 {
		t.Errorf("128 KB: %s", big.raw)
	}

	// Every sign variant, in both cases of hex.
	content := alink.SignContent("any id", dn, pk, "", false)
	stamp := fmt.Sprint(time.Now().UnixMilli())
	for name, change := range map[string]func(m map[string]any){
		"md5 by default": func(m map[string]any) {
			delete(m, "signmethod")
			m["clientId"], m["sign"] = "any id", alink.Sign(alink.HMACMD5, demo.DeviceSecret, content)
		},
		"sha1": func(m map[string]any) {
			m["clientId"], m["signmethod"], m["version"] = "any id", "HmacSHA1", "default"
			m["sign"] = strings.ToUpper(alink.Sign(alink.HMACSHA1, demo.DeviceSecret, content))
		},
		"a timestamp": func(m map[string]any) {
			m["clientId"], m["timestamp"] = "any id", stamp
			m["sign"] = alink.Sign(alink.HMACSHA256, demo.DeviceSecret, content+"timestamp"+stamp)
		},
		"a timestamp as a number": func(m map[string]any) {
			m["clientId"], m["timestamp"] = "any id", json.Number(stamp)
			m["sign"] = alink.Sign(alink.HMACSHA256, demo.DeviceSecret, content+"timestamp"+stamp)
		},
	} {
		if a := c.auth(authBody(dn, demo.DeviceSecret, change)); a.Code != 0 || a.Info.Token == token {
			t.Errorf("%s: %s", name, a.raw)
		}
	}
}

// One connection carries several requests of a client that asks for it.
func TestUploadKeepsTheConnection(t *testing.T) {
	s := mustStart(t, nil)
	token := newCaller(t, s).token()
	conn, err := tls.Dial("tcp", s.Addresses()[0], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{3, 40_000, 5} {
		fmt.Fprintf(conn, "POST /topic%s HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive\r\npassword: %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%s",
			customTopic, token, size, strings.Repeat("y", size))
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		if err != nil || !strings.Contains(string(b[:n]), "\r\nConnection: keep-alive\r\n") || !strings.Contains(string(b[:n]), `"code":0,`) {
			t.Fatalf("%d bytes: %q %v", size, b[:n], err)
		}
	}
}

func TestUploadHTTPSRefusals(t *testing.T) {
	s := mustStart(t, func(cfg *config.Config) { cfg.Limits.FailedLogins = 0 })
	ctx := t.Context()
	c := newCaller(t, s)
	addDevice(t, s, pk, "other", demo.DeviceSecret)
	addDevice(t, s, pk, "off", demo.DeviceSecret)
	if err := s.Platform.SetEnabled(ctx, "test", pk, "off", false); err != nil {
		t.Fatal(err)
	}
	with := func(key string, value any) string {
		return authBody(dn, demo.DeviceSecret, func(m map[string]any) { m[key] = value })
	}
	old := fmt.Sprint(time.Now().Add(-time.Hour).UnixMilli())
	for _, tt := range []struct {
		name, body string
		code       int
		cause      string
	}{
		{"wrong sign", with("sign", strings.Repeat("0", 64)), 20000, "is not the hmacsha256 of clientId"},
		{"unknown device", authBody("nobody", demo.DeviceSecret, nil), 20000, "there is no device nobody"},
		{"disabled", authBody("off", demo.DeviceSecret, nil), 20000, "disabled"},
		{"no sign", with("sign", nil), 10001, "are needed"},
		{"an object for a name", with("deviceName", map[string]int{"a": 1}), 10001, "deviceName is not a string"},
		{"a name with a slash", with("deviceName", "a/b"), 10001, "are needed"},
		{"a long name", with("productKey", strings.Repeat("k", 300)), 10001, "at most 256 bytes"},
		{"unknown method", with("signmethod", "rot13"), 10001, "not known"},
		{"an old timestamp", with("timestamp", old), 10001, "more than 15m0s off"},
		{"timestamp of a server SDK", with("timestamp", "2524608000000"), 10001, "off"},
		{"no number", with("timestamp", "now"), 10001, "not a number"},
		{"not JSON", "productKey=x", 10001, "not JSON"},
		{"no object", `["a"]`, 10001, "not a JSON object"},
		{"nothing", "", 10001, "not JSON"},
		{"deep", strings.Repeat("[", 500) + strings.Repeat("]", 500), 10001, ""},
		{"huge", `{"a":"` + strings.Repeat("x", 300_000) + `"}`, 10001, "more than 1024"},
	} {
		a := c.auth(tt.body)
		if a.Code != tt.code || a.Info.Token != "" {
			t.Errorf("%s: %s, want %d", tt.name, a.raw, tt.code)
		}
		last := s.Platform.Refusals()[0]
		if last.Transport != "https" || !strings.Contains(last.Cause, tt.cause) {
			t.Errorf("%s: cause %q, want %q", tt.name, last.Cause, tt.cause)
		}
		if strings.Contains(a.raw+fmt.Sprint(last), demo.DeviceSecret) {
			t.Errorf("%s shows the secret", tt.name)
		}
	}
	if a := c.post("/auth", "text/plain", "", []byte(authBody(dn, demo.DeviceSecret, nil))); a.Code != 10001 {
		t.Errorf("another Content-Type: %s", a.raw)
	}
	token := c.token()
	for _, tt := range []struct {
		name, path, kind, token, body string
		code                          int
		log                           string
	}{
		{"no token", postTopic, "application/octet-stream", "", "{}", 20002, ""},
		{"a guess", postTopic, "application/octet-stream", strings.Repeat("0", 32), "{}", 20003, ""},
		{"a guess with 300 KB", postTopic, "application/octet-stream", strings.Repeat("0", 32), strings.Repeat("x", 300_000), 20003, ""},
		{"another's topic", "/sys/" + pk + "/other/thing/event/property/post", "application/octet-stream", token, "{}", 30001, "may not publish to /sys/" + pk + "/other"},
		{"down topic", "/sys/" + pk + "/" + dn + "/thing/service/property/set", "application/octet-stream", token, "{}", 30001, ""},
		{"no topic", "/", "application/octet-stream", token, "{}", 10001, "is not a topic of a device"},
		{"a wildcard", "/" + pk + "/" + dn + "/user/%23", "application/octet-stream", token, "{}", 10001, ""},
		{"an empty level", "/" + pk + "/" + dn + "//x", "application/octet-stream", token, "{}", 10001, ""},
		{"a NUL", "/" + pk + "/" + dn + "/user/%00", "application/octet-stream", token, "{}", 10001, ""},
		{"$SYS", "/$SYS/x/y", "application/octet-stream", token, "{}", 30001, ""},
		{"QoS 2", postTopic + "?qos=2", "application/octet-stream", token, "{}", 10001, ""},
		{"JSON as Content-Type", postTopic, "application/json", token, "{}", 10001, ""},
		{"more than 128 KB", postTopic, "application/octet-stream", token, strings.Repeat("x", 128<<10+1), 10001, ""},
		{"a sub-device's login", "/ext/session/" + pk + "/" + dn + "/combine/login", "application/octet-stream", token, "{}", 30001, ""},
		{"no JSON", postTopic, "application/octet-stream", token, "\x00\x01", 0, ""},
	} {
		a := c.post("/topic"+tt.path, tt.kind, tt.token, []byte(tt.body))
		if a.Code != tt.code {
			t.Errorf("%s: %s, want %d", tt.name, a.raw, tt.code)
		}
		if tt.code == 0 && !strings.Contains(a.raw, `"data":{"code":`) {
			t.Errorf("%s: %s", tt.name, a.raw)
		}
		if tt.log != "" {
			awaitLogLine(t, s, dn, tt.log)
		}
	}
	if r, err := http.Post("http://"+s.Addresses()[0]+"/auth", "application/json", strings.NewReader(authBody(dn, demo.DeviceSecret, nil))); err != nil || r.StatusCode != 403 {
		t.Errorf("without TLS: %v %v", r, err)
	} else {
		r.Body.Close()
	}
}

// A byte a second, of which a first message takes a quarter of an hour's; a wrong
// login a minute.
func TestUploadLimit(t *testing.T) {
	s := mustStart(t, func(cfg *config.Config) { cfg.Device.PublishBytes, cfg.Limits.FailedLogins = 1, 1 })
	c := newCaller(t, s)
	token := c.token()
	if a := c.upload(customTopic, token, strings.Repeat("x", 1000)); a.Code != 0 {
		t.Errorf("the first message: %s", a.raw)
	}
	if a := c.upload(customTopic, token, "x"); a.Code != 40000 {
		t.Errorf("the second message: %s", a.raw)
	}
	if a := c.auth(authBody(dn, "guess", nil)); a.Code != 20000 {
		t.Errorf("a guess: %s", a.raw)
	}
	if a := c.auth(authBody(dn, demo.DeviceSecret, nil)); a.Code != 40000 {
		t.Errorf("after a guess: %s", a.raw)
	}
}

// awaitLogLine waits for a line of the server in a device's log.
func awaitLogLine(t testing.TB, s *server.Server, dn, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		lines, err := s.Platform.DeviceLog(t.Context(), pk, dn, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.Source == "server" && strings.Contains(l.Content, text) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the device's log has no line with %q: %v", text, lines)
		}
	}
}

// A change of the device ends its tokens, for good.
func TestTokensDie(t *testing.T) {
	s := mustStart(t, nil)
	ctx := t.Context()
	c := newCaller(t, s)
	use := func(token string) int { return c.upload(customTopic, token, "x").Code }
	a, b := c.token(), c.token()
	if use(a) != 0 || use(b) != 0 {
		t.Fatal("two tokens of one device")
	}
	if err := s.Platform.SetEnabled(ctx, "test", pk, dn, false); err != nil {
		t.Fatal(err)
	}
	if use(a) != 20003 || use(b) != 20003 {
		t.Error("the device is disabled, its tokens are good")
	}
	if err := s.Platform.SetEnabled(ctx, "test", pk, dn, true); err != nil {
		t.Fatal(err)
	}
	if use(a) != 20003 {
		t.Error("the token is good again")
	}
	a = c.token()
	for range 4 {
		b = c.token()
	}
	if use(a) != 20003 || use(b) != 0 {
		t.Error("the fifth token takes the place of the first")
	}
	if err := s.Platform.DeleteDevice(ctx, "test", pk, dn); err != nil {
		t.Fatal(err)
	}
	if use(b) != 20003 {
		t.Error("the device is deleted, its token is good")
	}
	if _, err := s.Platform.CreateDevice(ctx, "test", platform.NewDevice{ProductKey: pk, DeviceName: dn, DeviceSecret: demo.DeviceSecret}); err != nil {
		t.Fatal(err)
	}
	if use(b) != 20003 || use(c.token()) != 0 {
		t.Error("a new device with the old name")
	}
}

func TestBootstrapByRegion(t *testing.T) {
	s := mustStart(t, nil)
	c := newCaller(t, s)
	res, err := c.client.Get("https://" + s.Addresses()[0] + "/auth/bootstrap/regionId/cn-shanghai")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	_, port, _ := strings.Cut(s.Addresses()[0], ":")
	if want := `"resources":{"mqtt":{"host":"127.0.0.1","port":` + port + `}}`; !strings.Contains(string(b), want) {
		t.Errorf("%s, want %s in it", b, want)
	}
}
