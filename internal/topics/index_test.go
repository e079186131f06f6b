package topics

import (
	"fmt"
	"runtime"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestIndexMatch(t *testing.T) {
	x := New[string]()
	for _, c := range matchCases {
		x.Subscribe(c.filter, c.filter, QoS1, 0)
	}
	for _, c := range matchCases {
		entries, shared := x.Match(c.topic, nil, nil)
		n := 0
		for _, e := range entries {
			if e.Subscriber == c.filter {
				n++
			}
		}
		if c.want && n != 1 || !c.want && n != 0 {
			t.Errorf("%s: %q matches %q %d times, want %v", c.clause, c.filter, c.topic, n, c.want)
		}
		if len(shared) != 0 {
			t.Errorf("%q: %d shared groups from nowhere", c.topic, len(shared))
		}
	}
}

func TestSubscribeReplaces(t *testing.T) { // [MQTT-3.8.4-3]
	for _, f := range []string{"a/b", "a/+", "#"} {
		x := New[int]()
		if x.Subscribe(f, 1, QoS1, 7) {
			t.Errorf("%s: the first subscription replaced something", f)
		}
		before := x.Generation()
		if !x.Subscribe(f, 1, QoS2|NoLocal, 8) {
			t.Errorf("%s: the second subscription did not replace the first", f)
		}
		if x.Generation() == before {
			t.Errorf("%s: new options left the generation as it was", f)
		}
		before = x.Generation()
		if !x.Subscribe(f, 1, QoS2|NoLocal, 8) || x.Generation() != before {
			t.Errorf("%s: the same subscription again changed the generation", f)
		}
		got, _ := x.Match("a/b", nil, nil)
		if diff := cmp.Diff([]Entry[int]{{1, QoS2 | NoLocal, 8}}, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", f, diff)
		}
		if x.Len() != 1 || x.Subscriptions() != 1 {
			t.Errorf("%s: %d filters, %d subscriptions", f, x.Len(), x.Subscriptions())
		}
		if x.Unsubscribe(f, 2) || !x.Unsubscribe(f, 1) || x.Unsubscribe(f, 1) {
			t.Errorf("%s: unsubscribing reported the wrong thing", f)
		}
		if x.Len() != 0 || x.Subscriptions() != 0 {
			t.Errorf("%s: %d filters, %d subscriptions are left", f, x.Len(), x.Subscriptions())
		}
	}
}

func TestUnsubscribeComparesText(t *testing.T) { // [MQTT-3.10.4-1]
	x := New[int]()
	x.Subscribe("a/#", 1, 0, 0)
	for _, f := range []string{"a/+", "a", "A/#", "a/b", "#", "$share/g/a/#", "a/b/#"} {
		if x.Unsubscribe(f, 1) {
			t.Errorf("unsubscribing %q ended \"a/#\"", f)
		}
	}
	if e, _ := x.Match("a/b", nil, nil); len(e) != 1 {
		t.Errorf("%d matches, want 1", len(e))
	}
}

func TestManySubscribersOfOneFilter(t *testing.T) {
	for _, f := range []string{"news", "news/#"} {
		x := New[int]()
		const n = 3000
		for i := range n {
			x.Subscribe(f, i, 0, uint32(i))
		}
		for i := range n {
			if !x.Subscribe(f, i, QoS1, uint32(i)) {
				t.Fatalf("%s: subscriber %d was not there", f, i)
			}
		}
		for i := 0; i < n; i += 2 {
			if !x.Unsubscribe(f, i) {
				t.Fatalf("%s: subscriber %d was not there to remove", f, i)
			}
		}
		got, _ := x.Match("news", nil, nil)
		sort.Slice(got, func(i, j int) bool { return got[i].Subscriber < got[j].Subscriber })
		var want []Entry[int]
		for i := 1; i < n; i += 2 {
			want = append(want, Entry[int]{i, QoS1, uint32(i)})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", f, diff)
		}
		if x.Len() != 1 || x.Subscriptions() != n/2 {
			t.Errorf("%s: %d filters, %d subscriptions", f, x.Len(), x.Subscriptions())
		}
		for i := 1; i < n; i += 2 {
			x.Unsubscribe(f, i)
		}
		if x.Len() != 0 || x.Subscriptions() != 0 {
			t.Errorf("%s: %d filters, %d subscriptions are left", f, x.Len(), x.Subscriptions())
		}
	}
}

// TestDeepTopics shows that neither depth nor the number of paths through the
// tree can exhaust the stack or run away.
func TestDeepTopics(t *testing.T) {
	const depth = 10000
	deep := strings.TrimSuffix(strings.Repeat("a/", depth), "/")
	x := New[int]()
	x.Subscribe(strings.TrimSuffix(strings.Repeat("+/", depth), "/"), 1, 0, 0)
	x.Subscribe(strings.Repeat("a/", depth-1)+"#", 2, 0, 0)
	x.Subscribe(strings.Repeat("a/+/", depth/2-1)+"#", 3, 0, 0)
	x.Subscribe("#", 4, 0, 0)
	if e, _ := x.Match(deep, nil, nil); len(e) != 4 {
		t.Errorf("%d matches, want 4", len(e))
	}
	if e, _ := x.Match(deep+"/a", nil, nil); len(e) != 3 {
		t.Errorf("one level deeper: %d matches, want 3", len(e))
	}
	if !Matches(strings.Repeat("a/", depth-1)+"#", deep) || !Covers("+/#", deep) {
		t.Error("Matches or Covers gave up on the deep topic")
	}
	r := NewRetained[int]()
	r.Set(deep, 1)
	n := 0
	if _, done := r.Match(strings.Repeat("+/", depth-1)+"#", Cursor{}, 10, func(string, int) { n++ }); !done || n != 1 {
		t.Errorf("retained: %d visits, done %v", n, done)
	}
	for s, f := range map[int]string{1: strings.TrimSuffix(strings.Repeat("+/", depth), "/"),
		2: strings.Repeat("a/", depth-1) + "#", 3: strings.Repeat("a/+/", depth/2-1) + "#", 4: "#"} {
		if !x.Unsubscribe(f, s) {
			t.Errorf("subscription %d was lost", s)
		}
	}
	checkEmpty(t, x)
}

// checkEmpty reports memory that an index without subscriptions still holds.
func checkEmpty[S comparable](t testing.TB, x *Index[S]) {
	t.Helper()
	if x.Len() != 0 || x.Subscriptions() != 0 {
		t.Errorf("%d filters, %d subscriptions are left", x.Len(), x.Subscriptions())
	}
	if x.tree.root.kids != 0 || x.tree.root.plus != nil || x.tree.lists.Load() != 0 {
		t.Errorf("the tree still has %d children at its root, %d lists", x.tree.root.kids, x.tree.lists.Load())
	}
	for i := range x.tree.edges.segment {
		if n := x.tree.edges.segment[i].used; n != 0 {
			t.Errorf("segment %d still has %d edges", i, n)
		}
	}
	for i := range x.exact.shards {
		if n := x.exact.shards[i].table.used; n != 0 {
			t.Errorf("shard %d still has %d filters", i, n)
		}
	}
}

// levels and the generators below are small, so that filters, prefixes and
// topics meet often.
var levels = []string{"a", "b", "", "$s", "a-level-longer-than-a-node-can-hold"}

func drawTopic(t *rapid.T) string {
	parts := rapid.SliceOfN(rapid.SampledFrom(levels), 1, 7).Draw(t, "topic")
	if s := strings.Join(parts, "/"); s != "" {
		return s
	}
	return "a"
}

func drawFilter(t *rapid.T) string {
	parts := rapid.SliceOfN(rapid.SampledFrom(append([]string{"+", "+"}, levels...)), 1, 7).Draw(t, "filter")
	if rapid.IntRange(0, 2).Draw(t, "hash") == 0 {
		parts[len(parts)-1] = "#"
	}
	f := strings.Join(parts, "/")
	if f == "" {
		f = "a"
	}
	if rapid.IntRange(0, 3).Draw(t, "shared") == 0 {
		f = "$share/" + rapid.SampledFrom([]string{"g", "h"}).Draw(t, "group") + "/" + f
	}
	return f
}

// model is the index as a list of subscriptions.
type model map[string]map[int]Entry[int]

func (m model) match(topic string) (entries []string, shared []string) {
	for f, subs := range m {
		group, rest, ok, _ := ParseShared(f)
		if !bruteMatches(rest, topic) {
			continue
		}
		var es []string
		for _, e := range subs {
			es = append(es, fmt.Sprint(e))
		}
		if !ok {
			entries = append(entries, es...)
		} else if len(es) > 0 {
			sort.Strings(es)
			shared = append(shared, fmt.Sprint(group, " ", rest, " ", es))
		}
	}
	sort.Strings(entries)
	sort.Strings(shared)
	return entries, shared
}

func render(es []Entry[int], gs []*Group[int]) (entries []string, shared []string) {
	for _, e := range es {
		entries = append(entries, fmt.Sprint(e))
	}
	for _, g := range gs {
		var ms []string
		for _, e := range g.Members() {
			ms = append(ms, fmt.Sprint(e))
		}
		sort.Strings(ms)
		shared = append(shared, fmt.Sprint(g.Name, " ", g.Filter, " ", ms))
	}
	sort.Strings(entries)
	sort.Strings(shared)
	return entries, shared
}

// TestIndexModel runs random changes against the index, two caches and a list,
// and compares what they know of random topics after every change.
func TestIndexModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, m := New[int](), model{}
		caches := []*Cache[int]{NewCache(x, 100, 1<<20), NewCache(x, 3, 1<<20)}
		topics := []string{drawTopic(t), drawTopic(t), drawTopic(t), drawTopic(t), drawTopic(t)}
		check := func(topic string) {
			we, ws := m.match(topic)
			e, s := x.Match(topic, nil, nil)
			ge, gs := render(e, s)
			if diff := cmp.Diff([][]string{we, ws}, [][]string{ge, gs}); diff != "" {
				t.Fatalf("%q: index (-want +got)\n%s", topic, diff)
			}
			for i, c := range caches {
				r := c.Lookup([]byte(topic))
				ge, gs := render(r.Entries, r.Shared)
				if diff := cmp.Diff([][]string{we, ws}, [][]string{ge, gs}); diff != "" || r.Topic != topic {
					t.Fatalf("%q: cache %d, route of %q (-want +got)\n%s", topic, i, r.Topic, diff)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				f, s := drawFilter(t), rapid.IntRange(0, 20).Draw(t, "s")
				e := Entry[int]{s, Options(rapid.IntRange(0, 1).Draw(t, "o")), uint32(rapid.IntRange(0, 1).Draw(t, "id"))}
				_, was := m[f][s]
				if got := x.Subscribe(f, s, e.Options, e.ID); got != was {
					t.Fatalf("Subscribe(%q, %d) replaced: %v", f, s, got)
				}
				if m[f] == nil {
					m[f] = map[int]Entry[int]{}
				}
				m[f][s] = e
			},
			"unsubscribe": func(t *rapid.T) {
				var f string
				if known := sortedKeys(m); len(known) > 0 && rapid.Bool().Draw(t, "known") {
					f = rapid.SampledFrom(known).Draw(t, "f")
				} else {
					f = drawFilter(t)
				}
				s := rapid.IntRange(0, 20).Draw(t, "s")
				if own := sortedKeys(m[f]); len(own) > 0 && rapid.Bool().Draw(t, "own") {
					s = rapid.SampledFrom(own).Draw(t, "one")
				}
				_, was := m[f][s]
				if got := x.Unsubscribe(f, s); got != was {
					t.Fatalf("Unsubscribe(%q, %d): %v", f, s, got)
				}
				if delete(m[f], s); len(m[f]) == 0 {
					delete(m, f)
				}
			},
			"crowd": func(t *rapid.T) {
				f := drawFilter(t)
				if m[f] == nil {
					m[f] = map[int]Entry[int]{}
				}
				for s := range 40 {
					x.Subscribe(f, s, 0, 0)
					m[f][s] = Entry[int]{s, 0, 0}
				}
			},
			"leave all": func(t *rapid.T) {
				for f, subs := range m {
					for s := range subs {
						if s >= 20 || s%2 == 0 {
							x.Unsubscribe(f, s)
							if delete(subs, s); len(subs) == 0 {
								delete(m, f)
							}
						}
					}
				}
			},
			"": func(t *rapid.T) {
				n := 0
				for _, subs := range m {
					n += len(subs)
				}
				if x.Len() != len(m) || x.Subscriptions() != n {
					t.Fatalf("%d filters, %d subscriptions; want %d, %d", x.Len(), x.Subscriptions(), len(m), n)
				}
				for _, topic := range topics {
					check(topic)
				}
				check(drawTopic(t))
			},
		})
		for f, subs := range m {
			for s := range subs {
				x.Unsubscribe(f, s)
			}
		}
		if x.Len() != 0 || x.Subscriptions() != 0 || x.tree.root.kids != 0 || x.tree.root.plus != nil {
			t.Fatalf("%d filters, %d subscriptions are left", x.Len(), x.Subscriptions())
		}
	})
}

