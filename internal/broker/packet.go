package broker

import "github.com/linkstead/linkstead/mqtt"

// packet is a PUBLISH for one client, before it has an identifier.
type packet struct {
	topic       string
	qos         byte
	retain, dup bool
	payload     []byte

	// for 5.0 clients only
	properties []byte // of the publisher
	expiresMS  int64  // 0: no expiry interval is sent
	id         uint32 // subscription identifiers
	more       []uint32
}

// packetOf is the packet that brings a publication to the receiver t, which may
// be nil.
func packetOf(p *publication, qos byte, retain bool, t *target) packet {
	m := packet{topic: p.topic, qos: qos, retain: retain, payload: p.payload, properties: p.properties, expiresMS: p.expiresMS}
	if t != nil {
		m.id, m.more = t.id, t.more
	}
	return m
}

// fits reports whether the packet is within the client's Maximum Packet Size
// [MQTT-3.1.2-24].
func (c *client) fits(m *packet) bool {
	if c.five == nil || c.five.maxPacket == 0 {
		return true
	}
	size := c.sizeOf(m)
	if a := c.five.aliases; a != nil && c.mayAlias(m) && a.find(m.topic) != 0 {
		size -= len(m.topic) - aliasSize
	}
	return size <= int(c.five.maxPacket)
}

// aliasSize is the size of a Topic Alias.
const aliasSize = 3

// mayAlias reports whether an alias may stand for the topic of a packet: not
// before packets leave in the order in which they are made, nor if it is sent
// again, so that a topic is there when it is asked what the packet was. At QoS 2
// neither: MQTT.js 5 keeps such a packet until PUBREL as it came, without a topic.
func (c *client) mayAlias(m *packet) bool {
	return len(m.topic) >= minAliased && m.qos < 2 && !m.dup && c.started
}

// sizeOf is the size of the packet that appendTo makes without an alias.
func (c *client) sizeOf(m *packet) int {
	props := len(m.properties)
	if m.expiresMS > 0 {
		props += 5
	}
	if m.id != 0 {
		props += 1 + varintSize(int(m.id))
		for _, id := range m.more {
			props += 1 + varintSize(int(id))
		}
	}
	return publishSize(c.version, m.qos, m.topic, props, len(m.payload))
}

// appendTo appends the packet in the client's version, in 5.0 with what is left
// of its expiry interval [MQTT-3.3.2-6].
func (l *loop) appendTo(dst []byte, c *client, m *packet, id uint16) []byte {
	header := publishHeader(m.qos, m.retain, m.dup)
	if c.version != mqtt.V5 {
		return appendPublish(dst, c.version, header, m.topic, id, nil, nil, m.payload)
	}
	own := mqtt.Properties(l.own[:0])
	if m.expiresMS > 0 {
		left := max((m.expiresMS-l.nowMS()+999)/1000, 0)
		own = mqtt.AppendUint32Property(own, mqtt.PropMessageExpiryInterval, uint32(left))
	}
	if m.id != 0 {
		own = mqtt.AppendSubscriptionIdentifier(own, m.id)
		for _, id := range m.more {
			own = mqtt.AppendSubscriptionIdentifier(own, id)
		}
	}
	topic := m.topic
	if f := c.five; f.aliases != nil && c.mayAlias(m) &&
		(f.maxPacket == 0 || c.sizeOf(m)+aliasSize+2 <= int(f.maxPacket) || f.aliases.find(m.topic) != 0) {
		if alias, known := f.aliases.use(m.topic); alias != 0 {
			own = mqtt.AppendUint16Property(own, mqtt.PropTopicAlias, alias)
			if known {
				topic = ""
			}
		}
	}
	l.own = own
	return appendPublish(dst, c.version, header, topic, id, m.properties, own, m.payload)
}
