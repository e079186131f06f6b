package queue

import (
	"encoding/binary"
	"fmt"
)

// Message is an application message as it will be handed to one subscriber or
// kept for a topic.
type Message struct {
	Topic   string
	Payload []byte
	// QoS is the quality of service of the delivery, 0 to 2.
	QoS byte
	// Retain and Dup are the flags of the PUBLISH to send.
	Retain, Dup bool
	// Properties are the MQTT 5 properties to forward unchanged, as they stand on
	// the wire without their length ([MQTT-3.3.2-17], [MQTT-3.3.2-20]).
	Properties []byte
	// PublishedMS and ExpiresMS are Unix times in milliseconds; ExpiresMS 0 means
	// that the message never expires [MQTT-3.3.2-5].
	PublishedMS, ExpiresMS int64
	// Publisher is the client identifier of the sender, empty when unknown.
	Publisher string
	// SubscriptionIDs are those of the matching subscriptions [MQTT-3.3.4-3].
	SubscriptionIDs []uint32
	// Share is the shared subscription that the message is for, as it was
	// subscribed to; empty for an ordinary one. Another of its members may get the
	// message if this one goes.
	Share string
}

// Item is one message of a session's queue.
type Item struct {
	Seq   Seq
	State State
	// PacketID is the identifier the message was last sent with, 0 before that.
	PacketID uint16
	Message  Message
}

// A stored message is
//
//	version (1)  uvarint length of the body  body  [state record]
//
// and a body is
//
//	flags (1)  varint published  [varint expires-published]
//	topic  [share]  [publisher]  [properties]  [subscription ids]  payload
//
// where each part in brackets is present when its flag is, strings are a uvarint
// length and their bytes, subscription identifiers a uvarint count and a uvarint
// each, and the payload is the rest. The length lets a state record follow. share
// is present in a message whose version says so.
const (
	messageVersion       = 0x01
	messageVersionShared = 0x53
)

const (
	flagQoS        = 0x03
	flagRetain     = 0x04
	flagDup        = 0x08
	flagExpires    = 0x10
	flagPublisher  = 0x20
	flagProperties = 0x40
	flagIDs        = 0x80
)

func (m *Message) flags() byte {
	f := m.QoS & flagQoS
	if m.Retain {
		f |= flagRetain
	}
	if m.Dup {
		f |= flagDup
	}
	if m.ExpiresMS != 0 {
		f |= flagExpires
	}
	if m.Publisher != "" {
		f |= flagPublisher
	}
	if len(m.Properties) > 0 {
		f |= flagProperties
	}
	if len(m.SubscriptionIDs) > 0 {
		f |= flagIDs
	}
	return f
}

func uvarintLen(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

func varintLen(v int64) int { return uvarintLen(uint64(v)<<1 ^ uint64(v>>63)) }

func (m *Message) bodyLen() int {
	n := 1 + varintLen(m.PublishedMS) + uvarintLen(uint64(len(m.Topic))) + len(m.Topic) + len(m.Payload)
	if m.ExpiresMS != 0 {
		n += varintLen(m.ExpiresMS - m.PublishedMS)
	}
	if m.Share != "" {
		n += uvarintLen(uint64(len(m.Share))) + len(m.Share)
	}
	if m.Publisher != "" {
		n += uvarintLen(uint64(len(m.Publisher))) + len(m.Publisher)
	}
	if len(m.Properties) > 0 {
		n += uvarintLen(uint64(len(m.Properties))) + len(m.Properties)
	}
	if len(m.SubscriptionIDs) > 0 {
		n += uvarintLen(uint64(len(m.SubscriptionIDs)))
		for _, id := range m.SubscriptionIDs {
			n += uvarintLen(uint64(id))
		}
	}
	return n
}

// encodedLen is the length of what appendTo appends, given bodyLen.
func encodedLen(body int) int { return 1 + uvarintLen(uint64(body)) + body }

func (m *Message) appendTo(b []byte, body int) []byte {
	version := byte(messageVersion)
	if m.Share != "" {
		version = messageVersionShared
	}
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(body))
	b = append(b, m.flags())
	b = binary.AppendVarint(b, m.PublishedMS)
	if m.ExpiresMS != 0 {
		b = binary.AppendVarint(b, m.ExpiresMS-m.PublishedMS)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Topic)))
	b = append(b, m.Topic...)
	if m.Share != "" {
		b = binary.AppendUvarint(b, uint64(len(m.Share)))
		b = append(b, m.Share...)
	}
	if m.Publisher != "" {
		b = binary.AppendUvarint(b, uint64(len(m.Publisher)))
		b = append(b, m.Publisher...)
	}
	if len(m.Properties) > 0 {
		b = binary.AppendUvarint(b, uint64(len(m.Properties)))
		b = append(b, m.Properties...)
	}
	if len(m.SubscriptionIDs) > 0 {
		b = binary.AppendUvarint(b, uint64(len(m.SubscriptionIDs)))
		for _, id := range m.SubscriptionIDs {
			b = binary.AppendUvarint(b, uint64(id))
		}
	}
	return append(b, m.Payload...)
}

