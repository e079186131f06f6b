package topics

import "slices"

// blockSize is the most items of one block. A change moves at most so many
// pointers, and a split at most one pointer for every 128 items of the shelf.
const blockSize = 256

// shelf is a set of retained messages in the order of compareNames: a slice of
// sorted blocks, none of them empty. Compared with a balanced tree it has no
// inner nodes to keep, and walking it is walking arrays.
type shelf[M any] struct {
	blocks []block[M]
}

// block keeps the topic of its last item beside the items: a search compares
// with one string for each step, not through two pointers first.
type block[M any] struct {
	last  string
	items []*item[M]
}

// set gives the block its items, of which there is at least one.
func (b *block[M]) set(items []*item[M]) {
	b.items, b.last = items, items[len(items)-1].topic
}

type item[M any] struct {
	topic    string
	m        M
	newcomer int // place among the newcomers, from 1; 0 on the shelf
}

// place is a position in the shelf; the end has block == len(blocks). A place is
// valid until the next change.
type place struct{ block, at int }

// seek returns the first place whose topic is not before name.
func (s *shelf[M]) seek(name string) place {
	return s.search(func(topic string) bool { return compareNames(topic, name) < 0 })
}

// seekPast returns the first place after top and everything below it.
func (s *shelf[M]) seekPast(top string) place {
	return s.search(func(topic string) bool {
		return compareNames(topic, top) < 0 || within(topic, top)
	})
}

// search returns the first place for which before, true for a beginning of the
// shelf, is false.
func (s *shelf[M]) search(before func(topic string) bool) place {
	lo, hi := 0, len(s.blocks)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if before(s.blocks[mid].last) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(s.blocks) {
		return place{lo, 0}
	}
	b := s.blocks[lo].items
	i, j := 0, len(b)-1
	for i < j {
		mid := int(uint(i+j) / 2)
		if before(b[mid].topic) {
			i = mid + 1
		} else {
			j = mid
		}
	}
	return place{lo, i}
}

// get returns the item at a place, or nil at the end.
func (s *shelf[M]) get(p place) *item[M] {
	if p.block == len(s.blocks) {
		return nil
	}
	return s.blocks[p.block].items[p.at]
}

// next returns the place after p, which is not the end.
func (s *shelf[M]) next(p place) place {
	if p.at++; p.at == len(s.blocks[p.block].items) {
		return place{p.block + 1, 0}
	}
	return p
}

// insert adds an item whose topic is not there yet.
func (s *shelf[M]) insert(it *item[M]) {
	p := s.seek(it.topic)
	if p.block == len(s.blocks) {
		if p.block == 0 {
			s.blocks = append(s.blocks, block[M]{it.topic, []*item[M]{it}})
			return
		}
		p.block--
		p.at = len(s.blocks[p.block].items)
	}
	items := s.blocks[p.block].items
	if len(items) == blockSize {
		// Topics often arrive in order: then leave a full block behind.
		cut := blockSize / 2
		if p.at == blockSize {
			cut = blockSize
		}
		tail := append(make([]*item[M], 0, blockSize), items[cut:]...)
		clear(items[cut:])
		items = items[:cut]
		s.blocks[p.block].set(items)
		s.blocks = slices.Insert(s.blocks, p.block+1, block[M]{items: tail})
		if p.at >= cut {
			p = place{p.block + 1, p.at - cut}
			items = tail
		} else {
			s.blocks[p.block+1].set(tail)
		}
	}
	s.blocks[p.block].set(slices.Insert(items, p.at, it))
}

// remove takes out the item of a topic that is there.
func (s *shelf[M]) remove(topic string) {
	p := s.seek(topic)
	items := slices.Delete(s.blocks[p.block].items, p.at, p.at+1)
	if len(items) == 0 {
		s.blocks = slices.Delete(s.blocks, p.block, p.block+1)
		return
	}
	s.blocks[p.block].set(items)
	if len(items) < blockSize/4 {
		s.merge(p.block)
	}
}

// merge joins a sparse block with a neighbour if both fit well into one.
func (s *shelf[M]) merge(i int) {
	if i == len(s.blocks)-1 {
		i--
	}
	if i < 0 || len(s.blocks[i].items)+len(s.blocks[i+1].items) > blockSize/2 {
		return
	}
	s.blocks[i].set(append(s.blocks[i].items, s.blocks[i+1].items...))
	s.blocks = slices.Delete(s.blocks, i+1, i+2)
}
