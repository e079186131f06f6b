package mqtt

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP packet; the frame or the
// argument of Append says which.
type Ack struct {
	PacketID   uint16
	Code       ReasonCode // 5.0 only, Success otherwise
	Properties Properties // 5.0 only
}

// isAck reports whether t is one of the four acknowledgements of PUBLISH.
func isAck(t Type) bool { return t >= PUBACK && t <= PUBCOMP }

// Decode reads the packet in place; it allocates nothing. Which of the four
// it is stands in f.Type.
func (a *Ack) Decode(f Frame, v Version, tol Tolerance) error {
	a.Code, a.Properties = Success, nil
	if isAck(f.Type) && len(f.Body) == 2 && f.Flags == requiredFlags(f.Type) {
		a.PacketID = uint16(f.Body[0])<<8 | uint16(f.Body[1])
		if a.PacketID == 0 && tol&TolerateZeroPacketID == 0 {
			return zeroID(f.Type, v, f.header())
		}
		return nil
	}
	return a.decodeLong(f, v, tol)
}

func (a *Ack) decodeLong(f Frame, v Version, tol Tolerance) error {
	c := newCursor(&f, v)
	if !isAck(f.Type) {
		c.fail(-c.base, "packet type", "section 2.1.2", ProtocolError, "an acknowledgement of a PUBLISH is expected here")
		return c.err
	}
	c.expect(&f, f.Type, tol)
	a.PacketID = c.packetID(tol)
	if v >= V5 && c.pos < len(c.b) {
		a.Code = c.reason()
		// "If the Remaining Length is less than 4 there is no Property
		// Length": sections 3.4.2.2.1, 3.5.2.2.1, 3.6.2.2.1, 3.7.2.2.1.
		if c.pos < len(c.b) {
			a.Properties = c.properties(setOf(f.Type))
		}
	}
	c.end()
	return c.result()
}

// Append appends the packet as one of type t. Reason and properties are
// written in 5.0 only, and there only as far as they say something.
func (a *Ack) Append(dst []byte, t Type, v Version) []byte {
	if v < V5 || len(a.Properties) == 0 {
		return AppendAck(dst, t, v, a.PacketID, a.Code)
	}
	n := 3 + propertiesSize(a.Properties, v)
	if n > MaxRemainingLength {
		return dst
	}
	dst = appendUint16(appendHeader(dst, byte(t)<<4|requiredFlags(t), n), a.PacketID)
	return appendProperties(append(dst, byte(a.Code)), a.Properties)
}

// AppendAck appends an acknowledgement of type t without properties: four
// bytes, five in 5.0 with a reason other than success.
func AppendAck(dst []byte, t Type, v Version, id uint16, code ReasonCode) []byte {
	first := byte(t)<<4 | requiredFlags(t)
	if v < V5 || code == Success {
		return append(dst, first, 2, byte(id>>8), byte(id))
	}
	return append(dst, first, 3, byte(id>>8), byte(id), byte(code))
}
