package broker

import (
	"hash/maphash"
	"sync"
)

// registry finds sessions by key from any loop.
type registry struct {
	seed   maphash.Seed
	shards [64]registryShard
	units  units
}

type registryShard struct {
	mu sync.RWMutex
	m  map[string]*Session
}

func newRegistry() *registry {
	r := &registry{seed: maphash.MakeSeed()}
	for i := range r.shards {
		r.shards[i].m = make(map[string]*Session)
	}
	return r
}

func (r *registry) shard(key string) *registryShard {
	return &r.shards[maphash.String(r.seed, key)%uint64(len(r.shards))]
}

func (r *registry) get(key string) *Session {
	sh := r.shard(key)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.m[key]
}

// getOrPut returns the session of a key, putting the one that create makes if
// there is none.
func (r *registry) getOrPut(key string, create func() *Session) (s *Session, created bool) {
	sh := r.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.m[key]; s != nil {
		return s, false
	}
	s = create()
	sh.m[key] = s
	r.units.add(s)
	return s, true
}

// remove takes s out if it is still the session of its key.
func (r *registry) remove(s *Session) {
	sh := r.shard(s.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.m[s.key] == s {
		delete(sh.m, s.key)
		r.units.remove(s)
	}
}

// each calls f for every session, while none comes or goes.
func (r *registry) each(f func(*Session)) {
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.RLock()
		for _, s := range sh.m {
			f(s)
		}
		sh.mu.RUnlock()
	}
}

func (r *registry) len() int {
	n := 0
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.RLock()
		n += len(sh.m)
		sh.mu.RUnlock()
	}
	return n
}
