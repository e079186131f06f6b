package store

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// ValueType says what a Value holds. The numbers are part of the file format.
type ValueType byte

// The types of values.
const (
	TypeNull  ValueType = 0
	TypeInt   ValueType = 1
	TypeFloat ValueType = 2
	TypeBool  ValueType = 3
	TypeText  ValueType = 4
	TypeJSON  ValueType = 5 // a struct, an array, or an event's output
)

// Value is one value of a series. The zero Value is null. A Value made from text
// or bytes refers to them: they must not change while it is in use (Append
// copies before it returns).
type Value struct {
	typ  ValueType
	num  uint64 // int64, float64 bits, or 0 and 1
	text string // of TypeText and TypeJSON
}

// Int returns a whole number as a Value.
func Int(v int64) Value { return Value{typ: TypeInt, num: uint64(v)} }

// Float returns a floating-point number as a Value.
func Float(v float64) Value { return Value{typ: TypeFloat, num: math.Float64bits(v)} }

// Bool returns a truth value as a Value. Alink writes it as 0 or 1.
func Bool(v bool) Value { return Value{typ: TypeBool, num: uint64(flag(v))} }

// Text returns a string as a Value.
func Text(s string) Value { return Value{typ: TypeText, text: s} }

// JSON returns a JSON document as a Value. It is stored as it is and not
// checked; b must not change while the Value is in use.
func JSON(b []byte) Value { return Value{typ: TypeJSON, text: alias(b)} }

// alias returns b as a string without copying it.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Type returns what the value holds.
func (v Value) Type() ValueType { return v.typ }

// Int64 returns a TypeInt or TypeBool value (0 or 1).
func (v Value) Int64() (int64, bool) {
	return int64(v.num), v.typ == TypeInt || v.typ == TypeBool
}

// Float64 returns a TypeFloat value, or a TypeInt value rounded to one.
func (v Value) Float64() (float64, bool) {
	switch v.typ {
	case TypeFloat:
		return math.Float64frombits(v.num), true
	case TypeInt:
		return float64(int64(v.num)), true
	}
	return 0, false
}

// Str returns the text of a TypeText value or the document of a TypeJSON value.
func (v Value) Str() (string, bool) { return v.text, v.typ == TypeText || v.typ == TypeJSON }

// AppendJSON appends the value as Alink's JSON has it: numbers, 0 or 1 for a
// truth value, a quoted string, a document as it was stored. A number that JSON
// cannot write (NaN, infinities) becomes null.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.typ {
	case TypeInt, TypeBool:
		return strconv.AppendInt(dst, int64(v.num), 10)
	case TypeFloat:
		f := math.Float64frombits(v.num)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			break
		}
		format := byte('f')
		if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
			format = 'e' // as ECMAScript does
		}
		return strconv.AppendFloat(dst, f, format, -1, 64)
	case TypeText:
		return appendQuoted(dst, v.text)
	case TypeJSON:
		if v.text != "" {
			return append(dst, v.text...)
		}
	}
	return append(dst, "null"...)
}

// appendQuoted appends s as a JSON string; bytes that are not UTF-8 become
// U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, "\uFFFD"...)
		}
		i += size
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendValue appends the encoding of a value:
//
//	type (1 byte) | int: zigzag varint; float: 8 bytes, little endian;
//	bool: 1 byte; text, JSON: uvarint length, bytes; null: nothing
func appendValue(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.typ))
	switch v.typ {
	case TypeInt:
		dst = binary.AppendVarint(dst, int64(v.num))
	case TypeFloat:
		dst = binary.LittleEndian.AppendUint64(dst, v.num)
	case TypeBool:
		dst = append(dst, byte(v.num))
	case TypeText, TypeJSON:
		dst = binary.AppendUvarint(dst, uint64(len(v.text)))
		dst = append(dst, v.text...)
	}
	return dst
}

// readValue decodes the value at the beginning of b and returns its length, or
// 0 if there is none. Text refers to b.
func readValue(b []byte) (v Value, size int) {
	if len(b) == 0 {
		return Value{}, 0
	}
	v.typ = ValueType(b[0])
	rest := b[1:]
	switch v.typ {
	case TypeNull:
		return v, 1
	case TypeInt:
		i, n := binary.Varint(rest)
		if n <= 0 {
			return Value{}, 0
		}
		v.num = uint64(i)
		return v, 1 + n
	case TypeFloat:
		if len(rest) < 8 {
			return Value{}, 0
		}
		v.num = binary.LittleEndian.Uint64(rest)
		return v, 9
	case TypeBool:
		if len(rest) < 1 || rest[0] > 1 {
			return Value{}, 0
		}
		v.num = uint64(rest[0])
		return v, 2
	case TypeText, TypeJSON:
		l, n := binary.Uvarint(rest)
		if n <= 0 || l > uint64(len(rest)-n) {
			return Value{}, 0
		}
		v.text = alias(rest[n : n+int(l)])
		return v, 1 + n + int(l)
	}
	return Value{}, 0
}
