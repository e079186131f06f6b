package session

import "github.com/linkstead/linkstead/mqtt"

// Ack is an acknowledgement owed to a client.
type Ack struct {
	Type mqtt.Type // PUBACK, PUBREC, SUBACK or UNSUBACK
	ID   uint16
	Code mqtt.ReasonCode
	// Codes are the per-filter codes of a SUBACK or UNSUBACK.
	Codes []mqtt.ReasonCode
	// Reason says in words why a filter was refused, empty if none was.
	Reason string

	ready bool
}

// Acks keeps the acknowledgements owed to a client in the order in which the
// packets came [MQTT-4.6.0-2], [MQTT-4.6.0-3]: one whose message is still on
// its way to the disk holds back those behind it. The zero value is ready.
type Acks struct{ owed *owed }

// owed is what most clients never have: it is made when one has to wait.
type owed struct {
	base    uint64 // ticket of ring[first]
	first   int32
	count   int32
	pubacks int32 // how many of them are PUBACKs
	ring    []Ack
}

// Empty reports whether nothing is owed, so that an acknowledgement that is
// ready may be sent at once.
func (a *Acks) Empty() bool { return a.owed == nil || a.owed.count == 0 }

// Len is the number of acknowledgements owed.
func (a *Acks) Len() int {
	if a.owed == nil {
		return 0
	}
	return int(a.owed.count)
}

// Pubacks is how many of them are PUBACKs.
func (a *Acks) Pubacks() int {
	if a.owed == nil {
		return 0
	}
	return int(a.owed.pubacks)
}

// Push owes one more acknowledgement and returns the ticket that completes it.
func (a *Acks) Push(ack Ack) (ticket uint64) {
	o := a.owed
	if o == nil {
		o = new(owed)
		a.owed = o
	}
	if int(o.count) == len(o.ring) {
		ring := make([]Ack, max(8, 2*len(o.ring)))
		for i := range int(o.count) {
			ring[i] = *o.at(i)
		}
		o.ring, o.first = ring, 0
	}
	ack.ready = false
	*o.at(int(o.count)) = ack
	o.count++
	if ack.Type == mqtt.PUBACK {
		o.pubacks++
	}
	return o.base + uint64(o.count-1)
}

// Complete makes the acknowledgement of a ticket ready, with its final code.
// A ticket of a time before Reset is ignored.
func (a *Acks) Complete(ticket uint64, code mqtt.ReasonCode) {
	o := a.owed
	if o == nil {
		return
	}
	if i := ticket - o.base; i < uint64(o.count) {
		ack := o.at(int(i))
		ack.ready, ack.Code = true, code
	}
}

// Next takes the oldest acknowledgement out if it is ready.
func (a *Acks) Next() (Ack, bool) {
	o := a.owed
	if o == nil || o.count == 0 || !o.at(0).ready {
		return Ack{}, false
	}
	ack := *o.at(0)
	*o.at(0) = Ack{}
	o.first = (o.first + 1) % int32(len(o.ring))
	o.base++
	o.count--
	if ack.Type == mqtt.PUBACK {
		o.pubacks--
	}
	if o.count == 0 && len(o.ring) > 64 {
		o.ring = nil
	}
	return ack, true
}

// Reset forgets what is owed: the connection is gone.
func (a *Acks) Reset() {
	if o := a.owed; o != nil {
		*o = owed{base: o.base + uint64(o.count)} // tickets go on
	}
}

func (o *owed) at(i int) *Ack { return &o.ring[(int(o.first)+i)%len(o.ring)] }
