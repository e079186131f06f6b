package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

// The packets of the seed note, as its 8-bit microcontroller sends them.
const (
	seedConnect = `10 70 00 04 4D 51 54 54 04 C2 00 64 00 27 31 30 30 30 31 7C 73 65 63 75 72 65 6D 6F 64 65 3D 33 2C
		73 69 67 6E 6D 65 74 68 6F 64 3D 68 6D 61 63 73 68 61 31 7C 00 11 53 54 43 31 35 26 61 31 6A 69 30 71 46 76 36
		4A 66 00 28 34 37 35 36 38 35 36 66 35 62 63 36 35 62 62 62 61 62 63 37 61 38 32 36 64 37 33 64 65 32 38 32 66
		66 38 37 30 39 30 64`
	seedPost = `30 98 01 00 30 2F 73 79 73 2F 61 31 6A 69 30 71 46 76 36 4A 66 2F 53 54 43 31 35 2F 74 68 69 6E 67 2F 65
		76 65 6E 74 2F 70 72 6F 70 65 72 74 79 2F 70 6F 73 74 7B 22 69 64 22 3A 22 31 37 22 2C 22 76 65 72 73 69 6F 6E
		22 3A 22 31 2E 30 22 2C 22 70 61 72 61 6D 73 22 3A 7B 22 54 65 6D 70 22 3A 20 36 2C 22 48 75 6D 22 3A 20 36 2C
		22 47 61 73 22 3A 20 36 7D 2C 22 6D 65 74 68 6F 64 22 3A 22 74 68 69 6E 67 2E 65 76 65 6E 74 2E 70 72 6F 70 65
		72 74 79 2E 73 65 74 22 7D`
	seedSet = `30 92 01 00 31 2F 73 79 73 2F 61 31 6A 69 30 71 46 76 36 4A 66 2F 53 54 43 31 35 2F 74 68 69 6E 67 2F 73
		65 72 76 69 63 65 2F 70 72 6F 70 65 72 74 79 2F 73 65 74 7B 22 6D 65 74 68 6F 64 22 3A 22 74 68 69 6E 67 2E 73
		65 72 76 69 63 65 2E 70 72 6F 70 65 72 74 79 2E 73 65 74 22 2C 22 69 64 22 3A 22 39 33 34 34 31 34 32 34 31 22
		2C 22 70 61 72 61 6D 73 22 3A 7B 22 4C 69 67 68 74 22 3A 31 7D 2C 22 76 65 72 73 69 6F 6E 22 3A 22 31 2E 30 2E
		30 22 7D`
	seedCustomTopic = "/a1ji0qFv6Jf/STC15/user/temp"
	seedSetTopic    = "/sys/a1ji0qFv6Jf/STC15/thing/service/property/set"
	seedPostTopic   = "/sys/a1ji0qFv6Jf/STC15/thing/event/property/post"
)

// TestSeedSession is the whole session of the seed note, byte for byte (spec/sdk-behaviour.md §14, scenario 1).
func TestSeedSession(t *testing.T) {
	h := mustStart(t)
	h.addSeed()
	w := h.dial()
	w.ask(hex(t, seedConnect), hex(t, "20 02 00 00"))

	// SUBSCRIBE and UNSUBSCRIBE always carry the packet identifier 00 0A; QoS 0 is asked for, 1 granted.
	subscribe := append(hex(t, "82 36 00 0A 00 31"), seedSetTopic+"\x00"...)
	w.ask(subscribe, hex(t, "90 03 00 0A 01"))

	// The property post with the wrong method and blanks after the colons.
	w.send(hex(t, seedPost))
	w.wantPublication(seedPostTopic+"_reply", replyTo(200, "{}", "17", "success", "thing.event.property.post"))
	h.wantLatest(stc15, map[string]string{"Temp": "6", "Hum": "6", "Gas": "6"})

	// A custom topic with QoS 1, then the same packet as 3A because its answer was "lost".
	custom := append(hex(t, "32 29 00 1C"), seedCustomTopic+"\x00\x15"+"Temp=21.5"...)
	w.ask(custom, hex(t, "40 02 00 15"))
	custom[0] = 0x3A
	w.ask(custom, hex(t, "40 02 00 15"))

	// The server's side sets Light=1: exactly the frame of the note.
	set := h.start("set Light", func(ctx context.Context) (*platform.CallResult, error) {
		return h.Platform.SetProperties(ctx, who, stc15.ProductKey, stc15.DeviceName, json.RawMessage(`{"Light":1}`),
			platform.CallOptions{Wait: true, ForceID: "934414241"})
	})
	w.want(hex(t, seedSet))
	w.send(publish(seedSetTopic+"_reply", `{"id":"934414241","code":200,"data":{}}`, 0))
	if r := set.result(); !r.Replied || r.Code != 200 || r.ID != "934414241" || r.Topic != seedSetTopic {
		t.Errorf("the set's result is %+v", r)
	}

	w.ask(hex(t, "C0 00"), hex(t, "D0 00"))
	unsubscribe := append(hex(t, "A2 35 00 0A 00 31"), seedSetTopic...)
	w.ask(unsubscribe, hex(t, "B0 02 00 0A"))
	w.send(hex(t, "E0 00"))
	w.wantClosed()
	eventually(t, "STC15 is offline", func() bool {
		d, err := h.Platform.Device(t.Context(), stc15.ProductKey, stc15.DeviceName)
		if err != nil {
			t.Fatal(err)
		}
		return !d.Online
	})
}

// TestSeedInPieces feeds the seed's packets to the server one byte at a time, and then all at once.
func TestSeedInPieces(t *testing.T) {
	h := mustStart(t)
	h.addSeed()
	all := append(hex(t, seedConnect), hex(t, seedPost)...)
	all = append(all, 0xC0, 0)
	answer := publish(seedPostTopic+"_reply", replyTo(200, "{}", "17", "success", "thing.event.property.post"), 0)

	for name, pieces := range map[string]int{"byte by byte": 1, "at once": len(all)} {
		t.Run(name, func(t *testing.T) {
			w := h.dial()
			w.t = t
			for b := all; len(b) > 0; b = b[pieces:] {
				w.send(b[:pieces])
			}
			w.want(connected)
			// The order of the reply, which waits for the disk, and of PINGRESP is free.
			got := append(bytes.Clone(w.next().Raw), w.next().Raw...)
			ping := []byte{0xD0, 0}
			if !bytes.Equal(got, append(bytes.Clone(ping), answer...)) && !bytes.Equal(got, append(bytes.Clone(answer), ping...)) {
				t.Errorf("the server answered % X\n%s", got, mqtt.Explain(got, mqtt.ExplainOptions{}))
			}
		})
	}
}

// TestKeepAlive: a device that is silent for one and a half times its keep-alive is disconnected
// [MQTT-3.1.2-24]. The shortest there is keeps the test short.
func TestKeepAlive(t *testing.T) {
	h := mustStart(t)
	h.addSeed()
	connect := hex(t, seedConnect)
	connect[10], connect[11] = 0, 1 // one second
	w := h.dial()
	w.ask(connect, connected)
	w.ping()
	w.wantClosed()
	h.log.await(t, "STC15", "keep")
}
