package platform

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/linkstead/linkstead/internal/store"
)

// A part is what has come of a file that a device is sending. Each block stands in
// its file behind eight bytes, its length and its CRC-32C, big-endian: what a block
// that was not acknowledged left behind after a crash is told from one that was,
// without a record in the database for every block.
type part struct {
	record store.DeviceFile
	path   string
	end    int64 // of the last whole block in the part's file
	size   int64 // bytes of data
	sums   fileSums

	// The last block, to tell that it was sent again.
	lastAt, lastSize int64
	lastSum          uint32
}

const partHead = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errOtherBytes says that a finished part is not what its blocks were.
var errOtherBytes = errors.New("the bytes that are stored are not those that came; the disk fails")

// The two checksums of 64 bits that go by the name crc64: that of ECMA-182, which
// the cloud's object storage has, and that of Jones, which embedded code likes. What
// the cloud expects of devices is not public, so either is taken.
var (
	ecma  = crc64.MakeTable(crc64.ECMA)
	jones = crc64.MakeTable(0x95AC9329AC4BC9B5)
)

type fileSums struct{ ecma, jones uint64 }

func (s *fileSums) add(b []byte) {
	s.ecma = crc64.Update(s.ecma, ecma, b)
	s.jones = ^crc64.Update(^s.jones, jones, b) // without the inversions of ECMA-182
}

// text is the checksum that fits the one of the device if any does, in its spelling,
// and else that of ECMA-182.
func (s *fileSums) text(client string) (sum string, fits bool) {
	if n, err := strconv.ParseUint(client, 16, 64); err == nil && (n == s.ecma || n == s.jones) {
		return client, true
	}
	return fmt.Sprintf("%016x", s.ecma), false
}

// openPart reads what is there of a part, none if nothing is. What follows the last
// whole block is not part of it.
func openPart(path string, record store.DeviceFile) (*part, error) {
	p := &part{record: record, path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	err = eachBlock(f, func(b []byte, sum uint32) error { p.took(b, sum); return nil })
	return p, err
}

// eachBlock visits the whole blocks of a part's file. The bytes are good during the
// visit.
func eachBlock(r io.Reader, visit func(b []byte, sum uint32) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var head [partHead]byte
	var buf []byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return brokenOff(err)
		}
		n, sum := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
		if n == 0 || n > maxBlock {
			return nil
		}
		if cap(buf) < int(n) {
			buf = make([]byte, n)
		}
		buf = buf[:n]
		if _, err := io.ReadFull(in, buf); err != nil {
			return brokenOff(err)
		}
		if crc32.Checksum(buf, castagnoli) != sum {
			return nil
		}
		if err := visit(buf, sum); err != nil {
			return err
		}
	}
}

// brokenOff is nil for the end of a file, wherever it comes.
func brokenOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// took notes a block that is in the file.
func (p *part) took(b []byte, sum uint32) {
	p.lastAt, p.lastSize, p.lastSum = p.size, int64(len(b)), sum
	p.size += int64(len(b))
	p.end += partHead + int64(len(b))
	p.sums.add(b)
}

// repeats reports whether this is the last block once more.
func (p *part) repeats(offset int64, b []byte) bool {
	return p.lastSize > 0 && offset == p.lastAt && int64(len(b)) == p.lastSize && crc32.Checksum(b, castagnoli) == p.lastSum
}

// add writes a block behind the others; with sync it is on disk afterwards. If it
// fails the part is as it was.
func (p *part) add(b []byte, sync bool) (err error) {
	fresh := p.end == 0
	f, err := os.OpenFile(p.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := crc32.Checksum(b, castagnoli)
	frame := make([]byte, 0, partHead+len(b))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(b)))
	frame = append(binary.BigEndian.AppendUint32(frame, sum), b...)
	if _, err := f.WriteAt(frame, p.end); err != nil {
		return errors.Join(err, f.Truncate(p.end)) // makes room on a disk that is full
	}
	if sync {
		if err := f.Sync(); err != nil {
			return err
		}
		if fresh {
			if err := store.SyncDir(filepath.Dir(p.path)); err != nil {
				return err
			}
		}
	}
	p.took(b, sum)
	return nil
}

// finish puts the data without its frames at a path, whole or not at all, and on
// disk with sync. The part stays.
func (p *part) finish(path string, sync bool) (err error) {
	temporary := path + ".new"
	defer func() {
		if err != nil {
			_ = os.Remove(temporary)
		}
	}()
	out, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(p.copyTo(out), syncIf(out, sync), out.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	if sync {
		return store.SyncDir(filepath.Dir(path))
	}
	return nil
}

func syncIf(f *os.File, sync bool) error {
	if !sync {
		return nil
	}
	return f.Sync()
}

func (p *part) copyTo(w io.Writer) error {
	if p.size == 0 {
		return nil
	}
	in, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	var sums fileSums
	left := p.size
	err = eachBlock(in, func(b []byte, _ uint32) error {
		b = b[:min(int64(len(b)), left)]
		left -= int64(len(b))
		sums.add(b)
		_, err := w.Write(b)
		return err
	})
	if err == nil && (left != 0 || sums != p.sums) {
		err = errOtherBytes
	}
	return err
}
