package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrintTable(t *testing.T) {
	var b bytes.Buffer
	err := printTable(&b, []string{"DEVICE", "NAME", "STATUS"}, [][]string{
		{"a1ji0qFv6Jf/STC15", "客厅", "online"},
		{"pk/dev01", "two\nlines\x1b[2J", ""},
		{"pk/dev02", "é", "never"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "" +
		"DEVICE             NAME               STATUS\n" +
		"a1ji0qFv6Jf/STC15  客厅               online\n" +
		"pk/dev01           two\\nlines\\x1b[2J\n" +
		"pk/dev02           é                  never\n"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}

func TestPrintJSON(t *testing.T) {
	v := map[string]string{"topic": "a&b<c>"}
	var b bytes.Buffer
	if err := printJSON(&b, v); err != nil {
		t.Fatal(err)
	}
	if err := printJSONLine(&b, v); err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"topic\": \"a&b<c>\"\n}\n{\"topic\":\"a&b<c>\"}\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                   "",
		"STC15 客厅 é":         "STC15 客厅 é",
		"a\nb\tc":            "a\nb\tc",
		"\x1b]0;title\x07":   `\x1b]0;title\a`,
		"\xff\x80":           `\xff\x80`,
		"\ufffd":             "\ufffd",
		"right\u202eto left": `right\u202eto left`,
		"zero\x00":           `zero\x00`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}
