package platform_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/server"
)

// The identities of spec/connect.md §15.
const (
	regKey    = "a1B2c3D4e5F"
	regName   = "dev01"
	regSecret = "0123456789abcdef0123456789abcdef"
	prodSec   = "ProductSecret123"
	regRandom = "8Ygb7ULYh53B6OA"
	regSHA256 = "1e4b4d11595ed31e42bd1868f0895919c0ed28c6de4d5ff280ed6648eb4e1582"
)

func registerHome(t testing.TB, dynamic, auto bool, change func(*config.Config)) *server.Server {
	t.Helper()
	s := mustStart(t, change)
	p := platform.Product{ProductKey: regKey, Name: "registering", ProductSecret: prodSec, DynamicRegister: dynamic, AutoRegister: auto}
	if _, err := s.Platform.CreateProduct(t.Context(), "test", p); err != nil {
		t.Fatal(err)
	}
	addDevice(t, s, regKey, regName, regSecret)
	return s
}

func dialTLS(t testing.TB, s *server.Server, certificates ...tls.Certificate) *demo.Device {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Addresses()[0], &tls.Config{InsecureSkipVerify: true, Certificates: certificates})
	if err != nil {
		t.Fatal(err)
	}
	d := demo.New(conn, nil)
	t.Cleanup(func() { d.Close() })
	return d
}

// c4 is the registration of C Link SDK 4: the prefix is {dn}.{pk}, the digits are
// capitals.
func c4(authType, dn string) alink.Login {
	return alink.Login{
		ClientID: dn + "." + regKey + "|random=" + regRandom + ",authType=" + authType + ",securemode=2,signmethod=hmacsha256|",
		Username: dn + "&" + regKey,
		Password: strings.ToUpper(alink.Sign(alink.HMACSHA256, prodSec, alink.DynamicRegisterContent(dn, regKey, regRandom))),
	}
}

// spec/sdk-behaviour.md §14, scenario 9.
func TestRegisterMQTT(t *testing.T) {
	s := registerHome(t, true, false, func(c *config.Config) { c.Device.Settle = config.Duration(300 * time.Millisecond) })
	l := c4("register", regName)
	if !strings.EqualFold(l.Password, regSHA256) {
		t.Fatalf("the test signs %s", l.Password)
	}
	// Plain TCP is refused.
	if rc := connect(t, dial(t, s), l, 60); rc != 2 {
		t.Errorf("plain TCP: return code %d, want 2", rc)
	}
	d := dialTLS(t, s)
	if rc := connect(t, d, l, 0); rc != 0 { // the keep-alive is not looked at
		t.Fatalf("return code %d: %v", rc, s.Platform.Refusals()[0].Cause)
	}
	expect(t, d, "/ext/register", `{"productKey":"a1B2c3D4e5F","deviceName":"dev01","deviceSecret":"0123456789abcdef0123456789abcdef"}`)
	// The connection is for nothing else: a report is not taken, a subscription refused.
	if err := d.Send(demo.Publish("/sys/"+regKey+"/"+regName+"/thing/event/property/post", `{"id":"1","params":{"x":1}}`)); err != nil {
		t.Fatal(err)
	}
	if err := d.Send([]byte{0x82, 6, 0, 1, 0, 1, '#', 0}); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Receive(patience); err != nil || string(got) != "\x90\x03\x00\x01\x80" {
		t.Errorf("the SUBSCRIBE is answered % X, %v", got, err)
	}
	// A push that is lost can be asked for again, until the device has been online.
	again := dialTLS(t, s)
	if rc := connect(t, again, l, 60); rc != 0 {
		t.Errorf("return code %d of a second attempt", rc)
	}
	own := dial(t, s)
	triple := alink.Triple{ProductKey: regKey, DeviceName: regName, DeviceSecret: regSecret}
	if rc := connect(t, own, triple.Login(alink.LoginOptions{Method: alink.HMACSHA256}), 60); rc != 0 {
		t.Fatalf("return code %d with the secret", rc)
	}
	awaitActivated(t, s, regKey, regName)
	if rc := connect(t, dialTLS(t, s), l, 60); rc != 4 {
		t.Errorf("return code %d after the activation, want 4", rc)
	}
	if cause := s.Platform.Refusals()[0].Cause; !strings.Contains(cause, "linkstead device reset "+regKey+"/"+regName) {
		t.Errorf("the cause is %q", cause)
	}
	// Reset, it may register again.
	if err := s.Platform.ResetDevice(t.Context(), "test", regKey, regName); err != nil {
		t.Fatal(err)
	}
	if _, err := own.Receive(patience); err == nil || os.IsTimeout(err) {
		t.Error("the device is still connected")
	}
	if rc := connect(t, dialTLS(t, s), l, 60); rc != 0 {
		t.Errorf("return code %d after a reset: %v", rc, s.Platform.Refusals()[0].Cause)
	}
	log, err := s.Platform.AuditLog(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	reveals := 0
	for _, e := range log {
		if e.Action == "device.secret.reveal" && e.Object == regKey+"/"+regName {
			reveals++
		}
	}
	if reveals != 3 {
		t.Errorf("the audit log has %d of 3 secrets", reveals)
	}
}

func awaitActivated(t testing.TB, s *server.Server, pk, dn string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		d, err := s.Platform.Device(t.Context(), pk, dn)
		if err != nil {
			t.Fatal(err)
		}
		if d.ActivatedAt != 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the device is not activated")
		}
	}
}

