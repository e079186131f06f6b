package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
)

// A chunk holds sorted points of one series, no two with the same time:
//
//	version (1 byte, 2) | CRC-32C of the rest (4 bytes, little endian) |
//	count (uvarint) | times: the first as a uvarint, then zigzag varints of the change of the step |
//	layout (1 byte) | values
//
// Version 1 had no checksum and is still read. A regular series costs one byte a point for its times. The layouts:
//
//	0 mixed:   each value with its type (appendValue)
//	1 int:     zigzag varints of the change
//	2 float:   8 bytes each
//	3 bool:    1 byte each
//	4 decimal: floats that are m / 10^e, as sensors report them: e (1 byte),
//	           zigzag varints of the change of m
//
// Text and JSON are always mixed.
const (
	chunkVersion  = 2
	chunkHeader   = 5 // version and checksum
	chunkUnsummed = 1 // the version without checksum
	layoutMixed   = 0
	layoutInt     = 1
	layoutFloat   = 2
	layoutBool    = 3
	layoutDecimal = 4
)

const (
	chunkPoints = 128      // most points in a chunk
	chunkBytes  = 64 << 10 // a chunk ends after the value that reaches this
)

var (
	errChunk = errors.New("a chunk is damaged")
	errValue = errors.New("a value is damaged")
)

// pow10 are the scales of layoutDecimal.
var pow10 = [...]float64{1, 10, 100, 1e3, 1e4, 1e5, 1e6}

// decimalScale returns the smallest e at which every value is exactly the
// quotient of a whole number and 10^e, or -1.
func decimalScale(points []Sample) int {
	e := 0
	for i := range points {
		f := math.Float64frombits(points[i].Value.num)
		for !isDecimal(f, e) {
			if e++; e == len(pow10) {
				return -1
			}
		}
	}
	// A later value may need a greater scale at which an earlier one is not
	// exact any more (0.1 at 10^6 still is; 1e14 is not).
	for i := range points {
		if !isDecimal(math.Float64frombits(points[i].Value.num), e) {
			return -1
		}
	}
	return e
}

// isDecimal reports whether f survives as a whole number of 10^-e, bit by bit:
// negative zero, NaN and infinities do not.
func isDecimal(f float64, e int) bool {
	m := math.Round(f * pow10[e])
	return math.Abs(m) < 1<<53 && math.Float64bits(float64(int64(m))/pow10[e]) == math.Float64bits(f)
}

func chunkLayout(points []Sample) (layout byte, scale int) {
	typ := points[0].Value.typ
	for i := range points {
		if points[i].Value.typ != typ {
			return layoutMixed, 0
		}
	}
	switch typ {
	case TypeInt:
		return layoutInt, 0
	case TypeBool:
		return layoutBool, 0
	case TypeFloat:
		if scale = decimalScale(points); scale >= 0 {
			return layoutDecimal, scale
		}
		return layoutFloat, 0
	}
	return layoutMixed, 0
}

// appendChunk appends the encoding of at least one point. The points are sorted,
// with different times.
func appendChunk(dst []byte, points []Sample) []byte {
	start := len(dst)
	dst = append(dst, chunkVersion, 0, 0, 0, 0)
	dst = binary.AppendUvarint(dst, uint64(len(points)))
	dst = binary.AppendUvarint(dst, uint64(points[0].TimeMS))
	var step int64
	for i := 1; i < len(points); i++ {
		s := points[i].TimeMS - points[i-1].TimeMS
		dst = binary.AppendVarint(dst, s-step)
		step = s
	}
	layout, scale := chunkLayout(points)
	dst = append(dst, layout)
	if layout == layoutDecimal {
		dst = append(dst, byte(scale))
	}
	var last int64
	for i := range points {
		v := points[i].Value
		switch layout {
		case layoutInt:
			dst = binary.AppendVarint(dst, int64(v.num)-last)
			last = int64(v.num)
		case layoutDecimal:
			m := int64(math.Round(math.Float64frombits(v.num) * pow10[scale]))
			dst = binary.AppendVarint(dst, m-last)
			last = m
		case layoutFloat:
			dst = binary.LittleEndian.AppendUint64(dst, v.num)
		case layoutBool:
			dst = append(dst, byte(v.num))
		default:
			dst = appendValue(dst, v)
		}
	}
	chunk := dst[start:]
	binary.LittleEndian.PutUint32(chunk[1:], crc32.Checksum(chunk[chunkHeader:], castagnoli))
	return dst
}

