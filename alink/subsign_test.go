package alink

import (
	"testing"

	"github.com/linkstead/linkstead/devjson"
)

const (
	subKey    = "fedcba9876543210fedcba9876543210"
	subSHA1   = "458004cdf9b570dcca8fcb9ddd2ba576d565c60e"
	subMD5    = "f4d15375075420a7a046d3cb5da75b68"
	subSHA256 = "10eb1b0a1fa9d08bd09845e241e8b765578cc841bde53e90abb664631868ae81"
	subClean  = "8e2c23f04f3c28fc118fb9eb3a07024f9c75d356"
)

func parseSub(t testing.TB, text, method string) (SubDevice, bool) {
	t.Helper()
	var p devjson.Parser
	v, err := p.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return ParseSubDevice(v, method)
}

// The vectors are those of spec/connect.md §15, 19 and 20.
func TestSubDeviceSigned(t *testing.T) {
	const id = `"productKey":"a1SubSubSub","deviceName":"sub001","clientId":"sub001","timestamp":"1524448722000"`
	for _, tt := range []struct {
		name, text, outer string
		want              bool
	}{
		{"topo/add", `{` + id + `,"signmethod":"hmacSha1","sign":"` + subSHA1 + `"}`, "", true},
		{"login", `{` + id + `,"signMethod":"hmacSha1","sign":"` + subSHA1 + `","cleanSession":"true"}`, "", true},
		{"cleanSession as a boolean", `{` + id + `,"signMethod":"hmacSha1","sign":"` + subSHA1 + `","cleanSession":true}`, "", true},
		{"cleanSession signed", `{` + id + `,"signMethod":"hmacSha1","sign":"` + subClean + `","cleanSession":"true"}`, "", true},
		{"md5", `{` + id + `,"signMethod":"HmacMD5","sign":"` + subMD5 + `"}`, "", true},
		{"no method is md5", `{` + id + `,"sign":"` + subMD5 + `"}`, "", true},
		{"method beside the list", `{` + id + `,"sign":"` + subSHA256 + `"}`, "hmacSha256", true},
		{"own method wins", `{` + id + `,"signMethod":"hmacsha1","sign":"` + subSHA1 + `"}`, "hmacSha256", true},
		{"Sha256", `{` + id + `,"signmethod":"Sha256","sign":"` + subSHA256 + `"}`, "", true},
		{"numeric timestamp", `{"productKey":"a1SubSubSub","deviceName":"sub001","clientId":"sub001","timestamp":1524448722000,"signMethod":"hmacsha1","sign":"` + subSHA1 + `"}`, "", true},
		{"a parameter that is not signed", `{` + id + `,"note":"x","signMethod":"hmacsha1","sign":"` + subSHA1 + `"}`, "", true},
		{"wrong method", `{` + id + `,"signMethod":"hmacsha256","sign":"` + subSHA1 + `"}`, "", false},
		{"unknown method", `{` + id + `,"signMethod":"rot13","sign":"` + subSHA1 + `"}`, "", false},
		{"no sign", `{` + id + `}`, "", false},
		{"other device", `{"productKey":"a1SubSubSub","deviceName":"sub002","clientId":"sub001","timestamp":"1524448722000","signMethod":"hmacSha1","sign":"` + subSHA1 + `"}`, "", false},
	} {
		s, ok := parseSub(t, tt.text, tt.outer)
		if !ok {
			t.Errorf("%s: not read", tt.name)
			continue
		}
		if got := s.Signed(subKey); got != tt.want {
			t.Errorf("%s: signed %v, want %v", tt.name, got, tt.want)
		}
		if s.Signed("") || s.Signed("another secret") {
			t.Errorf("%s: signed with another secret", tt.name)
		}
	}
	plain, _ := parseSub(t, `{"productKey":"p","deviceName":"d","signmethod":"Sha256","sign":"`+
		"57d6fbb55cc1e2f21e8ae9c6e3c8a3d4e7e0a3a3a3a3a3a3a3a3a3a3a3a3a3a3"+`"}`, "")
	if plain.Signed("s") {
		t.Error("a made-up plain hash is taken")
	}
}

func TestParseSubDeviceRefuses(t *testing.T) {
	for _, text := range []string{`1`, `"x"`, `[]`, `null`, `{}`, `{"productKey":"p"}`, `{"productKey":"p","deviceName":""}`,
		`{"productKey":"p","deviceName":{}}`, `{"productKey":"p","deviceName":"d","clientId":["x"]}`,
		`{"productKey":"p","deviceName":"d","a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1}`} {
		if s, ok := parseSub(t, text, ""); ok {
			t.Errorf("%s is taken as %+v", text, s)
		}
	}
}

func FuzzSubDevice(f *testing.F) {
	f.Add(`{"productKey":"a1SubSubSub","deviceName":"sub001","clientId":"sub001","timestamp":1,"signMethod":"hmacsha1","sign":"`+subSHA1+`","cleanSession":"true"}`, "")
	f.Add(`{"productKey":"p","deviceName":"d","signmethod":"Sha256","sign":"00"}`, "hmacSha256")
	f.Fuzz(func(t *testing.T, text, method string) {
		var p devjson.Parser
		v, err := p.Parse([]byte(text))
		if err != nil {
			return
		}
		s, ok := ParseSubDevice(v, method)
		if !ok {
			return
		}
		if s.ProductKey == "" || s.DeviceName == "" {
			t.Fatal("taken without an identity")
		}
		if s.Signed("") {
			t.Fatal("signed with no secret")
		}
		if !s.HasSign() && s.Signed("secret") {
			t.Fatal("signed without a sign")
		}
		if !s.MethodKnown() && s.Signed("secret") {
			t.Fatal("signed by a method nobody knows")
		}
	})
}
