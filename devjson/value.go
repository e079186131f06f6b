package devjson

import (
	"math"
	"strconv"
	"unsafe"
)

// Kind is the type of a JSON value.
type Kind uint8

// The six kinds. An absent value reads as Null; Exists tells them apart.
const (
	Null Kind = iota
	Bool
	Number
	String
	Object
	Array
)

// String returns the kind's name as JSON texts use it: "null", "boolean", "number" …
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "boolean"
	case Number:
		return "number"
	case String:
		return "string"
	case Object:
		return "object"
	case Array:
		return "array"
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// Value is one value of the document its Parser read last; the zero Value is an absent one. Every method
// may be called on every Value: what does not apply returns nothing.
type Value struct {
	p   *Parser
	at  uint32
	gen uint32
}

// node returns nil for an absent value and for one whose Parser has moved on.
func (v Value) node() *node {
	if v.p == nil || v.gen != v.p.gen || int(v.at) >= len(v.p.nodes) {
		return nil
	}
	return &v.p.nodes[v.at]
}

// Exists tells whether there is a value, null included.
func (v Value) Exists() bool { return v.node() != nil }

// Kind returns the value's type, Null if it is absent.
func (v Value) Kind() Kind {
	if n := v.node(); n != nil {
		return n.kind
	}
	return Null
}

// text returns the bytes from start to end of the Parser's buffer as a string without copying them.
func (p *Parser) text(n *node) string {
	if n.start == n.end {
		return ""
	}
	return unsafe.String(&p.buf[n.start], int(n.end-n.start))
}

// Get returns the member of an object, the last one if the key occurs twice, and an absent Value if there
// is none or v is not an object.
func (v Value) Get(key string) Value {
	n := v.node()
	if n == nil || n.kind != Object {
		return Value{}
	}
	var found Value
	nodes := v.p.nodes
	for at, left := v.at+1, n.count; left > 0; left-- {
		if v.p.text(&nodes[at]) == key {
			found = Value{p: v.p, at: at + 1, gen: v.gen}
		}
		at = nodes[at+1].next
	}
	return found
}

// Len returns the number of members or elements, 0 for anything but an object or array.
func (v Value) Len() int {
	if n := v.node(); n != nil {
		return int(n.count)
	}
	return 0
}

// Index returns element i of an array, counted from 0, and an absent Value outside of it. Walking an array
// from front to back takes time proportional to its length.
func (v Value) Index(i int) Value {
	n := v.node()
	if n == nil || n.kind != Array || i < 0 || i >= int(n.count) {
		return Value{}
	}
	p := v.p
	// lastNode is 0 while nothing is remembered: an element comes after its array, never first.
	from, at := uint32(0), v.at+1
	if p.lastNode > v.at && p.lastOf == v.at && p.lastIndex <= uint32(i) && p.lastNode < n.next {
		from, at = p.lastIndex, p.lastNode
	}
	for ; from < uint32(i); from++ {
		at = p.nodes[at].next
	}
	p.lastOf, p.lastIndex, p.lastNode = v.at, uint32(i), at
	return Value{p: p, at: at, gen: v.gen}
}

// Each calls f for every member of an object in document order until f returns false. key lives as long
// as the values do.
func (v Value) Each(f func(key string, v Value) bool) {
	n := v.node()
	if n == nil || n.kind != Object {
		return
	}
	p := v.p
	for at, left := v.at+1, n.count; left > 0; left-- {
		if !f(p.text(&p.nodes[at]), Value{p: p, at: at + 1, gen: v.gen}) || v.gen != p.gen {
			return
		}
		at = p.nodes[at+1].next
	}
}

// Float64 returns a number's value; false for another kind and for a number beyond float64.
func (v Value) Float64() (float64, bool) {
	n := v.node()
	if n == nil || n.kind != Number {
		return 0, false
	}
	text := v.p.text(n)
	if i, ok := digits(text); ok && i > -1<<53 && i < 1<<53 && (i != 0 || text[0] != '-') {
		return float64(i), true
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}

// Int64 returns the value of a number that is an integer, however it is written: 6, 6.0 and 60e-1 are all
// 6. It returns false for another kind, for 6.5, and for integers it cannot represent exactly.
func (v Value) Int64() (int64, bool) {
	n := v.node()
	if n == nil || n.kind != Number {
		return 0, false
	}
	text := v.p.text(n)
	if i, ok := digits(text); ok {
		return i, true
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, true
	}
	// Integers up to 2^53 are exact in a float64; anything longer written with a point or an exponent is
	// refused rather than rounded.
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// digits reads a plain integer of at most 18 digits.
func digits(s string) (int64, bool) {
	minus := s[0] == '-'
	if minus {
		s = s[1:]
	}
	if len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	if minus {
		n = -n
	}
	return n, true
}

// NumberText returns a number as it was written, without leading zeros, and "" for another kind.
func (v Value) NumberText() string {
	if n := v.node(); n != nil && n.kind == Number {
		return v.p.text(n)
	}
	return ""
}

// Str returns a string's contents, unescaped; false for another kind.
func (v Value) Str() (string, bool) {
	if n := v.node(); n != nil && n.kind == String {
		return v.p.text(n), true
	}
	return "", false
}

// StrBytes is Str as bytes of the Parser's buffer. They must not be changed.
func (v Value) StrBytes() ([]byte, bool) {
	if n := v.node(); n != nil && n.kind == String {
		return v.p.buf[n.start:n.end:n.end], true
	}
	return nil, false
}

// Bool returns true for the JSON value true and false for everything else; Kind tells false apart.
func (v Value) Bool() bool {
	n := v.node()
	return n != nil && n.kind == Bool && n.truth
}
