package trace

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	blockSize = 2048
	// blockHead is the fixed part of a block's head: CRC-32 of the rest of the
	// head, magic, length of the key, id of the first record. The key follows.
	blockHead = 16
	magic     = 0x4C54 // "LT"
	maxKey    = 512
)

// block is what is known of a block of the file. Blocks that are in use are linked
// by when they were last written to.
type block struct {
	owner      *device // nil: free
	first      uint64  // id of its first record
	prev, next int32   // -1: none
}

func appendBlockHead(dst []byte, key string, first uint64) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint16(dst, magic)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(key)))
	dst = binary.LittleEndian.AppendUint64(dst, first)
	dst = append(dst, key...)
	binary.LittleEndian.PutUint32(dst[start:], crc32.ChecksumIEEE(dst[start+4:]))
	return dst
}

// readBlockHead reads a block's head; size is 0 if it has none.
func readBlockHead(b []byte) (key string, first uint64, size int) {
	if len(b) < blockHead || binary.LittleEndian.Uint16(b[4:]) != magic {
		return "", 0, 0
	}
	n := int(binary.LittleEndian.Uint16(b[6:]))
	if n == 0 || n > maxKey || blockHead+n > len(b) {
		return "", 0, 0
	}
	if crc32.ChecksumIEEE(b[4:blockHead+n]) != binary.LittleEndian.Uint32(b) {
		return "", 0, 0
	}
	return string(b[blockHead : blockHead+n]), binary.LittleEndian.Uint64(b[8:]), blockHead + n
}

// lru is the list of blocks in use, the one written to longest ago first.
type lru struct {
	blocks      []block
	first, last int32
}

func (l *lru) remove(i int32) {
	b := &l.blocks[i]
	if b.prev >= 0 {
		l.blocks[b.prev].next = b.next
	} else if l.first == i {
		l.first = b.next
	}
	if b.next >= 0 {
		l.blocks[b.next].prev = b.prev
	} else if l.last == i {
		l.last = b.prev
	}
	b.prev, b.next = -1, -1
}

func (l *lru) append(i int32) {
	b := &l.blocks[i]
	b.prev, b.next = l.last, -1
	if l.last >= 0 {
		l.blocks[l.last].next = i
	} else {
		l.first = i
	}
	l.last = i
}

// touch makes i the one written to last.
func (l *lru) touch(i int32) {
	if l.last != i {
		l.remove(i)
		l.append(i)
	}
}
