package topics

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// readAll collects what a filter visits, in slices of the given size.
func readAll[M any](r *Retained[M], filter string, max int) (topics []string) {
	for cur, done := (Cursor{}), false; !done; {
		visited := 0
		cur, done = r.Match(filter, cur, max, func(topic string, _ M) {
			topics = append(topics, topic)
			visited++
		})
		if visited > max {
			panic(fmt.Sprintf("%d visits in a slice of %d", visited, max))
		}
	}
	return topics
}

func TestRetainedMatch(t *testing.T) {
	r := NewRetained[string]()
	for _, c := range matchCases {
		r.Set(c.topic, c.topic)
	}
	for _, c := range matchCases {
		n := 0
		for _, topic := range readAll(r, c.filter, 3) {
			if topic == c.topic {
				n++
			}
		}
		if c.want && n != 1 || !c.want && n != 0 {
			t.Errorf("%s: %q visits %q %d times, want %v", c.clause, c.filter, c.topic, n, c.want)
		}
	}
}

func TestRetainedSet(t *testing.T) { // [MQTT-3.3.1-5]
	r := NewRetained[int]()
	if old, replaced := r.Set("a/b", 1); old != 0 || replaced {
		t.Errorf("the first message replaced %d, %v", old, replaced)
	}
	if old, replaced := r.Set("a/b", 2); old != 1 || !replaced {
		t.Errorf("the second message replaced %d, %v", old, replaced)
	}
	if m, ok := r.Get("a/b"); m != 2 || !ok || r.Count() != 1 {
		t.Errorf("there is %d, %v; %d topics", m, ok, r.Count())
	}
	if _, ok := r.Get("a"); ok {
		t.Error("a parent has a message that nobody retained")
	}
	if r.DeleteIf("a/b", func(m int) bool { return m == 1 }) || r.DeleteIf("a", func(int) bool { return true }) || r.Count() != 1 {
		t.Error("deleted without cause")
	}
	if !r.DeleteIf("a/b", func(m int) bool { return m == 2 }) || r.Count() != 0 || readAll(r, "#", 10) != nil {
		t.Error("not deleted")
	}
	r.Set("a/b", 2)
	if m, existed := r.Delete("a/b"); m != 2 || !existed {
		t.Errorf("deleted %d, %v", m, existed)
	}
	if m, existed := r.Delete("a/b"); m != 0 || existed || r.Count() != 0 {
		t.Errorf("deleted again %d, %v; %d topics", m, existed, r.Count())
	}
	if got := readAll(r, "#", 10); got != nil {
		t.Errorf("left over: %v", got)
	}
}

func TestCompareNames(t *testing.T) {
	sorted := []string{"", "/", "//", "/a", "!", "$SYS", "$SYS/a", "%", "a", "a/", "a/b", "a/b/c", "a/b!", "a!", "a!/b", "a-b", "aa",
		"b", "long-common-prefix", "long-common-prefix/x", "long-common-prefix!"}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := compareNames(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("compareNames(%q, %q) = %d", a, b, got)
			}
		}
	}
}

// TestRetainedModel compares the store with a map, in slices of any size.
func TestRetainedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, m := NewRetained[int](), map[string]int{}
		names := rapid.SliceOfN(rapid.Custom(drawTopic), 1, 60).Draw(t, "names")
		for _, name := range names {
			r.Set(name, len(name))
			m[name] = len(name)
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				topic, v := drawTopic(t), rapid.Int().Draw(t, "v")
				was, had := m[topic]
				if old, replaced := r.Set(topic, v); old != was || replaced != had {
					t.Fatalf("Set(%q) = %d, %v; want %d, %v", topic, old, replaced, was, had)
				}
				m[topic] = v
			},
			"delete": func(t *rapid.T) {
				topic := drawTopic(t)
				if known := sortedKeys(m); len(known) > 0 && rapid.Bool().Draw(t, "known") {
					topic = rapid.SampledFrom(known).Draw(t, "topic")
				}
				was, had := m[topic]
				if old, existed := r.Delete(topic); old != was || existed != had {
					t.Fatalf("Delete(%q) = %d, %v; want %d, %v", topic, old, existed, was, had)
				}
				delete(m, topic)
			},
			"unread": func(t *rapid.T) { // for so long that new topics are not sorted any more
				r.sorting.Store(0)
				for range rapid.IntRange(1, 30).Draw(t, "n") {
					topic := drawTopic(t)
					if rapid.Bool().Draw(t, "gone") {
						r.Delete(topic)
						delete(m, topic)
						continue
					}
					r.Set(topic, len(topic))
					m[topic] = len(topic)
				}
			},
			"": func(t *rapid.T) {
				_, filter, _, _ := ParseShared(drawFilter(t))
				var want []string
				for topic := range m {
					if bruteMatches(filter, topic) {
						want = append(want, topic)
					}
				}
				sort.Slice(want, func(i, j int) bool { return compareNames(want[i], want[j]) < 0 })
				got := readAll(r, filter, rapid.IntRange(1, 9).Draw(t, "max"))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%q: (-want +got)\n%s", filter, diff)
				}
				topic := drawTopic(t)
				v, had := m[topic]
				if got, ok := r.Get(topic); got != v || ok != had || r.Count() != len(m) {
					t.Fatalf("Get(%q) = %d, %v; count %d of %d", topic, got, ok, r.Count(), len(m))
				}
			},
		})
	})
}

