package alink

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	seed  = Triple{"a1ji0qFv6Jf", "STC15", "bc0834e2beeb03d37eeb7361cc387918"}
	dev01 = Triple{"a1B2c3D4e5F", "dev01", "0123456789abcdef0123456789abcdef"}
)

func TestTripleHidesItsSecret(t *testing.T) {
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("login", "device", seed)
	slog.New(slog.NewTextHandler(&log, nil)).Info("login", "device", seed)
	for _, s := range []string{
		fmt.Sprint(seed), fmt.Sprintf("%v %+v %#v %s", seed, seed, seed, &seed),
		fmt.Sprintf("%+v", struct{ T Triple }{seed}), log.String(),
	} {
		if strings.Contains(s, seed.DeviceSecret) {
			t.Errorf("the secret shows in %s", s)
		}
		if !strings.Contains(s, "STC15") {
			t.Errorf("the device does not show in %s", s)
		}
	}
}

func TestSeedLogin(t *testing.T) {
	got := seed.Login(LoginOptions{Prefix: "10001", Method: HMACSHA1})
	want := Login{
		ClientID: "10001|securemode=3,signmethod=hmacsha1|",
		Username: "STC15&a1ji0qFv6Jf",
		Password: "4756856f5bc65bbbabc7a826d73de282ff87090d",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoginOptions(t *testing.T) {
	got := dev01.Login(LoginOptions{Method: HMACSHA256, Timestamp: "2524608000000", SecureMode: "2", UpperCase: true,
		Extra: []Param{{"_ss", "1"}, {"ext", "3"}}})
	want := Login{
		ClientID: "a1B2c3D4e5F.dev01|securemode=2,signmethod=hmacsha256,timestamp=2524608000000,_ss=1,ext=3|",
		Username: "dev01&a1B2c3D4e5F",
		Password: "1BA83B7A3200015ECEAABFB5E7FA0B1E43C0F87B8D72D64AC2AB9EC9BDE8676C",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := dev01.Login(LoginOptions{NoPrefix: true}).ClientID; got != "|securemode=3,signmethod=hmacmd5|" {
		t.Errorf("without a prefix: %s", got)
	}
}

func TestValidNames(t *testing.T) {
	for s, want := range map[string]bool{"a1ji0qFv6Jf": true, "pk": true, "": false, "a1-b": false, "a1/b": false,
		"12345678901234567890": true, "123456789012345678901": false, "a1é": false} {
		if ValidProductKey(s) != want {
			t.Errorf("ProductKey %q: valid is %v", s, !want)
		}
	}
	for s, want := range map[string]bool{"STC15": true, "dev": false, "a-b_c@d.e:f": true, "": false, "dev/1": false,
		"dev+1": false, "dev#1": false, "dev&1": false, "dev 1": false, strings.Repeat("d", 32): true, strings.Repeat("d", 33): false} {
		if ValidDeviceName(s) != want {
			t.Errorf("DeviceName %q: valid is %v", s, !want)
		}
	}
}
