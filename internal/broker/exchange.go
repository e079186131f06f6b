package broker

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// Exchange is one publication of a client on its way through whatever must be
// finished before it is acknowledged: the handler of a system topic, the queues
// of persistent receivers, a retained message. When the last of them is done the
// acknowledgement leaves, in order, and the replies follow it.
type Exchange struct {
	Key       string // session of the publisher
	Principal any    // as given in its Admission
	ClientID  string
	// Topic is stable; Query is what followed a '?' in it, for the call of Handle
	// only.
	Topic string
	Query string
	// Payload is valid during the call of Handle only.
	Payload []byte
	// Properties are those of a 5.0 publication that go with it to its receivers;
	// like Payload they are valid during the call of Handle only.
	Properties mqtt.Properties
	QoS        byte
	Dup        bool
	Time       time.Time // arrival

	client  *client               // nil for a publication of the server
	after   func(mqtt.ReasonCode) // told instead of the client
	id      uint16                // packet identifier
	loop    *loop
	ticket  uint64
	owed    bool // an acknowledgement waits for this exchange
	pending atomic.Int32
	code    atomic.Uint32
	replies []reply
	buf     []byte
	// correlation is how much of buf is the Correlation Data of the publication, as
	// a property: replies bring it back (MQTT 5.0, 4.10).
	correlation int
}

type reply struct {
	topic, payload, end int  // offsets in buf
	private             bool // for the publisher only
}

var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

// newExchange has one hold, that of the router.
func (l *loop) newExchange(c *client) *Exchange {
	x := exchanges.Get().(*Exchange)
	x.client, x.loop = c, l
	l.exchanging++
	x.pending.Store(1)
	return x
}

// Reply sends a message to the publisher (and to applications that have
// subscribed to the topic) once the exchange is done, at QoS 0. It has the
// Correlation Data of what it replies to. Both slices are copied. It may be called
// by the handler until it calls Done.
func (x *Exchange) Reply(topic, payload []byte) {
	start := len(x.buf)
	x.buf = append(x.buf, topic...)
	middle := len(x.buf)
	x.buf = append(x.buf, payload...)
	x.replies = append(x.replies, reply{topic: start, payload: middle, end: len(x.buf)})
}

// ReplyPrivately is Reply for what nobody but the publisher may see: a secret. No
// application gets it, whatever it has subscribed to.
func (x *Exchange) ReplyPrivately(topic, payload []byte) {
	x.Reply(topic, payload)
	x.replies[len(x.replies)-1].private = true
}

// ErrQuota matches the error of a handler that takes no more for now, because the
// disk is nearly full or too much waits: a 5.0 client is told 0x97.
var ErrQuota = errors.New("no more is taken for now")

// Done ends the handler's part. An error keeps the message from being
// acknowledged as a success: a 5.0 client gets a reason code, a 3.1.1 client is
// disconnected so that it sends again.
func (x *Exchange) Done(err error) {
	switch {
	case err == nil:
	case errors.Is(err, ErrQuota):
		x.fail(mqtt.QuotaExceeded)
	default:
		x.fail(mqtt.UnspecifiedError)
	}
	x.release(nil)
}

// correlate keeps the Correlation Data of the publication for its replies.
func (x *Exchange) correlate(p mqtt.Properties) {
	if data, given := p.Binary(mqtt.PropCorrelationData); given {
		x.buf = mqtt.AppendBinaryProperty(mqtt.Properties(x.buf), mqtt.PropCorrelationData, data)
		x.correlation = len(x.buf)
	}
}

func (x *Exchange) hold() { x.pending.Add(1) }

func (x *Exchange) fail(code mqtt.ReasonCode) { x.code.Store(uint32(code)) }

// release gives one hold back; on is the loop it runs on, in a turn, or nil.
func (x *Exchange) release(on *loop) {
	if x.pending.Add(-1) != 0 {
		return
	}
	switch on {
	case x.loop:
		x.finish(on)
	case nil:
		x.loop.t.Post(x)
	default:
		on.post(x.loop, x)
	}
}

// Run finishes the exchange on the publisher's loop.
func (x *Exchange) Run(*transport.Loop) { x.finish(x.loop) }

func (x *Exchange) finish(l *loop) {
	l.exchanging--
	c := x.client
	failed := mqtt.ReasonCode(x.code.Load())
	if c == nil {
		x.after(failed)
		x.reuse()
		return
	}
	if failed != mqtt.Success && x.QoS == 2 {
		// The message is not accepted: when it comes again it is a new one
		// [MQTT-4.3.3-9], whether the client was told or is gone.
		s := c.session
		if s.in.Release(x.id) && s.durable.Load() && s.id != 0 {
			l.pending().batch.DeleteReceived(s.id, x.id)
		}
	}
	if x.owed && !c.closed {
		c.acks.Complete(x.ticket, failed)
		c.sendAcks()
	}
	if failed == mqtt.Success {
		for _, r := range x.replies {
			topic, payload := x.buf[r.topic:r.payload], x.buf[r.payload:r.end]
			if r.private {
				l.sendTo(c.session, topic, payload, x.buf[:x.correlation])
				continue
			}
			l.send(c.session, topic, payload, x.buf[:x.correlation])
		}
	}
	x.reuse()
}

func (x *Exchange) reuse() {
	*x = Exchange{replies: x.replies[:0], buf: x.buf[:0]}
	if cap(x.buf) <= 64<<10 {
		exchanges.Put(x)
	}
}
