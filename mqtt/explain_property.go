package mqtt

import "fmt"

// properties annotates a property length and the properties after it. It
// returns false if the fields that follow cannot be found any more. will
// selects the properties of the will in a CONNECT.
func (w *explainWalk) properties(t Type, will bool) bool {
	field := "property length"
	if will {
		field = "will property length"
	}
	v, n, ok := explainVarint(w.b[w.pos:])
	switch {
	case !ok:
		i := w.add(4, field, "unreadable")
		w.fail(i, "MQTT 5.0 §1.5.5", "four bytes with bit 7 set: a length has at most four bytes, and bit 7 of the last is 0", "00 if there are no properties")
		w.lost = true
		w.rest("properties", "")
		return false
	case n == 0:
		w.cut(field, 1, "MQTT 5.0 has one here, 00 if there are no properties")
		return false
	}
	i := w.add(n, field, fmt.Sprintf("%d", v))
	if short := explainVarintBytes(v); len(short) < n {
		w.fail(i, "MQTT-1.5.5-1", fmt.Sprintf("%d is written in %d bytes, the shortest form has %d", v, n, len(short)), FormatHex(short))
	}
	if v > w.left() {
		if v <= w.left()+w.short {
			w.lost = true
			w.rest("properties", "cut off: ")
			return false
		}
		problem := fmt.Sprintf("says %d bytes of properties follow, but only %d are left in the packet", v, w.left())
		expected := fmt.Sprintf("at most %s (%d)", FormatHex(explainVarintBytes(w.left())), w.left())
		if v >= 0x20 && v < 0x7f {
			problem += "; is the property length missing? MQTT 5.0 has one here, 00 if there are no properties"
			expected = "00 before it"
			if w.short == 0 {
				expected += ", and a remaining length 1 higher"
			}
		}
		w.fail(i, "MQTT 5.0 §2.2.2.1", problem, expected)
		w.lost = true
		w.rest("properties", "")
		return false
	}
	var seen [maxPropertyID + 1]bool
	for end := w.pos + v; w.pos < end; {
		from := w.pos
		if !w.property(t, will, end, &seen) {
			// The length of the block still tells where the next field is.
			if w.pos < end {
				w.add(end-w.pos, "properties", "unreadable: "+FormatHex(w.b[w.pos:min(end, w.pos+16)]))
			}
			return true
		}
		if w.pos == from {
			return true
		}
	}
	return true
}

// property annotates one property as one note. It returns false if the next
// one cannot be found.
func (w *explainWalk) property(t Type, will bool, end int, seen *[maxPropertyID + 1]bool) bool {
	from := w.pos
	id := PropertyID(w.b[from])
	rule := &propertyRules[id]
	if rule.kind == kindNone {
		i := w.add(end-from, "property", fmt.Sprintf("%02X …", byte(id)))
		w.fail(i, "MQTT 5.0 §2.2.2.2", fmt.Sprintf("there is no property %02X", byte(id)), fmt.Sprintf("the identifier of a property of %s", explainNamed(t)))
		return false
	}
	b := w.b[from+1 : end]
	field := rule.name
	size, number, value := explainPropertyValue(rule.kind, b)
	if size < 0 {
		i := w.add(end-from, field, "")
		w.fail(i, "MQTT 5.0 §2.2.2.2", fmt.Sprintf("the value does not fit into the %s left of the properties", explainBytes(len(b))), explainPropertySize(rule.kind))
		return false
	}
	i := w.add(1+size, field, value)
	n := &w.notes[i]
	switch id {
	case PropSessionExpiryInterval, PropMessageExpiryInterval, PropWillDelayInterval, PropServerKeepAlive:
		n.Value += " s"
		if id == PropSessionExpiryInterval && number == 0xffffffff {
			n.Value = "never"
		}
	}
	switch rule.kind {
	case kindString:
		w.checkText(i, from+3, b[2:size])
		w.hideIfConnect(from+3, from+1+size)
		n.Value = w.quote(from+3, from+1+size)
	case kindBinary:
		if id == PropAuthenticationData {
			w.hide(from+3, from+1+size)
			n.Value = explainBytes(size-2) + ", masked"
			if w.o.ShowSecrets {
				n.Value = w.show(from+3, from+1+size)
			}
		} else {
			n.Value = w.show(from+3, from+1+size)
		}
	case kindPair:
		k := int(explainU16(b))
		w.checkText(i, from+3, b[2:2+k])
		w.checkText(i, from+5+k, b[4+k:size])
		w.hideIfConnect(from+3, from+1+size)
		n.Value = w.quote(from+3, from+3+k) + " = " + w.quote(from+5+k, from+1+size)
	}
	w.checkProperty(i, t, will, id, number, seen)
	return true
}

