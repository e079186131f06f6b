package topics

import (
	"hash/maphash"
	"sync"
	"unsafe"
)

// Retained is the retained messages of a server by topic [MQTT-3.3.1-5]. M is
// the message, best a pointer. All methods may be called by any number of
// goroutines. Make one with [NewRetained].
type Retained[M any] struct {
	mu    sync.RWMutex
	seed  maphash.Seed
	names [retainedShards]names[*item[M]]
	shelf shelf[M]
	count int
}

const (
	// retainedShards bounds how much is moved when a map is rebuilt.
	retainedShards = 64

	// batch is how many messages, and turn how many steps, a reader takes
	// before it lets writers go on: about 20 µs.
	batch = 64
	turn  = 128

	// stepsPerVisit bounds the steps of a slice by the visits asked for.
	stepsPerVisit = 4
)

// Cursor is where a reader of retained messages stands. The zero Cursor is the
// beginning; any other belongs to the filter it was returned for.
type Cursor struct{ at string }

// NewRetained returns an empty store.
func NewRetained[M any]() *Retained[M] {
	return &Retained[M]{seed: maphash.MakeSeed()}
}

func (r *Retained[M]) shard(topic string) *names[*item[M]] {
	return &r.names[maphash.String(r.seed, topic)%retainedShards]
}

// Set stores the message of a topic, replacing the one before, which is
// returned. The topic must be valid and not alias a buffer that is used again;
// it is kept unless the topic was there.
func (r *Retained[M]) Set(topic string, m M) (old M, replaced bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sh := r.shard(topic)
	if it, ok := sh.m[topic]; ok {
		old, it.m = it.m, m
		return old, true
	}
	it := &item[M]{topic, m}
	sh.set(topic, it)
	r.shelf.insert(it)
	r.count++
	return old, false
}

// Delete removes the message of a topic and returns it.
func (r *Retained[M]) Delete(topic string) (old M, existed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sh := r.shard(topic)
	it, ok := sh.m[topic]
	if !ok {
		return old, false
	}
	sh.remove(topic)
	r.shelf.remove(topic)
	r.count--
	return it.m, true
}

// DeleteIf removes the message of a topic if it is there and over says so. over is
// called with a lock held and must not use the store.
func (r *Retained[M]) DeleteIf(topic string, over func(m M) bool) (deleted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sh := r.shard(topic)
	it, ok := sh.m[topic]
	if !ok || !over(it.m) {
		return false
	}
	sh.remove(topic)
	r.shelf.remove(topic)
	r.count--
	return true
}

// Get returns the message of a topic.
func (r *Retained[M]) Get(topic string) (m M, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if it, ok := r.shard(topic).m[topic]; ok {
		return it.m, true
	}
	return m, false
}

// Count returns the number of topics with a message.
func (r *Retained[M]) Count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.count
}

// Match visits messages whose topics a filter matches, one slice at a time: it
// begins at the cursor, visits at most max of them (at least 1), and returns the
// cursor for the next call, or done. A slice also ends after a bounded number of
// steps over topics that do not match, so it may visit fewer than max, even
// none, without being done.
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
