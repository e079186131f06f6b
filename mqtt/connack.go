package mqtt

// Connack is a CONNACK packet.
type Connack struct {
	SessionPresent bool // does not exist in 3.1
	// Code is what stands on the wire after Decode: a 5.0 reason, or a return
	// code 0 to 5 before 5.0; see [FromReturnCode]. Append takes either kind
	// and writes the one the version has.
	Code       ReasonCode
	Properties Properties // 5.0 only
}

// Decode reads the packet in place; it allocates nothing.
func (p *Connack) Decode(f Frame, v Version) error {
	*p = Connack{}
	c := newCursor(&f, v)
	c.expect(&f, CONNACK, 0)
	flags := c.byte("acknowledge flags")
	if c.err == nil && (flags > 1 || flags == 1 && v == V31) {
		c.fail(c.pos-1, "acknowledge flags", byVersion(v, "section 3.2.2.1", "MQTT-3.2.2-1"), MalformedPacket,
			"the byte is "+hexByte(flags)+", all bits but session present (0x01, not in 3.1) must be 0")
	}
	p.SessionPresent = flags == 1
	if v >= V5 {
		p.Code = c.reason()
		p.Properties = c.properties(setOf(CONNACK))
	} else {
		p.Code = ReasonCode(c.byte("return code"))
		if c.err == nil && p.Code > ReturnNotAuthorized {
			c.fail(c.pos-1, "return code", "section 3.2.2.3", MalformedPacket,
				hexByte(byte(p.Code))+" is not a return code; they are 0 to 5")
		}
	}
	if c.err == nil && p.SessionPresent && p.Code != Success {
		c.fail(0, "acknowledge flags", byVersion(v, "MQTT-3.2.2-4", "MQTT-3.2.2-6"), ProtocolError,
			"session present is set although the connection is refused")
	}
	c.end()
	return c.result()
}

// Append appends the packet to dst. Before 5.0 a 5.0 reason is translated
// with [ReasonCode.ReturnCode]; where that has no answer the standard sends
// no CONNACK at all, and Append writes "server unavailable". In 5.0 the
// return codes 1 to 5, which are no reasons there, are translated with
// [FromReturnCode].
func (p *Connack) Append(dst []byte, v Version) []byte {
	code := p.Code
	if v < V5 {
		code, ok := code.ReturnCode()
		if !ok {
			code = ReturnServerUnavailable
		}
		return append(dst, byte(CONNACK)<<4, 2, p.sessionByte(v), byte(code))
	}
	if code <= ReturnNotAuthorized {
		code = FromReturnCode(code)
	}
	n := 2 + propertiesSize(p.Properties, v)
	if n > MaxRemainingLength {
		return dst
	}
	dst = append(appendHeader(dst, byte(CONNACK)<<4, n), p.sessionByte(v), byte(code))
	return appendProperties(dst, p.Properties)
}

func (p *Connack) sessionByte(v Version) byte {
	if p.SessionPresent && v > V31 {
		return 1
	}
	return 0
}
