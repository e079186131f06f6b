package alink

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func clientID(t testing.TB, s string) ClientID {
	t.Helper()
	c, err := ParseClientID(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestVerifyAccepts(t *testing.T) {
	content := SignContent("10001", "STC15", "a1ji0qFv6Jf", "", false)
	for _, m := range []SignMethod{HMACMD5, HMACSHA1, HMACSHA256} {
		password := Sign(m, seed.DeviceSecret, content)
		for _, id := range []string{"10001|signmethod=" + m.String() + "|", "10001|signmethod=" + strings.ToUpper(m.String()) + ",gw=1|",
			"10001|securemode=3|", "10001"} {
			for _, p := range []string{password, strings.ToUpper(password)} {
				if err := Verify(clientID(t, id), "STC15", "a1ji0qFv6Jf", seed.DeviceSecret, p); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	c := clientID(t, "10001|securemode=3,signmethod=hmacsha1|")
	good := "4756856f5bc65bbbabc7a826d73de282ff87090d"
	for name, password := range map[string]string{
		"last digit": good[:39] + "e", "first digit": "5" + good[1:], "short": good[:38], "long": good + "00", "empty": "", "not hex": strings.Repeat("g", 40),
	} {
		if Verify(c, "STC15", "a1ji0qFv6Jf", seed.DeviceSecret, password) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if Matches(c, "STC15", "a1ji0qFv6Jf", "", Sign(HMACSHA1, "", SignContent("10001", "STC15", "a1ji0qFv6Jf", "", false))) {
		t.Error("an empty secret was accepted")
	}
	if Diagnose(c, "STC15", "a1ji0qFv6Jf", seed.DeviceSecret, good) != nil {
		t.Error("Diagnose finds fault with the right password")
	}
}

// TestDiagnose is a catalogue of what goes wrong in the field, with the text the owner reads.
func TestDiagnose(t *testing.T) {
	const (
		plain = "10001|securemode=3,signmethod=hmacsha1|"
		timed = "10001|securemode=3,signmethod=hmacsha1,timestamp=789|"
		who   = "device STC15&a1ji0qFv6Jf: "
		right = "clientId10001deviceNameSTC15productKeya1ji0qFv6Jf"
		fix   = "; sign `" + right + "` with hmacsha1"
		signd = "the password was signed over `"
	)
	secret := seed.DeviceSecret
	sha := func(content string) string { return Sign(HMACSHA1, secret, content) }
	raw, _ := hex.DecodeString(secret)
	digestBytes, _ := hex.DecodeString(sha(right))
	plainMD5 := md5.Sum([]byte(right))

	tests := []struct {
		name, id, password, want string
	}{
		{"other method", plain, Sign(HMACMD5, secret, right),
			who + signd + right + "` with hmacmd5, the client id says hmacsha1"},
		{"timestamp forgotten", timed, sha(right),
			who + signd + right + "` with hmacsha1, the timestamp of the client id must be signed too; sign `" + right + "timestamp789` with hmacsha1"},
		{"timestamp not announced", plain, sha(right + "timestamp2524608000000"),
			who + signd + right + "timestamp2524608000000` with hmacsha1, the client id has no timestamp parameter, so none may be signed" + fix},
		{"capital C", plain, sha("ClientId10001deviceNameSTC15productKeya1ji0qFv6Jf"),
			who + signd + "ClientId10001deviceNameSTC15productKeya1ji0qFv6Jf` with hmacsha1, the name clientId begins with a small c" + fix},
		{"exchanged", plain, sha("clientId10001deviceNamea1ji0qFv6JfproductKeySTC15"),
			who + signd + "clientId10001deviceNamea1ji0qFv6JfproductKeySTC15` with hmacsha1, DeviceName and ProductKey are exchanged" + fix},
		{"whole client id", plain, sha("clientId" + plain + "deviceNameSTC15productKeya1ji0qFv6Jf"),
			who + signd + "clientId" + plain + "deviceNameSTC15productKeya1ji0qFv6Jf` with hmacsha1, only the client id before the first | is signed" + fix},
		{"usual prefix", plain, sha("clientIda1ji0qFv6Jf.STC15deviceNameSTC15productKeya1ji0qFv6Jf"),
			who + signd + "clientIda1ji0qFv6Jf.STC15deviceNameSTC15productKeya1ji0qFv6Jf` with hmacsha1, the client id before the first | is `10001`" + fix},
		{"order", plain, sha("clientId10001productKeya1ji0qFv6JfdeviceNameSTC15"),
			who + signd + "clientId10001productKeya1ji0qFv6JfdeviceNameSTC15` with hmacsha1, deviceName must come before productKey" + fix},
		{"everything signed", plain, sha("clientId10001deviceNameSTC15productKeya1ji0qFv6Jfsecuremode3signmethodhmacsha1"),
			who + signd + right + "securemode3signmethodhmacsha1` with hmacsha1, only clientId, deviceName, productKey and timestamp are signed, not the other parameters" + fix},
		{"secret decoded", plain, Sign(HMACSHA1, string(raw), right),
			who + signd + right + "` with hmacsha1, the key is the text of the DeviceSecret, not the bytes its hex digits stand for"},
		{"secret in capitals", plain, Sign(HMACSHA1, strings.ToUpper(secret), right),
			who + signd + right + "` with hmacsha1, the DeviceSecret was turned into capitals"},
		{"two mistakes and the method", timed, Sign(HMACSHA256, strings.ToUpper(secret), "ClientId10001deviceNameSTC15productKeya1ji0qFv6Jftimestamp789"),
			who + signd + "ClientId10001deviceNameSTC15productKeya1ji0qFv6Jftimestamp789` with hmacsha256, the client id says hmacsha1; " +
				"the name clientId begins with a small c; the DeviceSecret was turned into capitals; sign `" + right + "timestamp789` with hmacsha1"},
		{"base64", plain, base64.StdEncoding.EncodeToString(digestBytes),
			who + signd + right + "` with hmacsha1, the password is written in base64, it must be hex"},
		{"digest bytes", plain, string(digestBytes),
			who + signd + right + "` with hmacsha1, the password is the digest's bytes, it must be their hex digits"},
		{"line feed", plain, sha(right) + "\r\n",
			who + signd + right + "` with hmacsha1, white space, quotes or a NUL surround the password"},
		{"spaced digits", plain, "0x" + strings.ToUpper(sha(right)),
			who + signd + right + "` with hmacsha1, the password must be hex digits only, without 0x and separators"},
		{"cut off", plain, sha(right)[:39], who + signd + right + "` with hmacsha1, but it ends after 39 of its 40 digits"},
		{"key and text exchanged", plain, Sign(HMACSHA1, right, secret),
			who + "the password is an HMAC with key and text exchanged: the DeviceSecret is the key" + fix},
		{"plain hash", plain, hex.EncodeToString(plainMD5[:]),
			who + "the password is the plain md5 of the text; it must be an HMAC with the DeviceSecret as its key" + fix},
		{"the secret itself", plain, secret,
			who + "the password is the DeviceSecret itself instead of an HMAC made with it: treat the secret as exposed" + fix},
		{"the text itself", plain, right, who + "the password is the text to be signed instead of its HMAC" + fix},
		{"empty", plain, "", who + "the password is empty" + fix},
		{"nonsense", plain, "letmein",
			who + "the password has 7 characters; hex of hmacmd5 has 32, of hmacsha1 40, of hmacsha256 64" + fix},
		{"another secret", plain, Sign(HMACSHA1, "another", right),
			who + "the password is a digest of hmacsha1's length, but neither of the right text nor of any usual mistake: " +
				"compare the DeviceSecret in the device with the server's" + fix},
		{"another secret, no method", "10001", Sign(HMACSHA256, "another", right),
			who + "the password is a digest of hmacsha256's length, but neither of the right text nor of any usual mistake: " +
				"compare the DeviceSecret in the device with the server's; sign `" + right + "` with hmacsha256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Verify(clientID(t, tt.id), "STC15", "a1ji0qFv6Jf", secret, tt.password)
			if err == nil {
				t.Fatal("accepted")
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			for _, method := range []SignMethod{HMACMD5, HMACSHA1, HMACSHA256} {
				for _, content := range []string{right, right + "timestamp789"} {
					if strings.Contains(err.Error(), Sign(method, secret, content)) {
						t.Error("the text contains a digest that would be accepted")
					}
				}
			}
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
				t.Error("the text contains the secret")
			}
			if _, ok := err.(*SignError); !ok {
				t.Errorf("a %T", err)
			}
		})
	}
}

func TestDiagnoseHidesSecretsInTheClientID(t *testing.T) {
	secret, token := seed.DeviceSecret, "0badcafe0badcafe"
	id := secret + "|token=" + token + ",securemode=3,signmethod=hmacmd5|"
	for _, content := range []string{
		SignContent(id, "STC15", "a1ji0qFv6Jf", "", false),
		SignContent("STC15", "STC15", "a1ji0qFv6Jf", "", false),
		"nothing known",
	} {
		err := Diagnose(clientID(t, id), "STC15", "a1ji0qFv6Jf", secret, Sign(HMACMD5, secret, content))
		if s := fmt.Sprintf("%v %+v", err, *err); strings.Contains(s, secret) || strings.Contains(s, token) {
			t.Errorf("a secret shows in %s", s)
		}
	}
}

// A stranger must not be able to find the digest digit by digit.
func TestDiagnoseIsNoOracle(t *testing.T) {
	c := clientID(t, "10001|signmethod=hmacsha1|")
	digits := Sign(HMACSHA1, seed.DeviceSecret, SignContent("10001", "STC15", "a1ji0qFv6Jf", "", false))
	for n := 1; n < 24; n++ {
		good := Diagnose(c, "STC15", "a1ji0qFv6Jf", seed.DeviceSecret, digits[:n])
		bad := Diagnose(c, "STC15", "a1ji0qFv6Jf", seed.DeviceSecret, strings.Repeat("0", n))
		if good.Error() != bad.Error() {
			t.Errorf("%d digits: %v, wrong ones: %v", n, good, bad)
		}
	}
}

func TestSignErrorIsBounded(t *testing.T) {
	c := clientID(t, strings.Repeat("x\n", 30000))
	err := Diagnose(c, "STC15", "a1ji0qFv6Jf", seed.DeviceSecret, strings.Repeat("0", 32))
	if s := err.Error(); len(s) > 2000 || strings.Contains(s, "\n") {
		t.Errorf("%d bytes, line feed %v", len(s), strings.Contains(s, "\n"))
	}
}

func TestMatchesDoesNotAllocate(t *testing.T) {
	c := clientID(t, "10001|securemode=3,signmethod=hmacsha1|")
	for _, m := range []SignMethod{HMACMD5, HMACSHA1, HMACSHA256} {
		c.SignMethod = m
		password := Sign(m, seed.DeviceSecret, SignContent("10001", "STC15", "a1ji0qFv6Jf", "", false))
		if n := testing.AllocsPerRun(100, func() {
			if !Matches(c, "STC15", "a1ji0qFv6Jf", seed.DeviceSecret, password) {
				t.Fatal("refused")
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations, want 0", m, n)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, m := range []SignMethod{HMACMD5, HMACSHA1, HMACSHA256} {
		b.Run(m.String(), func(b *testing.B) {
			c := clientID(b, "10001|securemode=3,signmethod="+m.String()+"|")
			password := Sign(m, seed.DeviceSecret, SignContent("10001", "STC15", "a1ji0qFv6Jf", "", false))
			b.ReportAllocs()
			for b.Loop() {
				if Verify(c, "STC15", "a1ji0qFv6Jf", seed.DeviceSecret, password) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkDiagnoseInVain(b *testing.B) {
	c := clientID(b, "10001|securemode=3,signmethod=hmacsha256,timestamp=789|")
	password := strings.Repeat("0", 64)
	b.ReportAllocs()
	for b.Loop() {
		if Diagnose(c, "STC15", "a1ji0qFv6Jf", seed.DeviceSecret, password).Found {
			b.Fatal("found")
		}
	}
}
