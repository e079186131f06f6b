package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestSignVectors signs every CONNECT of the vectors the alink package is tested with.
func TestSignVectors(t *testing.T) {
	text, err := os.ReadFile("../../alink/testdata/vectors.json")
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
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	signed := 0
	for _, v := range vectors {
		if v.Form != "connect" {
			continue
		}
		for method, want := range v.Sign {
			var stdout, stderr bytes.Buffer
			code := run([]string{
				"sign", "--json", "--method", method, "--client-id", v.In["clientId"], "--timestamp", v.In["timestamp"],
				"-k", v.In["productKey"], "-d", v.In["deviceName"], "--secret-file", "-",
			}, strings.NewReader(v.In["key"]+"\r\n"), &stdout, &stderr)
			if code != exitOK {
				t.Errorf("vector %d ended with %d: %s", v.N, code, &stderr)
				continue
			}
			var got signResult
			if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if !strings.EqualFold(got.Password, want) || got.Content != v.Content {
				t.Errorf("vector %d, %s: password %s of %q, want %s of %q", v.N, method, got.Password, got.Content, want, v.Content)
			}
			if prefix, _, _ := strings.Cut(got.ClientID, "|"); prefix != v.In["clientId"] {
				t.Errorf("vector %d: client id %s begins with %q, want %q", v.N, got.ClientID, prefix, v.In["clientId"])
			}
			signed++
		}
	}
	if signed < 14 {
		t.Errorf("%d vectors signed, want 14 at least", signed)
	}
}

// TestSignDoors signs vectors 16, 17 and 18 of spec/connect.md.
func TestSignDoors(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want doorResult
	}{
		{[]string{"--http", "--method", "hmacsha256"}, doorResult{
			Body: `{"productKey":"a1B2c3D4e5F","deviceName":"dev01","clientId":"a1B2c3D4e5F.dev01","signmethod":"hmacsha256",` +
				`"sign":"ffc541b17fc499abe2b15348f7d9a06871aaec7837802227cf50b1155cd9600b"}`,
			Content: "clientIda1B2c3D4e5F.dev01deviceNamedev01productKeya1B2c3D4e5F", Method: "hmacsha256",
		}},
		{[]string{"--coap", "--seq", "10", "--method", "hmacmd5"}, doorResult{
			Body: `{"productKey":"a1B2c3D4e5F","deviceName":"dev01","clientId":"a1B2c3D4e5F.dev01","signmethod":"hmacmd5","seq":"10",` +
				`"sign":"2449eee41a73794918d8e660f02a3cec"}`,
			Content: "clientIda1B2c3D4e5F.dev01deviceNamedev01productKeya1B2c3D4e5Fseq10", Method: "hmacmd5",
		}},
		{[]string{"--dtls", "--method", "hmacsha256"}, doorResult{
			Body: `{"productKey":"a1B2c3D4e5F","deviceName":"dev01","clientId":"a1B2c3D4e5F.dev01","signmethod":"hmacsha256",` +
				`"sign":"ffc541b17fc499abe2b15348f7d9a06871aaec7837802227cf50b1155cd9600b"}`,
			Content: "clientIda1B2c3D4e5F.dev01deviceNamedev01productKeya1B2c3D4e5F", Method: "hmacsha256",
			Identity: "devicename|hmacsha256|a1B2c3D4e5F&dev01|2524608000000", Key: "AE86AFEB80A1D5987175AD06A8FBE103936E76417761D76D0E90212D3D880496",
		}},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"sign", "--json", "-k", "a1B2c3D4e5F", "-d", "dev01", "--client-id", "a1B2c3D4e5F.dev01", "--secret-file", "-"}, tt.args...)
		code := run(args, strings.NewReader("0123456789abcdef0123456789abcdef\n"), &stdout, &stderr)
		var got doorResult
		if err := json.Unmarshal(stdout.Bytes(), &got); code != exitOK || err != nil || got != tt.want {
			t.Errorf("%v: %d %s %+v, want %+v", tt.args, code, &stderr, got, tt.want)
		}
	}
	for _, args := range [][]string{{"--http", "--coap"}, {"--coap", "--seq", "x"}} {
		var stdout, stderr bytes.Buffer
		if code := run(append([]string{"sign", "-k", "a", "-d", "b", "--secret-file", "-"}, args...), strings.NewReader("c"), &stdout, &stderr); code == exitOK {
			t.Errorf("%v: %s", args, &stdout)
		}
	}
}