func TestRegisterRefusals(t *testing.T) {
	s := registerHome(t, true, true, nil)
	ctx := t.Context()
	if err := s.Platform.SetEnabled(ctx, "test", pk, dn, true); err != nil {
		t.Fatal(err)
	}
	addDevice(t, s, regKey, "disabled1", "")
	if err := s.Platform.SetEnabled(ctx, "test", regKey, "disabled1", false); err != nil {
		t.Fatal(err)
	}
	good := c4("register", regName)
	with := func(change func(l *alink.Login)) alink.Login { l := good; change(&l); return l }
	for _, tt := range []struct {
		name  string
		login alink.Login
		code  byte
		cause string
	}{
		{"no random", with(func(l *alink.Login) { l.ClientID = "x|authType=register,securemode=2,signmethod=hmacsha256|" }), 2, "no random"},
		{"no password", with(func(l *alink.Login) { l.Password = "" }), 4, "no password"},
		{"wrong sign", with(func(l *alink.Login) { l.Password = "00" + l.Password[2:] }), 4, "under the ProductSecret of " + regKey},
		{"signed with the device's secret", with(func(l *alink.Login) {
			l.Password = alink.Sign(alink.HMACSHA256, regSecret, alink.DynamicRegisterContent(regName, regKey, regRandom))
		}), 4, "under the ProductSecret"},
		{"another device's sign", with(func(l *alink.Login) { l.Username = "disabled1&" + regKey }), 4, "ProductSecret"},
		{"unknown device", c4("register", "nobody"), 4, "there is no device nobody"},
		{"disabled", c4("register", "disabled1"), 5, "disabled"},
		{"unknown product", with(func(l *alink.Login) { l.Username = regName + "&nothing" }), 4, "there is no product nothing"},
		{"a huge random", with(func(l *alink.Login) {
			l.ClientID = strings.Replace(l.ClientID, regRandom, strings.Repeat("r", 10_000), 1)
		}), 4, "ProductSecret"},
		{"a name nobody may have", c4("regnwl", "a"), 2, "cannot be the name"},
		{"switched off", alink.Login{ClientID: "x|authType=register,random=1,signmethod=hmacsha1|", Username: dn + "&" + pk, Password: "x"}, 4, "ProductSecret"},
		{"token nobody has", alink.Login{ClientID: "x|authType=connwl,securemode=-2|", Username: regName + "&" + regKey, Password: "guess"}, 4, "no such token"},
		{"empty token", alink.Login{ClientID: "x|authType=connwl,securemode=-2|", Username: regName + "&" + regKey}, 4, "no password"},
	} {
		if rc := connect(t, dialTLS(t, s), tt.login, 60); rc != tt.code {
			t.Errorf("%s: return code %d, want %d", tt.name, rc, tt.code)
		}
		last := s.Platform.Refusals()[0]
		if !strings.Contains(last.Cause, tt.cause) {
			t.Errorf("%s: cause %q, want %q in it", tt.name, last.Cause, tt.cause)
		}
		if text := fmt.Sprint(last); strings.Contains(text, prodSec) || strings.Contains(text, regSecret) {
			t.Errorf("%s: the refusal shows a secret: %s", tt.name, text)
		}
	}
	off := platform.Product{ProductKey: regKey, Name: "x", NodeType: "device", DataFormat: "alink", Validation: "weak"}
	if err := s.Platform.UpdateProduct(ctx, "test", off); err != nil {
		t.Fatal(err)
	}
	if rc := connect(t, dialTLS(t, s), good, 60); rc != 4 {
		t.Errorf("switched off: return code %d, want 4", rc)
	}
	if cause := s.Platform.Refusals()[0].Cause; !strings.Contains(cause, "--dynamic-register") {
		t.Errorf("switched off: cause %q", cause)
	}
	off.DynamicRegister = true
	if err := s.Platform.UpdateProduct(ctx, "test", off); err != nil {
		t.Fatal(err)
	}
	if rc := connect(t, dialTLS(t, s), c4("regnwl", "new01"), 60); rc != 4 {
		t.Errorf("without pre-registration, switched off: return code %d, want 4", rc)
	}
}

