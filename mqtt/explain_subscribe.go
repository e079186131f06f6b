package mqtt

import (
	"bytes"
	"fmt"
	"strings"
)

// explainGrants is what a return code of a SUBACK may be.
const explainGrants = "00, 01 or 02 for the QoS granted, 80 for a failure"

// How many bytes stand after each filter of a list.
const (
	explainBareFilters  = 0 // UNSUBSCRIBE: filters only
	explainFilterAndQoS = 1 // SUBSCRIBE: one byte after each filter
)

// subscribe annotates the body of a SUBSCRIBE.
func (w *explainWalk) subscribe() {
	if !w.filterHead(explainFilterAndQoS) {
		return
	}
	n := 0
	for ; w.left() > 0; n++ {
		filter, i, ok := w.text(fmt.Sprintf("filter %d", n+1), "")
		if !ok {
			return
		}
		w.checkFilter(i, filter)
		o, oi, ok := w.u8(fmt.Sprintf("options %d", n+1), "each filter is followed by one byte with the QoS asked for")
		if !ok {
			return
		}
		w.subscribeOptions(oi, o, bytes.HasPrefix(filter, []byte("$share/")))
	}
	if n == 0 && !w.lost {
		i := w.add(0, "filters", "none")
		w.fail(i, w.clause("MQTT-3.8.3-3", "MQTT-3.8.3-2"), "a SUBSCRIBE asks for at least one topic", "a filter: two length bytes, the text, one QoS byte")
	}
}

// unsubscribe annotates the body of an UNSUBSCRIBE.
func (w *explainWalk) unsubscribe() {
	if !w.filterHead(explainBareFilters) {
		return
	}
	n := 0
	for ; w.left() > 0; n++ {
		filter, i, ok := w.text(fmt.Sprintf("filter %d", n+1), "")
		if !ok {
			return
		}
		w.checkFilter(i, filter)
	}
	if n == 0 && !w.lost {
		i := w.add(0, "filters", "none")
		w.fail(i, "MQTT-3.10.3-2", "an UNSUBSCRIBE names at least one topic", "a filter: two length bytes, the text")
	}
}

// filterHead reads what stands before the filters. If the filters fit only
// with a field missing or too many, it says so and reads on from where they
// are.
func (w *explainWalk) filterHead(tail int) bool {
	body := w.b[w.pos:]
	if len(body) >= 4 && (w.short == 0 || w.short == 2) && !explainFiltersFit(body[2:], tail) && explainFiltersFit(body, tail) {
		expected := "two bytes such as 00 0A"
		if w.short == 0 {
			expected += ", and a remaining length 2 higher"
		}
		i := w.add(0, "packet identifier", "")
		w.fail(i, w.clause("MQTT-2.3.1-1", "MQTT-2.2.1-3"), fmt.Sprintf("the packet identifier is missing: the next two bytes (%s) are the length of the topic that follows them", FormatHex(body[:2])),
			expected)
		if w.short > 0 {
			w.missingID(w.pos)
		}
		if w.v == V5 {
			w.lost = true
			w.rest("filters", "")
			return false
		}
		return true
	}
	if _, _, ok := w.packetID("two bytes, not 0"); !ok {
		return false
	}
	if w.v == V5 {
		if body := w.b[w.pos:]; len(body) > 2 && explainFiltersFit(body, tail) && !(body[0] == 0 && explainFiltersFit(body[1:], tail)) {
			i := w.add(0, "property length", "")
			w.fail(i, "MQTT-2.2.2-1", "the property length is missing: MQTT 5.0 has one before the topics even if there are no properties", "00, and a remaining length 1 higher")
			return true
		}
		return w.properties(Type(w.typ), false)
	}
	body = w.b[w.pos:]
	if len(body) > 3 && w.short == 0 && !explainFiltersFit(body, tail) {
		switch {
		case body[0] == 0 && explainFiltersFit(body[1:], tail):
			i := w.add(1, "surplus", "0")
			w.fail(i, "MQTT 3.1.1 §3.8.2", "a byte 00 before the topics: it is the property length of MQTT 5.0, which MQTT 3.1.1 does not have", "nothing here, and a remaining length 1 lower")
		case tail == explainFilterAndQoS && explainFiltersFit(body, explainBareFilters):
			return w.otherFilters("MQTT 3.1.1 §3.8.3", "the QoS byte after the topic is missing", "one byte after each topic: 00, 01 or 02, and a remaining length higher by as many", 0)
		case tail == explainBareFilters && explainFiltersFit(body, explainFilterAndQoS):
			return w.otherFilters("MQTT 3.1.1 §3.10.3", "an UNSUBSCRIBE has no QoS byte after the topic", "nothing here, and a remaining length 1 lower for each", 1)
		}
	}
	return true
}

