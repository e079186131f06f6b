package mqtt

// MalformedError says which byte of a packet breaks which rule. Every error
// of this package is a *MalformedError; nothing in it quotes the contents of
// the packet, so it may be logged although a CONNECT carries a password.
type MalformedError struct {
	Type   Type       // packet type of the frame, 0 where the first byte names none
	Offset int        // of the offending byte, counted from the first byte of the packet
	Field  string     // what stands there, such as "topic name"
	Clause string     // "MQTT-3.3.1-4", or "section 2.2.3" where the standard has no number for the rule
	Code   ReasonCode // what to say in a 5.0 CONNACK or DISCONNECT: MalformedPacket, ProtocolError, PacketTooLarge …
	Reason string     // what is wrong and what would be right
}

// Error returns the whole finding as one line.
func (e *MalformedError) Error() string {
	return "mqtt: " + e.Type.String() + ": " + e.Field + " at byte " + decimal(e.Offset) + ": " +
		e.Reason + " [" + e.Clause + "]"
}

// byVersion picks the clause of the standard that applies to a version: the
// numbers differ between 3.1.1 (which also speaks for 3.1 here) and 5.0.
func byVersion(v Version, three, five string) string {
	if v >= V5 {
		return five
	}
	return three
}
