package alink

import (
	"encoding/binary"
	"errors"
	"math"
)

// Block is a piece of a file on its way over MQTT, in either direction (spec/services.md §3, §9.2): two bytes
// with the length of a JSON header, big-endian, the header, the data, and the CRC-16/ARC of the data, low byte
// first.
type Block struct {
	Header []byte // JSON
	Data   []byte
	Sum    uint16 // as it came; see Intact
}

// ErrBlock says that bytes are no block.
var ErrBlock = errors.New("a block is two bytes with the length of its header, the header, the data and two bytes of checksum; this is shorter")

// SplitBlock finds the parts of a block, which stay in b. Their sense is not looked at.
func SplitBlock(b []byte) (Block, error) {
	if len(b) < 2 {
		return Block{}, ErrBlock
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n+2 {
		return Block{}, ErrBlock
	}
	end := len(b) - 2
	return Block{Header: b[2 : 2+n : 2+n], Data: b[2+n : end : end], Sum: binary.LittleEndian.Uint16(b[end:])}, nil
}

// Intact reports whether the data is what its checksum says.
func (b Block) Intact() bool { return CRC16(b.Data) == b.Sum }

// AppendBlock appends a block. A header longer than 65535 bytes has no place in it and panics: headers are made
// by programs.
func AppendBlock(dst, header, data []byte) []byte {
	if len(header) > math.MaxUint16 {
		panic("alink: the header of a block is longer than 65535 bytes")
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(header)))
	dst = append(append(dst, header...), data...)
	return binary.LittleEndian.AppendUint16(dst, CRC16(data))
}