// hideIfConnect hides digests in a CONNECT, where a property may have
// swallowed the password.
func (w *explainWalk) hideIfConnect(from, to int) {
	if w.typ == byte(CONNECT) {
		w.hideDigests(from, to)
	}
}

func (w *explainWalk) checkProperty(i int, t Type, will bool, id PropertyID, number int64, seen *[maxPropertyID + 1]bool) {
	rule := &propertyRules[id]
	section := "MQTT 5.0 §" + rule.section
	value := w.notes[i].Offset + 1
	switch {
	case will && !id.AllowedInWill():
		w.fail(i, "MQTT 5.0 §3.1.3.2", fmt.Sprintf("%s is no property of a will", rule.name), "a property of a will, or nothing")
	case !will && !id.AllowedIn(t):
		w.fail(i, "MQTT 5.0 §2.2.2.2", fmt.Sprintf("%s is no property of %s", rule.name, explainNamed(t)), fmt.Sprintf("a property of %s, or nothing", explainNamed(t)))
	case id == PropSubscriptionIdentifier && t == PUBLISH && w.o.Direction == FromClient:
		w.fail(i, "MQTT-3.3.4-6", "a client does not send a subscription identifier in a PUBLISH", "nothing here")
	case rule.flag && number > 1:
		w.raise(i, SeverityError, value, section, fmt.Sprintf("%s is 0 or 1, here %d", rule.name, number), "00 or 01")
	case rule.nonZero && number == 0:
		w.raise(i, SeverityError, value, section, fmt.Sprintf("%s must not be 0", rule.name), "1 or more")
	case seen[id] && id != PropUserProperty && !(id == PropSubscriptionIdentifier && t == PUBLISH):
		w.fail(i, section, fmt.Sprintf("%s appears twice", rule.name), "one of the two")
	}
	seen[id] = true
}

// explainPropertySize says how long the value of a property is.
func explainPropertySize(kind propertyKind) string {
	switch kind {
	case kindByte:
		return "a value of 1 byte, and a property length that counts it"
	case kindUint16:
		return "a value of 2 bytes, and a property length that counts them"
	case kindUint32:
		return "a value of 4 bytes, and a property length that counts them"
	case kindPair:
		return "two strings, each with its two length bytes, and a property length that counts them"
	case kindVarint:
		return "a value of 1 to 4 bytes, and a property length that counts them"
	}
	return "two length bytes and as many bytes as they say, and a property length that counts them"
}

func (w *explainWalk) hasProperty(from int, id PropertyID) bool {
	for _, n := range w.notes[from:] {
		if n.Length > 0 && n.Field == propertyRules[id].name {
			return true
		}
	}
	return false
}

// explainPropertyValue returns the size of a property's value at the start of
// b, -1 if b is too short for it, and what numbers say.
func explainPropertyValue(kind propertyKind, b []byte) (size int, number int64, value string) {
	fixed := func(n int) (int, int64, string) {
		if len(b) < n {
			return -1, 0, ""
		}
		for _, c := range b[:n] {
			number = number<<8 | int64(c)
		}
		return n, number, fmt.Sprintf("%d", number)
	}
	prefixed := func(b []byte) int {
		if len(b) < 2 || len(b) < 2+int(explainU16(b)) {
			return -1
		}
		return 2 + int(explainU16(b))
	}
	switch kind {
	case kindByte:
		return fixed(1)
	case kindUint16:
		return fixed(2)
	case kindUint32:
		return fixed(4)
	case kindVarint:
		v, n, ok := explainVarint(b)
		if !ok || n == 0 {
			return -1, 0, ""
		}
		return n, int64(v), fmt.Sprintf("%d", v)
	case kindPair:
		k := prefixed(b)
		if k < 0 {
			return -1, 0, ""
		}
		v := prefixed(b[k:])
		if v < 0 {
			return -1, 0, ""
		}
		return k + v, 0, ""
	}
	return prefixed(b), 0, ""
}
