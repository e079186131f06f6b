package broker

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/linkstead/linkstead/mqtt"
)

// The readable notation of packets in testdata/scenarios: the type, its fields in
// a fixed order, and the properties of 5.0 in braces, with _ for a blank.
//
//	CONNECT client=a user=app keep=60 clean v5 will=t:1:bye {session-expiry=30}
//	PUBLISH a/b "text" qos1 id=5 retain dup {user.k=v}
//	SUBSCRIBE 1 a/b:1 c/#:0,nl,rap,rh2 {sub-id=7}
//	PUBACK 5 87          (identifier, then the code in hex if it is not 00)
//	CONNACK 00 00        (flags, code)
//	AUTH 18 {auth-method=m auth-data=d}
//	hex 10 0C …          (bytes)
//
// In what a client sends, \x00 stands for a byte. A CONNECT logs in as app with a
// password unless it says user=NAME, anonymous, or password=TEXT; flags=C3 makes
// its connect flags say something else than the rest of it, level=6 its version.

var propertyNames = []struct {
	name string
	id   mqtt.PropertyID
	kind byte // b byte, 2, 4, s string, v varint
}{
	{"payload-format", mqtt.PropPayloadFormatIndicator, 'b'},
	{"expiry", mqtt.PropMessageExpiryInterval, '4'},
	{"content-type", mqtt.PropContentType, 's'},
	{"response-topic", mqtt.PropResponseTopic, 's'},
	{"correlation", mqtt.PropCorrelationData, 's'},
	{"sub-id", mqtt.PropSubscriptionIdentifier, 'v'},
	{"session-expiry", mqtt.PropSessionExpiryInterval, '4'},
	{"auth-method", mqtt.PropAuthenticationMethod, 's'},
	{"will-delay", mqtt.PropWillDelayInterval, '4'},
	{"receive-max", mqtt.PropReceiveMaximum, '2'},
	{"alias", mqtt.PropTopicAlias, '2'},
	{"alias-max", mqtt.PropTopicAliasMaximum, '2'},
	{"keep", mqtt.PropServerKeepAlive, '2'},
	{"want-response", mqtt.PropRequestResponseInformation, 'b'},
	{"response", mqtt.PropResponseInformation, 's'},
	{"problems", mqtt.PropRequestProblemInformation, 'b'},
	{"reason", mqtt.PropReasonString, 's'},
	{"auth-data", mqtt.PropAuthenticationData, 's'},
	{"max-qos", mqtt.PropMaximumQoS, 'b'},
	{"retain-available", mqtt.PropRetainAvailable, 'b'},
	{"shared-available", mqtt.PropSharedSubscriptionAvailable, 'b'},
	{"max-packet", mqtt.PropMaximumPacketSize, '4'},
	{"assigned", mqtt.PropAssignedClientIdentifier, 's'},
	{"wildcard-available", mqtt.PropWildcardSubscriptionAvailable, 'b'},
	{"sub-id-available", mqtt.PropSubscriptionIdentifierAvailable, 'b'},
}

func parseProperties(text string) (p mqtt.Properties, err error) {
	for _, field := range strings.Fields(text) {
		name, value, _ := strings.Cut(bytesOf(field), "=")
		if key, ok := strings.CutPrefix(name, "user."); ok {
			p = mqtt.AppendUserProperty(p, key, value)
			continue
		}
		known := false
		for _, n := range propertyNames {
			if n.name != name {
				continue
			}
			known = true
			number, _ := strconv.ParseUint(value, 10, 32)
			switch n.kind {
			case 'b':
				p = mqtt.AppendByteProperty(p, n.id, byte(number))
			case '2':
				p = mqtt.AppendUint16Property(p, n.id, uint16(number))
			case '4':
				p = mqtt.AppendUint32Property(p, n.id, uint32(number))
			case 'v':
				p = mqtt.AppendSubscriptionIdentifier(p, uint32(number))
			case 's':
				p = mqtt.AppendStringProperty(p, n.id, strings.ReplaceAll(value, "_", " "))
			}
		}
		if !known {
			return nil, fmt.Errorf("no property is called %q", name)
		}
	}
	return p, nil
}

