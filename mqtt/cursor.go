package mqtt

// cursor walks the body of a frame. The first error sticks and makes every
// later read return zero values, so a decoder reads its fields in the order
// of the standard and looks at err once.
type cursor struct {
	b    []byte // body
	pos  int    // next byte of b
	base int    // offset of b in the frame
	t    Type
	v    Version
	err  *MalformedError
}

func newCursor(f *Frame, v Version) cursor {
	return cursor{b: f.Body, base: f.header(), t: f.Type, v: v}
}

// result returns the error as an interface that is nil when there is none.
func (c *cursor) result() error {
	if c.err != nil {
		return c.err
	}
	return nil
}

// fail records an error at body position at.
func (c *cursor) fail(at int, field, clause string, code ReasonCode, reason string) {
	if c.err == nil {
		c.err = &MalformedError{c.t, c.base + at, field, clause, code, reason}
	}
}

// expect checks the type and the fixed header flags of the frame. A PUBREL,
// SUBSCRIBE or UNSUBSCRIBE of 3.1 may carry DUP.
func (c *cursor) expect(f *Frame, t Type, tol Tolerance) {
	if f.Type != t {
		c.err = &MalformedError{f.Type, 0, "packet type", "section 2.1.2", ProtocolError, withArticle(t) + " is expected here"}
		return
	}
	want := requiredFlags(t)
	if f.Flags == want {
		return
	}
	if want == 2 {
		if f.Flags == 0 && tol&TolerateFlags != 0 || f.Flags == 0x0A && c.v == V31 {
			return
		}
	}
	c.err = flagsError(t, c.v, f.Flags)
}

// requiredFlags returns the fixed header flags every packet of type t other
// than PUBLISH must have (table 2.2 of 3.1.1, 2-2 of 5.0).
func requiredFlags(t Type) byte {
	if t == PUBREL || t == SUBSCRIBE || t == UNSUBSCRIBE {
		return 2
	}
	return 0
}

func flagsError(t Type, v Version, got byte) *MalformedError {
	clause := byVersion(v, "MQTT-2.2.2-2", "MQTT-2.1.3-1")
	switch t {
	case PUBREL:
		clause = "MQTT-3.6.1-1"
	case SUBSCRIBE:
		clause = "MQTT-3.8.1-1"
	case UNSUBSCRIBE:
		clause = "MQTT-3.10.1-1"
	case DISCONNECT:
		clause = "MQTT-3.14.1-1"
	case AUTH:
		clause = "MQTT-3.15.1-1"
	}
	first := byte(t) << 4
	return &MalformedError{t, 0, "fixed header flags", clause, MalformedPacket,
		"the first byte is " + hexByte(first|got) + ", it must be " + hexByte(first|requiredFlags(t))}
}

// byte reads one byte.
func (c *cursor) byte(field string) byte {
	if c.err != nil {
		return 0
	}
	if c.pos >= len(c.b) {
		c.short(field, 1)
		return 0
	}
	c.pos++
	return c.b[c.pos-1]
}

// uint16 reads a two byte integer.
func (c *cursor) uint16(field string) uint16 {
	if c.err != nil {
		return 0
	}
	if len(c.b)-c.pos < 2 {
		c.short(field, 2)
		return 0
	}
	v := uint16(c.b[c.pos])<<8 | uint16(c.b[c.pos+1])
	c.pos += 2
	return v
}

// short records that the packet ends before the field does.
func (c *cursor) short(field string, need int) {
	c.fail(c.pos, field, byVersion(c.v, "section 2.2.3", "section 2.1.4"), MalformedPacket,
		"the field takes "+byteCount(need)+" and the packet has "+decimal(max(0, len(c.b)-c.pos))+
			" left; the remaining length is too small or the field is missing")
}

// binary reads a field with a two byte length prefix. The names of length
// fields are put together only for an error: it would allocate.
func (c *cursor) binary(field string) []byte {
	if c.err != nil {
		return nil
	}
	left := len(c.b) - c.pos - 2
	if left < 0 {
		c.short(field+" length", 2)
		return nil
	}
	n := int(c.b[c.pos])<<8 | int(c.b[c.pos+1])
	if left < n {
		c.fail(c.pos, field+" length", byVersion(c.v, "section 1.5.3", "section 1.5.6"), MalformedPacket,
			"the field announces "+byteCount(n)+" and the packet has "+decimal(left)+" left")
		return nil
	}
	c.pos += 2 + n
	return c.b[c.pos-n : c.pos : c.pos]
}

// text reads a UTF-8 string field and checks its contents.
func (c *cursor) text(field string) []byte {
	s := c.binary(field)
	if c.err == nil && !plainASCII(s) {
		c.checkText(s, c.pos-len(s), field)
	}
	return s
}

