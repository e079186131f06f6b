package mqtt

// Version is the protocol level a client announces in its CONNECT packet.
type Version byte

// The protocol levels this package speaks.
const (
	V31  Version = 3 // MQTT 3.1, protocol name "MQIsdp"
	V311 Version = 4 // MQTT 3.1.1, protocol name "MQTT"
	V5   Version = 5 // MQTT 5.0, protocol name "MQTT"
)

// String returns the version as people write it, such as "3.1.1".
func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return "level " + decimal(int(v))
}

// Type is a control packet type: the upper four bits of the first byte of a
// packet.
type Type byte

// The control packet types. Zero is reserved and AUTH exists in 5.0 only.
const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15
)

var typeNames = [16]string{
	"RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// String returns the name of the type as the standard spells it, "RESERVED"
// for type 0.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type " + decimal(int(t))
}

// MaxRemainingLength is the largest remaining length four bytes can express:
// 268,435,455 bytes.
const MaxRemainingLength = 1<<28 - 1

// MaxStringLength is the longest string or binary field, in bytes: the length
// prefix has two bytes.
const MaxStringLength = 1<<16 - 1

// decimal formats small numbers for messages without pulling in fmt.
func decimal(n int) string {
	if n < 0 {
		return "-" + decimal(-n)
	}
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(digits[i:])
		}
	}
}

// hexByte formats one byte as messages and data sheets write it: 0x8F.
func hexByte(b byte) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{'0', 'x', digits[b>>4], digits[b&15]})
}

// byteCount formats a number of bytes with the noun in the right number.
func byteCount(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return decimal(n) + " bytes"
}

// withArticle puts the indefinite article before the name of a type, for
// messages.
func withArticle(t Type) string {
	if t == AUTH || t == UNSUBSCRIBE || t == UNSUBACK {
		return "an " + t.String()
	}
	return "a " + t.String()
}
