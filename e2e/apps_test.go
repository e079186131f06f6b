package e2e

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
)

// heard is a message as a client received it.
type heard struct {
	topic, payload string
	qos            int
	retained       bool
}

// app is an application: one of the MQTT client libraries or programs. All of them are taken through the same
// scenarios, so that what one of them does differently shows.
type app interface {
	subscribe(filter string, qos int)
	unsubscribe(filter string)
	publish(topic, payload string, qos int, retain bool) // returns when the exchange of packets is complete
	next() heard                                         // waits for a message
	sessionPresent() bool                                // as the last CONNACK said
	leave()                                              // with DISCONNECT
	die()                                                // without
}

// appOptions say how an application connects.
type appOptions struct {
	clientID    string
	persistent  bool // the session outlives the connection
	willTopic   string
	willPayload string
}

// appKind is a library over a transport.
type appKind struct {
	name string
	open func(*home, user, appOptions) app
}

var appKinds = []appKind{
	{"Paho Go, tcp", pahoApp("tcp")},
	{"Paho Go, ssl", pahoApp("ssl")},
	{"Paho Go, ws", pahoApp("ws")},
	{"Paho Go 5.0, tcp", paho5App},
	{"MQTT.js 3.1.1, mqtt", mqttjsApp("mqtt", 4)},
	{"MQTT.js 5.0, mqtt", mqttjsApp("mqtt", 5)},
	{"MQTT.js 3.1.1, mqtts", mqttjsApp("mqtts", 4)},
	{"MQTT.js 3.1.1, ws", mqttjsApp("ws", 4)},
	{"MQTT.js 5.0, wss", mqttjsApp("wss", 5)},
}

// TestApplications takes every kind of application through the scenarios of a broker's life.
func TestApplications(t *testing.T) {
	for _, k := range appKinds {
		t.Run(k.name, func(t *testing.T) {
			h := mustStart(t)
			u := h.addUser("dashboard")
			open := func(t *testing.T, o appOptions) app {
				t.Helper()
				// Failures belong to the scenario, the server to all of them.
				scene := *h
				scene.t = t
				return k.open(&scene, u, o)
			}
			t.Run("messages", func(t *testing.T) { testMessages(t, open) })
			t.Run("retained", func(t *testing.T) { testRetained(t, open) })
			t.Run("session", func(t *testing.T) { testSession(t, open) })
			if !strings.Contains(k.name, "Paho Go, ssl") && !strings.Contains(k.name, "Paho Go, ws") {
				t.Run("will", func(t *testing.T) { testWill(t, open) })
			}
		})
	}
}

type opener func(*testing.T, appOptions) app

// testMessages: every QoS in both directions, in order, and no more after UNSUBSCRIBE.
func testMessages(t *testing.T, open opener) {
	sub := open(t, appOptions{clientID: "reader"})
	pub := open(t, appOptions{clientID: "writer"})
	for qos := range 3 {
		sub.subscribe(fmt.Sprintf("home/%d/+", qos), qos)
	}
	sub.subscribe("home/end", 2)
	for sent := range 3 {
		for granted := range 3 {
			topic := fmt.Sprintf("home/%d/light", granted)
			for n := range 5 {
				pub.publish(topic, fmt.Sprintf("%d %d 光", sent, n), sent, false)
			}
			for n := range 5 {
				want := heard{topic, fmt.Sprintf("%d %d 光", sent, n), min(sent, granted), false}
				if got := sub.next(); got != want {
					t.Fatalf("received %+v, want %+v", got, want)
				}
			}
		}
	}
	big := strings.Repeat("0123456789abcdef", 1<<15) // 512 KB
	pub.publish("home/1/light", big, 1, false)
	if got := sub.next(); got.payload != big {
		t.Fatalf("received %d bytes of %d", len(got.payload), len(big))
	}
	for qos := range 3 {
		sub.unsubscribe(fmt.Sprintf("home/%d/+", qos))
		pub.publish(fmt.Sprintf("home/%d/light", qos), "nobody listens", 1, false)
	}
	pub.publish("home/end", "end", 2, false)
	if got := sub.next(); got.topic != "home/end" {
		t.Errorf("after UNSUBSCRIBE %+v was received", got)
	}
	sub.leave()
	pub.leave()
}