// otherFilters reads a list of filters whose tails are wrong: surplus bytes of
// them follow each filter, one is expected if that is 0.
func (w *explainWalk) otherFilters(clause, problem, expected string, surplus int) bool {
	for n := 1; w.left() > 0; n++ {
		filter, i, ok := w.text(fmt.Sprintf("filter %d", n), "")
		if !ok {
			return false
		}
		w.checkFilter(i, filter)
		oi := w.add(surplus, fmt.Sprintf("options %d", n), "")
		w.fail(oi, clause, problem, expected)
	}
	w.lost = true
	return false
}

// explainFiltersFit reports whether b is a list of printable filters, each
// with tail bytes after it, and nothing else.
func explainFiltersFit(b []byte, tail int) bool {
	if len(b) == 0 {
		return false
	}
	for len(b) > 0 {
		if len(b) < 2 {
			return false
		}
		n := int(explainU16(b))
		if n == 0 || len(b) < 2+n+tail || !explainIsText(b[2:2+n]) {
			return false
		}
		if tail == 1 && b[2+n]&0xc0 != 0 {
			return false
		}
		b = b[2+n+tail:]
	}
	return true
}

func (w *explainWalk) subscribeOptions(i int, o byte, shared bool) {
	qos := o & 3
	if w.v != V5 {
		w.notes[i].Value = explainQoS(qos)
		switch {
		case o&^3 != 0:
			w.fail(i, "MQTT-3-8.3-4", fmt.Sprintf("the QoS asked for is %02X: only 00, 01 and 02 exist, the upper six bits are reserved", o), fmt.Sprintf("%02X", min(qos, 2)))
		case qos == 3:
			w.fail(i, "MQTT-3-8.3-4", "there is no QoS 3", "00, 01 or 02")
		}
		return
	}
	noLocal, asPublished, handling := o>>2&1, o>>3&1, o>>4&3
	w.notes[i].Value = fmt.Sprintf("%s, no local %d, retain as published %d, retain handling %d", explainQoS(qos), noLocal, asPublished, handling)
	switch {
	case o&0xc0 != 0:
		w.fail(i, "MQTT-3.8.3-5", "bits 7 and 6 of the subscription options are reserved and must be 0", fmt.Sprintf("%02X", o&0x3f))
	case qos == 3:
		w.fail(i, "MQTT 5.0 §3.8.3.1", "there is no QoS 3", fmt.Sprintf("%02X for QoS 2", o&^1))
	case handling == 3:
		w.fail(i, "MQTT 5.0 §3.8.3.1", "there is no retain handling 3", "bits 5 and 4 at 0, 1 or 2")
	case shared && noLocal == 1:
		w.fail(i, "MQTT-3.8.3-4", "no local on a shared subscription", fmt.Sprintf("%02X", o&^4))
	}
}

// checkFilter raises what makes a topic filter invalid.
func (w *explainWalk) checkFilter(i int, filter []byte) {
	off := w.notes[i].Offset
	if len(filter) == 0 {
		w.fail(i, "MQTT-4.7.3-1", "the filter is empty: it has at least one character", "a filter")
		return
	}
	s := string(filter)
	for p := 0; p < len(s); p++ {
		c := s[p]
		alone := (p == 0 || s[p-1] == '/') && (p == len(s)-1 || s[p+1] == '/')
		if c == '#' && (!alone || p != len(s)-1) {
			w.raise(i, SeverityError, off+p, w.clause("MQTT-4.7.1-2", "MQTT-4.7.1-1"), "# stands alone, as the last level", explainHashLast(s, p))
			return
		}
		if c == '+' && !alone {
			w.raise(i, SeverityError, off+p, w.clause("MQTT-4.7.1-3", "MQTT-4.7.1-2"), "+ stands for a whole level: a slash, or the end, on either side", explainPlusAlone(s, p))
			return
		}
	}
	if rest, shared := strings.CutPrefix(s, "$share/"); shared {
		name, filter, found := strings.Cut(rest, "/")
		switch {
		case name == "":
			w.fail(i, "MQTT-4.8.2-1", "a shared subscription has a name between $share/ and the filter", "$share/name/filter")
		case strings.ContainsAny(name, "+#"):
			w.fail(i, "MQTT-4.8.2-2", "wildcards in the name of a shared subscription", "$share/name/filter")
		case !found || filter == "":
			w.fail(i, "MQTT-4.8.2-2", "a shared subscription has a filter after its name", "$share/name/filter")
		}
	}
	w.alinkTopic(i, s)
}

