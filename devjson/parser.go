package devjson

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxSize is the largest document in bytes. Device payloads end at 256 KB (spec/connect.md §14); the
	// rest is room for what a server reads with the same parser.
	MaxSize = 1 << 20

	// MaxDepth is the deepest nesting of objects and arrays. The thing model needs six.
	MaxDepth = 32

	// keepBytes bounds what an idle Parser holds on to after an unusually large document.
	keepBytes = 64 << 10
)

// Parser reads one document at a time. The zero value is ready. It is not safe for concurrent use, and
// neither are the values it returns.
type Parser struct {
	buf     []byte // our copy of the document; strings are unescaped in place
	nodes   []node // the document in order: an object is followed by key, value, key, value …
	pos     int
	depth   int
	gen     uint32 // which Parse the nodes belong to
	strict  bool
	relaxed bool

	// The last element Value.Index returned, so that a loop over an array is linear.
	lastOf, lastIndex, lastNode uint32
}

// node is a value or a key. Offsets are 32 bits wide because MaxSize fits and the list stays dense.
type node struct {
	start, end uint32 // text in buf: a number's digits, a string's contents without quotes
	next       uint32 // the node after this one and everything inside it
	count      uint32 // members of an object, elements of an array
	kind       Kind
	truth      bool
}

// Parse reads b, as JSON if it is JSON and otherwise by the relaxed rules of the package comment. The
// error is a *SyntaxError. b may be reused as soon as Parse has returned.
func (p *Parser) Parse(b []byte) (Value, error) { return p.parse(b, false) }

// ParseStrict reads b and refuses what RFC 8259 does not allow.
func (p *Parser) ParseStrict(b []byte) (Value, error) { return p.parse(b, true) }

// Relaxed tells whether the last Parse met anything that is not JSON.
func (p *Parser) Relaxed() bool { return p.relaxed }

