package store

import (
	"encoding/binary"
	"sync"
)

// head holds the points of one series that are committed but not yet in chunks,
// in the order in which they came:
//
//	zigzag varint of the time relative to the point before | value (appendValue)
//
// Its buffer only ever grows: bytes once written do not change, so samples read
// from it may refer to it.
type head struct {
	series   int64
	first    int64 // the round of its oldest point
	since    int64 // when that was, ms
	n        int
	last     int64 // time of the point that came last
	maxTime  int64 // greatest time of points that are not of the past, -1 if there are none
	maxValue int   // where in buf the value with maxTime is; of equals the last
	buf      []byte
	full     bool // is in heads.full

	prev, next *head
}

const (
	headPoints   = 100      // a head with so many points is full
	headBytes    = 32 << 10 // so is one with so many bytes
	headOverhead = 160      // what a head costs besides its buffer
)

// heads are the heads of all series. Only holders of Store.wmu change them, with
// mu locked; others read with mu read-locked.
type heads struct {
	mu          sync.RWMutex
	m           map[int64]*head
	front, back *head   // in the order of first
	full        []*head // heads to be folded in the next round
	bytes       int     // memory of all heads
}

func newHeads() *heads { return &heads{m: map[int64]*head{}} }

// apply carries out the records of a committed round. Whatever it is given it
// stays consistent; it reports whether all records could be read.
func (h *heads) apply(round, now int64, recs []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := recordReader{rest: recs}
	for r.next() {
		if r.drop {
			h.remove(r.series)
		} else {
			h.add(round, now, &r)
		}
	}
	return len(r.rest) == 0
}

func (h *heads) add(round, now int64, r *recordReader) {
	p := h.m[r.series]
	if p == nil {
		p = &head{series: r.series, first: round, since: now, maxTime: -1, buf: make([]byte, 0, 48), prev: h.back}
		if h.back != nil {
			h.back.next = p
		} else {
			h.front = p
		}
		h.back = p
		h.m[r.series] = p
		h.bytes += headOverhead + cap(p.buf)
	}
	before := cap(p.buf)
	p.buf = binary.AppendVarint(p.buf, r.timeMS-p.last)
	at := len(p.buf)
	p.buf = append(p.buf, r.value...)
	h.bytes += cap(p.buf) - before
	p.last = r.timeMS
	p.n++
	if !r.past && r.timeMS >= p.maxTime {
		p.maxTime, p.maxValue = r.timeMS, at
	}
	if !p.full && (p.n >= headPoints || len(p.buf) >= headBytes) {
		p.full = true
		h.full = append(h.full, p)
	}
}

func (h *heads) remove(series int64) {
	p := h.m[series]
	if p == nil {
		return
	}
	delete(h.m, series)
	h.bytes -= headOverhead + cap(p.buf)
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		h.front = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		h.back = p.prev
	}
	p.prev, p.next = nil, nil
	if p.full {
		for i, q := range h.full {
			if q == p {
				h.full = append(h.full[:i], h.full[i+1:]...)
				break
			}
		}
	}
}

// pressure says when heads that are not full are to be folded.
type pressure struct {
	bytes  int   // fold the oldest until no more than this is left
	before int64 // fold what has waited since before this time, ms
	round  int64 // fold what has points of this round or an earlier one
}

// foldsPerRound bounds what one round folds for reasons that can wait, so that
// the points of that round need not.
const foldsPerRound = 1000

// choose returns the heads to fold now, and the round of the oldest point that
// remains in a head after that (0 if none does).
func (h *heads) choose(p pressure) (folds []*head, oldest int64) {
	folds = append(folds, h.full...)
	left := h.bytes
	for _, f := range folds {
		left -= headOverhead + cap(f.buf)
	}
	spare := foldsPerRound
	for f := h.front; f != nil; f = f.next {
		if f.full {
			continue
		}
		over := left > p.bytes
		if !over && (spare == 0 || f.since >= p.before && f.first > p.round) {
			return folds, f.first
		}
		folds = append(folds, f)
		left -= headOverhead + cap(f.buf)
		spare = max(spare-1, 0)
	}
	return folds, 0
}

func headSamples(dst []Sample, buf []byte, from, to int64) []Sample {
	var t int64
	for len(buf) > 0 {
		delta, n := binary.Varint(buf)
		if n <= 0 {
			return dst
		}
		v, size := readValue(buf[n:])
		if size == 0 {
			return dst
		}
		t += delta
		if t >= from && t <= to {
			dst = append(dst, Sample{TimeMS: t, Value: v})
		}
		buf = buf[n+size:]
	}
	return dst
}

// read returns the points of a series as they are now, encoded for headSamples.
func (h *heads) read(series int64) []byte {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if p := h.m[series]; p != nil {
		return p.buf
	}
	return nil
}

// latest returns the point with the greatest time in a series' head, without those
// of the past. The caller holds mu.
func (h *heads) latest(series int64) (Sample, bool) {
	p := h.m[series]
	if p == nil {
		return Sample{}, false
	}
	return p.latest()
}

func (p *head) latest() (Sample, bool) {
	if p.maxTime < 0 {
		return Sample{}, false
	}
	v, size := readValue(p.buf[p.maxValue:])
	return Sample{TimeMS: p.maxTime, Value: v}, size > 0
}
