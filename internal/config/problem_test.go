package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLines(t *testing.T) {
	got := Lines([]byte("# comment\ndata = \"x\"\n\nlimits.packet = 5\n[tls]\n  cert = '''a\nb'''\nkey = \"k\"\n[[x.y]]\nz = [\n 1,\n]\n"))
	want := map[string]int{"data": 2, "limits.packet": 4, "tls": 5, "tls.cert": 6, "tls.key": 8, "x.y": 9, "x.y.z": 10}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := Lines([]byte("a = 1\nb = \n")); got["a"] != 1 {
		t.Errorf("before a mistake: %v", got)
	}
}

func TestSimilar(t *testing.T) {
	for key, want := range map[string]string{
		"durabilty": "durability", "limits.openning": "limits.opening", "tls.strict": "device.strict", "tls.hosts": "tls.hosts",
		"something.else": "", "x": "",
	} {
		if got := similar(key, keyNames()); got != want {
			t.Errorf("%s is taken for %q, want %q", key, got, want)
		}
	}
}