func sortedKeys[K interface{ ~int | ~string }, V any](m map[K]V) []K {
	var keys []K
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	return keys
}

// TestIndexConcurrent has writers and readers meet. Each writer owns subscribers
// and knows what must match the moment its call returned.
func TestIndexConcurrent(t *testing.T) {
	x := New[int]()
	x.Subscribe("d/#", -1, 0, 0)
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	for w := range 4 {
		writers.Add(1)
		go func() {
			defer writers.Done()
			cache := NewCache(x, 64, 1<<20)
			count := func(topic string, s int) (n int) {
				for _, e := range cache.Lookup([]byte(topic)).Entries {
					if e.Subscriber == s {
						n++
					}
				}
				return n
			}
			for i := range 1500 {
				id := i % 30
				filters := []string{fmt.Sprintf("d/%d/v", id), fmt.Sprintf("d/%d/+", id), fmt.Sprintf("+/%d/v", id), fmt.Sprintf("$share/g/d/%d/#", id)}
				topic := fmt.Sprintf("d/%d/v", id)
				for k, f := range filters {
					x.Subscribe(f, w, 0, 0)
					if n := count(topic, w); n != min(k+1, 3) {
						t.Errorf("writer %d: %d matches of %s after subscribing %d filters", w, n, topic, k+1)
						return
					}
				}
				in := false
				for _, g := range cache.Lookup([]byte(topic)).Shared {
					for e := range g.Pick(g.Next()) {
						in = in || e.Subscriber == w
					}
				}
				if !in {
					t.Errorf("writer %d is not in the shared group of %s", w, topic)
					return
				}
				for k, f := range filters {
					x.Unsubscribe(f, w)
					if n := count(topic, w); n != max(2-k, 0) {
						t.Errorf("writer %d: %d matches of %s after unsubscribing %d filters", w, n, topic, k+1)
						return
					}
				}
			}
		}()
	}
	for range 2 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			cache := NewCache(x, 10, 1<<20)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				always := 0
				for _, e := range cache.Lookup(fmt.Appendf(nil, "d/%d/v", i%30)).Entries {
					if e.Subscriber == -1 {
						always++
					}
				}
				if always != 1 {
					t.Errorf("the lasting subscription was seen %d times", always)
					return
				}
				runtime.Gosched()
			}
		}()
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	x.Unsubscribe("d/#", -1)
	checkEmpty(t, x)
}

