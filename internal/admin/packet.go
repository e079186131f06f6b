package admin

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

// Packet is one line of the live view: an MQTT packet, or only the time as a sign
// of life.
type Packet struct {
	Time int64 `json:"time"` // Unix milliseconds
	// Session is d:{productKey}/{deviceName} or a:{clientId}; Device is only the
	// former's name.
	Session string `json:"session,omitempty"`
	Device  string `json:"device,omitempty"`
	// SubDevice is the sub-device whose packet it is on its gateway's connection; for
	// who watches the sub-device, that is Device, and Gateway is its gateway.
	SubDevice string `json:"subDevice,omitempty"`
	Gateway   string `json:"gateway,omitempty"`
	Direction string `json:"direction,omitempty"` // "up": to the server, "down": from it
	Packet    string `json:"packet,omitempty"`    // PUBLISH, PUBACK …; empty: only a sign of life
	PacketID  uint16 `json:"packetId,omitempty"`
	Topic     string `json:"topic,omitempty"`
	QoS       byte   `json:"qos,omitempty"`
	Dup       bool   `json:"dup,omitempty"`
	Retain    bool   `json:"retain,omitempty"`
	// Text is the payload if it is text, otherwise Base64 is.
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty"`
	// Properties are those of a PUBLISH of MQTT 5.0 that go on to its receivers.
	Properties *platform.MessageProperties `json:"properties,omitempty"`
	// Info says in a few words what a packet without a topic says.
	Info  string `json:"info,omitempty"`
	Bytes int    `json:"bytes,omitempty"`
	// Hex and Explain are there if they were asked for.
	Hex     string   `json:"hex,omitempty"`
	Explain []string `json:"explain,omitempty"`
	// Missed is how many packets were left out before this one.
	Missed int `json:"missed,omitempty"`
}

// newPacket decodes a packet of a tap.
func newPacket(t broker.Traffic, hex, explain bool) Packet {
	p := Packet{Time: t.AtMS, Session: t.Key, Direction: "up", Bytes: len(t.Frame), Missed: t.Missed}
	if device, ok := strings.CutPrefix(t.Key, "d:"); ok {
		p.Device = device
	}
	p.SubDevice, p.Gateway = strings.TrimPrefix(t.Sub, "d:"), strings.TrimPrefix(t.Via, "d:")
	direction := mqtt.FromClient
	if t.FromServer {
		p.Direction, direction = "down", mqtt.FromServer
	}
	if hex {
		p.Hex = mqtt.FormatHex(t.Frame)
	}
	if explain {
		e := mqtt.Explain(t.Frame, mqtt.ExplainOptions{Version: t.Version, Direction: direction})
		p.Explain = strings.Split(strings.TrimRight(e.String(), "\n"), "\n")
	}
	f, _, err := mqtt.SplitTolerant(t.Frame, 0, mqtt.TolerateDevices)
	if err != nil {
		p.Packet, p.Info = "?", err.Error()
		return p
	}
	p.Packet = f.Type.String()
	if err := p.decode(f, t.Version); err != nil {
		p.Info = err.Error()
	}
	return p
}

// decode fills in what the packet says.
func (p *Packet) decode(f mqtt.Frame, v mqtt.Version) error {
	switch f.Type {
	case mqtt.PUBLISH:
		var m mqtt.Publish
		if err := m.Decode(f, v, mqtt.TolerateDevices); err != nil {
			return err
		}
		p.Topic, p.QoS, p.Dup, p.Retain, p.PacketID = string(m.Topic), m.QoS, m.Dup, m.Retain, m.PacketID
		p.Properties = platform.PropertiesOf(m.Properties)
		if utf8.Valid(m.Payload) {
			p.Text = string(m.Payload)
		} else {
			p.Base64 = append([]byte(nil), m.Payload...)
		}
	case mqtt.CONNECT:
		var m mqtt.Connect
		if err := m.Decode(f, mqtt.TolerateDevices); err != nil {
			return err
		}
		p.Info = fmt.Sprintf("MQTT %s, client %s, user %s, keep-alive %d s, clean %t", m.Version, m.ClientID, m.Username, m.KeepAlive, m.CleanStart)
	case mqtt.CONNACK:
		var m mqtt.Connack
		if err := m.Decode(f, v); err != nil {
			return err
		}
		p.Info = fmt.Sprintf("%s, session present %t", mqtt.FromReturnCode(m.Code), m.SessionPresent)
		if v == mqtt.V5 {
			p.Info = fmt.Sprintf("%s, session present %t", m.Code, m.SessionPresent)
		}
	case mqtt.SUBSCRIBE:
		var m mqtt.Subscribe
		if err := m.Decode(f, v, mqtt.TolerateDevices); err != nil {
			return err
		}
		p.PacketID = m.PacketID
		parts := make([]string, len(m.Filters))
		for i, s := range m.Filters {
			parts[i] = fmt.Sprintf("%s (QoS %d)", s.Filter, s.QoS)
		}
		p.Info = strings.Join(parts, ", ")
	case mqtt.SUBACK:
		var m mqtt.Suback
		if err := m.Decode(f, v, mqtt.TolerateDevices); err != nil {
			return err
		}
		p.PacketID = m.PacketID
		p.Info = "granted " + codes(m.Codes)
	case mqtt.UNSUBSCRIBE:
		var m mqtt.Unsubscribe
		if err := m.Decode(f, v, mqtt.TolerateDevices); err != nil {
			return err
		}
		p.PacketID = m.PacketID
		parts := make([]string, len(m.Filters))
		for i, s := range m.Filters {
			parts[i] = string(s)
		}
		p.Info = strings.Join(parts, ", ")
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		var m mqtt.Ack
		if err := m.Decode(f, v, mqtt.TolerateDevices); err != nil {
			return err
		}
		p.PacketID = m.PacketID
		if m.Code != mqtt.Success {
			p.Info = m.Code.String()
		}
	case mqtt.UNSUBACK:
		var m mqtt.Unsuback
		if err := m.Decode(f, v, mqtt.TolerateDevices); err != nil {
			return err
		}
		p.PacketID = m.PacketID
	case mqtt.DISCONNECT:
		var m mqtt.Disconnect
		if err := m.Decode(f, v); err != nil {
			return err
		}
		if v == mqtt.V5 {
			p.Info = m.Code.String()
		}
	}
	return nil
}

func codes(list []mqtt.ReasonCode) string {
	parts := make([]string, len(list))
	for i, c := range list {
		parts[i] = fmt.Sprintf("%02X", byte(c))
	}
	return strings.Join(parts, " ")
}
