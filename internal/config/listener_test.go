package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseListener(t *testing.T) {
	p := netip.MustParsePrefix
	for text, want := range map[string]Listener{
		":1883":                             {Kind: "auto", Network: "tcp", Address: ":1883"},
		"[::1]:0":                           {Kind: "auto", Network: "tcp", Address: "[::1]:0"},
		"tls://0.0.0.0:8883":                {Kind: "tls", Network: "tcp", Address: "0.0.0.0:8883"},
		"wss://:443":                        {Kind: "wss", Network: "tcp", Address: ":443"},
		"unix:/run/a.sock":                  {Kind: "auto", Network: "unix", Address: "/run/a.sock"},
		"tcp://unix:a.sock?mode=0660&proxy": {Kind: "tcp", Network: "unix", Address: "a.sock", Mode: 0o660, Proxied: true},
		":1884?proxy=10.0.0.5&proxy=fd00::/8&proxy=192.168.1.7/24": {Kind: "auto", Network: "tcp", Address: ":1884",
			Proxies: []netip.Prefix{p("10.0.0.5/32"), p("fd00::/8"), p("192.168.1.0/24")}},
		"systemd:mqtt":                 {Kind: "auto", Network: "systemd", Address: "mqtt"},
		"ws://systemd:web?proxy=::1":   {Kind: "ws", Network: "systemd", Address: "web", Proxies: []netip.Prefix{p("::1/128")}},
		"systemd:mqtt?proxy":           {Kind: "auto", Network: "systemd", Address: "mqtt", Proxied: true},
		":1884?proxy=::ffff:127.0.0.1": {Kind: "auto", Network: "tcp", Address: ":1884", Proxies: []netip.Prefix{p("127.0.0.1/32")}},
	} {
		got, err := ParseListener(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	for text, want := range map[string]string{
		"1883":                 "not host:port",
		":mqtt":                "not a number",
		":70000":               "not a number",
		":01":                  "not a number",
		"http://:1883":         "not auto, tcp, tls, ws or wss",
		"unix:":                "nothing behind unix:",
		"systemd:":             "nothing behind systemd:",
		":1883?mode=0600":      "goes once, with unix:",
		"unix:/a?mode=1777":    "not a permission",
		"unix:/a?mode=rw":      "not a permission",
		":1883?proxy":          "no address or prefix",
		":1883?proxy=lb":       "no address or prefix",
		"unix:/a?proxy=::1":    "have no addresses",
		":1883?trusted=::1":    `no option "trusted"`,
		":1883?proxy=%zz":      "cannot be read",
		":1883?proxy=10.0.0.0": "",
	} {
		_, err := ParseListener(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
