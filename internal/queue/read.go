package queue

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Read gives the messages of a session that come after a place in its queue, in
// order: at most max of them, and no more than maxBytes of stored bytes, but one
// at least if there is one. after is 0 to read from the start.
//
// It sees every batch reported with Committed(nil). A batch that is submitted and
// not yet reported is seen whole or not at all. A message that cannot be decoded
// ends the page: the items before it are returned together with a
// *CorruptMessageError. The items belong to the caller.
func (l *Log) Read(sid SessionID, after Seq, max int, maxBytes int) ([]Item, error) {
	var items []Item
	size := 0
	topic := ""
	err := l.eachMessage(sid, after, func(seq Seq, v []byte) (bool, error) {
		if len(items) >= max || (len(items) > 0 && size+len(v) > maxBytes) {
			return false, nil
		}
		item := Item{Seq: seq}
		body, trailer, err := splitMessage(v)
		if err == nil {
			item.State, item.PacketID, err = decodeState(trailer)
		}
		if err == nil {
			err = item.Message.decode(v[0], append([]byte(nil), body...), topic)
		}
		if err != nil {
			return false, &CorruptMessageError{Session: sid, Seq: seq, Err: err}
		}
		if items == nil {
			items = make([]Item, 0, min(max, 16))
		}
		topic = item.Message.Topic
		items = append(items, item)
		size += len(v)
		return true, nil
	})
	return items, err
}

// ItemState is a queued message without its content.
type ItemState struct {
	Seq      Seq
	State    State
	PacketID uint16
}

// ReadState gives the messages of a session that are Sent or Released, in order:
// what a session must know to resume [MQTT-4.4.0-1]. It reads the whole queue and
// is meant for the start of a session.
func (l *Log) ReadState(sid SessionID) ([]ItemState, error) {
	var states []ItemState
	err := l.eachMessage(sid, 0, func(seq Seq, v []byte) (bool, error) {
		_, trailer, err := splitMessage(v)
		var s ItemState
		if err == nil {
			s.State, s.PacketID, err = decodeState(trailer)
		}
		if err != nil {
			return false, &CorruptMessageError{Session: sid, Seq: seq, Err: err}
		}
		if s.State != Queued {
			s.Seq = seq
			states = append(states, s)
		}
		return true, nil
	})
	return states, err
}

// Stats counts the messages of a session and their stored bytes, and gives the
// first and the last place; all are 0 for an empty queue. It walks the queue
// without decoding it.
func (l *Log) Stats(sid SessionID) (first, last Seq, count int, bytes int64, err error) {
	err = l.eachMessage(sid, 0, func(seq Seq, v []byte) (bool, error) {
		if count == 0 {
			first = seq
		}
		last = seq
		count++
		bytes += int64(len(v))
		return true, nil
	})
	return first, last, count, bytes, err
}

// Received gives the packet identifiers of QoS 2 messages that were received and
// not released, in ascending order.
func (l *Log) Received(sid SessionID) ([]uint16, error) {
	var ids []uint16
	lower := appendQueueKey(nil, sid, kindReceived)
	upper := appendQueueKey(nil, sid, kindMessage)
	err := l.each(lower, upper, func(key, _ []byte) (bool, error) {
		if len(key) == receivedKeyLen {
			ids = append(ids, binary.BigEndian.Uint16(key[receivedKeyLen-2:]))
		}
		return true, nil
	})
	return ids, err
}

// eachMessage visits the stored messages of a session. Bare state records are
// passed over. v is valid during the visit.
func (l *Log) eachMessage(sid SessionID, after Seq, visit func(seq Seq, v []byte) (bool, error)) error {
	lower, upper, ok := messageBounds(sid, after)
	if !ok {
		return nil
	}
	return l.each(lower, upper, func(key, v []byte) (bool, error) {
		seq, ok := keySeq(key)
		if !ok || isBareState(v) {
			return true, nil
		}
		return visit(seq, v)
	})
}

// each visits the keys from lower up to, not including, upper, until visit
// returns false or an error. key and value are valid during the visit.
func (l *Log) each(lower, upper []byte, visit func(key, value []byte) (bool, error)) (err error) {
	e, err := l.acquire()
	if err != nil {
		return err
	}
	defer e.release()
	iter, err := e.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return readFailed(err)
	}
	defer func() {
		if closeErr := iter.Close(); err == nil && closeErr != nil {
			err = readFailed(closeErr)
		}
	}()
	for iter.First(); iter.Valid(); iter.Next() {
		v, err := iter.ValueAndErr()
		if err != nil {
			return readFailed(err)
		}
		if more, err := visit(iter.Key(), v); err != nil || !more {
			return err
		}
	}
	return nil
}

// readFailed describes a failure to read what is stored; nothing is reopened for
// it, the next read may succeed.
func readFailed(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: the message store cannot be read: restore its folder from a backup, or move it aside to start empty: %v", ErrCorrupt, err)
	}
	return fmt.Errorf("queue: the message store cannot be read: look at the disk under the data folder: %w", err)
}
