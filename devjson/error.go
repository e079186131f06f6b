package devjson

import (
	"fmt"
	"strconv"
)

// SyntaxError says where a document stopped being JSON. It never quotes more than one character of it:
// payloads carry secrets too.
type SyntaxError struct {
	// Offset is the byte the reader could not use, counted from 0. In a document with bytes that are not
	// UTF-8 it counts each of them as the three bytes of U+FFFD.
	Offset int
	// Found names what stood there.
	Found string
	// Expected names what would have been accepted.
	Expected string
}

// Error reads "JSON: byte 17: found '}', expected a value".
func (e *SyntaxError) Error() string {
	return "JSON: byte " + strconv.Itoa(e.Offset) + ": found " + e.Found + ", expected " + e.Expected
}

func (p *Parser) unexpected(expected string) error {
	found := "the end of the message"
	if p.pos < len(p.buf) {
		switch c := p.buf[p.pos]; {
		case c < 0x20 || c == 0x7F:
			found = fmt.Sprintf("byte 0x%02X", c)
		case c < 0x80:
			found = "'" + string(rune(c)) + "'"
		default:
			found = "a character beyond ASCII"
		}
	}
	return &SyntaxError{Offset: p.pos, Found: found, Expected: expected}
}
