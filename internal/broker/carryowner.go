package broker

import "github.com/linkstead/linkstead/mqtt"

// own notes that a message or request of the client belongs to a carried session,
// until it is acknowledged.
func (c *client) own(id uint16, key string) { c.carrying.owners[id] = key }

// owned gives the carried session that what was acknowledged belonged to, "" if it
// was the client's own.
func (c *client) owned(id uint16) string {
	if c.carrying == nil {
		return ""
	}
	return c.carrying.owners[id]
}

// disown ends what own began.
func (c *client) disown(id uint16) {
	if c.carrying != nil {
		delete(c.carrying.owners, id)
	}
}

// belongs names the carried session that a packet on the connection is of, "" if it
// is the client's own.
func (c *client) belongs(f mqtt.Frame, fromServer bool) string {
	if c.carrying == nil {
		return ""
	}
	var topics [][]byte
	switch f.Type {
	case mqtt.PUBLISH:
		var p mqtt.Publish
		if p.Decode(f, c.version, mqtt.TolerateDevices) != nil {
			return ""
		}
		topic := p.Topic
		if alias, given := p.Properties.Uint16(mqtt.PropTopicAlias); given && len(topic) == 0 {
			topic = c.topicOf(alias, fromServer)
		}
		topics = append(topics, topic)
	case mqtt.SUBSCRIBE:
		var p mqtt.Subscribe
		if p.Decode(f, c.version, mqtt.TolerateDevices) != nil {
			return ""
		}
		for _, s := range p.Filters {
			topics = append(topics, s.Filter)
		}
	case mqtt.UNSUBSCRIBE:
		var p mqtt.Unsubscribe
		if p.Decode(f, c.version, mqtt.TolerateDevices) != nil {
			return ""
		}
		topics = append(topics, p.Filters...)
	case mqtt.PUBACK, mqtt.SUBACK, mqtt.UNSUBACK:
		if len(f.Body) < 2 {
			return ""
		}
		id := uint16(f.Body[0])<<8 | uint16(f.Body[1])
		if fromServer {
			return c.owned(id)
		}
		if m, known := c.carrying.inflight[id]; known {
			return m.s.key
		}
		return ""
	}
	for _, topic := range topics {
		if key := c.actor(string(topic)); key != c.session.key {
			return key
		}
	}
	return ""
}