func TestMatchDoesNotAllocate(t *testing.T) {
	x := New[*int]()
	s := new(int)
	for _, f := range []string{"s/1/2/v", "s/1/2/+", "s/1/#", "+/1/+/v", "$share/g/s/1/2/v", "#"} {
		x.Subscribe(f, s, QoS1, 1)
	}
	dst, shared := make([]Entry[*int], 0, 8), make([]*Group[*int], 0, 8)
	var e []Entry[*int]
	var g []*Group[*int]
	if n := testing.AllocsPerRun(100, func() { e, g = x.Match("s/1/2/v", dst, shared) }); n != 0 {
		t.Errorf("Match allocates %v times", n)
	}
	if len(e) != 5 || len(g) != 1 {
		t.Errorf("%d entries, %d groups", len(e), len(g))
	}
	picked := 0
	if n := testing.AllocsPerRun(100, func() {
		for e := range g[0].Pick(g[0].Next()) {
			picked += int(e.ID)
		}
	}); n != 0 || picked == 0 {
		t.Errorf("Pick allocates %v times, picked %d", n, picked)
	}
	if n := testing.AllocsPerRun(100, func() { Matches("s/+/#", "s/1/2/v"); Covers("s/+/#", "s/1/+/v") }); n != 0 {
		t.Errorf("Matches and Covers allocate %v times", n)
	}
}
