package broker

// backlog is the messages of a session that are in memory and wait for their
// client, in order. Most sessions never have any, so it costs them a word.
type backlog struct{ q *backlogQueue }

type backlogQueue struct {
	items []item
	head  int // the next of them
	bytes int
}

func (w *backlog) push(it item) {
	q := w.q
	if q == nil {
		q = new(backlogQueue)
		w.q = q
	}
	if q.head > 32 && q.head*2 > len(q.items) {
		q.replace(q.items[:copy(q.items, q.items[q.head:])])
	}
	q.items = append(q.items, it)
	q.bytes += it.bytes()
}

// replace makes kept, which lies at the beginning of the items, all there is.
func (q *backlogQueue) replace(kept []item) {
	clear(q.items[len(kept):])
	q.items, q.head = kept, 0
}

// waits returns the messages, the next first. They may be changed in place.
func (w *backlog) waits() []item {
	if w.q == nil {
		return nil
	}
	return w.q.items[w.q.head:]
}

// peek returns the next message, nil if there is none.
func (w *backlog) peek() *item {
	if q := w.q; q != nil && q.head < len(q.items) {
		return &q.items[q.head]
	}
	return nil
}

// pop takes the next message out; there must be one.
func (w *backlog) pop() item {
	q := w.q
	it := q.items[q.head]
	q.items[q.head] = item{}
	q.head++
	q.bytes -= it.bytes()
	if q.head == len(q.items) {
		q.head = 0
		if cap(q.items) > 256 {
			q.items = nil
		} else {
			q.items = q.items[:0]
		}
	}
	return it
}

// keep takes out the messages that stays refuses.
func (w *backlog) keep(stays func(*item) bool) {
	q := w.q
	if q == nil {
		return
	}
	kept := q.items[:0]
	for _, it := range q.items[q.head:] {
		if stays(&it) {
			kept = append(kept, it)
		} else {
			q.bytes -= it.bytes()
		}
	}
	q.replace(kept)
}

// count returns how many messages wait.
func (w *backlog) count() int { return len(w.waits()) }

// size returns their bytes, with what an item costs.
func (w *backlog) size() int {
	if w.q == nil {
		return 0
	}
	return w.q.bytes
}

// forget drops them all, and their memory.
func (w *backlog) forget() { w.q = nil }
