package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/config"
)

// TestDocumentedCalls checks every call of linkstead in the documents against the command tree, and makes
// those that need no server.
func TestDocumentedCalls(t *testing.T) {
	const top = "../../"
	files := []string{top + "README.md", top + "README.zh-CN.md", top + "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(top + pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	calls := map[string][]string{}
	n, made := 0, 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines, spans := documented(string(b))
		for _, line := range lines {
			for _, args := range checkCalls(t, file+": "+line, shellWords(line)) {
				calls[filepath.Base(file)] = append(calls[filepath.Base(file)], strings.Join(args, " "))
				n++
				if cmd, _, err := newRoot().Find(args); err == nil && offline(cmd) {
					makeCall(t, file+": "+line, cmd, args)
					made++
				}
			}
		}
		for _, span := range spans {
			n++
			if err := callProblem(callArgs(shellWords(span)), true); err != nil {
				t.Errorf("%s: %s: %v", file, span, err)
			}
		}
	}
	if n < 40 || made < 6 {
		t.Errorf("found %d calls and made %d of them: are the documents still read?", n, made)
	}
	if diff := cmp.Diff(calls["README.md"], calls["README.zh-CN.md"]); diff != "" {
		t.Errorf("the two READMEs do not have the same commands (-English +Chinese):\n%s", diff)
	}
}

// TestDemoCalls checks the commands that the demo tells its user to try next.
func TestDemoCalls(t *testing.T) {
	cfg := config.Default()
	cfg.Data = "linkstead-demo"
	var out bytes.Buffer
	tryNext(&out, "1883", cfg, "abcdefgh")
	n := 0
	for line := range strings.Lines(out.String()) {
		if words := shellWords(line); callArgs(words) != nil {
			n += len(checkCalls(t, "demo: "+line, words))
		}
	}
	if n < 7 {
		t.Errorf("the demo tells of %d commands:\n%s", n, &out)
	}
}

// TestCallProblem shows that the check sees what is wrong with a call.
func TestCallProblem(t *testing.T) {
	for _, c := range []struct {
		line string
		ok   bool
	}{
		{"linkstead property set PK/DN Light=1", true},
		{"linkstead user add dashboard --read '#'", true},
		{"linkstead serve &  # in the background", true},
		{"linkstead sing", false},
		{"linkstead property sett PK/DN Light=1", false},
		{"linkstead serve --no-such-flag", false},
		{"linkstead sign -k PK -d DN --secret S --client-idd 1", false},
		{"linkstead property set", false},
		{"linkstead user add", false},
		{"linkstead config extra", false},
		{"linkstead history --every", false},
	} {
		if err := callProblem(callArgs(shellWords(c.line)), false); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.line, err)
		}
	}
}

var codeSpan = regexp.MustCompile("`(linkstead [^`]+)`")

// documented returns the lines of the shell code in a Markdown text, and the calls that stand in a sentence.
func documented(text string) (lines, spans []string) {
	var prose strings.Builder
	block, shell := false, false
	var line string
	for l := range strings.Lines(text) {
		if fence, ok := strings.CutPrefix(strings.TrimSpace(l), "```"); ok {
			block, shell = !block, fence == "sh"
			continue
		}
		switch {
		case !block:
			prose.WriteString(l)
		case shell:
			line += strings.TrimRight(l, "\n")
			if more, ok := strings.CutSuffix(line, "\\"); ok {
				line = more
				continue
			}
			lines = append(lines, line)
			line = ""
		}
	}
	for _, m := range codeSpan.FindAllStringSubmatch(prose.String(), -1) {
		spans = append(spans, strings.Join(strings.Fields(m[1]), " "))
	}
	return lines, spans
}

// checkCalls checks each call of linkstead in the words of a shell line, and returns their arguments.
func checkCalls(t *testing.T, where string, words []string) [][]string {
	t.Helper()
	var calls [][]string
	for len(words) > 0 {
		end := slices.IndexFunc(words, func(w string) bool { return slices.Contains([]string{"|", "&&", "||", ";", "&"}, w) })
		command, rest := words, []string(nil)
		if end >= 0 {
			command, rest = words[:end], words[end+1:]
		}
		words = rest
		args := callArgs(command)
		if args == nil {
			continue
		}
		if err := callProblem(args, false); err != nil {
			t.Errorf("%s: %v", strings.TrimSpace(where), err)
		}
		calls = append(calls, args)
	}
	return calls
}

// callArgs returns the arguments that a shell command gives to linkstead, nil if it calls something else.
func callArgs(command []string) []string {
	for len(command) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(command[0]) {
		command = command[1:] // a variable of the environment
	}
	for _, name := range [][]string{{"linkstead"}, {"go", "run", "./cmd/linkstead"}} {
		if len(command) < len(name) || !slices.Equal(command[:len(name)], name) {
			continue
		}
		args := []string{}
		for _, a := range command[len(name):] {
			if a == "&" || strings.HasPrefix(a, ">") || strings.HasPrefix(a, "<") {
				break
			}
			args = append(args, a)
		}
		return args
	}
	return nil
}

// callProblem says what keeps args from naming a command, flags it has and arguments it takes. A sentence that
// only mentions a command may leave out its arguments. Nothing is run.
func callProblem(args []string, mention bool) error {
	root := newRoot()
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if given := cmd.Flags().Args(); len(given) > 0 || !mention {
		if err := cmd.ValidateArgs(given); err != nil {
			return err
		}
	}
	if err := cmd.ValidateRequiredFlags(); err != nil && !mention {
		return err
	}
	return cmd.ValidateFlagGroups()
}

// makeCall runs a command that needs no server. It has to do its work; explain ends with 1 where the bytes are wrong.
func makeCall(t *testing.T, where string, cmd *cobra.Command, args []string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(args, strings.NewReader(""), &stdout, &stderr)
	if code != exitOK && (cmd.Name() != "explain" || code != exitFailed) || stdout.Len() == 0 || stderr.Len() > 0 {
		t.Errorf("%s: ended with %d:\n%s%s", where, code, &stdout, &stderr)
	}
}
