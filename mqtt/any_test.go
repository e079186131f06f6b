package mqtt

import (
	"fmt"
	"strings"
)

// packet is what the tests do with every packet alike.
type packet interface {
	decode(f Frame, v Version, tol Tolerance) error
	encode(dst []byte, v Version) []byte
	describe() string
}

// newPacket returns an empty packet for the type, nil for type 0.
func newPacket(t Type) packet {
	switch t {
	case CONNECT:
		return &anyConnect{}
	case CONNACK:
		return &anyConnack{}
	case PUBLISH:
		return &anyPublish{}
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return &anyAck{t: t}
	case SUBSCRIBE:
		return &anySubscribe{}
	case SUBACK:
		return &anySuback{}
	case UNSUBSCRIBE:
		return &anyUnsubscribe{}
	case UNSUBACK:
		return &anyUnsuback{}
	case PINGREQ, PINGRESP:
		return &anyPing{t}
	case DISCONNECT:
		return &anyDisconnect{}
	case AUTH:
		return &anyAuth{}
	}
	return nil
}

// decodeFirst decodes the first packet of b. n is 0 when b holds no whole
// packet.
func decodeFirst(b []byte, v Version, tol Tolerance) (p packet, n int, err error) {
	f, n, err := SplitTolerant(b, 0, tol)
	if err != nil || n == 0 {
		return nil, 0, err
	}
	p = newPacket(f.Type)
	return p, n, p.decode(f, v, tol)
}

type anyConnect struct{ Connect }

func (p *anyConnect) decode(f Frame, _ Version, tol Tolerance) error { return p.Decode(f, tol) }
func (p *anyConnect) encode(dst []byte, _ Version) []byte            { return p.Append(dst) }
func (p *anyConnect) describe() string {
	s := fmt.Sprintf("CONNECT %q %s clean=%t keepalive=%d client=%q", p.ProtocolName, p.Version, p.CleanStart, p.KeepAlive, p.ClientID)
	if p.HasUsername {
		s += fmt.Sprintf(" user=%q", p.Username)
	}
	if p.HasPassword {
		s += fmt.Sprintf(" password=%q", p.Password)
	}
	s += describeProperties(p.Properties)
	if p.HasWill {
		w := &p.Will
		s += fmt.Sprintf("\nwill topic=%q payload=%q qos=%d retain=%t", w.Topic, w.Payload, w.QoS, w.Retain) + describeProperties(w.Properties)
	}
	return s
}

type anyConnack struct{ Connack }

func (p *anyConnack) decode(f Frame, v Version, _ Tolerance) error { return p.Decode(f, v) }
func (p *anyConnack) encode(dst []byte, v Version) []byte          { return p.Append(dst, v) }
func (p *anyConnack) describe() string {
	return fmt.Sprintf("CONNACK present=%t code=%s", p.SessionPresent, hexByte(byte(p.Code))) + describeProperties(p.Properties)
}

type anyPublish struct{ Publish }

func (p *anyPublish) decode(f Frame, v Version, tol Tolerance) error { return p.Decode(f, v, tol) }
func (p *anyPublish) encode(dst []byte, v Version) []byte            { return p.Append(dst, v) }
func (p *anyPublish) describe() string {
	return fmt.Sprintf("PUBLISH qos=%d dup=%t retain=%t topic=%s id=%d payload=%s",
		p.QoS, p.Dup, p.Retain, quoted(p.Topic), p.PacketID, quoted(p.Payload)) + describeProperties(p.Properties)
}

type anyAck struct {
	t Type
	Ack
}

func (p *anyAck) decode(f Frame, v Version, tol Tolerance) error { return p.Decode(f, v, tol) }
func (p *anyAck) encode(dst []byte, v Version) []byte            { return p.Append(dst, p.t, v) }
func (p *anyAck) describe() string {
	return fmt.Sprintf("%s id=%d code=%s", p.t, p.PacketID, hexByte(byte(p.Code))) + describeProperties(p.Properties)
}

type anySubscribe struct{ Subscribe }

