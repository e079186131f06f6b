package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/linkstead/linkstead/alink"
)

// loginFlags choose between the variants of an Alink login.
type loginFlags struct {
	clientID  string
	method    string
	timestamp string
	tls       bool
	params    []string
	upper     bool
}

// add defines the flags.
func (l *loginFlags) add(f *pflag.FlagSet) {
	f.StringVar(&l.clientID, "client-id", "10001", "client id before the first bar, any text without a bar; may be empty")
	f.StringVar(&l.method, "method", "hmacsha1", "hmacsha1, hmacmd5 or hmacsha256")
	f.StringVar(&l.timestamp, "timestamp", "", "timestamp to send and sign (default none)")
	f.BoolVar(&l.tls, "tls", false, "for a connection over TLS: securemode=2")
	f.StringArrayVar(&l.params, "param", nil, "further key=value for the client id, such as _ss=1 (repeatable)")
	f.BoolVar(&l.upper, "upper", false, "password in capitals, as some SDKs send it")
}

// options checks the flags and returns what they ask for.
func (l *loginFlags) options() (alink.LoginOptions, error) {
	o := alink.LoginOptions{
		Prefix: l.clientID, NoPrefix: l.clientID == "",
		Timestamp: l.timestamp, SecureMode: "3", UpperCase: l.upper,
	}
	if l.tls {
		o.SecureMode = "2"
	}
	if strings.Contains(l.clientID, "|") {
		return o, usageError("--client-id is the part before the first bar: %q must not contain |", l.clientID)
	}
	if strings.ContainsAny(l.timestamp, "|,") {
		return o, usageError("--timestamp must not contain | or a comma")
	}
	var err error
	if o.Method, err = alink.ParseSignMethod(l.method); err != nil || l.method == "" {
		return o, usageError("--method is hmacsha1, hmacmd5 or hmacsha256, not %q", l.method)
	}
	for _, p := range l.params {
		key, value, ok := strings.Cut(p, "=")
		if !ok || key == "" || strings.ContainsAny(p, "|,") {
			return o, usageError("--param %q is not key=value without bars and commas", p)
		}
		o.Extra = append(o.Extra, alink.Param{Key: key, Value: value})
	}
	return o, nil
}
