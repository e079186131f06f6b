package mqtt

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// ValidUTF8 reports whether b may stand in a string field: well-formed UTF-8
// without surrogates [MQTT-1.5.3-1] and without U+0000 [MQTT-1.5.3-2].
// Control characters and non-characters are allowed, as the standard only
// advises against them. The length is not looked at.
func ValidUTF8(b []byte) bool {
	return plainASCII(b) || bytes.IndexByte(b, 0) < 0 && utf8.Valid(b)
}

// plainASCII reports whether b consists of the bytes 0x01 to 0x7F, eight at
// a time: nearly all strings do, and then nothing else needs a look.
func plainASCII(b []byte) bool {
	var bad uint64
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		bad |= w | (w - lowBits)
		b = b[8:]
	}
	if bad&highBits != 0 {
		return false
	}
	for _, c := range b {
		if c-1 >= 0x7F {
			return false
		}
	}
	return true
}

// plainTopic reports whether b is not empty, is plain ASCII and has no
// wildcard. False means that the slow check has to decide.
func plainTopic(b []byte) bool {
	if len(b) < 8 {
		for _, c := range b {
			if c-1 >= 0x7F || c|8 == '+' {
				return false
			}
		}
		return len(b) > 0
	}
	// Sixteen bytes at a time, then the last eight, some of which may have
	// been seen before, in place of a loop over the rest.
	last := binary.LittleEndian.Uint64(b[len(b)-8:])
	bad := oddBytes(last)
	for len(b) >= 16 {
		bad |= oddBytes(binary.LittleEndian.Uint64(b)) | oddBytes(binary.LittleEndian.Uint64(b[8:]))
		b = b[16:]
	}
	if len(b) > 8 {
		bad |= oddBytes(binary.LittleEndian.Uint64(b))
	}
	return bad&highBits == 0
}

// oddBytes returns a word with some high bit set if a byte of w is zero, a
// wildcard or not ASCII. '#' and '+' differ in one bit, so one comparison
// finds both. While no byte has its high bit set, subtracting 1 from each
// sets one exactly where a byte is zero, or right after one, which is as bad.
func oddBytes(w uint64) uint64 {
	const plus = '+' * lowBits
	return w | (w - lowBits) | (((w | 8*lowBits) ^ plus) - lowBits)
}

// badText returns the position of the first byte that makes b no valid
// string, and whether it is a null character; -1 if there is none.
func badText(b []byte) (at int, null bool) {
	for i := 0; i < len(b); {
		if b[i] == 0 {
			return i, true
		}
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i, false
		}
		i += size
	}
	return -1, false
}

func textError(t Type, v Version, offset int, field string, null bool) *MalformedError {
	if null {
		return &MalformedError{t, offset, field, byVersion(v, "MQTT-1.5.3-2", "MQTT-1.5.4-2"), MalformedPacket,
			"the string contains a null character"}
	}
	return &MalformedError{t, offset, field, byVersion(v, "MQTT-1.5.3-1", "MQTT-1.5.4-1"), MalformedPacket,
		"the string is not well-formed UTF-8 from here on"}
}
