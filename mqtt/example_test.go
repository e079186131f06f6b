package mqtt_test

import (
	"errors"
	"fmt"

	"github.com/linkstead/linkstead/mqtt"
)

// A stream is cut into packets as far as it has arrived.
func ExampleSplit() {
	stream := []byte("\x30\x06\x00\x03a/bx\xC0\x00\x40\x02\x00")
	for {
		f, n, err := mqtt.Split(stream, 1024)
		if err != nil || n == 0 {
			fmt.Println(len(stream), "bytes wait for more:", err)
			return
		}
		fmt.Println(f.Type, n)
		stream = stream[n:]
	}
	// Output:
	// PUBLISH 8
	// PINGREQ 2
	// 3 bytes wait for more: <nil>
}

// An error says which byte is wrong, by which clause, and what to answer.
func ExampleMalformedError() {
	f, _, _ := mqtt.Split([]byte("\x30\x05\x00\x03a/#"), 0)
	var p mqtt.Publish
	err := p.Decode(f, mqtt.V311, 0)

	var bad *mqtt.MalformedError
	if errors.As(err, &bad) {
		fmt.Println(bad.Offset, bad.Field, bad.Clause, bad.Code)
	}
	fmt.Println(err)
	// Output:
	// 6 topic name MQTT-3.3.2-2 topic name invalid
	// mqtt: PUBLISH: topic name at byte 6: the topic name contains the wildcard #, which belongs in subscriptions only [MQTT-3.3.2-2]
}

// A message for many receivers is written once; only the packet identifier
// differs.
func ExamplePublish_IDOffset() {
	p := mqtt.Publish{QoS: 1, Topic: []byte("a/b"), Payload: []byte("on")}
	shared, at := p.Append(nil, mqtt.V311), p.IDOffset(mqtt.V311)
	for id := uint16(1); id <= 2; id++ {
		out := append([]byte(nil), shared...)
		out[at], out[at+1] = byte(id>>8), byte(id)
		fmt.Printf("% X\n", out)
	}
	// Output:
	// 32 09 00 03 61 2F 62 00 01 6F 6E
	// 32 09 00 03 61 2F 62 00 02 6F 6E
}

// Properties are composed by appending and looked up without allocating.
func ExampleProperties() {
	p := mqtt.AppendUint32Property(nil, mqtt.PropMessageExpiryInterval, 60)
	p = mqtt.AppendUserProperty(p, "unit", "°C")

	seconds, ok := p.Uint32(mqtt.PropMessageExpiryInterval)
	fmt.Println(seconds, ok)
	for name, value := range p.UserProperties() {
		fmt.Printf("%s=%s\n", name, value)
	}
	fmt.Println(p.Validate(mqtt.PUBLISH))
	fmt.Println(p.Validate(mqtt.CONNACK))
	// Output:
	// 60 true
	// unit=°C
	// <nil>
	// mqtt: CONNACK: message expiry interval at byte 0: property 0x02 does not belong in a CONNACK [section 2.2.2.2]
}

func ExampleConnect() {
	p := mqtt.Connect{
		Version: mqtt.V311, CleanStart: true, KeepAlive: 100,
		ClientID:    []byte("10001|securemode=3,signmethod=hmacsha1|"),
		HasUsername: true, Username: []byte("STC15&a1ji0qFv6Jf"),
	}
	b := p.Append(nil)
	fmt.Printf("% X … %d bytes\n", b[:12], len(b))
	// Output: 10 46 00 04 4D 51 54 54 04 82 00 64 … 72 bytes
}
