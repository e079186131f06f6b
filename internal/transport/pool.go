package transport

import "math/bits"

// pool keeps a loop's buffers between turns, in classes of powers of two from
// 512 bytes to 256 KB. A connection asks for the class it needed last time, so
// neither do all buffers grow to the size of the largest answer nor does a
// busy connection grow its buffer anew in each turn.
type pool struct {
	classes [poolClasses]poolClass
	held    int // bytes in all classes
}

type poolClass struct {
	free [][]byte
	low  int // fewest free since the last trim: those were not needed
}

const (
	poolSmallest = 512
	poolClasses  = 10       // 512 B … 256 KB
	poolMost     = 64 << 20 // bytes kept at most; trim lets go of what is not used
)

// get returns an empty buffer of the class.
func (p *pool) get(class uint8) []byte {
	k := &p.classes[class]
	if n := len(k.free); n > 0 {
		b := k.free[n-1]
		k.free[n-1] = nil
		k.free = k.free[:n-1]
		k.low = min(k.low, n-1)
		p.held -= cap(b)
		return b
	}
	return make([]byte, 0, poolSmallest<<class)
}

// put takes a buffer back. Too small and too large ones go to the collector.
func (p *pool) put(b []byte) {
	if cap(b) < poolSmallest || cap(b) >= poolSmallest<<poolClasses || p.held+cap(b) > poolMost {
		return
	}
	k := &p.classes[floorClass(cap(b))]
	k.free = append(k.free, b[:0])
	p.held += cap(b)
}

// trim lets go of the buffers that no turn needed since the last trim.
func (p *pool) trim() {
	for i := range p.classes {
		k := &p.classes[i]
		keep := len(k.free) - k.low
		for j, b := range k.free[:k.low] {
			p.held -= cap(b)
			k.free[j] = nil
		}
		// The unused ones are at the bottom of the stack.
		copy(k.free, k.free[k.low:])
		clear(k.free[keep:])
		k.free = k.free[:keep]
		k.low = keep
	}
}

// floorClass is the largest class whose size is not above n ≥ 512.
func floorClass(n int) uint8 { return uint8(min(bits.Len(uint(n)/poolSmallest)-1, poolClasses-1)) }

// ceilClass is the smallest class that holds n bytes, or the largest class.
func ceilClass(n int) uint8 {
	if n <= poolSmallest {
		return 0
	}
	return uint8(min(bits.Len(uint(n-1)/poolSmallest), poolClasses-1))
}
