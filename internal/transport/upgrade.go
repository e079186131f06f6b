package transport

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strings"
)

// upgradeBytes is the most that an HTTP request head may have.
const upgradeBytes = 8 << 10

// upgrade collects an HTTP request head and answers it.
func (l *Loop) upgrade(c *Conn, buf []byte, start, end int) {
	had := len(c.kept())
	// Not more than the head is copied: frames that follow it are read where
	// they are.
	l.keep(c, buf[start:min(end, start+max(0, upgradeBytes-had))])
	i := bytes.Index(c.kept(), []byte("\r\n\r\n"))
	if i < 0 {
		if len(c.kept()) >= upgradeBytes {
			l.refuseUpgrade(c, "431 Request Header Fields Too Large", fmt.Sprintf("the request head has more than %d bytes", upgradeBytes))
		}
		return
	}
	head := string(c.kept()[:i])
	start += i + 4 - had
	l.dropKept(c)
	key, protocol, status, reason := parseUpgrade(head)
	if status != "" {
		l.refuseUpgrade(c, status, reason)
		return
	}
	y := layered(c)
	y.raw(c, appendUpgrade(nil, key, protocol))
	y.ws = &frames{}
	c.kind = WebSocket
	if y.tls != nil {
		c.kind = SecureWebSocket
	}
	c.touch()
	l.opened(c)
	if start < end && c.flags&flagEnding == 0 {
		l.deframe(c, buf, start, end)
	}
}

func (l *Loop) refuseUpgrade(c *Conn, status, reason string) {
	err := &ProtocolError{Reason: "no WebSocket upgrade: " + reason}
	l.server.refused(l, c, RefusedUpgrade, err)
	body := "This is an MQTT server; it speaks WebSocket here.\n" + reason + "\n"
	c.Write(fmt.Appendf(nil, "HTTP/1.1 %s\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, len(body), body))
	c.Close(err)
}

// parseUpgrade reads a request head without its final empty line. It returns the
// client's key and the sub-protocol to answer, or the HTTP status to refuse
// with and the reason.
func parseUpgrade(head string) (key, protocol, status, reason string) {
	const bad = "400 Bad Request"
	line, rest, _ := strings.Cut(head, "\r\n")
	fields := strings.Split(line, " ")
	if len(fields) != 3 || fields[0] != "GET" || !strings.HasPrefix(fields[2], "HTTP/1.") {
		return "", "", bad, "the request line is not GET <path> HTTP/1.1"
	}
	if fields[2] == "HTTP/1.0" {
		return "", "", bad, "WebSocket needs HTTP/1.1"
	}
	var upgrade, connection bool
	var version string
	for rest != "" {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return "", "", bad, "a header line has no name"
		}
		value = strings.Trim(value, " \t")
		switch strings.ToLower(name) {
		case "upgrade":
			upgrade = upgrade || hasToken(value, "websocket")
		case "connection":
			connection = connection || hasToken(value, "upgrade")
		case "sec-websocket-version":
			version = value
		case "sec-websocket-key":
			key = value
		case "sec-websocket-protocol":
			if p := choose(value); protocol != "mqtt" && p != "" {
				protocol = p
			}
		}
	}
	switch raw, err := base64.StdEncoding.DecodeString(key); {
	case !upgrade || !connection:
		return "", "", "426 Upgrade Required", "the headers Upgrade: websocket and Connection: Upgrade are missing"
	case version != "13":
		return "", "", "426 Upgrade Required", "Sec-WebSocket-Version is not 13"
	case err != nil || len(raw) != 16:
		return "", "", bad, "Sec-WebSocket-Key is not 16 bytes in base64"
	}
	return key, protocol, "", ""
}

// choose picks from the offered sub-protocols [MQTT-6.0.0-3]; older clients
// offer "mqttv3.1", and some nothing (spec connect.md §4).
func choose(offered string) string {
	switch {
	case hasToken(offered, "mqtt"):
		return "mqtt"
	case hasToken(offered, "mqttv3.1"):
		return "mqttv3.1"
	}
	return ""
}

func hasToken(list, token string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}

// appendUpgrade appends the answer that accepts (RFC 6455 section 4.2.2).
func appendUpgrade(dst []byte, key, protocol string) []byte {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	if protocol != "" {
		dst = append(dst, "\r\nSec-WebSocket-Protocol: "...)
		dst = append(dst, protocol...)
	}
	return append(dst, "\r\n\r\n"...)
}
