package mqtt

import "unicode/utf8"

// Connect is a CONNECT packet. Byte slices are views into the decoded bytes.
type Connect struct {
	ProtocolName []byte // "MQTT", or "MQIsdp" in 3.1; nil in a packet to be sent means the right one
	Version      Version
	CleanStart   bool   // Clean Session before 5.0
	KeepAlive    uint16 // seconds, 0: none
	ClientID     []byte

	HasUsername, HasPassword bool // tell absent from empty
	Username, Password       []byte

	HasWill bool
	Will    Will

	Properties Properties // 5.0 only
}

// Will is the message the server publishes when the client is lost.
type Will struct {
	Topic, Payload []byte
	QoS            byte // 0, 1 or 2
	Retain         bool
	Properties     Properties // 5.0 only
}

// The bits of the connect flags.
const (
	connectReserved   = 0x01
	connectClean      = 0x02
	connectWill       = 0x04
	connectWillQoS    = 0x18
	connectWillRetain = 0x20
	connectPassword   = 0x40
	connectUsername   = 0x80
)

var (
	nameMQTT   = []byte("MQTT")
	nameMQIsdp = []byte("MQIsdp")
)

// protocolName returns the protocol name that belongs to v.
func protocolName(v Version) []byte {
	if v == V31 {
		return nameMQIsdp
	}
	return nameMQTT
}

// Decode reads the packet in place; it allocates nothing. Of tol only
// [TolerateLongClientID] makes a difference. Whether a device or an
// application connects is known only afterwards: a server that serves
// devices passes [TolerateDevices] here.
//
// After an error the fields before the offending one are filled in, so that a
// server knows the version in which to refuse.
func (p *Connect) Decode(f Frame, tol Tolerance) error {
	*p = Connect{}
	c := newCursor(&f, V311)
	c.expect(&f, CONNECT, tol)

	p.ProtocolName = c.binary("protocol name")
	if c.err == nil && string(p.ProtocolName) != "MQTT" && string(p.ProtocolName) != "MQIsdp" {
		c.fail(2, "protocol name", "MQTT-3.1.2-1", UnsupportedProtocolVersion,
			`it must be "MQTT", or "MQIsdp" for version 3.1`)
	}
	p.Version = Version(c.byte("protocol level"))
	if c.err == nil && !supported(p.ProtocolName, p.Version) {
		c.fail(c.pos-1, "protocol level", "MQTT-3.1.2-2", UnsupportedProtocolVersion,
			"level "+decimal(int(p.Version))+` is not spoken here; levels are 4 and 5 with the name "MQTT" and 3 with "MQIsdp"`)
	}
	c.v = p.Version

	flags := c.byte("connect flags")
	if c.err == nil {
		checkConnectFlags(&c, flags)
	}
	p.CleanStart = flags&connectClean != 0
	p.KeepAlive = c.uint16("keep alive")
	p.Properties = c.properties(setOf(CONNECT))

	at := c.pos
	p.ClientID = c.text("client identifier")
	if c.err == nil {
		p.checkClientID(&c, at, tol)
	}
	if flags&connectWill != 0 && c.err == nil {
		p.HasWill = true
		p.Will.QoS, p.Will.Retain = flags&connectWillQoS>>3, flags&connectWillRetain != 0
		p.Will.Properties = c.properties(willBit)
		p.Will.Topic = c.topicName("will topic")
		p.Will.Payload = c.binary("will payload")
	}
	if flags&connectUsername != 0 && c.err == nil {
		p.HasUsername, p.Username = true, c.text("user name")
	}
	if flags&connectPassword != 0 && c.err == nil {
		p.HasPassword, p.Password = true, c.binary("password")
	}
	c.end()
	return c.result()
}

// supported reports whether the protocol name and the level fit together.
func supported(name []byte, v Version) bool {
	if string(name) == "MQIsdp" {
		return v == V31
	}
	return v == V311 || v == V5
}

