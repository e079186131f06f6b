package queue

import "encoding/binary"

// Sessions visits the records of all sessions, by ascending identifier, reading
// them as it goes. The record belongs to the visitor, who may call the Log. An
// error of the visitor ends the walk and is returned.
func (l *Log) Sessions(visit func(sid SessionID, record []byte) error) error {
	return l.each([]byte{keySession}, []byte{keySession + 1}, func(key, v []byte) (bool, error) {
		if len(key) != sessionKeyLen {
			return true, nil
		}
		sid := SessionID(binary.BigEndian.Uint64(key[1:]))
		if err := visit(sid, append([]byte(nil), v...)); err != nil {
			return false, err
		}
		return true, nil
	})
}

// Retained visits all retained messages in the order of their identifiers, then
// those without one, reading them as it goes. After a crash there may be two of one
// topic: that with the greater identifier counts. The message belongs to the
// visitor, who may call the Log. An error of the visitor ends the walk and is
// returned. A message that cannot be decoded is logged and deleted: one damaged
// topic must not keep the server from starting.
func (l *Log) Retained(visit func(id RetainedID, topic string, m *Message) error) error {
	var unreadable []string
	err := l.each([]byte{keyRetained}, []byte{keyRetained + 1}, func(key, v []byte) (bool, error) {
		id, topic := retainedOf(key)
		m := new(Message)
		body, _, err := splitMessage(v)
		if err == nil {
			err = m.decode(v[0], append([]byte(nil), body...), topic)
		}
		if err != nil {
			l.opts.Logger.Warn("a retained message cannot be read and is left out: publish it again", "topic", topic, "id", uint64(id), "error", err)
			if id != 0 { // nothing will be stored in its place
				unreadable = append(unreadable, string(key))
			}
			return true, nil
		}
		if id != 0 {
			topic = m.Topic
		}
		if err := visit(id, topic, m); err != nil {
			return false, err
		}
		return true, nil
	})
	if len(unreadable) > 0 && err == nil {
		b := l.GetBatch()
		for _, key := range unreadable {
			b.deleteKey(key)
		}
		l.Submit(b, giveBack{l, b})
	}
	return err
}

// giveBack is told about batches that nobody waits for. What could not be deleted
// is found again by the next start.
type giveBack struct {
	log   *Log
	batch *Batch
}

// Committed implements Done.
func (g giveBack) Committed(error) { g.log.PutBatch(g.batch) }
