package mqtt

import "fmt"

// explainFlags is what the lower four bits of the first byte must be.
var explainFlags = [16]byte{PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}

// first annotates the first byte: packet type and flags.
func (w *explainWalk) first() {
	t := Type(w.typ)
	i := w.add(1, "packet type", t.String())
	switch {
	case t == PUBLISH:
		w.publishFlags(i)
	case w.v == V31 && explainFlags[t] == 2 && w.flags == 0x0A:
		w.notes[i].Value += ", DUP 1" // such packets are sent again in 3.1
	case w.flags != explainFlags[t]:
		right := w.typ<<4 | explainFlags[t]
		problem := fmt.Sprintf("the lower four bits of %s are %04b, here %04b", explainNamed(t), explainFlags[t], w.flags)
		if (t == SUBSCRIBE || t == UNSUBSCRIBE) && w.flags == 0 {
			problem += "; several device libraries send this, and a strict server closes the connection"
		}
		clause := map[Type][2]string{
			PUBREL:      {"MQTT-3.6.1-1", "MQTT-3.6.1-1"},
			SUBSCRIBE:   {"MQTT-3.8.1-1", "MQTT-3.8.1-1"},
			UNSUBSCRIBE: {"MQTT-3.10.1-1", "MQTT-3.10.1-1"},
			DISCONNECT:  {"MQTT-3.14.1-1", "MQTT-3.14.1-1"},
			AUTH:        {"MQTT-2.2.2-1", "MQTT-3.15.1-1"},
		}[t]
		if clause[0] == "" {
			clause = [2]string{"MQTT-2.2.2-1", "MQTT-2.1.3-1"}
		}
		w.fail(i, w.clause(clause[0], clause[1]), problem, fmt.Sprintf("%02X", right))
	}
	if t == AUTH && w.v != V5 {
		w.fail(i, "MQTT 3.1.1 §2.2.1", "packet type 15 (AUTH) exists in MQTT 5.0 only", "")
	}
	w.checkDirection(i, t)
}

func (w *explainWalk) checkDirection(i int, t Type) {
	switch {
	case w.o.Direction == FromServer:
		switch t {
		case CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ:
			w.fail(i, w.clause("MQTT 3.1.1 §2.2.1", "MQTT 5.0 §2.1.2"), fmt.Sprintf("a server never sends %s", explainNamed(t)), explainOther(t))
		case DISCONNECT:
			if w.v != V5 {
				w.fail(i, "MQTT 3.1.1 §3.14", "a server sends DISCONNECT in MQTT 5.0 only; before, it closes the connection", "no packet")
			}
		}
	case w.o.Direction == FromClient:
		switch t {
		case CONNACK, SUBACK, UNSUBACK, PINGRESP:
			w.fail(i, w.clause("MQTT 3.1.1 §2.2.1", "MQTT 5.0 §2.1.2"), fmt.Sprintf("a client never sends %s", explainNamed(t)), explainOther(t))
		}
	}
}

// explainOther names the packet that the side which never sends type t sends:
// the request for an answer, and the answer to a request.
func explainOther(t Type) string {
	other := map[Type]Type{
		CONNECT: CONNACK, SUBSCRIBE: SUBACK, UNSUBSCRIBE: UNSUBACK, PINGREQ: PINGRESP,
		CONNACK: CONNECT, SUBACK: SUBSCRIBE, UNSUBACK: UNSUBSCRIBE, PINGRESP: PINGREQ,
	}[t]
	return fmt.Sprintf("%02X for %s, if the direction is right", byte(other)<<4|explainFlags[other], explainNamed(other))
}

// explainQoS names a quality of service.
func explainQoS(q byte) string {
	switch q {
	case 0:
		return "QoS 0 (at most once)"
	case 1:
		return "QoS 1 (at least once)"
	case 2:
		return "QoS 2 (exactly once)"
	}
	return fmt.Sprintf("QoS %d (does not exist)", q)
}
