package broker

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var writeTable = flag.Bool("table", false, "write the scenarios that show a statement into docs/conformance.md")

const (
	conformanceDoc = "../../docs/conformance.md"
	scenarioFolder = "testdata/scenarios"
	awaitingFile   = "testdata/conformance/awaiting.txt"
)

// standards are the versions with their statements, complete and in the order of
// the standard, and the scenarios that are about them.
var standards = []struct{ title, list, prefix string }{
	{"MQTT 3.1.1", "testdata/conformance/mqtt311.txt", "conformance_311_"},
	{"MQTT 5.0", "testdata/conformance/mqtt5.txt", "conformance_5_"},
}

var (
	clauseName = regexp.MustCompile(`\[(MQTT-[^\]]*)\]`)
	tableRow   = regexp.MustCompile(`^\| (MQTT-\S+) \| (.+) \| (server|client|both) \| (.*) \|$`)
	testLink   = regexp.MustCompile(`\[(Test\w+)\]\(([^)]*_test\.go)\)`)
)

// scripted is a scenario that shows statements.
type scripted struct {
	file, name string // of the file without .txt
	clauses    []string
	missing    string // why it cannot succeed yet
}

// TestConformance compares docs/conformance.md with the statements of the
// standards and with the scenarios and tests that it names.
func TestConformance(t *testing.T) {
	b, err := os.ReadFile(conformanceDoc)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	awaiting := mustReadAwaiting(t)
	for _, s := range standards {
		statements := mustReadList(t, s.list)
		scenarios := mustReadScripted(t, s.prefix, awaiting)
		known := map[string]bool{}
		for _, id := range statements {
			known[id] = true
		}
		for _, sc := range scenarios {
			for _, c := range sc.clauses {
				if !known[c] {
					t.Errorf("%s: %s: %s has no statement %s", sc.file, sc.name, s.title, c)
				}
			}
		}
		checkTable(t, s.title, lines, statements, scenarios)
	}
	if *writeTable && !t.Failed() {
		if err := os.WriteFile(conformanceDoc, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkTable goes through the rows of one standard. With -table it writes the
// scenarios into them first.
func checkTable(t *testing.T, title string, lines, statements []string, scenarios []scripted) {
	t.Helper()
	var found []string
	inside := false
	for i, line := range lines {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			inside = name == title
		}
		if !inside || !strings.HasPrefix(line, "| MQTT-") {
			continue
		}
		row := tableRow.FindStringSubmatch(line)
		if row == nil {
			t.Errorf("conformance.md:%d: not a row of four cells: %s", i+1, line)
			continue
		}
		id, binds, shown := row[1], row[3], row[4]
		found = append(found, id)
		own, ofScenarios, _ := strings.Cut(shown, scenarioMark)
		own = strings.TrimSuffix(own, "; ")
		if ofScenarios != "" {
			ofScenarios = scenarioMark + ofScenarios
		}
		if want := evidence(id, scenarios); want != ofScenarios {
			if !*writeTable {
				t.Errorf("conformance.md:%d: %s is shown by\n\t%s\nthe table says\n\t%s\nwrite it with -table", i+1, id, want, ofScenarios)
			}
			ofScenarios = want
		}
		if shown = own; own != "" && ofScenarios != "" {
			shown += "; "
		}
		shown += ofScenarios
		lines[i] = fmt.Sprintf("| %s | %s | %s | %s |", id, row[2], binds, shown)

		client := strings.HasPrefix(shown, "binds the client")
		switch {
		case shown == "":
			t.Errorf("conformance.md:%d: nothing shows %s", i+1, id)
		case client != (binds == "client"):
			t.Errorf("conformance.md:%d: %s binds %s, and the last column says %q", i+1, id, binds, shown)
		case !client && ofScenarios == "" && !testLink.MatchString(own) &&
			!strings.HasPrefix(own, "*not yet*: ") && !strings.HasPrefix(own, "does not apply: "):
			t.Errorf("conformance.md:%d: %s names neither a test nor a reason why there is none: %s", i+1, id, own)
		}
		for _, link := range testLink.FindAllStringSubmatch(own, -1) {
			path := filepath.Join(filepath.Dir(conformanceDoc), link[2])
			if b, err := os.ReadFile(path); err != nil {
				t.Errorf("conformance.md:%d: %v", i+1, err)
			} else if !strings.Contains(string(b), "\nfunc "+link[1]+"(") {
				t.Errorf("conformance.md:%d: %s has no test %s", i+1, path, link[1])
			}
		}
	}
	for _, id := range statements {
		if n := countOf(found, id); n != 1 {
			t.Errorf("conformance.md has %d rows for %s of %s", n, id, title)
		}
	}
	for _, id := range found {
		if !slices.Contains(statements, id) {
			t.Errorf("conformance.md: %s has no statement %s", title, id)
		}
	}
	if !t.Failed() && !slices.Equal(found, statements) {
		t.Errorf("conformance.md: the statements of %s are not in the order of the standard", title)
	}
}

func countOf(list []string, s string) (n int) {
	for _, e := range list {
		if e == s {
			n++
		}
	}
	return n
}

// scenarioMark begins what the table says of scenarios.
const scenarioMark = "▸ "

// evidence is what the table says of the scenarios that show a statement.
func evidence(id string, scenarios []scripted) string {
	var done, missing []string
	last := ""
	for _, s := range scenarios {
		if !slices.Contains(s.clauses, id) {
			continue
		}
		text := fmt.Sprintf("[%s](../internal/broker/%s/%s.txt) *%s*", strings.TrimPrefix(s.file, "conformance_"), scenarioFolder, s.file, s.name)
		switch {
		case s.missing != "":
			missing = append(missing, fmt.Sprintf("*not yet*: %s: %s", s.missing, text))
		case s.file == last:
			done = append(done, "*"+s.name+"*")
		default:
			done = append(done, text)
			last = s.file
		}
	}
	all := strings.Join(done, ", ")
	if len(done) > 0 && len(missing) > 0 {
		all += "; "
	}
	if all += strings.Join(missing, "; "); all == "" {
		return ""
	}
	return scenarioMark + all
}

// mustReadScripted reads the names and statements of scenarios. A statement
// belongs to the scenario in whose heading or comments it stands in brackets.
func mustReadScripted(t *testing.T, prefix string, awaiting map[string]string) (all []scripted) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(scenarioFolder, prefix+"*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios %s*: %v", prefix, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		base := strings.TrimSuffix(filepath.Base(file), ".txt")
		var s *scripted
		names := map[string]bool{}
		for _, line := range strings.Split(string(b), "\n") {
			if heading, ok := strings.CutPrefix(line, "=== "); ok {
				name, _, _ := strings.Cut(heading, " [")
				if names[name] || strings.ContainsAny(name, "*;|") {
					t.Errorf("%s: the name %q is taken or has one of *;|", file, name)
				}
				names[name] = true
				all = append(all, scripted{file: base, name: name, missing: awaiting[base+": "+name]})
				s = &all[len(all)-1]
			} else if !strings.HasPrefix(line, "#") {
				continue
			}
			for _, m := range clauseName.FindAllStringSubmatch(line, -1) {
				if s == nil {
					t.Errorf("%s: %s before the first scenario", file, m[0])
				} else if !slices.Contains(s.clauses, m[1]) {
					s.clauses = append(s.clauses, m[1])
				}
			}
		}
	}
	return all
}

// mustReadAwaiting reads which scenarios cannot succeed yet, by "file: name",
// and why. A line of the list is "file: name => reason".
func mustReadAwaiting(t *testing.T) map[string]string {
	t.Helper()
	awaiting := map[string]string{}
	for _, line := range mustReadList(t, awaitingFile) {
		scenario, reason, ok := strings.Cut(line, " => ")
		file, name, named := strings.Cut(scenario, ": ")
		if !ok || !named || reason == "" || awaiting[scenario] != "" {
			t.Errorf("%s: not \"file: name => reason\", or twice: %s", awaitingFile, line)
			continue
		}
		b, err := os.ReadFile(filepath.Join(scenarioFolder, file+".txt"))
		if text := "\n" + string(b); err != nil || !strings.Contains(text, "\n=== "+name+"\n") && !strings.Contains(text, "\n=== "+name+" [") {
			t.Errorf("%s: there is no scenario %q", awaitingFile, scenario)
		}
		awaiting[scenario] = reason
	}
	return awaiting
}

// mustReadList reads the lines of a file without blank ones and comments.
func mustReadList(t *testing.T, file string) (list []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}
