package mqtt

// Subscribe is a SUBSCRIBE packet.
type Subscribe struct {
	PacketID   uint16
	Filters    []Subscription // at least one; Decode reuses the slice
	Properties Properties     // 5.0 only
}

// Subscription is one topic filter of a SUBSCRIBE with its options. All but
// QoS exist in 5.0 only.
type Subscription struct {
	Filter            []byte
	QoS               byte // highest QoS wanted: 0, 1 or 2
	NoLocal           bool // not the client's own messages
	RetainAsPublished bool // keep the retain flag of the publisher
	RetainHandling    byte // retained messages: 0 send, 1 send if the subscription is new, 2 do not send
}

// The bits of the subscription options.
const (
	optionQoS               = 0x03
	optionNoLocal           = 0x04
	optionRetainAsPublished = 0x08
	optionRetainHandling    = 0x30
	optionReserved          = 0xC0
)

// Decode reads the packet in place. It allocates only when Filters has to
// grow beyond what earlier packets needed. The number of filters is bounded
// by the size of the packet alone; the caller limits it.
func (p *Subscribe) Decode(f Frame, v Version, tol Tolerance) error {
	p.Filters, p.Properties = p.Filters[:0], nil
	c := newCursor(&f, v)
	c.expect(&f, SUBSCRIBE, tol)
	p.PacketID = c.packetID(tol)
	p.Properties = c.properties(setOf(SUBSCRIBE))
	if c.err == nil && c.pos == len(c.b) {
		c.fail(c.pos, "payload", byVersion(v, "MQTT-3.8.3-3", "MQTT-3.8.3-2"), ProtocolError,
			"there is no topic filter; a SUBSCRIBE has at least one")
	}
	for c.err == nil && c.pos < len(c.b) {
		s := Subscription{Filter: c.topicFilter()}
		options := c.byte("subscription options")
		if c.err == nil {
			s.setOptions(&c, options)
		}
		if c.err == nil {
			p.Filters = append(p.Filters, s)
		}
	}
	return c.result()
}

// setOptions takes the options byte apart; it is the byte before the cursor.
func (s *Subscription) setOptions(c *cursor, b byte) {
	const field = "subscription options"
	at := c.pos - 1
	s.QoS = b & optionQoS
	if c.v < V5 {
		if b > 2 {
			c.fail(at, field, "MQTT-3-8.3-4", MalformedPacket,
				"the byte is "+hexByte(b)+"; before 5.0 it is the QoS wanted: 0, 1 or 2")
		}
		return
	}
	s.NoLocal = b&optionNoLocal != 0
	s.RetainAsPublished = b&optionRetainAsPublished != 0
	s.RetainHandling = b & optionRetainHandling >> 4
	switch {
	case b&optionReserved != 0:
		c.fail(at, field, "MQTT-3.8.3-5", MalformedPacket, "bits 7 and 6 are reserved and must be 0")
	case s.QoS == 3:
		c.fail(at, field, "section 3.8.3.1", ProtocolError, "the maximum QoS is 3; it is 0, 1 or 2")
	case s.RetainHandling == 3:
		c.fail(at, field, "section 3.8.3.1", ProtocolError, "retain handling is 3; it is 0, 1 or 2")
	case s.NoLocal && IsShared(s.Filter):
		c.fail(at, field, "MQTT-3.8.3-4", ProtocolError, "no local is set on a shared subscription")
	}
}

// options puts the options byte together.
func (s *Subscription) options(v Version) byte {
	b := s.QoS & optionQoS
	if v < V5 {
		return b
	}
	if s.NoLocal {
		b |= optionNoLocal
	}
	if s.RetainAsPublished {
		b |= optionRetainAsPublished
	}
	return b | s.RetainHandling&3<<4
}

// Append appends the packet to dst; see [Publish.Append] for what it does
// with fields that are too long.
func (p *Subscribe) Append(dst []byte, v Version) []byte {
	n := 2 + propertiesSize(p.Properties, v)
	for i := range p.Filters {
		n += fieldSize(p.Filters[i].Filter) + 1
	}
	if n > MaxRemainingLength {
		return dst
	}
	dst = appendUint16(appendHeader(dst, byte(SUBSCRIBE)<<4|2, n), p.PacketID)
	if v >= V5 {
		dst = appendProperties(dst, p.Properties)
	}
	for i := range p.Filters {
		dst = append(appendField(dst, p.Filters[i].Filter), p.Filters[i].options(v))
	}
	return dst
}