// readChunk appends the points of a chunk to dst. Text refers to data.
func readChunk(dst []Sample, data []byte) ([]Sample, error) {
	var b []byte
	switch {
	case len(data) > chunkHeader && data[0] == chunkVersion:
		if b = data[chunkHeader:]; binary.LittleEndian.Uint32(data[1:]) != crc32.Checksum(b, castagnoli) {
			return dst, errChunk
		}
	case len(data) > 1 && data[0] == chunkUnsummed:
		b = data[1:]
	default:
		return dst, errChunk
	}
	count, n := binary.Uvarint(b)
	// Every point takes a byte at least, so this bounds what is allocated.
	if n <= 0 || count == 0 || count > uint64(len(b)) {
		return dst, errChunk
	}
	b = b[n:]
	first, n := binary.Uvarint(b)
	if n <= 0 {
		return dst, errChunk
	}
	b = b[n:]
	base := len(dst)
	dst = slices.Grow(dst, int(count))[:base+int(count)]
	points := dst[base:]
	points[0].TimeMS = int64(first)
	var step int64
	for i := 1; i < len(points); i++ {
		change, n := binary.Varint(b)
		if n <= 0 {
			return dst[:base], errChunk
		}
		b = b[n:]
		step += change
		points[i].TimeMS = points[i-1].TimeMS + step
	}
	if !readLayout(points, b) {
		return dst[:base], errChunk
	}
	return dst, nil
}

// readLayout fills in the values; it reports whether they were all there.
func readLayout(points []Sample, b []byte) bool {
	if len(b) == 0 {
		return false
	}
	layout, scale := b[0], 0
	b = b[1:]
	if layout == layoutDecimal {
		if len(b) == 0 || int(b[0]) >= len(pow10) {
			return false
		}
		scale, b = int(b[0]), b[1:]
	}
	var last int64
	for i := range points {
		v, n := Value{}, 0
		switch layout {
		case layoutInt, layoutDecimal:
			var change int64
			change, n = binary.Varint(b)
			last += change
			if v = Int(last); layout == layoutDecimal {
				v = Float(float64(last) / pow10[scale])
			}
		case layoutFloat:
			if len(b) >= 8 {
				v, n = Value{typ: TypeFloat, num: binary.LittleEndian.Uint64(b)}, 8
			}
		case layoutBool:
			if len(b) >= 1 && b[0] <= 1 {
				v, n = Value{typ: TypeBool, num: uint64(b[0])}, 1
			}
		case layoutMixed:
			v, n = readValue(b)
		}
		if n <= 0 {
			return false
		}
		points[i].Value = v
		b = b[n:]
	}
	return len(b) == 0
}

// Gaps that end a chunk. A chunk that holds a late point and the present ones
// would span all the time between them, and every read of that time would have
// to look at it.
const (
	gapFactor = 10             // so many times the median step ends a chunk
	gapLeast  = 60 * 60 * 1000 // but no gap under an hour does, ms
	gapMost   = 24 * gapLeast  // and every gap over a day, ms
)

// cutChunk returns how many of the sorted points go into the next chunk.
func cutChunk(points []Sample, gap int64) int {
	size := 0
	for i := range points {
		if i == chunkPoints || size >= chunkBytes || i > 0 && points[i].TimeMS-points[i-1].TimeMS > gap {
			return i
		}
		size += 8 + len(points[i].Value.text)
	}
	return len(points)
}

// endingGap is the gap that ends a chunk of the sorted points. steps is scratch
// space, returned for the next call.
func endingGap(points []Sample, steps []int64) (int64, []int64) {
	if len(points) < 2 || points[len(points)-1].TimeMS-points[0].TimeMS <= gapLeast {
		return gapLeast, steps
	}
	steps = steps[:0]
	for i := 1; i < len(points); i++ {
		steps = append(steps, points[i].TimeMS-points[i-1].TimeMS)
	}
	slices.Sort(steps)
	return min(max(gapFactor*steps[len(steps)/2], gapLeast), gapMost), steps
}
