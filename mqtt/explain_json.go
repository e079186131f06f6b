package mqtt

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// explainJSONDepth bounds the nesting that is looked into.
const explainJSONDepth = 200

// explainJSONText checks a JSON text and remembers the first mistake in words
// for people who write JSON with sprintf.
type explainJSONText struct {
	b        []byte
	pos      int
	problem  string
	expected string
}

// explainJSON returns the first byte of b that breaks JSON and what is wrong
// there; problem is "" if b is valid.
func explainJSON(b []byte) (at int, problem, expected string) {
	p := explainJSONText{b: b}
	if p.value(0) {
		p.blank()
		if p.pos < len(b) {
			switch b[p.pos] {
			case 0:
				p.wrong("a zero byte after the JSON text: was the length taken with sizeof instead of strlen?", "nothing here")
			default:
				p.wrong("more bytes after the end of the JSON text", "nothing here")
			}
		}
	}
	return p.pos, p.problem, p.expected
}

// explainIsJSON reports whether b is a JSON object or array.
func explainIsJSON(b []byte) bool {
	if len(b) == 0 || b[0] != '{' && b[0] != '[' {
		return false
	}
	_, problem, _ := explainJSON(b)
	return problem == ""
}

func (p *explainJSONText) wrong(problem, expected string) bool {
	p.problem, p.expected = problem, expected
	return false
}

func (p *explainJSONText) blank() {
	for p.pos < len(p.b) {
		switch p.b[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.pos++
		default:
			return
		}
	}
}

// peek returns the next byte that is not blank, 0 at the end.
func (p *explainJSONText) peek() byte {
	p.blank()
	if p.pos < len(p.b) {
		return p.b[p.pos]
	}
	return 0
}

func (p *explainJSONText) value(depth int) bool {
	if depth > explainJSONDepth {
		return p.wrong(fmt.Sprintf("nested deeper than %d levels", explainJSONDepth), "")
	}
	c := p.peek()
	switch {
	case p.pos == len(p.b):
		return p.wrong("the text ends where a value should be", "a value")
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.str()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if explainHasPrefix(p.b[p.pos:], word) {
			p.pos += len(word)
			if p.pos < len(p.b) && explainAlnum(p.b[p.pos]) {
				return p.wrong("a word that is no JSON value", "true, false, null, a number or a string in double quotes")
			}
			return true
		}
	}
	return p.notValue(c)
}

// notValue says what is wrong with a byte where a value should begin.
func (p *explainJSONText) notValue(c byte) bool {
	switch {
	case c == '\'':
		return p.wrong("a single quote: strings stand in double quotes", `"`)
	case c == '+':
		return p.wrong("a number does not begin with +", "the number without it")
	case c == '.':
		return p.wrong("a number does not begin with a point", "0 before the point")
	case c == ',' || c == '}' || c == ']':
		return p.wrong(fmt.Sprintf("%q where a value should be: the value is missing", string(c)), "a value")
	case c >= 0x80:
		return p.wide(c)
	case explainAlnum(c):
		end := p.pos
		for end < len(p.b) && end < p.pos+16 && explainAlnum(p.b[end]) {
			end++
		}
		for _, word := range []string{"true", "false", "null"} {
			if strings.EqualFold(string(p.b[p.pos:end]), word) {
				return p.wrong(fmt.Sprintf("%q is no JSON value: it is written in small letters", p.b[p.pos:end]), word)
			}
		}
		if word := strings.ToLower(string(p.b[p.pos:end])); word == "nan" || strings.HasPrefix(word, "inf") {
			return p.wrong(fmt.Sprintf("%q is no JSON value: JSON has no such number", p.b[p.pos:end]), "a number, or null")
		}
		return p.wrong(fmt.Sprintf("%q is no JSON value", p.b[p.pos:end]), "true, false, null, a number or a string in double quotes")
	}
	return p.wrong(fmt.Sprintf("byte %02X where a value should be", c), "a value")
}

// wide says what is wrong with a byte outside ASCII between values, which is
// often punctuation typed on a Chinese keyboard.
func (p *explainJSONText) wide(c byte) bool {
	r, _ := utf8.DecodeRune(p.b[p.pos:])
	ascii := map[rune]string{'，': ",", '：': ":", '“': `"`, '”': `"`, '｛': "{", '｝': "}", '\ufeff': ""}
	if a, ok := ascii[r]; ok {
		if a == "" {
			return p.wrong("a byte order mark before the JSON text", "the text without it")
		}
		return p.wrong(fmt.Sprintf("the full-width character %q", string(r)), a)
	}
	return p.wrong(fmt.Sprintf("byte %02X outside a string", c), "")
}

func (p *explainJSONText) object(depth int) bool {
	p.pos++
	if p.peek() == '}' {
		p.pos++
		return true
	}
	for {
		switch c := p.peek(); {
		case p.pos == len(p.b):
			return p.wrong("the text ends inside an object", "}")
		case c == '"':
			if !p.str() {
				return false
			}
		case c == '\'':
			return p.wrong("a single quote: names stand in double quotes", `"`)
		case c == '}':
			return p.wrong("a } after a comma: the comma is one too many", "no comma before it")
		case c >= 0x80:
			return p.wide(c)
		case explainAlnum(c) || c == '_':
			end := p.pos
			for end < len(p.b) && end < p.pos+32 && (explainAlnum(p.b[end]) || p.b[end] == '_') {
				end++
			}
			return p.wrong("a name without quotes: names stand in double quotes", `"`+string(p.b[p.pos:end])+`"`)
		default:
			return p.wrong(fmt.Sprintf("byte %02X where a name should be", c), "a name in double quotes")
		}
		switch c := p.peek(); {
		case p.pos == len(p.b):
			return p.wrong("the text ends after a name", ":")
		case c >= 0x80:
			return p.wide(c)
		case c != ':':
			return p.wrong("the colon after the name is missing", ":")
		}
		p.pos++
		if !p.value(depth + 1) {
			return false
		}
		if done, ok := p.next('}', "an object"); done || !ok {
			return ok
		}
	}
}

