package transport

import "time"

// Timer is a task that runs later on its loop. See Loop.After.
type Timer struct {
	loop  *Loop
	task  Task
	at    int64 // loop time in nanoseconds
	index int   // position in the heap, -1 when not waiting
}

// Stop keeps the task from running and reports whether it was still waiting.
// Loop only.
func (t *Timer) Stop() bool {
	if t.index < 0 {
		return false
	}
	t.loop.timers.remove(t.index)
	return true
}

// Reset lets the task run d from now, whether or not it was waiting. Loop only.
func (t *Timer) Reset(d time.Duration) {
	if t.index >= 0 {
		t.loop.timers.remove(t.index)
	}
	t.at = t.loop.nowNano + max(0, int64(d))
	t.loop.timers.add(t)
}

// timerHeap is a binary heap by time. It knows positions, so that stopping
// does not leave dead entries behind.
type timerHeap []*Timer

func (h *timerHeap) add(t *Timer) {
	t.index = len(*h)
	*h = append(*h, t)
	h.up(t.index)
}

func (h *timerHeap) remove(i int) {
	old := *h
	last := len(old) - 1
	t := old[i]
	if i != last {
		old[i] = old[last]
		old[i].index = i
	}
	old[last] = nil
	*h = old[:last]
	if i != last {
		h.down(i)
		h.up(i)
	}
	t.index = -1
}

func (h timerHeap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].at <= h[i].at {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h timerHeap) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].at < h[child].at {
			child++
		}
		if h[i].at <= h[child].at {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (h timerHeap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index = i
	h[j].index = j
}
