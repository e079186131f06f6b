package transport

import (
	"sync"
	"sync/atomic"
)

// inbox holds the tasks posted to a loop. A poster pays one lock, and one
// wake-up only if the loop sleeps: the loop announces its sleep and looks into
// the inbox after that, a poster fills the inbox and looks for the sleep after
// that, so one of them sees the other.
type inbox struct {
	mu       sync.Mutex
	tasks    []Task
	filled   atomic.Bool // tasks may be waiting; read without the lock
	sleeping atomic.Bool
	spare    []Task // the loop's, swapped with tasks
}

// put appends tasks and reports whether the loop has to be woken.
func (b *inbox) put(t ...Task) (wake bool) {
	b.mu.Lock()
	b.tasks = append(b.tasks, t...)
	b.mu.Unlock()
	b.filled.Store(true)
	return b.sleeping.Load() && b.sleeping.CompareAndSwap(true, false)
}

// sleep announces that the loop is about to wait and reports whether it may.
func (b *inbox) sleep() bool {
	b.sleeping.Store(true)
	if b.filled.Load() {
		b.sleeping.Store(false)
		return false
	}
	return true
}

// awake ends what sleep announced.
func (b *inbox) awake() { b.sleeping.Store(false) }

// take returns the waiting tasks; give them back with done.
func (b *inbox) take() []Task {
	if !b.filled.Load() {
		return nil
	}
	b.mu.Lock()
	tasks := b.tasks
	b.tasks = b.spare
	b.spare = nil
	b.filled.Store(false)
	b.mu.Unlock()
	return tasks
}

// keptTasks is the largest task list that is kept for the next batch.
const keptTasks = 1 << 16

// done takes back the list that take returned, so that it can be used again.
func (b *inbox) done(tasks []Task) {
	if cap(tasks) > keptTasks {
		return
	}
	clear(tasks)
	b.spare = tasks[:0]
}
