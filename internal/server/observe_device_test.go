package server_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/demo"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/mqtt"
)

// eventually asks again until the answer is right; what it waits for is written
// behind the event loops.
func eventually(t *testing.T, what string, right func() (bool, any)) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		ok, got := right()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, got)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// events are those of the messages to the device's own topic.
func events(t *testing.T, body string) (list []string) {
	t.Helper()
	var out struct {
		Entries []struct {
			Event, Topic string
		}
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	for _, e := range out.Entries {
		if strings.HasSuffix(e.Topic, "/user/get") {
			list = append(list, e.Event)
		}
	}
	return list
}

// TestAbsentDevice sends to a device that is away and comes back: the queue's
// figures and the record of its messages follow.
func TestAbsentDevice(t *testing.T) {
	s := start(t, nil)
	topic := "/" + pk + "/" + dn + "/user/get"
	l := alink.Triple{ProductKey: pk, DeviceName: dn, DeviceSecret: demo.DeviceSecret}.Login(alink.LoginOptions{Method: alink.HMACSHA256})
	dev := dial(t, s)
	dev.login(l.ClientID, l.Username, l.Password, false)
	dev.subscribe(topic, 1)
	_ = dev.conn.Close()
	eventually(t, "the device stays online", func() (bool, any) {
		n := scrape(t, s)[`linkstead_mqtt_connections{client="device",transport="tcp",version="3.1.1"}`]
		return n == 0, n
	})
	for range 3 {
		if err := s.Platform.Publish(t.Context(), "test", topic, []byte("hello"), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	m := scrape(t, s)
	if n, b := m["linkstead_mqtt_queue_messages"], m["linkstead_mqtt_queue_bytes"]; n != 3 || b != float64(3*(len(topic)+5)) {
		t.Errorf("while it is away %v messages with %v bytes wait", n, b)
	}
	dev = dial(t, s)
	dev.login(l.ClientID, l.Username, l.Password, false)
	for range 3 {
		var p mqtt.Publish
		if err := p.Decode(dev.receive(), mqtt.V311, 0); err != nil {
			t.Fatal(err)
		}
		dev.send(mqtt.AppendAck(nil, mqtt.PUBACK, mqtt.V311, p.PacketID, 0))
	}
	dev.send(mqtt.AppendPingreq(nil))
	dev.expect("PINGRESP")
	m = scrape(t, s)
	if n, b := m["linkstead_mqtt_queue_messages"], m["linkstead_mqtt_queue_bytes"]; n != 0 || b != 0 {
		t.Errorf("afterwards %v messages with %v bytes wait", n, b)
	}
	eventually(t, "records", func() (bool, any) {
		_, body := get(t, s, "/v1/devices/"+pk+"/"+dn+"/trace", s.AdminToken())
		got := events(t, body)
		slices.Sort(got) // the acknowledgement of one may come before the next is delivered
		a, d, q := "acknowledged", "delivered", "queued"
		return slices.Equal(got, []string{a, a, a, d, d, d, q, q, q}), got
	})
}

// TestCommandMetrics counts a command that is answered and one that is not.
func TestCommandMetrics(t *testing.T) {
	s := start(t, nil)
	dev := dial(t, s)
	dev.deviceLogin()
	replied := make(chan error, 1)
	go func() {
		_, err := s.Platform.SetProperties(t.Context(), "test", pk, dn, json.RawMessage(`{"Light":1}`), platform.CallOptions{Wait: true, ForceID: "5"})
		replied <- err
	}()
	dev.expect("PUBLISH 0")
	dev.publish(demo.TopicSet+"_reply", 0, 0, `{"id":"5","code":200,"data":{}}`)
	if err := <-replied; err != nil {
		t.Fatal(err)
	}
	_, err := s.Platform.InvokeService(t.Context(), "test", pk, dn, "Blink", json.RawMessage(`{"times":3}`),
		platform.CallOptions{Wait: true, ForceID: "6", Timeout: 20 * time.Millisecond})
	if platform.KindOf(err) != platform.KindTimeout {
		t.Fatal(err)
	}
	dev.expect("PUBLISH 0")
	eventually(t, "metrics", func() (bool, any) {
		m := scrape(t, s)
		got := []float64{
			m[`linkstead_commands_sent_total{command="property.set"}`], m[`linkstead_commands_sent_total{command="service.call"}`],
			m[`linkstead_command_seconds_count{command="property.set"}`], m[`linkstead_command_seconds_count{command="service.call"}`],
			m[`linkstead_commands_unanswered_total{command="property.set"}`], m[`linkstead_commands_unanswered_total{command="service.call"}`],
		}
		return slices.Equal(got, []float64{1, 1, 1, 0, 0, 1}), got
	})
}
