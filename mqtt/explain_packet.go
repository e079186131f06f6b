package mqtt

import (
	"fmt"
	"strings"
)

// packet annotates the whole packet.
func (w *explainWalk) packet(r explainReading) {
	w.hideLogin(r.head)
	w.first()
	i := w.add(r.head-1, "remaining length", r.value())
	expected := r.expect
	if r.problem != "" {
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
	if w.lost && r.short > 0 && w.notes[i].Expected == expected {
		// The fields that are here are not all there have to be.
		w.notes[i].Expected = explainBytes(r.short) + " more"
	}
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
