package alink

import (
	"strconv"
	"strings"
)

// SignError says why a password was refused and, where it can be found, what the device signed instead. It
// contains neither the secret nor the right digest, yet tells more than a stranger should learn: write it to
// the log and show it to the device's owner, never to the client.
type SignError struct {
	// ProductKey and DeviceName say which device.
	ProductKey string
	DeviceName string
	// Found tells whether the device's mistake was found; SignedContent and SignedMethod are then what it
	// signed, with SignedContent empty if the password is no HMAC at all.
	Found         bool
	SignedContent string
	SignedMethod  SignMethod
	// Content and Method are what had to be signed.
	Content string
	Method  SignMethod
	// Causes are the differences, in words.
	Causes []string
}

// Error reads, for instance: device dev01&a1B2c3D4e5F: the password was signed over `clientId…` with
// hmacmd5, the client id says hmacsha1.
func (e *SignError) Error() string {
	var s strings.Builder
	s.WriteString("device " + printable(e.DeviceName+"&"+e.ProductKey) + ": ")
	if e.SignedContent != "" {
		s.WriteString("the password was signed over `" + printable(e.SignedContent) + "` with " + e.SignedMethod.String() + ", ")
	}
	s.WriteString(strings.Join(e.Causes, "; "))
	if e.SignedContent != e.Content {
		s.WriteString("; sign `" + printable(e.Content) + "` with " + e.Method.String())
	}
	return s.String()
}

// printable cuts text to a length fit for a log line and escapes what would disturb one.
func printable(s string) string {
	const most = 320
	cut := ""
	if len(s) > most {
		s, cut = s[:most], "…"
	}
	q := strconv.Quote(s)
	return q[1:len(q)-1] + cut
}
