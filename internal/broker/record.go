package broker

import (
	"encoding/binary"
	"errors"

	"github.com/linkstead/linkstead/internal/topics"
)

// The stored form of a session. Version 1:
//
//	version byte | flags byte (1 device, 2 durable) | key | owner |
//	sent uvarint | seq uvarint | offlineMS varint | expirySeconds uvarint |
//	count uvarint | count × (filter | options uvarint | id uvarint)
//
// offlineMS is 0 while the client is connected, and then sent may be too small;
// a text is its length as uvarint and its bytes.
const recordVersion = 1

var errRecord = errors.New("a stored session record is damaged")

func (s *Session) appendRecord(dst []byte) []byte {
	flags := byte(0)
	if s.device {
		flags |= 1
	}
	if s.durable.Load() {
		flags |= 2
	}
	dst = append(dst, recordVersion, flags)
	dst = appendText(dst, s.key)
	dst = appendText(dst, s.owner)
	dst = binary.AppendUvarint(dst, s.sent)
	dst = binary.AppendUvarint(dst, s.seq)
	offline := s.offlineMS
	if s.suspect > s.sent {
		offline = 0 // what was sent is still not known
	}
	dst = binary.AppendVarint(dst, offline)
	dst = binary.AppendUvarint(dst, uint64(s.expirySeconds))
	dst = binary.AppendUvarint(dst, uint64(len(s.subs.list)))
	for _, sub := range s.subs.list {
		dst = appendText(dst, sub.filter)
		dst = binary.AppendUvarint(dst, uint64(sub.options))
		dst = binary.AppendUvarint(dst, uint64(sub.id))
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// CheckRecord reports whether the stored record of a session can be read.
func CheckRecord(b []byte) error { return new(Session).parseRecord(b) }

// parseRecord fills a new session from its stored form.
func (s *Session) parseRecord(b []byte) error {
	r := recordReader{b: b}
	if r.byte() != recordVersion {
		return errRecord
	}
	flags := r.byte()
	s.device = flags&1 != 0
	s.durable.Store(flags&2 != 0)
	s.key, s.owner = r.text(), r.text()
	s.sent, s.seq = r.uvarint(), r.uvarint()
	s.offlineMS = r.varint()
	s.expirySeconds = uint32(r.uvarint())
	n := r.uvarint()
	if n > uint64(len(b)) {
		return errRecord
	}
	for range n {
		s.subs.put(subscription{
			filter:  r.text(),
			options: topics.Options(r.uvarint()),
			id:      uint32(r.uvarint()),
		})
	}
	if r.failed {
		return errRecord
	}
	return nil
}

type recordReader struct {
	b      []byte
	failed bool
}

func (r *recordReader) byte() byte {
	if len(r.b) == 0 {
		r.failed = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *recordReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *recordReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *recordReader) text() string {
	n := r.uvarint()
	if r.failed || n > uint64(len(r.b)) {
		r.failed, r.b = true, nil
		return ""
	}
	v := string(r.b[:n])
	r.b = r.b[n:]
	return v
}
