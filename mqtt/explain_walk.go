package mqtt

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// explainSpan is a range of bytes within a packet, from inclusive to exclusive.
type explainSpan struct{ from, to int }

// explainWalk annotates one packet from its first byte to its last. It goes on
// where a decoder would give up; once the structure is lost, the bytes that
// remain become one note.
type explainWalk struct {
	b   []byte // the packet, as far as there are bytes of it
	pos int    // the first byte not yet covered by a note
	v   Version
	o   *ExplainOptions

	typ, flags byte
	short      int  // bytes the remaining length announces beyond b
	lost       bool // the structure is lost or the packet ended early
	guard      bool // a broken CONNECT: mask whatever may hold the password
	topic      []byte
	json       int // of a PUBLISH payload: explainNoJSON, …
	aliyun     bool
	signMethod string

	notes  []Note
	secret []explainSpan
}

// explainRemainingLength is the note on the remaining length.
const explainRemainingLength = 1

const (
	explainNoJSON    = iota // the payload does not look like JSON
	explainBadJSON          // it does, and is not
	explainValidJSON        // it is
)

// add covers the next n bytes with a note and returns its index.
func (w *explainWalk) add(n int, field, value string) int {
	w.notes = append(w.notes, Note{Offset: w.pos, Length: n, Field: field, Value: value, At: w.pos})
	w.pos += n
	return len(w.notes) - 1
}

// raise puts a problem on note i. A note names one problem, the first of the
// gravest; the others become details.
func (w *explainWalk) raise(i int, s Severity, at int, clause, problem, expected string) {
	n := &w.notes[i]
	if n.Severity >= s {
		n.Details = append(n.Details, "also: "+problem)
		return
	}
	if n.Severity != SeverityNone {
		n.Details = append(n.Details, "also: "+n.Problem)
	}
	n.Severity, n.At, n.Clause, n.Problem, n.Expected = s, at, clause, problem, expected
}

func (w *explainWalk) fail(i int, clause, problem, expected string) {
	w.raise(i, SeverityError, w.notes[i].Offset, clause, problem, expected)
}

func (w *explainWalk) warn(i int, problem, expected string) {
	w.raise(i, SeverityWarning, w.notes[i].Offset, "", problem, expected)
}

// expect says what the bytes of the last note should be, if it has a problem.
func (w *explainWalk) expect(expected string) {
	if n := &w.notes[len(w.notes)-1]; n.Severity != SeverityNone {
		n.Expected = expected
	}
}

// rule says which rule the last note breaks, if it breaks one.
func (w *explainWalk) rule(clause string) {
	if n := &w.notes[len(w.notes)-1]; n.Severity == SeverityError {
		n.Clause = clause
	}
}

func (w *explainWalk) detail(i int, format string, args ...any) {
	w.notes[i].Details = append(w.notes[i].Details, fmt.Sprintf(format, args...))
}

// clause picks the rule for the version the packet is read as.
func (w *explainWalk) clause(v311, v5 string) string {
	if w.v == V5 {
		return v5
	}
	return v311
}

func (w *explainWalk) left() int { return len(w.b) - w.pos }

// counts returns the number of errors and warnings among the notes.
func (w *explainWalk) counts() (errors, warnings int) {
	for i := range w.notes {
		switch w.notes[i].Severity {
		case SeverityError:
			errors++
		case SeverityWarning:
			warnings++
		}
	}
	return errors, warnings
}

// cut covers what is left of a packet that ends inside a field of need bytes.
func (w *explainWalk) cut(field string, need int, why string) {
	w.lost = true
	left := w.left()
	if w.short > 0 {
		// The note on the remaining length carries the error already.
		i := w.add(left, field, fmt.Sprintf("cut off: %d of %d %s here", left, need, explainPlural(need, "byte")))
		if why != "" {
			w.detail(i, "%s", why)
		}
		return
	}
	i := w.add(left, field, "")
	problem := fmt.Sprintf("the packet ends before the %s (%d %s)", field, need, explainPlural(need, "byte"))
	if left > 0 {
		problem = fmt.Sprintf("the packet ends inside the %s: %d of %d bytes", field, left, need)
	}
	if why != "" {
		problem += "; " + why
	}
	more := need - left
	w.fail(i, w.section(), problem, fmt.Sprintf("%s more, and a remaining length %d higher", explainBytes(more), more))
}

