package mqtt

import (
	"fmt"
	"strings"
)

// explainTries bounds how often one call looks for another remaining length
// that makes sense of a packet: each look reads all bytes that are left, and
// garbage would have every few bytes looked at again.
const explainTries = 16

// explainBurst carries what is known from one packet to the next.
type explainBurst struct {
	o         ExplainOptions
	version   Version // 0: not known
	tries     int
	connected bool // a CONNECT came before
}

// explainReading is one way to read a packet: where its body begins and ends,
// and what its remaining length should have been.
type explainReading struct {
	head    int    // bytes before the body
	length  int    // remaining length read from the bytes
	end     int    // first byte after the packet
	short   int    // bytes missing at the end
	bad     bool   // the bytes give no length, or another one
	written int    // the length they give, -1 for none; of a bad one only
	problem string // what is wrong with the remaining length
	clause  string
	right   bool // the problem names the right bytes
}

// value is what the note on the remaining length shows.
func (r explainReading) value() string {
	switch {
	case r.bad && !r.right:
		return "unreadable"
	case r.bad && r.written >= 0:
		return fmt.Sprintf("%d as written, %d meant", r.written, r.length)
	case r.head == 1:
		return fmt.Sprintf("missing, %d meant", r.length)
	case r.bad:
		return fmt.Sprintf("%d meant", r.length)
	}
	return fmt.Sprintf("%d", r.length)
}

func (u *explainBurst) all(b []byte) []Explanation {
	var out []Explanation
	for start := 0; len(b) > 0; {
		e := u.next(b)
		if len(out) > 0 && !explainStarts(b) && (e.Missing > 0 || e.unsound()) {
			e = u.garbage(b, "these bytes do not begin an MQTT packet", explainBelongs(out[len(out)-1].Raw, len(b)))
		}
		if e.Name == "CONNECT" {
			if u.connected && len(e.Notes) > 0 && len(out) > 0 {
				explainSecondConnect(&e)
			}
			u.connected = true
			u.version = e.Version
			if u.o.Version != 0 {
				u.version = u.o.Version
			}
		}
		e.Start = start
		out = append(out, e)
		start += len(e.Raw)
		b = b[len(e.Raw):]
	}
	return out
}

// explainBelongs says what to change if the n bytes after a packet are its own.
func explainBelongs(packet []byte, n int) string {
	v, size, ok := explainVarint(packet[1:])
	if !ok || size == 0 || v+n > MaxRemainingLength {
		return ""
	}
	return fmt.Sprintf("if they belong to the %s before, its remaining length is %s (%d)",
		Type(packet[0]>>4), FormatHex(explainVarintBytes(v+n)), v+n)
}

// unsound reports whether a field after the first byte breaks a rule.
func (e Explanation) unsound() bool {
	for i, n := range e.Notes {
		if i > 0 && n.Severity == SeverityError {
			return true
		}
	}
	return false
}

func explainSecondConnect(e *Explanation) {
	n := &e.Notes[0]
	if n.Severity == SeverityError {
		return
	}
	n.Severity, n.Clause = SeverityError, "MQTT-3.1.0-2"
	n.Problem = "a second CONNECT on the same connection: the server closes it"
	n.Expected = "one CONNECT per connection, or a new connection before this one"
}

// next explains the first packet in b.
func (u *explainBurst) next(b []byte) Explanation {
	if len(b) == 0 {
		return Explanation{Name: "nothing", Version: u.versionOr(V311), Notes: []Note{{
			Field: "packet", Value: "none", Severity: SeverityError, Problem: "there are no bytes to explain",
		}}}
	}
	if problem, expected := explainForeign(b); problem != "" {
		return u.garbage(b, problem, expected)
	}
	if t := b[0] >> 4; t == 0 || t == 15 && u.version != 0 && u.version != V5 {
		return u.garbage(b, fmt.Sprintf("first byte %02X: packet type %d does not exist in MQTT %s",
			b[0], t, u.versionOr(V311)), "a packet type from 1 to 14 in the upper four bits, such as 10 for CONNECT or 30 for PUBLISH")
	}

	declared := u.declared(b)
	w := u.walk(b, declared)
	follows := b[declared.end:]
	// Bytes that follow and begin a packet confirm the remaining length.
	if len(follows) == 0 && (declared.problem != "" || w.structural() > 0) || len(follows) > 0 && !explainStarts(follows) {
		if other := u.relength(b, declared, w); other != nil {
			w = other
		}
	}
	return w.explanation()
}

