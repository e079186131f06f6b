// Package demo is the guided tour of linkstead: the product, model and device of
// an 8-bit STC15 microcontroller, and a simulation of it that speaks the very bytes
// its author wrote down.
package demo

import (
	_ "embed"
	"encoding/hex"
	"strings"
)

// The device of the note. Its secret is public.
const (
	ProductKey   = "a1ji0qFv6Jf"
	DeviceName   = "STC15"
	DeviceSecret = "bc0834e2beeb03d37eeb7361cc387918"
	ClientID     = "10001"
	// CommandID is the message id of the command in the note.
	CommandID = "934414241"
)

// Model is the thing model of the device, as the cloud exports one.
//
//go:embed stc15.json
var Model []byte

// Topics of the device.
const (
	TopicPost = "/sys/" + ProductKey + "/" + DeviceName + "/thing/event/property/post"
	TopicSet  = "/sys/" + ProductKey + "/" + DeviceName + "/thing/service/property/set"
	TopicUser = "/" + ProductKey + "/" + DeviceName + "/user/temp"
)

// The frames of the note, byte for byte; the QoS 1 publication has the packet
// identifier that the note forgot.
var (
	Connect = mustHex(`
		10 70 00 04 4D 51 54 54 04 C2 00 64 00 27 31 30 30 30 31 7C 73 65 63 75 72 65 6D 6F 64 65 3D 33 2C 73 69 67
		6E 6D 65 74 68 6F 64 3D 68 6D 61 63 73 68 61 31 7C 00 11 53 54 43 31 35 26 61 31 6A 69 30 71 46 76 36 4A 66
		00 28 34 37 35 36 38 35 36 66 35 62 63 36 35 62 62 62 61 62 63 37 61 38 32 36 64 37 33 64 65 32 38 32 66 66
		38 37 30 39 30 64`)
	Connack = mustHex("20 02 00 00")

	// Subscribe asks for TopicSet with the packet identifier of the note, 10.
	Subscribe = publishLike(0x82, []byte{0x00, 0x0A}, text(TopicSet), []byte{0x00})
	Suback    = mustHex("90 03 00 0A 01")

	Post = mustHex(`
		30 98 01 00 30 2F 73 79 73 2F 61 31 6A 69 30 71 46 76 36 4A 66 2F 53 54 43 31 35 2F 74 68 69 6E 67 2F 65 76
		65 6E 74 2F 70 72 6F 70 65 72 74 79 2F 70 6F 73 74 7B 22 69 64 22 3A 22 31 37 22 2C 22 76 65 72 73 69 6F 6E
		22 3A 22 31 2E 30 22 2C 22 70 61 72 61 6D 73 22 3A 7B 22 54 65 6D 70 22 3A 20 36 2C 22 48 75 6D 22 3A 20 36
		2C 22 47 61 73 22 3A 20 36 7D 2C 22 6D 65 74 68 6F 64 22 3A 22 74 68 69 6E 67 2E 65 76 65 6E 74 2E 70 72 6F
		70 65 72 74 79 2E 73 65 74 22 7D`)

	// User is the QoS 1 publication to TopicUser with packet identifier 1;
	// UserAgain is the same marked as a repetition (first byte 3A).
	User      = publishLike(0x32, text(TopicUser), []byte{0x00, 0x01}, []byte("23.5 degC"))
	UserAgain = publishLike(0x3A, text(TopicUser), []byte{0x00, 0x01}, []byte("23.5 degC"))
	Puback    = mustHex("40 02 00 01")

	// Command is what the device gets when Light is set to 1 with CommandID.
	Command = mustHex(`
		30 92 01 00 31 2F 73 79 73 2F 61 31 6A 69 30 71 46 76 36 4A 66 2F 53 54 43 31 35 2F 74 68 69 6E 67 2F 73 65
		72 76 69 63 65 2F 70 72 6F 70 65 72 74 79 2F 73 65 74 7B 22 6D 65 74 68 6F 64 22 3A 22 74 68 69 6E 67 2E 73
		65 72 76 69 63 65 2E 70 72 6F 70 65 72 74 79 2E 73 65 74 22 2C 22 69 64 22 3A 22 39 33 34 34 31 34 32 34 31
		22 2C 22 70 61 72 61 6D 73 22 3A 7B 22 4C 69 67 68 74 22 3A 31 7D 2C 22 76 65 72 73 69 6F 6E 22 3A 22 31 2E
		30 2E 30 22 7D`)

	Ping     = []byte{0xC0, 0x00}
	Pong     = []byte{0xD0, 0x00}
	Unsub    = publishLike(0xA2, []byte{0x00, 0x0A}, text(TopicSet))
	Unsuback = mustHex("B0 02 00 0A")
	Goodbye  = []byte{0xE0, 0x00}
)

// PostReply is the platform's answer to Post.
const PostReply = `{"code":200,"data":{},"id":"17","message":"success","method":"thing.event.property.post","version":"1.0"}`

func mustHex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// text is a string with its length in front, as in every MQTT packet.
func text(s string) []byte {
	return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...)
}

// publishLike builds a packet the way the 8-bit device does: first byte, remaining
// length, parts.
func publishLike(first byte, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	out := []byte{first}
	for n := len(body); ; {
		b := byte(n & 0x7F)
		if n >>= 7; n > 0 {
			out = append(out, b|0x80)
			continue
		}
		out = append(out, b)
		return append(out, body...)
	}
}

// Publish builds a QoS 0 publication of the device.
func Publish(topic, payload string) []byte { return publishLike(0x30, text(topic), []byte(payload)) }
