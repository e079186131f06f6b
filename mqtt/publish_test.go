package mqtt

import (
	"bytes"
	"testing"
)

func TestPublishSizeAndHead(t *testing.T) {
	for _, v := range []Version{V31, V311, V5} {
		for qos := range byte(3) {
			for _, payload := range []int{0, 1, 110, 130, 20_000} {
				p := Publish{QoS: qos, PacketID: 0x1234, Topic: []byte("a/b"), Payload: make([]byte, payload),
					Properties: AppendUint32Property(nil, PropMessageExpiryInterval, 9)}
				whole := p.Append([]byte("x"), v)[1:]
				if p.Size(v) != len(whole) {
					t.Errorf("%s QoS %d: size %d, written %d", v, qos, p.Size(v), len(whole))
				}
				if head := p.AppendHead(nil, v); !bytes.Equal(head, whole[:len(whole)-payload]) {
					t.Errorf("%s QoS %d: head % X", v, qos, head)
				}
				at := p.IDOffset(v)
				if qos == 0 {
					if at != -1 {
						t.Errorf("QoS 0 has an identifier at %d", at)
					}
				} else if whole[at] != 0x12 || whole[at+1] != 0x34 {
					t.Errorf("%s QoS %d: % X at the offset of the identifier", v, qos, whole[at:at+2])
				}
			}
		}
	}
}

// The payload and the topic of a decoded packet are views whose capacity ends
// with them, and a reused Publish keeps nothing of the packet before.
func TestPublishReuse(t *testing.T) {
	first := Publish{QoS: 1, Dup: true, Retain: true, PacketID: 9, Topic: []byte("a"), Payload: []byte("x"),
		Properties: AppendByteProperty(nil, PropPayloadFormatIndicator, 1)}
	f, _, err := Split(first.Append(nil, V5), 0)
	if err != nil {
		t.Fatal(err)
	}
	var p Publish
	if err := p.Decode(f, V5, 0); err != nil {
		t.Fatal(err)
	}
	if cap(p.Topic) != 1 || cap(p.Payload) != 1 || len(p.Properties) != 2 {
		t.Errorf("topic cap %d, payload cap %d, properties % X", cap(p.Topic), cap(p.Payload), []byte(p.Properties))
	}
	f, _, err = Split((&Publish{Topic: []byte("b")}).Append(nil, V311), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Decode(f, V311, 0); err != nil {
		t.Fatal(err)
	}
	if p.Dup || p.Retain || p.QoS != 0 || p.PacketID != 0 || p.Properties != nil || string(p.Topic) != "b" || len(p.Payload) != 0 {
		t.Errorf("left over: %+v", p)
	}
}
