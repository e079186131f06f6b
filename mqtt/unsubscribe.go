package mqtt

// Unsubscribe is an UNSUBSCRIBE packet.
type Unsubscribe struct {
	PacketID   uint16
	Filters    [][]byte   // at least one; Decode reuses the slice
	Properties Properties // 5.0 only
}

// Decode reads the packet in place. It allocates only when Filters has to
// grow. A filter that could not have been subscribed is an error here too.
func (p *Unsubscribe) Decode(f Frame, v Version, tol Tolerance) error {
	p.Filters, p.Properties = p.Filters[:0], nil
	c := newCursor(&f, v)
	c.expect(&f, UNSUBSCRIBE, tol)
	p.PacketID = c.packetID(tol)
	p.Properties = c.properties(setOf(UNSUBSCRIBE))
	if c.err == nil && c.pos == len(c.b) {
		c.fail(c.pos, "payload", "MQTT-3.10.3-2", ProtocolError,
			"there is no topic filter; an UNSUBSCRIBE has at least one")
	}
	for c.err == nil && c.pos < len(c.b) {
		if filter := c.topicFilter(); c.err == nil {
			p.Filters = append(p.Filters, filter)
		}
	}
	return c.result()
}

// Append appends the packet to dst; see [Publish.Append] for what it does
// with fields that are too long.
func (p *Unsubscribe) Append(dst []byte, v Version) []byte {
	n := 2 + propertiesSize(p.Properties, v)
	for _, filter := range p.Filters {
		n += fieldSize(filter)
	}
	if n > MaxRemainingLength {
		return dst
	}
	dst = appendUint16(appendHeader(dst, byte(UNSUBSCRIBE)<<4|2, n), p.PacketID)
	if v >= V5 {
		dst = appendProperties(dst, p.Properties)
	}
	for _, filter := range p.Filters {
		dst = appendField(dst, filter)
	}
	return dst
}

// Unsuback is an UNSUBACK packet. Before 5.0 it has no codes.
type Unsuback struct {
	PacketID   uint16
	Codes      []ReasonCode // 5.0: one for each filter; Decode reuses the slice
	Properties Properties   // 5.0 only
}

// Decode reads the packet. It allocates only when Codes has to grow.
func (p *Unsuback) Decode(f Frame, v Version, tol Tolerance) error {
	p.Codes, p.Properties = p.Codes[:0], nil
	c := newCursor(&f, v)
	c.expect(&f, UNSUBACK, tol)
	p.PacketID = c.packetID(tol)
	if v >= V5 {
		p.Properties = c.properties(setOf(UNSUBACK))
		if c.err == nil && c.pos == len(c.b) {
			c.fail(c.pos, "payload", "section 3.11.3", ProtocolError,
				"there is no reason code; a 5.0 UNSUBACK has one for each filter")
		}
		for c.err == nil && c.pos < len(c.b) {
			p.Codes = append(p.Codes, c.reason())
		}
	}
	c.end()
	return c.result()
}

// Append appends the packet to dst. Before 5.0 the codes are left out.
func (p *Unsuback) Append(dst []byte, v Version) []byte {
	if v < V5 {
		return append(dst, byte(UNSUBACK)<<4, 2, byte(p.PacketID>>8), byte(p.PacketID))
	}
	n := 2 + propertiesSize(p.Properties, v) + len(p.Codes)
	if n > MaxRemainingLength {
		return dst
	}
	dst = appendUint16(appendHeader(dst, byte(UNSUBACK)<<4, n), p.PacketID)
	dst = appendProperties(dst, p.Properties)
	for _, code := range p.Codes {
		dst = append(dst, byte(code))
	}
	return dst
}
