package mqtt

// ReasonCode is the one-byte result of an operation. MQTT 5.0 uses one table
// for all packets (values below 0x80 are success); MQTT 3.1 and 3.1.1 have
// CONNACK return codes 0 to 5 and the SUBACK failure 0x80, which are kept in
// the same type. See [ReasonCode.ReturnCode] and [FromReturnCode] for the
// way between the two CONNACK tables.
type ReasonCode byte

// The reason codes of MQTT 5.0, section 2.4.
const (
	Success                             ReasonCode = 0x00
	NormalDisconnection                 ReasonCode = 0x00
	GrantedQoS0                         ReasonCode = 0x00
	GrantedQoS1                         ReasonCode = 0x01
	GrantedQoS2                         ReasonCode = 0x02
	DisconnectWithWill                  ReasonCode = 0x04
	NoMatchingSubscribers               ReasonCode = 0x10
	NoSubscriptionExisted               ReasonCode = 0x11
	ContinueAuthentication              ReasonCode = 0x18
	ReAuthenticate                      ReasonCode = 0x19
	UnspecifiedError                    ReasonCode = 0x80
	MalformedPacket                     ReasonCode = 0x81
	ProtocolError                       ReasonCode = 0x82
	ImplementationSpecificError         ReasonCode = 0x83
	UnsupportedProtocolVersion          ReasonCode = 0x84
	ClientIdentifierNotValid            ReasonCode = 0x85
	BadUserNameOrPassword               ReasonCode = 0x86
	NotAuthorized                       ReasonCode = 0x87
	ServerUnavailable                   ReasonCode = 0x88
	ServerBusy                          ReasonCode = 0x89
	Banned                              ReasonCode = 0x8A
	ServerShuttingDown                  ReasonCode = 0x8B
	BadAuthenticationMethod             ReasonCode = 0x8C
	KeepAliveTimeout                    ReasonCode = 0x8D
	SessionTakenOver                    ReasonCode = 0x8E
	TopicFilterInvalid                  ReasonCode = 0x8F
	TopicNameInvalid                    ReasonCode = 0x90
	PacketIdentifierInUse               ReasonCode = 0x91
	PacketIdentifierNotFound            ReasonCode = 0x92
	ReceiveMaximumExceeded              ReasonCode = 0x93
	TopicAliasInvalid                   ReasonCode = 0x94
	PacketTooLarge                      ReasonCode = 0x95
	MessageRateTooHigh                  ReasonCode = 0x96
	QuotaExceeded                       ReasonCode = 0x97
	AdministrativeAction                ReasonCode = 0x98
	PayloadFormatInvalid                ReasonCode = 0x99
	RetainNotSupported                  ReasonCode = 0x9A
	QoSNotSupported                     ReasonCode = 0x9B
	UseAnotherServer                    ReasonCode = 0x9C
	ServerMoved                         ReasonCode = 0x9D
	SharedSubscriptionsNotSupported     ReasonCode = 0x9E
	ConnectionRateExceeded              ReasonCode = 0x9F
	MaximumConnectTime                  ReasonCode = 0xA0
	SubscriptionIdentifiersNotSupported ReasonCode = 0xA1
	WildcardSubscriptionsNotSupported   ReasonCode = 0xA2
)

// The CONNACK return codes of MQTT 3.1 and 3.1.1, and the one failure code of
// a 3.1.1 SUBACK.
const (
	ReturnAccepted              ReasonCode = 0
	ReturnUnacceptableVersion   ReasonCode = 1
	ReturnIdentifierRejected    ReasonCode = 2
	ReturnServerUnavailable     ReasonCode = 3
	ReturnBadUserNameOrPassword ReasonCode = 4
	ReturnNotAuthorized         ReasonCode = 5
	SubackFailure               ReasonCode = 0x80
)

// Failed reports whether c stands for a failure in the 5.0 table: 0x80 and
// above. It does not apply to the return codes 1 to 5 of a 3.x CONNACK.
func (c ReasonCode) Failed() bool { return c >= 0x80 }

// String returns the name of the reason as the standard spells it, in lower
// case. Zero reads "success"; the codes 1 and 2 read as the granted QoS they
// mean in a SUBACK, see [ReasonCode.ReturnText] for a 3.x CONNACK.
func (c ReasonCode) String() string {
	if s := reasonNames[c]; s != "" {
		return s
	}
	return "reason " + hexByte(byte(c))
}

