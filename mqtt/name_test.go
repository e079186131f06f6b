package mqtt

import "testing"

func TestNames(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{V31.String(), "3.1"}, {V311.String(), "3.1.1"}, {V5.String(), "5.0"}, {Version(132).String(), "level 132"}, {Version(0).String(), "level 0"},
		{Type(0).String(), "RESERVED"}, {PUBREL.String(), "PUBREL"}, {AUTH.String(), "AUTH"}, {Type(16).String(), "type 16"},
		{PropTopicAlias.String(), "topic alias"}, {PropertyID(5).String(), "property 0x05"},
		{TopicFilterInvalid.String(), "topic filter invalid"},
		{ReturnNotAuthorized.ReturnText(), "not authorized"}, {ReasonCode(6).ReturnText(), "return code 0x06"},
		{decimal(-40), "-40"},
	} {
		if tc.got != tc.want {
			t.Errorf("%q, expected %q", tc.got, tc.want)
		}
	}
}

func TestHasWildcard(t *testing.T) {
	for filter, want := range map[string]bool{"a/b": false, "": false, "a/+": true, "#": true, "$share/g/a": false} {
		if got := HasWildcard([]byte(filter)); got != want {
			t.Errorf("%q: %t", filter, got)
		}
	}
}

// A block of properties beyond the largest length leaves the output as it
// was, for every packet that carries one.
func TestAppendTooLarge(t *testing.T) {
	huge := make(Properties, MaxRemainingLength+1) // only its length is looked at
	for _, tc := range []struct {
		t Type
		b []byte
	}{
		{CONNECT, (&Connect{Version: V5, Properties: huge}).Append(nil)},
		{CONNACK, (&Connack{Properties: huge}).Append(nil, V5)},
		{PUBLISH, (&Publish{Properties: huge}).Append(nil, V5)},
		{PUBACK, (&Ack{Properties: huge}).Append(nil, PUBACK, V5)},
		{SUBSCRIBE, (&Subscribe{Properties: huge}).Append(nil, V5)},
		{SUBACK, (&Suback{Properties: huge}).Append(nil, V5)},
		{UNSUBSCRIBE, (&Unsubscribe{Properties: huge}).Append(nil, V5)},
		{UNSUBACK, (&Unsuback{Properties: huge}).Append(nil, V5)},
		{DISCONNECT, (&Disconnect{Properties: huge}).Append(nil, V5)},
		{AUTH, (&Auth{Properties: huge}).Append(nil)},
	} {
		if len(tc.b) != 0 {
			t.Errorf("%s: %d bytes written", tc.t, len(tc.b))
		}
	}
}

// Without a protocol name, Append writes the one of the version.
func TestConnectProtocolName(t *testing.T) {
	for v, want := range map[Version]string{V31: "MQIsdp", V311: "MQTT", V5: "MQTT"} {
		f, _, err := Split((&Connect{Version: v, CleanStart: true, ClientID: []byte("c")}).Append(nil), 0)
		if err != nil {
			t.Fatal(err)
		}
		var p Connect
		if err := p.Decode(f, 0); err != nil || string(p.ProtocolName) != want || p.Version != v {
			t.Errorf("%s: %q, %s, %v", v, p.ProtocolName, p.Version, err)
		}
	}
}

// After an error the version is known, so that a server can refuse in it.
func TestConnectErrorKeepsVersion(t *testing.T) {
	f, _, err := Split([]byte("\x10\x0E\x00\x04MQTT\x05\x03\x00\x3C\x00\x00\x01a"), 0)
	if err != nil {
		t.Fatal(err)
	}
	var p Connect
	if err := p.Decode(f, 0); err == nil || p.Version != V5 {
		t.Errorf("version %s, error %v", p.Version, err)
	}
}
