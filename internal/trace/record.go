package trace

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// Event is what happened to a message.
type Event uint8

// The events.
const (
	Accepted     Event = iota + 1 // the server took it from the device
	Queued                        // it waits for the device
	Delivered                     // it was sent to the device
	Acknowledged                  // by the server to the device, or by the device to the server
	Expired                       // its time was up before it was delivered
	Dropped                       // it was not delivered for another reason
	LeftOut                       // Count records are missing here
)

// String returns the event in one word.
func (e Event) String() string {
	switch e {
	case Accepted:
		return "accepted"
	case Queued:
		return "queued"
	case Delivered:
		return "delivered"
	case Acknowledged:
		return "acknowledged"
	case Expired:
		return "expired"
	case Dropped:
		return "dropped"
	case LeftOut:
		return "left out"
	}
	return "unknown"
}

// Record is one event of one message.
type Record struct {
	ID       uint64 // rises with time; given by the ring
	AtMS     int64  // Unix milliseconds
	Key      string // session of the device
	Topic    string // empty if it is not known any more
	Reason   string // of Dropped
	Event    Event
	Up       bool // from the device to the server
	QoS      byte
	PacketID uint16
	Bytes    int // of the payload
	Count    int // how many messages, if they are recorded together; else 0
}

// maxTopic is how much of a topic is kept, in bytes.
const maxTopic = 256

// The form of a record: length u16 of what follows the checksum | CRC-32 u32 |
// id | at | event and direction u8 | qos u8 | packet id | bytes | count | topic |
// reason, where numbers are uvarints and a text is its length and its bytes.
const recordHead = 6

func appendRecord(dst []byte, r *Record) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0)
	dst = binary.AppendUvarint(dst, r.ID)
	dst = binary.AppendUvarint(dst, uint64(r.AtMS))
	event := byte(r.Event)
	if r.Up {
		event |= 0x80
	}
	dst = append(dst, event, r.QoS)
	dst = binary.AppendUvarint(dst, uint64(r.PacketID))
	dst = binary.AppendUvarint(dst, uint64(r.Bytes))
	dst = binary.AppendUvarint(dst, uint64(r.Count))
	dst = appendText(dst, r.Topic)
	dst = appendText(dst, r.Reason)
	body := dst[start+recordHead:]
	binary.LittleEndian.PutUint16(dst[start:], uint16(len(body)))
	binary.LittleEndian.PutUint32(dst[start+2:], crc32.ChecksumIEEE(body))
	return dst
}

func appendText(dst []byte, s string) []byte {
	if len(s) > maxTopic {
		s = strings.ToValidUTF8(s[:maxTopic], "")
	}
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// readRecord reads the record at the beginning of b; size is 0 at the end of a
// block and at what is no record.
func readRecord(b []byte) (r Record, size int) {
	if len(b) < recordHead {
		return r, 0
	}
	n := int(binary.LittleEndian.Uint16(b))
	if n == 0 || recordHead+n > len(b) {
		return r, 0
	}
	body := b[recordHead : recordHead+n]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(b[2:]) {
		return r, 0
	}
	in := reader{b: body}
	r.ID = in.number()
	r.AtMS = int64(in.number())
	event := in.byte()
	r.Event, r.Up = Event(event&0x7F), event&0x80 != 0
	r.QoS = in.byte()
	r.PacketID = uint16(in.number())
	r.Bytes = int(in.number())
	r.Count = int(in.number())
	r.Topic, r.Reason = in.text(), in.text()
	if in.bad {
		return Record{}, 0
	}
	return r, recordHead + n
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	v := string(r.b[:n])
	r.b = r.b[n:]
	return v
}
