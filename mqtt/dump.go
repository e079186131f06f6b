package mqtt

import (
	"fmt"
	"strings"
)

// DumpFrame is one frame of a dump.
type DumpFrame struct {
	// Line is the line its first byte stands on, from 1.
	Line int
	// Direction is what the dump says about the sender, seen from the client:
	// TX, OUT, ->, and C->S mean that the client sent it.
	Direction Direction
	// Time is the time stamp before the frame as it is written, or "".
	Time string
	// Data is the frame.
	Data []byte
}

// dumpLimit bounds the bytes of a dump, which repeated lines ("*") could
// otherwise grow beyond any text.
const dumpLimit = 16 << 20

// ParseDump reads the frames of a text dump. It knows
//
//   - plain lines of hex in every spelling ParseHex reads; a blank line ends a
//     frame, and so does a line with a direction or a time of its own
//     ("12:00:01.250 -> 10 70 00", "[12:00:01] RX: 20 02 00 00", "C->S …");
//   - lines with offsets: xxd, hexdump -C, tshark -x and the stream view of
//     Wireshark, where the indented lines are the server's;
//   - C arrays, one frame each; peer0 in the name is the client, peer1 the
//     server.
//
// Lines that begin with # or // are comments. The error is a *HexError whose
// place is that in the whole text.
func ParseDump(text string) ([]DumpFrame, error) {
	if r := (hexReader{text: text}); r.arrayStart() >= 0 {
		return dumpArrays(text)
	}
	d := dumpReader{text: text}
	for pos := 0; pos < len(text); {
		end := strings.IndexByte(text[pos:], '\n')
		if end < 0 {
			end = len(text) - pos
		}
		d.line++
		if err := d.read(pos, strings.TrimRight(text[pos:pos+end], "\r")); err != nil {
			return nil, err
		}
		pos += end + 1
	}
	d.flush()
	if d.indented {
		// The stream view of Wireshark: the server's lines are indented.
		for i := range d.frames {
			if d.frames[i].Direction == DirectionUnknown && d.offsets[i] {
				d.frames[i].Direction = FromClient
			}
		}
	}
	return d.frames, nil
}

// dumpReader collects frames line by line.
type dumpReader struct {
	text   string
	line   int
	frames []DumpFrame
	frame  DumpFrame
	open   bool
	total  int

	byOffset bool   // the open frame has offsets
	offsets  []bool // which of the frames had
	start    int    // the offset the open frame began with
	indent   int
	indented bool
	squeeze  bool // a "*" line: rows like the last follow
}

func (d *dumpReader) flush() {
	if d.open && len(d.frame.Data) > 0 {
		d.frames = append(d.frames, d.frame)
		d.offsets = append(d.offsets, d.byOffset)
	}
	d.open, d.byOffset, d.squeeze = false, false, false
}

func (d *dumpReader) begin() {
	d.flush()
	d.frame = DumpFrame{Line: d.line}
	d.open = true
}

// read takes one line, which begins at byte pos of the text.
func (d *dumpReader) read(pos int, line string) error {
	trimmed := strings.TrimSpace(line)
	switch {
	case trimmed == "":
		d.flush()
		return nil
	case trimmed[0] == '#' || strings.HasPrefix(trimmed, "//"):
		return nil
	case trimmed == "*" && d.open && d.byOffset:
		d.squeeze = true
		return nil
	}
	if offset, n := dumpOffset(line); n > 0 {
		return d.offsetLine(pos, line, offset, n)
	}
	stamp, direction, n := dumpPrefix(line)
	if stamp != "" || direction != DirectionUnknown || !d.open || d.byOffset {
		d.begin()
		d.frame.Time, d.frame.Direction = stamp, direction
	}
	if strings.TrimSpace(line[n:]) == "" {
		return nil // the bytes are on the lines that follow
	}
	r := hexReader{text: d.text[:pos+len(line)], pos: pos + n}
	b, err := r.read()
	if err != nil {
		return err
	}
	return d.take(pos, b)
}

func (d *dumpReader) take(pos int, b []byte) error {
	if d.total += len(b); d.total > dumpLimit {
		return (&hexReader{text: d.text}).fail(pos, fmt.Sprintf("more than %d bytes in one dump: split it", dumpLimit))
	}
	d.frame.Data = append(d.frame.Data, b...)
	return nil
}

