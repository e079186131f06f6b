package platform

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/mqtt"
)

// MessageProperties is what MQTT 5.0 lets a message say beside its payload. Who
// speaks an older version does not see it.
type MessageProperties struct {
	User          []UserProperty `json:"user,omitempty"`
	ContentType   string         `json:"contentType,omitempty"`
	ResponseTopic string         `json:"responseTopic,omitempty"`
	Correlation   []byte         `json:"correlation,omitempty"` // base64 in JSON
	// Text says that the payload is UTF-8 (Payload Format Indicator 1).
	Text bool `json:"text,omitempty"`
}

// UserProperty is a name with a value. A name may occur several times, and the
// order is part of the message [MQTT-3.3.2-18].
type UserProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// What the C Link SDK 4 has room for (spec/services.md §16); the rest it would not
// show its program.
const (
	maxUserProperties = 20
	maxUserProperty   = 128 // bytes, of a name and of a value
)

// PropertiesOf gives the properties of a message, nil if there are none. It
// copies what it keeps.
func PropertiesOf(p mqtt.Properties) *MessageProperties {
	if len(p) == 0 {
		return nil
	}
	m := new(MessageProperties)
	p.Each(func(q mqtt.Property) bool {
		switch q.ID {
		case mqtt.PropUserProperty:
			m.User = append(m.User, UserProperty{string(q.Name), string(q.Value)})
		case mqtt.PropContentType:
			m.ContentType = string(q.Value)
		case mqtt.PropResponseTopic:
			m.ResponseTopic = string(q.Value)
		case mqtt.PropCorrelationData:
			m.Correlation = append([]byte{}, q.Value...)
		case mqtt.PropPayloadFormatIndicator:
			m.Text = q.Number == 1
		}
		return true
	})
	return m
}

// Lines gives the properties for people, each as "name: value"; data that is no text
// in quotes.
func (m *MessageProperties) Lines() []string {
	var lines []string
	for _, p := range []struct{ name, value string }{
		{"content type", m.ContentType}, {"response topic", m.ResponseTopic}, {"correlation", string(m.Correlation)},
	} {
		if p.value == "" {
			continue
		}
		if !utf8.ValidString(p.value) {
			p.value = strconv.Quote(p.value)
		}
		lines = append(lines, p.name+": "+p.value)
	}
	for _, u := range m.User {
		lines = append(lines, u.Name+"="+u.Value)
	}
	return lines
}

// encode gives the properties as they stand on the wire; nil for none. An error is
// an [*Error] that says what a device could not take or the standard forbids.
func (m *MessageProperties) encode() (mqtt.Properties, error) {
	if m == nil {
		return nil, nil
	}
	wrong := func(format string, args ...any) (mqtt.Properties, error) {
		return nil, &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: fmt.Sprintf(format, args...)}
	}
	if len(m.User) > maxUserProperties {
		return wrong("the message has %d user properties; devices have room for %d", len(m.User), maxUserProperties)
	}
	for what, n := range map[string]int{"content type": len(m.ContentType), "response topic": len(m.ResponseTopic), "correlation data": len(m.Correlation)} {
		if n > 1024 {
			return wrong("the %s has %d bytes, allowed are 1024", what, n)
		}
	}
	var p mqtt.Properties
	if m.Text {
		p = mqtt.AppendByteProperty(p, mqtt.PropPayloadFormatIndicator, 1)
	}
	if m.ContentType != "" {
		p = mqtt.AppendStringProperty(p, mqtt.PropContentType, m.ContentType)
	}
	if m.ResponseTopic != "" {
		p = mqtt.AppendStringProperty(p, mqtt.PropResponseTopic, m.ResponseTopic)
	}
	if m.Correlation != nil {
		p = mqtt.AppendBinaryProperty(p, mqtt.PropCorrelationData, m.Correlation)
	}
	for _, u := range m.User {
		if u.Name == "" || len(u.Name) > maxUserProperty || len(u.Value) > maxUserProperty {
			return wrong("the user property %q has a name of %d and a value of %d bytes; a name has 1 to %d, a value at most %d",
				clip(u.Name), len(u.Name), len(u.Value), maxUserProperty, maxUserProperty)
		}
		p = mqtt.AppendUserProperty(p, u.Name, u.Value)
	}
	if err := p.Validate(mqtt.PUBLISH); err != nil {
		return wrong("the message's properties are not allowed: %v", err)
	}
	return p, nil
}
