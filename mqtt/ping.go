package mqtt

// DecodePing checks a PINGREQ or PINGRESP, which have neither flags nor a
// body.
func DecodePing(f Frame) error {
	c := newCursor(&f, V311)
	if f.Type != PINGREQ && f.Type != PINGRESP {
		c.fail(-c.base, "packet type", "section 2.1.2", ProtocolError, "a PINGREQ or PINGRESP is expected here")
		return c.err
	}
	c.expect(&f, f.Type, 0)
	c.end()
	return c.result()
}

// AppendPingreq appends a PINGREQ: C0 00.
func AppendPingreq(dst []byte) []byte { return append(dst, byte(PINGREQ)<<4, 0) }

// AppendPingresp appends a PINGRESP: D0 00.
func AppendPingresp(dst []byte) []byte { return append(dst, byte(PINGRESP)<<4, 0) }
