package broker

import (
	"encoding/binary"
	"errors"

	"github.com/linkstead/linkstead/internal/topics"
)

// The stored form of a session. Version 2, which a session has whose will waits:
//
//	version byte | flags byte (1 device, 2 durable, 4 ended) | key | owner |
//	sent uvarint | seq uvarint | offlineMS varint | expirySeconds uvarint |
//	count uvarint | count × (filter | options uvarint | id uvarint) |
//	dueMS varint | will flags byte (1, 2 QoS, 4 retain, 8 may expire) |
//	expires uvarint | topic | payload | properties
//
// where a text is its length as uvarint and its bytes. offlineMS is 0 while the
// client is connected, and then sent may be too small. Version 1 ends before
// dueMS.
const (
	recordVersion     = 1
	recordVersionWill = 2
)

var errRecord = errors.New("a stored session record is damaged")

func (s *Session) appendRecord(dst []byte) []byte {
	flags := byte(0)
	if s.device {
		flags |= 1
	}
	if s.durable.Load() {
		flags |= 2
	}
	version := byte(recordVersion)
	if s.rare.will() != nil {
		version = recordVersionWill
	}
	dst = append(dst, version, flags)
	dst = appendText(dst, s.key)
	dst = appendText(dst, s.owner)
	dst = binary.AppendUvarint(dst, s.sent)
	dst = binary.AppendUvarint(dst, s.seq)
	offline := s.offlineMS
	if s.rare.suspected() > s.sent {
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
	if s.rare.will() != nil {
		dst = s.rare.will().appendRecord(dst)
	}
	return dst
}

// appendRecord appends the record of a session that has ended. What it was sent is
// known, so its seq is the newest message that may have been sent.
func (v *salvage) appendRecord(dst []byte) []byte {
	s := &Session{key: v.key, sent: v.sent, seq: max(v.sent, v.suspect)}
	s.durable.Store(true)
	dst = s.appendRecord(dst)
	dst[1] |= recordEnded
	return dst
}

const recordEnded = 4

const (
	willRetained  = 4
	willMayExpire = 8
)

func (d *delayedWill) appendRecord(dst []byte) []byte {
	flags := d.qos
	if d.retain {
		flags |= willRetained
	}
	if d.mayExpire {
		flags |= willMayExpire
	}
	dst = append(binary.AppendVarint(dst, d.dueMS), flags)
	dst = binary.AppendUvarint(dst, uint64(d.expires))
	dst = appendText(dst, d.topic)
	dst = appendText(dst, d.payload)
	return appendText(dst, d.properties)
}

func (r *recordReader) will() *delayedWill {
	d := &delayedWill{will: new(will), dueMS: r.varint()}
	flags := r.byte()
	d.qos, d.retain, d.mayExpire = min(flags&3, 2), flags&willRetained != 0, flags&willMayExpire != 0
	d.expires = uint32(r.uvarint())
	d.topic, d.payload, d.properties = r.text(), []byte(r.text()), []byte(r.text())
	return d
}

func appendText[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// CheckRecord reports whether the stored record of a session can be read.
func CheckRecord(b []byte) error { return new(Session).parseRecord(b) }

// parseRecord fills a new session from its stored form.
func (s *Session) parseRecord(b []byte) error {
	r := recordReader{b: b}
	version := r.byte()
	if version != recordVersion && version != recordVersionWill {
		return errRecord
	}
	flags := r.byte()
	s.device = flags&1 != 0
	s.durable.Store(flags&2 != 0)
	s.gone = flags&recordEnded != 0
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
	if version == recordVersionWill {
		s.delay(r.will())
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
