package session

// Inbound is the receiving half of a session: the identifiers of QoS 2
// messages that were received and not yet released [MQTT-4.3.3-2]. The zero
// value is ready.
type Inbound struct {
	received map[uint16]struct{}
}

// Publish records a QoS 2 PUBLISH. It reports false if the identifier is
// already there: the message is a repetition and must not be passed on again.
func (in *Inbound) Publish(id uint16) (fresh bool) {
	if _, known := in.received[id]; known {
		return false
	}
	if in.received == nil {
		in.received = make(map[uint16]struct{}, 4)
	}
	in.received[id] = struct{}{}
	return true
}

// Has reports whether the identifier was received and not released.
func (in *Inbound) Has(id uint16) bool {
	_, known := in.received[id]
	return known
}

// Release forgets the identifier on PUBREL and reports whether it was known.
func (in *Inbound) Release(id uint16) (known bool) {
	if _, known = in.received[id]; known {
		delete(in.received, id)
	}
	return known
}

// Len is the number of identifiers not yet released.
func (in *Inbound) Len() int { return len(in.received) }

// Reset forgets every identifier and frees their memory.
func (in *Inbound) Reset() { in.received = nil }
