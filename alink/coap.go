package alink

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The CoAP options of the protocol (spec/services.md §15).
const (
	CoAPOptionToken     = 2088 // what /auth gave, as text
	CoAPOptionSeq       = 2089 // encrypted sequence number
	CoAPOptionMessageID = 2090 // in answers: the id of the message
)

// coapIV is what every message of a session begins to be encrypted with.
const coapIV = "543yhjy97ae7fyfg"

// CoAPKey is the key of a symmetric CoAP session: AES-128-CBC with PKCS#7 padding. It hides what a message
// says and does not keep anybody from changing it, and equal messages look equal; devices that can do better
// use DTLS.
type CoAPKey [16]byte

// NewCoAPKey derives the key of a session from a DeviceSecret and the random text that /auth answered.
func NewCoAPKey(secret, random string) (k CoAPKey) {
	sum := sha256.Sum256([]byte(secret + "," + random))
	copy(k[:], sum[8:24])
	return k
}

// Encrypt returns plain as it goes over the wire: 1 to 16 bytes more.
func (k *CoAPKey) Encrypt(plain []byte) []byte {
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	out := make([]byte, len(plain)+pad)
	for i := copy(out, plain); i < len(out); i++ {
		out[i] = byte(pad)
	}
	block, _ := aes.NewCipher(k[:]) // fails for other lengths only
	cipher.NewCBCEncrypter(block, []byte(coapIV)).CryptBlocks(out, out)
	return out
}

var errNotEncrypted = errors.New("the bytes are not encrypted with the key of this session")

// Decrypt returns what was encrypted. It fails for what Encrypt with the same key cannot have made.
func (k *CoAPKey) Decrypt(b []byte) ([]byte, error) {
	if len(b) == 0 || len(b)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%d bytes are no encrypted text, whose length is a multiple of %d", len(b), aes.BlockSize)
	}
	out := make([]byte, len(b))
	block, _ := aes.NewCipher(k[:])
	cipher.NewCBCDecrypter(block, []byte(coapIV)).CryptBlocks(out, b)
	pad := int(out[len(out)-1])
	if pad == 0 || pad > aes.BlockSize {
		return nil, errNotEncrypted
	}
	for _, c := range out[len(out)-pad:] {
		if int(c) != pad {
			return nil, errNotEncrypted
		}
	}
	return out[:len(out)-pad], nil
}

// DecryptSeq reads the sequence number of a message.
func (k *CoAPKey) DecryptSeq(b []byte) (uint64, error) {
	if len(b) > 2*aes.BlockSize {
		return 0, fmt.Errorf("a sequence number of %d encrypted bytes is too long", len(b))
	}
	text, err := k.Decrypt(b)
	if err != nil {
		return 0, fmt.Errorf("the sequence number: %w", err)
	}
	n, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("the sequence number %.20q is not decimal", text)
	}
	return n, nil
}

// CoAPSeqs are the sequence numbers of a session that were used. A number below the first or used before is a
// repetition; numbers may come in another order as long as they are not more than 64 apart. The zero
// CoAPSeqs begins at 0.
type CoAPSeqs struct {
	top  uint64 // highest number used, plus one
	seen uint64 // bit i: top-1-i was used
}

// NewCoAPSeqs begins at first.
func NewCoAPSeqs(first uint64) CoAPSeqs { return CoAPSeqs{top: first, seen: ^uint64(0)} }

// Use marks a number as used, and reports false if it was before or is too old to tell.
func (s *CoAPSeqs) Use(n uint64) bool {
	if n >= s.top {
		if shift := n - s.top + 1; shift < 64 {
			s.seen = s.seen<<shift | 1
		} else {
			s.seen = 1
		}
		s.top = n + 1
		return true
	}
	back := s.top - 1 - n
	if back >= 64 || s.seen&(1<<back) != 0 {
		return false
	}
	s.seen |= 1 << back
	return true
}

// MatchesCoAPAuth checks the sign of CoAP's /auth with a sequence number; without a sign method the digest's
// length tells. timestamp is the literal text, signed after the number if there is one.
func MatchesCoAPAuth(c ClientID, deviceName, productKey, seq, secret, sign string) bool {
	method := c.SignMethod
	if !c.HasSignMethod {
		var ok bool
		if method, ok = signMethodOfLength(len(sign)); !ok {
			return false
		}
	}
	content := CoAPAuthContent(c.Prefix, deviceName, productKey, seq)
	if c.HasTimestamp {
		content += "timestamp" + c.Timestamp
	}
	return matchHex(method, secret, content, sign)
}

// PSK is who a device says it is by the identity of a TLS-PSK or DTLS-PSK handshake, and how its key is made
// (spec/connect.md §9.4).
type PSK struct {
	ProductKey, DeviceName string
	Method                 SignMethod
	Timestamp              string
}

// ParsePSKIdentity reads devicename|{method}|{productKey}&{deviceName}|{timestamp}.
func ParsePSKIdentity(s string) (PSK, error) {
	fields := strings.Split(s, "|")
	if len(s) > 256 || len(fields) != 4 || fields[0] != "devicename" {
		return PSK{}, fmt.Errorf("the PSK identity %.80q is not devicename|{sign method}|{productKey}&{deviceName}|{timestamp}", s)
	}
	method, err := ParseSignMethod(fields[1])
	if err != nil {
		return PSK{}, err
	}
	pk, dn, _ := strings.Cut(fields[2], "&")
	if _, _, err := ParseUsername(dn + "&" + pk); err != nil {
		return PSK{}, fmt.Errorf("the PSK identity %.80q does not name a device: %w", s, err)
	}
	return PSK{ProductKey: pk, DeviceName: dn, Method: method, Timestamp: fields[3]}, nil
}

// Key returns the key of the handshake: the hex digits of the HMAC as text, in capitals if upper. C Link SDK 4
// writes capitals; modules with small letters exist, and only the end of a handshake tells.
func (p PSK) Key(secret string, upper bool) []byte {
	var digest [sha256.Size]byte
	n := mac(p.Method, secret, PSKContent(p.DeviceName, p.ProductKey, p.Timestamp), &digest)
	text := hex.EncodeToString(digest[:n])
	if upper {
		text = strings.ToUpper(text)
	}
	return []byte(text)
}
