package platform

import "sync"

// noise limits log lines about refused requests to 20 a second: a stranger, or a
// device gone wild, can cause any number of them.
type noise struct {
	mu     sync.Mutex
	second int64
	n      int
}

func (o *noise) allow(second int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if second != o.second {
		o.second, o.n = second, 0
	}
	o.n++
	return o.n <= 20
}
