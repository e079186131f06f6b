package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	paho5 "github.com/eclipse/paho.golang/paho"
	"github.com/xdg-go/scram"

	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/mqtt"
)

// paho5Client is an application on the Eclipse Paho Go client for MQTT 5.0.
type paho5Client struct {
	t        *testing.T
	client   *paho5.Client
	conn     *net.TCPConn
	messages chan *paho5.Publish
	gone     chan *paho5.Disconnect // what the server said
	ack      *paho5.Connack

	mu      sync.Mutex
	aliases map[uint16]string // the library leaves them to its user
	aliased int               // messages whose topic was an alias alone
}

func paho5App(h *home, u user, o appOptions) app {
	h.t.Helper()
	c := &paho5.Connect{ClientID: o.clientID, CleanStart: !o.persistent, UsernameFlag: true, Username: u.name,
		PasswordFlag: true, Password: []byte(u.password), KeepAlive: 30, Properties: &paho5.ConnectProperties{RequestProblemInfo: true}}
	if o.persistent {
		hour := uint32(3600)
		c.Properties.SessionExpiryInterval = &hour
	}
	if o.willTopic != "" {
		c.WillMessage = &paho5.WillMessage{Topic: o.willTopic, Payload: []byte(o.willPayload), QoS: 1}
	}
	return dialPaho5(h, c, nil)
}

func ctx5(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func dialPaho5(h *home, c *paho5.Connect, auth paho5.Auther) *paho5Client {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.address())
	if err != nil {
		h.t.Fatal(err)
	}
	p := &paho5Client{t: h.t, conn: conn.(*net.TCPConn), messages: make(chan *paho5.Publish, 10_000), gone: make(chan *paho5.Disconnect, 1),
		aliases: make(map[uint16]string)}
	p.client = paho5.NewClient(paho5.ClientConfig{
		Conn: conn, AuthHandler: auth, PacketTimeout: patience,
		OnPublishReceived: []func(paho5.PublishReceived) (bool, error){func(r paho5.PublishReceived) (bool, error) {
			p.resolve(r.Packet)
			p.messages <- r.Packet
			return true, nil
		}},
		OnServerDisconnect: func(d *paho5.Disconnect) { p.gone <- d },
		OnClientError:      func(error) {},
	})
	if p.ack, err = p.client.Connect(ctx5(h.t), c); err != nil {
		h.t.Fatalf("Paho 5: connect: %v", err)
	}
	h.t.Cleanup(func() {
		_ = conn.Close()
		<-p.client.Done()
	})
	return p
}

func (c *paho5Client) resolve(m *paho5.Publish) {
	if m.Properties == nil || m.Properties.TopicAlias == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Topic == "" {
		m.Topic = c.aliases[*m.Properties.TopicAlias]
		c.aliased++
		return
	}
	c.aliases[*m.Properties.TopicAlias] = m.Topic
}

func (c *paho5Client) subscribe(filter string, qos int) {
	c.t.Helper()
	ack, err := c.client.Subscribe(ctx5(c.t), &paho5.Subscribe{Subscriptions: []paho5.SubscribeOptions{{Topic: filter, QoS: byte(qos)}}})
	if err != nil || int(ack.Reasons[0]) != qos {
		c.t.Fatalf("Paho 5: subscribe: %v, %+v", err, ack)
	}
}

func (c *paho5Client) unsubscribe(filter string) {
	c.t.Helper()
	if _, err := c.client.Unsubscribe(ctx5(c.t), &paho5.Unsubscribe{Topics: []string{filter}}); err != nil {
		c.t.Fatalf("Paho 5: unsubscribe: %v", err)
	}
}

func (c *paho5Client) publish(topic, payload string, qos int, retain bool) {
	c.t.Helper()
	c.send(&paho5.Publish{Topic: topic, Payload: []byte(payload), QoS: byte(qos), Retain: retain})
}

func (c *paho5Client) send(m *paho5.Publish) {
	c.t.Helper()
	if _, err := c.client.Publish(ctx5(c.t), m); err != nil {
		c.t.Fatalf("Paho 5: publish: %v", err)
	}
}

func (c *paho5Client) message() *paho5.Publish {
	c.t.Helper()
	select {
	case m := <-c.messages:
		return m
	case <-time.After(patience):
		c.t.Fatal("Paho 5: no message")
		return nil
	}
}

func (c *paho5Client) next() heard {
	c.t.Helper()
	m := c.message()
	return heard{m.Topic, string(m.Payload), int(m.QoS), m.Retain}
}

func (c *paho5Client) sessionPresent() bool { return c.ack.SessionPresent }

func (c *paho5Client) leave() {
	c.t.Helper()
	if err := c.client.Disconnect(&paho5.Disconnect{}); err != nil {
		c.t.Errorf("Paho 5: disconnect: %v", err)
	}
}

func (c *paho5Client) die() {
	_ = c.conn.SetLinger(0)
	_ = c.conn.Close()
}