func formatProperties(p mqtt.Properties) string {
	var out []string
	p.Each(func(f mqtt.Property) bool {
		if f.ID == mqtt.PropUserProperty {
			out = append(out, fmt.Sprintf("user.%s=%s", f.Name, f.Value))
			return true
		}
		for _, n := range propertyNames {
			if n.id != f.ID {
				continue
			}
			switch {
			case f.ID == mqtt.PropAssignedClientIdentifier, f.ID == mqtt.PropReasonString:
				out = append(out, n.name+"=…")
			case n.kind == 's':
				out = append(out, n.name+"="+strings.ReplaceAll(string(f.Value), " ", "_"))
			case f.ID == mqtt.PropMessageExpiryInterval:
				// Time passes while the test runs: rounded up to hundreds.
				out = append(out, fmt.Sprintf("expiry=%d", (f.Number+99)/100*100))
			default:
				out = append(out, fmt.Sprintf("%s=%d", n.name, f.Number))
			}
			return true
		}
		out = append(out, f.ID.String())
		return true
	})
	if len(out) == 0 {
		return ""
	}
	return " {" + strings.Join(out, " ") + "}"
}

// words splits at blanks, keeping "quoted text" together.
func words(s string) (out []string) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '"' {
			end := strings.IndexByte(s[1:], '"') + 2
			out, s = append(out, s[:end]), s[end:]
			continue
		}
		end := strings.IndexByte(s, ' ')
		if end < 0 {
			end = len(s)
		}
		out, s = append(out, s[:end]), s[end:]
	}
	return out
}

// bytesOf replaces \xNN by the byte.
func bytesOf(s string) string {
	for {
		at := strings.Index(s, `\x`)
		if at < 0 || at+4 > len(s) {
			return s
		}
		b, err := strconv.ParseUint(s[at+2:at+4], 16, 8)
		if err != nil {
			panic(err)
		}
		s = s[:at] + string([]byte{byte(b)}) + s[at+4:]
	}
}

func number(s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		panic(err)
	}
	return uint16(n)
}

