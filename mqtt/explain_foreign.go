package mqtt

import "fmt"

// explainBelongs says what to change if the n bytes after a packet are its own.
func explainBelongs(packet []byte, n int) string {
	v, size, ok := explainVarint(packet[1:])
	if !ok || size == 0 || v+n > MaxRemainingLength {
		return ""
	}
	return fmt.Sprintf("if they belong to the %s before, its remaining length is %s (%d)",
		Type(packet[0]>>4), FormatHex(explainVarintBytes(v+n)), v+n)
}

// garbage covers all of b with one note. secret says that the end of a
// password may be in it.
func (u *explainBurst) garbage(b []byte, problem, expected string, secret bool) Explanation {
	w := &explainWalk{b: b, v: u.versionOr(V311), o: &u.o}
	w.hideDigests(0, len(b))
	w.hideLogin(0)
	if secret {
		w.hide(0, len(b))
	}
	i := w.add(len(b), "bytes", w.show(0, len(b)))
	w.fail(i, "", problem, expected)
	e := w.explanation()
	e.Name = "not MQTT"
	return e
}

// explainHeadless returns the packet whose body b seems to begin with, and the
// first byte the packet has; name is "" if there is none.
func explainHeadless(b []byte) (name string, first byte) {
	if explainHasPrefix(b, "\x00\x04MQTT") || explainHasPrefix(b, "\x00\x06MQIsdp") {
		return CONNECT.String(), 0x10
	}
	if len(b) > 3 && b[2] == '/' {
		if n := int(explainU16(b)); n > 1 && n <= len(b)-2 && explainIsText(b[2:2+n]) {
			return PUBLISH.String(), 0x30
		}
	}
	return "", 0
}

// explainStarts reports whether b looks like the beginning of a packet, from
// its first bytes alone.
func explainStarts(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	t, flags := Type(b[0]>>4), b[0]&15
	v, n, ok := explainVarint(b[1:])
	if !ok {
		return false
	}
	body := b[min(1+n, len(b)):]
	if n == 0 {
		body = nil
	}
	switch t {
	case 0:
		return false
	case CONNECT:
		return flags == 0 && (n == 0 || v >= 10)
	case CONNACK:
		return flags == 0 && v >= 2 && (len(body) == 0 || body[0] <= 1)
	case PUBLISH:
		if flags&6 == 6 || n > 0 && v < 2 {
			return false
		}
		if len(body) < 2 {
			return true
		}
		topic := int(explainU16(body))
		return topic+2 <= v && (topic == 0 || explainIsText(body[2:min(2+topic, len(body))]))
	case SUBSCRIBE, UNSUBSCRIBE:
		return flags == 2 || flags == 0
	case PINGREQ, PINGRESP:
		return flags == 0 && v == 0
	case SUBACK, UNSUBACK:
		return flags == 0 && v >= 2
	case DISCONNECT, AUTH:
		return flags == 0 && (v == 0 || len(body) == 0 || ReasonCode(body[0]).AllowedIn(t))
	}
	return flags == explainFlags[t] && (v == 2 || v > 2 && (len(body) < 3 || ReasonCode(body[2]).AllowedIn(t)))
}

// explainForeign recognises what is often taken for MQTT.
func explainForeign(b []byte) (problem, expected string) {
	switch {
	case len(b) >= 3 && b[0] == 0x16 && b[1] == 3 && b[2] <= 4:
		return "this is a TLS handshake record, not MQTT: the sender speaks TLS", "the decrypted bytes"
	case explainHasPrefix(b, "GET ") || explainHasPrefix(b, "POST ") || explainHasPrefix(b, "HTTP/"):
		return "this is HTTP, not MQTT; MQTT over WebSocket begins this way", "the payload of the WebSocket frames"
	case explainHasPrefix(b, "AT+") || explainHasPrefix(b, "AT\r"):
		return "this is a modem command, not MQTT: is the radio module out of transparent mode?", "the packet itself; the command is for the module, not for the server"
	case explainIsHexText(b):
		return "these bytes are the text of hex digits, not the bytes they stand for: was the packet sent as text?", "the bytes themselves; serial tools call it HEX mode"
	}
	return "", ""
}

func explainHasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// explainIsHexText reports whether b is hex digits in pairs, as text. A real
// packet never is: its second byte would be a length that does not fit.
func explainIsHexText(b []byte) bool {
	digits := 0
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			digits++
		case c == ' ' && i > 0 || c == '\r' || c == '\n':
		default:
			return false
		}
	}
	if digits < 4 || len(b) < 4 {
		return false
	}
	// 30 31 … could be a PUBLISH of 49 bytes; then its body is no hex text
	// throughout, as the topic length would be at least 0x2020.
	return true
}
