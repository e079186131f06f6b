package mqtt

import (
	"encoding/binary"
	"iter"
)

// Properties is the property block of a 5.0 packet as it stands on the wire,
// without its length prefix. A decoded block has been checked: identifiers
// the packet may carry, no forbidden repetition, values in range. The block
// is a view into the decoded bytes; look-ups return views too and allocate
// nothing.
//
// To compose a block, start from nil (or a buffer cut to length 0) and append
// with AppendByteProperty and its siblings; then assign it to the Properties
// field of a packet.
type Properties []byte

// Property is one property of a block. Number holds the value of byte,
// integer and variable byte integer properties; Value that of strings and
// binary data, and the second half of a user property, whose first half is
// Name.
type Property struct {
	ID     PropertyID
	Number uint32
	Name   []byte
	Value  []byte
}

// nextProperty reads the first property of b. size is 0 when b ends inside
// the property and -1 when the property is unknown or badly encoded. Only the
// encoding is looked at, not the value.
func nextProperty(b []byte) (p Property, size int) {
	if len(b) == 0 {
		return p, 0
	}
	p.ID = PropertyID(b[0])
	switch propertyRules[b[0]].kind {
	case kindByte:
		if len(b) < 2 {
			return p, 0
		}
		p.Number = uint32(b[1])
		return p, 2
	case kindUint16:
		if len(b) < 3 {
			return p, 0
		}
		p.Number = uint32(binary.BigEndian.Uint16(b[1:]))
		return p, 3
	case kindUint32:
		if len(b) < 5 {
			return p, 0
		}
		p.Number = binary.BigEndian.Uint32(b[1:])
		return p, 5
	case kindVarint:
		v, n := readVarint(b[1:])
		if n <= 0 {
			return p, n
		}
		p.Number = v
		return p, 1 + n
	case kindString, kindBinary:
		n := fieldEnd(b, 1)
		if n == 0 {
			return p, 0
		}
		p.Value = b[3:n:n]
		return p, n
	case kindPair:
		m := fieldEnd(b, 1)
		if m == 0 {
			return p, 0
		}
		n := fieldEnd(b, m)
		if n == 0 {
			return p, 0
		}
		p.Name, p.Value = b[3:m:m], b[m+2:n:n]
		return p, n
	}
	return p, -1
}

// fieldEnd returns the end of the length-prefixed field that starts at i, 0
// when b does not hold all of it.
func fieldEnd(b []byte, i int) int {
	if len(b)-i < 2 {
		return 0
	}
	end := i + 2 + int(binary.BigEndian.Uint16(b[i:]))
	if end > len(b) {
		return 0
	}
	return end
}

// find returns the first property id of the wanted kind.
func (p Properties) find(id PropertyID, kinds ...propertyKind) (Property, bool) {
	for b := []byte(p); len(b) > 0; {
		q, n := nextProperty(b)
		if n <= 0 {
			break
		}
		if q.ID == id {
			for _, k := range kinds {
				if propertyRules[id].kind == k {
					return q, true
				}
			}
			break
		}
		b = b[n:]
	}
	return Property{}, false
}

// Byte returns the value of a one byte property. ok is false when the block
// does not have it or id is of another kind; so for the other look-ups.
func (p Properties) Byte(id PropertyID) (value byte, ok bool) {
	q, ok := p.find(id, kindByte)
	return byte(q.Number), ok
}

// Uint16 returns the value of a two byte property.
func (p Properties) Uint16(id PropertyID) (value uint16, ok bool) {
	q, ok := p.find(id, kindUint16)
	return uint16(q.Number), ok
}

// Uint32 returns the value of a four byte property, or the first one of a
// variable byte integer property.
func (p Properties) Uint32(id PropertyID) (value uint32, ok bool) {
	q, ok := p.find(id, kindUint32, kindVarint)
	return q.Number, ok
}

// Binary returns the value of a binary property, a view into the block.
func (p Properties) Binary(id PropertyID) (value []byte, ok bool) {
	q, ok := p.find(id, kindBinary)
	return q.Value, ok
}

// String returns the value of a string property, a view into the block.
func (p Properties) String(id PropertyID) (value []byte, ok bool) {
	q, ok := p.find(id, kindString)
	return q.Value, ok
}

// Each calls fn for every property in order of the wire until fn returns
// false.
func (p Properties) Each(fn func(Property) bool) {
	for b := []byte(p); len(b) > 0; {
		q, n := nextProperty(b)
		if n <= 0 || !fn(q) {
			return
		}
		b = b[n:]
	}
}

// UserProperties returns the user properties, name and value, in order of the
// wire: the order is part of the message [MQTT-3.3.2-18].
func (p Properties) UserProperties() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		p.Each(func(q Property) bool {
			return q.ID != PropUserProperty || yield(q.Name, q.Value)
		})
	}
}

// SubscriptionIdentifiers returns the subscription identifiers in order of
// the wire.
func (p Properties) SubscriptionIdentifiers() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		p.Each(func(q Property) bool {
			return q.ID != PropSubscriptionIdentifier || yield(q.Number)
		})
	}
}

// AppendByteProperty appends a one byte property.
func AppendByteProperty(dst Properties, id PropertyID, v byte) Properties {
	return append(dst, byte(id), v)
}

// AppendUint16Property appends a two byte property.
func AppendUint16Property(dst Properties, id PropertyID, v uint16) Properties {
	return append(dst, byte(id), byte(v>>8), byte(v))
}

// AppendUint32Property appends a four byte property.
func AppendUint32Property(dst Properties, id PropertyID, v uint32) Properties {
	return append(dst, byte(id), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// AppendSubscriptionIdentifier appends a subscription identifier, 1 to
// 268,435,455. A larger one is cut to that.
func AppendSubscriptionIdentifier(dst Properties, v uint32) Properties {
	return appendVarint(append(dst, byte(PropSubscriptionIdentifier)), min(v, MaxRemainingLength))
}

// AppendStringProperty appends a string property. The caller sees to it that
// v is valid (see [ValidUTF8]); what exceeds 65,535 bytes is cut off.
func AppendStringProperty[T ~string | ~[]byte](dst Properties, id PropertyID, v T) Properties {
	return appendField(append(dst, byte(id)), v)
}

// AppendBinaryProperty appends a binary property. What exceeds 65,535 bytes
// is cut off.
func AppendBinaryProperty[T ~string | ~[]byte](dst Properties, id PropertyID, v T) Properties {
	return appendField(append(dst, byte(id)), v)
}

// AppendUserProperty appends a user property.
func AppendUserProperty[N, V ~string | ~[]byte](dst Properties, name N, value V) Properties {
	return appendField(appendField(append(dst, byte(PropUserProperty)), name), value)
}
