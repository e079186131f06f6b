package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/text/width"
)

// wantJSON reports whether --json was given.
func wantJSON(cmd *cobra.Command) bool {
	on, err := cmd.Flags().GetBool("json")
	return err == nil && on
}

// output prints the result of a command: v as JSON if --json was given, otherwise what text writes.
func output(cmd *cobra.Command, v any, text func(w io.Writer) error) error {
	if wantJSON(cmd) {
		return printJSON(cmd.OutOrStdout(), v)
	}
	return text(cmd.OutOrStdout())
}

// printJSON writes v as one indented JSON document with a line feed at its end. Topics and payloads keep
// their &, < and >.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printJSONLine writes v as JSON on a single line, for results that come one by one.
func printJSONLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printTable writes rows under a header, columns aligned and two blanks apart, without lines around them so
// that the usual text tools can read it. Every row has as many cells as the header; line feeds and what could
// upset a terminal are escaped.
func printTable(w io.Writer, header []string, rows [][]string) error {
	all := make([][]string, 0, len(rows)+1)
	all = append(append(all, header), rows...)
	widths := make([]int, len(header))
	for i, row := range all {
		cells := make([]string, len(row))
		for j, c := range row {
			cells[j] = strings.ReplaceAll(printable(c), "\n", `\n`)
			widths[j] = max(widths[j], displayWidth(cells[j]))
		}
		all[i] = cells
	}
	var b strings.Builder
	for _, row := range all {
		gap := 0
		for j, c := range row {
			if c != "" { // no blanks at the end of a line
				b.WriteString(strings.Repeat(" ", gap) + c)
				gap = 0
			}
			gap += widths[j] - displayWidth(c) + 2
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// displayWidth returns how many columns of a terminal s takes: Chinese names take two for each character.
func displayWidth(s string) int {
	n := 0
	for _, r := range s {
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			n += 2
		default:
			if !unicode.Is(unicode.Mn, r) {
				n++
			}
		}
	}
	return n
}

// printFields writes name and value pairs, one pair to a line, values aligned.
func printFields(w io.Writer, fields ...[2]string) error {
	longest := 0
	for _, f := range fields {
		longest = max(longest, len(f[0]))
	}
	for _, f := range fields {
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", longest, f[0], printable(f[1])); err != nil {
			return err
		}
	}
	return nil
}

// printable returns s with everything escaped that could move the cursor or colour a terminal: names and
// payloads come from devices.
func printable(s string) string {
	unsafe := func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }
	if strings.IndexFunc(s, unsafe) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unsafe(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}