// TestPaho5 is what only 5.0 has, with the Paho client.
func TestPaho5(t *testing.T) {
	h := mustStart(t)
	u := h.addUser("dashboard")
	open := func(t *testing.T, id string, change func(*paho5.Connect)) *paho5Client {
		t.Helper()
		c := &paho5.Connect{ClientID: id, CleanStart: true, UsernameFlag: true, Username: u.name, PasswordFlag: true, Password: []byte(u.password),
			Properties: &paho5.ConnectProperties{RequestProblemInfo: true}}
		if change != nil {
			change(c)
		}
		scene := *h
		scene.t = t
		return dialPaho5(&scene, c, nil)
	}

	t.Run("properties", func(t *testing.T) {
		sub := open(t, "reader", nil)
		id := 7
		if _, err := sub.client.Subscribe(ctx5(t), &paho5.Subscribe{Properties: &paho5.SubscribeProperties{SubscriptionIdentifier: &id},
			Subscriptions: []paho5.SubscribeOptions{{Topic: "home/#", QoS: 2}}}); err != nil {
			t.Fatal(err)
		}
		pub := open(t, "writer", nil)
		utf8, expiry := byte(1), uint32(1000)
		pub.send(&paho5.Publish{Topic: "home/lamp", QoS: 2, Payload: []byte("on"), Properties: &paho5.PublishProperties{
			ContentType: "text/plain", ResponseTopic: "answers/1", CorrelationData: []byte{0, 1, 255}, PayloadFormat: &utf8, MessageExpiry: &expiry,
			User: paho5.UserProperties{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}}}})
		m := sub.message()
		p := m.Properties
		if m.Topic != "home/lamp" || m.QoS != 2 || p.ContentType != "text/plain" || p.ResponseTopic != "answers/1" ||
			string(p.CorrelationData) != "\x00\x01\xff" || p.PayloadFormat == nil || *p.PayloadFormat != 1 ||
			p.MessageExpiry == nil || *p.MessageExpiry > 1000 || *p.MessageExpiry < 900 ||
			p.SubscriptionIdentifier == nil || *p.SubscriptionIdentifier != 7 ||
			fmt.Sprint(p.User) != fmt.Sprint(paho5.UserProperties{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}}) {
			t.Errorf("received %+v with %+v", m, p)
		}
	})

	t.Run("aliases", func(t *testing.T) {
		some := uint16(10)
		sub := open(t, "reader", func(c *paho5.Connect) { c.Properties.TopicAliasMaximum = &some })
		sub.subscribe("home/#", 2)
		pub := open(t, "writer", nil)
		if n := pub.ack.Properties.TopicAliasMaximum; n == nil || *n == 0 {
			t.Fatal("the server takes no aliases")
		}
		alias := uint16(1)
		for i := range 100 {
			topic := ""
			if i == 0 {
				topic = "home/lamp"
			}
			pub.send(&paho5.Publish{Topic: topic, QoS: byte(i % 3), Payload: fmt.Append(nil, i), Properties: &paho5.PublishProperties{TopicAlias: &alias}})
		}
		for i := range 100 {
			if m := sub.next(); m.topic != "home/lamp" || m.payload != fmt.Sprint(i) {
				t.Fatalf("received %+v", m)
			}
		}
		sub.mu.Lock()
		defer sub.mu.Unlock()
		if sub.aliased != 66 { // all but the first, and those at QoS 2
			t.Errorf("%d of 100 messages came with an alias alone", sub.aliased)
		}
	})

	t.Run("receive maximum", func(t *testing.T) {
		one := uint16(1)
		sub := open(t, "reader", func(c *paho5.Connect) { c.Properties.ReceiveMaximum = &one })
		sub.subscribe("home/#", 2)
		pub := open(t, "writer", nil)
		for i := range 50 {
			pub.publish("home/lamp", fmt.Sprint(i), 1+i%2, false)
		}
		for i := range 50 {
			if m := sub.next(); m.payload != fmt.Sprint(i) {
				t.Fatalf("received %+v", m)
			}
		}
	})

	t.Run("options", func(t *testing.T) {
		c := open(t, "reader", nil)
		c.publish("roof/temp", "20", 1, true)
		if _, err := c.client.Subscribe(ctx5(t), &paho5.Subscribe{Subscriptions: []paho5.SubscribeOptions{
			{Topic: "roof/+", QoS: 1, RetainHandling: 2, RetainAsPublished: true}, {Topic: "own/#", QoS: 1, NoLocal: true}}}); err != nil {
			t.Fatal(err)
		}
		c.publish("own/x", "not for me", 1, false)
		c.publish("roof/temp", "21", 1, true)
		if got, want := c.next(), (heard{"roof/temp", "21", 1, true}); got != want {
			t.Errorf("received %+v, want %+v", got, want)
		}
	})

	t.Run("shared", func(t *testing.T) {
		a, b := open(t, "worker-a", nil), open(t, "worker-b", nil)
		a.subscribe("$share/g/jobs/#", 1)
		b.subscribe("$share/g/jobs/#", 1)
		pub := open(t, "writer", nil)
		for i := range 100 {
			pub.publish("jobs/x", fmt.Sprint(i), 1, false)
		}
		count := map[string]int{}
		for range 100 {
			var m *paho5.Publish
			select {
			case m = <-a.messages:
				count["a"]++
			case m = <-b.messages:
				count["b"]++
			case <-time.After(patience):
				t.Fatal("no message")
			}
			count[string(m.Payload)]++
		}
		if len(count) != 102 || count["a"] != 50 {
			t.Errorf("a has %d, b has %d, %d different ones", count["a"], count["b"], len(count)-2)
		}
	})

	t.Run("will delay", func(t *testing.T) {
		sub := open(t, "heir", nil)
		sub.subscribe("wills/#", 1)
		second, hour := uint32(1), uint32(3600)
		mortal := open(t, "mortal", func(c *paho5.Connect) {
			c.Properties.SessionExpiryInterval = &hour
			c.WillMessage = &paho5.WillMessage{Topic: "wills/mortal", Payload: []byte("gone"), QoS: 1}
			// The library forgets to send the content type of a will.
			c.WillProperties = &paho5.WillProperties{WillDelayInterval: &second, User: paho5.UserProperties{{Key: "a", Value: "1"}}}
		})
		died := time.Now()
		mortal.die()
		m := sub.message()
		if m.Topic != "wills/mortal" || m.Properties.User.Get("a") != "1" || time.Since(died) < time.Second {
			t.Errorf("received %+v after %v", m, time.Since(died))
		}
	})

	t.Run("told", func(t *testing.T) {
		first := open(t, "twice", nil)
		open(t, "twice", nil)
		select {
		case d := <-first.gone:
			if d.ReasonCode != byte(mqtt.SessionTakenOver) || d.Properties.ReasonString == "" {
				t.Errorf("the server said %+v", d)
			}
		case <-time.After(patience):
			t.Error("the server said nothing")
		}
		assigned := open(t, "", func(c *paho5.Connect) { c.Properties.RequestResponseInfo = true })
		p := assigned.ack.Properties
		if p.AssignedClientID == "" || p.ResponseInfo != "response/"+p.AssignedClientID {
			t.Errorf("CONNACK has %+v", p)
		}
	})
}