func (u *explainBurst) versionOr(v Version) Version {
	if u.version != 0 {
		return u.version
	}
	return v
}

// declared is the packet as its own remaining length has it.
func (u *explainBurst) declared(b []byte) explainReading {
	v, n, ok := explainVarint(b[1:])
	section := "MQTT 3.1.1 §2.2.3"
	if u.version == V5 {
		section = "MQTT 5.0 §1.5.5"
	}
	r := explainReading{head: 1 + n, length: v, end: len(b), clause: section}
	switch {
	case !ok:
		r.bad = true
		r.problem = "four bytes with bit 7 set: a remaining length has at most four bytes, and bit 7 of the last is 0"
	case n == 0:
		r.head = len(b)
		r.short = 1
		r.bad = true
		r.problem = "the bytes end inside the remaining length"
		if len(b) == 1 {
			r.problem = "the bytes end before the remaining length"
		}
	case r.head+v > len(b):
		have := len(b) - r.head
		r.short = r.head + v - len(b)
		r.problem = fmt.Sprintf("says %d bytes follow, but only %d do: %d missing", v, have, r.short)
	default:
		r.end = r.head + v
		if short := explainVarintBytes(v); len(short) < n {
			r.problem = fmt.Sprintf("%d is written in %d bytes, the shortest form has %d", v, n, len(short))
			if u.version == V5 {
				r.clause = "MQTT-1.5.5-1"
			}
			r.right = true
		}
	}
	return r
}

// relength looks for another remaining length under which all of b is one
// packet without errors. It returns nil unless that leaves no doubt.
func (u *explainBurst) relength(b []byte, declared explainReading, old *explainWalk) *explainWalk {
	if u.tries == 0 || len(b) < 3 {
		return nil
	}
	u.tries--
	lengths := explainLengths(b, declared)
	if end := u.jsonEnd(b, declared); end > 0 {
		lengths = append(lengths, explainLengths(b[:end], declared)...)
	}
	for _, r := range lengths {
		w := u.walk(b, r)
		if w.structural() > 0 {
			continue
		}
		if Type(w.typ) == PUBLISH {
			// Any payload length fits a PUBLISH, so its content has to tell.
			certain := w.json == explainValidJSON && (old.json != explainValidJSON || declared.short > 0)
			if !certain && (old.structural() == 0 && !declared.bad || len(w.topic) < 2 || !explainIsText(w.topic)) {
				continue
			}
		}
		return w
	}
	return nil
}

// jsonEnd returns where the JSON text in a PUBLISH ends if another packet seems
// to follow it, else 0.
func (u *explainBurst) jsonEnd(b []byte, declared explainReading) int {
	if Type(b[0]>>4) != PUBLISH || u.version == V5 || declared.bad {
		return 0
	}
	at := declared.head
	if at+2 > len(b) {
		return 0
	}
	at += 2 + int(explainU16(b[at:]))
	if b[0]&6 != 0 {
		at += 2
	}
	if at >= len(b) || b[at] != '{' && b[at] != '[' {
		return 0
	}
	n, _, _ := explainJSON(b[at:])
	if end := at + n; end < len(b) && explainIsJSON(b[at:end]) && explainStarts(b[end:]) {
		return end
	}
	return 0
}