// ReturnText returns the meaning of c as a return code of a 3.1 or 3.1.1
// CONNACK.
func (c ReasonCode) ReturnText() string {
	if int(c) < len(returnNames) {
		return returnNames[c]
	}
	return "return code " + hexByte(byte(c))
}

var returnNames = [...]string{
	"connection accepted", "unacceptable protocol version", "identifier rejected",
	"server unavailable", "bad user name or password", "not authorized",
}

var reasonNames = [256]string{
	Success:                             "success",
	GrantedQoS1:                         "granted QoS 1",
	GrantedQoS2:                         "granted QoS 2",
	DisconnectWithWill:                  "disconnect with will message",
	NoMatchingSubscribers:               "no matching subscribers",
	NoSubscriptionExisted:               "no subscription existed",
	ContinueAuthentication:              "continue authentication",
	ReAuthenticate:                      "re-authenticate",
	UnspecifiedError:                    "unspecified error",
	MalformedPacket:                     "malformed packet",
	ProtocolError:                       "protocol error",
	ImplementationSpecificError:         "implementation specific error",
	UnsupportedProtocolVersion:          "unsupported protocol version",
	ClientIdentifierNotValid:            "client identifier not valid",
	BadUserNameOrPassword:               "bad user name or password",
	NotAuthorized:                       "not authorized",
	ServerUnavailable:                   "server unavailable",
	ServerBusy:                          "server busy",
	Banned:                              "banned",
	ServerShuttingDown:                  "server shutting down",
	BadAuthenticationMethod:             "bad authentication method",
	KeepAliveTimeout:                    "keep alive timeout",
	SessionTakenOver:                    "session taken over",
	TopicFilterInvalid:                  "topic filter invalid",
	TopicNameInvalid:                    "topic name invalid",
	PacketIdentifierInUse:               "packet identifier in use",
	PacketIdentifierNotFound:            "packet identifier not found",
	ReceiveMaximumExceeded:              "receive maximum exceeded",
	TopicAliasInvalid:                   "topic alias invalid",
	PacketTooLarge:                      "packet too large",
	MessageRateTooHigh:                  "message rate too high",
	QuotaExceeded:                       "quota exceeded",
	AdministrativeAction:                "administrative action",
	PayloadFormatInvalid:                "payload format invalid",
	RetainNotSupported:                  "retain not supported",
	QoSNotSupported:                     "QoS not supported",
	UseAnotherServer:                    "use another server",
	ServerMoved:                         "server moved",
	SharedSubscriptionsNotSupported:     "shared subscriptions not supported",
	ConnectionRateExceeded:              "connection rate exceeded",
	MaximumConnectTime:                  "maximum connect time",
	SubscriptionIdentifiersNotSupported: "subscription identifiers not supported",
	WildcardSubscriptionsNotSupported:   "wildcard subscriptions not supported",
}

// ReturnCode translates a 5.0 CONNACK reason into the return code a 3.1 or
// 3.1.1 client understands. ok is false where the older table has nothing
// that fits: then the connection is closed without a CONNACK
// [MQTT-3.2.2-6 of 3.1.1]. Return codes 0 to 5 translate to themselves.
func (c ReasonCode) ReturnCode() (code ReasonCode, ok bool) {
	switch c {
	case ReturnAccepted, ReturnUnacceptableVersion, ReturnIdentifierRejected,
		ReturnServerUnavailable, ReturnBadUserNameOrPassword, ReturnNotAuthorized:
		return c, true
	case UnsupportedProtocolVersion:
		return ReturnUnacceptableVersion, true
	case ClientIdentifierNotValid, ProtocolError:
		// The cloud answers 2 both for a client identifier it cannot read
		// and for a keep-alive out of range, which 5.0 calls 0x82.
		return ReturnIdentifierRejected, true
	case UnspecifiedError, ImplementationSpecificError, ServerUnavailable, ServerBusy,
		ServerShuttingDown, QuotaExceeded, UseAnotherServer, ServerMoved, ConnectionRateExceeded:
		return ReturnServerUnavailable, true
	case BadUserNameOrPassword, BadAuthenticationMethod:
		return ReturnBadUserNameOrPassword, true
	case NotAuthorized, Banned:
		return ReturnNotAuthorized, true
	}
	return 0, false
}

