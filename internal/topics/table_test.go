package topics

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestEdgesModel drives the table with hashes that collide on purpose: all in
// one segment and within few slots, so that runs wrap around and overlap.
func TestEdgesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e edges[int]
		parents := []*node[int]{{}, {}}
		type key struct {
			parent int
			level  string
		}
		have := map[key]*node[int]{}
		hashes := map[key]uint64{}
		hash := func(k key) uint64 {
			h, ok := hashes[k]
			if !ok {
				h = rapid.Uint64Range(0, 31).Draw(t, "hash")
				hashes[k] = h
			}
			return h
		}
		draw := func(t *rapid.T) key {
			return key{rapid.IntRange(0, 1).Draw(t, "parent"), fmt.Sprint(rapid.IntRange(0, 40).Draw(t, "level"))}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				k := draw(t)
				if have[k] != nil {
					return
				}
				n := &node[int]{parent: parents[k.parent]}
				n.level.set(k.level)
				have[k] = n
				e.add(hash(k), n)
			},
			"remove": func(t *rapid.T) {
				k := draw(t)
				if n := have[k]; n != nil {
					e.remove(hash(k), n)
					delete(have, k)
				}
			},
			"": func(t *rapid.T) {
				for k, h := range hashes {
					if got := e.find(h, parents[k.parent], k.level); got != have[k] {
						t.Fatalf("find %v: %p, want %p", k, got, have[k])
					}
				}
				if used := e.segment[0].used; used != len(have) {
					t.Fatalf("%d edges counted, %d there", used, len(have))
				}
			},
		})
	})
}

// TestEdgesShrink: a table that was large gives its room back.
func TestEdgesShrink(t *testing.T) {
	x := New[int]()
	filter := func(i int) string { return fmt.Sprintf("d/%d/+", i) }
	slots := func() (n int) {
		for i := range x.tree.edges.segment {
			n += len(x.tree.edges.segment[i].tags)
		}
		return n
	}
	for i := range 50000 {
		x.Subscribe(filter(i), 1, 0, 0)
		x.Subscribe(fmt.Sprint("d/", i), 1, 0, 0)
	}
	full := slots()
	if got := len(x.exact.shards[7].table.tags); got < 50000/segments {
		t.Errorf("%d slots for some 200 filters without wildcards", got)
	}
	for i := range 50000 {
		x.Unsubscribe(filter(i), 1)
		x.Unsubscribe(fmt.Sprint("d/", i), 1)
	}
	checkEmpty(t, x)
	if n := slots(); n > segments*segmentFloor || full < 50000 {
		t.Errorf("%d slots when full, %d when empty", full, n)
	}
	for i := range x.exact.shards {
		if n := len(x.exact.shards[i].table.tags); n > segmentFloor {
			t.Errorf("shard %d still has %d slots", i, n)
		}
	}
}