func (p *explainJSONText) array(depth int) bool {
	p.pos++
	if p.peek() == ']' {
		p.pos++
		return true
	}
	for {
		if p.peek() == ']' {
			return p.wrong("a ] after a comma: the comma is one too many", "no comma before it")
		}
		if !p.value(depth + 1) {
			return false
		}
		if done, ok := p.next(']', "an array"); done || !ok {
			return ok
		}
	}
}

// next reads what stands after an element: a comma or the end of its list.
func (p *explainJSONText) next(closing byte, what string) (done, ok bool) {
	c := p.peek()
	switch {
	case p.pos == len(p.b):
		return true, p.wrong("the text ends inside "+what, string(closing))
	case c == closing:
		p.pos++
		return true, true
	case c == ',':
		p.pos++
		return false, true
	case c >= 0x80:
		return true, p.wide(c)
	case c == '"' || c == '{' || c == '[' || explainAlnum(c):
		return true, p.wrong("the comma between two values is missing", ",")
	case c == 0:
		return true, p.wrong("a zero byte inside "+what, "")
	}
	return true, p.wrong(fmt.Sprintf("%q after a value", string(c)), fmt.Sprintf(", or %c", closing))
}

func (p *explainJSONText) str() bool {
	start := p.pos
	p.pos++
	for p.pos < len(p.b) {
		switch c := p.b[p.pos]; {
		case c == '"':
			p.pos++
			return true
		case c < 0x20:
			return p.wrong(fmt.Sprintf("control character %02X inside a string", c), explainJSONEscape(c))
		case c == '\\':
			if !p.escape() {
				return false
			}
		case c < 0x80:
			p.pos++
		default:
			r, n := utf8.DecodeRune(p.b[p.pos:])
			if r == utf8.RuneError && n == 1 {
				problem := fmt.Sprintf("byte %02X is not UTF-8", c)
				if explainLooksGBK(p.b[p.pos:]) {
					problem += "; are these Chinese characters in GBK?"
				}
				return p.wrong(problem, "the text in UTF-8")
			}
			p.pos += n
		}
	}
	return p.wrong(fmt.Sprintf("the text ends inside a string that begins %s before: its closing quote is missing", explainBytes(p.pos-start)), `" where the string ends`)
}

// explainJSONEscape is how a control character is written inside a string.
func explainJSONEscape(c byte) string {
	switch c {
	case '\n':
		return `\n, two characters`
	case '\r':
		return `\r, two characters`
	case '\t':
		return `\t, two characters`
	}
	return fmt.Sprintf("\\u%04x, six characters", c)
}

func (p *explainJSONText) escape() bool {
	if p.pos+1 >= len(p.b) {
		p.pos = len(p.b)
		return p.wrong("the text ends after a backslash", "")
	}
	switch c := p.b[p.pos+1]; c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.pos += 2
		return true
	case 'u':
		for k := 2; k < 6; k++ {
			if p.pos+k >= len(p.b) || !explainHexDigit(p.b[p.pos+k]) {
				return p.wrong(`\u takes four hex digits`, "")
			}
		}
		p.pos += 6
		return true
	default:
		return p.wrong(fmt.Sprintf("a backslash before byte %02X", c), `\\ for a backslash`)
	}
}

func (p *explainJSONText) number() bool {
	start := p.pos
	if p.b[p.pos] == '-' {
		p.pos++
	}
	whole := p.pos
	if p.digits() == 0 {
		return p.wrong("a minus without digits", "a digit")
	}
	if p.b[whole] == '0' && p.pos-whole > 1 {
		end := p.pos
		text := string(p.b[whole:end])
		for len(text) > 1 && text[0] == '0' {
			text = text[1:]
		}
		p.pos = whole
		return p.wrong(fmt.Sprintf("a number does not begin with 0: %s", explainClip(string(p.b[start:end]))), explainClip(string(p.b[start:whole])+text))
	}
	if p.pos < len(p.b) && p.b[p.pos] == '.' {
		p.pos++
		if p.digits() == 0 {
			return p.wrong("no digit after the point", "a digit")
		}
	}
	if p.pos < len(p.b) && (p.b[p.pos] == 'e' || p.b[p.pos] == 'E') {
		p.pos++
		if p.pos < len(p.b) && (p.b[p.pos] == '+' || p.b[p.pos] == '-') {
			p.pos++
		}
		if p.digits() == 0 {
			return p.wrong("no digit in the exponent", "a digit")
		}
	}
	if p.pos < len(p.b) && (explainAlnum(p.b[p.pos]) || p.b[p.pos] == '.') {
		return p.wrong(fmt.Sprintf("%q inside a number", string(p.b[p.pos])), "")
	}
	return true
}

func (p *explainJSONText) digits() int {
	start := p.pos
	for p.pos < len(p.b) && p.b[p.pos] >= '0' && p.b[p.pos] <= '9' {
		p.pos++
	}
	return p.pos - start
}