// section is where the standard describes the packet: type n in section 3.n.
func (w *explainWalk) section() string {
	return w.clause(fmt.Sprintf("MQTT 3.1.1 §3.%d", w.typ), fmt.Sprintf("MQTT 5.0 §3.%d", w.typ))
}

// u8 reads one byte. ok is false if the packet ends before it.
func (w *explainWalk) u8(field, why string) (v byte, i int, ok bool) {
	if w.left() < 1 {
		w.cut(field, 1, why)
		return 0, 0, false
	}
	v = w.b[w.pos]
	return v, w.add(1, field, fmt.Sprintf("%d", v)), true
}

// u16 reads two bytes, high byte first.
func (w *explainWalk) u16(field, why string) (v uint16, i int, ok bool) {
	if w.left() < 2 {
		w.cut(field, 2, why)
		return 0, 0, false
	}
	v = explainU16(w.b[w.pos:])
	return v, w.add(2, field, fmt.Sprintf("%d", v)), true
}

// binary reads a length of two bytes and that many bytes. The value of the
// second note is left to the caller.
func (w *explainWalk) binary(field, why string) (s []byte, i int, ok bool) {
	before := w.left()
	n16, li, ok := w.u16(field+" length", why)
	if !ok {
		if before == 0 {
			w.expect("two length bytes and the " + field + ", and a remaining length higher by as many bytes")
		}
		return nil, 0, false
	}
	n, left := int(n16), w.left()
	if n <= left {
		s = w.b[w.pos : w.pos+n]
		return s, w.add(n, field, ""), true
	}
	if n <= left+w.short {
		w.lost = true
		w.rest(field, fmt.Sprintf("cut off: %d of %d bytes here: ", left, n))
		return nil, 0, false
	}
	at := w.pos - 2
	problem := fmt.Sprintf("says %d bytes follow, but only %d are left in the packet", n, left)
	expected := ""
	swapped := int(n16>>8) | int(n16&0xff)<<8
	switch {
	case explainIsText(w.b[at:at+2]) && n > 255:
		problem += fmt.Sprintf("; these two bytes are the text %q: are the two length bytes missing?", w.b[at:at+2])
		expected = "two length bytes, high byte first, before the text"
		if end := bytes.IndexByte(w.b[at:], '{'); w.typ == byte(PUBLISH) && end > 0 && explainTopicText(w.b[at:at+end]) {
			expected = fmt.Sprintf("%02X %02X (%d) before the text", end>>8, end&0xff, end)
		}
		if w.short == 0 {
			expected += ", and a remaining length 2 higher"
		}
	case field == "user name" && w.b[at] == '|':
		id := w.notes[li-1].Length + 1 // what was read as the client identifier, and the bar
		problem += "; the first byte is the closing bar of the client identifier, whose length is one too small"
		expected = fmt.Sprintf("%02X %02X (%d) as the length of the client identifier", id>>8, id&0xff, id)
	case swapped <= left && swapped > 0:
		// Read on with the length that was meant.
		w.fail(li, w.clause("MQTT 3.1.1 §1.5.2", "MQTT 5.0 §1.5.2"), problem+"; the high byte goes first: are the two bytes swapped?",
			fmt.Sprintf("%02X %02X (%d)", swapped>>8, swapped&0xff, swapped))
		w.notes[li].Value = fmt.Sprintf("%d as written, %d meant", n, swapped)
		s = w.b[w.pos : w.pos+swapped]
		return s, w.add(swapped, field, ""), true
	default:
		expected = fmt.Sprintf("at most %02X %02X (%d)", left>>8, left&0xff, left)
	}
	w.lost = true
	w.fail(li, w.clause("MQTT 3.1.1 §1.5.3", "MQTT 5.0 §1.5.4"), problem, expected)
	w.rest(field, "")
	return nil, 0, false
}

// text reads a UTF-8 string with its length and checks it.
func (w *explainWalk) text(field, why string) (s []byte, i int, ok bool) {
	s, i, ok = w.binary(field, why)
	if ok {
		if w.typ == byte(CONNECT) {
			w.hideDigests(w.notes[i].Offset, w.pos)
		}
		w.notes[i].Value = w.quote(w.notes[i].Offset, w.pos)
		w.checkText(i, w.notes[i].Offset, s)
	}
	return s, i, ok
}

