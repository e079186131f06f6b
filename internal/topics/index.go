package topics

import (
	"hash/maphash"
	"sync/atomic"
)

// Index is the subscriptions of a server: for a topic it finds who wants it. All
// methods may be called by any number of goroutines; each change is visible to
// every match that begins after the change returned. Make one with [New].
type Index[S comparable] struct {
	exact         exact[S]
	tree          tree[S]
	versions      versions
	filters       atomic.Int64
	subscriptions atomic.Int64
}

// New returns an empty index. S identifies a subscriber; a pointer is best, as
// it is stored once for each subscription.
func New[S comparable]() *Index[S] {
	x := new(Index[S])
	x.exact.seed = maphash.MakeSeed()
	x.tree.seed = maphash.MakeSeed()
	x.versions.seed = maphash.MakeSeed()
	return x
}

// Subscribe adds the subscription of s to a filter, which may be shared
// (`$share/{group}/{filter}`), or replaces its options and identifier
// [MQTT-3.8.4-3]; replaced reports the latter. A shared subscription and an
// ordinary one of the same subscriber are two.
//
// The filter must be valid (see [ValidFilter]). The index keeps the text, which
// must not alias a buffer that is used again.
func (x *Index[S]) Subscribe(filter string, s S, o Options, id uint32) (replaced bool) {
	group, rest := split(filter)
	wild := HasWildcard(rest)
	var c change
	if e := (Entry[S]{s, o, id}); wild {
		c = x.tree.subscribe(group, rest, e)
	} else {
		c = x.exact.subscribe(group, rest, e)
	}
	if !c.existed {
		x.subscriptions.Add(1)
	}
	x.changed(rest, wild, c)
	return c.existed
}

// Unsubscribe removes the subscription of s to exactly this filter text
// [MQTT-3.10.4-1] and reports whether there was one.
func (x *Index[S]) Unsubscribe(filter string, s S) (existed bool) {
	group, rest := split(filter)
	wild := HasWildcard(rest)
	var c change
	if wild {
		c = x.tree.unsubscribe(group, rest, s)
	} else {
		c = x.exact.unsubscribe(group, rest, s)
	}
	if c.existed {
		x.subscriptions.Add(-1)
	}
	x.changed(rest, wild, c)
	return c.existed
}

// changed publishes what a change did, once it is in place.
func (x *Index[S]) changed(filter string, wild bool, c change) {
	if c.filters != 0 {
		x.filters.Add(int64(c.filters))
	}
	switch {
	case !c.routes:
	case wild:
		x.versions.changedWild(filter)
	default:
		x.versions.changedExact(filter)
	}
	if c.known != nil {
		c.known.Store(true)
	}
}

// Match appends to dst the ordinary subscriptions whose filters match the topic,
// and to shared the groups of the shared ones. A subscriber appears once for
// each of its filters, a group once; the order means nothing. It allocates only
// to extend the slices.
func (x *Index[S]) Match(topic string, dst []Entry[S], shared []*Group[S]) ([]Entry[S], []*Group[S]) {
	dst, shared = x.exact.match(topic, dst, shared)
	return x.tree.match(topic, dst, shared)
}

// Generation returns a number that grows whenever the result of some Match may
// have changed. A [Cache] does better: it knows which topics.
func (x *Index[S]) Generation() uint64 { return x.versions.all.Load() }

// Len returns the number of distinct filters; `$share/g/a`, `$share/h/a` and `a`
// are three.
func (x *Index[S]) Len() int { return int(x.filters.Load()) }

// Subscriptions returns the number of subscriptions, that is of distinct pairs
// of a filter and a subscriber.
func (x *Index[S]) Subscriptions() int { return int(x.subscriptions.Load()) }

// split separates the group of a shared subscription. What [ParseShared] refuses
// is taken as an ordinary filter, which no valid topic matches by accident.
func split(filter string) (group, rest string) {
	group, rest, ok, err := ParseShared(filter)
	if err != nil || !ok {
		return "", filter
	}
	return group, rest
}