func (p *Parser) parse(b []byte, strict bool) (Value, error) {
	p.gen++
	p.strict, p.relaxed = strict, false
	p.pos, p.depth, p.lastOf, p.lastIndex, p.lastNode = 0, 0, 0, 0, 0
	p.nodes = p.nodes[:0]
	if len(b) > MaxSize {
		return Value{}, &SyntaxError{Offset: MaxSize, Found: strconv.Itoa(len(b)) + " bytes",
			Expected: "at most " + strconv.Itoa(MaxSize) + " bytes"}
	}
	if cap(p.buf) > keepBytes && len(b) <= keepBytes {
		p.buf, p.nodes = nil, nil
	}
	p.buf = append(p.buf[:0], b...)
	if !utf8.Valid(p.buf) {
		if strict {
			return Value{}, &SyntaxError{Offset: firstInvalid(b), Found: "a byte that is not UTF-8", Expected: "UTF-8"}
		}
		p.relaxed = true
		p.buf = appendValid(p.buf[:0], b)
	}
	if !strict && len(p.buf) >= 3 && p.buf[0] == 0xEF && p.buf[1] == 0xBB && p.buf[2] == 0xBF {
		p.pos, p.relaxed = 3, true
	}

	if err := p.value(); err != nil {
		p.nodes = p.nodes[:0]
		return Value{}, err
	}
	p.space()
	for p.pos < len(p.buf) {
		if c := p.buf[p.pos]; strict || (c != 0 && !isSpace(c)) {
			p.nodes = p.nodes[:0]
			return Value{}, p.unexpected("the end")
		}
		p.relaxed = true
		p.pos++
	}
	return Value{p: p, gen: p.gen}, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

func (p *Parser) space() {
	for p.pos < len(p.buf) && isSpace(p.buf[p.pos]) {
		p.pos++
	}
}

// value reads the value at pos and appends its nodes. Recursion ends at MaxDepth.
func (p *Parser) value() error {
	p.space()
	if p.pos >= len(p.buf) {
		return p.unexpected("a value")
	}
	switch c := p.buf[p.pos]; c {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		return p.str(c, String)
	case 't':
		return p.word("true", Bool, true)
	case 'f':
		return p.word("false", Bool, false)
	case 'n':
		return p.word("null", Null, false)
	case '\'':
		if p.allow() {
			return p.str(c, String)
		}
		return p.unexpected("a value")
	default:
		if c == '-' || (c >= '0' && c <= '9') {
			return p.number()
		}
		return p.unexpected("a value")
	}
}

// allow tells whether the relaxed rules are open to us and records that they were needed.
func (p *Parser) allow() bool {
	if p.strict {
		return false
	}
	p.relaxed = true
	return true
}

func (p *Parser) word(w string, k Kind, truth bool) error {
	end := p.pos + len(w)
	if end > len(p.buf) || string(p.buf[p.pos:end]) != w {
		return p.unexpected(w)
	}
	p.leaf(node{start: uint32(p.pos), end: uint32(end), kind: k, truth: truth})
	p.pos = end
	return nil
}

func (p *Parser) leaf(n node) {
	n.next = uint32(len(p.nodes)) + 1
	p.nodes = append(p.nodes, n)
}

// open appends the node of an object or array whose extent is not known yet.
func (p *Parser) open(k Kind) (int, error) {
	if p.depth == MaxDepth {
		return 0, &SyntaxError{Offset: p.pos, Found: "a nested value",
			Expected: "at most " + strconv.Itoa(MaxDepth) + " levels"}
	}
	p.depth++
	at := len(p.nodes)
	p.nodes = append(p.nodes, node{start: uint32(p.pos), kind: k})
	p.pos++
	return at, nil
}

func (p *Parser) close(at int, count uint32) {
	p.pos++
	p.depth--
	n := &p.nodes[at]
	n.end, n.next, n.count = uint32(p.pos), uint32(len(p.nodes)), count
}

func (p *Parser) object() error {
	at, err := p.open(Object)
	if err != nil {
		return err
	}
	for count := uint32(0); ; count++ {
		p.space()
		if p.pos >= len(p.buf) {
			return p.unexpected("a key or }")
		}
		if p.buf[p.pos] == '}' {
			if count > 0 && !p.allow() {
				return p.unexpected("a key after the comma")
			}
			p.close(at, count)
			return nil
		}
		if err := p.key(); err != nil {
			return err
		}
		p.space()
		if p.pos >= len(p.buf) || p.buf[p.pos] != ':' {
			return p.unexpected(": after the key")
		}
		p.pos++
		if err := p.value(); err != nil {
			return err
		}
		p.space()
		if p.pos < len(p.buf) && p.buf[p.pos] == ',' {
			p.pos++
			continue
		}
		if p.pos < len(p.buf) && p.buf[p.pos] == '}' {
			p.close(at, count+1)
			return nil
		}
		return p.unexpected(", or }")
	}
}

func (p *Parser) array() error {
	at, err := p.open(Array)
	if err != nil {
		return err
	}
	for count := uint32(0); ; count++ {
		p.space()
		if p.pos < len(p.buf) && p.buf[p.pos] == ']' {
			if count > 0 && !p.allow() {
				return p.unexpected("a value after the comma")
			}
			p.close(at, count)
			return nil
		}
		if err := p.value(); err != nil {
			return err
		}
		p.space()
		if p.pos < len(p.buf) && p.buf[p.pos] == ',' {
			p.pos++
			continue
		}
		if p.pos < len(p.buf) && p.buf[p.pos] == ']' {
			p.close(at, count+1)
			return nil
		}
		return p.unexpected(", or ]")
	}
}

func (p *Parser) key() error {
	c := p.buf[p.pos]
	if c == '"' || (c == '\'' && p.allow()) {
		return p.str(c, String)
	}
	end := p.pos
	for end < len(p.buf) && bareKey(p.buf[end]) {
		end++
	}
	if end == p.pos || !p.allow() {
		return p.unexpected("a key in double quotes")
	}
	p.leaf(node{start: uint32(p.pos), end: uint32(end), kind: String})
	p.pos = end
	return nil
}

func bareKey(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '_' || c == '$' || c == '-' || c == '.' || c >= utf8.RuneSelf
}

// number reads a number's text. A leading zero is dropped in place, so that the text is JSON either way.
func (p *Parser) number() error {
	b, start := p.buf, p.pos
	i := start
	minus := b[i] == '-'
	if minus {
		i++
	}
	first := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == first {
		p.pos = i
		return p.unexpected("a digit")
	}
	if b[first] == '0' && i-first > 1 {
		if !p.allow() {
			p.pos = first + 1
			return p.unexpected("a number without leading zeros")
		}
		for first < i-1 && b[first] == '0' {
			first++
		}
		start = first
		if minus {
			start--
			b[start] = '-'
		}
	}
	if i < len(b) && b[i] == '.' {
		i++
		from := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == from {
			p.pos = i
			return p.unexpected("a digit after the point")
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == from {
			p.pos = i
			return p.unexpected("a digit of the exponent")
		}
	}
	p.leaf(node{start: uint32(start), end: uint32(i), kind: Number})
	p.pos = i
	return nil
}

// str reads a string whose opening quote is at pos. Escapes only ever shrink, so the text is rewritten
// where it stands and never copied.
func (p *Parser) str(quote byte, k Kind) error {
	b := p.buf
	start := p.pos + 1
	i := start
	for i < len(b) {
		c := b[i]
		if c == quote {
			p.leaf(node{start: uint32(start), end: uint32(i), kind: k})
			p.pos = i + 1
			return nil
		}
		if c == '\\' {
			break
		}
		if c < 0x20 && !p.allow() {
			p.pos = i
			return p.unexpected("an escape instead of a control character")
		}
		i++
	}
	for w := i; i < len(b); {
		c := b[i]
		switch {
		case c == quote:
			p.leaf(node{start: uint32(start), end: uint32(w), kind: k})
			p.pos = i + 1
			return nil
		case c == '\\':
			r, n := unescape(b[i:])
			if n == 0 && i+1 < len(b) && b[i+1] == '\'' && p.allow() {
				r, n = '\'', 2
			}
			if n == 0 {
				p.pos = i
				return p.unexpected(`one of \" \\ \/ \b \f \n \r \t \u and four hex digits`)
			}
			w += utf8.EncodeRune(b[w:], r)
			i += n
		case c < 0x20 && !p.allow():
			p.pos = i
			return p.unexpected("an escape instead of a control character")
		default:
			b[w] = c
			w++
			i++
		}
	}
	p.pos = len(b)
	return p.unexpected("the closing quote of the string that starts at byte " + strconv.Itoa(start-1))
}

// unescape reads the escape at the start of b and returns its rune and length, 0 if it is none. Half of a
// surrogate pair becomes U+FFFD, as in encoding/json.
func unescape(b []byte) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r := hex4(b[2:])
		if r < 0 {
			return 0, 0
		}
		if utf16.IsSurrogate(r) {
			if len(b) >= 8 && b[6] == '\\' && b[7] == 'u' {
				if pair := utf16.DecodeRune(r, hex4(b[8:])); pair != utf8.RuneError {
					return pair, 12
				}
			}
			return utf8.RuneError, 6
		}
		return r, 6
	}
	return 0, 0
}

func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

func firstInvalid(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// appendValid appends b with U+FFFD for each byte that is not part of a UTF-8 sequence.
func appendValid(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			dst = utf8.AppendRune(dst, utf8.RuneError)
		} else {
			dst = append(dst, b[i:i+n]...)
		}
		i += n
	}
	return dst
}
