package mqtt

import "fmt"

// explainTries bounds how often one call looks for another remaining length
// that makes sense of a packet: each look reads all bytes that are left, and
// garbage would have every few bytes looked at again.
const explainTries = 16

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
	right   bool   // the problem names the right bytes
	expect  string // what the length should be where nothing tells its bytes
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
		r.expect = fmt.Sprintf("at most %s (%d)", FormatHex(explainVarintBytes(MaxRemainingLength)), MaxRemainingLength)
	case n == 0:
		r.head = len(b)
		r.short = 1
		r.bad = true
		r.problem = "the bytes end inside the remaining length"
		r.expect = "another byte, bit 7 of which is 0 in the last one, and the body"
		if len(b) == 1 {
			r.problem = "the bytes end before the remaining length"
			r.expect = "the remaining length, and the body"
			if t := Type(b[0] >> 4); t == PINGREQ || t == PINGRESP || t == DISCONNECT {
				r.expect = "00"
			}
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