// checkText checks the UTF-8 of s, which stands at body position at.
func (c *cursor) checkText(s []byte, at int, field string) {
	if i, null := badText(s); i >= 0 {
		c.err = textError(c.t, c.v, c.base+at+i, field, null)
	}
}

// topicName reads a topic name: a string of at least one character without
// wildcards.
func (c *cursor) topicName(field string) []byte {
	s := c.binary(field)
	if c.err != nil || plainTopic(s) {
		return s
	}
	if c.checkText(s, c.pos-len(s), field); c.err == nil {
		if i, reason, clause := badTopicName(s); i >= 0 {
			c.fail(c.pos-len(s)+i, field, clause, TopicNameInvalid, reason)
		}
	}
	return s
}

// topicFilter reads a topic filter and checks where its wildcards stand.
func (c *cursor) topicFilter() []byte {
	const field = "topic filter"
	s := c.binary(field)
	if c.err != nil || plainTopic(s) && s[0] != '$' {
		return s
	}
	if c.checkText(s, c.pos-len(s), field); c.err == nil {
		if i, reason, clause := badTopicFilter(s, c.v); i >= 0 {
			c.fail(c.pos-len(s)+i, field, clause, TopicFilterInvalid, reason)
		}
	}
	return s
}

// packetID reads a packet identifier, which is not 0 unless tolerated.
func (c *cursor) packetID(tol Tolerance) uint16 {
	at := c.pos
	id := c.uint16("packet identifier")
	if id == 0 && c.err == nil && tol&TolerateZeroPacketID == 0 {
		c.err = zeroID(c.t, c.v, c.base+at)
	}
	return id
}

func zeroID(t Type, v Version, offset int) *MalformedError {
	clause := byVersion(v, "MQTT-2.3.1-1", "MQTT-2.2.1-3")
	switch {
	case isAck(t):
		clause = byVersion(v, "MQTT-2.3.1-6", "MQTT-2.2.1-5")
	case t == SUBACK || t == UNSUBACK:
		clause = byVersion(v, "MQTT-2.3.1-7", "MQTT-2.2.1-6")
	}
	return &MalformedError{t, offset, "packet identifier", clause, ProtocolError,
		"it is 0; identifiers are 1 to 65535"}
}

// reason reads a reason code and checks that the packet type may carry it.
func (c *cursor) reason() ReasonCode {
	at := c.pos
	code := ReasonCode(c.byte("reason code"))
	if c.err == nil && !code.AllowedIn(c.t) {
		c.fail(at, "reason code", reasonClause(c.t), ProtocolError,
			hexByte(byte(code))+" is not a reason code of "+withArticle(c.t))
	}
	return code
}

func reasonClause(t Type) string {
	switch t {
	case CONNACK:
		return "MQTT-3.2.2-8"
	case PUBACK:
		return "MQTT-3.4.2-1"
	case PUBREC:
		return "MQTT-3.5.2-1"
	case PUBREL:
		return "MQTT-3.6.2-1"
	case PUBCOMP:
		return "MQTT-3.7.2-1"
	case SUBACK:
		return "MQTT-3.9.3-2"
	case UNSUBACK:
		return "MQTT-3.11.3-2"
	case DISCONNECT:
		return "MQTT-3.14.2-1"
	}
	return "MQTT-3.15.2-1"
}

// properties reads a property block with its length prefix and checks it for
// scope, the packet type or the will. Before 5.0 there is none to read.
func (c *cursor) properties(scope typeSet) Properties {
	if c.v < V5 || c.err != nil {
		return nil
	}
	length, n := readVarint(c.b[c.pos:])
	switch {
	case n == 0:
		c.short("property length", 1)
		return nil
	case n < 0:
		c.fail(c.pos, "property length", "MQTT-1.5.5-1", MalformedPacket,
			"it is not a variable byte integer of minimal length")
		return nil
	case int(length) > len(c.b)-c.pos-n:
		c.fail(c.pos, "property length", "section 2.2.2.1", MalformedPacket,
			"the properties announce "+byteCount(int(length))+" and the packet has "+decimal(len(c.b)-c.pos-n)+" left")
		return nil
	}
	start := c.pos + n
	c.pos = start + int(length)
	p := Properties(c.b[start:c.pos:c.pos])
	if len(p) > 0 {
		c.err = p.validate(c.t, scope, c.base+start)
	}
	return p
}

// end checks that nothing follows the last field.
func (c *cursor) end() {
	if c.err == nil && c.pos < len(c.b) {
		c.fail(c.pos, "end of packet", byVersion(c.v, "section 2.2.3", "section 2.1.4"), MalformedPacket,
			"the packet goes on for "+byteCount(len(c.b)-c.pos)+" after its last field; the remaining length is too large")
	}
}
