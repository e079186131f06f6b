package mqtt

// Disconnect is a DISCONNECT packet. Before 5.0 only clients send it and it
// is empty.
type Disconnect struct {
	Code       ReasonCode // 5.0 only
	Properties Properties // 5.0 only
}

// Decode reads the packet in place; it allocates nothing. That a server sends
// no session expiry interval [MQTT-3.14.2-2] is for the receiver to check.
func (p *Disconnect) Decode(f Frame, v Version) error {
	*p = Disconnect{}
	c := newCursor(&f, v)
	c.expect(&f, DISCONNECT, 0)
	if v >= V5 && c.err == nil && len(c.b) > 0 {
		p.Code = c.reason()
		// "If the Remaining Length is less than 2, a value of 0 is used" for
		// the property length: section 3.14.2.2.1.
		if c.err == nil && c.pos < len(c.b) {
			p.Properties = c.properties(setOf(DISCONNECT))
		}
	}
	c.end()
	return c.result()
}

// Append appends the packet to dst, in 5.0 in the shortest form that says
// what the fields say.
func (p *Disconnect) Append(dst []byte, v Version) []byte {
	const first = byte(DISCONNECT) << 4
	switch {
	case v < V5 || p.Code == NormalDisconnection && len(p.Properties) == 0:
		return append(dst, first, 0)
	case len(p.Properties) == 0:
		return append(dst, first, 1, byte(p.Code))
	}
	n := 1 + propertiesSize(p.Properties, v)
	if n > MaxRemainingLength {
		return dst
	}
	return appendProperties(append(appendHeader(dst, first, n), byte(p.Code)), p.Properties)
}