// testRetained: set, replaced, cleared.
func testRetained(t *testing.T, open opener) {
	pub := open(t, appOptions{clientID: "writer"})
	pub.publish("roof/temp", "20", 1, true)
	pub.publish("roof/temp", "21", 1, true)
	pub.publish("roof/hum", "40", 2, true)
	pub.publish("roof/hum", "", 1, true)

	sub := open(t, appOptions{clientID: "reader"})
	sub.subscribe("roof/#", 1)
	if got, want := sub.next(), (heard{"roof/temp", "21", 1, true}); got != want {
		t.Errorf("received %+v, want %+v", got, want)
	}
	pub.publish("roof/temp", "22", 1, true) // live: without the flag [MQTT-3.3.1-9]
	if got, want := sub.next(), (heard{"roof/temp", "22", 1, false}); got != want {
		t.Errorf("received %+v, want %+v", got, want)
	}
	pub.publish("roof/temp", "", 1, true)
	if got, want := sub.next(), (heard{"roof/temp", "", 1, false}); got != want {
		t.Errorf("received %+v, want %+v", got, want)
	}
	sub.leave()
	late := open(t, appOptions{clientID: "late"})
	late.subscribe("roof/#", 1)
	pub.publish("roof/end", "end", 1, false)
	if got := late.next(); got.topic != "roof/end" {
		t.Errorf("a cleared message was delivered: %+v", got)
	}
	late.leave()
	pub.leave()
}

// testSession: what is published with QoS 1 and 2 while an application is away waits for it, once each.
func testSession(t *testing.T, open opener) {
	reader := appOptions{clientID: "keeper", persistent: true}
	sub := open(t, reader)
	if sub.sessionPresent() {
		t.Error("the first CONNACK reports a session")
	}
	sub.subscribe("letters/1", 1)
	sub.subscribe("letters/2", 2)
	sub.leave()

	pub := open(t, appOptions{clientID: "writer"})
	for n := range 50 {
		pub.publish("letters/1", fmt.Sprint(n), 1, false)
		pub.publish("letters/2", fmt.Sprint(n), 2, false)
	}
	sub = open(t, reader)
	if !sub.sessionPresent() {
		t.Error("the second CONNACK reports no session")
	}
	pub.publish("letters/2", "end", 2, false)
	next := map[string]int{}
	for range 101 {
		m := sub.next()
		if m.payload == "end" {
			continue
		}
		if m.payload != fmt.Sprint(next[m.topic]) {
			t.Fatalf("received %+v, want number %d", m, next[m.topic])
		}
		if want := int(m.topic[len(m.topic)-1] - '0'); m.qos != want {
			t.Errorf("received %+v, want QoS %d", m, want)
		}
		next[m.topic]++
	}
	if next["letters/1"] != 50 || next["letters/2"] != 50 {
		t.Errorf("received %v, want 50 each", next)
	}
	sub.leave()
	// A clean start ends the session.
	clean := open(t, appOptions{clientID: "keeper"})
	if clean.sessionPresent() {
		t.Error("CONNACK reports a session after a clean start")
	}
	clean.leave()
	pub.leave()
}

// testWill: the will of an application that dies is published, that of one that leaves is not.
func testWill(t *testing.T, open opener) {
	sub := open(t, appOptions{clientID: "heir"})
	sub.subscribe("wills/#", 1)
	open(t, appOptions{clientID: "polite", willTopic: "wills/polite", willPayload: "no"}).leave()
	open(t, appOptions{clientID: "mortal", willTopic: "wills/mortal", willPayload: "gone"}).die()
	if got, want := sub.next(), (heard{"wills/mortal", "gone", 1, false}); got != want {
		t.Errorf("received %+v, want %+v", got, want)
	}
	sub.leave()
}

// TestWatchingADevice: an application with the right to, sees what a device says and what it is answered.
func TestWatchingADevice(t *testing.T) {
	for _, k := range appKinds {
		t.Run(k.name, func(t *testing.T) {
			h := mustStart(t)
			d := h.addSeed()
			watcher := k.open(h, h.addUser("watcher"), appOptions{clientID: "watcher"})
			watcher.subscribe("/sys/"+d.ProductKey+"/+/thing/#", 1)
			w := h.login(d)
			w.send(hex(t, seedPost))
			w.wantPublication(seedPostTopic+"_reply", replyTo(200, "{}", "17", "success", "thing.event.property.post"))
			said := map[string]string{}
			for range 2 {
				m := watcher.next()
				said[m.topic] = m.payload
			}
			if post := said[seedPostTopic]; post != string(hex(t, seedPost)[3+2+len(seedPostTopic):]) {
				t.Errorf("the application saw the post %q", post)
			}
			if reply := said[seedPostTopic+"_reply"]; reply != replyTo(200, "{}", "17", "success", "thing.event.property.post") {
				t.Errorf("the application saw the reply %q", reply)
			}
			watcher.leave()
		})
	}
}

// TestApplicationTLSVersions: applications are offered TLS 1.3 and 1.2.
func TestApplicationTLSVersions(t *testing.T) {
	h := mustStart(t)
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := h.tlsConfig()
		cfg.MinVersion, cfg.MaxVersion = v, v
		conn, err := tls.Dial("tcp", h.address(), cfg)
		if err != nil {
			t.Errorf("%s: %v", tls.VersionName(v), err)
			continue
		}
		_ = conn.Close()
	}
}
