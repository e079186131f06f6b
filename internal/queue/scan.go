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

// Retained visits all retained messages in the byte order of their topics,
// reading them as it goes. The message belongs to the visitor, who may call the
// Log. An error of the visitor ends the walk and is returned. A message that
// cannot be decoded is logged and passed over: one damaged topic must not keep
// the server from starting.
func (l *Log) Retained(visit func(topic string, m *Message) error) error {
	return l.each([]byte{keyRetained}, []byte{keyRetained + 1}, func(key, v []byte) (bool, error) {
		topic := string(key[1:])
		m := new(Message)
		body, _, err := splitMessage(v)
		if err == nil {
			err = m.decode(v[0], append([]byte(nil), body...), topic)
		}
		if err != nil {
			l.opts.Logger.Warn("a retained message cannot be read and is left out: publish it again", "topic", topic, "error", err)
			return true, nil
		}
		if err := visit(topic, m); err != nil {
			return false, err
		}
		return true, nil
	})
}
