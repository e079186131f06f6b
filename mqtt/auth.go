package mqtt

// Auth is an AUTH packet, which exists in 5.0 only.
type Auth struct {
	Code       ReasonCode // Success, ContinueAuthentication or ReAuthenticate
	Properties Properties
}

// Decode reads the packet in place; it allocates nothing. Reason and
// properties can only be left out together: section 3.15.2.1.
func (p *Auth) Decode(f Frame) error {
	*p = Auth{}
	c := newCursor(&f, V5)
	c.expect(&f, AUTH, 0)
	if c.err == nil && len(c.b) > 0 {
		p.Code = c.reason()
		p.Properties = c.properties(setOf(AUTH))
		if c.err == nil && len(p.Properties) == 0 {
			if err := checkAuthentication(0, AUTH, setOf(AUTH), c.base+c.pos); err != nil {
				c.err = err
			}
		}
	}
	c.end()
	return c.result()
}

// Append appends the packet to dst.
func (p *Auth) Append(dst []byte) []byte {
	const first = byte(AUTH) << 4
	if p.Code == Success && len(p.Properties) == 0 {
		return append(dst, first, 0)
	}
	n := 1 + propertiesSize(p.Properties, V5)
	if n > MaxRemainingLength {
		return dst
	}
	return appendProperties(append(appendHeader(dst, first, n), byte(p.Code)), p.Properties)
}
