package broker

import (
	"bytes"
	"errors"
	"sync"

	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// Conversation is one extended authentication of a 5.0 client, at its login or,
// once more, while it is connected (MQTT 5.0, 4.12).
type Conversation interface {
	// Next takes what the client says, which it may keep, and calls done exactly
	// once, either before it returns or later from any goroutine. It must not
	// block. It is called again only after done, and only if the step is neither an
	// admission nor a refusal.
	Next(data []byte, done func(AuthStep))
}

// AuthStep is what the server says to one message of a conversation.
type AuthStep struct {
	// Name is the user name that was given in the conversation, if one was: failures
	// are counted for it.
	Name string
	// Data is for the client; nil for none.
	Data []byte
	// Admission ends the conversation with a login.
	Admission *Admission
	// Refusal ends it without one.
	Refusal *Refusal
}

// conversation is an extended authentication under way on a connection.
type conversation struct {
	Conversation
	request *LoginRequest
	connect []byte // the CONNECT that is not answered yet; nil once connected
	asked   bool   // the other side thinks: the client has to wait
	taken   bool   // the packet at hand was taken before the loop had the answer
	last    []byte // what goes with the CONNACK
}

// authStep is the answer to one message on its way to the loop.
type authStep struct {
	client *client
	talk   *conversation
	step   AuthStep

	mu      sync.Mutex
	onLoop  bool // the call has not returned yet
	decided bool
}

func (a *authStep) done(step AuthStep) {
	a.mu.Lock()
	if a.decided {
		a.mu.Unlock()
		return
	}
	a.decided, a.step = true, step
	later := !a.onLoop
	a.mu.Unlock()
	if later {
		a.client.loop.t.Post(a)
	}
}

// Run takes a late answer up on the loop.
func (a *authStep) Run(*transport.Loop) {
	c := a.client
	if c.closed || c.five.talk != a.talk {
		return
	}
	if c.phase == connected {
		c.loop.reauthenticated(c, a)
		return
	}
	a.talk.taken = true
	c.loop.authenticated(c, a)
	if !c.closed {
		c.conn.Resume() // presents the packet again
	}
}

// ask gives data to the conversation and reports whether the answer is there.
func (l *loop) ask(c *client, data []byte) (*authStep, bool) {
	a := &authStep{client: c, talk: c.five.talk, onLoop: true}
	a.talk.asked = true
	a.talk.Next(data, a.done)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.onLoop = false
	return a, a.decided
}

// converse begins the extended authentication that a CONNECT asks for. It reports
// whether the packet is dealt with.
func (l *loop) converse(c *client, f mqtt.Frame, p *mqtt.Connect, r *LoginRequest) (done bool) {
	method, _ := p.Properties.String(mqtt.PropAuthenticationMethod)
	data, _ := p.Properties.Binary(mqtt.PropAuthenticationData)
	talk := l.b.authority.Converse(string(method), r)
	if talk == nil {
		l.refuse(c, r, &Refusal{Code: mqtt.BadAuthenticationMethod, Identity: r.ClientID,
			Cause: "the authentication method " + string(method) + " is not offered; log in with user name and password"})
		return false
	}
	c.five = &five{method: string(method), problems: true,
		talk: &conversation{Conversation: talk, request: r, connect: bytes.Clone(f.Raw)}}
	return l.step(c, bytes.Clone(data))
}

// step takes what a client says that is not logged in, and reports whether its
// packet is dealt with.
func (l *loop) step(c *client, data []byte) (done bool) {
	c.phase = authenticating
	a, decided := l.ask(c, data)
	if !decided {
		c.conn.Pause()
		return false
	}
	l.authenticated(c, a)
	return l.taken(c)
}

// taken goes on after a step, and reports whether the client's packet is dealt
// with.
func (l *loop) taken(c *client) bool {
	switch {
	case c.closed:
		return false
	case c.phase == admitted:
		f, _, err := mqtt.SplitTolerant(c.five.talk.connect, 0, mqtt.TolerateDevices)
		return err == nil && l.enter(c, f)
	}
	return true
}

// named is the login that a step belongs to, under the name that the conversation
// has given: that of the CONNECT may be empty, and anything.
func (a *authStep) named() *LoginRequest {
	r := *a.talk.request
	if a.step.Name != "" {
		r.Username, r.HasUsername = a.step.Name, true
	}
	return &r
}

// authenticated takes a step up: the client is asked further, admitted or refused.
func (l *loop) authenticated(c *client, a *authStep) {
	a.talk.asked = false
	r := a.named()
	switch {
	case (a.step.Refusal != nil || a.step.Admission != nil) && (l.holdOff(r) || r.Suspect):
		// The right password is held off like a wrong one: the answer must not tell
		// them apart.
		l.hold(c)
	case a.step.Refusal != nil:
		l.failedLogin(r, a.step.Refusal)
		l.refuse(c, a.talk.request, a.step.Refusal)
	case a.step.Admission != nil:
		l.loggedIn(r)
		a.talk.last = a.step.Data
		c.admission = a.step.Admission
		c.phase = admitted
	default:
		c.phase = challenged
		c.sendAuth(mqtt.ContinueAuthentication, a.step.Data)
	}
}

// authProperties are those of a packet of an extended authentication.
func (c *client) authProperties(data []byte) mqtt.Properties {
	p := mqtt.AppendStringProperty(nil, mqtt.PropAuthenticationMethod, c.five.method)
	if data != nil {
		p = mqtt.AppendBinaryProperty(p, mqtt.PropAuthenticationData, data)
	}
	return p
}

// authenticationOf are the properties of the CONNACK that ends an extended
// authentication [MQTT-4.12.0-5], nil if there was none.
func (c *client) authenticationOf() mqtt.Properties {
	if c.five == nil {
		return nil
	}
	return c.authProperties(c.five.talk.last)
}

func (c *client) sendAuth(code mqtt.ReasonCode, data []byte) {
	p := mqtt.Auth{Code: code, Properties: c.authProperties(data)}
	c.end(p.Append(c.begin()))
}

// challenge takes the answer of a client that is not logged in [MQTT-4.12.0-3].
func (l *loop) challenge(c *client, f mqtt.Frame) (done bool) {
	l.meterIn(c, f.Raw)
	if f.Type == mqtt.DISCONNECT { // it may [MQTT-3.1.2-30]
		c.close(errDisconnect, mqtt.Success)
		return false
	}
	data, err := c.authData(f, mqtt.ContinueAuthentication)
	if err != nil {
		c.malformed(err, f.Raw)
		return false
	}
	return l.step(c, data)
}

// authData reads an AUTH packet with the code that is expected.
func (c *client) authData(f mqtt.Frame, want mqtt.ReasonCode) ([]byte, error) {
	if f.Type != mqtt.AUTH {
		return nil, &mqtt.MalformedError{Type: f.Type, Field: "packet type", Clause: "MQTT-4.12.0-3", Code: mqtt.ProtocolError,
			Reason: "an AUTH packet is expected here"}
	}
	var p mqtt.Auth
	if err := p.Decode(f); err != nil {
		return nil, err
	}
	if p.Code != want {
		return nil, &mqtt.MalformedError{Type: mqtt.AUTH, Field: "reason code", Clause: "MQTT-4.12.0-3", Code: mqtt.ProtocolError,
			Reason: "the code is " + p.Code.String() + ", not " + want.String()}
	}
	if method, _ := p.Properties.String(mqtt.PropAuthenticationMethod); string(method) != c.five.method {
		return nil, &mqtt.MalformedError{Type: mqtt.AUTH, Field: "Authentication Method", Clause: "MQTT-4.12.0-5", Code: mqtt.ProtocolError,
			Reason: "it is not the method of the CONNECT"}
	}
	data, _ := p.Properties.Binary(mqtt.PropAuthenticationData)
	return bytes.Clone(data), nil
}

var errReauthenticated = errors.New("the client has authenticated as somebody else; it must connect again for that")

// onAuth takes an AUTH of a client that is connected: it authenticates once more
// [MQTT-4.12.1-1]. Its other packets go on meanwhile.
func (l *loop) onAuth(c *client, f mqtt.Frame) error {
	if c.five == nil || c.five.method == "" {
		return &mqtt.MalformedError{Type: mqtt.AUTH, Field: "packet type", Clause: "MQTT-4.12.0-7", Code: mqtt.ProtocolError,
			Reason: "the CONNECT had no authentication method"}
	}
	talk := c.five.talk
	want := mqtt.ReAuthenticate
	if talk != nil {
		want = mqtt.ContinueAuthentication
	}
	data, err := c.authData(f, want)
	if err != nil {
		return err
	}
	if talk == nil {
		next := l.b.authority.Converse(c.five.method, c.five.request)
		if next == nil {
			return &mqtt.MalformedError{Type: mqtt.AUTH, Field: "Authentication Method", Code: mqtt.BadAuthenticationMethod,
				Reason: "it is not offered any more"}
		}
		c.five.talk = &conversation{Conversation: next, request: c.five.request}
	} else if talk.asked {
		return &mqtt.MalformedError{Type: mqtt.AUTH, Field: "packet type", Clause: "MQTT-4.12.0-3", Code: mqtt.ProtocolError,
			Reason: "the server has not answered the one before"}
	}
	if a, decided := l.ask(c, data); decided {
		l.reauthenticated(c, a)
	}
	return nil
}

// reauthenticated takes a step of a connected client up. One that fails, or turns
// out to be another identity, is disconnected [MQTT-4.12.1-2].
func (l *loop) reauthenticated(c *client, a *authStep) {
	a.talk.asked = false
	ad := a.step.Admission
	switch {
	case a.step.Refusal != nil:
		l.failedLogin(a.named(), a.step.Refusal)
		l.b.refused(c, nil, a.step.Refusal)
		code := a.step.Refusal.Code
		switch code { // those that a DISCONNECT cannot have
		case mqtt.BadUserNameOrPassword, mqtt.ClientIdentifierNotValid, mqtt.BadAuthenticationMethod:
			code = mqtt.NotAuthorized
		case mqtt.ServerUnavailable:
			code = mqtt.ServerBusy
		}
		c.close(errors.New("the client did not authenticate again"), code)
	case ad == nil:
		c.sendAuth(mqtt.ContinueAuthentication, a.step.Data)
	case ad.Key != c.session.key || ad.Owner != c.session.owner:
		c.close(errReauthenticated, mqtt.NotAuthorized)
	default:
		c.five.talk = nil
		c.session.rights, c.principal = ad.Rights, ad.Principal
		l.asked = asked{}
		c.sendAuth(mqtt.Success, a.step.Data)
	}
}
