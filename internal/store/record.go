package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// records builds the data of one history_wal row:
//
//	version (1 byte, 1) | CRC-32C of the rest (4 bytes, little endian) | records
//
// A record begins with a uvarint: the series id times two, plus one for a drop.
// A point goes on with its time as a zigzag varint, relative to the point before
// it in the row, and its value (appendValue). A zero byte, which would be a point of
// series 0, says that the point behind it is one of the past (AppendPast).
type records struct {
	buf  []byte
	last int64 // time of the last point
}

const (
	recordsVersion = 1
	recordsHeader  = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errRecords = errors.New("a write-ahead row is damaged")

func (r *records) reset() {
	r.buf = append(r.buf[:0], recordsVersion, 0, 0, 0, 0)
	r.last = 0
}

// empty reports whether there is no record.
func (r *records) empty() bool { return len(r.buf) <= recordsHeader }

// none is a sealed row without a record.
func (r *records) none() []byte {
	r.reset()
	return r.seal()
}

func (r *records) point(series, timeMS int64, v Value, past bool) {
	if past {
		r.buf = append(r.buf, 0)
	}
	r.buf = binary.AppendUvarint(r.buf, uint64(series)<<1)
	r.buf = binary.AppendVarint(r.buf, timeMS-r.last)
	r.buf = appendValue(r.buf, v)
	r.last = timeMS
}

func (r *records) drop(series int64) {
	r.buf = binary.AppendUvarint(r.buf, uint64(series)<<1|1)
}

// seal completes the header and returns the row's data.
func (r *records) seal() []byte {
	binary.LittleEndian.PutUint32(r.buf[1:], crc32.Checksum(r.buf[recordsHeader:], castagnoli))
	return r.buf
}

// openRecords checks a row's data and returns its records.
func openRecords(data []byte) ([]byte, error) {
	if len(data) < recordsHeader || data[0] != recordsVersion ||
		binary.LittleEndian.Uint32(data[1:]) != crc32.Checksum(data[recordsHeader:], castagnoli) {
		return nil, &Error{Kind: KindCorrupt, Op: "read history", Err: errRecords,
			Hint: "restore a backup of the database"}
	}
	return data[recordsHeader:], nil
}

// recordReader goes through the records of a row.
type recordReader struct {
	rest   []byte
	series int64
	drop   bool   // all earlier points of series are obsolete
	past   bool   // a point of the past
	timeMS int64  // of a point
	value  []byte // of a point, encoded
}

// next reads the next record; it returns false at the end or at a record that
// cannot be read, and then rest tells which.
func (r *recordReader) next() bool {
	r.past = len(r.rest) > 1 && r.rest[0] == 0
	if r.past {
		r.rest = r.rest[1:]
	}
	id, n := binary.Uvarint(r.rest)
	if n <= 0 || id == 0 {
		return false
	}
	r.series, r.drop = int64(id>>1), id&1 != 0
	if r.drop {
		r.rest = r.rest[n:]
		return true
	}
	delta, m := binary.Varint(r.rest[n:])
	if m <= 0 {
		return false
	}
	size := valueSize(r.rest[n+m:])
	if size == 0 {
		return false
	}
	r.timeMS += delta
	r.value = r.rest[n+m : n+m+size]
	r.rest = r.rest[n+m+size:]
	return true
}

// valueSize is the length of the value at the beginning of b, 0 if there is
// none.
func valueSize(b []byte) int {
	_, size := readValue(b)
	return size
}
