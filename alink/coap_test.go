package alink

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// The fixture of spec/services.md §15.2, made with OpenSSL.
func TestCoAPKey(t *testing.T) {
	k := NewCoAPKey("0123456789abcdef0123456789abcdef", "ad2b3a5eb51d64f7")
	if got := hex.EncodeToString(k[:]); got != "73a2c33dfcbf699fca2edfb8f73fb8d9" {
		t.Fatal(got)
	}
	for plain, want := range map[string]string{
		"1": "04bb97156bdcec31da2740690068c7d3",
		`{"id":"1","version":"1.0","params":{"Temp":6}}`: "3b2f6de4d9977883383567afc59083ec9ae02e2172e75805bb68ca474557c15911245cd1f656c48fbfd9672d07d428a3",
	} {
		b := k.Encrypt([]byte(plain))
		if hex.EncodeToString(b) != want {
			t.Errorf("%s: %x", plain, b)
		}
		if back, err := k.Decrypt(b); err != nil || string(back) != plain {
			t.Errorf("%q back: %q %v", plain, back, err)
		}
	}
	if n, err := k.DecryptSeq(k.Encrypt([]byte("1"))); n != 1 || err != nil {
		t.Error(n, err)
	}
	other := NewCoAPKey("another", "ad2b3a5eb51d64f7")
	for name, b := range map[string][]byte{
		"nothing": nil, "a piece": []byte("123"), "another key": other.Encrypt([]byte("1")),
		"no number": k.Encrypt([]byte("one")), "negative": k.Encrypt([]byte("-1")), "huge": k.Encrypt([]byte(strings.Repeat("9", 30))),
		"long": k.Encrypt(make([]byte, 100)), "empty": k.Encrypt(nil),
	} {
		if n, err := k.DecryptSeq(b); err == nil {
			t.Errorf("%s: %d", name, n)
		}
	}
}

func TestCoAPSeqs(t *testing.T) {
	s := NewCoAPSeqs(1)
	for _, tt := range []struct {
		n    uint64
		want bool
	}{
		{0, false}, {1, true}, {1, false}, {2, true}, {5, true}, {3, true}, {3, false}, {4, true}, {5, false},
		{1000, true}, {936, false}, {937, true}, {937, false}, {999, true}, {1000, false}, {1 << 62, true}, {1000, false}, {1<<62 + 1, true},
	} {
		if got := s.Use(tt.n); got != tt.want {
			t.Errorf("%d: %v", tt.n, got)
		}
	}
}

func TestPSKIdentity(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	p, err := ParsePSKIdentity("devicename|hmacsha256|a1B2c3D4e5F&dev01|2524608000000")
	if err != nil || p.ProductKey != "a1B2c3D4e5F" || p.DeviceName != "dev01" {
		t.Fatal(p, err)
	}
	const want = "ae86afeb80a1d5987175ad06a8fbe103936e76417761d76d0e90212d3d880496" // vector 16
	if got := string(p.Key(secret, false)); got != want {
		t.Error(got)
	}
	if got := string(p.Key(secret, true)); got != strings.ToUpper(want) {
		t.Error(got)
	}
	for _, s := range []string{"", "devicename", "devicename|hmacsha256|x|1", "devicename|rot13|a&b|1", "id2|hmacmd5|a&b|1", "devicename|hmacmd5|&b|1",
		"devicename|hmacmd5|a&b|1|2", "devicename|hmacmd5|a&b|" + strings.Repeat("1", 300)} {
		if p, err := ParsePSKIdentity(s); err == nil {
			t.Errorf("%.60q: %+v", s, p)
		}
	}
}

func TestMatchesCoAPAuth(t *testing.T) {
	const secret, sign = "0123456789abcdef0123456789abcdef", "2449eee41a73794918d8e660f02a3cec" // vector 18
	c := ClientID{Prefix: "a1B2c3D4e5F.dev01"}
	if !MatchesCoAPAuth(c, "dev01", "a1B2c3D4e5F", "10", secret, strings.ToUpper(sign)) {
		t.Error("vector 18")
	}
	if MatchesCoAPAuth(c, "dev01", "a1B2c3D4e5F", "11", secret, sign) || MatchesCoAPAuth(c, "dev01", "a1B2c3D4e5F", "10", "", sign) {
		t.Error("another number, or no secret")
	}
	c.Timestamp, c.HasTimestamp = "789", true
	content := "clientIda1B2c3D4e5F.dev01deviceNamedev01productKeya1B2c3D4e5Fseq10timestamp789"
	if !MatchesCoAPAuth(c, "dev01", "a1B2c3D4e5F", "10", secret, Sign(HMACSHA1, secret, content)) {
		t.Error("with a timestamp")
	}
}

func FuzzCoAPDecrypt(f *testing.F) {
	k := NewCoAPKey("secret", "random")
	f.Add(k.Encrypt([]byte("17")))
	f.Add([]byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := k.Decrypt(b); err == nil && !bytes.Equal(k.Encrypt(plain), b) {
			t.Errorf("%x is not what %x encrypts to", b, plain)
		}
		_, _ = k.DecryptSeq(b)
		if p, err := ParsePSKIdentity(string(b)); err == nil && (p.ProductKey == "" || p.DeviceName == "") {
			t.Errorf("%q: %+v", b, p)
		}
	})
}
