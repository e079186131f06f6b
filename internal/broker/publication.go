package broker

import (
	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/mqtt"
)

// publication is a message while it is routed. topic is stable; payload,
// properties and frame may point into a buffer that is reused after the turn.
type publication struct {
	topic      string
	payload    []byte
	properties []byte // 5.0 application properties to be forwarded
	// frame is the packet as it came when a 3.x receiver at QoS 0 gets exactly
	// these bytes, else nil.
	frame       []byte
	qos         byte
	retain      bool // the publisher's RETAIN flag
	publishedMS int64
	expiresMS   int64 // 0: never
	from        *Session
	to          *Session // of a reply: who asked, if it has units beside it
	publisher   string
	reply       bool // an answer to what its only receiver has just sent
	noEcho      bool // not back to from, whatever it subscribed to
	elsewhere   bool // its owner got it by another door: it goes to subscribers only
	x           *Exchange
	// exact: QoS 2, and its identifier is stored with what this turn stores. What
	// other loops store of it is tied to that.
	exact bool
	tie   *queue.Tie

	// copies for receivers that must keep the message, made once
	keptPayload, keptProperties []byte
	kept                        bool
}

// keep gives copies of payload and properties that outlive the turn, shared by
// all receivers of one loop.
func (p *publication) keep() (payload, properties []byte) {
	if !p.kept {
		buf := make([]byte, 0, len(p.payload)+len(p.properties))
		buf = append(buf, p.payload...)
		buf = append(buf, p.properties...)
		p.keptPayload = buf[:len(p.payload):len(p.payload)]
		p.keptProperties = buf[len(p.payload):]
		p.kept = true
	}
	return p.keptPayload, p.keptProperties
}

// part is one more part of what is stored of the publication, on another loop;
// nil if it need not be tied to the others.
func (p *publication) part() *queue.Tie {
	if !p.exact {
		return nil
	}
	if p.tie == nil {
		p.tie = queue.NewTie()
	}
	p.tie.Add()
	return p.tie
}

// appendPublish appends a PUBLISH packet. It is the same as mqtt.Publish.Append
// with the parts that differ per receiver as arguments; extra are 5.0 properties
// of this receiver (subscription identifiers).
func appendPublish(dst []byte, v mqtt.Version, header byte, topic string, id uint16, properties, extra, payload []byte) []byte {
	size := 2 + len(topic) + len(payload)
	if header&0x06 != 0 {
		size += 2
	}
	props := len(properties) + len(extra)
	if v == mqtt.V5 {
		size += varintSize(props) + props
	}
	dst = append(dst, header)
	dst = appendVarint(dst, size)
	dst = append(dst, byte(len(topic)>>8), byte(len(topic)))
	dst = append(dst, topic...)
	if header&0x06 != 0 {
		dst = append(dst, byte(id>>8), byte(id))
	}
	if v == mqtt.V5 {
		dst = appendVarint(dst, props)
		dst = append(dst, properties...)
		dst = append(dst, extra...)
	}
	return append(dst, payload...)
}

// publishSize is the size of the packet that appendPublish makes.
func publishSize(v mqtt.Version, qos byte, topic string, props, payload int) int {
	size := 2 + len(topic) + payload
	if qos > 0 {
		size += 2
	}
	if v == mqtt.V5 {
		size += varintSize(props) + props
	}
	return 1 + varintSize(size) + size
}

func varintSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

func publishHeader(qos byte, retain, dup bool) byte {
	h := byte(0x30) | qos<<1
	if retain {
		h |= 0x01
	}
	if dup {
		h |= 0x08
	}
	return h
}
