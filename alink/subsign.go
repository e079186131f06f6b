package alink

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/linkstead/linkstead/devjson"
)

// SubDevice is one sub-device in a gateway's message, with its signature: an entry
// of topo/add, of combine/login or of batch_login (spec/gateway.md §11). Its
// strings are copies.
type SubDevice struct {
	ProductKey, DeviceName string
	// CleanSession discards what waits for the sub-device at its login.
	CleanSession bool

	method string
	sign   string
	params []Param // every other one
}

// maxSignedParams bounds the parameters of one sub-device, maxSignedValue the bytes
// of each; SDKs send at most seven short ones.
const (
	maxSignedParams = 16
	maxSignedValue  = 256
)

// ParseSubDevice reads an entry. method is the sign method named beside the list,
// for entries that name none: C Link SDK 4 writes it there. It returns false for
// what is no object, has no identity or is too large.
func ParseSubDevice(v devjson.Value, method string) (SubDevice, bool) {
	s := SubDevice{method: strings.Clone(method)}
	if v.Kind() != devjson.Object || v.Len() > maxSignedParams {
		return SubDevice{}, false
	}
	ok := true
	v.Each(func(key string, v devjson.Value) bool {
		value, scalar := scalarText(v)
		if !scalar || len(value) > maxSignedValue || len(key) > maxSignedValue {
			ok = false
			return false
		}
		value = strings.Clone(value)
		switch key {
		case "sign":
			s.sign = value
			return true
		case "signMethod", "signmethod":
			s.method = value
			return true
		case "productKey":
			s.ProductKey = value
		case "deviceName":
			s.DeviceName = value
		case "cleanSession":
			s.CleanSession = strings.EqualFold(value, "true") || value == "1"
		}
		s.params = append(s.params, Param{strings.Clone(key), value})
		return true
	})
	return s, ok && s.ProductKey != "" && s.DeviceName != ""
}

// scalarText returns the text of a value as it is signed: a string's content, a
// number as it was written, true or false.
func scalarText(v devjson.Value) (string, bool) {
	switch v.Kind() {
	case devjson.String:
		s, _ := v.Str()
		return s, true
	case devjson.Number:
		return v.NumberText(), true
	case devjson.Bool:
		return string(v.AppendJSON(nil)), true
	}
	return "", false
}

// HasSign tells whether the entry is signed at all.
func (s *SubDevice) HasSign() bool { return s.sign != "" }

// MethodKnown tells whether the sign method is one that the protocol knows.
func (s *SubDevice) MethodKnown() bool {
	_, err := ParseSubDeviceSignMethod(s.method)
	return err == nil
}

// Signed tells whether the entry was signed with the secret. What is signed differs
// between SDKs and times: all parameters but the sign and its method, without
// cleanSession, as documented; with it, as it was once; or the four names of a
// device's login only.
func (s *SubDevice) Signed(secret string) bool {
	method, err := ParseSubDeviceSignMethod(s.method)
	if err != nil || s.sign == "" || secret == "" {
		return false
	}
	var four []Param
	for _, p := range s.params {
		switch p.Key {
		case "clientId", "deviceName", "productKey", "timestamp":
			four = append(four, p)
		}
	}
	contents := [...]string{SortedContent(s.params, "cleanSession"), SortedContent(s.params), SortedContent(four)}
	for i, content := range contents {
		if i > 0 && content == contents[i-1] {
			continue
		}
		if MatchesContent(method, secret, content, s.sign) {
			return true
		}
		if strings.EqualFold(s.method, "sha256") { // perhaps the plain hash (spec/gateway.md §4.1)
			sum := sha256.Sum256([]byte(content + secret))
			if strings.EqualFold(s.sign, hex.EncodeToString(sum[:])) {
				return true
			}
		}
	}
	return false
}
