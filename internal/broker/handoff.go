package broker

import (
	"sync"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/transport"
)

// handoff carries the publications of one turn to the receivers of another
// loop.
type handoff struct {
	to    *loop
	items []handed
	buf   []byte
	once  []target // of plans that are used once
	count int      // publications
	size  int64    // as counted in loop.handed
}

// handed is one publication with its receivers: either the targets of a plan or
// one session.
type handed struct {
	targets   []target
	once, few int // or so many of handoff.once, from once on
	single    *Session

	// run is how many publications these are: if it is not 1, their frames lie
	// behind each other, and of the first alone is what follows.
	run                 int
	topic               string
	start, payload, end int // frame (or payload only) and payload in buf
	framed              bool
	properties          int // end of the properties, which start at end
	qos                 byte
	retain              bool
	noEcho              bool
	from                *Session
	publisher           string
	publishedMS         int64
	expiresMS           int64
	x                   *Exchange
	tie                 *queue.Tie // with what other loops store
}

var handoffs = sync.Pool{New: func() any { return new(handoff) }}

func (l *loop) handoff(i int) *handoff {
	if l.out[i] == nil {
		h := handoffs.Get().(*handoff)
		h.to = l.b.loops[i]
		l.out[i] = h
	}
	return l.out[i]
}

// hand puts a publication into the handoff for loop i, for targets or for a single
// session. once tells that the targets are the caller's after that. lasting tells that its
// acknowledgement may have to wait for what that loop does with it.
func (l *loop) hand(i int, p *publication, targets []target, once bool, single *Session, lasting bool) {
	h := l.handoff(i)
	if p.frame != nil && p.qos == 0 && !p.noEcho && len(targets) == 1 && h.extend(p.frame, 1, &targets[0]) {
		return
	}
	h.count++
	it := handed{
		single: single, run: 1,
		topic: p.topic, qos: p.qos, retain: p.retain, noEcho: p.noEcho,
		from: p.from, publisher: p.publisher, publishedMS: p.publishedMS, expiresMS: p.expiresMS,
		start: len(h.buf),
	}
	if p.frame != nil {
		it.framed = true
		h.buf = append(h.buf, p.frame...)
		it.payload = len(h.buf) - len(p.payload)
	} else {
		it.payload = len(h.buf)
		h.buf = append(h.buf, p.payload...)
	}
	it.end = len(h.buf)
	h.buf = append(h.buf, p.properties...)
	it.properties = len(h.buf)
	if lasting && p.qos > 0 && p.x != nil {
		p.x.hold()
		it.x = p.x
		it.tie = p.part()
	}
	if once {
		it.once, it.few = len(h.once), len(targets)
		h.once = append(h.once, targets...)
	} else {
		it.targets = targets
	}
	h.items = append(h.items, it)
}

func (h *handoff) targets(it *handed) []target {
	if it.few > 0 {
		return h.once[it.once : it.once+it.few]
	}
	return it.targets
}

// extend adds publications to the run that the one before began, or makes a run of
// that one: QoS 0, for the same session, to be passed on byte for byte. It reports
// false if the one before is not of that kind.
func (h *handoff) extend(frames []byte, count int, t *target) bool {
	if len(h.items) == 0 || !t.plain() {
		return false
	}
	it := &h.items[len(h.items)-1]
	if !it.framed || it.noEcho || it.qos > 0 || it.properties != len(h.buf) {
		return false
	}
	before := h.targets(it)
	if len(before) != 1 || before[0].s != t.s || !before[0].plain() {
		return false
	}
	h.buf = append(h.buf, frames...)
	h.count += count
	it.run += count
	it.end = len(h.buf)
	it.properties = it.end
	return true
}

// Run delivers on the receiving loop.
func (h *handoff) Run(*transport.Loop) {
	l := h.to
	l.handed.Add(-h.size)
	for i := range h.items {
		it := &h.items[i]
		if it.run > 1 {
			l.deliverRun(&run{
				frames: h.buf[it.start:it.end], count: it.run,
				from: it.from, publisher: it.publisher, publishedMS: it.publishedMS,
			}, &h.targets(it)[0])
			continue
		}
		p := &l.pub
		*p = publication{
			topic: it.topic, payload: h.buf[it.payload:it.end], properties: h.buf[it.end:it.properties],
			qos: it.qos, retain: it.retain, noEcho: it.noEcho, from: it.from, publisher: it.publisher,
			publishedMS: it.publishedMS, expiresMS: it.expiresMS, x: it.x,
			exact: it.tie != nil, tie: it.tie, // for what is passed on
		}
		if it.framed {
			p.frame = h.buf[it.start:it.end]
		}
		from := 0
		if it.tie != nil {
			from = l.pending().batch.Bytes()
		}
		targets := h.targets(it)
		for t := range targets {
			l.deliver(p, &targets[t])
		}
		if it.single != nil {
			l.deliverTo(p, it.single, p.qos, false, nil)
		}
		if it.tie != nil {
			l.pending().batch.Tie(it.tie, from)
		}
		if it.x != nil {
			it.x.release(l)
		}
	}
	clear(h.items)
	clear(h.once)
	h.items, h.once, h.count, h.to = h.items[:0], h.once[:0], 0, nil
	if cap(h.buf) <= 1<<20 && cap(h.once) <= planOnceMost {
		h.buf = h.buf[:0]
		handoffs.Put(h)
	}
}