// TestRetainedLarge passes many blocks through splits and merges.
func TestRetainedLarge(t *testing.T) {
	const n = 20000
	r := NewRetained[int]()
	topic := func(i int) string { return fmt.Sprintf("d/%d/%d/v", i*7919%n, i%3) }
	for i := range n {
		r.Set(topic(i), i)
	}
	check := func(filter string, want int) {
		t.Helper()
		got := readAll(r, filter, 100)
		for i := 1; i < len(got); i++ {
			if compareNames(got[i-1], got[i]) >= 0 {
				t.Fatalf("%s: %q comes after %q", filter, got[i], got[i-1])
			}
		}
		if len(got) != want {
			t.Errorf("%s: %d visits, want %d", filter, len(got), want)
		}
	}
	check("#", n)
	check("d/+/1/v", (n+1)/3)
	check("d/+/+/w", 0)
	check("d/7919/#", 1)
	check("+/+", 0)
	for i := range n {
		if i%100 != 0 {
			if m, ok := r.Delete(topic(i)); m != i || !ok {
				t.Fatalf("Delete(%q) = %d, %v", topic(i), m, ok)
			}
		}
	}
	check("#", n/100)
	for i, b := range r.shelf.blocks {
		if len(b.items) == 0 || len(b.items) > blockSize {
			t.Fatalf("block %d holds %d items", i, len(b.items))
		}
		if last := b.items[len(b.items)-1].topic; b.last != last {
			t.Errorf("block %d says its last topic is %q, it is %q", i, b.last, last)
		}
		if i > 0 && len(b.items)+len(r.shelf.blocks[i-1].items) < blockSize/4 {
			t.Errorf("blocks %d and %d hold only %d and %d items", i-1, i, len(r.shelf.blocks[i-1].items), len(b.items))
		}
	}
	for i := range n {
		r.Delete(topic(i))
	}
	check("#", 0)
	if r.Count() != 0 || len(r.shelf.blocks) != 0 {
		t.Errorf("%d topics, %d blocks are left", r.Count(), len(r.shelf.blocks))
	}
}

// TestRetainedUnread: nobody asks for the order of many topics, most of which go
// again; then somebody does, while others come.
func TestRetainedUnread(t *testing.T) {
	const n = 5000
	r := NewRetained[int]()
	topic := func(i int) string { return fmt.Sprintf("d/%d/%d", i*7919%n, i%3) }
	for i := range n {
		r.Set(topic(i), i)
	}
	if len(r.shelf.blocks) != 0 {
		t.Errorf("%d blocks were sorted for nobody", len(r.shelf.blocks))
	}
	for i := range n {
		if i%7 > 1 {
			r.Delete(topic(i))
		}
	}
	if most := (n*2/7)/blockSize + 1; len(r.newcomers.blocks) > most {
		t.Errorf("%d topics take %d blocks, want at most %d", r.Count(), len(r.newcomers.blocks), most)
	}
	seen, slices := map[string]int{}, 0
	for cur, done := (Cursor{}), false; !done; slices++ {
		if slices > n {
			t.Fatal("a reader does not catch up with new topics")
		}
		for i := range blockSize { // as many as a slice puts in order
			r.Set(fmt.Sprintf("new/%d/%d", slices, i), 0)
		}
		cur, done = r.Match("d/#", cur, 100, func(topic string, i int) {
			if i%7 > 1 {
				t.Errorf("%s is there again", topic)
			}
			seen[topic]++
		})
	}
	for i := range n {
		if want := map[bool]int{true: 1}[i%7 <= 1]; seen[topic(i)] != want {
			t.Errorf("%s was visited %d times, want %d", topic(i), seen[topic(i)], want)
		}
	}
	for _, topic := range readAll(r, "#", 100) {
		r.Delete(topic)
	}
	if r.Count() != 0 || !r.newcomers.empty() || len(r.shelf.blocks) != 0 {
		t.Errorf("%d topics, %d and %d blocks are left", r.Count(), len(r.newcomers.blocks), len(r.shelf.blocks))
	}
}

