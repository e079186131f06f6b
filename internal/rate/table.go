package rate

import (
	"hash/maphash"
	"sync"
)

// Table has a bucket for each key, as far as there is room: a key that is new in
// a full place takes that of the one not seen for longest. Safe for concurrent
// use.
type Table[K comparable] struct {
	rate, burst float64

	mu      sync.Mutex
	seed    maphash.Seed
	entries []entry[K] // in sets of ways; made for the first key
	size    int
}

type entry[K comparable] struct {
	key  K
	used bool
	Bucket
}

// ways is how many places a key may have.
const ways = 4

// NewTable makes a table of at least size buckets that fill with rate tokens a
// second up to burst.
func NewTable[K comparable](size int, rate, burst float64) *Table[K] {
	sets := max(1, (size+ways-1)/ways)
	return &Table[K]{rate: rate, burst: burst, seed: maphash.MakeSeed(), size: sets * ways}
}

// find returns the bucket of a key; nil if it has none and create is false.
func (t *Table[K]) find(key K, create bool) *entry[K] {
	if t.entries == nil {
		if !create {
			return nil
		}
		t.entries = make([]entry[K], t.size)
	}
	first := int(maphash.Comparable(t.seed, key)%uint64(t.size/ways)) * ways
	set := t.entries[first : first+ways]
	oldest := &set[0]
	for i := range set {
		e := &set[i]
		if e.used && e.key == key {
			return e
		}
		if e.at < oldest.at {
			oldest = e
		}
	}
	if !create {
		return nil
	}
	*oldest = entry[K]{key: key, used: true}
	return oldest
}

// Take takes a token of a key and reports whether there was one. last tells that
// it is the last one for now.
func (t *Table[K]) Take(key K, now int64) (ok, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.find(key, true)
	ok = e.TakeWhole(now, t.rate, t.burst)
	return ok, ok && e.tokens < 1
}

// Empty reports whether a key has no token left.
func (t *Table[K]) Empty(key K, now int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.find(key, false)
	if e == nil {
		return false
	}
	e.fill(now, t.rate, t.burst)
	return e.tokens < 1
}

// Forget fills the bucket of a key.
func (t *Table[K]) Forget(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.find(key, false); e != nil {
		*e = entry[K]{}
	}
}