// explainLengths returns the lengths b may have been meant to have, with the
// mistake that leads to the bytes that are there.
func explainLengths(b []byte, declared explainReading) []explainReading {
	var out []explainReading
	written := declared.length
	if declared.bad {
		written = -1
	}
	add := func(head int, cause string) {
		n := len(b) - head
		problem := declared.problem
		if !declared.bad && declared.short == 0 {
			problem = fmt.Sprintf("reads as %d, but %d bytes follow and belong to this packet", declared.length, n)
		}
		problem += "; " + cause
		out = append(out, explainReading{head: head, length: n, end: len(b), problem: problem, clause: declared.clause, bad: true, written: written, right: true})
	}
	n1, n2 := len(b)-2, len(b)-3
	if n1 >= 128 && int(b[1]) == n1 {
		add(2, fmt.Sprintf("%d was written as one plain byte, but a length over 127 takes two: seven bits each, low bits first, bit 7 set on all but the last", n1))
	}
	if n1 > 255 && int(b[1]) == n1&0xff {
		add(2, fmt.Sprintf("%02X is the low byte of %d: a length over 127 takes two bytes, seven bits each, low bits first, bit 7 set on all but the last", b[1], n1))
	}
	if n2 >= 0 {
		le := int(b[1]) | int(b[2])<<8
		be := int(b[1])<<8 | int(b[2])
		switch {
		case n2 >= 128 && int(b[1]) == n2&0xff && int(b[2]) == n2/128:
			add(3, fmt.Sprintf("the rule \"length + length/128\" does not hold for %d: the first byte is the low seven bits with bit 7 set", n2))
		case le == n2:
			add(3, fmt.Sprintf("%d was written as a 16-bit number, but a length holds seven bits per byte, with bit 7 set on all but the last", n2))
		case be == n2:
			add(3, fmt.Sprintf("%d was written as a 16-bit number, high byte first, but a length holds seven bits per byte, low bits first", n2))
		}
	}
	if !declared.bad {
		switch d := declared.length - (len(b) - declared.head); {
		case d == 0:
		case d == declared.head:
			add(declared.head, fmt.Sprintf("%d is the size of the whole packet: the fixed header (%d bytes) does not count", declared.length, declared.head))
		case d == -2:
			add(declared.head, "two too few: the two length bytes of a string, and a packet identifier, count as well")
		case d < 0:
			add(declared.head, fmt.Sprintf("%d too few", -d))
		default:
			add(declared.head, "what is there is complete")
		}
	}
	switch Type(b[0] >> 4) {
	case CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE:
		// Long enough for a body that reads well to be no accident.
		n := len(b) - 1
		out = append(out, explainReading{head: 1, length: n, end: len(b), clause: declared.clause, bad: true, right: true, written: -1,
			problem: fmt.Sprintf("the remaining length is left out: the body (%s) begins right after the first byte", explainBytes(n))})
	}
	return out
}

// walk annotates b as r has it, in the version known or the one that fits.
func (u *explainBurst) walk(b []byte, r explainReading) *explainWalk {
	if u.version != 0 {
		return u.walkAs(b, r, u.version)
	}
	old := u.walkAs(b, r, V311)
	if old.typ == byte(CONNECT) {
		return old
	}
	errors, _ := old.counts()
	length := 0
	if r.problem != "" {
		length = 1
	}
	if errors <= length {
		return old
	}
	v5 := u.walkAs(b, r, V5)
	if e, _ := v5.counts(); e > length || v5.lost {
		return old
	}
	// Right in 5.0 only. A 3.1.1 device would still be wrong, so say why.
	for i := range old.notes {
		if n := &old.notes[i]; n.Severity == SeverityError && n.Field != "remaining length" {
			v5.warn(0, "right as MQTT 5.0 only; as MQTT 3.1.1: "+n.Field+": "+n.Problem, "")
			break
		}
	}
	return v5
}

