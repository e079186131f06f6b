package queue

import "encoding/binary"

// Batch is a list of changes that become durable together, in the order in which
// they were added. It is written straight into one byte slice: adding to a batch
// that has been used before allocates nothing, and what is added may be changed
// by the caller at once. A Batch belongs to one goroutine until it is submitted
// and to the Log until it is reported.
type Batch struct {
	ops  []byte
	n    int
	adds bool // holds something that ErrDiskFull refuses
	ties []tied
}

// A change is its kind and then, by kind:
//
//	opAdd, opPut, opMerge   uvarint key length, uvarint value length, key, value
//	opDelete                uvarint key length, key
//	opDeleteRange           uvarint start length, uvarint end length, start, end
const (
	opAdd         = iota // a value, refused when the disk is nearly full
	opPut                // a value, always stored
	opMerge              // a state record
	opDelete             // one key
	opDeleteRange        // keys from start up to, not including, end
)

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.ties)
	b.ops, b.n, b.adds, b.ties = b.ops[:0], 0, false, b.ties[:0]
}

// Len is the number of changes.
func (b *Batch) Len() int { return b.n }

// Bytes is the length of the changes as they stand in memory, about that of what
// will be written.
func (b *Batch) Bytes() int { return len(b.ops) }

func (b *Batch) begin(op byte, keyLen, valueLen int) {
	b.n++
	b.adds = b.adds || op == opAdd
	b.ops = append(b.ops, op)
	b.ops = binary.AppendUvarint(b.ops, uint64(keyLen))
	if op != opDelete {
		b.ops = binary.AppendUvarint(b.ops, uint64(valueLen))
	}
}

// Append adds a message to the end of a session's queue, in state Queued. seq
// must be greater than every one the session used before.
func (b *Batch) Append(sid SessionID, seq Seq, m *Message) {
	body := m.bodyLen()
	b.begin(opAdd, messageKeyLen, encodedLen(body))
	b.ops = m.appendTo(appendMessageKey(b.ops, sid, seq), body)
}

// SetState records how far the delivery of a message has come. The message is
// not written again. For a message that does not exist it does nothing.
func (b *Batch) SetState(sid SessionID, seq Seq, s State, packetID uint16) {
	b.begin(opMerge, messageKeyLen, stateRecordLen)
	b.ops = appendState(appendMessageKey(b.ops, sid, seq), s, packetID)
}

// Delete removes one message and its state.
func (b *Batch) Delete(sid SessionID, seq Seq) {
	b.begin(opDelete, messageKeyLen, 0)
	b.ops = appendMessageKey(b.ops, sid, seq)
}

// DeleteThrough removes the messages up to and including upTo.
func (b *Batch) DeleteThrough(sid SessionID, upTo Seq) {
	if upTo+1 == 0 { // nothing lies beyond the last place
		b.begin(opDeleteRange, messageKeyLen, messageKeyLen-8)
		b.ops = appendQueueKey(appendMessageKey(b.ops, sid, 0), sid, kindEnd)
		return
	}
	b.begin(opDeleteRange, messageKeyLen, messageKeyLen)
	b.ops = appendMessageKey(appendMessageKey(b.ops, sid, 0), sid, upTo+1)
}

// Clear removes all messages and all received identifiers of a session.
func (b *Batch) Clear(sid SessionID) {
	b.begin(opDeleteRange, messageKeyLen-8, messageKeyLen-8)
	b.ops = appendQueueKey(appendQueueKey(b.ops, sid, kindReceived), sid, kindEnd)
}

// PutSession stores a session's record, replacing the one before it. What is in
// it is the engine's affair.
func (b *Batch) PutSession(sid SessionID, record []byte) {
	b.begin(opAdd, sessionKeyLen, len(record))
	b.ops = append(appendSessionKey(b.ops, sid), record...)
}

// DeleteSession removes a session's record, and nothing else: see Clear.
func (b *Batch) DeleteSession(sid SessionID) {
	b.begin(opDelete, sessionKeyLen, 0)
	b.ops = appendSessionKey(b.ops, sid)
}

// PutReceived remembers that a QoS 2 PUBLISH with this identifier was received
// and not yet released, so that its repetition is not published twice
// [MQTT-4.3.3-10].
func (b *Batch) PutReceived(sid SessionID, packetID uint16) {
	b.begin(opAdd, receivedKeyLen, 0)
	b.ops = appendReceivedKey(b.ops, sid, packetID)
}

// DeleteReceived forgets one received identifier, on PUBREL.
func (b *Batch) DeleteReceived(sid SessionID, packetID uint16) {
	b.begin(opDelete, receivedKeyLen, 0)
	b.ops = appendReceivedKey(b.ops, sid, packetID)
}

// ClearReceived forgets all received identifiers of a session.
func (b *Batch) ClearReceived(sid SessionID) {
	b.begin(opDeleteRange, messageKeyLen-8, messageKeyLen-8)
	b.ops = appendQueueKey(appendQueueKey(b.ops, sid, kindReceived), sid, kindMessage)
}

// PutRetained stores the retained message of a topic, replacing the one with the
// same identifier [MQTT-3.3.1-5]. m.Topic must be the topic unless id is 0.
func (b *Batch) PutRetained(id RetainedID, topic string, m *Message) {
	body := m.bodyLen()
	b.begin(opAdd, retainedKeySize(id, topic), encodedLen(body))
	b.ops = m.appendTo(appendRetainedKey(b.ops, id, topic), body)
}

// DeleteRetained removes the retained message of a topic [MQTT-3.3.1-6].
func (b *Batch) DeleteRetained(id RetainedID, topic string) {
	b.begin(opDelete, retainedKeySize(id, topic), 0)
	b.ops = appendRetainedKey(b.ops, id, topic)
}

func (b *Batch) deleteKey(key string) {
	b.begin(opDelete, len(key), 0)
	b.ops = append(b.ops, key...)
}

// putMeta stores a value of the log's own.
func (b *Batch) putMeta(key, value []byte) {
	b.begin(opPut, len(key), len(value))
	b.ops = append(append(b.ops, key...), value...)
}

// change is one decoded operation; its slices point into the batch.
type change struct {
	op         byte
	key, value []byte
}

// next takes the first operation off ops. The bytes were written by this file,
// so they are not checked.
func nextChange(ops []byte) (c change, rest []byte) {
	c.op = ops[0]
	ops = ops[1:]
	keyLen, n := binary.Uvarint(ops)
	ops = ops[n:]
	var valueLen uint64
	if c.op != opDelete {
		valueLen, n = binary.Uvarint(ops)
		ops = ops[n:]
	}
	c.key = ops[:keyLen]
	c.value = ops[keyLen : keyLen+valueLen]
	return c, ops[keyLen+valueLen:]
}
