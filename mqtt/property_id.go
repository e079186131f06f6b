package mqtt

// PropertyID identifies a property of MQTT 5.0 (section 2.2.2.2). The
// standard encodes it as a variable byte integer, but every identifier fits
// one byte.
type PropertyID byte

// The property identifiers, with the type of their value.
const (
	PropPayloadFormatIndicator          PropertyID = 0x01 // byte, 0 or 1
	PropMessageExpiryInterval           PropertyID = 0x02 // four bytes, seconds
	PropContentType                     PropertyID = 0x03 // string
	PropResponseTopic                   PropertyID = 0x08 // string, a topic name
	PropCorrelationData                 PropertyID = 0x09 // binary
	PropSubscriptionIdentifier          PropertyID = 0x0B // variable byte integer, 1 and up; several allowed in PUBLISH
	PropSessionExpiryInterval           PropertyID = 0x11 // four bytes, seconds, 0xFFFFFFFF: never
	PropAssignedClientIdentifier        PropertyID = 0x12 // string
	PropServerKeepAlive                 PropertyID = 0x13 // two bytes, seconds
	PropAuthenticationMethod            PropertyID = 0x15 // string
	PropAuthenticationData              PropertyID = 0x16 // binary
	PropRequestProblemInformation       PropertyID = 0x17 // byte, 0 or 1
	PropWillDelayInterval               PropertyID = 0x18 // four bytes, seconds
	PropRequestResponseInformation      PropertyID = 0x19 // byte, 0 or 1
	PropResponseInformation             PropertyID = 0x1A // string
	PropServerReference                 PropertyID = 0x1C // string
	PropReasonString                    PropertyID = 0x1F // string
	PropReceiveMaximum                  PropertyID = 0x21 // two bytes, not 0
	PropTopicAliasMaximum               PropertyID = 0x22 // two bytes
	PropTopicAlias                      PropertyID = 0x23 // two bytes, not 0
	PropMaximumQoS                      PropertyID = 0x24 // byte, 0 or 1
	PropRetainAvailable                 PropertyID = 0x25 // byte, 0 or 1
	PropUserProperty                    PropertyID = 0x26 // string pair, any number
	PropMaximumPacketSize               PropertyID = 0x27 // four bytes, bytes, not 0
	PropWildcardSubscriptionAvailable   PropertyID = 0x28 // byte, 0 or 1
	PropSubscriptionIdentifierAvailable PropertyID = 0x29 // byte, 0 or 1
	PropSharedSubscriptionAvailable     PropertyID = 0x2A // byte, 0 or 1
)

// propertyKind is the wire form of a property value.
type propertyKind byte

const (
	kindNone propertyKind = iota // not an identifier of the standard
	kindByte
	kindUint16
	kindUint32
	kindVarint
	kindString
	kindBinary
	kindPair
)

// propertyRule is one row of table 2-4 of the standard, with the range of the
// value where the text of the property gives one.
type propertyRule struct {
	name    string
	kind    propertyKind
	in      typeSet
	flag    bool   // only 0 and 1 are values
	nonZero bool   // 0 is not a value
	section string // where the standard describes the property
}

const maxPropertyID = PropSharedSubscriptionAvailable