// explainHashLast is filter s with the # at p as its last level.
func explainHashLast(s string, p int) string {
	s = s[:p]
	if s != "" && s[p-1] != '/' {
		s += "/"
	}
	return explainClip(s + "#")
}

// explainPlusAlone is filter s with nothing but the + at p in its level.
func explainPlusAlone(s string, p int) string {
	from := strings.LastIndexByte(s[:p], '/') + 1
	to := len(s)
	if end := strings.IndexByte(s[p:], '/'); end >= 0 {
		to = p + end
	}
	return explainClip(s[:from] + "+" + s[to:])
}

// suback annotates the body of a SUBACK.
func (w *explainWalk) suback() {
	if !w.codesHead() {
		return
	}
	for n := 1; w.left() > 0; n++ {
		c, i, _ := w.u8(fmt.Sprintf("return code %d", n), "")
		if w.v == V5 {
			w.notes[i].Field = fmt.Sprintf("reason code %d", n)
			w.notes[i].Value = ReasonCode(c).String()
			if c == 0 {
				w.notes[i].Value = "granted QoS 0"
			}
			if !ReasonCode(c).AllowedIn(SUBACK) {
				w.fail(i, "MQTT-3.9.3-2", fmt.Sprintf("%02X is no reason code of a SUBACK", c), "00, 01 or 02 for the QoS granted, 80 or more for a failure")
			}
			continue
		}
		switch {
		case c <= 2:
			w.notes[i].Value = "granted, " + explainQoS(c)
		case c == 0x80:
			w.notes[i].Value = "failure"
		case c == 0x08:
			w.notes[i].Value = "reserved"
			w.fail(i, "MQTT-3.9.3-2", "08 is a reserved return code; the failure code is 80: are the digits swapped?", "80")
		case c == 0x10 || c == 0x20:
			w.notes[i].Value = "reserved"
			w.fail(i, "MQTT-3.9.3-2", fmt.Sprintf("%02X is a reserved return code; QoS %d is granted with %02X: are the digits swapped?", c, c>>4, c>>4), fmt.Sprintf("%02X", c>>4))
		default:
			w.notes[i].Value = "reserved"
			w.fail(i, "MQTT-3.9.3-2", fmt.Sprintf("%02X is a reserved return code", c), explainGrants)
		}
	}
}

// unsuback annotates the body of an UNSUBACK.
func (w *explainWalk) unsuback() {
	if w.v != V5 {
		if _, _, ok := w.packetID("it is that of the UNSUBSCRIBE it answers"); ok {
			w.trailing("MQTT 3.1.1 §3.11", "an UNSUBACK of MQTT 3.1.1 is the packet identifier and no more")
		}
		return
	}
	if !w.codesHead() {
		return
	}
	for n := 1; w.left() > 0; n++ {
		c, i, _ := w.u8(fmt.Sprintf("reason code %d", n), "")
		w.reason(i, UNSUBACK, c, "MQTT-3.11.3-2")
	}
}

// codesHead reads what stands before a list of codes, of which there is at
// least one.
func (w *explainWalk) codesHead() bool {
	if _, _, ok := w.packetID("it is that of the packet it answers"); !ok {
		return false
	}
	if w.v == V5 && !w.properties(Type(w.typ), false) {
		return false
	}
	if w.left() == 0 {
		w.cut("return code 1", 1, "there is one code for each filter asked for")
		if Type(w.typ) == SUBACK {
			w.expect(explainGrants + ", and a remaining length 1 higher")
		}
		return false
	}
	return true
}
