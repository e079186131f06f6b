package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadOrCreateKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "master.key")
	made, created, err := LoadOrCreateKey(path)
	if err != nil || !created || len(made) != KeySize || bytes.Equal(made, make([]byte, KeySize)) {
		t.Fatalf("%d bytes, created %v, %v", len(made), created, err)
	}
	loaded, created, err := LoadOrCreateKey(path)
	if err != nil || created || !bytes.Equal(made, loaded) {
		t.Fatalf("created %v, same %v, %v", created, bytes.Equal(made, loaded), err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("%d files are left, want the key only", len(entries))
	}
}

func TestKeyFileRefusals(t *testing.T) {
	good := strings.Repeat("ab", KeySize)
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"readable by the group", good, 0o640, "chmod 600"},
		{"readable by all", good, 0o604, "chmod 600"},
		{"too short", good[:62], 0o600, "64 hexadecimal digits"},
		{"too long", good + "ab", 0o600, "64 hexadecimal digits"},
		{"much too long", strings.Repeat(good, 100), 0o600, "64 hexadecimal digits"},
		{"not hexadecimal", "zz" + good[2:], 0o600, "64 hexadecimal digits"},
		{"empty", "", 0o600, "64 hexadecimal digits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, created, err := LoadOrCreateKey(path)
			if !errors.Is(err, ErrInvalid) || created || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("created %v, %v; want %q in it", created, err, tt.want)
			}
			if err != nil && tt.text != "" && strings.Contains(err.Error(), tt.text[:4]) {
				t.Errorf("the error quotes the key: %v", err)
			}
			if now, _ := os.ReadFile(path); string(now) != tt.text {
				t.Error("the file was changed")
			}
		})
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(good+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, _, err := LoadOrCreateKey(path); err != nil || hex.EncodeToString(key) != good {
		t.Error("a good key with a newline is refused:", err)
	}
}
