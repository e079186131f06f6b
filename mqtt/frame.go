package mqtt

// Frame is one packet cut out of a byte stream. Body and Raw are views into
// the buffer given to [Split]: they are valid as long as that buffer is not
// overwritten.
type Frame struct {
	Type  Type
	Flags byte   // lower four bits of the first byte
	Body  []byte // everything after the remaining length
	Raw   []byte // the whole packet, fixed header included
}

// header returns the size of the fixed header, which is where offsets into
// Body start to count.
func (f *Frame) header() int { return max(0, len(f.Raw)-len(f.Body)) }

// Tolerance is a set of deviations from the standard that decoding accepts.
// Zero is strict. Each bit stands for something devices in the field do and
// the cloud accepts, so only a device login switches it on.
type Tolerance uint32

// The deviations known from devices.
const (
	// TolerateFlags accepts SUBSCRIBE, UNSUBSCRIBE and PUBREL with fixed
	// header flags 0000 in place of 0010: C Link SDK 4 in 3.1.1 mode and
	// several hand-written clients send 0xA0 and 0x80.
	TolerateFlags Tolerance = 1 << iota
	// TolerateZeroPacketID accepts packet identifier 0: microcontroller
	// clients whose counter starts there expect it to be echoed.
	TolerateZeroPacketID
	// TolerateNonMinimalLength accepts a remaining length that takes more
	// bytes than needed (up to four): firmware that reserves a fixed number
	// of length bytes.
	TolerateNonMinimalLength
	// TolerateLongClientID accepts a client identifier of more than 23
	// characters from a 3.1 client: the login parameters of a device never
	// fit in 23.
	TolerateLongClientID

	// TolerateDevices is everything devices need.
	TolerateDevices = TolerateFlags | TolerateZeroPacketID | TolerateNonMinimalLength | TolerateLongClientID
)

// Split cuts the first packet off b. n is the number of bytes the packet
// takes; n == 0 with a nil error means that b does not hold a whole packet
// yet. limit is the largest whole packet accepted, in bytes, header included;
// 0 sets none. A packet over the limit is reported as soon as its header has
// arrived, so the caller never buffers it. After an error the stream cannot
// be resynchronised: close the connection.
//
// Split checks the packet type and the remaining length. Everything else,
// the flags too, is checked by the Decode function of the type.
func Split(b []byte, limit int) (f Frame, n int, err error) {
	return SplitTolerant(b, limit, 0)
}

// SplitTolerant is [Split] with deviations allowed; only
// [TolerateNonMinimalLength] makes a difference.
func SplitTolerant(b []byte, limit int, tol Tolerance) (f Frame, n int, err error) {
	if len(b) < 2 {
		if len(b) == 1 && b[0] < 0x10 {
			return Frame{}, 0, reservedType()
		}
		return Frame{}, 0, nil
	}
	// Most packets have one or two length bytes; the loop is for the others.
	length, header := int(b[1]), 2
	if length >= 0x80 {
		if length, header, err = splitLength(b, tol); header == 0 {
			if b[0] < 0x10 {
				err = reservedType()
			}
			return Frame{}, 0, err
		}
	}
	n = header + length
	if b[0] < 0x10 {
		return Frame{}, 0, reservedType()
	}
	if limit > 0 && n > limit {
		return Frame{}, 0, tooLarge(b[0], n, limit)
	}
	if n > len(b) {
		return Frame{}, 0, nil
	}
	return Frame{Type: Type(b[0] >> 4), Flags: b[0] & 0x0F, Body: b[header:n:n], Raw: b[:n:n]}, n, nil
}

// splitLength reads a remaining length of more than one byte. header is the
// size of the fixed header, 0 when it is incomplete or wrong.
func splitLength(b []byte, tol Tolerance) (length, header int, err error) {
	for i := 1; i < len(b); i++ {
		if i == 5 {
			break
		}
		c := b[i]
		length |= int(c&0x7F) << (7 * (i - 1))
		if c >= 0x80 {
			if i == 4 {
				return 0, 0, &MalformedError{Type(b[0] >> 4), 4, "remaining length", "section 2.2.3", MalformedPacket,
					"the fourth length byte says that a fifth follows; four bytes are the most, so its top bit must be 0"}
			}
			continue
		}
		if c == 0 && tol&TolerateNonMinimalLength == 0 {
			return 0, 0, &MalformedError{Type(b[0] >> 4), i, "remaining length", "MQTT-1.5.5-1", MalformedPacket,
				"length " + decimal(length) + " is written in " + decimal(i) + " bytes where fewer suffice"}
		}
		return length, i + 1, nil
	}
	return 0, 0, nil
}

func reservedType() error {
	return &MalformedError{0, 0, "packet type", "section 2.1.2", MalformedPacket,
		"type 0 is reserved; the upper four bits of the first byte must be 1 to 15"}
}

func tooLarge(first byte, size, limit int) error {
	return &MalformedError{Type(first >> 4), 1, "remaining length", "MQTT-3.2.2-15", PacketTooLarge,
		"the packet would take " + decimal(size) + " bytes, the limit is " + decimal(limit)}
}

// appendHeader appends the fixed header of a packet with the given first byte
// and remaining length.
func appendHeader(dst []byte, first byte, remaining int) []byte {
	return appendVarint(append(dst, first), uint32(remaining))
}

// appendVarint appends v, at most MaxRemainingLength, as a variable byte
// integer.
func appendVarint(dst []byte, v uint32) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// varintSize returns the number of bytes appendVarint takes for v.
func varintSize(v int) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<21:
		return 3
	}
	return 4
}

// readVarint reads a variable byte integer of the minimal length. n is 0 when
// b ends too early and -1 when the encoding is wrong: a fifth byte or more
// bytes than needed [MQTT-1.5.5-1].
func readVarint(b []byte) (v uint32, n int) {
	for i := 0; i < len(b) && i < 4; i++ {
		v |= uint32(b[i]&0x7F) << (7 * i)
		if b[i] < 0x80 {
			if b[i] == 0 && i > 0 {
				return 0, -1
			}
			return v, i + 1
		}
	}
	if len(b) >= 4 {
		return 0, -1
	}
	return 0, 0
}

// appendUint16 appends a two byte integer, high byte first.
func appendUint16(dst []byte, v uint16) []byte { return append(dst, byte(v>>8), byte(v)) }

// appendField appends a string or binary field with its length prefix. What
// does not fit 65,535 bytes is cut off, so that the frame around it stays
// well-formed.
func appendField[T ~string | ~[]byte](dst []byte, v T) []byte {
	if len(v) > MaxStringLength {
		v = v[:MaxStringLength]
	}
	return append(appendUint16(dst, uint16(len(v))), v...)
}

// fieldSize returns the number of bytes appendField takes.
func fieldSize(v []byte) int { return 2 + min(len(v), MaxStringLength) }

// propertiesSize returns the number of bytes a property block takes with its
// length prefix: none before 5.0.
func propertiesSize(p Properties, v Version) int {
	if v < V5 {
		return 0
	}
	return varintSize(len(p)) + len(p)
}

// appendProperties appends a property block with its length prefix.
func appendProperties(dst []byte, p Properties) []byte {
	return append(appendVarint(dst, uint32(len(p))), p...)
}
