package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAdopt(t *testing.T) {
	now := Default()
	next := now
	next.Log.Level = "debug"
	next.Device.Pace = Duration(time.Second)
	next.Listen = []string{":1884"}
	merged, changes := now.Adopt(&next)
	if merged.Log.Level != "debug" || merged.Device.Pace != Duration(time.Second) || merged.Listen[0] != ":1883" {
		t.Errorf("merged: %+v", merged)
	}
	if now.Log.Level != "info" {
		t.Error("the configuration in use was changed")
	}
	want := []Change{
		{"device.pace", "30ms", "1s", true},
		{"listen", []string{":1883"}, []string{":1884"}, false},
		{"log.level", "info", "debug", true},
	}
	if d := cmp.Diff(want, changes); d != "" {
		t.Error(d)
	}
	if _, changes := merged.Adopt(&merged); len(changes) != 0 {
		t.Errorf("changes to itself: %v", changes)
	}
}

// TestDocumented: docs/configuration.md has every setting once, and names those as
// taken over by a reload that are.
func TestDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile("`([a-z_.]+)`")
	listed := func(text string) map[string]int {
		out := map[string]int{}
		for line := range strings.Lines(text) {
			if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `") {
				for _, k := range key.FindAllStringSubmatch(cells[0], -1) {
					out[k[1]]++
				}
			}
		}
		return out
	}
	all, reload, found := strings.Cut(string(b), "## Reload")
	if !found {
		t.Fatal("there is no section Reload")
	}
	settings, taken := listed(all), listed(reload)
	c := Default()
	for k := range c.flat() {
		if settings[k] != 1 {
			t.Errorf("%s is documented %d times", k, settings[k])
		}
		if Live(k) != (taken[k] == 1) {
			t.Errorf("%s: live is %v, the section Reload has it %d times", k, Live(k), taken[k])
		}
		delete(settings, k)
		delete(taken, k)
	}
	for k := range settings {
		t.Errorf("%s is documented, but no setting", k)
	}
	for k := range taken {
		t.Errorf("%s is taken over, but no setting", k)
	}
}
