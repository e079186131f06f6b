package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "linkstead.toml")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDefaultIsValid(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestFileThenEnvironment(t *testing.T) {
	p := write(t, "data = \"/srv/a\"\nlisten = [\":1883\", \":443\"]\n[history]\nretention = \"7d\"\n[tls]\nmin_version = \"1.0\"\n")
	c, s, err := Load(p, []string{"LINKSTEAD_DATA=/srv/b", "LINKSTEAD_LIMITS_OPENING_TIMEOUT=3s", "PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/srv/b" || len(c.Listen) != 2 || time.Duration(c.History.Retention) != 7*24*time.Hour ||
		c.TLS.MinVersion != "1.0" || time.Duration(c.Limits.OpeningTimeout) != 3*time.Second {
		t.Errorf("loaded %+v", c)
	}
	for key, want := range map[string]string{
		"data": "environment LINKSTEAD_DATA", "listen": "file " + p, "history.retention": "file " + p, "durability": "default",
	} {
		if s[key] != want {
			t.Errorf("source of %s is %q, want %q", key, s[key], want)
		}
	}
	var value any
	for _, e := range c.Entries(s) {
		if e.Key == "history.retention" {
			value = e.Value
		}
	}
	if value != "7d" {
		t.Errorf("history.retention is shown as %v", value)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, tt := range []struct{ name, file, env, want string }{
		{"unknown key", "data = \"x\"\ndurabilty = \"os\"\n", "", "line 2, column 1: unknown key durabilty"},
		{"unknown section key", "[tls]\ncertificate = \"x\"\n", "", "tls.certificate"},
		{"wrong type", "listen = 1883\n", "", "line 1"},
		{"not toml", "data = \n", "", "line 1"},
		{"bad duration", "[history]\nretention = \"30 days\"\n", "", "not a duration"},
		{"unknown variable", "", "LINKSTEAD_DURABILTY=os", "LINKSTEAD_DURABILTY is not known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := Load(write(t, tt.file), []string{tt.env})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	if _, _, err := Load(filepath.Join(t.TempDir(), "none.toml"), nil); err == nil {
		t.Error("a missing file is accepted")
	}
}

func TestValidateRefuses(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"admin":           func(c *Config) { c.Admin = "0.0.0.0:8080" },
		"durability":      func(c *Config) { c.Durability = "yes" },
		"on_damage":       func(c *Config) { c.OnDamage = "panic" },
		"listen":          func(c *Config) { c.Listen = nil },
		"tls":             func(c *Config) { c.TLS.Cert = "a.pem" },
		"tls.min_version": func(c *Config) { c.TLS.MinVersion = "2" },
		"log.level":       func(c *Config) { c.Log.Level = "loud" },
		"limits.packet":   func(c *Config) { c.Limits.Packet = 0 },
		"coap.listen":     func(c *Config) { c.CoAP.Listen = "5682" },
		"coap.tls_listen": func(c *Config) { c.CoAP.Listen, c.CoAP.TLSListen = ":5682", ":5682" },
		"coap.rate":       func(c *Config) { c.CoAP.Rate = -1 },
		"coap.sessions":   func(c *Config) { c.CoAP.Sessions = 0 },
		"shared.strategy": func(c *Config) { c.Shared.Strategy = "best" },
		"shared.key":      func(c *Config) { c.Shared.Key = "property:" },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%s: got %v", key, err)
		}
	}
	c := Default()
	c.Admin, c.AdminRemote = "0.0.0.0:8080", true
	if err := c.Validate(); err != nil {
		t.Errorf("admin_remote: %v", err)
	}
}

func TestDurationText(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "90s": 90 * time.Second, "0s": 0} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%q is %v, %v", text, time.Duration(d), err)
		}
		var back Duration
		if err := back.UnmarshalText([]byte(d.String())); err != nil || back != d {
			t.Errorf("%q does not come back: %v", d.String(), err)
		}
	}
	for _, text := range []string{"", "7", "-1d", "d", "1.5d", "-3s", "x"} {
		var d Duration
		if d.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
