package broker

import "sync"

// owners counts the sessions of each application's user, if that is limited.
type owners struct {
	limit int // 0: nothing is counted

	mu sync.Mutex
	n  map[string]int
}

// add counts a session, and reports whether its owner may have it. One that is
// loaded from disk it may have in any case.
func (o *owners) add(s *Session, loaded bool) bool {
	if o.limit <= 0 || s.device {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n == nil {
		o.n = make(map[string]int)
	}
	if o.n[s.owner] >= o.limit && !loaded {
		return false
	}
	o.n[s.owner]++
	s.counted = true
	return true
}

// remove counts a session no more.
func (o *owners) remove(s *Session) {
	if !s.counted {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s.counted = false
	if o.n[s.owner]--; o.n[s.owner] <= 0 {
		delete(o.n, s.owner)
	}
}
