package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/linkstead/linkstead/alink"
)

// specTopics reads the list of topics: "direction topic" in its order.
func specTopics(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/topics.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(fields) != 3 {
			t.Fatalf("testdata/topics.txt: %q is not a section, a direction and a topic", line)
		}
		out = append(out, fields[1]+" "+fields[2])
	}
	return out
}

var (
	compatibilityRow = regexp.MustCompile("^\\| `([^`]+)` \\| (\\S+) \\| (\\S+) \\| (.*) \\|$")
	testLink         = regexp.MustCompile(`\[(Test\w+)\]\(([^)]+)\)`)
)

// TestCompatibilityTable: docs/compatibility.md has exactly one row for every topic of the specification, what
// works is linked to tests that exist, and what does not says why.
func TestCompatibilityTable(t *testing.T) {
	const file = "../docs/compatibility.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		m := compatibilityRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		topic, direction, state, why := m[1], m[2], m[3], m[4]
		key := direction + " " + topic
		if rows[key] {
			t.Errorf("%s is listed twice", key)
		}
		rows[key] = true
		links := testLink.FindAllStringSubmatch(why, -1)
		switch state {
		case "works":
			if len(links) == 0 {
				t.Errorf("%s is said to work, but no test proves it", key)
			}
		case "partly", "not":
			if len(strings.TrimSpace(testLink.ReplaceAllString(why, ""))) < 20 {
				t.Errorf("%s does not say why it works %s", key, state)
			}
		default:
			t.Errorf("%s has the state %q; it is works, partly or not", key, state)
		}
	}
	for _, link := range testLink.FindAllStringSubmatch(string(b), -1) { // those of the doors as well
		source, err := os.ReadFile(filepath.Join(filepath.Dir(file), filepath.FromSlash(link[2])))
		if err != nil {
			t.Errorf("%s: %v", link[1], err)
		} else if !strings.Contains(string(source), "\nfunc "+link[1]+"(t *testing.T)") {
			t.Errorf("there is no %s in %s", link[1], link[2])
		}
	}
	for _, key := range specTopics(t) {
		if !rows[key] {
			t.Errorf("%s is missing in %s", key, file)
		}
		delete(rows, key)
	}
	for key := range rows {
		t.Errorf("%s is no topic of testdata/topics.txt", key)
	}
}

var (
	replayLink = regexp.MustCompile(`\[(Test\w+)(?:/(\w+))?\]\(\.\./e2e/(\w+\.go)\)`)
	replayed   = regexp.MustCompile(`\n\tt\.Run\("(\w+)", replay`)
)

// TestClientsTable: the table of clients in docs/compatibility.md links a replay in every row, and every scenario of
// TestReplay is in it.
func TestClientsTable(t *testing.T) {
	b, err := os.ReadFile("../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(b), "\n## Clients\n")
	_, table, found := strings.Cut(table, "\n|---|---|---|\n")
	if !ok || !found {
		t.Fatal("docs/compatibility.md has no table of clients")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	linked := map[string]bool{}
	for row := range strings.Lines(table) {
		links := replayLink.FindAllStringSubmatch(row, -1)
		if strings.Count(row, "|") != 4 || len(links) == 0 {
			t.Errorf("%q is not a client, what is particular about it and a link to its replay", row)
		}
		for _, link := range links {
			source, err := os.ReadFile(link[3])
			switch {
			case err != nil:
				t.Error(err)
			case !strings.Contains(string(source), "\nfunc "+link[1]+"(t *testing.T)"):
				t.Errorf("there is no %s in %s", link[1], link[3])
			case link[2] != "" && !strings.Contains(string(source), `t.Run("`+link[2]+`",`):
				t.Errorf("%s in %s has no %s", link[1], link[3], link[2])
			}
			linked[link[2]] = true
		}
	}
	source, err := os.ReadFile("replay_test.go")
	if err != nil {
		t.Fatal(err)
	}
	scenarios := replayed.FindAllStringSubmatch(string(source), -1)
	for _, m := range scenarios {
		if !linked[m[1]] {
			t.Errorf("TestReplay/%s is in no row", m[1])
		}
	}
	if len(scenarios) != 9 {
		t.Errorf("TestReplay has %d scenarios, spec/sdk-behaviour.md §14 has 9 behind the first", len(scenarios))
	}
}

// TestSpecTopicsAreKnown: the list names every kind of topic that package alink knows, and nothing it does not.
func TestSpecTopicsAreKnown(t *testing.T) {
	missing := map[alink.TopicKind]bool{}
	for _, k := range alink.Kinds() {
		missing[k] = k != alink.Unknown
	}
	fill := strings.NewReplacer("{P}", "pk/dn", "{topic}", "pk/dn/user/get", "{productKey}", "pk", "{messageId}", "12",
		"{eventId}", "Alarm", "{serviceId}", "Blink", "{any}", "x")
	for _, key := range specTopics(t) {
		direction, topic, _ := strings.Cut(key, " ")
		got, ok := alink.ParseTopic(fill.Replace(topic))
		if !ok || got.Kind == alink.Unknown {
			t.Errorf("%s: package alink does not know it", topic)
			continue
		}
		if fmt.Sprint(got.Kind.Direction()) != direction {
			t.Errorf("%s goes %s, package alink says %v", topic, direction, got.Kind.Direction())
		}
		missing[got.Kind] = false
	}
	for k, is := range missing {
		if is {
			t.Errorf("no topic of kind %v is listed", k)
		}
	}
}
