package topics

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Retained is the retained messages of a server by topic [MQTT-3.3.1-5]. M is
// the message, best a pointer. All methods may be called by any number of
// goroutines. Make one with [NewRetained].
//
// A message is found by its topic in a hash table. The order that wildcards need
// is made when one is asked for: until then new topics gather unsorted.
type Retained[M any] struct {
	seed maphash.Seed

	mu        sync.RWMutex
	table     [segments]segment[*item[M]]
	shelf     shelf[M] // in order
	newcomers newcomers[M]

	count atomic.Int64 // changed with the lock held

	// sorting is how many of the next new topics go to their place at once, since
	// somebody has just asked for the order.
	sorting atomic.Int32
}

const (
	// batch is how many messages, and turn how many steps, a reader takes
	// before it lets writers go on: about 20 µs.
	batch = 64
	turn  = 128

	// stepsPerVisit bounds the steps of a slice by the visits asked for.
	stepsPerVisit = 4

	// sortedAfterRead is how many new topics are put in order at once after a read
	// has begun: more than come until its next slice, so that it gets through the
	// newcomers however fast others come.
	sortedAfterRead = 4096
)

// Cursor is where a reader of retained messages stands. The zero Cursor is the
// beginning; any other belongs to the filter it was returned for.
type Cursor struct{ at string }

// NewRetained returns an empty store.
func NewRetained[M any]() *Retained[M] {
	return &Retained[M]{seed: maphash.MakeSeed()}
}

// spot is where a topic belongs in the table, and its message if there is one.
type spot[M any] struct {
	segment *segment[*item[M]]
	tag     uint32
	slot    uint32
	item    *item[M] // nil if there is none
}

// find looks a topic up by its hash, with a lock held.
func (r *Retained[M]) find(hash uint64, topic string) spot[M] {
	i, tag := locate(hash)
	s := spot[M]{segment: &r.table[i], tag: tag}
	for slot, ok := s.segment.seek(tag, tag); ok; slot, ok = s.segment.seek(tag, slot+1) {
		if it := s.segment.vals[slot]; it.topic == topic {
			s.slot, s.item = slot, it
			break
		}
	}
	return s
}

// Set stores the message of a topic, replacing the one before, which is
// returned. The topic must be valid and not alias a buffer that is used again;
// it is kept unless the topic was there.
func (r *Retained[M]) Set(topic string, m M) (old M, replaced bool) {
	return r.SetAfter(topic, m, nil)
}

// SetAfter is Set for a message that depends on the one before: meet is called
// with both before the new one can be seen, with a lock held, and must not use the store.
// Messages of one topic are met in the order in which they are stored.
func (r *Retained[M]) SetAfter(topic string, m M, meet func(m, old M, replaces bool)) (old M, replaced bool) {
	hash := maphash.String(r.seed, topic)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.find(hash, topic)
	if s.item != nil {
		old, replaced = s.item.m, true
	}
	if meet != nil {
		meet(m, old, replaced)
	}
	if replaced {
		s.item.m = m
		return old, true
	}
	it := &item[M]{topic: topic, m: m}
	s.segment.add(s.tag, it)
	if r.sorting.Load() > 0 {
		r.sorting.Add(-1)
		r.shelf.insert(it)
	} else {
		r.newcomers.add(it)
	}
	r.count.Add(1)
	return old, false
}

// Delete removes the message of a topic and returns it.
func (r *Retained[M]) Delete(topic string) (old M, existed bool) {
	hash := maphash.String(r.seed, topic)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.find(hash, topic)
	if s.item == nil {
		return old, false
	}
	r.remove(s)
	return s.item.m, true
}

// DeleteIf removes the message of a topic if it is there and over says so. over is
// called with a lock held and must not use the store.
func (r *Retained[M]) DeleteIf(topic string, over func(m M) bool) (deleted bool) {
	hash := maphash.String(r.seed, topic)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.find(hash, topic)
	if s.item == nil || !over(s.item.m) {
		return false
	}
	r.remove(s)
	return true
}

