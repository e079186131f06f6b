package mqtt

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// publishFlags annotates the lower four bits of the first byte of a PUBLISH.
func (w *explainWalk) publishFlags(i int) {
	dup, qos, retain := w.flags>>3, w.flags>>1&3, w.flags&1
	w.notes[i].Value = fmt.Sprintf("PUBLISH, %s, DUP %d, RETAIN %d", explainQoS(qos), dup, retain)
	if dup == 1 && qos > 0 {
		w.detail(i, "DUP: the packet was sent before; packet identifier, topic and payload stay as they were")
	}
	switch {
	case qos == 3:
		w.fail(i, "MQTT-3.3.1-4", "both QoS bits are set: there is no QoS 3", fmt.Sprintf("%02X for QoS 1, %02X for QoS 2, or %02X for QoS 0, which has no packet identifier", w.b[0]&^4, w.b[0]&^2, w.b[0]&^0x0e))
	case dup == 1 && qos == 0:
		w.fail(i, "MQTT-3.3.1-2", "DUP is set on QoS 0, which is never sent again", fmt.Sprintf("%02X, or %02X for a repeated QoS 1 packet", w.b[0]&^8, w.b[0]|2))
	}
}

// publish annotates the body of a PUBLISH.
func (w *explainWalk) publish() {
	qos := w.flags >> 1 & 3
	topic, ti, ok := w.text("topic", "")
	if !ok {
		return
	}
	w.topic = topic
	alias := w.v == V5 && len(topic) == 0 // a topic alias may stand in
	if !alias {
		w.checkTopicName(ti, topic, "MQTT-3.3.2-2")
	}
	id := -1
	if qos > 0 {
		left := w.left()
		if _, id, ok = w.packetID("a PUBLISH of QoS 1 or 2 carries one after the topic"); !ok {
			if left == 0 && w.short >= 2 && w.v != V5 {
				w.notes[explainRemainingLength].Expected = fmt.Sprintf("%s more: the packet identifier, two bytes such as 00 01, and %d of payload",
					explainBytes(w.short), w.short-2)
			}
			return
		}
	}
	if w.v == V5 {
		from := len(w.notes)
		if !w.properties(PUBLISH, false) {
			return
		}
		if alias && !w.hasProperty(from, PropTopicAlias) {
			w.fail(ti, "MQTT 5.0 §3.3.2.1", "the topic is empty and no topic alias stands in for it", "a topic, or the property topic alias (23)")
		}
	}
	from := w.pos
	payload := w.b[from:]
	w.hideMembers(from, len(w.b))
	if t := string(topic); strings.HasPrefix(t, "/ext/register") || strings.HasPrefix(t, "/ext/regnwl") {
		w.hide(from, len(w.b)) // a device secret or token is inside
	}
	pi := w.add(len(payload), "payload", "")
	w.notes[pi].Value = w.showPayload(from, len(w.b), payload)
	if w.short > 0 {
		// A part of a payload says nothing, unless just the two bytes of a
		// forgotten packet identifier are missing.
		if w.short == 2 && id >= 0 && explainIsJSON(w.b[w.notes[id].Offset:]) {
			w.forgottenID(id, "two bytes such as 00 01 between topic and payload")
			w.missingID(w.notes[id].Offset)
		}
		return
	}
	w.checkPayload(ti, id, pi, topic, payload, qos)
	if w.o.Payload != nil {
		w.notes[pi].Details = append(w.notes[pi].Details, w.o.Payload(string(topic), payload)...)
	}
}

// packetID reads a packet identifier.
func (w *explainWalk) packetID(why string) (uint16, int, bool) {
	left := w.left()
	id, i, ok := w.u16("packet identifier", why)
	if !ok && left == 1 && w.short == 0 {
		w.expect(fmt.Sprintf("00 %02X, and a remaining length 1 higher", w.b[len(w.b)-1]))
	}
	if ok && id == 0 {
		problem := "a packet identifier must not be 0; does its counter start at 0?"
		switch Type(w.typ) {
		case PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK:
			problem = "a packet identifier must not be 0; it is that of the packet it answers: does the counter of the other side start at 0?"
		}
		w.fail(i, w.clause("MQTT-2.3.1-1", "MQTT-2.2.1-3"), problem, "00 01 to FF FF")
	}
	return id, i, ok
}

// checkTopicName raises what makes a topic unfit to publish to. wildcards is
// the rule that forbids them there.
func (w *explainWalk) checkTopicName(i int, topic []byte, wildcards string) {
	off := w.notes[i].Offset
	if len(topic) == 0 {
		w.fail(i, "MQTT-4.7.3-1", "the topic is empty: it has at least one character", "a topic")
		return
	}
	if p := bytes.IndexAny(topic, "+#"); p >= 0 {
		w.raise(i, SeverityError, off+p, wildcards, fmt.Sprintf("%q in a topic to publish to: wildcards are for subscribing", string(topic[p])), "one topic, without wildcards")
	}
	w.alinkTopic(i, string(topic))
}

