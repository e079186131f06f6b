package topics

import (
	"hash/maphash"
	"sync"
)

// exact holds the filters without wildcards. Each segment of the table has its
// own lock, so that several loops can subscribe at the same time.
type exact[S comparable] struct {
	seed   maphash.Seed
	shards [segments]exactShard[S]
}

type exactShard[S comparable] struct {
	mu    sync.RWMutex
	table segment[leaf[S]]
	_     [48]byte // to 128 bytes: no two locks in one cache line
}

// leaf is a filter without wildcards.
type leaf[S comparable] struct {
	filter string
	list   list[S]
}

// shard returns the part of the table that a topic belongs to.
func (x *exact[S]) shard(topic string) (sh *exactShard[S], tag uint32) {
	i, tag := locate(maphash.String(x.seed, topic))
	return &x.shards[i], tag
}

// find returns the slot of a filter.
func (sh *exactShard[S]) find(tag uint32, filter string) (slot uint32, ok bool) {
	for slot, ok = sh.table.seek(tag, tag); ok; slot, ok = sh.table.seek(tag, slot+1) {
		if sh.table.vals[slot].filter == filter {
			return slot, true
		}
	}
	return 0, false
}

func (x *exact[S]) subscribe(group, filter string, e Entry[S]) change {
	sh, tag := x.shard(filter)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if slot, ok := sh.find(tag, filter); ok {
		return sh.table.vals[slot].list.subscribe(group, filter, e)
	}
	return sh.table.add(tag, leaf[S]{filter: filter}).list.subscribe(group, filter, e)
}

func (x *exact[S]) unsubscribe(group, filter string, s S) change {
	sh, tag := x.shard(filter)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	slot, ok := sh.find(tag, filter)
	if !ok {
		return change{}
	}
	l := &sh.table.vals[slot].list
	c := l.unsubscribe(group, s)
	if l.empty() {
		sh.table.remove(slot)
	}
	return c
}

func (x *exact[S]) match(topic string, dst []Entry[S], shared []*Group[S]) ([]Entry[S], []*Group[S]) {
	sh, tag := x.shard(topic)
	sh.mu.RLock()
	if slot, ok := sh.find(tag, topic); ok {
		dst, shared = sh.table.vals[slot].list.appendTo(dst, shared)
	}
	sh.mu.RUnlock()
	return dst, shared
}
