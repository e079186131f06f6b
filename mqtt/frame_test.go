package mqtt

import (
	"bytes"
	"errors"
	"testing"
)

func TestSplitLimit(t *testing.T) {
	publish := func(size int) []byte { // a whole packet of that many bytes, up to 129
		p := Publish{Topic: []byte("t"), Payload: make([]byte, size-5)}
		return p.Append(nil, V311)
	}
	for _, tc := range []struct {
		name  string
		bytes []byte
		limit int
		n     int
		large bool
	}{
		{"no limit", publish(100), 0, 100, false},
		{"at the limit", publish(100), 100, 100, false},
		{"one over", publish(101), 100, 0, true},
		{"one over, known from the header alone", publish(101)[:2], 100, 0, true},
		{"limit in sight of the first length byte only", []byte{0x30, 0xFF}, 100, 0, false},
		{"the largest packet there is", []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, 1 << 20, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, n, err := Split(tc.bytes, tc.limit)
			var e *MalformedError
			if errors.As(err, &e) != tc.large || tc.large && e.Code != PacketTooLarge || n != tc.n {
				t.Errorf("n = %d, error %v; expected n = %d, too large %t", n, err, tc.n, tc.large)
			}
		})
	}
}

// A burst is cut packet by packet, and the views of one packet end where the
// next begins.
func TestSplitBurst(t *testing.T) {
	burst := AppendPingresp(AppendAck(AppendPingreq(nil), PUBACK, V311, 7, Success))
	var got []Type
	for b := burst; len(b) > 0; {
		f, n, err := Split(b, 0)
		if err != nil || n == 0 {
			t.Fatalf("after %v: %d, %v", got, n, err)
		}
		_ = append(f.Raw, 0xEE) // must not reach into the next packet
		got, b = append(got, f.Type), b[n:]
	}
	if len(got) != 3 || got[0] != PINGREQ || got[1] != PUBACK || got[2] != PINGRESP {
		t.Errorf("got %v", got)
	}
}

// [MQTT-1.5.5-1] and table 1-1 of 5.0: the ranges of one to four bytes.
func TestVarint(t *testing.T) {
	for _, tc := range []struct {
		v     uint32
		bytes []byte
	}{
		{0, []byte{0}},
		{127, []byte{0x7F}},
		{128, []byte{0x80, 0x01}},
		{16_383, []byte{0xFF, 0x7F}},
		{16_384, []byte{0x80, 0x80, 0x01}},
		{2_097_151, []byte{0xFF, 0xFF, 0x7F}},
		{2_097_152, []byte{0x80, 0x80, 0x80, 0x01}},
		{MaxRemainingLength, []byte{0xFF, 0xFF, 0xFF, 0x7F}},
	} {
		if got := appendVarint(nil, tc.v); !bytes.Equal(got, tc.bytes) {
			t.Errorf("%d is written % X, expected % X", tc.v, got, tc.bytes)
		}
		if got := varintSize(int(tc.v)); got != len(tc.bytes) {
			t.Errorf("%d takes %d bytes, expected %d", tc.v, got, len(tc.bytes))
		}
		if v, n := readVarint(tc.bytes); v != tc.v || n != len(tc.bytes) {
			t.Errorf("% X reads %d in %d bytes", tc.bytes, v, n)
		}
		if _, n := readVarint(tc.bytes[:len(tc.bytes)-1]); n != 0 {
			t.Errorf("% X is not taken as incomplete: %d", tc.bytes[:len(tc.bytes)-1], n)
		}
	}
	for _, bad := range [][]byte{{0x80, 0}, {0xFF, 0x80, 0}, {0xFF, 0xFF, 0xFF, 0xFF}, {0xFF, 0xFF, 0xFF, 0x80, 1}} {
		if v, n := readVarint(bad); n != -1 {
			t.Errorf("% X reads %d in %d bytes, expected an error", bad, v, n)
		}
	}
}

// What does not fit the wire is cut or not written; the stream stays in step.
func TestAppendKeepsFraming(t *testing.T) {
	long := bytes.Repeat([]byte("t"), MaxStringLength+10)
	whole := func(b []byte) {
		t.Helper()
		if _, n, err := Split(b, 0); err != nil || n != len(b) {
			t.Errorf("frame of %d bytes: %d, %v", len(b), n, err)
		}
	}
	publish := Publish{Topic: long, Payload: []byte("x")}
	whole(publish.Append(nil, V311))
	if got, want := publish.Size(V311), len(publish.Append(nil, V311)); got != want {
		t.Errorf("size %d, written %d", got, want)
	}
	whole((&Connect{Version: V5, ClientID: long, HasUsername: true, Username: long}).Append(nil))
	whole((&Subscribe{PacketID: 1, Filters: []Subscription{{Filter: long}}}).Append(nil, V5))
	whole((&Unsubscribe{PacketID: 1, Filters: [][]byte{long}}).Append(nil, V311))

	// Only the length of this payload is looked at.
	publish = Publish{Topic: []byte("t"), Payload: make([]byte, MaxRemainingLength)}
	if got := publish.Append([]byte("before"), V311); string(got) != "before" {
		t.Errorf("a packet beyond the largest length gives %d bytes", len(got))
	}
	if got := publish.AppendHead(nil, V311); len(got) != 0 {
		t.Errorf("a header beyond the largest length gives %d bytes", len(got))
	}
}

// Each Decode refuses a frame of another type.
func TestWrongType(t *testing.T) {
	for have := CONNECT; have <= AUTH; have++ {
		p := newPacket(have)
		other := have%15 + 1
		if isAck(have) && isAck(other) || have == PINGREQ && other == PINGRESP {
			continue
		}
		err := p.decode(Frame{Type: other, Raw: []byte{byte(other) << 4, 0}, Body: []byte{}}, V5, 0)
		var e *MalformedError
		if !errors.As(err, &e) || e.Code != ProtocolError || e.Offset != 0 || e.Field != "packet type" {
			t.Errorf("%s decoded as %s: %v", other, have, err)
		}
	}
}