func (r *Retained[M]) remove(s spot[M]) {
	s.segment.remove(s.slot)
	if s.item.newcomer > 0 {
		r.newcomers.remove(s.item)
	} else {
		r.shelf.remove(s.item.topic)
	}
	r.count.Add(-1)
}

// Get returns the message of a topic.
func (r *Retained[M]) Get(topic string) (m M, ok bool) {
	hash := maphash.String(r.seed, topic)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if it := r.find(hash, topic).item; it != nil {
		return it.m, true
	}
	return m, false
}

// Count returns the number of topics with a message.
func (r *Retained[M]) Count() int { return int(r.count.Load()) }

// Match visits messages whose topics a filter matches, one slice at a time: it
// begins at the cursor, visits at most max of them (at least 1), and returns the
// cursor for the next call, or done. A slice also ends after a bounded number of
// steps over topics that do not match, or of putting new topics in order, so it
// may visit fewer than max, even none, without being done.
//
// Every message that is there from the first call to the last is visited exactly
// once; one that comes or goes meanwhile at most once. visit is called without
// any lock held and may change the store. The filter must be valid, without
// `$share/` (a shared subscription is not sent retained messages).
func (r *Retained[M]) Match(filter string, cursor Cursor, max int, visit func(topic string, m M)) (next Cursor, done bool) {
	if !HasWildcard(filter) {
		if m, ok := r.Get(filter); ok {
			visit(filter, m)
		}
		return Cursor{}, true
	}
	// Whatever is there when a reader begins is put in order first. What comes
	// later need not be visited.
	if cursor.at == "" && !r.settle() {
		return cursor, false
	}
	if max < 1 {
		max = 1
	}
	var room [batch]item[M]
	for left, steps := max, stepsPerVisit*max+turn; ; {
		found, taken, at, done := r.collect(filter, cursor, room[:0], min(left, batch))
		for i := range found {
			visit(found[i].topic, found[i].m)
		}
		if done {
			return Cursor{}, true
		}
		left, steps, cursor = left-len(found), steps-taken, at
		if left <= 0 || steps <= 0 {
			return cursor, false
		}
	}
}

// settle puts some of the newcomers in order, and reports whether none is left.
func (r *Retained[M]) settle() bool {
	if r.sorting.Load() < sortedAfterRead/2 {
		r.sorting.Store(sortedAfterRead)
	}
	r.mu.RLock()
	settled := r.newcomers.empty()
	r.mu.RUnlock()
	if settled {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newcomers.settle(&r.shelf)
	return r.newcomers.empty()
}

// collect takes at most n matching messages, and at most turn steps, from the
// cursor on. It returns the steps taken and where it stopped.
func (r *Retained[M]) collect(filter string, from Cursor, found []item[M], n int) (_ []item[M], steps int, at Cursor, done bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var p place
	if from.at != "" {
		p = r.shelf.seek(from.at)
	} else if prefix, ok := literalPrefix(filter, len(filter)); ok {
		p = r.shelf.seek(prefix)
	}
	for ; ; steps++ {
		it := r.shelf.get(p)
		if it == nil {
			return found, steps, Cursor{}, true
		}
		if len(found) == n || steps == turn {
			return found, steps, Cursor{it.topic}, false
		}
		switch v := judge(filter, it.topic); v.kind {
		case matches:
			found = append(found, *it)
			p = r.shelf.next(p)
		case follows:
			p = r.shelf.next(p)
		case jumps:
			p = r.jump(v, it.topic)
		default:
			return found, steps, Cursor{}, true
		}
	}
}

// jump returns the place that a verdict of kind jumps leads to.
func (r *Retained[M]) jump(v verdict, topic string) place {
	if v.past {
		return r.shelf.seekPast(topic[:v.keep])
	}
	var room [256]byte
	to := append(append(room[:0], topic[:v.keep]...), v.level...)
	// Not empty: a level that the topic's comes before has at least one byte.
	return r.shelf.seek(unsafe.String(&to[0], len(to)))
}
