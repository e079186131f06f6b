package topics

import (
	"iter"
	"sync/atomic"
)

// Group is the subscribers that share one filter: each message goes to one of
// them [MQTT-4.8.2-3]. A Group may be kept and used by any goroutine while its
// members come and go; one that lost its last member stays empty forever (the
// next to join forms a new Group).
type Group[S comparable] struct {
	Name   string // the group name of `$share/{group}/{filter}`
	Filter string // the filter behind the group
	Text   string // the whole, as it is subscribed to

	next    atomic.Uint32
	members atomic.Pointer[[]Entry[S]]
	at      map[S]int32 // position by subscriber, for the writer; nil while small

	known atomic.Bool // caches have been told that it is there
}

func (g *Group[S]) key() string { return g.Name }

// Members returns the members of this moment. The slice is shared: do not
// change it.
func (g *Group[S]) Members() []Entry[S] {
	if m := g.members.Load(); m != nil {
		return *m
	}
	return nil
}

// Next returns the next number of the group's round robin, to pass to
// [Group.Pick]. It wraps around.
func (g *Group[S]) Next() uint32 { return g.next.Add(1) - 1 }

// Pick iterates over every member of this moment exactly once, beginning with
// member start modulo their number. The caller takes the first that can receive
// and stops. Pass [Group.Next] for round robin, a random number for random
// choice, a hash of the publisher or topic to stay with one member.
func (g *Group[S]) Pick(start uint32) iter.Seq[Entry[S]] {
	return func(yield func(Entry[S]) bool) {
		m := g.Members()
		if len(m) == 0 {
			return
		}
		i := int(start % uint32(len(m)))
		for range m {
			if !yield(m[i]) {
				return
			}
			if i++; i == len(m) {
				i = 0
			}
		}
	}
}

// join adds or replaces a member and reports whether it was there. The caller
// holds the lock of the filter.
func (g *Group[S]) join(e Entry[S]) (existed bool) {
	old := g.Members()
	i := g.find(old, e.Subscriber)
	if i < 0 {
		// Readers know only the members up to the length they loaded, so
		// the array may be extended under them.
		m := append(old, e)
		g.store(m)
		if g.at != nil {
			g.at[e.Subscriber] = int32(len(m) - 1)
		} else if len(m) > rosterScan {
			g.at = positions(m)
		}
		return false
	}
	if old[i] != e {
		m := append(make([]Entry[S], 0, len(old)), old...)
		m[i] = e
		g.store(m)
	}
	return true
}

// leave removes a member and reports whether it was there; the last member
// takes its place. The caller holds the lock of the filter.
func (g *Group[S]) leave(s S) (existed bool) {
	old := g.Members()
	i := g.find(old, s)
	if i < 0 {
		return false
	}
	last := len(old) - 1
	m := append(make([]Entry[S], 0, last), old[:last]...)
	if i != last {
		m[i] = old[last]
	}
	g.store(m)
	if g.at != nil {
		delete(g.at, s)
		if i != last {
			g.at[m[i].Subscriber] = int32(i)
		}
		if last <= rosterScan/2 {
			g.at = nil
		}
	}
	return true
}

func (g *Group[S]) store(m []Entry[S]) { g.members.Store(&m) }

func (g *Group[S]) find(m []Entry[S], s S) int {
	if g.at != nil {
		if i, ok := g.at[s]; ok {
			return int(i)
		}
		return -1
	}
	for i := range m {
		if m[i].Subscriber == s {
			return i
		}
	}
	return -1
}

func positions[S comparable](m []Entry[S]) map[S]int32 {
	at := make(map[S]int32, 2*len(m))
	for i := range m {
		at[m[i].Subscriber] = int32(i)
	}
	return at
}
