package broker

import (
	"time"

	"github.com/linkstead/linkstead/internal/rate"
)

// publishLimit is how fast a client may publish. One that is faster is not read
// from until its rate allows the next message: nothing is dropped, and the client
// feels it as a slow network. A client without a limit has none of these.
type publishLimit struct {
	messages, bytes rate.Bucket
	most            [2]float64 // messages a second at QoS 0 and 1; more are lost. 0 is any number
	perQoS          [2]rate.Bucket
	armed           bool // the client will be read from again
	logged          bool
}

// limitOf returns the limit of a client that has just logged in, nil if its
// profile has none.
func limitOf(p *Profile) *publishLimit {
	if p.PublishRate <= 0 && p.PublishBytes <= 0 && p.LossyRates == [2]int{} {
		return nil
	}
	return &publishLimit{most: [2]float64{float64(p.LossyRates[0]), float64(p.LossyRates[1])}}
}

// loses reports whether a publication is one too many of its QoS in this second.
func (b *publishLimit) loses(now int64, qos byte) bool {
	if int(qos) >= len(b.most) || b.most[qos] <= 0 {
		return false
	}
	return !b.perQoS[qos].TakeWhole(now, b.most[qos], b.most[qos])
}

// slowDown reports whether a client has to wait before its next publication, of so
// many bytes; if so, reading from it has stopped. A second's worth may come at
// once.
func (l *loop) slowDown(c *client, size int) bool {
	b, now := c.limit, l.t.NowNano()
	messages, bytes := float64(c.profile.PublishRate), float64(c.profile.PublishBytes)
	if (messages <= 0 || b.messages.Ready(now, messages, messages)) && (bytes <= 0 || b.bytes.Ready(now, bytes, bytes)) {
		if messages > 0 {
			b.messages.Take(now, 1, messages, messages)
		}
		if bytes > 0 {
			b.bytes.Take(now, float64(size), bytes, bytes)
		}
		return false
	}
	if !b.armed {
		b.armed = true
		wait := time.Millisecond
		if messages > 0 {
			wait = max(wait, b.messages.Wait(messages))
		}
		if bytes > 0 {
			wait = max(wait, b.bytes.Wait(bytes))
		}
		c.after(wait, func() {
			b.armed = false
			if c.acks.Len() < maxOwed {
				c.proceed()
			}
		})
	}
	if !b.logged && l.b.allowNoise() {
		b.logged = true
		l.b.logger.Warn("a client publishes faster than it may; it is read from as fast as it may from now on", "client", c.session.key,
			"remote", c.conn.RemoteAddr(), "messages_per_second", c.profile.PublishRate, "bytes_per_second", c.profile.PublishBytes)
	}
	c.stall(pausedRate)
	return true
}
