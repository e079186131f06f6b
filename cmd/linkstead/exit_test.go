package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code int
		text string
	}{
		{"nothing", nil, 0, ""},
		{"plain", errors.New("the disk is full"), 1, "linkstead: the disk is full\n"},
		{"reported", errReported, 1, ""},
		{"reported inside", fmt.Errorf("explain: %w", errReported), 1, ""},
		{"usage", usageError("no %s", "bytes"), 2, "linkstead: no bytes\n"},
		{"not found inside", fmt.Errorf("show: %w", notFoundError("there is no device a/b")), 3, "linkstead: show: there is no device a/b\n"},
		{"unreachable", unreachableError("Start it: linkstead serve", "no server answers"), 4, "linkstead: no server answers\n  Start it: linkstead serve\n"},
		{"refused", refusedError("STC15 did not answer within 8 s"), 5, "linkstead: STC15 did not answer within 8 s\n"},
		{"hint keeps the code", withHint(notFoundError("gone"), "Look again."), 3, "linkstead: gone\n  Look again.\n"},
		{"no hint for no error", withHint(nil, "Look again."), 0, ""},
		{"terminal", errors.New("name \x1b[31m\x07\xff"), 1, `linkstead: name \x1b[31m\a\xff` + "\n"},
	} {
		var b bytes.Buffer
		if code := report(&b, c.err); code != c.code || b.String() != c.text {
			t.Errorf("%s: code %d, text %q, want %d, %q", c.name, code, b.String(), c.code, c.text)
		}
	}
}

// TestExitCodes pins the numbers scripts depend on.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
	}{
		{"version", 0},
		{"help frame", 0},
		{"explain C000", 0},
		{"explain 900300 0A08", 1},
		{"", 0},
		{"nosuch", 2},
		{"frame nosuch", 2},
		{"help nosuch", 2},
		{"version --nosuch", 2},
		{"version more", 2},
		{"explain zz", 2},
		{"sign", 2},
		{"frame publish --qos many", 2},
		{"explain --file nosuch.txt", 3},
	} {
		var stdout, stderr bytes.Buffer
		code := run(strings.Fields(c.args), strings.NewReader(""), &stdout, &stderr)
		if code != c.code {
			t.Errorf("%q ended with %d, want %d\n%s", c.args, code, c.code, &stderr)
		}
		if n := strings.Count(stderr.String(), "linkstead: "); code >= exitUsage && n != 1 {
			t.Errorf("%q printed its error %d times:\n%s", c.args, n, &stderr)
		}
	}
}

// brokenWriter is a standard output nobody reads any more.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestUnwritableOutputIsAFailure(t *testing.T) {
	for _, args := range []string{"version", "version --json", "explain C000", "frame ping", "frame ping --json"} {
		var stderr bytes.Buffer
		if code := run(strings.Fields(args), strings.NewReader(""), brokenWriter{}, &stderr); code != exitFailed {
			t.Errorf("%q ended with %d, want %d", args, code, exitFailed)
		}
	}
}
