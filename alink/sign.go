package alink

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// SignMethod is the HMAC a password is made with. The zero value is what the cloud assumes when a client
// names none.
type SignMethod uint8

// The three methods of the protocol.
const (
	HMACMD5 SignMethod = iota
	HMACSHA1
	HMACSHA256
)

var signMethods = [...]struct {
	name string
	size int // digest in bytes
}{{"hmacmd5", md5.Size}, {"hmacsha1", sha1.Size}, {"hmacsha256", sha256.Size}}

// String returns the name clients use: hmacmd5, hmacsha1, hmacsha256.
func (m SignMethod) String() string {
	if int(m) < len(signMethods) {
		return signMethods[m].name
	}
	return fmt.Sprintf("SignMethod(%d)", uint8(m))
}

// Size returns the length of the method's digest in bytes; the password has twice as many hex digits.
func (m SignMethod) Size() int {
	if int(m) < len(signMethods) {
		return signMethods[m].size
	}
	return 0
}

// ParseSignMethod reads a method's name in any letter case; "" is HMACMD5.
func ParseSignMethod(s string) (SignMethod, error) {
	if s == "" {
		return HMACMD5, nil
	}
	for m := range signMethods {
		if strings.EqualFold(s, signMethods[m].name) {
			return SignMethod(m), nil
		}
	}
	return 0, fmt.Errorf("sign method %.32q is not known; use hmacmd5, hmacsha1 or hmacsha256", s)
}

// ParseSubDeviceSignMethod is ParseSignMethod for the messages of a gateway, where "Sha256" occurs as
// another name of hmacSha256 (spec/gateway.md §4.1).
func ParseSubDeviceSignMethod(s string) (SignMethod, error) {
	if strings.EqualFold(s, "sha256") {
		return HMACSHA256, nil
	}
	return ParseSignMethod(s)
}

// signMethodOfLength returns the method whose password has n hex digits.
func signMethodOfLength(n int) (SignMethod, bool) {
	for m := range signMethods {
		if n == 2*signMethods[m].size {
			return SignMethod(m), true
		}
	}
	return 0, false
}

// Sign returns the HMAC of content under key in lower-case hex. key is the text of a DeviceSecret or
// ProductSecret, used byte for byte even when it looks like hex.
func Sign(m SignMethod, key, content string) string {
	var digest [sha256.Size]byte
	n := mac(m, key, content, &digest)
	return hex.EncodeToString(digest[:n])
}

// The block size all three hash functions share.
const hashBlock = 64

// mac writes the HMAC of content under key (RFC 2104) and returns its length. It exists because
// crypto/hmac allocates its state on the heap: one login in a reconnect storm of a whole fleet should cost
// the hashing and nothing else. The tests compare it with crypto/hmac.
func mac[T string | []byte](m SignMethod, key string, content T, out *[sha256.Size]byte) int {
	var pad [hashBlock]byte
	if len(key) > hashBlock {
		var hashed [sha256.Size]byte
		var long [512]byte
		n := digest(m, append(long[:0], key...), &hashed)
		copy(pad[:], hashed[:n])
	} else {
		copy(pad[:], key)
	}
	for i := range pad {
		pad[i] ^= 0x36
	}
	var stack [hashBlock + 512]byte
	b := append(append(stack[:0], pad[:]...), content...)
	n := digest(m, b, out)
	for i := range pad {
		pad[i] ^= 0x36 ^ 0x5c
	}
	b = append(append(stack[:0], pad[:]...), out[:n]...)
	return digest(m, b, out)
}

// digest writes the plain hash that m is built on and returns its length.
func digest(m SignMethod, b []byte, out *[sha256.Size]byte) int {
	switch m {
	case HMACSHA1:
		sum := sha1.Sum(b)
		return copy(out[:], sum[:])
	case HMACSHA256:
		*out = sha256.Sum256(b)
		return sha256.Size
	default:
		sum := md5.Sum(b)
		return copy(out[:], sum[:])
	}
}
