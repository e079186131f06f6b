package alink

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseClientID(t *testing.T) {
	type want struct {
		Prefix, SecureMode      string
		Method                  SignMethod
		HasMethod               bool
		Timestamp               string
		HasTimestamp            bool
		AuthType                string
		SubscribeAll, Gateway   bool
		Ext                     int
		Random                  string
		HasParams               bool
		Params                  []Param
		ParamKey, ParamExpected string
	}
	tests := []struct {
		name, in string
		want     want
	}{
		{"seed", "10001|securemode=3,signmethod=hmacsha1|", want{Prefix: "10001", SecureMode: "3", Method: HMACSHA1, HasMethod: true, HasParams: true}},
		{"C SDK 4, trailing comma", "pk.dn|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=2,signmethod=hmacsha256,ext=3,|",
			want{Prefix: "pk.dn", SecureMode: "2", Method: HMACSHA256, HasMethod: true, Timestamp: "2524608000000", HasTimestamp: true,
				SubscribeAll: true, Ext: 3, HasParams: true, ParamKey: "_v", ParamExpected: "sdk-c-4.1.0"}},
		{"MQTT 5 assigned id", "|timestamp=1,securemode=2|", want{SecureMode: "2", Timestamp: "1", HasTimestamp: true, HasParams: true}},
		{"bar and space in a value", "x|securemode=3,lan=JS|Broswer ,signmethod=HmacSHA1|",
			want{Prefix: "x", SecureMode: "3", Method: HMACSHA1, HasMethod: true, HasParams: true, ParamKey: "lan", ParamExpected: "JS|Broswer "}},
		{"registration", "dn.pk|random=8Ygb,authType=regnwl,securemode=-2,signmethod=hmacsha256,instanceId=iot-1|",
			want{Prefix: "dn.pk", SecureMode: "-2", Method: HMACSHA256, HasMethod: true, AuthType: "regnwl", Random: "8Ygb", HasParams: true}},
		{"authtype is not authType", "x|authtype=id2,gw=1,ext=abc|", want{Prefix: "x", Gateway: true, HasParams: true, ParamKey: "authtype", ParamExpected: "id2"}},
		{"no block", "plain-client", want{Prefix: "plain-client"}},
		{"nothing", "", want{}},
		{"empty block", "x||", want{Prefix: "x", HasParams: true}},
		{"empty values and = in a value", "x|timestamp=,,a=b=c,flag,signmethod=|",
			want{Prefix: "x", HasTimestamp: true, HasMethod: true, HasParams: true,
				Params: []Param{{"timestamp", ""}, {"a", "b=c"}, {"flag", ""}, {"signmethod", ""}}}},
		{"last of equal keys", "x|timestamp=1,timestamp=2|", want{Prefix: "x", Timestamp: "2", HasTimestamp: true, HasParams: true, ParamKey: "timestamp", ParamExpected: "2"}},
		{"X.509", ".|securemode=2|", want{Prefix: ".", SecureMode: "2", HasParams: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseClientID(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			got := want{Prefix: c.Prefix, SecureMode: c.SecureMode, Method: c.SignMethod, HasMethod: c.HasSignMethod,
				Timestamp: c.Timestamp, HasTimestamp: c.HasTimestamp, AuthType: c.AuthType, SubscribeAll: c.SubscribeAll(),
				Gateway: c.Gateway(), Ext: c.Ext(), Random: c.Random(), HasParams: c.HasParams()}
			if tt.want.Params != nil {
				got.Params = c.Params()
			}
			if tt.want.ParamKey != "" {
				got.ParamKey = tt.want.ParamKey
				got.ParamExpected, _ = c.Get(tt.want.ParamKey)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if c.String() != tt.in {
				t.Errorf("String() = %q", c.String())
			}
			if v, ok := c.Get("absent"); ok || v != "" {
				t.Errorf("an absent parameter is %q", v)
			}
		})
	}
}

func TestParseClientIDErrors(t *testing.T) {
	for in, want := range map[string]string{
		"10001|securemode=3":              "not closed",
		"10001|token=abc|def":             "3 bytes follow",
		"10001|signmethod=hmacsha512|":    "hmacmd5, hmacsha1 or hmacsha256",
		"10001|token=abc,signmethod=des|": `"10001"`,
	} {
		_, err := ParseClientID(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", in, err, want)
		} else if strings.Contains(err.Error(), "abc") {
			t.Errorf("%s: the token shows in %v", in, err)
		}
	}
}

func TestParseClientIDDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		c, err := ParseClientID("pk.dn|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=2,signmethod=hmacsha256,ext=3,|")
		if err != nil || !c.SubscribeAll() || c.Ext() != 3 {
			t.Fatal("misread")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestParseUsername(t *testing.T) {
	if dn, pk, err := ParseUsername("STC15&a1ji0qFv6Jf"); err != nil || dn != "STC15" || pk != "a1ji0qFv6Jf" {
		t.Errorf("%q %q %v", dn, pk, err)
	}
	for in, want := range map[string]string{
		"": "is empty", "STC15": "has no &", "&pk": "no DeviceName", "dn&": "no ProductKey",
		"a/b&pk": "cannot contain", "+&pk": "cannot contain", "#&pk": "cannot contain", "d|n&pk": "cannot contain",
		"dn&p/k": "cannot contain", "dn&p&k": "cannot contain", "dn&+": "cannot contain", "dn&\x00": "cannot contain",
	} {
		dn, pk, err := ParseUsername(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", in, err, want)
		}
		if err != nil && (dn != "" || pk != "") {
			t.Errorf("%q: %q %q came with the error", in, dn, pk)
		}
	}
}

func FuzzParseClientID(f *testing.F) {
	for _, s := range []string{"10001|securemode=3,signmethod=hmacsha1|", "|timestamp=1,ext=3,|", "x|lan=JS|Ali,a|", "plain", "||", "|"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseClientID(s)
		if err != nil {
			return
		}
		if c.String() != s || !strings.HasPrefix(s, c.Prefix) || strings.Contains(c.Prefix, "|") {
			t.Fatalf("prefix %q of %q", c.Prefix, s)
		}
		// Writing prefix and parameters again gives an id that reads the same.
		var b strings.Builder
		b.WriteString(c.Prefix)
		if c.HasParams() {
			b.WriteByte('|')
			for i, p := range c.Params() {
				if i > 0 {
					b.WriteByte(',')
				}
				b.WriteString(p.Key + "=" + p.Value)
			}
			b.WriteByte('|')
		}
		again, err := ParseClientID(b.String())
		if err != nil {
			t.Fatalf("%q from %q: %v", b.String(), s, err)
		}
		if diff := cmp.Diff(c.Params(), again.Params()); diff != "" || again.Prefix != c.Prefix ||
			again.SignMethod != c.SignMethod || again.Timestamp != c.Timestamp || again.Ext() != c.Ext() {
			t.Fatalf("%q from %q reads differently: %s", b.String(), s, diff)
		}
	})
}

func BenchmarkParseClientID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseClientID("a1B2c3D4e5F.dev01|timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode=2,signmethod=hmacsha256,ext=3,|"); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzLogin: a user name gives names that are safe in a topic or none, and a password that fits by no accident is
// explained without a panic and without the secret.
func FuzzLogin(f *testing.F) {
	f.Add("STC15&a1ji0qFv6Jf", "10001|securemode=3,signmethod=hmacsha1|", "4756856f5bc65bbbabc7a826d73de282ff87090d")
	f.Add("a1ji0qFv6Jf&STC15", "|timestamp=1,,=|", "")
	f.Add("&", "x|authType=regnwl,random=|", "\x00")
	const secret = "bc0834e2beeb03d37eeb7361cc387918"
	f.Fuzz(func(t *testing.T, username, clientID, password string) {
		dn, pk, err := ParseUsername(username)
		if err != nil {
			return
		}
		if dn == "" || pk == "" || strings.ContainsAny(dn+pk, "/+#|\x00&") {
			t.Fatalf("%q names %q/%q", username, pk, dn)
		}
		id, err := ParseClientID(clientID)
		if err != nil || Matches(id, dn, pk, secret, password) {
			return
		}
		if why := Diagnose(id, dn, pk, secret, password).Error(); strings.Contains(why, secret) && !strings.Contains(username+clientID+password, secret) {
			t.Fatalf("the diagnosis shows the secret: %s", why)
		}
	})
}
