package topics

import (
	"hash/maphash"
	"math/bits"
	"unsafe"
)

// Route is the result of a match, kept for the next message to the same topic.
// It does not change once returned, apart from Extra and the members of its
// groups, so it may be used while further look-ups are made.
type Route[S comparable] struct {
	Topic   string
	Entries []Entry[S]  // see [Index.Match]
	Shared  []*Group[S] // see [Index.Match]
	Extra   any         // the caller's; nil in a fresh route

	sum   uint64 // of the versions, taken before matching
	size  int    // bytes accounted for
	at    int    // position in the ring
	marks marks
	used  bool         // looked up since the eviction hand passed
	once  bool         // see Once
	room  [2]Entry[S]  // for Entries, while it suffices
	group [1]*Group[S] // for Shared
}

// Cache remembers the routes of the topics in use. It belongs to one goroutine,
// while the index is changed by all; a look-up that hits takes no lock. Make one
// with [NewCache].
//
// A subscription invalidates the routes it may touch and few others: one without
// wildcards those of its own topic, one with wildcards those that share its
// leading levels. Devices that connect and subscribe to topics of their own
// leave the routes of everybody else alone.
//
// A full cache takes a topic in when it is looked up the second time within a
// while, so that a fleet of more topics than it holds does not make it throw
// away what it holds for each message.
type Cache[S comparable] struct {
	index     *Index[S]
	routes    map[string]*Route[S]
	ring      []*Route[S] // the same routes in order of arrival, for eviction
	hand      int
	bytes     int
	maxRoutes int
	maxBytes  int
	hits      uint64
	misses    uint64
	seen      []uint32 // marks of topics that were turned away; see admit
	seed      maphash.Seed
	once      Route[S] // see Once
}

// NewCache returns an empty cache over an index, holding at most so many routes
// and so many bytes of them (about 300 bytes for a topic with up to two
// subscribers, 16 for each further one; at least one route is allowed). A route that
// alone would take more than a quarter of the bytes is not kept.
func NewCache[S comparable](index *Index[S], maxRoutes, maxBytes int) *Cache[S] {
	return &Cache[S]{
		index:     index,
		routes:    make(map[string]*Route[S]),
		maxRoutes: max(1, maxRoutes),
		maxBytes:  maxBytes,
	}
}

// Lookup returns the route of a topic as [Index.Match] would give it now. The
// topic is copied if need be. Lookup does not judge the topic: check one that
// [Cache.Known] does not return with [ValidTopic] first.
func (c *Cache[S]) Lookup(topic []byte) *Route[S] {
	r := c.routes[string(topic)]
	if r != nil && r.sum == c.index.versions.sum(&r.marks) {
		r.used = true
		c.hits++
		return r
	}
	return c.fill(topic, r, r != nil || c.room(len(topic)) || c.admit(topic))
}

// Once is [Cache.Lookup] for a caller who needs the route only until he calls
// Once again: a route that is not kept is then made without garbage, and
// [Route.Once] reports true. Its Extra must not be set. A topic that is rare is not
// likely to be looked up again soon: it takes no room until it is, even if there is
// some.
func (c *Cache[S]) Once(topic []byte, rare bool) *Route[S] {
	r := c.routes[string(topic)]
	if r != nil && r.sum == c.index.versions.sum(&r.marks) {
		r.used = true
		c.hits++
		return r
	}
	if r != nil || !rare && c.room(len(topic)) || c.admit(topic) {
		return c.fill(topic, r, true)
	}
	c.misses++
	o := &c.once
	entries, shared := o.Entries, o.Shared
	if cap(entries) > onceMost {
		entries = nil
	}
	clear(entries)
	clear(shared)
	*o = Route[S]{Topic: string(topic), once: true}
	o.Entries, o.Shared = c.index.Match(o.Topic, entries[:0], shared[:0])
	return o
}

// onceMost is the most entries whose place Once keeps.
const onceMost = 1024

// Once reports whether the route is valid only until the next call of
// [Cache.Once].
func (r *Route[S]) Once() bool { return r.once }

