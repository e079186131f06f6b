package queue

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func drawMessage(t *rapid.T) *Message {
	bytes := rapid.SliceOfN(rapid.Byte(), 0, 300)
	return &Message{
		Topic:           rapid.String().Draw(t, "topic"),
		Payload:         bytes.Draw(t, "payload"),
		QoS:             rapid.ByteRange(0, 2).Draw(t, "qos"),
		Retain:          rapid.Bool().Draw(t, "retain"),
		Dup:             rapid.Bool().Draw(t, "dup"),
		Properties:      bytes.Draw(t, "properties"),
		PublishedMS:     rapid.Int64().Draw(t, "published"),
		ExpiresMS:       rapid.Int64().Draw(t, "expires"),
		Publisher:       rapid.String().Draw(t, "publisher"),
		SubscriptionIDs: rapid.SliceOfN(rapid.Uint32(), 0, 5).Draw(t, "ids"),
		Share:           rapid.SampledFrom([]string{"", "$share/g/a/+"}).Draw(t, "share"),
	}
}

func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawMessage(t)
		stored, err := want.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := encodedLen(want.bodyLen()); len(stored) != n {
			t.Fatalf("stored in %d bytes, announced %d", len(stored), n)
		}
		var got Message
		if err := got.UnmarshalBinary(stored); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, &got, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
		// Every shortened form is refused, and leaves the message alone.
		cut := rapid.IntRange(0, len(stored)-1).Draw(t, "cut")
		if err := got.UnmarshalBinary(stored[:cut]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d of %d: %v", cut, len(stored), err)
		}
		if got.Topic != want.Topic {
			t.Fatal("a failed decoding changed the message")
		}
	})
}

func TestHostileMessages(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":               {},
		"unknown version":     {0x02, 0x00},
		"length beyond":       {messageVersion, 0x7f, 0x00},
		"endless length":      {messageVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"no body":             {messageVersion, 0x00},
		"no time":             {messageVersion, 0x01, 0x00},
		"topic beyond":        {messageVersion, 0x03, 0x00, 0x00, 0x05},
		"QoS 3":               {messageVersion, 0x03, 0x03, 0x00, 0x00},
		"identifiers beyond":  {messageVersion, 0x08, flagIDs, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"identifier too wide": {messageVersion, 0x09, flagIDs, 0x00, 0x00, 0x01, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		if err := new(Message).UnmarshalBinary(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzMessage(f *testing.F) {
	full := Message{Topic: "t", Payload: []byte("p"), QoS: 2, Properties: []byte{1, 1}, PublishedMS: math.MaxInt64, ExpiresMS: 1, Publisher: "c", SubscriptionIDs: []uint32{1, 1 << 31}}
	stored, _ := full.AppendBinary(nil)
	f.Add(stored)
	f.Add([]byte{messageVersion, 0x03, 0x00, 0x00, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Message
		if m.UnmarshalBinary(b) != nil {
			return
		}
		again, _ := m.AppendBinary(nil)
		var n Message
		if err := n.UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, n, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}
