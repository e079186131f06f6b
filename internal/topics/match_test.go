package topics

import (
	"strings"
	"testing"
)

// matchCases are the examples of the standard by clause, and the corners
// between them. The same table runs against Matches, Index and Retained.
var matchCases = []struct {
	clause, filter, topic string
	want                  bool
}{
	{"4.7.1.2", "sport/tennis/player1/#", "sport/tennis/player1", true},
	{"4.7.1.2", "sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
	{"4.7.1.2", "sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
	{"4.7.1.2", "sport/tennis/player1/#", "sport/tennis/player10", false},
	{"4.7.1.2", "sport/tennis/player1/#", "sport/tennis", false},
	{"4.7.1.2", "sport/#", "sport", true},
	{"4.7.1.2", "sport/#", "sport/", true},
	{"4.7.1.2", "sport/#", "sports", false},
	{"4.7.1.2", "#", "sport", true},
	{"4.7.1.2", "#", "/", true},
	{"4.7.1.2", "#", "a/b/c/d/e", true},
	{"4.7.1.2", "/#", "/", true},
	{"4.7.1.2", "/#", "/a", true},
	{"4.7.1.2", "/#", "a", false},
	{"4.7.1.2", "+/#", "a", true},
	{"4.7.1.2", "+/+/#", "a", false},
	{"4.7.1.2", "+/+/#", "a/b", true},
	{"4.7.1.3", "sport/tennis/+", "sport/tennis/player1", true},
	{"4.7.1.3", "sport/tennis/+", "sport/tennis/player2", true},
	{"4.7.1.3", "sport/tennis/+", "sport/tennis/player1/ranking", false},
	{"4.7.1.3", "sport/+", "sport", false},
	{"4.7.1.3", "sport/+", "sport/", true},
	{"4.7.1.3", "+", "sport", true},
	{"4.7.1.3", "+/tennis/#", "sport/tennis", true},
	{"4.7.1.3", "+/tennis/#", "sport/tennis/a/b", true},
	{"4.7.1.3", "+/tennis/#", "sport/golf", false},
	{"4.7.1.3", "sport/+/player1", "sport/tennis/player1", true},
	{"4.7.1.3", "sport/+/player1", "sport//player1", true},
	{"4.7.1.3", "sport/+/player1", "sport/player1", false},
	{"4.7.1.3", "+/+", "/finance", true},
	{"4.7.1.3", "/+", "/finance", true},
	{"4.7.1.3", "+", "/finance", false},
	{"4.7.1.3", "+/", "a", false},
	{"4.7.1.3", "+/", "a/", true},
	{"4.7.1.3", "+/+/+", "//", true},
	{"4.7.1.3", "+/+", "//", false},
	{"4.7.2-1", "#", "$SYS/monitor/Clients", false},
	{"4.7.2-1", "#", "$SYS", false},
	{"4.7.2-1", "+/monitor/Clients", "$SYS/monitor/Clients", false},
	{"4.7.2-1", "+", "$SYS", false},
	{"4.7.2-1", "+/#", "$SYS", false},
	{"4.7.2-1", "$SYS/#", "$SYS/monitor/Clients", true},
	{"4.7.2-1", "$SYS/#", "$SYS", true},
	{"4.7.2-1", "$SYS/monitor/+", "$SYS/monitor/Clients", true},
	{"4.7.2-1", "$SYS/+/Clients", "$SYS/monitor/Clients", true},
	{"4.7.2-1", "$SYS", "$SYS", true},
	{"4.7.2-1", "$SYS/+", "$SYS/$x", true},
	{"4.7.2-1", "a/+", "a/$x", true},
	{"4.7.2-1", "a/#", "a/$x/y", true},
	{"4.7.2-1", "/#", "/$SYS", true},
	{"4.7.2-1", "+", "$", false},
	{"4.7.3", "ACCOUNTS", "Accounts", false},
	{"4.7.3", "Accounts payable", "Accounts payable", true},
	{"4.7.3", "/finance", "finance", false},
	{"4.7.3", "finance", "finance/", false},
	{"4.7.3", "finance/", "finance", false},
	{"4.7.3-4", "\u00c5", "A\u030a", false},
	{"4.7.3-4", "A\u030a", "A\u030a", true},
	{"4.7.3", "a/b", "a/b", true},
	{"4.7.3", "a/b", "a/bc", false},
	{"4.7.3", "a/bc", "a/b", false},
	{"4.7.3", "a//b", "a/b", false},
	{"4.7.3", "+/a-long-level-that-does-not-fit-in-place", "x/a-long-level-that-does-not-fit-in-place", true},
	{"4.7.3", "+/a-long-level-that-does-not-fit-in-place", "x/a-long-level-that-does-not-fit-in-plac", false},
	{"4.7.3", "+/a-long-level-that-does-not-fit-in-place", "x/a-long-level-that-does-not-fit-in-placf", false},
}

func TestMatches(t *testing.T) {
	for _, c := range matchCases {
		if got := Matches(c.filter, c.topic); got != c.want {
			t.Errorf("%s: Matches(%q, %q) = %v", c.clause, c.filter, c.topic, got)
		}
		if got := bruteMatches(c.filter, c.topic); got != c.want {
			t.Errorf("%s: the test's own matching of %q, %q is %v", c.clause, c.filter, c.topic, got)
		}
	}
}

// bruteMatches is MQTT 4.7 word by word, on split levels.
func bruteMatches(filter, topic string) bool {
	if topic[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	return bruteLevels(strings.Split(filter, "/"), strings.Split(topic, "/"))
}

func bruteLevels(f, t []string) bool {
	switch {
	case len(f) == 0:
		return len(t) == 0
	case f[0] == "#":
		return true // any number of levels, including none
	case len(t) == 0:
		return false
	case f[0] == "+" || f[0] == t[0]:
		return bruteLevels(f[1:], t[1:])
	}
	return false
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		allowed, filter string
		want            bool
	}{
		{"#", "#", true},
		{"#", "a", true},
		{"#", "+/a", true},
		{"#", "/#", true},
		{"#", "$SYS/#", false},
		{"#", "$SYS", false},
		{"+/#", "#", true},
		{"+/#", "$SYS/#", false},
		{"+", "#", false},
		{"+/+", "#", false},
		{"+/+/#", "#", false},
		{"+", "+", true},
		{"+", "a", true},
		{"+", "$SYS", false},
		{"+/b", "$a/b", false},
		{"$SYS/#", "$SYS/#", true},
		{"$SYS/#", "$SYS/+/x", true},
		{"$SYS/#", "#", false},
		{"$SYS/+", "$SYS/$x", true},
		{"a/#", "a", true},
		{"a/#", "a/b/c", true},
		{"a/#", "a/+/#", true},
		{"a/#", "a/#", true},
		{"a/#", "+/#", false},
		{"a/#", "#", false},
		{"a/#", "ab", false},
		{"a/+/#", "a/#", false},
		{"a/+", "a/#", false},
		{"a/+", "a/+", true},
		{"a/+", "a/b", true},
		{"a/+", "a/", true},
		{"a/+", "a", false},
		{"a/+", "a/b/c", false},
		{"a/b", "a/+", false},
		{"a/b", "a/b", true},
		{"a/b", "a", false},
		{"a", "a/b", false},
		{"a", "a/#", false},
		{"+/+", "/", true},
		{"+/+/c", "a/+/c", true},
		{"a/+/c", "+/+/c", false},
	} {
		if got := Covers(c.allowed, c.filter); got != c.want {
			t.Errorf("Covers(%q, %q) = %v", c.allowed, c.filter, got)
		}
	}
}

// sampleTopics are all topics of up to four levels over an alphabet that has
// every kind of level a filter of the same alphabet can tell apart, and one, z,
// that no filter names.
var sampleTopics = func() []string {
	var all []string
	var grow func(prefix string, depth int)
	grow = func(prefix string, depth int) {
		for _, level := range []string{"a", "b", "", "$", "z"} {
			topic := prefix + level
			if topic != "" {
				all = append(all, topic)
			}
			if depth < 4 {
				grow(topic+"/", depth+1)
			}
		}
	}
	grow("", 1)
	return all
}()

// shapeFilter turns any text into a valid filter of at most three levels.
func shapeFilter(s string) string {
	var levels []string
	for i := 0; i < len(s) && len(levels) < 3; i++ {
		switch s[i] % 6 {
		case 0:
			levels = append(levels, "a")
		case 1:
			levels = append(levels, "b")
		case 2:
			levels = append(levels, "")
		case 3:
			levels = append(levels, "$")
		case 4:
			levels = append(levels, "+")
		case 5:
			return strings.Join(append(levels, "#"), "/")
		}
	}
	if f := strings.Join(levels, "/"); f != "" {
		return f
	}
	return "a"
}

// TestCoversAll compares Covers with its definition for every pair of filters of
// up to three levels.
func TestCoversAll(t *testing.T) {
	var filters []string
	seen := map[string]bool{}
	for i := 0; i < 6*6*6; i++ {
		for n := 1; n <= 3; n++ {
			s := string([]byte{byte(i % 6), byte(i / 6 % 6), byte(i / 36)}[:n])
			if f := shapeFilter(s); !seen[f] {
				seen[f] = true
				filters = append(filters, f)
			}
		}
	}
	for _, f := range filters {
		var topics []string
		for _, topic := range sampleTopics {
			if bruteMatches(f, topic) {
				topics = append(topics, topic)
			}
		}
		for _, allowed := range filters {
			want := true
			for _, topic := range topics {
				if !bruteMatches(allowed, topic) {
					want = false
					break
				}
			}
			if got := Covers(allowed, f); got != want {
				t.Errorf("Covers(%q, %q) = %v", allowed, f, got)
			}
		}
	}
}

func FuzzMatches(f *testing.F) {
	for _, c := range matchCases {
		f.Add(c.filter, c.topic)
	}
	f.Fuzz(func(t *testing.T, filter, topic string) {
		got := Matches(filter, topic) // must not fail on anything
		if (Limits{Levels: MaxBytes}).Filter(filter) != nil || (Limits{Levels: MaxBytes}).Topic(topic) != nil {
			return
		}
		if _, _, shared, _ := ParseShared(filter); shared {
			return
		}
		if want := bruteMatches(filter, topic); got != want {
			t.Errorf("Matches(%q, %q) = %v", filter, topic, got)
		}
		x := New[int]()
		x.Subscribe(filter, 1, 0, 0)
		if e, _ := x.Match(topic, nil, nil); (len(e) == 1) != got {
			t.Errorf("the index matches %q, %q %d times", filter, topic, len(e))
		}
		r := NewRetained[int]()
		r.Set(topic, 1)
		visits := 0
		r.Match(filter, Cursor{}, 10, func(string, int) { visits++ })
		if (visits == 1) != got {
			t.Errorf("retained %q is visited %d times through %q", topic, visits, filter)
		}
		x.Unsubscribe(filter, 1)
		if x.tree.root.kids != 0 || x.tree.root.plus != nil {
			t.Errorf("nodes of %q are left over", filter)
		}
	})
}

func FuzzCovers(f *testing.F) {
	f.Add("#", "$SYS/#", "$SYS/a")
	f.Add("+/#", "#", "a")
	f.Add("a/+/#", "a/#", "a")
	f.Fuzz(func(t *testing.T, allowed, filter, topic string) {
		covers := Covers(allowed, filter)
		for _, s := range []string{allowed, filter} {
			if _, _, shared, err := ParseShared(s); ValidFilter(s) != nil || shared || err != nil {
				return
			}
		}
		if !covers {
			return
		}
		// Besides the fuzzer's topic, try ones that the filter does match.
		for _, topic := range []string{
			topic,
			strings.NewReplacer("+", "x", "#", "x").Replace(filter),
			strings.NewReplacer("+", "", "#", "y/z").Replace(filter),
			strings.TrimSuffix(strings.ReplaceAll(filter, "+", "$"), "/#"),
		} {
			if ValidTopic(topic) == nil && bruteMatches(filter, topic) && !bruteMatches(allowed, topic) {
				t.Errorf("%q covers %q, but only the latter matches %q", allowed, filter, topic)
			}
		}
	})
}
