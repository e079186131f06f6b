package topics

import (
	"hash/maphash"
	"sync/atomic"
)

const (
	// versionSlots is the number of counters: 128 KB an index. A subscription
	// to something unrelated invalidates a cached route with a chance of about
	// (prefixDepth+1)/versionSlots.
	versionSlots = 1 << 14

	// prefixDepth is how many leading levels of a filter with wildcards tell it
	// from others. Five reach past the device name in all topics of the
	// platform (`/sys/{product}/{device}/…`, `/ext/session/{product}/{device}/…`).
	prefixDepth = 5
)

// versions tells caches which of their routes a change may have touched.
//
// A filter without wildcards touches one topic: it advances the counter that the
// hash of its text selects. A filter with wildcards touches only topics that
// begin with its literal levels: it advances the counter selected by the hash of
// those levels, at most prefixDepth of them, or wild if it has none. A topic
// therefore depends on the counter of its own text, on one for each of its first
// prefixDepth levels, and on wild. As counters only grow, the route is untouched
// exactly if their sum is.
//
// A writer advances the counter after the change is in place and before it
// returns; a reader takes the sum before it matches. A match that missed the
// change is thus always recorded under a sum that will not be seen again.
type versions struct {
	seed maphash.Seed
	all  atomic.Uint64 // changes in total
	_    [56]byte
	wild atomic.Uint64 // changes to filters that begin with a wildcard
	_    [56]byte
	slot [versionSlots]atomic.Uint64
}

// marks are the counters that one topic depends on besides wild.
type marks struct {
	n    uint8
	slot [prefixDepth + 1]uint16
}

// exactSalt keeps a topic from sharing its counter with itself as a prefix.
const exactSalt = 0x9e3779b97f4a7c15

func (v *versions) exactSlot(topic string) uint16 {
	return uint16((maphash.String(v.seed, topic) ^ exactSalt) % versionSlots)
}

func (v *versions) prefixSlot(prefix string) uint16 {
	return uint16(maphash.String(v.seed, prefix) >> 32 % versionSlots)
}

// marksOf returns what the topic depends on.
func (v *versions) marksOf(topic string) marks {
	m := marks{n: 1}
	m.slot[0] = v.exactSlot(topic)
	for i := 0; i <= len(topic); i++ {
		if !endsLevel(topic, i) {
			continue
		}
		m.slot[m.n] = v.prefixSlot(topic[:i])
		if m.n++; m.n > prefixDepth {
			break
		}
	}
	return m
}

// sum returns the number of changes so far that may concern the marks.
func (v *versions) sum(m *marks) uint64 {
	n := v.wild.Load()
	for i := uint8(0); i < m.n && i < uint8(len(m.slot)); i++ {
		n += v.slot[m.slot[i]%versionSlots].Load()
	}
	return n
}

// changedExact records a change to a filter without wildcards.
func (v *versions) changedExact(filter string) {
	v.slot[v.exactSlot(filter)].Add(1)
	v.all.Add(1)
}

// changedWild records a change to a filter with wildcards.
func (v *versions) changedWild(filter string) {
	if p, ok := literalPrefix(filter, prefixDepth); ok {
		v.slot[v.prefixSlot(p)].Add(1)
	} else {
		v.wild.Add(1)
	}
	v.all.Add(1)
}

// literalPrefix returns the levels before the first wildcard, at most depth of
// them; ok is false if there are none (the first level may be empty text).
func literalPrefix(filter string, depth int) (prefix string, ok bool) {
	end, levels := 0, 0
	for start := 0; start <= len(filter) && levels < depth; {
		i := levelEnd(filter, start)
		if level := filter[start:i]; level == "+" || level == "#" {
			break
		}
		end, levels = i, levels+1
		start = i + 1
	}
	return filter[:end], levels > 0
}