func (u *explainBurst) walkAs(b []byte, r explainReading, v Version) *explainWalk {
	w := u.start(b, r, v)
	w.packet(r)
	if w.typ == byte(CONNECT) && w.broken() && !u.o.ShowSecrets {
		// Where the password begins cannot be told: read it again, masked.
		w = u.start(b, r, v)
		w.guard = true
		w.packet(r)
	}
	return w
}

func (u *explainBurst) start(b []byte, r explainReading, v Version) *explainWalk {
	return &explainWalk{b: b[:r.end], v: v, o: &u.o, typ: b[0] >> 4, flags: b[0] & 15, short: r.short}
}

// packet annotates the whole packet.
func (w *explainWalk) packet(r explainReading) {
	w.first()
	i := w.add(r.head-1, "remaining length", r.value())
	if r.problem != "" {
		expected := ""
		if len(w.b) >= r.head && (r.right || r.short > 0 && !r.bad) {
			n := len(w.b) - r.head
			expected = fmt.Sprintf("%s (%d)", FormatHex(explainVarintBytes(n)), n)
			if r.short > 0 {
				expected = fmt.Sprintf("%s more, or %s if this is the whole packet", explainBytes(r.short), expected)
			}
		}
		w.fail(i, r.clause, r.problem, expected)
	}
	if r.bad && !r.right {
		w.lost = true
		w.guard = w.typ == byte(CONNECT) && !w.o.ShowSecrets
		if w.left() > 0 {
			w.rest("body", "")
		}
		return
	}
	w.body()
	if w.left() > 0 {
		w.trailing("", "")
	}
}

func (w *explainWalk) body() {
	switch Type(w.typ) {
	case CONNECT:
		w.connect()
	case CONNACK:
		w.connack()
	case PUBLISH:
		w.publish()
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		w.ack()
	case SUBSCRIBE:
		w.subscribe()
	case SUBACK:
		w.suback()
	case UNSUBSCRIBE:
		w.unsubscribe()
	case UNSUBACK:
		w.unsuback()
	case PINGREQ, PINGRESP:
		w.trailing("", "a ping has no body")
	case DISCONNECT:
		w.disconnect()
	case AUTH:
		w.auth()
	}
}

// broken reports whether the fields of the packet may not be where they seem.
func (w *explainWalk) broken() bool {
	if w.lost {
		return true
	}
	for i, n := range w.notes {
		if i > 1 && n.Severity == SeverityError && strings.HasSuffix(n.Field, "length") {
			return true
		}
	}
	return false
}

// structural counts the errors in the body.
func (w *explainWalk) structural() int {
	n := 0
	for i := range w.notes {
		if w.notes[i].Severity == SeverityError && i > 0 && w.notes[i].Field != "remaining length" {
			n++
		}
	}
	return n
}

func (w *explainWalk) explanation() Explanation {
	return Explanation{
		Raw: w.b, Name: Type(w.typ).String(), Version: w.v, Direction: w.direction(),
		Missing: w.short, Notes: w.notes, secret: w.secret,
	}
}

// direction is the side that sends such a packet, if only one does.
func (w *explainWalk) direction() Direction {
	if w.o.Direction != DirectionUnknown {
		return w.o.Direction
	}
	switch Type(w.typ) {
	case CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ:
		return FromClient
	case CONNACK, SUBACK, UNSUBACK, PINGRESP:
		return FromServer
	case DISCONNECT:
		if w.v != V5 {
			return FromClient
		}
	}
	return DirectionUnknown
}

// garbage covers all of b with one note.
func (u *explainBurst) garbage(b []byte, problem, expected string) Explanation {
	w := &explainWalk{b: b, v: u.versionOr(V311), o: &u.o}
	w.hideDigests(0, len(b))
	i := w.add(len(b), "bytes", w.show(0, len(b)))
	w.fail(i, "", problem, expected)
	e := w.explanation()
	e.Name = "not MQTT"
	return e
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
		return "this is a modem command, not MQTT: is the radio module out of transparent mode?", ""
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
