package alink

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"os"
	"strings"
	"testing"
)

// TestVectors pins every content form to the vectors of spec/connect.md §15.
func TestVectors(t *testing.T) {
	file, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		N       int
		Form    string
		In      map[string]string
		Content string
		Sign    map[string]string
	}
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 22 {
		t.Fatalf("%d vectors, want 22", len(vectors))
	}
	for _, v := range vectors {
		t.Run(fmt.Sprintf("%d %s", v.N, v.Form), func(t *testing.T) {
			in := v.In
			timestamp, withTimestamp := in["timestamp"]
			var content string
			switch v.Form {
			case "connect", "http":
				content = SignContent(in["clientId"], in["deviceName"], in["productKey"], timestamp, withTimestamp)
			case "register":
				content = DynamicRegisterContent(in["deviceName"], in["productKey"], in["random"])
			case "psk":
				content = PSKContent(in["deviceName"], in["productKey"], timestamp)
			case "coap":
				content = CoAPAuthContent(in["clientId"], in["deviceName"], in["productKey"], in["seq"])
			case "subdevice":
				content = SubDeviceContent(in["clientId"], true, in["deviceName"], in["productKey"], timestamp)
			case "subdevice cleanSession":
				content = SubDeviceContentCleanSession(in["cleanSession"], in["clientId"], in["deviceName"], in["productKey"], timestamp)
			case "coap key":
				if key := CoAPSessionKey(in["key"], in["random"]); hex.EncodeToString(key[:]) != v.Sign["key"] {
					t.Errorf("key %x, want %s", key, v.Sign["key"])
				}
				return
			case "crc":
				if crc := fmt.Sprintf("%04x", CRC16([]byte(in["content"]))); crc != v.Sign["crc"] {
					t.Errorf("crc %s, want %s", crc, v.Sign["crc"])
				}
				return
			default:
				t.Fatalf("form %q", v.Form)
			}
			if content != v.Content {
				t.Fatalf("content %s\nwant    %s", content, v.Content)
			}
			for name, want := range v.Sign {
				m, err := ParseSignMethod(name)
				if err != nil {
					t.Fatal(err)
				}
				if got := Sign(m, in["key"], content); got != strings.ToLower(want) {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
				if !MatchesContent(m, in["key"], content, want) {
					t.Errorf("%s: %s does not match", name, want)
				}
				if v.Form == "connect" {
					id := in["clientId"] + "|securemode=2,signmethod=" + name
					if withTimestamp {
						id += ",timestamp=" + timestamp
					}
					c, err := ParseClientID(id + "|")
					if err != nil {
						t.Fatal(err)
					}
					if err := Verify(c, in["deviceName"], in["productKey"], in["key"], want); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

func TestMACIsHMAC(t *testing.T) {
	hashes := []func() hash.Hash{md5.New, sha1.New, sha256.New}
	for m, h := range hashes {
		for _, keyLen := range []int{0, 1, 32, 63, 64, 65, 200, 600} {
			for _, textLen := range []int{0, 1, 100, 511, 512, 513, 3000} {
				key, text := strings.Repeat("k", keyLen), strings.Repeat("t", textLen)
				want := hmac.New(h, []byte(key))
				want.Write([]byte(text))
				if got := Sign(SignMethod(m), key, text); got != hex.EncodeToString(want.Sum(nil)) {
					t.Errorf("%v of %d bytes under a key of %d: %s", SignMethod(m), textLen, keyLen, got)
				}
			}
		}
	}
}

func TestParseSignMethod(t *testing.T) {
	for in, want := range map[string]SignMethod{"": HMACMD5, "hmacmd5": HMACMD5, "HmacMD5": HMACMD5, "HMACSHA1": HMACSHA1, "hmacSha256": HMACSHA256} {
		if got, err := ParseSignMethod(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"sha256", "hmacsha512", " hmacmd5"} {
		if m, err := ParseSignMethod(in); err == nil {
			t.Errorf("%q is %v", in, m)
		}
	}
	if m, err := ParseSubDeviceSignMethod("Sha256"); err != nil || m != HMACSHA256 {
		t.Errorf("Sha256 of a gateway: %v, %v", m, err)
	}
	if m, err := ParseSubDeviceSignMethod("hmacSha1"); err != nil || m != HMACSHA1 {
		t.Errorf("hmacSha1 of a gateway: %v, %v", m, err)
	}
	if got := fmt.Sprint(HMACSHA1, SignMethod(9)); got != "hmacsha1 SignMethod(9)" {
		t.Error(got)
	}
}

func TestSortedContent(t *testing.T) {
	params := []Param{{"timestamp", "1"}, {"sign", "x"}, {"clientId", "c"}, {"version", "default"}, {"deviceName", "d"}, {"resources", "mqtt"}}
	const want = "clientIdcdeviceNamedtimestamp1"
	if got := SortedContent(params, "sign", "signmethod", "version", "resources"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if params[0].Key != "timestamp" {
		t.Error("the argument was sorted")
	}
}

func TestContentWithoutClientID(t *testing.T) {
	const want = "deviceNamesub001productKeya1SubSubSubtimestamp1"
	if got := SubDeviceContent("ignored", false, "sub001", "a1SubSubSub", "1"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	const identity = "devicename|hmacsha256|a1B2c3D4e5F&dev01|2524608000000"
	if got := PSKIdentity(HMACSHA256, "dev01", "a1B2c3D4e5F", "2524608000000"); got != identity {
		t.Errorf("%s, want %s", got, identity)
	}
}