// checkPayload raises what is odd about a payload, given the fields before it.
func (w *explainWalk) checkPayload(ti, id, pi int, topic, payload []byte, qos byte) {
	w.json = explainNoJSON
	text := bytes.TrimLeft(payload, " \t\r\n")
	if len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		at, problem, expected := explainJSON(payload)
		w.json = explainValidJSON
		if problem != "" {
			w.json = explainBadJSON
			w.raise(pi, SeverityWarning, w.notes[pi].Offset+at, "", "not valid JSON: "+problem, expected)
		}
	}
	off := w.notes[pi].Offset
	switch {
	case w.json == explainValidJSON:
		w.alinkMethod(pi, topic, payload)
	case id >= 0 && w.v != V5 && explainIsText(w.b[w.notes[id].Offset:w.notes[id].Offset+2]) && (len(payload) == 0 || explainIsText(payload[:1]) || payload[0] >= 0x80):
		w.forgottenID(id, "two bytes such as 00 01 between topic and payload, and a remaining length 2 higher")
	case qos == 0 && len(payload) > 2 && explainIsJSON(payload[2:]):
		w.raise(pi, SeverityWarning, off, w.clause("MQTT-2.3.1-5", "MQTT-2.2.1-2"), fmt.Sprintf("two bytes (%s) stand before the JSON text: QoS 0 has no packet identifier, so they become part of the payload", FormatHex(payload[:2])), "the payload right after the topic, or 32 as the first byte")
	case len(payload) > 1 && payload[0] == 0 && w.v != V5 && explainIsJSON(payload[1:]):
		w.warn(pi, "a byte 00 stands before the JSON text: is it the property length of MQTT 5.0? MQTT 3.1.1 has none", "the payload without it")
	case bytes.IndexByte(topic, '{') > 0:
		// The topic length reaches into the payload.
		n := bytes.IndexByte(topic, '{')
		w.raise(ti-1, SeverityWarning, w.notes[ti-1].Offset, "", fmt.Sprintf("the topic has %d bytes and seems to hold the start of the payload", len(topic)), fmt.Sprintf("%02X %02X (%d)", n>>8, n&0xff, n))
	case len(payload) > 0 && w.json == explainNoJSON:
		n := bytes.IndexByte(payload, '{')
		if n > 0 && n <= 64 && explainTopicText(payload[:n]) && explainIsJSON(payload[n:]) {
			n += len(topic)
			w.warn(ti-1, "the payload seems to begin with the end of the topic", fmt.Sprintf("%02X %02X (%d)", n>>8, n&0xff, n))
		}
	}
}

// forgottenID raises a packet identifier whose two bytes seem to be text.
func (w *explainWalk) forgottenID(id int, expected string) {
	from := w.notes[id].Offset
	const effect = "A receiver takes them as the identifier, and the payload loses them"
	start := fmt.Sprintf("these two bytes (%s as text)", explainPrintable(w.b[from:from+2]))
	if explainIsJSON(w.b[from:]) {
		w.warn(id, start+" are the start of the payload, which is valid JSON with them: the packet identifier is missing. "+effect, expected)
		return
	}
	w.warn(id, start+" look like the start of the payload: is the packet identifier missing? "+effect, expected)
}

// missingID says of a remaining length that is two too many for the bytes there
// are that the two are the packet identifier, whose place is byte at.
func (w *explainWalk) missingID(at int) {
	n := &w.notes[explainRemainingLength]
	n.Problem += "; they are the packet identifier"
	n.Expected = fmt.Sprintf("as it is, and the packet identifier before byte %d", at)
}

func explainTopicText(b []byte) bool {
	for _, c := range b {
		if !explainAlnum(c) && c != '/' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// alinkMethod raises an Alink request whose method is not that of its topic.
func (w *explainWalk) alinkMethod(pi int, topic, payload []byte) {
	want := explainAlinkMethod(string(topic))
	p := bytes.Index(payload, []byte(`"method"`))
	if want == "" || p < 0 {
		return
	}
	rest := bytes.TrimLeft(payload[p+len(`"method"`):], " \t\r\n:")
	if len(rest) == 0 || rest[0] != '"' {
		return
	}
	end := bytes.IndexByte(rest[1:], '"')
	if end < 0 || string(rest[1:1+end]) == want {
		return
	}
	at := w.notes[pi].Offset + len(payload) - len(rest)
	w.raise(pi, SeverityWarning, at, "", fmt.Sprintf("the method %q is not that of the topic; the platform goes by the topic", explainClip(string(rest[1:1+end]))), `"`+explainClip(want)+`"`)
}

// showPayload describes a payload: text as text, anything else as hex.
func (w *explainWalk) showPayload(from, to int, payload []byte) string {
	switch {
	case len(payload) == 0:
		return "empty"
	case !utf8.Valid(payload) || explainIsBinary(payload):
		const shown = 16
		head := w.clear(from, min(from+shown, to))
		if string(head) != string(payload[:len(head)]) {
			return explainBytes(len(payload)) + ", binary, masked"
		}
		more := ""
		if len(payload) > shown {
			more = " …"
		}
		return fmt.Sprintf("%s, binary: %s%s", explainBytes(len(payload)), FormatHex(head), more)
	}
	return w.show(from, to)
}

// explainIsBinary reports whether b holds control characters that text has not.
func explainIsBinary(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && c != '\r' && c != '\n' && c != '\t' && c != 0 {
			return true
		}
	}
	return len(b) > 0 && b[0] == 0 && !(len(b) > 1 && b[1] >= 0x20)
}
