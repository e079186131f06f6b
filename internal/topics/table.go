package topics

const (
	// tableBits splits every hash table into segments, so that growing one moves
	// a 256th of the values at a time: about 0.1 ms at a million.
	tableBits = 8
	segments  = 1 << tableBits

	segmentFloor = 8 // smallest segment in slots
)

// segment is a part of a hash table: open addressing, linear probing, deletion
// by shifting back. The tags lie apart from the values, so that a look-up that
// finds nothing, as most do, touches one cache line.
type segment[V any] struct {
	tags []uint32 // a power of two of them; 0 is an empty slot
	vals []V
	used int
}

// locate splits a hash into the number of its segment and its tag there.
func locate(hash uint64) (segment int, tag uint32) {
	return int(hash >> (64 - tableBits)), max(uint32(hash), 1)
}

// seek returns the first slot with this tag, probing from slot from on: the tag
// itself to begin with, then the slot after the last found.
func (t *segment[V]) seek(tag, from uint32) (slot uint32, ok bool) {
	if len(t.tags) == 0 {
		return 0, false
	}
	mask := uint32(len(t.tags) - 1)
	for i := from & mask; ; i = (i + 1) & mask {
		switch t.tags[i] {
		case tag:
			return i, true
		case 0:
			return 0, false
		}
	}
}

// add stores a value and returns where it is until the next add or remove.
func (t *segment[V]) add(tag uint32, v V) *V {
	if t.used >= len(t.tags)/4*3 {
		t.resize(max(segmentFloor, 2*len(t.tags)))
	}
	t.used++
	return t.put(tag, v)
}

func (t *segment[V]) put(tag uint32, v V) *V {
	mask := uint32(len(t.tags) - 1)
	i := tag & mask
	for t.tags[i] != 0 {
		i = (i + 1) & mask
	}
	t.tags[i], t.vals[i] = tag, v
	return &t.vals[i]
}

func (t *segment[V]) resize(size int) {
	tags, vals := t.tags, t.vals
	t.tags, t.vals = make([]uint32, size), make([]V, size)
	for i, tag := range tags {
		if tag != 0 {
			t.put(tag, vals[i])
		}
	}
}

// remove empties a slot, closing the gap: it moves back every later value of the
// run that the gap would hide from its own probe.
func (t *segment[V]) remove(i uint32) {
	mask := uint32(len(t.tags) - 1)
	for j := (i + 1) & mask; t.tags[j] != 0; j = (j + 1) & mask {
		if home := t.tags[j] & mask; (j-home)&mask >= (j-i)&mask {
			t.tags[i], t.vals[i] = t.tags[j], t.vals[j]
			i = j
		}
	}
	t.tags[i] = 0
	clear(t.vals[i : i+1])
	t.used--
	if size := len(t.tags); size > segmentFloor && t.used < size/8 {
		t.resize(size / 2)
	}
}
