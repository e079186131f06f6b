package queue

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// State is how far the delivery of a queued message has come.
type State uint8

const (
	// Queued: not sent yet, or to be sent from the start.
	Queued State = iota
	// Sent: PUBLISH went out with the item's PacketID, and must go out again with
	// the same one when the session resumes [MQTT-4.4.0-1].
	Sent
	// Released: QoS 2, PUBREC came and PUBREL went out; the message itself must
	// not be sent again [MQTT-4.3.3-6].
	Released
)

// String gives the state's name in lower case.
func (s State) String() string {
	switch s {
	case Queued:
		return "queued"
	case Sent:
		return "sent"
	case Released:
		return "released"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// A state record is tag, state, packet identifier. It is written as a merge
// operand on the message's own key: the payload is not rewritten, and one
// deletion removes both. At most one record stays behind a message, so changing
// the state any number of times does not make it grow.
const (
	stateTag       = 0xF1
	stateRecordLen = 4
)

func appendState(b []byte, s State, packetID uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, stateTag, byte(s)), packetID)
}

// decodeState reads the trailer of a message; none means queued.
func decodeState(b []byte) (State, uint16, error) {
	if len(b) == 0 {
		return Queued, 0, nil
	}
	if len(b) != stateRecordLen || b[0] != stateTag || b[1] > byte(Released) {
		return 0, 0, damaged("the delivery state of the message is not one")
	}
	return State(b[1]), binary.BigEndian.Uint16(b[2:]), nil
}

// isBareState tells a state change whose message is gone: an acknowledgement
// deleted it before the change arrived. Readers skip it.
func isBareState(v []byte) bool { return len(v) > 0 && v[0] == stateTag }

// stateMerger is stored in the folder by name; changing what it does needs a new
// name.
var stateMerger = &pebble.Merger{
	Name: "linkstead.queue.state.1",
	Merge: func(_, value []byte) (pebble.ValueMerger, error) {
		m := &stateMerge{}
		return m, m.MergeOlder(value)
	},
}

// stateMerge keeps the newest message among the operands and the newest state
// record that is not older than it.
type stateMerge struct {
	message []byte // without state record; nil while none was seen
	state   []byte // nil while none was seen
}

func (m *stateMerge) split(v []byte) (message, state []byte) {
	if isBareState(v) {
		return nil, v
	}
	body, trailer, err := splitMessage(v)
	if err != nil {
		// Damaged bytes are kept as they are, for the reader to report.
		return v, nil
	}
	_ = body
	return v[:len(v)-len(trailer)], trailer
}

// MergeOlder implements pebble.ValueMerger.
func (m *stateMerge) MergeOlder(value []byte) error {
	if m.message != nil {
		return nil // the message seen replaced everything before it
	}
	message, state := m.split(value)
	if message != nil {
		m.message = append([]byte{}, message...)
	}
	if m.state == nil && len(state) > 0 {
		m.state = append([]byte{}, state...)
	}
	return nil
}

// MergeNewer implements pebble.ValueMerger.
func (m *stateMerge) MergeNewer(value []byte) error {
	message, state := m.split(value)
	if message != nil {
		m.message, m.state = append(m.message[:0], message...), nil
	}
	if len(state) > 0 {
		m.state = append([]byte{}, state...)
	}
	return nil
}

// Finish implements pebble.ValueMerger.
func (m *stateMerge) Finish(bool) ([]byte, io.Closer, error) {
	return append(m.message, m.state...), nil, nil
}
