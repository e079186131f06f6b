package platform_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/server"
)

// post sends a form the way the C SDKs do and returns the whole answer.
func post(t testing.TB, s *server.Server, secure bool, path, body string) string {
	t.Helper()
	var conn net.Conn
	var err error
	if secure {
		conn, err = tls.Dial("tcp", s.Addresses()[0], &tls.Config{InsecureSkipVerify: true})
	} else {
		conn, err = net.Dial("tcp", s.Addresses()[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: iot-auth.cn-shanghai.aliyuncs.com\r\nAccept: text/xml,text/javascript,text/html,application/json\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n", path, len(body))
	// In three pieces, as a slow device does.
	for _, part := range []string{head[:7], head[7:], body} {
		if _, err := io.WriteString(conn, part); err != nil {
			t.Fatal(err)
		}
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("%v after %q", err, got)
	}
	return string(got)
}

const registerPath = "/auth/register/device"

func registerForm(change func(f map[string]string)) string {
	f := map[string]string{"productKey": regKey, "deviceName": regName, "random": regRandom, "sign": regSHA256, "signMethod": "hmacsha256"}
	if change != nil {
		change(f)
	}
	var parts []string
	for k, v := range f {
		parts = append(parts, k+"="+v)
	}
	return strings.Join(parts, "&")
}

func TestRegisterHTTPS(t *testing.T) {
	s := registerHome(t, true, false, nil)
	got := post(t, s, true, registerPath, registerForm(nil))
	const body = `{"code":200,"data":{"productKey":"a1B2c3D4e5F","deviceName":"dev01","deviceSecret":"0123456789abcdef0123456789abcdef"},"message":"success"}`
	want := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	if got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	// The other methods, in the documentation's spelling.
	for method, sign := range map[string]string{"HmacMD5": "2af8302cfd371fc84c0f11630347f8a8", "HMACSHA1": "F90ABA802A02412B51DC7771F80A812FB63800D5"} {
		got := post(t, s, true, registerPath, registerForm(func(f map[string]string) { f["signMethod"], f["sign"] = method, sign }))
		if !strings.HasSuffix(got, body) {
			t.Errorf("%s: %q", method, got)
		}
	}
	for _, tt := range []struct {
		name, body string
		code       int
	}{
		{"no random", registerForm(func(f map[string]string) { delete(f, "random") }), 460},
		{"nothing", "", 460},
		{"not a form", "%zz=%%%", 460},
		{"a name with a slash", registerForm(func(f map[string]string) { f["deviceName"] = "a%2Fb" }), 460},
		{"unknown method", registerForm(func(f map[string]string) { f["signMethod"] = "rot13" }), 6292},
		{"wrong sign", registerForm(func(f map[string]string) { f["sign"] = strings.Repeat("0", 64) }), 6600},
		{"unknown product", registerForm(func(f map[string]string) { f["productKey"] = "nothing" }), 6250},
		{"unknown device", registerForm(func(f map[string]string) {
			f["deviceName"] = "nobody"
			f["sign"] = alink.Sign(alink.HMACSHA256, prodSec, alink.DynamicRegisterContent("nobody", regKey, regRandom))
		}), 6100},
		{"a large form", strings.Repeat("x=y&", 3000), 460},
	} {
		got := post(t, s, true, registerPath, tt.body)
		var r struct {
			Code int
			Data map[string]string
		}
		_, body, _ := strings.Cut(got, "\r\n\r\n")
		if err := json.Unmarshal([]byte(body), &r); err != nil || r.Code != tt.code || len(r.Data) != 0 || !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("%s: %q, want code %d", tt.name, got, tt.code)
		}
	}
	if got := post(t, s, false, registerPath, registerForm(nil)); !strings.HasPrefix(got, "HTTP/1.1 403 ") || strings.Contains(got, regSecret) {
		t.Errorf("without TLS: %q", got)
	}
	if got := post(t, s, true, "/elsewhere", "x"); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
		t.Errorf("another path: %q", got)
	}
	own := alink.Triple{ProductKey: regKey, DeviceName: regName, DeviceSecret: regSecret}.Login(alink.LoginOptions{})
	if rc := connect(t, dial(t, s), own, 60); rc != 0 {
		t.Fatalf("return code %d", rc)
	}
	awaitActivated(t, s, regKey, regName)
	if got := post(t, s, true, registerPath, registerForm(nil)); !strings.Contains(got, `{"code":6289,"data":{},`) {
		t.Errorf("after the activation: %q", got)
	}
}

// spec/connect.md §9.1: a token over HTTPS, and a login with it.
func TestGuidedLogin(t *testing.T) {
	s := registerHome(t, false, false, nil)
	form := func(secret string) string {
		const content = "clientIdmac1deviceName" + regName + "productKey" + regKey + "timestamp123"
		return "productKey=" + regKey + "&deviceName=" + regName + "&clientId=mac1&timestamp=123&version=default&resources=mqtt&signmethod=hmacmd5&sign=" +
			alink.Sign(alink.HMACMD5, secret, content)
	}
	got := post(t, s, true, "/auth/devicename", form(regSecret))
	var r struct {
		Code int
		Data struct {
			IotID     string `json:"iotId"`
			IotToken  string `json:"iotToken"`
			Resources struct {
				MQTT struct {
					Host string
					Port int
				}
			}
		}
	}
	_, body, _ := strings.Cut(got, "\r\n\r\n")
	if err := json.Unmarshal([]byte(body), &r); err != nil || r.Code != 200 || r.Data.Resources.MQTT.Host != "iot-auth.cn-shanghai.aliyuncs.com" || r.Data.Resources.MQTT.Port != 443 {
		t.Fatalf("%q: %v", got, err)
	}
	login := func(token string) byte {
		return connect(t, dial(t, s), alink.Login{ClientID: "mac1|securemode=-1,_v=sdk-c-2.3.0|", Username: r.Data.IotID, Password: token}, 60)
	}
	if rc := login(r.Data.IotToken); rc != 0 {
		t.Fatalf("return code %d: %v", rc, s.Platform.Refusals()[0].Cause)
	}
	if rc := login("guess"); rc != 4 {
		t.Errorf("return code %d with another token", rc)
	}
	if got := post(t, s, true, "/auth/devicename", form("another")); !strings.Contains(got, `{"code":401,`) {
		t.Errorf("a wrong sign: %q", got)
	}
	if got := post(t, s, true, "/auth/bootstrap", "productKey="+regKey+"&deviceName="+regName+"&resources=mqtt"); !strings.Contains(got, `"host":"iot-auth.cn-shanghai.aliyuncs.com","port":443`) {
		t.Errorf("bootstrap: %q", got)
	}
}

// What no device sends to the port.
func TestHostileHTTP(t *testing.T) {
	s := registerHome(t, true, false, nil)
	raw := func(text string) string {
		conn, err := tls.Dial("tcp", s.Addresses()[0], &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		go io.WriteString(conn, text)
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err.Error()
		}
		r.Body.Close()
		return r.Status
	}
	for _, tt := range []struct{ name, text, want string }{
		{"no length", "POST /auth/register/device HTTP/1.1\r\nHost: x\r\n\r\n", "200"},
		{"chunked", "POST /auth/register/device HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "411"},
		{"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "411"},
		{"negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "411"},
		{"a huge length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000000\r\n\r\n", "413"},
		{"a huge head", "POST / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 20_000), "431"},
		{"no HTTP", "POST everything\r\n\r\n", "400"},
		{"no POST after all", "PONY / HTTP/1.1\r\n\r\n", "EOF"},
		{"traversal", "POST /auth/../etc/passwd HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "404"},
	} {
		if got := raw(tt.text); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %s", tt.name, got, tt.want)
		}
	}
	login(t, s) // devices still get in
}
