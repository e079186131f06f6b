package mqtt

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	explainShown    = 512 // bytes of a field that are shown as text
	explainHexRow   = 8   // bytes in a row of the hex column
	explainHexRows  = 13  // rows of hex a field has before its middle is left out
	explainWidth    = 76  // characters in a row of the value column
	explainMargin   = 100 // characters in a row of a problem
	explainClipSize = 80  // bytes of a string quoted inside a sentence
)

// String returns the explanation as a table of offsets, hex and meaning, with
// each problem below the bytes it is about.
func (e Explanation) String() string { return string(e.AppendText(nil)) }

// AppendText appends what String returns to dst. Secrets are masked in both
// columns unless the options said to show them.
func (e Explanation) AppendText(dst []byte) []byte {
	dst = append(dst, e.headline()...)
	dst = append(dst, '\n')
	width := 0
	for _, n := range e.Notes {
		width = max(width, utf8.RuneCountInString(n.Field))
	}
	secret := slices.Clone(e.secret)
	slices.SortFunc(secret, func(a, b explainSpan) int { return a.from - b.from })
	for _, n := range e.Notes {
		dst = e.appendNote(dst, n, width, secret)
	}
	return dst
}

// headline says what the packet is and whether it is right.
func (e Explanation) headline() string {
	about := []string{}
	if e.Name != "not MQTT" && e.Name != "nothing" {
		about = append(about, "MQTT "+e.Version.String())
	}
	if d := e.Direction.String(); d != "" {
		about = append(about, d)
	}
	size := explainBytes(len(e.Raw))
	if e.Start > 0 {
		size += fmt.Sprintf(" from byte %d on", e.Start)
	}
	about = append(about, size)
	if e.Missing > 0 {
		about = append(about, fmt.Sprintf("%d missing", e.Missing))
	}
	errors, warnings := 0, 0
	for _, n := range e.Notes {
		switch n.Severity {
		case SeverityError:
			errors++
		case SeverityWarning:
			warnings++
		}
	}
	var verdict []string
	if errors > 0 {
		verdict = append(verdict, fmt.Sprintf("%d %s", errors, explainPlural(errors, "error")))
	} else {
		verdict = append(verdict, "right")
	}
	if warnings > 0 {
		verdict = append(verdict, fmt.Sprintf("%d %s", warnings, explainPlural(warnings, "warning")))
	}
	return e.Name + " (" + strings.Join(about, ", ") + "): " + strings.Join(verdict, ", ")
}

func (e Explanation) appendNote(dst []byte, n Note, width int, secret []explainSpan) []byte {
	hex := e.hexRows(n, secret)
	text := explainWrap(n.Value, explainWidth, false)
	for _, d := range n.Details {
		text = append(text, explainWrap("· "+d, explainWidth, true)...)
	}
	for row := 0; row < max(len(hex), len(text), 1); row++ {
		offset, field := "", ""
		if row == 0 {
			offset, field = fmt.Sprintf("%d", n.Offset), n.Field
		}
		var h, t string
		if row < len(hex) {
			h = hex[row]
		}
		if row < len(text) {
			t = text[row]
		}
		line := fmt.Sprintf("%6s  %-*s  %s%s  %s", offset, explainHexRow*3-1, h, field,
			strings.Repeat(" ", width-utf8.RuneCountInString(field)), t)
		dst = append(dst, strings.TrimRight(line, " ")...)
		dst = append(dst, '\n')
	}
	if n.Severity == SeverityNone {
		return dst
	}
	where := fmt.Sprintf("%s at byte %d", n.Severity, n.At)
	if n.At < len(e.Raw) && n.At < n.Offset+n.Length && !explainHidden(secret, n.At) {
		where += fmt.Sprintf(" (%02X)", e.Raw[n.At])
	}
	dst = explainIndented(dst, "        ^ ", where+": "+n.Problem)
	if n.Expected != "" {
		dst = explainIndented(dst, "          ", "should be: "+n.Expected)
	}
	if n.Clause != "" {
		dst = explainIndented(dst, "          ", "rule: ["+n.Clause+"]")
	}
	return dst
}

func explainIndented(dst []byte, indent, text string) []byte {
	for _, row := range explainWrap(text, explainMargin, true) {
		dst = append(dst, indent...)
		dst = append(dst, row...)
		dst = append(dst, '\n')
		indent = "          "
	}
	return dst
}

// hexRows returns the hex column of a note, without the middle of a long one.
func (e Explanation) hexRows(n Note, secret []explainSpan) []string {
	var rows []string
	end := n.Offset + n.Length
	total := (n.Length + explainHexRow - 1) / explainHexRow
	for row := 0; row < total; row++ {
		if total > explainHexRows && row == explainHexRows-3 {
			skip := total - explainHexRows + 1
			rows = append(rows, fmt.Sprintf("… %s …", explainBytes(skip*explainHexRow)))
			row += skip - 1
			continue
		}
		from := n.Offset + row*explainHexRow
		var line []byte
		for p := from; p < min(from+explainHexRow, end); p++ {
			if p > from {
				line = append(line, ' ')
			}
			if explainHidden(secret, p) {
				line = append(line, "**"...)
				continue
			}
			line = fmt.Appendf(line, "%02X", e.Raw[p])
		}
		rows = append(rows, string(line))
	}
	return rows
}

// explainHidden reports whether byte p is in one of the spans.
func explainHidden(secret []explainSpan, p int) bool {
	for _, s := range secret {
		if p >= s.from && p < s.to {
			return true
		}
		if s.from > p {
			return false
		}
	}
	return false
}

// explainWrap breaks s into rows of at most width characters: at the last
// blank if words is set, else at a blank near the end of the row only.
func explainWrap(s string, width int, words bool) []string {
	var rows []string
	for utf8.RuneCountInString(s) > width {
		cut, n := 0, 0
		blank := -1
		for i, r := range s {
			if n == width {
				cut = i
				break
			}
			if r == ' ' {
				blank = i
			}
			n++
		}
		if blank > 0 && (words || blank >= cut-width/4) {
			rows = append(rows, s[:blank])
			s = s[blank+1:]
			continue
		}
		rows = append(rows, s[:cut])
		s = s[cut:]
	}
	return append(rows, s)
}

// quote shows a range of bytes as a string in quotes.
func (w *explainWalk) quote(from, to int) string { return `"` + w.show(from, to) + `"` }

// show shows a range of bytes as text: secrets as stars, what cannot be
// printed as escapes, and the end of a long one left out.
func (w *explainWalk) show(from, to int) string {
	b := w.clear(from, min(to, from+explainShown))
	s := explainPrintable(b)
	if more := to - from - len(b); more > 0 {
		s += fmt.Sprintf("… (%d more)", more)
	}
	return s
}

func explainPrintable(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&out, `\x%02X`, b[0])
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\t':
			out.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&out, `\x%02X`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&out, `\u%04X`, r)
		default:
			out.WriteRune(r)
		}
		b = b[n:]
	}
	return out.String()
}

// explainClip shortens a string that is quoted inside a sentence.
func explainClip(s string) string {
	if len(s) <= explainClipSize {
		return explainPrintable([]byte(s))
	}
	cut := explainClipSize
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return explainPrintable([]byte(s[:cut])) + "…"
}
