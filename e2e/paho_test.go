package e2e

import (
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// pahoClient is an application on the Eclipse Paho Go client.
type pahoClient struct {
	t        *testing.T
	client   paho.Client
	messages chan heard
	present  bool
	conn     *breakable
}

func pahoApp(scheme string) func(*home, user, appOptions) app {
	return func(h *home, u user, o appOptions) app {
		h.t.Helper()
		c := &pahoClient{t: h.t, messages: make(chan heard, 10_000), conn: &breakable{}}
		opts := paho.NewClientOptions().AddBroker(scheme + "://" + h.address() + "/mqtt").SetClientID(o.clientID).
			SetUsername(u.name).SetPassword(u.password).SetCleanSession(!o.persistent).SetAutoReconnect(false).
			SetConnectTimeout(patience).SetProtocolVersion(4).SetOrderMatters(true)
		if scheme == "ssl" {
			opts.SetTLSConfig(h.tlsConfig())
		}
		if scheme == "tcp" {
			opts.SetCustomOpenConnectionFn(c.conn.open)
		}
		if o.willTopic != "" {
			opts.SetWill(o.willTopic, o.willPayload, 1, false)
		}
		opts.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			c.messages <- heard{m.Topic(), string(m.Payload()), int(m.Qos()), m.Retained()}
		})
		c.client = paho.NewClient(opts)
		token := c.client.Connect().(*paho.ConnectToken)
		c.wait("connect", token)
		c.present = token.SessionPresent()
		h.t.Cleanup(c.leave)
		return c
	}
}

func (c *pahoClient) wait(what string, token paho.Token) {
	c.t.Helper()
	if !token.WaitTimeout(patience) {
		c.t.Fatalf("Paho: %s: no answer after %v", what, patience)
	}
	if err := token.Error(); err != nil {
		c.t.Fatalf("Paho: %s: %v", what, err)
	}
}

func (c *pahoClient) subscribe(filter string, qos int) {
	c.t.Helper()
	c.wait("subscribe", c.client.Subscribe(filter, byte(qos), nil))
}

func (c *pahoClient) unsubscribe(filter string) {
	c.t.Helper()
	c.wait("unsubscribe", c.client.Unsubscribe(filter))
}

func (c *pahoClient) publish(topic, payload string, qos int, retain bool) {
	c.t.Helper()
	c.wait("publish", c.client.Publish(topic, byte(qos), retain, payload))
}

func (c *pahoClient) next() heard {
	c.t.Helper()
	select {
	case m := <-c.messages:
		return m
	case <-time.After(patience):
		c.t.Fatal("Paho: no message")
		return heard{}
	}
}

func (c *pahoClient) sessionPresent() bool { return c.present }

func (c *pahoClient) leave() {
	if c.client.IsConnectionOpen() {
		c.client.Disconnect(250)
	}
}

func (c *pahoClient) die() {
	if !c.conn.cut() {
		c.t.Fatal("Paho: this transport cannot be cut")
	}
}
