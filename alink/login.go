package alink

import "strings"

// Login is what a device puts into its CONNECT packet.
type Login struct {
	ClientID string
	Username string
	Password string
}

// LoginOptions choose between the variants of a login. The zero value is hmacmd5 over plain TCP without a
// timestamp, with the prefix {ProductKey}.{DeviceName} that the C SDKs use.
type LoginOptions struct {
	// Prefix is the client id before its first bar, {ProductKey}.{DeviceName} if empty.
	Prefix string
	// NoPrefix leaves it empty, as MQTT 5 clients do that ask the server for an id.
	NoPrefix bool
	Method   SignMethod
	// Timestamp is sent and signed if it is not empty. The cloud does not compare it with a clock.
	Timestamp string
	// SecureMode is "3" (plain TCP) if empty; "2" claims TLS.
	SecureMode string
	// Extra parameters follow in this order; they are not signed.
	Extra []Param
	// UpperCase writes the password in capitals, as half of the SDKs do. Servers accept both.
	UpperCase bool
}

// Login returns client id, user name and password of the device (spec/connect.md §6).
func (t Triple) Login(o LoginOptions) Login {
	prefix := o.Prefix
	if prefix == "" && !o.NoPrefix {
		prefix = t.ProductKey + "." + t.DeviceName
	}
	mode := o.SecureMode
	if mode == "" {
		mode = "3"
	}
	var id strings.Builder
	id.WriteString(prefix)
	id.WriteString("|securemode=" + mode + ",signmethod=" + o.Method.String())
	if o.Timestamp != "" {
		id.WriteString(",timestamp=" + o.Timestamp)
	}
	for _, p := range o.Extra {
		id.WriteString("," + p.Key + "=" + p.Value)
	}
	id.WriteByte('|')

	content := SignContent(prefix, t.DeviceName, t.ProductKey, o.Timestamp, o.Timestamp != "")
	password := Sign(o.Method, t.DeviceSecret, content)
	if o.UpperCase {
		password = strings.ToUpper(password)
	}
	return Login{ClientID: id.String(), Username: t.Username(), Password: password}
}