func (p *anySubscribe) decode(f Frame, v Version, tol Tolerance) error { return p.Decode(f, v, tol) }
func (p *anySubscribe) encode(dst []byte, v Version) []byte            { return p.Append(dst, v) }
func (p *anySubscribe) describe() string {
	s := fmt.Sprintf("SUBSCRIBE id=%d", p.PacketID) + describeProperties(p.Properties)
	for _, f := range p.Filters {
		s += fmt.Sprintf("\nfilter=%q qos=%d nolocal=%t asPublished=%t handling=%d", f.Filter, f.QoS, f.NoLocal, f.RetainAsPublished, f.RetainHandling)
	}
	return s
}

type anySuback struct{ Suback }

func (p *anySuback) decode(f Frame, v Version, tol Tolerance) error { return p.Decode(f, v, tol) }
func (p *anySuback) encode(dst []byte, v Version) []byte            { return p.Append(dst, v) }
func (p *anySuback) describe() string {
	return fmt.Sprintf("SUBACK id=%d codes=% X", p.PacketID, p.Codes) + describeProperties(p.Properties)
}

type anyUnsubscribe struct{ Unsubscribe }

func (p *anyUnsubscribe) decode(f Frame, v Version, tol Tolerance) error { return p.Decode(f, v, tol) }
func (p *anyUnsubscribe) encode(dst []byte, v Version) []byte            { return p.Append(dst, v) }
func (p *anyUnsubscribe) describe() string {
	return fmt.Sprintf("UNSUBSCRIBE id=%d filters=%q", p.PacketID, p.Filters) + describeProperties(p.Properties)
}

type anyUnsuback struct{ Unsuback }

func (p *anyUnsuback) decode(f Frame, v Version, tol Tolerance) error { return p.Decode(f, v, tol) }
func (p *anyUnsuback) encode(dst []byte, v Version) []byte            { return p.Append(dst, v) }
func (p *anyUnsuback) describe() string {
	return fmt.Sprintf("UNSUBACK id=%d codes=% X", p.PacketID, p.Codes) + describeProperties(p.Properties)
}

type anyPing struct{ t Type }

func (p *anyPing) decode(f Frame, _ Version, _ Tolerance) error { return DecodePing(f) }
func (p *anyPing) encode(dst []byte, _ Version) []byte {
	if p.t == PINGREQ {
		return AppendPingreq(dst)
	}
	return AppendPingresp(dst)
}
func (p *anyPing) describe() string { return p.t.String() }

type anyDisconnect struct{ Disconnect }

func (p *anyDisconnect) decode(f Frame, v Version, _ Tolerance) error { return p.Decode(f, v) }
func (p *anyDisconnect) encode(dst []byte, v Version) []byte          { return p.Append(dst, v) }
func (p *anyDisconnect) describe() string {
	return fmt.Sprintf("DISCONNECT code=%s", hexByte(byte(p.Code))) + describeProperties(p.Properties)
}

type anyAuth struct{ Auth }

func (p *anyAuth) decode(f Frame, _ Version, _ Tolerance) error { return p.Decode(f) }
func (p *anyAuth) encode(dst []byte, _ Version) []byte          { return p.Append(dst) }
func (p *anyAuth) describe() string {
	return fmt.Sprintf("AUTH code=%s", hexByte(byte(p.Code))) + describeProperties(p.Properties)
}

func describeProperties(p Properties) string {
	var s strings.Builder
	p.Each(func(q Property) bool {
		fmt.Fprintf(&s, "\n%s=", q.ID)
		switch propertyRules[q.ID].kind {
		case kindString, kindBinary:
			fmt.Fprintf(&s, "%q", q.Value)
		case kindPair:
			fmt.Fprintf(&s, "%q:%q", q.Name, q.Value)
		default:
			fmt.Fprint(&s, q.Number)
		}
		return true
	})
	return s.String()
}

// quoted quotes b, cut short when it is long.
func quoted(b []byte) string {
	if len(b) <= 120 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q… %d bytes", b[:16], len(b))
}
