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
type Acks struct {
	base    uint64 // ticket of ring[first]
	first   int32
	count   int32
	pubacks int32 // how many of them are PUBACKs
	ring    []Ack
}

// Empty reports whether nothing is owed, so that an acknowledgement that is
// ready may be sent at once.
func (a *Acks) Empty() bool { return a.count == 0 }

// Len is the number of acknowledgements owed.
func (a *Acks) Len() int { return int(a.count) }

// Pubacks is how many of them are PUBACKs.
func (a *Acks) Pubacks() int { return int(a.pubacks) }

// Push owes one more acknowledgement and returns the ticket that completes it.
func (a *Acks) Push(ack Ack) (ticket uint64) {
	if int(a.count) == len(a.ring) {
		ring := make([]Ack, max(8, 2*len(a.ring)))
		for i := range int(a.count) {
			ring[i] = *a.at(i)
		}
		a.ring, a.first = ring, 0
	}
	ack.ready = false
	*a.at(int(a.count)) = ack
	a.count++
	if ack.Type == mqtt.PUBACK {
		a.pubacks++
	}
	return a.base + uint64(a.count-1)
}

// Complete makes the acknowledgement of a ticket ready, with its final code.
// A ticket of a time before Reset is ignored.
func (a *Acks) Complete(ticket uint64, code mqtt.ReasonCode) {
	if i := ticket - a.base; i < uint64(a.count) {
		ack := a.at(int(i))
		ack.ready, ack.Code = true, code
	}
}

// Next takes the oldest acknowledgement out if it is ready.
func (a *Acks) Next() (Ack, bool) {
	if a.count == 0 || !a.at(0).ready {
		return Ack{}, false
	}
	ack := *a.at(0)
	*a.at(0) = Ack{}
	a.first = (a.first + 1) % int32(len(a.ring))
	a.base++
	a.count--
	if ack.Type == mqtt.PUBACK {
		a.pubacks--
	}
	if a.count == 0 && len(a.ring) > 64 {
		a.ring = nil
	}
	return ack, true
}

// Reset forgets what is owed: the connection is gone.
func (a *Acks) Reset() {
	a.base += uint64(a.count)
	a.first, a.count, a.pubacks, a.ring = 0, 0, 0, nil
}

func (a *Acks) at(i int) *Ack { return &a.ring[(int(a.first)+i)%len(a.ring)] }