// FromReturnCode translates the return code of a 3.1 or 3.1.1 CONNACK into
// the 5.0 reason of the same meaning. A code above 5, which those versions
// reserve, becomes [UnspecifiedError].
func FromReturnCode(code ReasonCode) ReasonCode {
	switch code {
	case ReturnAccepted:
		return Success
	case ReturnUnacceptableVersion:
		return UnsupportedProtocolVersion
	case ReturnIdentifierRejected:
		return ClientIdentifierNotValid
	case ReturnServerUnavailable:
		return ServerUnavailable
	case ReturnBadUserNameOrPassword:
		return BadUserNameOrPassword
	case ReturnNotAuthorized:
		return NotAuthorized
	}
	return UnspecifiedError
}

// typeSet is a set of packet types, one bit each; bit 0, which no packet type
// uses, stands for the will properties inside a CONNECT.
type typeSet uint16

const willBit typeSet = 1

func setOf(types ...Type) (s typeSet) {
	for _, t := range types {
		s |= 1 << t
	}
	return s
}

// reasonTypes says which packets of 5.0 may carry which reason
// [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
// [MQTT-3.9.3-2] [MQTT-3.11.3-2] [MQTT-3.14.2-1] [MQTT-3.15.2-1].
var reasonTypes = [256]typeSet{
	Success:                             setOf(CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH),
	GrantedQoS1:                         setOf(SUBACK),
	GrantedQoS2:                         setOf(SUBACK),
	DisconnectWithWill:                  setOf(DISCONNECT),
	NoMatchingSubscribers:               setOf(PUBACK, PUBREC),
	NoSubscriptionExisted:               setOf(UNSUBACK),
	ContinueAuthentication:              setOf(AUTH),
	ReAuthenticate:                      setOf(AUTH),
	UnspecifiedError:                    setOf(CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT),
	MalformedPacket:                     setOf(CONNACK, DISCONNECT),
	ProtocolError:                       setOf(CONNACK, DISCONNECT),
	ImplementationSpecificError:         setOf(CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT),
	UnsupportedProtocolVersion:          setOf(CONNACK),
	ClientIdentifierNotValid:            setOf(CONNACK),
	BadUserNameOrPassword:               setOf(CONNACK),
	NotAuthorized:                       setOf(CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT),
	ServerUnavailable:                   setOf(CONNACK),
	ServerBusy:                          setOf(CONNACK, DISCONNECT),
	Banned:                              setOf(CONNACK),
	ServerShuttingDown:                  setOf(DISCONNECT),
	BadAuthenticationMethod:             setOf(CONNACK, DISCONNECT),
	KeepAliveTimeout:                    setOf(DISCONNECT),
	SessionTakenOver:                    setOf(DISCONNECT),
	TopicFilterInvalid:                  setOf(SUBACK, UNSUBACK, DISCONNECT),
	TopicNameInvalid:                    setOf(CONNACK, PUBACK, PUBREC, DISCONNECT),
	PacketIdentifierInUse:               setOf(PUBACK, PUBREC, SUBACK, UNSUBACK),
	PacketIdentifierNotFound:            setOf(PUBREL, PUBCOMP),
	ReceiveMaximumExceeded:              setOf(DISCONNECT),
	TopicAliasInvalid:                   setOf(DISCONNECT),
	PacketTooLarge:                      setOf(CONNACK, DISCONNECT),
	MessageRateTooHigh:                  setOf(DISCONNECT),
	QuotaExceeded:                       setOf(CONNACK, PUBACK, PUBREC, SUBACK, DISCONNECT),
	AdministrativeAction:                setOf(DISCONNECT),
	PayloadFormatInvalid:                setOf(CONNACK, PUBACK, PUBREC, DISCONNECT),
	RetainNotSupported:                  setOf(CONNACK, DISCONNECT),
	QoSNotSupported:                     setOf(CONNACK, DISCONNECT),
	UseAnotherServer:                    setOf(CONNACK, DISCONNECT),
	ServerMoved:                         setOf(CONNACK, DISCONNECT),
	SharedSubscriptionsNotSupported:     setOf(SUBACK, DISCONNECT),
	ConnectionRateExceeded:              setOf(CONNACK, DISCONNECT),
	MaximumConnectTime:                  setOf(DISCONNECT),
	SubscriptionIdentifiersNotSupported: setOf(SUBACK, DISCONNECT),
	WildcardSubscriptionsNotSupported:   setOf(SUBACK, DISCONNECT),
}

// AllowedIn reports whether a 5.0 packet of type t may carry the reason c.
func (c ReasonCode) AllowedIn(t Type) bool {
	return t <= AUTH && reasonTypes[c]&(1<<t) != 0
}