// encode turns the notation of a client's packet into bytes. v is the version of
// the connection; a CONNECT sets it.
func encode(text string, v *mqtt.Version) (b []byte, err error) {
	var properties mqtt.Properties
	if at := strings.IndexByte(text, '{'); at >= 0 && strings.HasSuffix(text, "}") {
		if properties, err = parseProperties(text[at+1 : len(text)-1]); err != nil {
			return nil, err
		}
		text = text[:at]
	}
	w := words(text)
	for i := range w {
		w[i] = bytesOf(w[i])
	}
	kind, args := w[0], w[1:]
	switch kind {
	case "hex":
		b, err := mqtt.ParseHex(strings.Join(args, " "))
		if len(b) > 8 && mqtt.Type(b[0]>>4) == mqtt.CONNECT && b[8] == byte(mqtt.V5) {
			*v = mqtt.V5
		}
		return b, err
	case "CONNECT":
		p := mqtt.Connect{Version: mqtt.V311, HasUsername: true, Username: []byte("app"), HasPassword: true, Password: []byte("secret"),
			Properties: properties}
		flags, level := int64(-1), uint16(0)
		for _, a := range args {
			name, value, _ := strings.Cut(a, "=")
			switch name {
			case "anonymous":
				p.HasUsername, p.HasPassword = false, false
			case "password":
				p.HasPassword, p.Password = true, []byte(value)
			case "flags":
				if flags, err = strconv.ParseInt(value, 16, 16); err != nil {
					return nil, err
				}
			case "level":
				level = number(value)
			case "client":
				p.ClientID = []byte(value)
			case "user":
				p.Username = []byte(value)
			case "keep":
				p.KeepAlive = number(value)
			case "clean":
				p.CleanStart = true
			case "v5":
				p.Version = mqtt.V5
			case "v31":
				p.Version = mqtt.V31
			case "will", "will-retain":
				part := strings.SplitN(value, ":", 3)
				p.HasWill = true
				p.Will = mqtt.Will{Topic: []byte(part[0]), QoS: byte(number(part[1])), Payload: []byte(part[2]), Retain: name == "will-retain"}
			case "will-expiry":
				p.Will.Properties = mqtt.AppendUint32Property(p.Will.Properties, mqtt.PropMessageExpiryInterval, uint32(number(value)))
			case "will-delay":
				p.Will.Properties = mqtt.AppendUint32Property(p.Will.Properties, mqtt.PropWillDelayInterval, uint32(number(value)))
			case "will-user":
				key, value, _ := strings.Cut(value, ":")
				p.Will.Properties = mqtt.AppendUserProperty(p.Will.Properties, key, value)
			default:
				return nil, fmt.Errorf("CONNECT has no field %q", a)
			}
		}
		*v = p.Version
		b := p.Append(nil)
		at := 1 // the length before the protocol name
		for b[at] >= 0x80 {
			at++
		}
		at += 1 + 2 + len("MQTT")
		if level != 0 {
			b[at] = byte(level)
		}
		if flags >= 0 {
			b[at+1] = byte(flags)
		}
		return b, nil
	case "PUBLISH":
		p := mqtt.Publish{Topic: []byte(args[0]), Properties: properties}
		if args[0] == "-" { // none: an alias stands for it
			p.Topic = nil
		}
		for _, a := range args[1:] {
			switch {
			case a[0] == '"':
				p.Payload = []byte(a[1 : len(a)-1])
			case strings.HasPrefix(a, "big="):
				p.Payload = []byte(strings.Repeat("x", int(number(a[4:]))))
			case strings.HasPrefix(a, "qos"):
				p.QoS = byte(number(a[3:]))
			case strings.HasPrefix(a, "id="):
				p.PacketID = number(a[3:])
			case a == "retain":
				p.Retain = true
			case a == "dup":
				p.Dup = true
			default:
				return nil, fmt.Errorf("PUBLISH has no field %q", a)
			}
		}
		return p.Append(nil, *v), nil
	case "PUBACK", "PUBREC", "PUBREL", "PUBCOMP":
		types := map[string]mqtt.Type{"PUBACK": mqtt.PUBACK, "PUBREC": mqtt.PUBREC, "PUBREL": mqtt.PUBREL, "PUBCOMP": mqtt.PUBCOMP}
		a := mqtt.Ack{PacketID: number(args[0]), Properties: properties}
		if len(args) > 1 {
			code, err := strconv.ParseUint(args[1], 16, 8)
			if err != nil {
				return nil, err
			}
			a.Code = mqtt.ReasonCode(code)
		}
		return a.Append(nil, types[kind], *v), nil
	case "SUBSCRIBE":
		p := mqtt.Subscribe{PacketID: number(args[0]), Properties: properties}
		for _, a := range args[1:] {
			at := strings.LastIndexByte(a, ':')
			f := mqtt.Subscription{Filter: []byte(a[:at])}
			for _, o := range strings.Split(a[at+1:], ",") {
				switch o {
				case "nl":
					f.NoLocal = true
				case "rap":
					f.RetainAsPublished = true
				case "rh1", "rh2":
					f.RetainHandling = o[2] - '0'
				default:
					f.QoS = byte(number(o))
				}
			}
			p.Filters = append(p.Filters, f)
		}
		return p.Append(nil, *v), nil
	case "UNSUBSCRIBE":
		p := mqtt.Unsubscribe{PacketID: number(args[0]), Properties: properties}
		for _, a := range args[1:] {
			p.Filters = append(p.Filters, []byte(a))
		}
		return p.Append(nil, *v), nil
	case "PINGREQ":
		return mqtt.AppendPingreq(nil), nil
	case "DISCONNECT":
		p := mqtt.Disconnect{Properties: properties}
		if len(args) > 0 {
			code, err := strconv.ParseUint(args[0], 16, 8)
			if err != nil {
				return nil, err
			}
			p.Code = mqtt.ReasonCode(code)
		}
		return p.Append(nil, *v), nil
	case "AUTH":
		p := mqtt.Auth{Properties: properties}
		code, err := strconv.ParseUint(args[0], 16, 8)
		if err != nil {
			return nil, err
		}
		p.Code = mqtt.ReasonCode(code)
		return p.Append(nil), nil
	}
	return nil, fmt.Errorf("no packet is called %q", kind)
}

