package e2e

import (
	"fmt"
	"testing"
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
