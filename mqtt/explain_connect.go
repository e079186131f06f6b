package mqtt

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// connect annotates the body of a CONNECT.
func (w *explainWalk) connect() {
	name, ok := w.protocolName()
	if !ok || !w.protocolLevel(name) {
		return
	}
	flags, fi, ok := w.u8("connect flags", "")
	if !ok {
		return
	}
	w.connectFlags(fi, flags)
	keepAlive, ki, ok := w.u16("keep alive", "")
	if !ok {
		return
	}
	w.notes[ki].Value = fmt.Sprintf("%d s: the server closes after %g s of silence", keepAlive, float64(keepAlive)*1.5)
	if keepAlive == 0 {
		w.notes[ki].Value = "0: the server does not watch for silence"
	}
	if w.v == V5 && !w.connectProperties(flags) {
		return
	}
	id, ii, ok := w.text("client identifier", "")
	if !ok {
		return
	}
	w.clientID(ii, id, flags&2 != 0)
	if w.aliyun && (keepAlive < 30 || keepAlive > 1200) {
		problem, expected := fmt.Sprintf("the Alibaba platform refuses a keep alive of %d s", keepAlive), "00 1E to 04 B0 (30 to 1200 s)"
		if swapped := keepAlive>>8 | keepAlive<<8; swapped >= 30 && swapped <= 1200 {
			problem += "; the high byte goes first: are the two bytes swapped?"
			expected = fmt.Sprintf("%02X %02X (%d s)", swapped>>8, swapped&0xff, swapped)
		}
		w.warn(ki, problem, expected)
	}
	if flags&4 != 0 {
		if w.v == V5 && !w.properties(CONNECT, true) {
			return
		}
		topic, ti, ok := w.text("will topic", "the connect flags announce a will")
		if !ok {
			return
		}
		w.checkTopicName(ti, topic, w.clause("MQTT-4.7.1-1", "MQTT-4.7.0-1"))
		payload, pi, ok := w.binary("will payload", "the connect flags announce a will")
		if !ok {
			return
		}
		w.hideDigests(w.notes[pi].Offset, w.pos)
		if w.guard || w.notes[fi].Severity == SeverityError || w.aliyun && flags&0x40 == 0 {
			// With wrong flags, the password may stand where the will should.
			w.hide(w.notes[pi].Offset, w.pos)
		}
		w.notes[pi].Value = explainBytes(len(payload))
		if len(payload) > 0 {
			w.notes[pi].Value += ": " + w.show(w.notes[pi].Offset, w.pos)
		}
	}
	if flags&0x80 != 0 {
		left := w.left()
		user, ui, ok := w.text("user name", "bit 7 of the connect flags announces one")
		if !ok {
			if left == 0 {
				w.rule(w.clause("MQTT-3.1.2-19", "MQTT-3.1.2-17"))
				w.expect(fmt.Sprintf("a user name, or %02X as the connect flags", flags&^0xc0))
			}
			return
		}
		w.userName(ui, user)
	}
	if flags&0x40 != 0 {
		left := w.left()
		password, pi, ok := w.binary("password", "bit 6 of the connect flags announces one")
		if !ok {
			if left == 0 {
				w.rule(w.clause("MQTT-3.1.2-21", "MQTT-3.1.2-19"))
				w.expect(fmt.Sprintf("a password, or %02X as the connect flags", flags&^0x40))
			}
			return
		}
		w.password(pi, password)
	}
	if w.left() > 0 {
		why, meant, rule := "", flags, "MQTT-3.1.3-1"
		if strings := explainStringsFit(w.b[w.pos:]); flags&0xc4 == 0 && strings == 2 {
			meant |= 0xc0
			rule = w.clause("MQTT-3.1.2-18", "MQTT-3.1.2-16")
			why = fmt.Sprintf("two strings follow, but the connect flags (%02X) announce neither user name nor password: are they %02X?", flags, meant)
		} else if flags&0xc0 == 0x80 && strings == 1 {
			meant |= 0x40
			rule = w.clause("MQTT-3.1.2-20", "MQTT-3.1.2-18")
			why = fmt.Sprintf("a string follows, but bit 6 of the connect flags (%02X) announces no password: are they %02X?", flags, meant)
		}
		if !w.o.ShowSecrets {
			w.guard = true
		}
		w.trailing(rule, why)
		if meant != flags {
			w.expect(fmt.Sprintf("%02X as the connect flags (byte %d)", meant, w.notes[fi].Offset))
		}
	}
}

// connectProperties reads the properties of a CONNECT, or raises that their
// length is missing where the strings after it begin right away.
func (w *explainWalk) connectProperties(flags byte) bool {
	body := w.b[w.pos:]
	want := 1 + int(flags>>7) + int(flags>>6&1)
	if flags&4 == 0 && explainStringsFit(body) == want && !(len(body) > 0 && body[0] == 0 && explainStringsFit(body[1:]) == want) {
		i := w.add(0, "property length", "missing")
		w.fail(i, "MQTT-2.2.2-1", "the property length is missing: MQTT 5.0 has one before the client identifier even if there are no properties",
			"00, and a remaining length 1 higher")
		return true
	}
	return w.properties(CONNECT, false)
}

// explainStringsFit returns how many strings with their lengths make up b
// exactly, 0 if they do not.
func explainStringsFit(b []byte) int {
	n := 0
	for len(b) >= 2 {
		size := 2 + int(explainU16(b))
		if size > len(b) {
			return 0
		}
		b = b[size:]
		n++
	}
	if len(b) > 0 {
		return 0
	}
	return n
}