// AppendBinary appends the stored form of m to b. The error is always nil.
func (m *Message) AppendBinary(b []byte) ([]byte, error) {
	return m.appendTo(b, m.bodyLen()), nil
}

// UnmarshalBinary reads what AppendBinary wrote, copying it, and leaves m
// untouched on error. Errors match ErrCorrupt.
func (m *Message) UnmarshalBinary(b []byte) error {
	body, _, err := splitMessage(b)
	if err != nil {
		return err
	}
	var fresh Message
	if err := fresh.decode(b[0], append([]byte(nil), body...), ""); err != nil {
		return err
	}
	*m = fresh
	return nil
}

// splitMessage divides a stored message into its body and what follows.
func splitMessage(b []byte) (body, trailer []byte, err error) {
	if len(b) == 0 || b[0] != messageVersion && b[0] != messageVersionShared {
		return nil, nil, damaged("not a message of a known version")
	}
	n, used := binary.Uvarint(b[1:])
	if used <= 0 || n > uint64(len(b)-1-used) {
		return nil, nil, damaged("the message is shorter than it says")
	}
	body = b[1+used:]
	return body[:n:n], body[n:], nil
}

// decode reads a body of a version that the message may keep. Where topic is the one stored it
// is used instead of a new string: queues tend to repeat topics.
func (m *Message) decode(version byte, body []byte, topic string) error {
	r := reader{rest: body}
	flags := r.byte()
	m.QoS = flags & flagQoS
	m.Retain = flags&flagRetain != 0
	m.Dup = flags&flagDup != 0
	m.PublishedMS = r.varint()
	if flags&flagExpires != 0 {
		m.ExpiresMS = m.PublishedMS + r.varint()
	}
	if t := r.bytes(); string(t) == topic {
		m.Topic = topic
	} else {
		m.Topic = string(t)
	}
	if version == messageVersionShared {
		m.Share = string(r.bytes())
	}
	if flags&flagPublisher != 0 {
		m.Publisher = string(r.bytes())
	}
	if flags&flagProperties != 0 {
		m.Properties = r.bytes()
	}
	if flags&flagIDs != 0 {
		m.SubscriptionIDs = r.ids()
	}
	if r.failed {
		return damaged("a part of the message is longer than the message")
	}
	if m.QoS > 2 {
		return damaged("quality of service 3 does not exist")
	}
	if len(r.rest) > 0 {
		m.Payload = r.rest
	}
	return nil
}

func damaged(why string) error { return fmt.Errorf("%w: %s", ErrCorrupt, why) }

// reader takes parts off a body; after the first failure everything is zero.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) fail() { r.rest, r.failed = nil, true }

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) ids() []uint32 {
	n := r.uvarint()
	// An identifier takes a byte at least, so the input bounds what is allocated.
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	ids := make([]uint32, 0, n)
	for range n {
		id := r.uvarint()
		if id > 1<<32-1 {
			r.fail()
		}
		ids = append(ids, uint32(id))
	}
	return ids
}
