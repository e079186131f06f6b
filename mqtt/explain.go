package mqtt

// Severity says how much a problem matters.
type Severity byte

const (
	// SeverityNone is the severity of a note without a problem.
	SeverityNone Severity = iota
	// SeverityWarning marks bytes that MQTT allows but that hardly do what
	// their author meant: a payload that is nearly JSON, a packet identifier
	// that looks like text.
	SeverityWarning
	// SeverityError marks bytes that break a rule of MQTT.
	SeverityError
)

// String returns "", "WARNING" or "ERROR".
func (s Severity) String() string {
	switch s {
	case SeverityWarning:
		return "WARNING"
	case SeverityError:
		return "ERROR"
	}
	return ""
}

// Direction says which side sent a packet.
type Direction byte

const (
	// DirectionUnknown leaves the direction to the packet type.
	DirectionUnknown Direction = iota
	// FromClient marks packets a client (a device) sends.
	FromClient
	// FromServer marks packets a server sends.
	FromServer
)

// String returns "client to server", "server to client" or "".
func (d Direction) String() string {
	switch d {
	case FromClient:
		return "client to server"
	case FromServer:
		return "server to client"
	}
	return ""
}

// Note is one annotated field of a packet.
type Note struct {
	// Offset is the field's first byte, counted from the packet's first byte;
	// Length is its size in bytes, 0 for a field that is missing.
	Offset, Length int
	// Field names the field, Value shows what its bytes say. A secret is shown
	// as its length only.
	Field, Value string
	// Details are further lines about the value, such as the parts of a
	// client identifier.
	Details []string

	// Severity, Problem, Expected and Clause are empty if the field is right.
	// Problem says what is wrong, Expected what the bytes should be, Clause
	// which rule says so ("MQTT-3.3.1-4").
	Severity Severity
	Problem  string
	Expected string
	Clause   string
	// At is the byte the problem is about, counted like Offset. It differs
	// from Offset where one byte inside a longer field is meant, and is the
	// first byte after the field where something is missing there.
	At int
}

// Explanation is a packet taken apart. Its notes are in order and cover every
// byte of Raw exactly once.
type Explanation struct {
	// Raw is the packet: a view of the bytes given, as many as were taken.
	Raw []byte
	// Start is where Raw begins in the bytes given to ExplainAll, or in the
	// frame of a dump.
	Start int
	// Name is the packet type in the words of the standard ("CONNECT"), or
	// "not MQTT", or "nothing" for no bytes at all.
	Name string
	// Version is the version the packet was read as. Of a packet that is the
	// same in every version it is the version asked for, or 3.1.1.
	Version Version
	// Direction is the direction asked for, or the one the packet type implies.
	Direction Direction
	// Missing is the number of bytes the remaining length announces beyond the
	// end of Raw: more than 0 for a packet that is incomplete.
	Missing int
	// Notes annotates the bytes of Raw, from the first to the last.
	Notes []Note

	secret []explainSpan
}

// OK reports whether the packet breaks no rule of MQTT. It may still carry
// warnings.
func (e Explanation) OK() bool {
	for i := range e.Notes {
		if e.Notes[i].Severity == SeverityError {
			return false
		}
	}
	return true
}

// Problems returns the notes that carry an error or a warning, in order of
// their bytes.
func (e Explanation) Problems() []Note {
	var out []Note
	for _, n := range e.Notes {
		if n.Severity != SeverityNone {
			out = append(out, n)
		}
	}
	return out
}

// ExplainOptions tells Explain what the bytes do not.
type ExplainOptions struct {
	// Version is the version of the session. 0: a CONNECT tells its own;
	// anything else is read as 3.1.1, or as 5.0 if it is right only there.
	Version Version
	// Direction is the side that sent the bytes, if known. It adds the rules
	// that bind one side only.
	Direction Direction
	// Payload returns extra lines about the payload of a PUBLISH, or nil. It
	// sees the payload unmasked.
	Payload func(topic string, payload []byte) []string
	// ShowSecrets shows passwords, authentication data and device secrets.
	// Without it their bytes are masked in values and in the hex column; of a
	// CONNECT that is too broken to tell where the password begins, everything
	// that may hold it is masked.
	ShowSecrets bool
}

// Explain takes the first packet in b apart, right or wrong. It never fails:
// what cannot be read is a note with a problem. len of the result's Raw is how
// many bytes the packet took, which is all of them if the packet is incomplete
// or its end cannot be told.
//
// If the remaining length is wrong but the bytes make exactly one packet with
// another length, the packet is annotated as if the right length were there,
// and the note on the remaining length says so.
func Explain(b []byte, o ExplainOptions) Explanation {
	burst := explainBurst{o: o, version: o.Version, tries: explainTries}
	return burst.next(b)
}

// ExplainAll takes a burst of packets apart: what one side sent, in order. A
// CONNECT in it sets the version of what follows. Bytes at the end that are no
// whole packet are explained as incomplete or as not MQTT.
func ExplainAll(b []byte, o ExplainOptions) []Explanation {
	burst := explainBurst{o: o, version: o.Version, tries: explainTries}
	return burst.all(b)
}

// ExplainDump takes every frame of a dump apart, in order. A CONNECT in one
// frame sets the version of those after it, in both directions; a frame's own
// direction goes before that of o. A packet must not be split over frames.
func ExplainDump(frames []DumpFrame, o ExplainOptions) []Explanation {
	burst := explainBurst{o: o, version: o.Version, tries: explainTries}
	var out []Explanation
	for _, f := range frames {
		burst.o.Direction = f.Direction
		if f.Direction == DirectionUnknown {
			burst.o.Direction = o.Direction
		}
		out = append(out, burst.all(f.Data)...)
	}
	return out
}
