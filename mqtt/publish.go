package mqtt

// Publish is a PUBLISH packet. Topic, Payload and Properties are views into
// the decoded bytes. PacketID is 0 with QoS 0.
type Publish struct {
	Dup, Retain bool
	QoS         byte   // 0, 1 or 2
	Topic       []byte // empty only in 5.0, where a topic alias stands for it
	PacketID    uint16
	Payload     []byte
	Properties  Properties // 5.0 only
}

// Decode reads the packet in place; it allocates nothing. Of tol only
// [TolerateZeroPacketID] makes a difference.
//
// In 5.0 an empty topic passes if there is a topic alias [MQTT-3.3.2-8]; that
// the alias is known and within the announced maximum is for the receiver to
// check, as is that a client sends no subscription identifier
// [MQTT-3.3.4-6].
func (p *Publish) Decode(f Frame, v Version, tol Tolerance) error {
	b, flags := f.Body, f.Flags
	p.Dup, p.Retain, p.QoS = flags&8 != 0, flags&1 != 0, flags>>1&3
	p.PacketID, p.Properties = 0, nil
	if f.Type != PUBLISH || flags&6 == 6 || flags&0x0E == 8 {
		return publishHeaderError(&f)
	}
	if len(b) < 2 {
		return publishTopicError(&f, v)
	}
	end := 2 + int(b[0])<<8 + int(b[1])
	if end > len(b) {
		return publishTopicError(&f, v)
	}
	p.Topic = b[2:end:end]
	if !plainTopic(p.Topic) && (v < V5 || end > 2) {
		if err := publishTopicError(&f, v); err != nil {
			return err
		}
	}
	if flags&6 != 0 {
		if len(b)-end < 2 {
			c := newCursor(&f, v)
			c.pos = end
			c.packetID(tol)
			return c.result()
		}
		p.PacketID = uint16(b[end])<<8 | uint16(b[end+1])
		if p.PacketID == 0 && tol&TolerateZeroPacketID == 0 {
			return zeroID(PUBLISH, v, f.header()+end)
		}
		end += 2
	}
	if v >= V5 {
		if end < len(b) && b[end] == 0 {
			end++ // the usual case: no properties
		} else {
			c := newCursor(&f, v)
			c.pos = end
			if p.Properties = c.properties(setOf(PUBLISH)); c.err != nil {
				return c.err
			}
			end = c.pos
		}
		if len(p.Topic) == 0 {
			if _, ok := p.Properties.Uint16(PropTopicAlias); !ok {
				return &MalformedError{PUBLISH, f.header(), "topic name", "section 3.3.2.1", ProtocolError,
					"the topic name is empty and no topic alias stands for it"}
			}
		}
	}
	p.Payload = b[end:len(b):len(b)]
	return nil
}

// publishHeaderError says what is wrong with the first byte of f.
func publishHeaderError(f *Frame) error {
	e := &MalformedError{f.Type, 0, "fixed header flags", "MQTT-3.3.1-4", MalformedPacket,
		"both QoS bits are set; QoS is 0, 1 or 2"}
	switch {
	case f.Type != PUBLISH:
		e.Field, e.Clause, e.Code, e.Reason = "packet type", "section 2.1.2", ProtocolError, "a PUBLISH is expected here"
	case f.Flags&6 == 0:
		e.Clause, e.Reason = "MQTT-3.3.1-2", "DUP is set with QoS 0, where nothing is ever sent again; DUP must be 0"
	}
	return e
}

// publishTopicError takes the slow way through the topic name and returns
// what is wrong with it, nil if only the quick check could not tell.
func publishTopicError(f *Frame, v Version) error {
	c := newCursor(f, v)
	c.topicName("topic name")
	return c.result()
}

// rest returns the size of everything after the fixed header, except the
// payload.
func (p *Publish) rest(v Version) int {
	n := fieldSize(p.Topic) + propertiesSize(p.Properties, v)
	if p.QoS > 0 {
		n += 2
	}
	return n
}

// Size returns the size of the whole packet in bytes, which is what the
// Maximum Packet Size of 5.0 limits.
func (p *Publish) Size(v Version) int {
	n := p.rest(v) + len(p.Payload)
	return 1 + varintSize(n) + n
}

// IDOffset returns where in the bytes [Publish.Append] writes the packet
// identifier stands, so that one serialised packet can be sent to many
// subscribers with only those two bytes changed. It is -1 with QoS 0.
func (p *Publish) IDOffset(v Version) int {
	if p.QoS == 0 {
		return -1
	}
	return 1 + varintSize(p.rest(v)+len(p.Payload)) + fieldSize(p.Topic)
}

// Append appends the packet to dst. It writes what the fields say without
// judging them, but never a frame whose parts do not add up: a topic longer
// than 65,535 bytes is cut, and a packet beyond [MaxRemainingLength] is not
// written at all.
func (p *Publish) Append(dst []byte, v Version) []byte {
	n := p.rest(v) + len(p.Payload)
	if n > MaxRemainingLength {
		return dst
	}
	return append(p.appendHead(dst, v, n), p.Payload...)
}

// AppendHead appends everything before the payload, for a caller who sends
// the payload from where it is.
func (p *Publish) AppendHead(dst []byte, v Version) []byte {
	n := p.rest(v) + len(p.Payload)
	if n > MaxRemainingLength {
		return dst
	}
	return p.appendHead(dst, v, n)
}

func (p *Publish) appendHead(dst []byte, v Version, n int) []byte {
	first := byte(PUBLISH)<<4 | p.QoS&3<<1
	if p.Dup {
		first |= 8
	}
	if p.Retain {
		first |= 1
	}
	dst = appendField(appendHeader(dst, first, n), p.Topic)
	if p.QoS > 0 {
		dst = appendUint16(dst, p.PacketID)
	}
	if v >= V5 {
		dst = appendProperties(dst, p.Properties)
	}
	return dst
}
