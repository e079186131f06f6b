package mqtt

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestValidTopicName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "/": true, "a/b": true, "//": true, " ": true, "$SYS/x": true, "温度/é": true, "a\tb": true,
		strings.Repeat("t", MaxStringLength): true, strings.Repeat("t", MaxStringLength+1): false,
		"": false, "+": false, "#": false, "a+": false, "sensors/#": false, "sensors/+/x": false,
		"a\x00b": false, "\xff": false, "sensors/\xed\xa0\x80": false, "sensors/\xc0\xaf": false,
	} {
		if got := ValidTopicName([]byte(name)); got != want {
			t.Errorf("%.40q: %t, expected %t", name, got, want)
		}
	}
}

func TestValidTopicFilter(t *testing.T) {
	for filter, want := range map[string]bool{
		"a": true, "#": true, "+": true, "+/+": true, "/#": true, "a/#": true, "/+": true, "+/": true, "a/+/b": true,
		"$share/g/#": true, "$share/g/a/+": true, "$share": true, "$sharex/+/a": true,
		"": false, "a#": false, "#/": false, "#a": false, "a/+b": false, "a/b+/c": false, "##": false, "++": false,
		"$share/": false, "$share/g": false, "$share/g/": false, "$share//a": false, "$share/+/a": false, "$share/g/a#": false,
		"a\x00": false, "a/\xff/#": false,
		strings.Repeat("t", MaxStringLength+1): false,
	} {
		if got := ValidTopicFilter([]byte(filter)); got != want {
			t.Errorf("%.40q: %t, expected %t", filter, got, want)
		}
	}
}

func TestSplitShared(t *testing.T) {
	for _, tc := range []struct {
		filter, name, rest string
		ok                 bool
	}{
		{"$share/g/a/b", "g", "a/b", true},
		{"$share/g//", "g", "/", true},
		{"$share/g/", "", "$share/g/", false},
		{"$share//a", "", "$share//a", false},
		{"$share/g", "", "$share/g", false},
		{"a/b", "", "a/b", false},
	} {
		name, rest, ok := SplitShared([]byte(tc.filter))
		if string(name) != tc.name || string(rest) != tc.rest || ok != tc.ok {
			t.Errorf("%q: %q, %q, %t", tc.filter, name, rest, ok)
		}
	}
}

// The checks that look at eight bytes at a time agree with the obvious ones,
// for any single odd byte at any place.
func TestPlainChecks(t *testing.T) {
	for size := range 40 {
		for at := range size {
			for c := range 256 {
				b := bytes.Repeat([]byte("z"), size)
				b[at] = byte(c)
				plain := c >= 1 && c <= 0x7F
				if got := plainASCII(b); got != plain {
					t.Fatalf("plainASCII(%q) = %t", b, got)
				}
				if got, want := plainTopic(b), plain && c != '#' && c != '+'; got != want {
					t.Fatalf("plainTopic(%q) = %t", b, got)
				}
			}
		}
	}
	if plainTopic(nil) {
		t.Error("an empty topic is plain")
	}
}

// [MQTT-1.5.3-1] [MQTT-1.5.3-2]
func TestValidUTF8(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "b"))
		want := utf8.Valid(b) && !bytes.Contains(b, []byte{0})
		if got := ValidUTF8(b); got != want {
			t.Fatalf("ValidUTF8(%q) = %t", b, got)
		}
		if at, _ := badText(b); (at < 0) != want {
			t.Fatalf("badText(%q) = %d", b, at)
		}
	})
}
