package mqtt

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestParseHex(t *testing.T) {
	want := []byte{0x30, 0x98, 0x01, 0x0A}
	for _, text := range []string{
		"30 98 01 0A",
		"3098010a",
		"30:98:01:0a",
		"30-98-01-0A",
		"30,98,01,0A",
		"0x30,0x98,0x01,0x0A",
		"0x30, 0x98, 0x1, 0xA",
		"0X30 0X98 0X01 0X0A",
		`\x30\x98\x01\x0A`,
		`"\x30\x98" "\x01\x0a"`,
		"30h 98h 01h 0Ah",
		"30H,98H,1h,Ah",
		"$30 $98 $01 $0A",
		"0x3098010A",
		"  30 98\r\n\t01\r\n0A  \n",
		"[0x30, 0x98, 0x01, 0x0A]",
		"{0x30, 0x98, 0x01, 0x0A}",
		"const uint8_t packet[4] = { 0x30, 0x98,\n  0x01, /* length 152 */ 0x0A };",
		"unsigned char b[] = {0x30u, 0x98U, 0x01, 0x0A, }; // a packet",
		"byte[] b = { (byte)0x30, (byte) 0x98, (BYTE)0x01, (unsigned char)0x0A };",
		"30 98 # fixed header\n01 0A // the rest",
		"30 98 /* header */ 01 0A",
		"<30 98 01 0A>",
	} {
		got, err := ParseHex(text)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("ParseHex(%q) = % X, %v", text, got, err)
		}
	}
	if got, err := ParseHex(" \n"); err != nil || len(got) != 0 {
		t.Errorf("ParseHex of blanks = % X, %v", got, err)
	}
}

func TestParseHexErrors(t *testing.T) {
	for _, c := range []struct {
		text         string
		offset       int
		line, column int
		reason       string
	}{
		{"6D 70+CONTENT", 5, 1, 6, `"+CONTENT"`},
		{"40 02 00 iD", 9, 1, 10, `"iD"`},
		{"00 0A\nxx xx CONTENT", 6, 2, 1, `"xx"`},
		{"10 7", 3, 1, 4, "odd number"},
		{"10 700", 3, 1, 4, "odd number"},
		{"10 70 0x", 6, 1, 7, `"0x"`},
		{"30 9G", 3, 1, 4, `"9G"`},
		{"30 /* no end", 3, 1, 4, "*/"},
		{"a[] = {0x30}; b[] = {0x31};", 14, 1, 15, "one array"},
		{"温度", 0, 1, 1, "温度"},
	} {
		_, err := ParseHex(c.text)
		var e *HexError
		if !errors.As(err, &e) {
			t.Errorf("ParseHex(%q): no *HexError but %v", c.text, err)
			continue
		}
		if e.Offset != c.offset || e.Line != c.line || e.Column != c.column || !strings.Contains(e.Error(), c.reason) {
			t.Errorf("ParseHex(%q): offset %d, %v; want offset %d, line %d, column %d, %q", c.text, e.Offset, e, c.offset, c.line, c.column, c.reason)
		}
	}
}

func TestFormat(t *testing.T) {
	b := []byte{0x10, 0x70, 0x00, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0xFF}
	if got := FormatHex(b); got != "10 70 00 04 05 06 07 08 09 0A 0B 0C FF" {
		t.Errorf("FormatHex: %q", got)
	}
	if got := FormatHex(nil); got != "" {
		t.Errorf("FormatHex(nil): %q", got)
	}
	want := `static const unsigned char connect[13] = {
    0x10, 0x70, 0x00, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C,
    0xFF
};
`
	if got := FormatC("connect", b); got != want {
		t.Errorf("FormatC:\n%s", got)
	}
	for _, name := range []string{"", "a b", "9x", "x;"} {
		if got := FormatC(name, b); !strings.Contains(got, "char packet[13]") {
			t.Errorf("FormatC with the name %q:\n%s", name, got)
		}
	}
	if back, err := ParseHex(want); err != nil || !bytes.Equal(back, b) {
		t.Errorf("ParseHex of FormatC: % X, %v", back, err)
	}
}

func FuzzParseHex(f *testing.F) {
	for _, s := range []string{"30 98 01", `\x30`, "0x30u,", "const char a[] = {(byte)0x1, /*x*/ 30h};", "30 iD", "a = {", "$30%31 # c", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseHex(text)
		if err != nil {
			var e *HexError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(text) || e.Line < 1 || e.Column < 1 {
				t.Fatalf("%q: error without a place: %#v", text, err)
			}
			return
		}
		if len(b) > len(text) {
			t.Fatalf("%d bytes from %d characters", len(b), len(text))
		}
		for _, s := range []string{FormatHex(b), FormatC("x", b)} {
			if again, err := ParseHex(s); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%q does not read back as % X: % X, %v", s, b, again, err)
			}
		}
	})
}
