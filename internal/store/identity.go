package store

import (
	"crypto/rand"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	hexDigits    = "0123456789abcdef"
)

// randomText returns n characters of the alphabet, each equally likely.
func randomText(n int, alphabet string) string {
	out := make([]byte, 0, n)
	var buf [64]byte
	// Bytes past the last whole multiple of the alphabet would favour its
	// beginning, so they are thrown away.
	limit := byte(256 / len(alphabet) * len(alphabet) & 0xff)
	for len(out) < n {
		rand.Read(buf[:])
		for _, b := range buf {
			if len(out) < n && (limit == 0 || b < limit) {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

// validKey reports whether s can be a ProductKey: the letters and digits of the
// cloud, with room to spare.
func validKey(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// validDeviceName is wider than the cloud's rule for new devices (connect.md
// section 1), because imported devices obey older ones, Chinese names among
// them. It refuses what would break out of a topic, a user name or a client id.
func validDeviceName(s string) bool {
	if s == "" || len(s) > 128 || !utf8.ValidString(s) || strings.ContainsAny(s, "/+#&|$") {
		return false
	}
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// checkSecret refuses a secret that a device could not hold (connect.md
// section 1: SDK buffers hold 64 bytes).
func checkSecret(op, key string, s Secret) error {
	if len(s) > 64 || strings.ContainsFunc(string(s), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return &Error{Kind: KindInvalid, Op: op, Key: key,
			Err: errors.New("a secret has at most 64 printable ASCII characters")}
	}
	return nil
}
