package topics

import (
	"sync"
	"testing"
)

func TestGroupRoundRobin(t *testing.T) {
	x := New[int]()
	for s := range 3 {
		x.Subscribe("$share/g/a/#", s, Options(s), uint32(s))
	}
	_, groups := x.Match("a/b", nil, nil)
	if len(groups) != 1 || groups[0].Name != "g" || groups[0].Filter != "a/#" {
		t.Fatalf("groups %+v", groups)
	}
	g := groups[0]
	got := [3]int{}
	for range 300 {
		for e := range g.Pick(g.Next()) {
			got[e.Subscriber]++
			break
		}
	}
	if got != [3]int{100, 100, 100} {
		t.Errorf("round robin gave %v", got)
	}
	var order []int
	for e := range g.Pick(4) {
		order = append(order, e.Subscriber)
	}
	if len(order) != 3 || order[0] != 1 || order[1] != 2 || order[2] != 0 {
		t.Errorf("from 4 on the order is %v", order)
	}
	if !x.Subscribe("$share/g/a/#", 1, QoS2, 9) {
		t.Error("joining again did not replace")
	}
	for e := range g.Pick(1) {
		if e.Options != QoS2 || e.ID != 9 {
			t.Errorf("the replaced member is %+v", e)
		}
		break
	}
	for s := range 3 {
		x.Unsubscribe("$share/g/a/#", s)
	}
	for e := range g.Pick(0) {
		t.Errorf("the empty group still has %+v", e)
	}
	checkEmpty(t, x)
}

// TestGroupsAreApart: the same filter shared by two groups, and not shared, is
// three subscriptions.
func TestGroupsAreApart(t *testing.T) {
	x := New[int]()
	for i, f := range []string{"$share/g/a", "$share/h/a", "a"} {
		x.Subscribe(f, 1, 0, 0)
		if x.Len() != i+1 || x.Subscriptions() != i+1 {
			t.Errorf("after %s: %d filters, %d subscriptions", f, x.Len(), x.Subscriptions())
		}
	}
	e, g := x.Match("a", nil, nil)
	if len(e) != 1 || len(g) != 2 {
		t.Errorf("%d entries, %d groups", len(e), len(g))
	}
	if !x.Unsubscribe("a", 1) {
		t.Error("the ordinary subscription was not there")
	}
	if e, g := x.Match("a", nil, nil); len(e) != 0 || len(g) != 2 {
		t.Errorf("then %d entries, %d groups", len(e), len(g))
	}
}

// TestGroupConcurrent: while others come and go, a lasting member is offered in
// every selection exactly once.
func TestGroupConcurrent(t *testing.T) {
	x := New[int]()
	x.Subscribe("$share/g/a", -1, 0, 0)
	_, groups := x.Match("a", nil, nil)
	g := groups[0]
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 2000 {
				s := w*100 + i%40
				if x.Subscribe("$share/g/a", s, 0, 0) {
					x.Unsubscribe("$share/g/a", s)
				}
				n := 0
				for e := range g.Pick(g.Next()) {
					if e.Subscriber == -1 {
						n++
					}
				}
				if n != 1 {
					t.Errorf("the lasting member was offered %d times", n)
					return
				}
			}
		}()
	}
	wg.Wait()
	seen := map[int]bool{}
	for _, e := range g.Members() {
		if seen[e.Subscriber] {
			t.Errorf("member %d is there twice", e.Subscriber)
		}
		seen[e.Subscriber] = true
	}
	if len(seen) != x.Subscriptions() {
		t.Errorf("%d members, %d subscriptions", len(seen), x.Subscriptions())
	}
}

// TestGroupJoinOvertakes has a second member join a new group before the call that made
// the group has told the caches. When the second call returns, they must know.
func TestGroupJoinOvertakes(t *testing.T) {
	for _, filter := range []string{"a/b", "a/+"} {
		x := New[int]()
		cache := NewCache(x, 16, 1<<20)
		if n := len(cache.Lookup([]byte("a/b")).Shared); n != 0 {
			t.Fatalf("%d groups before any", n)
		}
		var first change // as in Subscribe, which has not come as far as changed
		if e := (Entry[int]{Subscriber: 1}); HasWildcard(filter) {
			first = x.tree.subscribe("g", filter, e)
		} else {
			first = x.exact.subscribe("g", filter, e)
		}
		x.Subscribe("$share/g/"+filter, 2, 0, 0)
		if n := len(cache.Lookup([]byte("a/b")).Shared); n != 1 {
			t.Errorf("%s: %d groups after the second member's call returned", filter, n)
		}
		x.changed(filter, HasWildcard(filter), first)
		before := x.Generation()
		x.Subscribe("$share/g/"+filter, 3, 0, 0)
		if x.Generation() != before {
			t.Errorf("%s: a member more changed routes", filter)
		}
	}
}
