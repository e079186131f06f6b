package topics

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
)

// tree holds the filters with wildcards, a node for each distinct path of
// levels.
type tree[S comparable] struct {
	mu    sync.RWMutex
	seed  maphash.Seed
	root  node[S]
	edges edges[S]
	last  uint64       // salt of the node made last
	lists atomic.Int64 // lists that are not empty: 0 spares a match the lock
}

// node is one path of levels. Its literal children are in the tree's edges.
type node[S comparable] struct {
	salt   uint64 // unique to the node; its part in the hashes of its children
	parent *node[S]
	plus   *node[S] // the `+` child
	level  levelText
	kids   uint32  // literal children
	here   list[S] // filters that end with this level
	below  list[S] // filters that end with `#` after this level
}

// saltStep is odd, so that 2^64 nodes have different salts.
const saltStep = 0x9e3779b97f4a7c15

// hash returns the hash of an edge.
func (t *tree[S]) hash(parent *node[S], level string) uint64 {
	hi, lo := bits.Mul64(maphash.String(t.seed, level)^parent.salt, 0xd6e8feb86659fd93)
	return hi ^ lo
}

// child returns the child of n at a level of a topic, or nil.
func (t *tree[S]) child(n *node[S], level string) *node[S] {
	return t.edges.find(t.hash(n, level), n, level)
}

// grow returns the child of n at a level of a filter, made if need be.
func (t *tree[S]) grow(n *node[S], level string) *node[S] {
	if level == "+" {
		if n.plus == nil {
			n.plus = t.newNode(n, level)
		}
		return n.plus
	}
	h := t.hash(n, level)
	if c := t.edges.find(h, n, level); c != nil {
		return c
	}
	c := t.newNode(n, level)
	t.edges.add(h, c)
	n.kids++
	return c
}

func (t *tree[S]) newNode(parent *node[S], level string) *node[S] {
	t.last += saltStep
	n := &node[S]{salt: t.last, parent: parent}
	n.level.set(level)
	return n
}

func (t *tree[S]) subscribe(group, filter string, e Entry[S]) change {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &t.root
	l := &n.below
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if level == "#" && !more {
			l = &n.below
			break
		}
		n = t.grow(n, level)
		l = &n.here
	}
	fresh := l.empty()
	c := l.subscribe(group, filter, e)
	if fresh {
		t.lists.Add(1)
	}
	return c
}

func (t *tree[S]) unsubscribe(group, filter string, s S) change {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &t.root
	l := &n.below
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if level == "#" && !more {
			l = &n.below
			break
		}
		if level == "+" {
			n = n.plus
		} else {
			n = t.child(n, level)
		}
		if n == nil {
			return change{}
		}
		l = &n.here
	}
	c := l.unsubscribe(group, s)
	if c.existed && l.empty() {
		t.lists.Add(-1)
		t.prune(n)
	}
	return c
}

// prune removes n and the ancestors that nothing needs any more.
func (t *tree[S]) prune(n *node[S]) {
	for n.parent != nil && n.kids == 0 && n.plus == nil && n.here.empty() && n.below.empty() {
		p := n.parent
		if p.plus == n {
			p.plus = nil
		} else {
			t.edges.remove(t.hash(p, n.level.text()), n)
			p.kids--
		}
		n = p
	}
}

// step is a node that the walk has still to visit, and where in the topic the
// level of its children begins; beyond the end if the topic is used up.
type step[S comparable] struct {
	node *node[S]
	at   int
}

// match appends what the filters with wildcards have for the topic. The walk
// goes depth first with a stack of its own, which holds at most one waiting node
// for each level that the tree and the topic share.
func (t *tree[S]) match(topic string, dst []Entry[S], shared []*Group[S]) ([]Entry[S], []*Group[S]) {
	if t.lists.Load() == 0 {
		return dst, shared
	}
	t.mu.RLock()
	defer t.mu.RUnlock()

	var room [32]step[S]
	stack := room[:0]
	n, at := &t.root, 0
	if isReserved(topic) {
		// Leading wildcards do not match it: enter below the root.
		end := levelEnd(topic, 0)
		if n, at = t.child(n, topic[:end]), end+1; n == nil {
			return dst, shared
		}
	}
	for {
		if !n.below.empty() {
			dst, shared = n.below.appendTo(dst, shared)
		}
		var next *node[S]
		if at > len(topic) {
			if !n.here.empty() {
				dst, shared = n.here.appendTo(dst, shared)
			}
		} else if n.kids > 0 || n.plus != nil {
			end := levelEnd(topic, at)
			if n.kids > 0 {
				next = t.child(n, topic[at:end])
			}
			if n.plus != nil {
				if next == nil {
					next = n.plus
				} else {
					stack = append(stack, step[S]{n.plus, end + 1})
				}
			}
			at = end + 1
		}
		if n = next; n == nil {
			if len(stack) == 0 {
				return dst, shared
			}
			top := len(stack) - 1
			n, at = stack[top].node, stack[top].at
			stack = stack[:top]
		}
	}
}

// levelEnd returns where the level that begins at start ends.
func levelEnd(s string, start int) int {
	if i := strings.IndexByte(s[start:], '/'); i >= 0 {
		return start + i
	}
	return len(s)
}
