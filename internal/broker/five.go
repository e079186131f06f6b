package broker

import (
	"strings"
	"unicode"

	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/mqtt"
)

// five is what only the connection of a 5.0 client has; nil with others.
type five struct {
	problems  bool     // the client wants to know what went wrong
	maxPacket uint32   // the client's Maximum Packet Size; 0 none
	inherited int      // QoS 2 messages that an earlier connection left unreleased
	heard     [][]byte // the client's topics, by alias - 1; see aliases for the server's
	aliases   *aliases // nil if the client takes none

	method  string        // of extended authentication, empty if there is none
	talk    *conversation // what is under way of it, nil if nothing is
	request *LoginRequest // for another one
}

// newFive takes what the CONNECT of a client says, and of an extended
// authentication what another one needs.
func newFive(p mqtt.Properties, profile *Profile, before *five) *five {
	f := &five{problems: true}
	if wanted, given := p.Byte(mqtt.PropRequestProblemInformation); given {
		f.problems = wanted != 0
	}
	f.maxPacket, _ = p.Uint32(mqtt.PropMaximumPacketSize)
	if n, _ := p.Uint16(mqtt.PropTopicAliasMaximum); n > 0 && profile.TopicAliases > 0 {
		f.aliases = newAliases(min(int(n), profile.TopicAliases))
	}
	if before != nil && before.method != "" {
		again := *before.talk.request
		again.Frame, again.Password = nil, nil
		f.method, f.request = before.method, &again
	}
	return f
}

// overruns reports whether a packet is a message of a 5.0 client beyond the
// Receive Maximum that the server has announced [MQTT-3.3.4-7]. What an earlier
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

// maxReason is the longest reason string, in bytes.
const maxReason = 256

// reason gives the properties of a packet with a failure that say what it is in
// words, nil if the client does not want to know [MQTT-3.1.2-29] or it is a
// device, which has to find room for whatever it receives.
func (c *client) reason(text string) mqtt.Properties {
	if c.five == nil || !c.five.problems || c.profile.Device || text == "" {
		return nil
	}
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return mqtt.AppendStringProperty(nil, mqtt.PropReasonString, text)
}

// endWith ends an append begun at c.begin with the packet that packet appends, given
// its properties: without them if the client has no room for it with them
// [MQTT-3.14.2-3], [MQTT-3.9.2-1].
func (c *client) endWith(p mqtt.Properties, packet func(dst []byte, p mqtt.Properties) []byte) {
	out := c.begin()
	full := packet(out, p)
	if c.five != nil && c.five.maxPacket > 0 && len(full)-len(out) > int(c.five.maxPacket) {
		full = packet(full[:len(out)], nil)
	}
	c.end(full)
}

// responses gives the topic below which a client may let others answer, empty if
// there is none for it.
func (c *client) responses(clientID string) string {
	if c.profile.Responses == "" || strings.ContainsAny(clientID, "+#/") {
		return ""
	}
	topic := c.profile.Responses + clientID
	if topics.ValidTopic(topic) != nil || !c.session.rights.Subscribe(topic+"/#") {
		return ""
	}
	return topic
}