// Devices that nobody has registered get a token and log in with it.
func TestRegisterWithoutPreRegistration(t *testing.T) {
	s := registerHome(t, true, true, nil)
	register := func(prefix string) (clientID, token string, rc byte) {
		d := dialTLS(t, s)
		l := c4("regnwl", "new01")
		l.ClientID = strings.Replace(l.ClientID, "new01."+regKey, prefix, 1)
		if rc := connect(t, d, l, 60); rc != 0 {
			return "", "", rc
		}
		got, err := d.Receive(patience)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(got), "/ext/regnwl")
		var r struct{ ProductKey, DeviceName, ClientID, DeviceToken string }
		if err := json.Unmarshal([]byte(body), &r); err != nil || r.ProductKey != regKey || r.DeviceName != "new01" || r.ClientID == "" || r.DeviceToken == "" {
			t.Fatalf("pushed %q: %v", got, err)
		}
		return r.ClientID, r.DeviceToken, 0
	}
	loginWith := func(clientID, token string) byte {
		return connect(t, dial(t, s), alink.Login{ClientID: clientID + "|authType=connwl,securemode=-2,_ss=1,ext=3,_v=sdk-c-4.1.0|",
			Username: "new01&" + regKey, Password: token}, 60)
	}
	id1, token1, _ := register("unit1")
	if rc := loginWith(id1, token1); rc != 0 {
		t.Fatalf("return code %d: %v", rc, s.Platform.Refusals()[0].Cause)
	}
	awaitActivated(t, s, regKey, "new01")
	if rc := loginWith(id1, token1+"x"); rc != 4 {
		t.Errorf("return code %d with another token", rc)
	}
	if rc := connect(t, dial(t, s), alink.Login{ClientID: id1 + "|authType=connwl,securemode=-2|", Username: regName + "&" + regKey, Password: token1}, 60); rc != 4 {
		t.Errorf("return code %d of another device with the token", rc)
	}
	// More units of the same name, five in all; the same unit again makes its old token void.
	for i := 2; i <= 5; i++ {
		if _, _, rc := register(fmt.Sprint("unit", i)); rc != 0 {
			t.Fatalf("unit %d: return code %d: %v", i, rc, s.Platform.Refusals()[0].Cause)
		}
	}
	if _, _, rc := register("unit6"); rc != 4 {
		t.Errorf("return code %d of a sixth unit", rc)
	}
	id1b, token1b, _ := register("unit1")
	if rc := loginWith(id1, token1); rc != 4 {
		t.Errorf("return code %d with a token that is void", rc)
	}
	if rc := loginWith(id1b, token1b); rc != 0 {
		t.Errorf("return code %d with the new token", rc)
	}
	// A device that logs in with a secret of its own is not to be had that way.
	own := alink.Triple{ProductKey: regKey, DeviceName: regName, DeviceSecret: regSecret}.Login(alink.LoginOptions{})
	if rc := connect(t, dial(t, s), own, 60); rc != 0 {
		t.Fatalf("return code %d", rc)
	}
	awaitActivated(t, s, regKey, regName)
	if rc := connect(t, dialTLS(t, s), c4("regnwl", regName), 60); rc != 4 {
		t.Errorf("return code %d for a token of a device that has its secret", rc)
	}
	// Reset makes tokens void.
	if err := s.Platform.ResetDevice(t.Context(), "test", regKey, "new01"); err != nil {
		t.Fatal(err)
	}
	if rc := loginWith(id1b, token1b); rc != 4 {
		t.Errorf("return code %d with a token after a reset", rc)
	}
}

// A connection for registration that stays is closed after 15 s.
func TestRegisterTimeOut(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 15 s")
	}
	t.Parallel()
	s := registerHome(t, true, false, nil)
	d := dialTLS(t, s)
	began := time.Now()
	if rc := connect(t, d, c4("register", regName), 60); rc != 0 {
		t.Fatalf("return code %d", rc)
	}
	if _, err := d.Receive(patience); err != nil {
		t.Fatal(err)
	}
	_, err := d.Receive(15*time.Second + patience)
	if took := time.Since(began); err == nil || os.IsTimeout(err) || took < 14*time.Second {
		t.Errorf("the connection ended after %v with %v, want 15 s", took, err)
	}
}