func (w *explainWalk) protocolName() (string, bool) {
	for _, name := range []string{"MQTT", "MQIsdp"} {
		if explainHasPrefix(w.b[w.pos:], name) {
			i := w.add(0, "protocol name length", "missing")
			length := FormatHex([]byte{0, byte(len(name))})
			w.fail(i, w.clause("MQTT 3.1.1 §3.1.2.1", "MQTT 5.0 §3.1.2.1"), fmt.Sprintf("the text %q begins without its two length bytes", name),
				length+" before it, and a remaining length 2 higher")
			w.add(len(name), "protocol name", `"`+name+`"`)
			return name, true
		}
	}
	s, i, ok := w.text("protocol name", "")
	if !ok {
		return "", false
	}
	name := string(s)
	if w.guard && len(s) > 6 {
		w.hide(w.notes[i].Offset+6, w.pos)
		w.notes[i].Value = w.quote(w.notes[i].Offset, w.pos)
	}
	if name == "MQTT" || name == "MQIsdp" {
		return name, true
	}
	w.fail(i, "MQTT-3.1.2-1", fmt.Sprintf("%q is no protocol name: it is \"MQTT\", letter for letter (3.1 alone has \"MQIsdp\")", w.masked(i)),
		"00 04 4D 51 54 54 (MQTT)")
	return name, true
}

func (w *explainWalk) protocolLevel(name string) bool {
	level, i, ok := w.u8("protocol level", "")
	if !ok {
		return false
	}
	right := byte(V311)
	if name == "MQIsdp" {
		right = byte(V31)
	}
	switch {
	case level == byte(V31) && name != "MQTT", level == byte(V311) && name != "MQIsdp", level == byte(V5) && name != "MQIsdp":
		w.v = Version(level)
		w.notes[i].Value = "MQTT " + w.v.String()
	case level == byte(V31) || level == byte(V311) || level == byte(V5):
		w.fail(i, "MQTT-3.1.2-2", fmt.Sprintf("level %d does not go with the name %q: MQTT goes with 04 (3.1.1) or 05 (5.0), MQIsdp with 03 (3.1)", level, name),
			fmt.Sprintf("%02X", right))
	case level&0x80 != 0 && level&0x7f >= 3 && level&0x7f <= 4:
		w.v = Version(level & 0x7f)
		w.fail(i, "MQTT-3.1.2-2", "bit 7 of the level is set, as a bridge between brokers does; the standard has no such level", fmt.Sprintf("%02X", level&0x7f))
	default:
		expected := fmt.Sprintf("%02X", right)
		if name == "MQTT" {
			expected = "04 (3.1.1) or 05 (5.0)"
		}
		w.fail(i, "MQTT-3.1.2-2", fmt.Sprintf("there is no protocol level %d; the server answers CONNACK 01", level), expected)
	}
	return true
}

func (w *explainWalk) connectFlags(i int, f byte) {
	clean := "clean session"
	if w.v == V5 {
		clean = "clean start"
	}
	bit := func(n uint) byte { return f >> n & 1 }
	qos := f >> 3 & 3
	w.notes[i].Value = fmt.Sprintf("user name %d, password %d, will %d, %s %d", bit(7), bit(6), bit(2), clean, bit(1))
	if bit(2) == 1 {
		w.notes[i].Value = fmt.Sprintf("user name %d, password %d, will 1 with %s and retain %d, %s %d",
			bit(7), bit(6), explainQoS(qos), bit(5), clean, bit(1))
	}
	if bit(0) == 1 {
		w.fail(i, "MQTT-3.1.2-3", "bit 0 of the connect flags is reserved and must be 0", fmt.Sprintf("%02X", f&^1))
	}
	switch {
	case bit(2) == 0 && qos != 0:
		w.fail(i, w.clause("MQTT-3.1.2-13", "MQTT-3.1.2-11"), "bits 4 and 3 ask for a will QoS, but bit 2 announces no will", fmt.Sprintf("%02X", f&^0x39))
	case bit(2) == 0 && bit(5) == 1:
		w.fail(i, w.clause("MQTT-3.1.2-15", "MQTT-3.1.2-13"), "bit 5 asks to retain the will, but bit 2 announces no will", fmt.Sprintf("%02X", f&^0x39))
	case qos == 3:
		w.fail(i, w.clause("MQTT-3.1.2-14", "MQTT-3.1.2-12"), "bits 4 and 3 are both set: there is no will QoS 3", fmt.Sprintf("%02X for QoS 1", f&^0x10))
	}
	if bit(7) == 0 && bit(6) == 1 && w.v != V5 {
		w.fail(i, "MQTT-3.1.2-22", "a password without a user name: bit 6 is set, bit 7 is not",
			fmt.Sprintf("%02X and a user name before the password, or %02X and no password", f|0x80, f&^0x40))
	}
}

func (w *explainWalk) clientID(i int, id []byte, clean bool) {
	switch {
	case len(id) == 0 && w.v == V31:
		w.fail(i, "MQTT 3.1 §3.1", "MQTT 3.1 wants a client identifier of 1 to 23 characters", "a client identifier")
	case w.v == V31 && len(id) > 23 && utf8.RuneCount(id) > 23:
		problem := "MQTT 3.1 allows a client identifier of 23 characters"
		if bytes.IndexByte(id, '|') >= 0 {
			problem += "; the login parameters of a device never fit, and a server for such devices takes them"
		}
		w.fail(i, "MQTT 3.1 §3.1", problem, "23 characters, or MQTT 3.1.1")
	case len(id) == 0 && w.v == V311 && !clean:
		w.fail(i, "MQTT-3.1.3-7", "an empty client identifier needs clean session 1; the server answers CONNACK 02", "a client identifier, or bit 1 of the connect flags set")
	}
	w.aliyunClientID(i, id)
}