// offsetLine reads a line "0010  63 72 …  |cr…|".
func (d *dumpReader) offsetLine(pos int, line string, offset, n int) error {
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	next := d.start + len(d.frame.Data)
	switch {
	case d.open && d.byOffset && d.squeeze && indent == d.indent && offset > next && len(d.frame.Data) >= 16:
		row := d.frame.Data[len(d.frame.Data)-16:]
		if offset-next > dumpLimit {
			return (&hexReader{text: d.text}).fail(pos, fmt.Sprintf("offset %X is more than %d bytes on: split the dump", offset, dumpLimit))
		}
		for next < offset {
			k := min(16, offset-next)
			if err := d.take(pos, row[:k]); err != nil {
				return err
			}
			next += k
		}
	case d.open && !d.byOffset && len(d.frame.Data) == 0:
		// A line with time and direction alone came before.
		d.byOffset, d.start, d.indent = true, offset, indent
	case !d.open || !d.byOffset || indent != d.indent || offset != next:
		known := d.byOffset || len(d.frames) > 0
		d.begin()
		d.byOffset, d.start = true, offset
		if known && indent > d.indent {
			d.indented = true
		}
		if indent > 0 && d.indented {
			d.frame.Direction = FromServer
		}
		d.indent = indent
	}
	d.squeeze = false
	r := hexReader{text: d.text}
	b, bad := dumpColumn(line[n:])
	if bad >= 0 {
		return r.fail(pos+n+bad, fmt.Sprintf("cannot read %q as hex: write each byte as two digits 0-9, A-F", hexWord(line[n+bad:])))
	}
	return d.take(pos, b)
}

// dumpOffset reads the offset a line of a hex dump begins with: four to eight
// hex digits and a colon, or two blanks. n is 0 if there is none, else where
// the bytes begin.
func dumpOffset(line string) (offset, n int) {
	i := 0
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	if strings.HasPrefix(line[i:], "0x") {
		i += 2
	}
	from := i
	for i < len(line) && explainHexDigit(line[i]) && i-from < 9 {
		offset = offset<<4 | int(hexValue(line[i]))
		i++
	}
	if i-from < 4 || i-from > 8 {
		return 0, 0
	}
	rest := line[i:]
	switch {
	case rest == "" && i-from == 8, strings.HasPrefix(rest, ": "), strings.HasPrefix(rest, ":\t"):
		return offset, min(i+2, len(line))
	case strings.HasPrefix(rest, "  "), strings.HasPrefix(rest, "\t"):
		return offset, i
	}
	return 0, 0
}

// dumpColumn reads the bytes of a hex dump line up to its text column. bad is
// the place of what is no hex, or -1.
func dumpColumn(s string) (out []byte, bad int) {
	for i := 0; i < len(s) && len(out) < 16; {
		gap := i
		for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
			i++
		}
		gap = i - gap
		if i == len(s) || s[i] == '|' || gap > 2 && len(out) > 0 {
			return out, -1
		}
		from := i
		for i < len(s) && explainHexDigit(s[i]) {
			i++
		}
		run := s[from:i]
		ends := i == len(s) || s[i] == ' ' || s[i] == '\t' || s[i] == '|'
		if !ends || len(run)%2 != 0 || len(run) == 0 || len(out)+len(run)/2 > 16 {
			if len(out) > 0 && gap >= 2 {
				return out, -1 // the text column
			}
			return nil, from
		}
		for k := 0; k < len(run); k += 2 {
			out = append(out, hexValue(run[k])<<4|hexValue(run[k+1]))
		}
	}
	return out, -1
}

// dumpMarks are the spellings of a direction, longest first where one begins
// with another.
var dumpMarks = []struct {
	text string
	dir  Direction
}{
	{"C->S", FromClient}, {"C>S", FromClient}, {"C→S", FromClient},
	{"S->C", FromServer}, {"S>C", FromServer}, {"S→C", FromServer},
	{"-->", FromClient}, {"->", FromClient}, {">>>", FromClient}, {">>", FromClient}, {"→", FromClient}, {">", FromClient},
	{"<--", FromServer}, {"<-", FromServer}, {"<<<", FromServer}, {"<<", FromServer}, {"←", FromServer}, {"<", FromServer},
	{"发→◇", FromClient}, {"收←◆", FromServer}, {"发送", FromClient}, {"接收", FromServer}, {"发", FromClient}, {"收", FromServer},
	{"TX", FromClient}, {"OUT", FromClient}, {"SENT", FromClient}, {"SEND", FromClient}, {"CLIENT", FromClient},
	{"RX", FromServer}, {"INPUT", FromServer}, {"IN", FromServer}, {"RECEIVED", FromServer}, {"RECEIVE", FromServer}, {"RECV", FromServer}, {"SERVER", FromServer},
}

