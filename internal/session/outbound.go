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
// zero value has a window of 0 and sends nothing; see SetWindow. It is small, for
// most sessions have nothing in flight at any time.
type Outbound struct {
	window   int32
	inflight int32
	flights  *flights // nil: none
}

// flights is a ring of the messages between the oldest that is in flight and the
// newest that was sent.
type flights struct {
	head  uint64 // sequence number of the slot at ring[first]
	first int
	count int
	ring  []flight // capacity is a power of two
}

// SetWindow sets the most messages that may be in flight, 1..65535: the client's
// Receive Maximum (5.0) or the server's own limit.
func (o *Outbound) SetWindow(n int) {
	o.window = int32(min(max(n, 1), maxIdentifiers-1))
}

// Window is the most messages that may be in flight.
func (o *Outbound) Window() int { return int(o.window) }

// InFlight is the number of messages that have been sent and not completed.
func (o *Outbound) InFlight() int { return int(o.inflight) }

// span is how many sequence numbers the ring may cover. It is larger than the
// window so that one unacknowledged message does not stall the ones behind it
// at once.
func (o *Outbound) span() int { return min(4*int(o.window)+64, maxIdentifiers-1) }

// Ready reports whether the message seq may be sent now: the window has room and
// its identifier is not taken.
func (o *Outbound) Ready(seq uint64) bool {
	if o.inflight >= o.window {
		return false
	}
	r := o.flights
	return r == nil || r.count == 0 || seq-r.head < uint64(o.span())
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
	r := o.flights
	if r == nil {
		r = new(flights)
		o.flights = r
	}
	if r.count == 0 {
		r.head, r.first = seq, 0
	}
	need := int(seq-r.head) + 1
	if need > len(r.ring) {
		r.grow(need)
	}
	for r.count < need-1 { // left out: never sent
		*r.at(r.count) = flight{}
		r.count++
	}
	*r.at(need - 1) = f
	r.count = max(r.count, need)
	o.inflight++
}

func (r *flights) at(i int) *flight { return &r.ring[(r.first+i)&(len(r.ring)-1)] }

func (r *flights) grow(need int) {
	size := max(8, len(r.ring))
	for size < need {
		size *= 2
	}
	ring := make([]flight, size)
	for i := range r.count {
		ring[i] = *r.at(i)
	}
	r.ring, r.first = ring, 0
}

// find gives the slot and sequence number of a packet identifier.
func (o *Outbound) find(id uint16) (*flight, uint64) {
	r := o.flights
	if r == nil || r.count == 0 || id == 0 {
		return nil, 0
	}
	delta := (int(id) - int(PacketID(r.head)) + maxIdentifiers) % maxIdentifiers
	if delta >= r.count {
		return nil, 0
	}
	return r.at(delta), r.head + uint64(delta)
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
	r := o.flights
	for r.count > 0 && r.at(0).phase == Done {
		r.first = (r.first + 1) & (len(r.ring) - 1)
		r.head++
		r.count--
	}
	if r.count == 0 && len(r.ring) > 256 {
		o.flights = nil // half a kilobyte is kept; a larger burst does not hold memory for ever
	}
}

// Oldest is the sequence number of the oldest message in flight; ok is false
// when there is none.
func (o *Outbound) Oldest() (seq uint64, ok bool) {
	if r := o.flights; r != nil && r.count > 0 {
		return r.head, true
	}
	return 0, false
}

// Reset forgets everything in flight and frees its memory: the connection is
// gone. A persistent session reads its messages again from the queue.
func (o *Outbound) Reset() { *o = Outbound{window: o.window} }