// Known returns the route of a topic if the cache holds a current one, and nil
// otherwise. A topic that is known has been looked up before, hence been
// validated.
func (c *Cache[S]) Known(topic []byte) *Route[S] {
	r := c.routes[string(topic)]
	if r == nil || r.sum != c.index.versions.sum(&r.marks) {
		return nil
	}
	r.used = true
	c.hits++
	return r
}

// Len returns the number of routes held, current or not.
func (c *Cache[S]) Len() int { return len(c.ring) }

// Bytes returns the approximate memory of the routes held.
func (c *Cache[S]) Bytes() int { return c.bytes }

// Stats returns how many look-ups so far found a current route and how many had
// to match.
func (c *Cache[S]) Stats() (hits, misses uint64) { return c.hits, c.misses }

// routeOverhead is what a route costs besides itself: its place in the map, with
// the map's slack, and in the ring.
const routeOverhead = 64

// fill matches anew; old is the outdated route, or nil.
func (c *Cache[S]) fill(topic []byte, old *Route[S], keep bool) *Route[S] {
	c.misses++
	r := new(Route[S])
	if old != nil {
		r.Topic, r.marks = old.Topic, old.marks
	} else {
		r.Topic = string(topic)
		r.marks = c.index.versions.marksOf(r.Topic)
	}
	r.sum = c.index.versions.sum(&r.marks)
	r.Entries, r.Shared = c.index.Match(r.Topic, r.room[:0], r.group[:0])
	r.size = routeSize[S](len(r.Topic))
	if n := cap(r.Entries); n > len(r.room) {
		r.size += n * int(unsafe.Sizeof(r.room[0]))
	}
	if n := cap(r.Shared); n > len(r.group) {
		r.size += n * int(unsafe.Sizeof(r.group[0]))
	}
	if keep {
		c.keep(r, old)
	}
	return r
}

// routeSize is what a route with few receivers costs.
func routeSize[S comparable](topic int) int {
	return int(unsafe.Sizeof(Route[S]{})) + topic + routeOverhead
}

// room reports whether a route can be kept without evicting another one, unless
// it turns out to be large.
func (c *Cache[S]) room(topic int) bool {
	return len(c.ring) < c.maxRoutes && c.bytes+routeSize[S](topic) <= c.maxBytes
}

// keep stores a route in the place of the old one, if any, and evicts others
// until the bounds hold. A route too large to keep only takes the old one out.
func (c *Cache[S]) keep(r, old *Route[S]) {
	if r.size > c.maxBytes/4 {
		if old != nil {
			c.drop(old)
		}
		return
	}
	if old != nil {
		r.used, r.at = true, old.at
		c.ring[r.at] = r
		c.bytes -= old.size
	} else {
		if len(c.ring) >= c.maxRoutes {
			c.evict()
		}
		r.at = len(c.ring)
		c.ring = append(c.ring, r)
	}
	c.routes[r.Topic] = r
	c.bytes += r.size
	for c.bytes > c.maxBytes {
		r.used = true // at most three quarters of the bytes are others'
		c.evict()
	}
}

// admit reports whether a topic was turned away not long ago: whether its mark
// has not been overwritten by that of another topic.
func (c *Cache[S]) admit(topic []byte) bool {
	if c.seen == nil {
		c.seen = make([]uint32, min(1<<16, 1<<bits.Len(uint(c.maxRoutes-1))))
		c.seed = maphash.MakeSeed()
	}
	h := maphash.Bytes(c.seed, topic)
	slot, mark := &c.seen[h&uint64(len(c.seen)-1)], uint32(h>>32)|1
	if *slot == mark {
		*slot = 0
		return true
	}
	*slot = mark
	return false
}

// evict drops the first route from the hand on that was not looked up since the
// hand passed it.
func (c *Cache[S]) evict() {
	for {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		r := c.ring[c.hand]
		c.hand++
		if !r.used {
			c.drop(r)
			return
		}
		r.used = false
	}
}

// drop removes a route; the newest takes its place in the ring.
func (c *Cache[S]) drop(r *Route[S]) {
	last := len(c.ring) - 1
	c.ring[r.at] = c.ring[last]
	c.ring[r.at].at = r.at
	c.ring[last] = nil
	c.ring = c.ring[:last]
	delete(c.routes, r.Topic)
	c.bytes -= r.size
}
