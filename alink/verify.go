package alink

import (
	"crypto/sha256"
	"crypto/subtle"
)

// Verify checks the password of a device that logs in with its DeviceSecret (spec/connect.md §6, §16.5):
// hex digits in either case, the method of the client id or, if it names none, the one whose digest has the
// password's length. deviceName and productKey come from the user name.
//
// It returns nil or a *SignError that says what the device did instead. Looking for that costs up to a few
// hundred HMACs; a server under attack calls Matches and leaves the search to Diagnose.
func Verify(c ClientID, deviceName, productKey, secret, password string) error {
	if Matches(c, deviceName, productKey, secret, password) {
		return nil
	}
	return Diagnose(c, deviceName, productKey, secret, password)
}

// Matches is the check alone, in constant time for a given length of the password and without allocating.
// An empty secret matches nothing.
func Matches(c ClientID, deviceName, productKey, secret, password string) bool {
	method := c.SignMethod
	if !c.HasSignMethod {
		var ok bool
		if method, ok = signMethodOfLength(len(password)); !ok {
			return false
		}
	}
	var stack [512]byte
	content := appendSignContent(stack[:0], c.Prefix, deviceName, productKey, c.Timestamp, c.HasTimestamp)
	return matchHex(method, secret, content, password)
}

// MatchesContent checks a password against one of the other content forms: a registration, a sub-device's
// sign, a form.
func MatchesContent(m SignMethod, key, content, password string) bool {
	return matchHex(m, key, content, password)
}

func matchHex[T string | []byte](m SignMethod, key string, content T, password string) bool {
	if key == "" || m.Size() == 0 || len(password) != 2*m.Size() {
		return false
	}
	var got, want [sha256.Size]byte
	for i := range m.Size() {
		hi, lo := hexDigit(password[2*i]), hexDigit(password[2*i+1])
		if hi > 15 || lo > 15 {
			return false
		}
		got[i] = hi<<4 | lo
	}
	n := mac(m, key, content, &want)
	return subtle.ConstantTimeCompare(got[:n], want[:n]) == 1
}

// hexDigit returns a digit's value, 16 or more for anything else.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}
