package queue

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// The store's logs and its MANIFEST are records in chunks, and chunks in blocks of
// 32 KB; a chunk has a checksum. The store itself stops at the first chunk that is
// wrong and takes that for the end, as it is after a power cut. If sound chunks
// follow, it was not the end but damage, and what follows would be lost without a
// word. So these files are looked through before the store sees them.
const (
	chunkBlock       = 32 << 10
	plainChunkHeader = 7  // checksum, length, type: the MANIFEST's
	logChunkHeader   = 11 // and the number of the log
	syncChunkHeader  = 19 // and how far it was synced, in newer formats
)

// chunked is what was found in such a file.
type chunked struct {
	records [][]byte
	// gaps are the places at which sound chunks follow damaged ones.
	gaps []int
	// torn is the length of what is incomplete at the end, zeros not counted.
	torn int
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func chunkSum(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// chunk looks for a sound chunk at a place: which part of a record it is (0 none,
// 1 all, 2 first, 3 middle, 4 last), its content and where it ends. A log's chunks
// bear its number; the MANIFEST's none.
func chunk(b []byte, at int, isLog bool, number uint32) (part byte, content []byte, end int) {
	limit := min(len(b), at-at%chunkBlock+chunkBlock)
	if at+plainChunkHeader > limit {
		return 0, nil, 0
	}
	header := plainChunkHeader
	switch kind := b[at+6]; {
	case !isLog && kind >= 1 && kind <= 4:
		part = kind
	case isLog && kind >= 5 && kind <= 8:
		part, header = kind-4, logChunkHeader
	case isLog && kind >= 9 && kind <= 12:
		part, header = kind-8, syncChunkHeader
	default:
		return 0, nil, 0
	}
	end = at + header + int(binary.LittleEndian.Uint16(b[at+4:]))
	if end > limit || isLog && binary.LittleEndian.Uint32(b[at+7:]) != number || binary.LittleEndian.Uint32(b[at:]) != chunkSum(b[at+6:end]) {
		return 0, nil, 0
	}
	return part, b[at+header : end], end
}

// readChunks reads everything that is sound in a file.
func readChunks(b []byte, isLog bool, number uint32) (c chunked) {
	header := plainChunkHeader
	if isLog {
		header = logChunkHeader
	}
	var record []byte
	begun, start := false, 0 // a record has a beginning, where
	for at := 0; at < len(b); {
		if left := chunkBlock - at%chunkBlock; left < header {
			at += left
			continue
		}
		part, content, end := chunk(b, at, isLog, number)
		if part == 0 && isLog && at+logChunkHeader <= len(b) && binary.LittleEndian.Uint32(b[at:]) == 0 && binary.LittleEndian.Uint16(b[at+4:]) == 0 &&
			b[at+6] != 0 && binary.LittleEndian.Uint32(b[at+7:]) == number+1 { // the store's mark of the end
			break
		}
		if part == 0 {
			next := at + 1
			for ; next < len(b); next++ {
				if p, _, _ := chunk(b, next, isLog, number); p != 0 {
					break
				}
			}
			if next >= len(b) {
				if begun {
					at = start
				}
				c.torn = len(bytes.TrimRight(b[at:], "\x00"))
				return c
			}
			// Zeros at the end of a block are where no chunk had room.
			if next%chunkBlock != 0 || len(bytes.TrimRight(b[at:next], "\x00")) > 0 || next-at >= syncChunkHeader {
				c.gaps = append(c.gaps, at)
				begun = false
			}
			at = next
			continue
		}
		switch {
		case part == 1 || part == 2:
			if begun { // its end is missing
				c.gaps = append(c.gaps, start)
			}
			record, begun, start = append([]byte(nil), content...), true, at
		case begun:
			record = append(record, content...)
		}
		if begun && (part == 1 || part == 4) {
			c.records = append(c.records, record)
			begun = false
		}
		at = end
	}
	if begun {
		c.torn = len(bytes.TrimRight(b[start:], "\x00"))
	}
	return c
}
