package topics

import "unsafe"

const (
	// segments splits the edge table so that growing it moves a 256th of the
	// edges at a time: 0.1 ms at a million.
	segmentBits = 8
	segments    = 1 << segmentBits

	segmentFloor = 8 // smallest segment in slots
)

// edges is the hash table from (parent, level) to node of the whole tree: open
// addressing, linear probing, deletion by shifting back.
type edges[S comparable] struct {
	segment [segments]segment[S]
}

type segment[S comparable] struct {
	slots []slot[S] // a power of two
	used  int
}

// slot keeps the whole hash, so that probing and moving touch no node.
type slot[S comparable] struct {
	hash uint64
	node *node[S]
}

func (e *edges[S]) of(hash uint64) *segment[S] { return &e.segment[hash>>(64-segmentBits)] }

// find returns the child of parent with this level, or nil.
func (e *edges[S]) find(hash uint64, parent *node[S], level string) *node[S] {
	sg := e.of(hash)
	if len(sg.slots) == 0 {
		return nil
	}
	mask := uint64(len(sg.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &sg.slots[i]
		if s.node == nil {
			return nil
		}
		if s.hash == hash && s.node.parent == parent && s.node.level.equal(level) {
			return s.node
		}
	}
}

// add inserts a node that is not there yet.
func (e *edges[S]) add(hash uint64, n *node[S]) {
	sg := e.of(hash)
	if sg.used >= len(sg.slots)/4*3 {
		sg.resize(max(segmentFloor, 2*len(sg.slots)))
	}
	sg.put(hash, n)
	sg.used++
}

func (sg *segment[S]) put(hash uint64, n *node[S]) {
	mask := uint64(len(sg.slots) - 1)
	i := hash & mask
	for sg.slots[i].node != nil {
		i = (i + 1) & mask
	}
	sg.slots[i] = slot[S]{hash, n}
}

func (sg *segment[S]) resize(size int) {
	old := sg.slots
	sg.slots = make([]slot[S], size)
	for _, s := range old {
		if s.node != nil {
			sg.put(s.hash, s.node)
		}
	}
}

// remove takes out a node that is there.
func (e *edges[S]) remove(hash uint64, n *node[S]) {
	sg := e.of(hash)
	mask := uint64(len(sg.slots) - 1)
	i := hash & mask
	for sg.slots[i].node != n {
		i = (i + 1) & mask
	}
	// Close the gap: move back every later edge of the run that the gap would
	// hide from its own probe.
	for j := (i + 1) & mask; sg.slots[j].node != nil; j = (j + 1) & mask {
		home := sg.slots[j].hash & mask
		if (j-home)&mask >= (j-i)&mask {
			sg.slots[i] = sg.slots[j]
			i = j
		}
	}
	sg.slots[i] = slot[S]{}
	sg.used--
	if size := len(sg.slots); size > segmentFloor && sg.used < size/8 {
		sg.resize(size / 2)
	}
}

// levelInline is chosen so that a node with a pointer for S fills its 112-byte
// allocation class; product keys (11) and most device names fit.
const levelInline = 27

// levelText is the text of one level, in place if short: comparing it then
// touches no memory but the node's own. Copying also keeps a short level from
// holding a long filter alive.
type levelText struct {
	long  *string
	n     uint8 // length if long is nil
	short [levelInline]byte
}

func (t *levelText) set(level string) {
	if len(level) > levelInline {
		s := string(append([]byte(nil), level...))
		t.long = &s
		return
	}
	t.n = uint8(copy(t.short[:], level))
}

func (t *levelText) equal(level string) bool {
	if t.long != nil {
		return *t.long == level
	}
	return string(t.short[:t.n]) == level
}

// text returns the level. It aliases the node.
func (t *levelText) text() string {
	if t.long != nil {
		return *t.long
	}
	return unsafe.String(&t.short[0], int(t.n))
}
