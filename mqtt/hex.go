package mqtt

import (
	"fmt"
	"strings"
)

// FormatHex writes bytes as two upper-case digits each with blanks between
// them: "10 70 00".
func FormatHex(b []byte) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// FormatC writes bytes as the definition of a C array, twelve to a line. An
// empty name, or one that is no C identifier, becomes "packet".
func FormatC(name string, b []byte) string {
	for i := 0; i < len(name); i++ {
		if c := name[i]; !explainAlnum(c) && c != '_' || i == 0 && c <= '9' {
			name = ""
			break
		}
	}
	if name == "" {
		name = "packet"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "static const unsigned char %s[%d] = {", name, len(b))
	for i, c := range b {
		switch {
		case i%12 == 0:
			out.WriteString("\n    ")
		default:
			out.WriteByte(' ')
		}
		fmt.Fprintf(&out, "0x%02X", c)
		if i < len(b)-1 {
			out.WriteByte(',')
		}
	}
	out.WriteString("\n};\n")
	return out.String()
}

// HexError says what ParseHex could not read, and where.
type HexError struct {
	// Offset is the byte within the text, Line and Column the same place
	// counted from 1, columns in bytes.
	Offset, Line, Column int
	// Reason says what stands there and what is expected instead.
	Reason string
}

// Error returns the place and the reason.
func (e *HexError) Error() string {
	return fmt.Sprintf("hex text, line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// ParseHex reads bytes in any usual spelling of hex: "30 98 01", "309801",
// "30:98:01", "0x30, 0x98", "\x30\x98", "30h 98h", a C array with its
// declaration, braces, casts and comments, a string literal. Bytes are two
// digits; one digit will do after 0x, before h, and between the separators of
// a C array. The error is a *HexError.
func ParseHex(text string) ([]byte, error) {
	r := hexReader{text: text}
	if at := r.arrayStart(); at >= 0 {
		r.array = true
		r.pos = at + 1
	}
	return r.read()
}

// hexReader reads hex from text. Positions are those of the whole text.
type hexReader struct {
	text  string
	pos   int
	array bool // inside the braces of a C array
	out   []byte
}

// arrayStart returns where the brace of a C definition stands, -1 if the text
// is none.
func (r *hexReader) arrayStart() int {
	brace := strings.IndexByte(r.text, '{')
	if brace < 0 || strings.IndexByte(r.text[:brace], '=') < 0 {
		return -1
	}
	return brace
}

func (r *hexReader) fail(at int, reason string) error {
	before := r.text[:at]
	line := 1 + strings.Count(before, "\n")
	return &HexError{Offset: at, Line: line, Column: at - strings.LastIndexByte(before, '\n'), Reason: reason}
}

func (r *hexReader) read() ([]byte, error) {
	for r.pos < len(r.text) {
		rest := r.text[r.pos:]
		c := rest[0]
		switch {
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return nil, r.fail(r.pos, "a comment that does not end: */ is missing")
			}
			r.pos += end + 4
		case strings.HasPrefix(rest, "//"), c == '#':
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			r.pos += end
		case c == '}' && r.array:
			// What follows the braces is the end of a definition.
			if tail := strings.TrimLeft(rest[1:], " \t\r\n;"); tail != "" && !strings.HasPrefix(tail, "/") {
				return nil, r.fail(r.pos+len(rest)-len(tail), "text after the end of the C array: one array at a time")
			}
			r.pos = len(r.text)
		case c == '(':
			end := strings.IndexByte(rest, ')')
			if end < 0 || !hexIsCast(rest[1:end]) {
				r.pos++
				continue
			}
			r.pos += end + 1
		case hexSeparator(c):
			r.pos++
		default:
			if err := r.token(); err != nil {
				return nil, err
			}
		}
	}
	return r.out, nil
}

// token reads one run of digits with its prefix or suffix.
func (r *hexReader) token() error {
	start := r.pos
	rest := r.text[start:]
	prefix := 0
	switch {
	case len(rest) > 1 && (rest[0] == '0' || rest[0] == '\\') && (rest[1] == 'x' || rest[1] == 'X'):
		prefix = 2
	case rest[0] == '$' || rest[0] == 'x' || rest[0] == 'X' || rest[0] == '%':
		prefix = 1
	}
	end := prefix
	for end < len(rest) && explainHexDigit(rest[end]) {
		end++
	}
	digits := rest[prefix:end]
	short := prefix > 0 || r.array
	if end < len(rest) && digits != "" && (rest[end] == 'h' || rest[end] == 'H') && prefix == 0 {
		end++
		short = true
	} else if end < len(rest) && prefix > 0 && (rest[end] == 'u' || rest[end] == 'U') {
		end++
	}
	if digits == "" || end < len(rest) && !hexBoundary(rest[end]) {
		if digits == "" || hexLetter(rest[end]) {
			return r.fail(start, fmt.Sprintf("cannot read %q as hex: write each byte as two digits 0-9, A-F", hexWord(rest)))
		}
		return r.fail(start+end, fmt.Sprintf("cannot read %q as hex: write each byte as two digits 0-9, A-F", hexWord(rest[end:])))
	}
	if len(digits)%2 != 0 {
		if len(digits) > 1 || !short {
			return r.fail(start, fmt.Sprintf("an odd number of hex digits in %q: each byte takes two", hexWord(rest)))
		}
		digits = "0" + digits
	}
	for i := 0; i < len(digits); i += 2 {
		r.out = append(r.out, hexValue(digits[i])<<4|hexValue(digits[i+1]))
	}
	r.pos = start + end
	return nil
}

func hexSeparator(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', ',', ';', ':', '-', '_', '{', '}', '[', ']', '(', ')', '"', '\'', '<', '>', '.', '|':
		return true
	}
	return false
}

// hexBoundary reports whether a run of digits may end before c.
func hexBoundary(c byte) bool {
	return hexSeparator(c) || c == '\\' || c == '$' || c == '%' || c == '/' || c == '#'
}

func hexLetter(c byte) bool { return explainAlnum(c) || c >= 0x80 }

// hexIsCast reports whether what stands in parentheses is a C type, such as
// "byte" or "unsigned char".
func hexIsCast(s string) bool {
	letter := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_' || c == ' ' || c == '*':
		case explainAlnum(c):
			letter = letter || c|0x20 >= 'g' && c > '9'
		default:
			return false
		}
	}
	return letter
}

// hexWord returns the start of a text up to the next blank, for messages.
func hexWord(s string) string {
	if i := strings.IndexAny(s, " \t\r\n,;"); i > 0 {
		s = s[:i]
	}
	if len(s) > 16 {
		s = s[:16] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
