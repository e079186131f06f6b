package devjson

import "unicode/utf8"

// AppendJSON appends the value as compact JSON: no white space, members in document order, numbers as they
// were written, strings escaped only where JSON demands it. An absent value appends null.
func (v Value) AppendJSON(dst []byte) []byte {
	n := v.node()
	if n == nil {
		return append(dst, "null"...)
	}
	return v.p.append(dst, v.at)
}

// append recurses no deeper than the parser allowed the document to nest.
func (p *Parser) append(dst []byte, at uint32) []byte {
	n := &p.nodes[at]
	switch n.kind {
	case Bool:
		if n.truth {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case Number:
		return append(dst, p.buf[n.start:n.end]...)
	case String:
		return AppendString(dst, p.text(n))
	case Object:
		dst = append(dst, '{')
		child := at + 1
		for i := uint32(0); i < n.count; i++ {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendString(dst, p.text(&p.nodes[child]))
			dst = append(dst, ':')
			dst = p.append(dst, child+1)
			child = p.nodes[child+1].next
		}
		return append(dst, '}')
	case Array:
		dst = append(dst, '[')
		child := at + 1
		for i := uint32(0); i < n.count; i++ {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = p.append(dst, child)
			child = p.nodes[child].next
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string with its quotes. Only quotes, backslashes and control characters
// are escaped: small clients compare text and know no others. Bytes that are not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[done:i]...)
				dst = utf8.AppendRune(dst, utf8.RuneError)
				done = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[done:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		done = i
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}