// dumpPrefix reads the time stamp and the direction a line begins with, in
// either order, and returns where the bytes begin.
func dumpPrefix(line string) (stamp string, direction Direction, n int) {
	for {
		for n < len(line) && strings.IndexByte(" \t:[]()|,", line[n]) >= 0 {
			n++
		}
		if t := dumpTime(line[n:]); t > 0 {
			if stamp != "" {
				stamp += " "
			}
			stamp += line[n : n+t]
			n += t
			continue
		}
		mark, dir := dumpMark(line[n:])
		if mark == 0 {
			return stamp, direction, n
		}
		if direction == DirectionUnknown {
			direction = dir
		}
		n += mark
	}
}

func dumpMark(s string) (int, Direction) {
	for _, m := range dumpMarks {
		if len(s) < len(m.text) || !strings.EqualFold(s[:len(m.text)], m.text) {
			continue
		}
		// A word ends where it ends: "IN" is not the beginning of "INFO".
		if last := m.text[len(m.text)-1]; explainAlnum(last) && len(s) > len(m.text) && explainAlnum(s[len(m.text)]) {
			continue
		}
		return len(m.text), m.dir
	}
	return 0, DirectionUnknown
}

// dumpTime returns the length of a date or a time of day at the start of s:
// "2024-05-01", "12:00:01", "12:00:01.250", "2024-05-01T12:00:01Z",
// "1714550401.250".
func dumpTime(s string) int {
	end := 0
	colons, dashes, points, digits := 0, 0, 0, 0
scan:
	for end < len(s) {
		switch c := s[end]; {
		case c >= '0' && c <= '9':
			digits++
		case c == ':':
			colons++
		case c == '-' || c == '/':
			dashes++
		case (c == '.' || c == ',') && digits > 0:
			points++
		case (c == 'T' || c == 'Z') && dashes == 2:
		default:
			break scan
		}
		end++
	}
	for end > 0 && (s[end-1] == ':' || s[end-1] == ',' || s[end-1] == '-') {
		switch s[end-1] {
		case ':':
			colons--
		case '-':
			dashes--
		default:
			points--
		}
		end--
	}
	text := s[:end]
	switch {
	case end < len(s) && explainAlnum(s[end]):
		return 0
	case dashes == 2 && len(text) >= 8 && (strings.IndexAny(text, "-/") == 4 || strings.IndexAny(text, "-/") == 2 && len(text) == 10):
		return end // a date, perhaps with a time of day
	case dashes == 0 && colons == 2 && points > 0:
		return end
	case dashes == 0 && colons == 2 && len(text) == 8 && end < len(s) && s[end] != ':' && dumpClock(text):
		return end
	case dashes == 0 && colons == 0 && points == 1 && digits > 2:
		return end
	}
	return 0
}

// dumpClock reports whether text is hh:mm:ss. Three bytes with colons between
// them look the same; a frame that begins like that has no such numbers.
func dumpClock(text string) bool {
	return text[2] == ':' && text[5] == ':' && text[0] <= '2' && text[3] <= '5' && text[6] <= '5'
}

// dumpArrays reads every "name[] = { … };" of a C source.
func dumpArrays(text string) ([]DumpFrame, error) {
	var frames []DumpFrame
	for pos := 0; pos < len(text); {
		r := hexReader{text: text}
		brace := strings.IndexByte(text[pos:], '{')
		if brace < 0 {
			return frames, nil
		}
		brace += pos
		end := dumpArrayEnd(text, brace+1)
		r = hexReader{text: text[:end], pos: brace + 1, array: true}
		b, err := r.read()
		if err != nil {
			return nil, err
		}
		f := DumpFrame{Line: 1 + strings.Count(text[:brace], "\n"), Data: b}
		switch head := text[pos:brace]; {
		case strings.Contains(head, "peer0"):
			f.Direction = FromClient
		case strings.Contains(head, "peer1"):
			f.Direction = FromServer
		}
		if len(b) > 0 {
			frames = append(frames, f)
		}
		pos = end
	}
	return frames, nil
}

// dumpArrayEnd returns where the array that begins at pos ends: after its
// closing brace, comments skipped.
func dumpArrayEnd(text string, pos int) int {
	for pos < len(text) {
		switch rest := text[pos:]; {
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return len(text)
			}
			pos += end + 4
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				return len(text)
			}
			pos += end
		case rest[0] == '}':
			return pos + 1
		default:
			pos++
		}
	}
	return pos
}
