package mqtt

import "fmt"

// explainShortestLogin is the size of the smallest body of a CONNECT: ten bytes
// and an empty client identifier.
const explainShortestLogin = 12

// explainBurst carries what is known from one packet to the next.
type explainBurst struct {
	o         ExplainOptions
	version   Version // 0: not known
	tries     int
	connected bool // a CONNECT came before
}

func (u *explainBurst) all(b []byte) []Explanation {
	var out []Explanation
	for start := 0; len(b) > 0; {
		e := u.next(b)
		if len(out) > 0 && !explainStarts(b) && (e.Missing > 0 || e.unsound()) {
			last := out[len(out)-1]
			e = u.garbage(b, "these bytes do not begin an MQTT packet", explainBelongs(last.Raw, len(b)), last.Name == "CONNECT")
		}
		if e.Name == "CONNECT" {
			if u.connected && len(out) > 0 {
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
		return u.garbage(b, problem, expected, false)
	}
	if t := b[0] >> 4; t == 0 || t == 15 && u.version != 0 && u.version != V5 {
		problem := fmt.Sprintf("first byte %02X: packet type %d does not exist in MQTT %s", b[0], t, u.versionOr(V311))
		expected := "a packet type from 1 to 14 in the upper four bits, such as 10 for CONNECT or 30 for PUBLISH"
		if name, first := explainHeadless(b); name != "" {
			problem += fmt.Sprintf("; this is the body of a %s: its fixed header is missing", name)
			expected = fmt.Sprintf("%02X and a remaining length before these bytes", first)
			if first != 0x10 || len(b) >= explainShortestLogin {
				expected = fmt.Sprintf("%02X and a remaining length, such as %s (%d) if this is the whole body, before these bytes",
					first, FormatHex(explainVarintBytes(len(b))), len(b))
			}
		}
		e := u.garbage(b, problem, expected, false)
		e.Notes[0].Clause = "MQTT 3.1.1 §2.2.1"
		if u.version == V5 {
			e.Notes[0].Clause = "MQTT 5.0 §2.1.2"
		}
		return e
	}

	declared := u.declared(b)
	w := u.walk(b, declared)
	follows := b[declared.end:]
	// Bytes that follow and begin a packet confirm the remaining length, and so
	// does the end of the bytes just where it says.
	if len(follows) == 0 && declared.problem != "" || len(follows) > 0 && !explainStarts(follows) {
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
