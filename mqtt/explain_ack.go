package mqtt

import (
	"fmt"
	"strings"
)

// connack annotates the body of a CONNACK.
func (w *explainWalk) connack() {
	flags, fi, ok := w.u8("session present", "")
	if !ok {
		return
	}
	w.notes[fi].Value = "0: the server starts with an empty session"
	if flags&1 == 1 {
		w.notes[fi].Value = "1: the server kept the session"
	}
	if flags&^1 != 0 {
		w.fail(fi, w.clause("MQTT 3.1.1 §3.2.2.1", "MQTT-3.2.2-1"), "bits 7 to 1 are reserved and must be 0", fmt.Sprintf("%02X", flags&1))
	} else if flags == 1 && w.v == V31 {
		w.fail(fi, "MQTT 3.1 §3.2", "MQTT 3.1 has no session present flag: the byte is reserved", "00")
	}
	code, ci, ok := w.u8("return code", "")
	if !ok {
		w.expect("00 if the connection is accepted, and a remaining length 1 higher")
		return
	}
	if w.v == V5 {
		w.notes[ci].Field = "reason code"
		w.reason(ci, CONNACK, code, "MQTT-3.2.2-8")
	} else {
		w.notes[ci].Value = ReasonCode(code).ReturnText()
		if code > 5 {
			w.fail(ci, "MQTT 3.1.1 §3.2.2.3", fmt.Sprintf("%02X is a reserved return code", code), "00 to 05")
		}
	}
	if flags&1 == 0 && code != 0 {
		w.notes[fi].Value = "0: the connection is refused"
	}
	if flags&1 == 1 && code != 0 {
		w.fail(fi, w.clause("MQTT-3.2.2-4", "MQTT-3.2.2-6"), "session present goes with a connection that is accepted only", "00")
	}
	if w.v == V5 {
		w.properties(CONNACK, false)
		return
	}
	w.trailing("", "a CONNACK of MQTT 3.1.1 has two bytes after its fixed header")
}

// ack annotates the body of a PUBACK, PUBREC, PUBREL or PUBCOMP.
func (w *explainWalk) ack() {
	t := Type(w.typ)
	if _, _, ok := w.packetID("it is that of the packet it answers"); !ok {
		return
	}
	if w.v != V5 {
		w.trailing("", fmt.Sprintf("a %s of MQTT 3.1.1 is the packet identifier and no more", t))
		return
	}
	clause := map[Type]string{PUBACK: "MQTT-3.4.2-1", PUBREC: "MQTT-3.5.2-1", PUBREL: "MQTT-3.6.2-1", PUBCOMP: "MQTT-3.7.2-1"}[t]
	w.reasonAndProperties(t, clause)
}

// disconnect annotates the body of a DISCONNECT.
func (w *explainWalk) disconnect() {
	if w.v != V5 {
		w.trailing("", "a DISCONNECT of MQTT 3.1.1 has no body")
		return
	}
	w.reasonAndProperties(DISCONNECT, "MQTT-3.14.2-1")
}

// auth annotates the body of an AUTH.
func (w *explainWalk) auth() { w.reasonAndProperties(AUTH, "MQTT-3.15.2-1") }

// reasonAndProperties reads a reason code and properties, both of which may be
// left out at the end.
func (w *explainWalk) reasonAndProperties(t Type, clause string) {
	if w.left() == 0 {
		return
	}
	c, i, _ := w.u8("reason code", "")
	w.reason(i, t, c, clause)
	if w.left() > 0 {
		w.properties(t, false)
		w.trailing("", "")
	}
}

func (w *explainWalk) reason(i int, t Type, c byte, clause string) {
	w.notes[i].Value = ReasonCode(c).String()
	if t == DISCONNECT && c == 0 {
		w.notes[i].Value = "normal disconnection"
	}
	if ReasonCode(c).AllowedIn(t) {
		return
	}
	problem, expected := fmt.Sprintf("%02X is no reason code of %s", c, explainNamed(t)), ""
	if t == CONNACK && c <= byte(ReturnNotAuthorized) {
		w.notes[i].Value = ReasonCode(c).ReturnText() + " in MQTT 3.1.1"
		expected = fmt.Sprintf("%02X, which says so in MQTT 5.0", byte(FromReturnCode(ReasonCode(c))))
	}
	if expected == "" {
		expected = explainReasons(t)
	}
	w.fail(i, clause, problem, expected)
}

// explainReasons lists the reason codes packets of type t may carry.
func explainReasons(t Type) string {
	var codes []byte
	for c := 0; c <= 0xff; c++ {
		if ReasonCode(c).AllowedIn(t) {
			codes = append(codes, byte(c))
		}
	}
	const few = 10
	if len(codes) > few {
		return fmt.Sprintf("%02X, or a code from 80 on for what went wrong", codes[0])
	}
	list := make([]string, len(codes))
	for i, c := range codes {
		list[i] = fmt.Sprintf("%02X", c)
	}
	if n := len(list) - 1; n > 0 {
		return strings.Join(list[:n], ", ") + " or " + list[n]
	}
	return strings.Join(list, "")
}