// checkText raises what MQTT forbids, or advises against, in the string s that
// begins at byte off.
func (w *explainWalk) checkText(i, off int, s []byte) {
	warned := false
	for p := 0; p < len(s); {
		r, n := utf8.DecodeRune(s[p:])
		switch {
		case r == utf8.RuneError && n == 1:
			problem := fmt.Sprintf("byte %02X is not UTF-8", s[p])
			if explainLooksGBK(s[p:]) {
				problem += "; are these Chinese characters in GBK? MQTT strings are UTF-8"
			}
			w.raise(i, SeverityError, off+p, w.clause("MQTT-1.5.3-1", "MQTT-1.5.4-1"), problem, "the text in UTF-8")
			return
		case r == 0:
			problem, expected := "a string must not hold the character U+0000", "the text without it"
			if zeros := len(s) - p; len(bytes.Trim(s[p:], "\x00")) == 0 {
				problem += "; the zero that ends a C string is not sent: was the length taken with sizeof instead of strlen?"
				expected = fmt.Sprintf("nothing here, %02X %02X (%d) as the length of the string, and a remaining length %d lower", p>>8, p&0xff, p, zeros)
			}
			w.raise(i, SeverityError, off+p, w.clause("MQTT-1.5.3-2", "MQTT-1.5.4-2"), problem, expected)
			return
		case warned:
		case r == '\r' || r == '\n':
			w.raise(i, SeverityWarning, off+p, "", "a line end inside the string: is it sent along by mistake?", "the text without it")
			warned = true
		case r < 0x20 || r == 0x7f:
			w.raise(i, SeverityWarning, off+p, "", fmt.Sprintf("control character %02X in a string: a receiver may close the connection", r), "the text without it")
			warned = true
		}
		p += n
	}
}

// rest covers everything to the end with one note. Nothing is known of these
// bytes, so whatever may be a password digest is masked.
func (w *explainWalk) rest(field, prefix string) int {
	from, to := w.pos, len(w.b)
	if w.guard {
		w.hide(from, to)
	}
	w.hideDigests(from, to)
	value := prefix
	switch {
	case from == to:
		value += "none"
	case !w.o.ShowSecrets && w.guard:
		value += explainBytes(to-from) + ", masked: the password may be among them"
	default:
		value += w.show(from, to)
	}
	return w.add(to-from, field, value)
}

// trailing raises bytes after the last field of a packet. An empty clause
// stands for the packet's section of the standard.
func (w *explainWalk) trailing(clause, why string) {
	if w.left() == 0 || w.lost {
		return
	}
	n := w.left()
	i := w.rest("surplus", "")
	w.lost = true
	problem := fmt.Sprintf("%s after the last field of the packet", explainBytes(n))
	if why != "" {
		problem += "; " + why
	}
	if clause == "" {
		clause = w.section()
	}
	w.fail(i, clause, problem, "nothing here")
}

// explainVarint reads a number of up to four bytes, seven bits each, low bits first.
// n is its size, 0 if the bytes end first; ok is false if a fifth byte would
// be needed.
func explainVarint(b []byte) (v, n int, ok bool) {
	for n < len(b) && n < 4 {
		c := b[n]
		v |= int(c&0x7f) << (7 * n)
		n++
		if c&0x80 == 0 {
			return v, n, true
		}
	}
	if n == 4 {
		return v, n, false
	}
	return v, 0, true
}

// explainVarintBytes is the shortest encoding of v.
func explainVarintBytes(v int) []byte {
	var out []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 {
			return append(out, c)
		}
		out = append(out, c|0x80)
	}
}

// explainNamed returns the name of a packet type with its article.
func explainNamed(t Type) string {
	if t == UNSUBSCRIBE || t == UNSUBACK || t == AUTH {
		return "an " + t.String()
	}
	return "a " + t.String()
}

func explainU16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

func explainPlural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

func explainBytes(n int) string { return fmt.Sprintf("%d %s", n, explainPlural(n, "byte")) }

// explainIsText reports whether b is printable ASCII.
func explainIsText(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return len(b) > 0
}

// explainLooksGBK reports whether b begins with a two-byte character of GBK,
// the usual encoding of Chinese sources on Windows.
func explainLooksGBK(b []byte) bool {
	return len(b) >= 2 && b[0] >= 0x81 && b[0] <= 0xfe && b[1] >= 0x40 && b[1] <= 0xfe && b[1] != 0x7f
}
