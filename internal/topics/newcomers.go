package topics

import "slices"

// newcomers are retained messages that have not been given their place in order
// yet: nobody who stores a message needs it, and finding it among hundreds of
// thousands costs more than all else a store does to a new topic. They are full blocks
// but for the last, so that none of their changes moves more than one message.
type newcomers[M any] struct {
	blocks [][]*item[M]
}

// add takes a message in.
func (n *newcomers[M]) add(it *item[M]) {
	last := len(n.blocks) - 1
	if last < 0 || len(n.blocks[last]) == blockSize {
		var b []*item[M] // the first one grows, for those who have few topics
		if last >= 0 {
			b = make([]*item[M], 0, blockSize)
		}
		n.blocks = append(n.blocks, b)
		last++
	}
	n.blocks[last] = append(n.blocks[last], it)
	it.newcomer = last*blockSize + len(n.blocks[last])
}

// remove takes a message out, and gives its position to the last one.
func (n *newcomers[M]) remove(it *item[M]) {
	last := len(n.blocks) - 1
	b := n.blocks[last]
	moved := b[len(b)-1]
	at := it.newcomer - 1
	n.blocks[at/blockSize][at%blockSize] = moved
	moved.newcomer, it.newcomer = it.newcomer, 0
	b[len(b)-1] = nil
	if n.blocks[last] = b[:len(b)-1]; len(b) == 1 {
		n.drop(last)
	}
}

// settle moves at most a block of messages to the shelf: tens of microseconds, or
// a few hundred among a million.
func (n *newcomers[M]) settle(s *shelf[M]) {
	last := len(n.blocks) - 1
	if last < 0 {
		return
	}
	b := n.blocks[last]
	// In order, so that neighbours find what is looked at for one of them in the
	// processor's caches.
	slices.SortFunc(b, func(x, y *item[M]) int { return compareNames(x.topic, y.topic) })
	for _, it := range b {
		it.newcomer = 0
		s.insert(it)
	}
	n.drop(last)
}

// drop removes the last block, whose messages are elsewhere.
func (n *newcomers[M]) drop(last int) {
	n.blocks[last] = nil
	if n.blocks = n.blocks[:last]; last == 0 {
		n.blocks = nil
	}
}

func (n *newcomers[M]) empty() bool { return len(n.blocks) == 0 }
