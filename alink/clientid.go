package alink

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ClientID is an MQTT client id taken apart: {prefix}|{key}={value},…| (spec/connect.md §7). The fields a
// login needs are read once; the others are found with Get. It shares memory with the text it was parsed
// from.
type ClientID struct {
	// Prefix is the text before the first bar, chosen by the device and signed by it. May be empty.
	Prefix string
	// SecureMode is the claim about the transport: "2" TLS, "3" plain, "-2" product secret … Devices get
	// it wrong; it decides nothing but the kind of login.
	SecureMode string
	// SignMethod is HMACMD5 if the client id names none, HasSignMethod tells.
	SignMethod    SignMethod
	HasSignMethod bool
	// Timestamp is the literal text, signed if and only if HasTimestamp.
	Timestamp    string
	HasTimestamp bool
	// AuthType is "register", "regnwl" or "connwl" for logins without a DeviceSecret, otherwise empty.
	AuthType string

	raw   string
	block string // between the bars
}

// ParseClientID takes a client id apart. The parameter block stands between the first and the last bar, so
// that values may contain bars; empty items (a trailing comma) and unknown keys are ignored, the last of
// equal keys counts, and an id without any bar is all prefix. It fails for a block that is not closed and
// for a signmethod nobody knows. Errors quote the prefix only: parameters include bind tokens.
func ParseClientID(s string) (ClientID, error) {
	c := ClientID{Prefix: s, raw: s}
	first := strings.IndexByte(s, '|')
	if first < 0 {
		return c, nil
	}
	last := strings.LastIndexByte(s, '|')
	c.Prefix = s[:first]
	if last == first {
		return ClientID{}, fmt.Errorf("client id %.64q…: the parameters after the first | are not closed by another |", c.Prefix)
	}
	if last != len(s)-1 {
		return ClientID{}, fmt.Errorf("client id %.64q…: %d bytes follow the closing |", c.Prefix, len(s)-1-last)
	}
	c.block = s[first+1 : last]

	method := ""
	c.EachParam(func(key, value string) bool {
		switch key {
		case "securemode":
			c.SecureMode = value
		case "signmethod":
			method, c.HasSignMethod = value, true
		case "timestamp":
			c.Timestamp, c.HasTimestamp = value, true
		case "authType":
			c.AuthType = value
		}
		return true
	})
	if c.HasSignMethod {
		m, err := ParseSignMethod(method)
		if err != nil {
			return ClientID{}, fmt.Errorf("client id %.64q…: %w", c.Prefix, err)
		}
		c.SignMethod = m
	}
	return c, nil
}

// String returns the client id as it was received.
func (c ClientID) String() string { return c.raw }

// EachParam calls f for every parameter in order until f returns false. A parameter without = has an empty
// value.
func (c *ClientID) EachParam(f func(key, value string) bool) {
	for rest := c.block; rest != ""; {
		item := rest
		if i := strings.IndexByte(rest, ','); i >= 0 {
			item, rest = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		if item == "" {
			continue
		}
		key, value, _ := strings.Cut(item, "=")
		if !f(key, value) {
			return
		}
	}
}

// Params returns every parameter in order.
func (c ClientID) Params() []Param {
	var params []Param
	c.EachParam(func(key, value string) bool {
		params = append(params, Param{key, value})
		return true
	})
	return params
}

// Get returns the value of a parameter, the last one if it occurs twice. Keys are case-sensitive: authtype
// and authType mean different things.
func (c ClientID) Get(key string) (value string, ok bool) {
	c.EachParam(func(k, v string) bool {
		if k == key {
			value, ok = v, true
		}
		return true
	})
	return value, ok
}

// HasParams tells whether the client id has a parameter block at all.
func (c ClientID) HasParams() bool { return len(c.raw) > len(c.Prefix) }

// SubscribeAll tells whether the device asks for all system topics without subscribing (_ss=1).
func (c ClientID) SubscribeAll() bool {
	v, _ := c.Get("_ss")
	return v == "1"
}

// The bits of Ext.
const (
	// ExtRRPCWanted asks for synchronous calls on /ext/rrpc topics.
	ExtRRPCWanted = 1 << 0
	// ExtNotifyWanted asks for extended notifications such as /ext/error.
	ExtNotifyWanted = 1 << 1
)

// Ext returns the bitmap of extensions the device wants, 0 if it says nothing or nothing readable.
func (c ClientID) Ext() int {
	v, _ := c.Get("ext")
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Gateway tells whether the device calls itself a gateway (gw=1).
func (c ClientID) Gateway() bool {
	v, _ := c.Get("gw")
	return v == "1"
}

// Random returns the text signed in dynamic registration.
func (c ClientID) Random() string {
	v, _ := c.Get("random")
	return v
}

// ParseUsername splits an MQTT user name {DeviceName}&{ProductKey} at its first &; a DeviceName cannot
// contain one. Names with characters that mean something in a topic are refused, because rights and topics
// are built from them.
func ParseUsername(s string) (deviceName, productKey string, err error) {
	deviceName, productKey, ok := strings.Cut(s, "&")
	switch {
	case s == "":
		return "", "", errors.New("the user name is empty; it must be {DeviceName}&{ProductKey}")
	case !ok:
		return "", "", fmt.Errorf("user name %.64q has no &; it must be {DeviceName}&{ProductKey}", s)
	case deviceName == "":
		return "", "", fmt.Errorf("user name %.64q has no DeviceName before the &", s)
	case productKey == "":
		return "", "", fmt.Errorf("user name %.64q has no ProductKey after the &", s)
	case strings.ContainsAny(deviceName, "/+#|\x00"):
		return "", "", fmt.Errorf("user name %.64q: a DeviceName cannot contain / + # | or NUL", s)
	case strings.ContainsAny(productKey, "/+#|&\x00"):
		return "", "", fmt.Errorf("user name %.64q: a ProductKey cannot contain / + # | & or NUL", s)
	}
	return deviceName, productKey, nil
}
