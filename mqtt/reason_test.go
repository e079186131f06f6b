package mqtt

import "testing"

// The table of the device protocol (CONNACK codes) and the way back.
func TestReturnCode(t *testing.T) {
	for _, tc := range []struct {
		reason, code ReasonCode
		ok           bool
	}{
		{Success, 0, true},
		{UnsupportedProtocolVersion, 1, true},
		{ClientIdentifierNotValid, 2, true},
		{ProtocolError, 2, true},
		{ServerUnavailable, 3, true},
		{ServerBusy, 3, true},
		{ConnectionRateExceeded, 3, true},
		{BadUserNameOrPassword, 4, true},
		{NotAuthorized, 5, true},
		{Banned, 5, true},
		{MalformedPacket, 0, false},
		{PacketTooLarge, 0, false},
		{ReturnBadUserNameOrPassword, 4, true},
	} {
		if code, ok := tc.reason.ReturnCode(); code != tc.code || ok != tc.ok {
			t.Errorf("%s: %d, %t; expected %d, %t", tc.reason, code, ok, tc.code, tc.ok)
		}
	}
	for code := ReturnAccepted; code <= ReturnNotAuthorized; code++ {
		if back, ok := FromReturnCode(code).ReturnCode(); back != code || !ok {
			t.Errorf("%s comes back as %s", code.ReturnText(), back.ReturnText())
		}
	}
	if got := FromReturnCode(6); got != UnspecifiedError {
		t.Errorf("reserved return code: %s", got)
	}
}

// One Connack serves all versions: the code is written as the version has it.
func TestConnackCodes(t *testing.T) {
	for _, tc := range []struct {
		v    Version
		code ReasonCode
		want string
	}{
		{V31, Success, "\x20\x02\x00\x00"},
		{V311, Success, "\x20\x02\x01\x00"},
		{V311, BadUserNameOrPassword, "\x20\x02\x01\x04"},
		{V311, ReturnNotAuthorized, "\x20\x02\x01\x05"},
		{V311, PacketTooLarge, "\x20\x02\x01\x03"},
		{V5, BadUserNameOrPassword, "\x20\x03\x01\x86\x00"},
		{V5, ReturnBadUserNameOrPassword, "\x20\x03\x01\x86\x00"},
	} {
		c := Connack{SessionPresent: true, Code: tc.code}
		if got := string(c.Append(nil, tc.v)); got != tc.want {
			t.Errorf("%s in %s: % X, expected % X", tc.code, tc.v, got, tc.want)
		}
	}
}

// Failures of 5.0 become 0x80 in a 3.1.1 SUBACK [MQTT-3.9.3-2].
func TestSubackFailures(t *testing.T) {
	s := Suback{PacketID: 10, Codes: []ReasonCode{GrantedQoS1, NotAuthorized, QuotaExceeded}}
	if got := string(s.Append(nil, V311)); got != "\x90\x05\x00\x0A\x01\x80\x80" {
		t.Errorf("% X", got)
	}
}

func TestReasonNames(t *testing.T) {
	named := 0
	for c := range 256 {
		name := reasonNames[c] != ""
		if name != (reasonTypes[c] != 0) {
			t.Errorf("%s: has a name %t, has packets %t", hexByte(byte(c)), name, !name)
		}
		if name {
			named++
		}
	}
	if named != 43 {
		t.Errorf("%d reasons are named, the standard has 43 values", named)
	}
	if got := ReasonCode(0x7E).String(); got != "reason 0x7E" {
		t.Error(got)
	}
}
