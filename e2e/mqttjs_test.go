package e2e

import (
	"fmt"
	"testing"
	"time"
)

// mqttjsClient is an application on MQTT.js, in a process of its own.
type mqttjsClient struct {
	t       *testing.T
	s       *script
	present bool
}

func mqttjsApp(scheme string, version int) func(*home, user, appOptions) app {
	return func(h *home, u user, o appOptions) app {
		h.t.Helper()
		options := map[string]any{
			"clientId": o.clientID, "username": u.name, "password": u.password, "protocolVersion": version,
			"clean": !o.persistent, "reconnectPeriod": 0,
		}
		if o.persistent && version == 5 {
			options["properties"] = map[string]any{"sessionExpiryInterval": 3600}
		}
		if o.willTopic != "" {
			options["will"] = map[string]any{"topic": o.willTopic, "payload": o.willPayload, "qos": 1, "retain": false}
		}
		if scheme == "mqtts" || scheme == "wss" {
			options["caFile"] = h.CAFile()
		}
		s := runScript(h.t, "app.js", "", scheme+"://127.0.0.1:"+h.port()+"/mqtt", options)
		c := &mqttjsClient{t: h.t, s: s}
		c.present, _ = s.await("connect", nil)["sessionPresent"].(bool)
		return c
	}
}

// done fails unless an operation went well.
func (c *mqttjsClient) done(name string, with event) event {
	c.t.Helper()
	e := c.s.await(name, with)
	if e.text("error") != "" {
		c.t.Fatalf("MQTT.js: %s", e)
	}
	return e
}

func (c *mqttjsClient) subscribe(filter string, qos int) {
	c.t.Helper()
	c.s.do("subscribe", event{"topic": filter, "options": event{"qos": qos}})
	if granted := fmt.Sprint(c.done("subscribed", event{"topic": filter})["granted"]); granted != fmt.Sprintf("[%d]", qos) {
		c.t.Errorf("MQTT.js: %s was granted QoS %s, want %d", filter, granted, qos)
	}
}

func (c *mqttjsClient) unsubscribe(filter string) {
	c.t.Helper()
	c.s.do("unsubscribe", event{"topic": filter})
	c.done("unsubscribed", event{"topic": filter})
}

func (c *mqttjsClient) publish(topic, payload string, qos int, retain bool) {
	c.t.Helper()
	c.s.do("publish", event{"topic": topic, "payload": payload, "options": event{"qos": qos, "retain": retain}})
	c.done("published", event{"topic": topic, "payload": payload})
}

func (c *mqttjsClient) next() heard {
	c.t.Helper()
	e := c.s.await("message", nil)
	qos, _ := e["qos"].(float64)
	retained, _ := e["retain"].(bool)
	return heard{e.text("topic"), e.text("payload"), int(qos), retained}
}

func (c *mqttjsClient) sessionPresent() bool { return c.present }

func (c *mqttjsClient) leave() {
	c.s.do("bye", nil)
	c.s.await("ended", nil)
	c.s.end()
}

func (c *mqttjsClient) die() { c.s.kill() }

// TestMQTTJS5 is what only 5.0 has, with MQTT.js.
func TestMQTTJS5(t *testing.T) {
	h := mustStart(t)
	u := h.addUser("dashboard")
	open := func(id string, more event) *mqttjsClient {
		t.Helper()
		options := map[string]any{"clientId": id, "username": u.name, "password": u.password, "protocolVersion": 5, "reconnectPeriod": 0}
		for k, v := range more {
			options[k] = v
		}
		return &mqttjsClient{t: t, s: runScript(t, "app.js", "", "mqtt://127.0.0.1:"+h.port(), options)}
	}
	sub := open("reader", event{"properties": event{"topicAliasMaximum": 10, "receiveMaximum": 2, "requestResponseInformation": true}})
	hello := sub.s.await("connect", nil)
	if hello.at("properties", "responseInformation") != "response/reader" || hello.at("properties", "topicAliasMaximum") == nil {
		t.Errorf("CONNACK has %v", hello)
	}
	sub.s.do("subscribe", event{"topic": "home/#", "options": event{"qos": 2, "rap": true, "rh": 2, "nl": true,
		"properties": event{"subscriptionIdentifier": 7}}})
	sub.done("subscribed", event{"topic": "home/#"})

	// The library assigns aliases by itself, and takes the server's.
	pub := open("writer", event{"autoAssignTopicAlias": true})
	pub.s.await("connect", nil)
	for i := range 50 {
		pub.s.do("publish", event{"topic": "home/lamp", "payload": fmt.Sprint(i), "options": event{"qos": i % 3, "retain": i == 0,
			"properties": event{"contentType": "text/plain", "responseTopic": "answers", "messageExpiryInterval": 1000,
				"userProperties": event{"a": "1"}}}})
		pub.done("published", event{"payload": fmt.Sprint(i)})
	}
	for i := range 50 {
		m := sub.s.await("message", event{"payload": fmt.Sprint(i)}) // it shows QoS 2 later than it comes
		p := func(key string) any { return m.at("properties", key) }
		if m.text("topic") != "home/lamp" || m["retain"] != (i == 0) || p("contentType") != "text/plain" ||
			p("responseTopic") != "answers" || p("subscriptionIdentifier") != 7. || m.at("properties", "userProperties", "a") != "1" {
			t.Fatalf("message %d is %v", i, m)
		}
		if left, _ := p("messageExpiryInterval").(float64); left < 900 || left > 1000 {
			t.Errorf("message %d has %v s left", i, left)
		}
	}
	pub.leave()

	// The server says why it ends a connection.
	again := open("reader", nil)
	again.s.await("connect", nil)
	if code := sub.s.await("disconnect", nil)["reasonCode"]; code != 142. {
		t.Errorf("a connection that was taken over was told %v", code)
	}
	again.leave()

	// A will with a delay.
	heir := open("heir", nil)
	heir.s.await("connect", nil)
	heir.subscribe("wills/#", 1)
	mortal := open("mortal", event{"properties": event{"sessionExpiryInterval": 3600},
		"will": event{"topic": "wills/mortal", "payload": "gone", "qos": 1, "properties": event{"willDelayInterval": 1, "contentType": "text/plain"}}})
	mortal.s.await("connect", nil)
	died := time.Now()
	mortal.die()
	if m := heir.s.await("message", nil); m.text("payload") != "gone" || m.at("properties", "contentType") != "text/plain" || time.Since(died) < time.Second {
		t.Errorf("after %v the will is %v", time.Since(died), m)
	}
	heir.leave()
}