// describe turns a packet of the server into the notation, without properties of
// acknowledgements and DISCONNECT.
func describe(f mqtt.Frame, v mqtt.Version) string { return describeFully(f, v, false) }

// describeFully has them, if told.
func describeFully(f mqtt.Frame, v mqtt.Version, told bool) string {
	properties := func(p mqtt.Properties) string {
		if !told {
			return ""
		}
		return formatProperties(p)
	}
	broken := func(err error) string { return fmt.Sprintf("hex %s (%v)", mqtt.FormatHex(f.Raw), err) }
	codes := func(cs []mqtt.ReasonCode) (s string) {
		for _, c := range cs {
			s += fmt.Sprintf(" %02x", byte(c))
		}
		return s
	}
	switch f.Type {
	case mqtt.CONNACK:
		var p mqtt.Connack
		if err := p.Decode(f, v); err != nil {
			return broken(err)
		}
		flags := 0
		if p.SessionPresent {
			flags = 1
		}
		return fmt.Sprintf("CONNACK %02x %02x%s", flags, byte(p.Code), formatProperties(p.Properties))
	case mqtt.PUBLISH:
		var p mqtt.Publish
		if err := p.Decode(f, v, 0); err != nil {
			return broken(err)
		}
		topic := string(p.Topic)
		if topic == "" {
			topic = "-"
		}
		s := fmt.Sprintf("PUBLISH %s %q", topic, p.Payload)
		if len(p.Payload) > 64 {
			s = fmt.Sprintf("PUBLISH %s %d bytes", topic, len(p.Payload))
		}
		if p.QoS > 0 {
			s += fmt.Sprintf(" qos%d id=%d", p.QoS, p.PacketID)
		}
		if p.Retain {
			s += " retain"
		}
		if p.Dup {
			s += " dup"
		}
		return s + formatProperties(p.Properties)
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		var p mqtt.Ack
		if err := p.Decode(f, v, mqtt.TolerateZeroPacketID); err != nil {
			return broken(err)
		}
		s := fmt.Sprintf("%s %d", f.Type, p.PacketID)
		if p.Code != 0 {
			s += fmt.Sprintf(" %02x", byte(p.Code))
		}
		return s + formatProperties(p.Properties)
	case mqtt.SUBACK:
		var p mqtt.Suback
		if err := p.Decode(f, v, mqtt.TolerateZeroPacketID); err != nil {
			return broken(err)
		}
		return fmt.Sprintf("SUBACK %d%s%s", p.PacketID, codes(p.Codes), properties(p.Properties))
	case mqtt.UNSUBACK:
		var p mqtt.Unsuback
		if err := p.Decode(f, v, mqtt.TolerateZeroPacketID); err != nil {
			return broken(err)
		}
		return fmt.Sprintf("UNSUBACK %d%s%s", p.PacketID, codes(p.Codes), properties(p.Properties))
	case mqtt.PINGRESP:
		return "PINGRESP"
	case mqtt.DISCONNECT:
		var p mqtt.Disconnect
		if err := p.Decode(f, v); err != nil {
			return broken(err)
		}
		return fmt.Sprintf("DISCONNECT %02x%s", byte(p.Code), properties(p.Properties))
	case mqtt.AUTH:
		var p mqtt.Auth
		if err := p.Decode(f); err != nil {
			return broken(err)
		}
		return fmt.Sprintf("AUTH %02x", byte(p.Code)) + properties(p.Properties)
	}
	return "hex " + mqtt.FormatHex(f.Raw)
}
