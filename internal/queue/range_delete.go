package queue

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// A range deletion in a memtable makes the first reader after each later write
// sort all of them anew: a fleet that reconnects with clean sessions would make
// every read cost a millisecond. Most ranges are empty or hold a few keys, so the
// committer looks, and deletes what it finds key by key; an empty range costs
// nothing at all. It writes a range deletion for a range with many keys, and for
// a session that was written so recently that the look may have missed it.

// fewKeys is how many keys are deleted one by one.
const fewKeys = 64

// touched is an approximate set of sessions: a session that was added is always
// found, others sometimes.
type touched [1 << 8]uint64

func (t *touched) place(key []byte) (word int, bit uint64) {
	h := binary.BigEndian.Uint64(key[1:]) * 0x9E3779B97F4A7C15 >> 50
	return int(h >> 6), 1 << (h & 63)
}

// add notes the session of a queue key; other keys are never deleted by range.
func (t *touched) add(key []byte) {
	if key[0] == keyQueue {
		word, bit := t.place(key)
		t[word] |= bit
	}
}

func (t *touched) has(key []byte) bool {
	word, bit := t.place(key)
	return t[word]&bit != 0
}

// deleteRange deletes the queue keys of one session from start up to, not
// including, end. busy is the group being written, nil if none.
func (g *group) deleteRange(start, end []byte, busy *group) error {
	unseen := g.touched.has(start) || (busy != nil && busy.touched.has(start))
	if !unseen && g.look(start, end) {
		for key := range g.found.keys() {
			if err := g.batch.Delete(key, nil); err != nil {
				return err
			}
		}
		return nil
	}
	g.rangeDeletes++
	return g.batch.DeleteRange(start, end, nil)
}

// look collects the keys of a range into found; false when there are many or they
// cannot be read. The iterator serves the whole group: what it is too old to see
// is in this group or the one being written, and those are looked up in touched.
func (g *group) look(start, end []byte) bool {
	g.found = g.found[:0]
	bounds := &pebble.IterOptions{LowerBound: start, UpperBound: end}
	if g.iter == nil {
		iter, err := g.engine.db.NewIter(bounds)
		if err != nil {
			return false
		}
		g.iter = iter
	} else {
		g.iter.SetBounds(start, end)
	}
	n := 0
	for ok := g.iter.First(); ok; ok = g.iter.Next() {
		if n++; n > fewKeys {
			return false
		}
		g.found.add(g.iter.Key())
	}
	return g.iter.Error() == nil
}

// endLook gives the iterator back; until then files it reads cannot be removed.
func (g *group) endLook() {
	if g.iter != nil {
		_ = g.iter.Close() // an error was met by look, which then did without
		g.iter = nil
	}
}

// keyList is keys one after the other, each behind its length, which is small.
type keyList []byte

func (l *keyList) add(key []byte) { *l = append(append(*l, byte(len(key))), key...) }

func (l keyList) keys() func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(l) > 0 {
			n := 1 + int(l[0])
			if !yield(l[1:n]) {
				return
			}
			l = l[n:]
		}
	}
}
