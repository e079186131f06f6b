package broker

import (
	"container/heap"
	"time"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/transport"
)

// expiring are the retained messages that have an end, the first to end first. It
// belongs to the loop that keeps retained messages on disk.
type expiring struct {
	list  []*ending
	at    map[string]*ending
	timer *transport.Timer
}

type ending struct {
	topic  string
	atMS   int64 // Unix milliseconds
	placed int   // in list
}

// expireSlice is how many retained messages are deleted in one turn, and
// expireEvery the shortest time between two of them.
const (
	expireSlice = 256
	expireEvery = time.Second
)

// retainedUntil notes when the retained message of a topic ends; 0 if it does not,
// or is none.
func (l *loop) retainedUntil(topic string, atMS int64) {
	x := &l.expiring
	e := x.at[topic]
	switch {
	case atMS == 0 && e == nil:
		return
	case atMS == 0:
		heap.Remove(x, e.placed)
		delete(x.at, topic)
		return
	case e == nil:
		if x.at == nil {
			x.at = make(map[string]*ending)
		}
		e = &ending{topic: topic, atMS: atMS}
		x.at[topic] = e
		heap.Push(x, e)
	default:
		e.atMS = atMS
		heap.Fix(x, e.placed)
	}
	if x.list[0] == e {
		l.awaitExpiry()
	}
}

// awaitExpiry has the next message deleted when it has expired.
func (l *loop) awaitExpiry() {
	x := &l.expiring
	wait := max(time.Duration(x.list[0].atMS-l.nowMS())*time.Millisecond, expireEvery)
	if x.timer == nil {
		x.timer = l.t.After(wait, task{l.expireRetained})
		return
	}
	x.timer.Reset(wait)
}

// expireRetained deletes what has expired, in memory and on disk [MQTT-3.3.2-5].
// A message that takes the place of one of them in the meantime stays.
func (l *loop) expireRetained() {
	x := &l.expiring
	now := l.nowMS()
	for n := 0; n < expireSlice && len(x.list) > 0 && x.list[0].atMS <= now; n++ {
		e := heap.Pop(x).(*ending)
		delete(x.at, e.topic)
		var id queue.RetainedID
		if l.b.retained.DeleteIf(e.topic, func(m *retained) bool { id = m.id; return m.expired(now) }) {
			l.deleteRetained(e.topic, id)
		} else if m, ok := l.b.retained.Get(e.topic); ok {
			l.retainedUntil(e.topic, m.expiresMS)
		}
	}
	if len(x.list) > 0 {
		l.awaitExpiry()
	}
}

func (m *retained) expired(nowMS int64) bool { return m.expiresMS > 0 && nowMS >= m.expiresMS }

// Len, Less, Swap, Push and Pop make it a heap.
func (x *expiring) Len() int           { return len(x.list) }
func (x *expiring) Less(i, j int) bool { return x.list[i].atMS < x.list[j].atMS }

func (x *expiring) Swap(i, j int) {
	x.list[i], x.list[j] = x.list[j], x.list[i]
	x.list[i].placed, x.list[j].placed = i, j
}

func (x *expiring) Push(e any) {
	e.(*ending).placed = len(x.list)
	x.list = append(x.list, e.(*ending))
}

func (x *expiring) Pop() any {
	last := len(x.list) - 1
	e := x.list[last]
	x.list[last] = nil
	x.list = x.list[:last]
	return e
}
