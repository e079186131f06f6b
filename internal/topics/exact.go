package topics

import (
	"hash/maphash"
	"sync"
)

// exactShards spreads filters without wildcards so that several loops can
// subscribe at the same time and rebuilding one map takes well under 1 ms even
// with millions of filters.
const exactShards = 128

// exact holds the filters without wildcards.
type exact[S comparable] struct {
	seed   maphash.Seed
	shards [exactShards]exactShard[S]
}

type exactShard[S comparable] struct {
	mu    sync.RWMutex
	lists names[list[S]]
	_     [64]byte // no two locks in one cache line
}

func (x *exact[S]) shard(topic string) *exactShard[S] {
	return &x.shards[maphash.String(x.seed, topic)%exactShards]
}

func (x *exact[S]) subscribe(group, filter string, e Entry[S]) change {
	sh := x.shard(filter)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l := sh.lists.m[filter]
	c := l.subscribe(group, filter, e)
	sh.lists.set(filter, l)
	return c
}

func (x *exact[S]) unsubscribe(group, filter string, s S) change {
	sh := x.shard(filter)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l, ok := sh.lists.m[filter]
	if !ok {
		return change{}
	}
	c := l.unsubscribe(group, s)
	if l.empty() {
		sh.lists.remove(filter)
	} else {
		sh.lists.set(filter, l)
	}
	return c
}

func (x *exact[S]) match(topic string, dst []Entry[S], shared []*Group[S]) ([]Entry[S], []*Group[S]) {
	sh := x.shard(topic)
	sh.mu.RLock()
	if l, ok := sh.lists.m[topic]; ok {
		dst, shared = l.appendTo(dst, shared)
	}
	sh.mu.RUnlock()
	return dst, shared
}