// scramAuther answers for the Paho client.
type scramAuther struct {
	mu   sync.Mutex
	talk *scram.ClientConversation
}

func (a *scramAuther) begin(t *testing.T, u user) []byte {
	t.Helper()
	client, err := scram.SHA256.NewClient(u.name, u.password, "")
	if err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.talk = client.NewConversation()
	first, err := a.talk.Step("")
	if err != nil {
		t.Fatal(err)
	}
	return []byte(first)
}

func (a *scramAuther) Authenticate(q *paho5.Auth) *paho5.Auth {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer, _ := a.talk.Step(string(q.Properties.AuthData))
	return &paho5.Auth{ReasonCode: byte(mqtt.ContinueAuthentication),
		Properties: &paho5.AuthProperties{AuthMethod: "SCRAM-SHA-256", AuthData: []byte(answer)}}
}

func (*scramAuther) Authenticated() {}

// TestPaho5Authenticates: SCRAM-SHA-256 at login and once more, with the Paho client.
func TestPaho5Authenticates(t *testing.T) {
	h := mustStart(t, func(c *config.Config) { c.Auth.SCRAM = true })
	u := h.addUser("dashboard")
	auth := &scramAuther{}
	c := dialPaho5(h, &paho5.Connect{ClientID: "scram", CleanStart: true, Properties: &paho5.ConnectProperties{
		AuthMethod: "SCRAM-SHA-256", AuthData: auth.begin(t, u), RequestProblemInfo: true}}, auth)
	c.subscribe("a", 1)
	c.publish("a", "b", 1, false)
	if got := c.next(); got.payload != "b" {
		t.Errorf("received %+v", got)
	}
	again, err := c.client.Authenticate(ctx5(t), &paho5.Auth{ReasonCode: byte(mqtt.ReAuthenticate),
		Properties: &paho5.AuthProperties{AuthMethod: "SCRAM-SHA-256", AuthData: auth.begin(t, u)}})
	if err != nil || !again.Success {
		t.Errorf("once more: %v, %+v", err, again)
	}
	wrong := u
	wrong.password = strings.ToUpper(u.password)
	if again, err = c.client.Authenticate(ctx5(t), &paho5.Auth{ReasonCode: byte(mqtt.ReAuthenticate),
		Properties: &paho5.AuthProperties{AuthMethod: "SCRAM-SHA-256", AuthData: auth.begin(t, wrong)}}); err != nil || again.Success ||
		again.ReasonCode != byte(mqtt.NotAuthorized) {
		t.Errorf("with a wrong password: %v, %+v", err, again)
	}
}
