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