// checkConnectFlags checks the combinations of connect flags; the flags are
// the byte before the cursor.
func checkConnectFlags(c *cursor, flags byte) {
	at := c.pos - 1
	const field = "connect flags"
	switch {
	case flags&connectReserved != 0:
		c.fail(at, field, "MQTT-3.1.2-3", MalformedPacket, "bit 0 is reserved and must be 0")
	case flags&connectWill == 0 && flags&connectWillQoS != 0:
		c.fail(at, field, byVersion(c.v, "MQTT-3.1.2-13", "MQTT-3.1.2-11"), MalformedPacket,
			"the will QoS is set without the will flag")
	case flags&connectWill == 0 && flags&connectWillRetain != 0:
		c.fail(at, field, byVersion(c.v, "MQTT-3.1.2-15", "MQTT-3.1.2-13"), MalformedPacket,
			"will retain is set without the will flag")
	case flags&connectWillQoS == connectWillQoS:
		c.fail(at, field, byVersion(c.v, "MQTT-3.1.2-14", "MQTT-3.1.2-12"), MalformedPacket,
			"the will QoS is 3; it is 0, 1 or 2")
	case c.v < V5 && flags&(connectUsername|connectPassword) == connectPassword:
		c.fail(at, field, "MQTT-3.1.2-22", MalformedPacket, "the password flag is set without the user name flag")
	}
}

// checkClientID checks the length of the client identifier at body position
// at.
func (p *Connect) checkClientID(c *cursor, at int, tol Tolerance) {
	const field = "client identifier"
	switch {
	case len(p.ClientID) == 0 && p.Version == V31:
		c.fail(at, field, "section 3.1 of MQTT 3.1", ClientIdentifierNotValid,
			"it is empty; version 3.1 asks for 1 to 23 characters")
	case len(p.ClientID) == 0 && p.Version == V311 && !p.CleanStart:
		c.fail(at, field, "MQTT-3.1.3-8", ClientIdentifierNotValid,
			"it is empty and clean session is 0; a session to be kept needs a name")
	case len(p.ClientID) > 23 && p.Version == V31 && tol&TolerateLongClientID == 0 && utf8.RuneCount(p.ClientID) > 23:
		c.fail(at, field, "section 3.1 of MQTT 3.1", ClientIdentifierNotValid,
			"it is longer than the 23 characters of version 3.1")
	}
}

// Append appends the packet to dst. It writes what the fields say without
// judging them; fields longer than 65,535 bytes are cut, and a packet beyond
// [MaxRemainingLength] is not written at all.
func (p *Connect) Append(dst []byte) []byte {
	name := p.ProtocolName
	if name == nil {
		name = protocolName(p.Version)
	}
	n := fieldSize(name) + 4 + propertiesSize(p.Properties, p.Version) + fieldSize(p.ClientID)
	var flags byte
	if p.CleanStart {
		flags |= connectClean
	}
	if p.HasWill {
		flags |= connectWill | p.Will.QoS&3<<3
		if p.Will.Retain {
			flags |= connectWillRetain
		}
		n += propertiesSize(p.Will.Properties, p.Version) + fieldSize(p.Will.Topic) + fieldSize(p.Will.Payload)
	}
	if p.HasUsername {
		flags |= connectUsername
		n += fieldSize(p.Username)
	}
	if p.HasPassword {
		flags |= connectPassword
		n += fieldSize(p.Password)
	}
	if n > MaxRemainingLength {
		return dst
	}

	dst = appendField(appendHeader(dst, byte(CONNECT)<<4, n), name)
	dst = appendUint16(append(dst, byte(p.Version), flags), p.KeepAlive)
	if p.Version >= V5 {
		dst = appendProperties(dst, p.Properties)
	}
	dst = appendField(dst, p.ClientID)
	if p.HasWill {
		if p.Version >= V5 {
			dst = appendProperties(dst, p.Will.Properties)
		}
		dst = appendField(appendField(dst, p.Will.Topic), p.Will.Payload)
	}
	if p.HasUsername {
		dst = appendField(dst, p.Username)
	}
	if p.HasPassword {
		dst = appendField(dst, p.Password)
	}
	return dst
}
