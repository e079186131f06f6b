package mqtt

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPropertyLookup(t *testing.T) {
	p := AppendByteProperty(nil, PropPayloadFormatIndicator, 1)
	p = AppendUint32Property(p, PropMessageExpiryInterval, 0xFFFFFFFF)
	p = AppendUserProperty(p, "k", []byte("1"))
	p = AppendStringProperty(p, PropContentType, "text/plain")
	p = AppendBinaryProperty(p, PropCorrelationData, []byte{0, 1})
	p = AppendSubscriptionIdentifier(p, 1)
	p = AppendSubscriptionIdentifier(p, MaxRemainingLength)
	p = AppendUint16Property(p, PropTopicAlias, 7)
	p = AppendUserProperty(p, "k", "2")
	if err := p.Validate(PUBLISH); err != nil {
		t.Fatal(err)
	}
	if v, ok := p.Byte(PropPayloadFormatIndicator); v != 1 || !ok {
		t.Error("byte", v, ok)
	}
	if v, ok := p.Uint32(PropMessageExpiryInterval); v != 0xFFFFFFFF || !ok {
		t.Error("four bytes", v, ok)
	}
	if v, ok := p.Uint16(PropTopicAlias); v != 7 || !ok {
		t.Error("two bytes", v, ok)
	}
	if v, ok := p.String(PropContentType); string(v) != "text/plain" || !ok {
		t.Error("string", v, ok)
	}
	if v, ok := p.Binary(PropCorrelationData); string(v) != "\x00\x01" || !ok {
		t.Error("binary", v, ok)
	}
	if v, ok := p.Uint32(PropSubscriptionIdentifier); v != 1 || !ok {
		t.Error("first subscription identifier", v, ok)
	}
	var ids []uint32
	for id := range p.SubscriptionIdentifiers() {
		ids = append(ids, id)
	}
	var pairs []string
	for name, value := range p.UserProperties() {
		pairs = append(pairs, string(name)+"="+string(value))
	}
	if diff := cmp.Diff([]uint32{1, MaxRemainingLength}, ids); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"k=1", "k=2"}, pairs); diff != "" { // [MQTT-3.3.2-18]
		t.Error(diff)
	}
	for range p.UserProperties() { // leaving early must not run on
		break
	}

	// Absent, and asked for as the wrong kind.
	if _, ok := p.String(PropResponseTopic); ok {
		t.Error("a response topic that is not there")
	}
	if _, ok := p.Uint16(PropMessageExpiryInterval); ok {
		t.Error("four bytes read as two")
	}
	if _, ok := p.String(PropUserProperty); ok {
		t.Error("a pair read as a string")
	}
}

// Table 2-4: each property is accepted in the packets it belongs to and
// refused as malformed in all others.
func TestPropertyScope(t *testing.T) {
	known := 0
	for id := PropertyID(0); id < 255; id++ {
		rule := &propertyRules[id]
		if rule.kind == kindNone {
			continue
		}
		known++
		if id > maxPropertyID || rule.name == "" || rule.section == "" {
			t.Errorf("rule of %s is incomplete", id)
		}
		value := Property{ID: id, Number: 1, Name: []byte("n"), Value: []byte("v")}
		for kind := CONNECT; kind <= AUTH; kind++ {
			p := appendProperty(nil, value)
			if id != PropAuthenticationMethod { // without which some packets are wrong
				p = appendMethod(p, kind)
			}
			err := p.Validate(kind)
			var e *MalformedError
			if id.AllowedIn(kind) != (err == nil) || err != nil && (!errors.As(err, &e) || e.Code != MalformedPacket) {
				t.Errorf("%s in %s: %v", id, kind, err)
			}
		}
		if err := appendProperty(nil, value).ValidateWill(); id.AllowedInWill() != (err == nil) {
			t.Errorf("%s in a will: %v", id, err)
		}
	}
	if known != 27 {
		t.Errorf("%d properties are known, the standard has 27", known)
	}
}

func appendMethod(p Properties, t Type) Properties {
	if PropAuthenticationMethod.AllowedIn(t) {
		return AppendStringProperty(p, PropAuthenticationMethod, "m")
	}
	return p
}

// A property that may not repeat is a protocol error the second time,
// whatever its kind.
func TestPropertyTwice(t *testing.T) {
	for id := PropPayloadFormatIndicator; id <= maxPropertyID; id++ {
		for kind := CONNECT; kind <= AUTH; kind++ {
			if !id.AllowedIn(kind) {
				continue
			}
			q := Property{ID: id, Number: 1, Value: []byte("v")}
			p := appendProperty(appendProperty(nil, q), q)
			if id != PropAuthenticationMethod {
				p = appendMethod(p, kind)
			}
			err := p.Validate(kind)
			may := id == PropUserProperty || id == PropSubscriptionIdentifier && kind == PUBLISH
			var e *MalformedError
			if may != (err == nil) || err != nil && (!errors.As(err, &e) || e.Code != ProtocolError) {
				t.Errorf("%s twice in %s: %v", id, kind, err)
			}
		}
	}
}
