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
