package broker

import "github.com/linkstead/linkstead/mqtt"

// five is what only the connection of a 5.0 client has; nil with others.
type five struct {
	maxPacket uint32   // the client's Maximum Packet Size; 0 none
	inherited int      // QoS 2 messages that an earlier connection left unreleased
	heard     [][]byte // the client's topics, by alias - 1; see aliases for the server's
	aliases   *aliases // nil if the client takes none
}

// newFive takes what the CONNECT of a client says.
func newFive(p mqtt.Properties, profile *Profile) *five {
	f := &five{}
	f.maxPacket, _ = p.Uint32(mqtt.PropMaximumPacketSize)
	if n, _ := p.Uint16(mqtt.PropTopicAliasMaximum); n > 0 && profile.TopicAliases > 0 {
		f.aliases = newAliases(min(int(n), profile.TopicAliases))
	}
	return f
}

// overruns reports whether a packet is a message of a 5.0 client beyond the
// Receive Maximum that the server has announced [MQTT-3.3.4-9]. What an earlier
// connection left does not count: the client begins with its full quota.
func (c *client) overruns(f mqtt.Frame) bool {
	if c.five == nil || f.Type != mqtt.PUBLISH || f.Flags&0x06 == 0 {
		return false
	}
	in := &c.session.in
	most := c.profile.MaxReceived
	if c.acks.Pubacks()+in.Len() < most {
		return false
	}
	c.five.inherited = min(c.five.inherited, in.Len())
	return c.acks.Pubacks()+in.Len()-c.five.inherited >= most
}
