package mqtt

// Suback is a SUBACK packet: one code for each filter of the SUBSCRIBE, in
// its order.
type Suback struct {
	PacketID   uint16
	Codes      []ReasonCode // at least one; Decode reuses the slice
	Properties Properties   // 5.0 only
}

// Decode reads the packet. It allocates only when Codes has to grow.
func (p *Suback) Decode(f Frame, v Version, tol Tolerance) error {
	p.Codes, p.Properties = p.Codes[:0], nil
	c := newCursor(&f, v)
	c.expect(&f, SUBACK, tol)
	p.PacketID = c.packetID(tol)
	p.Properties = c.properties(setOf(SUBACK))
	if c.err == nil && c.pos == len(c.b) {
		c.fail(c.pos, "payload", "section 3.9.3", ProtocolError,
			"there is no code; a SUBACK has one for each filter")
	}
	for c.err == nil && c.pos < len(c.b) {
		if v >= V5 {
			p.Codes = append(p.Codes, c.reason())
			continue
		}
		code := ReasonCode(c.byte("return code"))
		if code > GrantedQoS2 && code != SubackFailure {
			c.fail(c.pos-1, "return code", "MQTT-3.9.3-2", MalformedPacket,
				hexByte(byte(code))+" is not a return code of a SUBACK; they are 0x00, 0x01, 0x02 and 0x80 for failure")
		}
		p.Codes = append(p.Codes, code)
	}
	return c.result()
}

// Append appends the packet to dst. Before 5.0 every failure becomes 0x80,
// the only one there is.
func (p *Suback) Append(dst []byte, v Version) []byte {
	n := 2 + propertiesSize(p.Properties, v) + len(p.Codes)
	if n > MaxRemainingLength {
		return dst
	}
	dst = appendUint16(appendHeader(dst, byte(SUBACK)<<4, n), p.PacketID)
	if v >= V5 {
		dst = appendProperties(dst, p.Properties)
	}
	for _, code := range p.Codes {
		if v < V5 && code.Failed() {
			code = SubackFailure
		}
		dst = append(dst, byte(code))
	}
	return dst
}