var propertyRules = [256]propertyRule{
	PropPayloadFormatIndicator:          {"payload format indicator", kindByte, setOf(PUBLISH) | willBit, true, false, "3.3.2.3.2"},
	PropMessageExpiryInterval:           {"message expiry interval", kindUint32, setOf(PUBLISH) | willBit, false, false, "3.3.2.3.3"},
	PropContentType:                     {"content type", kindString, setOf(PUBLISH) | willBit, false, false, "3.3.2.3.9"},
	PropResponseTopic:                   {"response topic", kindString, setOf(PUBLISH) | willBit, false, false, "3.3.2.3.5"},
	PropCorrelationData:                 {"correlation data", kindBinary, setOf(PUBLISH) | willBit, false, false, "3.3.2.3.6"},
	PropSubscriptionIdentifier:          {"subscription identifier", kindVarint, setOf(PUBLISH, SUBSCRIBE), false, true, "3.8.2.1.2"},
	PropSessionExpiryInterval:           {"session expiry interval", kindUint32, setOf(CONNECT, CONNACK, DISCONNECT), false, false, "3.1.2.11.2"},
	PropAssignedClientIdentifier:        {"assigned client identifier", kindString, setOf(CONNACK), false, false, "3.2.2.3.7"},
	PropServerKeepAlive:                 {"server keep alive", kindUint16, setOf(CONNACK), false, false, "3.2.2.3.14"},
	PropAuthenticationMethod:            {"authentication method", kindString, setOf(CONNECT, CONNACK, AUTH), false, false, "3.1.2.11.9"},
	PropAuthenticationData:              {"authentication data", kindBinary, setOf(CONNECT, CONNACK, AUTH), false, false, "3.1.2.11.10"},
	PropRequestProblemInformation:       {"request problem information", kindByte, setOf(CONNECT), true, false, "3.1.2.11.7"},
	PropWillDelayInterval:               {"will delay interval", kindUint32, willBit, false, false, "3.1.3.2.2"},
	PropRequestResponseInformation:      {"request response information", kindByte, setOf(CONNECT), true, false, "3.1.2.11.6"},
	PropResponseInformation:             {"response information", kindString, setOf(CONNACK), false, false, "3.2.2.3.15"},
	PropServerReference:                 {"server reference", kindString, setOf(CONNACK, DISCONNECT), false, false, "3.2.2.3.16"},
	PropReasonString:                    {"reason string", kindString, setOf(CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH), false, false, "3.2.2.3.9"},
	PropReceiveMaximum:                  {"receive maximum", kindUint16, setOf(CONNECT, CONNACK), false, true, "3.1.2.11.3"},
	PropTopicAliasMaximum:               {"topic alias maximum", kindUint16, setOf(CONNECT, CONNACK), false, false, "3.1.2.11.5"},
	PropTopicAlias:                      {"topic alias", kindUint16, setOf(PUBLISH), false, true, "3.3.2.3.4"},
	PropMaximumQoS:                      {"maximum QoS", kindByte, setOf(CONNACK), true, false, "3.2.2.3.4"},
	PropRetainAvailable:                 {"retain available", kindByte, setOf(CONNACK), true, false, "3.2.2.3.5"},
	PropUserProperty:                    {"user property", kindPair, setOf(CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH) | willBit, false, false, "3.3.2.3.7"},
	PropMaximumPacketSize:               {"maximum packet size", kindUint32, setOf(CONNECT, CONNACK), false, true, "3.1.2.11.4"},
	PropWildcardSubscriptionAvailable:   {"wildcard subscription available", kindByte, setOf(CONNACK), true, false, "3.2.2.3.11"},
	PropSubscriptionIdentifierAvailable: {"subscription identifier available", kindByte, setOf(CONNACK), true, false, "3.2.2.3.12"},
	PropSharedSubscriptionAvailable:     {"shared subscription available", kindByte, setOf(CONNACK), true, false, "3.2.2.3.13"},
}

// String returns the name of the property as the standard spells it, in lower
// case.
func (id PropertyID) String() string {
	if r := &propertyRules[id]; r.kind != kindNone {
		return r.name
	}
	return "property " + hexByte(byte(id))
}

// AllowedIn reports whether a packet of type t may carry the property. The
// will properties of a CONNECT are a set of their own, see
// [PropertyID.AllowedInWill].
func (id PropertyID) AllowedIn(t Type) bool {
	return t != 0 && t <= AUTH && propertyRules[id].in&(1<<t) != 0
}

// AllowedInWill reports whether the will properties of a CONNECT may carry
// the property.
func (id PropertyID) AllowedInWill() bool { return propertyRules[id].in&willBit != 0 }
