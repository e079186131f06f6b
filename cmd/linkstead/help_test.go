package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand calls f for each command of the tree.
func everyCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		everyCommand(c, f)
	}
}

// offline reports whether cmd or a command above it is one of the tools that need no server.
func offline(cmd *cobra.Command) bool {
	for ; cmd != nil; cmd = cmd.Parent() {
		if cmd.GroupID == groupOffline {
			return true
		}
	}
	return false
}

func TestEveryCommandIsExplained(t *testing.T) {
	everyCommand(newRoot(), func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the short help is %q, want a phrase without a full stop", cmd.CommandPath(), cmd.Short)
		}
		if cmd.Example == "" && cmd.HasParent() {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		if cmd.Run != nil {
			t.Errorf("%s has Run: only RunE can fail with an exit code", cmd.CommandPath())
		}
		for _, line := range strings.Split(cmd.Long, "\n") {
			if n := len([]rune(line)); n > 100 {
				t.Errorf("%s: a line of the help has %d characters: %s", cmd.CommandPath(), n, line)
			}
		}
	})
}

// TestExamples runs the examples of the offline tools. Of the others it checks that the command exists and
// takes the flags and arguments.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"stc15.json":  `{"ProductKey":"a1ji0qFv6Jf","DeviceName":"STC15","DeviceSecret":"bc0834e2beeb03d37eeb7361cc387918"}`,
		"secret.txt":  "bc0834e2beeb03d37eeb7361cc387918\n",
		"session.txt": "12:00:01 -> C0 00\n12:00:01 <- D0 00\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)

	everyCommand(newRoot(), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			words := shellWords(line)
			if len(words) == 0 {
				continue
			}
			if !offline(cmd) {
				checkCalls(t, cmd.CommandPath()+": example "+line, words)
				continue
			}
			var out []byte
			for len(words) > 0 {
				var call []string
				call, words = cut(words, "|")
				if call[0] != "linkstead" {
					t.Errorf("%s: example %q calls %s", cmd.CommandPath(), line, call[0])
					break
				}
				var stdout, stderr bytes.Buffer
				if code := run(call[1:], bytes.NewReader(out), &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
					t.Errorf("%s: example %q ended with %d:\n%s%s", cmd.CommandPath(), line, code, &stdout, &stderr)
				}
				if out = stdout.Bytes(); len(out) == 0 {
					t.Errorf("%s: example %q printed nothing", cmd.CommandPath(), line)
				}
			}
		}
	})
}

// cut splits words at the first sep.
func cut(words []string, sep string) (before, after []string) {
	for i, w := range words {
		if w == sep {
			return words[:i], words[i+1:]
		}
	}
	return words, nil
}

// shellWords splits a line as a shell does that knows blanks, both kinds of quotes and comments.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	quote, open := rune(0), false
	for _, r := range strings.TrimSpace(line) + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == '#' && !open && word.Len() == 0:
			return words
		case r == ' ':
			if open || word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteRune(r)
		}
	}
	return words
}
