package alink

import (
	"crypto/sha256"
	"slices"
	"strings"
)

// Param is one key and its value, of a client id, a form or a message.
type Param struct{ Key, Value string }

// SignContent returns the text a device signs for its CONNECT (spec/connect.md §6): names and values in
// alphabetical order of the names, nothing between them. prefix is the client id before its first bar;
// timestamp is the literal text of the parameter and part of the content only if the client id has one.
//
// HTTPS pre-authentication and the HTTP upload's /auth sign the same text.
func SignContent(prefix, deviceName, productKey, timestamp string, withTimestamp bool) string {
	return string(appendSignContent(nil, prefix, deviceName, productKey, timestamp, withTimestamp))
}

func appendSignContent(dst []byte, prefix, deviceName, productKey, timestamp string, withTimestamp bool) []byte {
	dst = append(dst, "clientId"...)
	dst = append(dst, prefix...)
	dst = append(dst, "deviceName"...)
	dst = append(dst, deviceName...)
	dst = append(dst, "productKey"...)
	dst = append(dst, productKey...)
	if withTimestamp {
		dst = append(dst, "timestamp"...)
		dst = append(dst, timestamp...)
	}
	return dst
}

// DynamicRegisterContent returns the text signed with the ProductSecret to obtain a DeviceSecret, over MQTT,
// over HTTPS (spec/connect.md §10, §11) and in a gateway's product_register (spec/gateway.md §3).
func DynamicRegisterContent(deviceName, productKey, random string) string {
	return "deviceName" + deviceName + "productKey" + productKey + "random" + random
}

// CoAPAuthContent returns the text a device signs for CoAP's /auth with the sequence number it sends.
func CoAPAuthContent(clientID, deviceName, productKey, seq string) string {
	return SignContent(clientID, deviceName, productKey, "", false) + "seq" + seq
}

// PSKContent returns the text whose HMAC is the key of a TLS-PSK connection (spec/connect.md §9.4).
func PSKContent(deviceName, productKey, timestamp string) string {
	return "id" + productKey + "&" + deviceName + "timestamp" + timestamp
}

// PSKIdentity returns the identity a device presents with that key.
func PSKIdentity(m SignMethod, deviceName, productKey, timestamp string) string {
	return "devicename|" + m.String() + "|" + productKey + "&" + deviceName + "|" + timestamp
}

// SubDeviceContent returns the text signed with a sub-device's secret for topo/add and combine/login
// (spec/gateway.md §11). clientID is used verbatim, bars included; topo/add may do without one
// (withClientID false).
func SubDeviceContent(clientID string, withClientID bool, deviceName, productKey, timestamp string) string {
	if !withClientID {
		return "deviceName" + deviceName + "productKey" + productKey + "timestamp" + timestamp
	}
	return SignContent(clientID, deviceName, productKey, timestamp, true)
}

// SubDeviceContentCleanSession is the older form of combine/login, which signed cleanSession ("true" or
// "false") as well. A server accepts both.
func SubDeviceContentCleanSession(cleanSession, clientID, deviceName, productKey, timestamp string) string {
	return "cleanSession" + cleanSession + SubDeviceContent(clientID, true, deviceName, productKey, timestamp)
}

// SortedContent returns the text signed for a form: every parameter except those named in skip, sorted by
// name, names and values joined without separators. The argument is not changed.
func SortedContent(params []Param, skip ...string) string {
	kept := make([]Param, 0, len(params))
	for _, p := range params {
		if !slices.Contains(skip, p.Key) {
			kept = append(kept, p)
		}
	}
	slices.SortStableFunc(kept, func(a, b Param) int { return strings.Compare(a.Key, b.Key) })
	var s strings.Builder
	for _, p := range kept {
		s.WriteString(p.Key)
		s.WriteString(p.Value)
	}
	return s.String()
}

// CoAPSessionKey returns the AES-128 key of a CoAP session: the middle half of SHA-256 over
// "DeviceSecret,random", random being what the server's /auth reply carried.
func CoAPSessionKey(deviceSecret, random string) [16]byte {
	sum := sha256.Sum256([]byte(deviceSecret + "," + random))
	return [16]byte(sum[8:24])
}
