package transport

import (
	"bytes"
	"fmt"
)

// The first bytes that are understood.
const (
	firstTLS     = 0x16 // a TLS handshake record
	firstConnect = 0x10 // MQTT CONNECT, flags zero [MQTT-3.1.0-1]
	firstHTTP    = 'G'  // "GET …"
)

// classify takes bytes from the socket as long as the connection is not plain
// MQTT: buf[start:end], with headroom before start.
func (l *Loop) classify(c *Conn, buf []byte, start, end int) {
	if c.phase == phaseProxy {
		l.unwrap(c, buf, start, end)
		return
	}
	if c.layer != nil && c.layer.pipe != nil {
		l.decrypt(c, buf[start:end])
		return
	}
	l.content(c, buf, start, end)
}

// content takes bytes after decryption, if there is any.
func (l *Loop) content(c *Conn, buf []byte, start, end int) {
	switch c.phase {
	case phaseSniff, phaseInner:
		l.sniff(c, buf, start, end)
	case phaseUpgrade:
		l.upgrade(c, buf, start, end)
	case phaseRequest, phaseAnswer:
		l.request(c, buf, start, end)
	case phaseOpen:
		if c.layer != nil && c.layer.ws != nil {
			l.deframe(c, buf, start, end)
		} else {
			l.deliver(c, buf, start, end)
		}
	}
}

// sniff decides by the first byte what the connection carries, and passes the
// bytes on: no turn is lost.
func (l *Loop) sniff(c *Conn, buf []byte, start, end int) {
	door := l.server.listeners[c.door]
	kind := TCP
	if c.phase == phaseInner {
		kind = TLS
	}
	if buf[start] == firstHTTP {
		kind += WebSocket
	}
	switch first := buf[start]; {
	case (first == firstConnect || first == firstHTTP && l.server.options.WebSocket) && !door.takes(kind),
		first == firstTLS && c.phase == phaseSniff && !door.takes(TLS) && !door.takes(SecureWebSocket):
		if first == firstTLS {
			kind = TLS
		}
		err := door.kindError(kind)
		l.server.refused(l, c, RefusedProtocol, err)
		c.Abort(err)
	case first == firstConnect:
		l.opened(c)
		l.deliver(c, buf, start, end)
	case first == firstTLS && c.phase == phaseSniff:
		l.startTLS(c, buf[start:end])
	case first == firstHTTP && l.server.options.WebSocket:
		c.phase = phaseUpgrade
		l.upgrade(c, buf, start, end)
	case l.server.options.HTTP != nil && isPost(buf[start:end]):
		c.phase = phaseRequest
		l.request(c, buf, start, end)
	default:
		err := &ProtocolError{Reason: annotate(buf[start:end], c.phase == phaseInner)}
		l.server.refused(l, c, RefusedProtocol, err)
		c.Abort(err)
	}
}

// annotateBytes is how many of the first bytes are shown.
const annotateBytes = 16

// annotate says what bytes that no connection may begin with look like.
func annotate(b []byte, inTLS bool) string {
	where := ""
	if inTLS {
		where = " inside TLS"
	}
	shown := b[:min(len(b), annotateBytes)]
	return fmt.Sprintf("the first bytes%s are % x (%q): %s", where, shown, shown, resembles(b, inTLS))
}

var packetNames = [16]string{"a reserved packet type", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"}

func resembles(b []byte, inTLS bool) string {
	const want = "; expected is an MQTT CONNECT (10), a TLS ClientHello (16) or a WebSocket upgrade (GET)"
	switch {
	case b[0] == firstTLS && inTLS:
		return "a second TLS handshake inside the first; configure TLS once, on the client or on the proxy before it"
	case b[0] == firstHTTP:
		return "an HTTP request, but WebSocket is switched off here"
	case bytes.HasPrefix(b, []byte("PROXY ")) || bytes.HasPrefix(b, []byte("\r\n\r\n\x00\r\nQUIT\n")):
		return "the PROXY protocol, which is not accepted here; switch it off on the load balancer, or name its address in the listener's proxy option"
	case bytes.HasPrefix(b, []byte("SSH-")):
		return "an SSH client" + want
	case bytes.HasPrefix(b, []byte("POST ")), bytes.HasPrefix(b, []byte("PUT ")), bytes.HasPrefix(b, []byte("HEAD ")),
		bytes.HasPrefix(b, []byte("OPTIONS ")), bytes.HasPrefix(b, []byte("CONNECT ")), bytes.HasPrefix(b, []byte("DELETE ")):
		return "an HTTP request that is not GET; this port speaks MQTT" + want
	case b[0] == 0x80 && len(b) > 2 && b[2] == 1:
		return "an SSL 2 ClientHello; the client needs TLS 1.0 or newer" + want
	case b[0]>>4 == 1:
		return fmt.Sprintf("an MQTT CONNECT whose reserved flags are %x instead of 0 [MQTT-2.2.2-2]", b[0]&15)
	case b[0]>>4 != 0 && len(b) > 1 && b[0] < 0xff && (b[0] < 0x20 || b[0] > 0x7e || b[1] < 0x20):
		return fmt.Sprintf("an MQTT %s; the first packet must be CONNECT [MQTT-3.1.0-1]", packetNames[b[0]>>4])
	}
	return "not a protocol this port knows" + want
}
