package session

// Phase is how far the delivery of one outgoing message has come.
type Phase uint8

const (
	// Done is a message that needs nothing any more: acknowledged, or never sent
	// (expired, refused).
	Done Phase = iota
	// Sent awaits PUBACK (QoS 1) or PUBREC (QoS 2).
	Sent
	// Released is a QoS 2 message whose PUBREC has arrived: PUBREL was sent and
	// PUBCOMP is awaited.
	Released
)

const maxIdentifiers = 65535

// PacketID gives the packet identifier of the message with sequence number seq:
// 1..65535, never 0 [MQTT-2.3.1-1].
func PacketID(seq uint64) uint16 { return uint16(seq%maxIdentifiers) + 1 }

// flight is one slot of the ring of messages between the oldest that is still
// in flight and the newest that was sent.
type flight struct {
	phase Phase
	qos   byte
}

// Outbound is the sending half of a session: which messages are in flight. The
// zero value has a window of 0 and sends nothing; see SetWindow.
type Outbound struct {
	window   int
	inflight int
	head     uint64 // sequence number of the slot at ring[first]
	first    int
	count    int
	ring     []flight // capacity is a power of two
}

// SetWindow sets the most messages that may be in flight, 1..65535: the client's
// Receive Maximum (5.0) or the server's own limit.
func (o *Outbound) SetWindow(n int) {
	o.window = min(max(n, 1), maxIdentifiers-1)
}

// Window is the most messages that may be in flight.
func (o *Outbound) Window() int { return o.window }

// InFlight is the number of messages that have been sent and not completed.
func (o *Outbound) InFlight() int { return o.inflight }

// span is how many sequence numbers the ring may cover. It is larger than the
// window so that one unacknowledged message does not stall the ones behind it
// at once.
func (o *Outbound) span() int { return min(4*o.window+64, maxIdentifiers-1) }

// Ready reports whether the message seq may be sent now: the window has room and
// its identifier is not taken.
func (o *Outbound) Ready(seq uint64) bool {
	if o.inflight >= o.window {
		return false
	}
	return o.count == 0 || seq-o.head < uint64(o.span())
}

// Send records that message seq was sent at QoS 1 or 2 and returns its packet
// identifier. Sequence numbers must grow; those left out count as Done. The
// caller has asked Ready.
func (o *Outbound) Send(seq uint64, qos byte) uint16 {
	o.put(seq, flight{phase: Sent, qos: qos})
	return PacketID(seq)
}

// SendReleased records that PUBREL was sent again for message seq, whose PUBREC
// had arrived in an earlier connection, and returns its packet identifier.
func (o *Outbound) SendReleased(seq uint64) uint16 {
	o.put(seq, flight{phase: Released, qos: 2})
	return PacketID(seq)
}

func (o *Outbound) put(seq uint64, f flight) {
	if o.count == 0 {
		o.head, o.first = seq, 0
	}
	need := int(seq-o.head) + 1
	if need > len(o.ring) {
		o.grow(need)
	}
	for o.count < need-1 { // left out: never sent
		*o.at(o.count) = flight{}
		o.count++
	}
	*o.at(need - 1) = f
	o.count = max(o.count, need)
	o.inflight++
}

func (o *Outbound) at(i int) *flight { return &o.ring[(o.first+i)&(len(o.ring)-1)] }

func (o *Outbound) grow(need int) {
	size := max(8, len(o.ring))
	for size < need {
		size *= 2
	}
	ring := make([]flight, size)
	for i := range o.count {
		ring[i] = *o.at(i)
	}
	o.ring, o.first = ring, 0
}

// find gives the slot and sequence number of a packet identifier.
func (o *Outbound) find(id uint16) (*flight, uint64) {
	if o.count == 0 || id == 0 {
		return nil, 0
	}
	delta := (int(id) - int(PacketID(o.head)) + maxIdentifiers) % maxIdentifiers
	if delta >= o.count {
		return nil, 0
	}
	return o.at(delta), o.head + uint64(delta)
}

// Puback completes the QoS 1 message with packet identifier id and returns its
// sequence number. ok is false if no such message awaits a PUBACK.
func (o *Outbound) Puback(id uint16) (seq uint64, ok bool) {
	f, seq := o.find(id)
	if f == nil || f.phase != Sent || f.qos != 1 {
		return 0, false
	}
	o.complete(f)
	return seq, true
}

// Pubrec moves the QoS 2 message id to Released. ok is false if the identifier
// is unknown; again is true if the PUBREC is a repetition, which is answered
// with PUBREL all the same.
func (o *Outbound) Pubrec(id uint16) (seq uint64, again, ok bool) {
	f, seq := o.find(id)
	if f == nil || f.qos != 2 || f.phase == Done {
		return 0, false, false
	}
	again = f.phase == Released
	f.phase = Released
	return seq, again, true
}

// Refuse completes the QoS 2 message id whose PUBREC carried a failure (5.0,
// reason 0x80 and above): no PUBREL follows.
func (o *Outbound) Refuse(id uint16) (seq uint64, ok bool) {
	f, seq := o.find(id)
	if f == nil || f.qos != 2 || f.phase != Sent {
		return 0, false
	}
	o.complete(f)
	return seq, true
}

// Pubcomp completes the QoS 2 message id.
func (o *Outbound) Pubcomp(id uint16) (seq uint64, ok bool) {
	f, seq := o.find(id)
	if f == nil || f.phase != Released {
		return 0, false
	}
	o.complete(f)
	return seq, true
}

func (o *Outbound) complete(f *flight) {
	f.phase = Done
	o.inflight--
	for o.count > 0 && o.at(0).phase == Done {
		o.first = (o.first + 1) & (len(o.ring) - 1)
		o.head++
		o.count--
	}
	if o.count == 0 && len(o.ring) > 256 {
		o.ring = nil // half a kilobyte is kept; a larger burst does not hold memory for ever
	}
}

// Oldest is the sequence number of the oldest message in flight; ok is false
// when there is none.
func (o *Outbound) Oldest() (seq uint64, ok bool) { return o.head, o.count > 0 }

// Reset forgets everything in flight and frees its memory: the connection is
// gone. A persistent session reads its messages again from the queue.
func (o *Outbound) Reset() { *o = Outbound{window: o.window} }