// TestRetainedSliceIsBounded: a filter that matches nothing among many topics
// still returns from every slice.
func TestRetainedSliceIsBounded(t *testing.T) {
	r := NewRetained[int]()
	const n = 5000
	for i := range n {
		r.Set(fmt.Sprintf("d/%d/a", i), i)
	}
	slices, done := 0, false
	for cur := (Cursor{}); !done; slices++ {
		cur, done = r.Match("d/+/z", cur, 10, func(topic string, _ int) { t.Errorf("%q was visited", topic) })
	}
	if least := n / (2*turn + stepsPerVisit*10); slices < least {
		t.Errorf("%d topics were passed in %d slices, want at least %d", n, slices, least)
	}
}

// TestRetainedChangesDuringRead: visits change the store; what stays is visited
// exactly once.
func TestRetainedChangesDuringRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRetained[bool]() // true: stays
		for i := range 600 {
			r.Set(fmt.Sprintf("s/%03d/%d", i, i%2), true)
			r.Set(fmt.Sprintf("t/%03d/%d", i, i%2), false)
		}
		rnd := rapid.IntRange(0, 599)
		max := rapid.IntRange(1, 100).Draw(t, "max")
		filter := rapid.SampledFrom([]string{"#", "+/+/1", "+/#", "s/+/1", "s/#"}).Draw(t, "filter")
		seen := map[string]int{}
		done := false
		for cur := (Cursor{}); !done; {
			for range 20 {
				i := rnd.Draw(t, "i")
				r.Delete(fmt.Sprintf("t/%03d/%d", i, i%2))
				r.Set(fmt.Sprintf("s/%03d-/%d", i, i%2), false)
				r.Set(fmt.Sprintf("s/%03d", i), false)
				r.Delete(fmt.Sprintf("s/%03d-/%d", i/2, i/2%2))
			}
			cur, done = r.Match(filter, cur, max, func(topic string, stays bool) {
				if stays || seen[topic] > 0 {
					seen[topic]++
				}
				if !stays {
					r.Delete(topic)
				}
			})
		}
		for i := range 600 {
			topic := fmt.Sprintf("s/%03d/%d", i, i%2)
			if want := map[bool]int{true: 1}[bruteMatches(filter, topic)]; seen[topic] != want {
				t.Fatalf("%s with %s: visited %d times, want %d", topic, filter, seen[topic], want)
			}
		}
	})
}

func TestRetainedConcurrent(t *testing.T) {
	r := NewRetained[int]()
	for i := range 1000 {
		r.Set(fmt.Sprintf("stay/%d", i), -1)
	}
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for i := range 3000 {
				topic := fmt.Sprintf("stay/%d/%d", i%500, w)
				r.Set(topic, i)
				if m, ok := r.Get(topic); m != i || !ok {
					t.Errorf("%s: %d, %v right after setting %d", topic, m, ok, i)
					return
				}
				if i%3 > 0 {
					r.Delete(topic)
				}
			}
		}()
		go func() {
			defer wg.Done()
			for range 20 {
				stay := 0
				for _, topic := range readAll(r, "stay/#", 50) {
					if strings.Count(topic, "/") == 1 {
						stay++
					}
				}
				if stay != 1000 {
					t.Errorf("a reader saw %d of 1000", stay)
					return
				}
			}
		}()
	}
	wg.Wait()
}

func TestRetainedDoesNotAllocate(t *testing.T) {
	r := NewRetained[*int]()
	m := new(int)
	for i := range 1000 {
		r.Set(fmt.Sprintf("d/%d/%d", i, i%3), m)
	}
	if n := testing.AllocsPerRun(100, func() { r.Set("d/7/1", m); r.Get("d/7/1") }); n != 0 {
		t.Errorf("replacing and getting allocates %v times", n)
	}
	visits := 0
	visit := func(string, *int) { visits++ }
	if n := testing.AllocsPerRun(10, func() {
		for cur, done := (Cursor{}), false; !done; {
			cur, done = r.Match("d/+/1", cur, 50, visit)
		}
	}); n > 0 || visits != 11*333 {
		t.Errorf("reading allocates %v times; %d visits", n, visits)
	}
}
