package simulate

import (
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// conn is a connection with what is gathered for it. One goroutine uses it: that of
// the device or gateway it belongs to.
type conn struct {
	fleet *Fleet
	link  *link
	out   []byte
	ping  time.Time // when the next PINGREQ is due
	last  uint16    // packet identifier
	// owners are the units whose post awaits PUBACK, by packet identifier.
	owners map[uint16]*unit
}

// maxOwners leaves enough packet identifiers free to find one quickly.
const maxOwners = 60_000

// open is the beginning of a connection.
func (c *conn) open(l *link, now time.Time) {
	c.link, c.ping = l, now.Add(c.fleet.o.KeepAlive*3/4)
	clear(c.owners)
}

// packet gives a packet identifier for a post of a unit.
func (c *conn) packet(u *unit) uint16 {
	for {
		c.last = c.last%65535 + 1
		if c.owners[c.last] == nil {
			c.owners[c.last] = u
			return c.last
		}
	}
}

// flush writes what has been gathered.
func (c *conn) flush(now time.Time) error {
	if len(c.out) == 0 {
		return nil
	}
	c.ping = now.Add(c.fleet.o.KeepAlive * 3 / 4)
	err := c.link.send(c.out, c.fleet.o.Timeout)
	c.out = c.out[:0]
	return err
}

// keepAlive gathers a PINGREQ if one is due and nothing else is sent.
func (c *conn) keepAlive(now time.Time) {
	if len(c.out) == 0 && !now.Before(c.ping) {
		c.out = mqtt.AppendPingreq(c.out)
	}
}

// goodbye disconnects properly.
func (c *conn) goodbye() error {
	return c.link.send([]byte{byte(mqtt.DISCONNECT) << 4, 0}, c.fleet.o.Timeout)
}

// received takes one packet; each message is handed to message.
func (c *conn) received(f mqtt.Frame, message func(*mqtt.Publish)) error {
	switch f.Type {
	case mqtt.PINGRESP:
		return nil
	case mqtt.PUBACK:
		var a mqtt.Ack
		if err := a.Decode(f, mqtt.V311, 0); err != nil {
			return err
		}
		u := c.owners[a.PacketID]
		if u == nil {
			c.fleet.Tally.Strange.Add(1)
			return nil
		}
		delete(c.owners, a.PacketID)
		u.acknowledged(a.PacketID)
		return nil
	case mqtt.PUBLISH:
		var p mqtt.Publish
		if err := p.Decode(f, mqtt.V311, 0); err != nil {
			return err
		}
		if p.QoS == 1 {
			c.out = mqtt.AppendAck(c.out, mqtt.PUBACK, mqtt.V311, p.PacketID, mqtt.Success)
		}
		message(&p)
		return c.flush(time.Now())
	}
	return unexpected(f.Type)
}
