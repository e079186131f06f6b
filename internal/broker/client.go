package broker

import (
	"errors"
	"time"

	"github.com/linkstead/linkstead/internal/session"
	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// phase is how far a connection has come.
type phase uint8

const (
	awaitingConnect phase = iota
	authenticating        // the Authority has been asked; nothing more is read
	challenged            // the client has been asked for more with AUTH
	admitted              // the Authority has answered; CONNECT is taken up again
	connected
)

// client is one connection.
type client struct {
	conn    *transport.Conn
	loop    *loop
	session *Session
	profile *Profile

	version  mqtt.Version
	phase    phase
	closed   bool // nothing more is sent or read
	started  bool // messages that were not asked for may be sent
	stalled  bool // not reading: too many acknowledgements are owed, or hindered
	clean    bool // Clean Session, Clean Start
	hindered bool // publishes faster than receivers or the disk take it
	told     bool // the handler knows of it

	keepAlive uint16 // seconds
	mark      int32  // length of the output when an append began, for the tap
	sinceMS   int64
	clientID  string
	principal any

	admission *Admission
	will      *will
	pace      *pace
	limit     *publishLimit // nil: any rate
	tap       *Tap
	carrying  *carrying // sessions of others on this connection, nil if none
	acks      session.Acks
	held      *held   // QoS 0 packets that wait until started, nil if none
	replays   *replay // the first of those to come, nil if none
	five      *five   // nil before 5.0

	cause      error // why the broker closed it
	prev, next *client
}

// held is what came for a client before it was ready; see Profile.Settle.
type held struct {
	packets [][]byte
	bytes   int
}

// maxOwed is how many acknowledgements may be owed to a client before reading
// from it stops until some have left.
const maxOwed = 4096

// Causes of a connection's end that the broker decides on.
var (
	errDisconnect  = errors.New("the client disconnected")
	errTakeover    = errors.New("replaced by a newer login with the same identity")
	errKicked      = errors.New("closed by the server's owner")
	errShutdown    = errors.New("the server is shutting down")
	errStorage     = errors.New("the server could not store a message; the client may send it again")
	errTooSmall    = errors.New("the client's Maximum Packet Size is too small for a CONNACK")
	errRefused     = errors.New("the login was refused")
	errAnswer      = errors.New("the answer to so many filters is larger than the client takes; it can send fewer in a packet")
	errLifetime    = errors.New("the time of a connection of this kind is over")
	errConnectSame = errors.New("a second CONNECT on one connection [MQTT-3.1.0-2]")
)

// Opened is called by the transport for a connection that speaks MQTT.
func (b *Broker) Opened(tc *transport.Conn) {
	l := b.loops[tc.Loop().Index()]
	c := &client{conn: tc, loop: l, profile: b.unknown.Load()}
	tc.Attachment = c
	l.link(c)
}

func (l *loop) link(c *client) {
	c.loop = l
	c.prev, c.next = nil, l.clients
	if l.clients != nil {
		l.clients.prev = c
	}
	l.clients = c
}

func (l *loop) unlink(c *client) {
	if c.prev != nil {
		c.prev.next = c.next
	} else if l.clients == c {
		l.clients = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
}

// Received is called by the transport with bytes of a connection.
func (b *Broker) Received(tc *transport.Conn, buf []byte) (n int) {
	c := tc.Attachment.(*client)
	l := b.loops[tc.Loop().Index()]
	if c.loop != l { // it has moved here
		l.link(c)
	}
	packets := 0
	for n < len(buf) && !c.closed && !c.stalled {
		f, size, err := mqtt.SplitTolerant(buf[n:], c.profile.MaxPacket, c.profile.Tolerance)
		if err != nil {
			c.malformed(err, buf[n:])
			return len(buf)
		}
		if size == 0 {
			break
		}
		if c.phase != connected {
			if c.phase == awaitingConnect {
				l.meterIn(c, f.Raw)
			}
			if !l.greet(c, f, buf[n:]) {
				return n // CONNECT stays until the login is decided, or goes along to another loop
			}
			n += size
			continue
		}
		if l.hinder(c, f.Type) {
			break
		}
		if c.acks.Len() >= maxOwed && !c.overruns(f) {
			c.stall(pausedOwed)
			break
		}
		if c.conn.Buffered() > c.profile.MaxOutput && c.full(2*c.profile.MaxOutput) {
			c.stall(pausedOutput) // it asks and asks and does not read the answers
			break
		}
		if c.limit != nil && f.Type == mqtt.PUBLISH && l.slowDown(c, size) {
			break
		}
		packets++
		if c.tap != nil {
			c.tap.emit(c, false, f.Raw)
		}
		l.meterIn(c, f.Raw)
		if err := l.receive(c, f); err != nil {
			c.malformed(err, f.Raw)
			return len(buf)
		}
		n += size
		if t := l.follow; t != nil {
			l.follow = nil
			size, count := l.burst(c, t, buf[n:])
			n += size
			packets += count
		}
	}
	if packets > 1 && c.pace != nil {
		c.stopPacing()
	}
	if c.closed {
		return len(buf)
	}
	return n
}

// receive takes one packet of a logged-in client.
func (l *loop) receive(c *client, f mqtt.Frame) error {
	switch f.Type {
	case mqtt.PUBLISH:
		return l.onPublish(c, f)
	case mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP:
		return l.onAck(c, f)
	case mqtt.SUBSCRIBE:
		return l.onSubscribe(c, f)
	case mqtt.UNSUBSCRIBE:
		return l.onUnsubscribe(c, f)
	case mqtt.PINGREQ:
		if err := mqtt.DecodePing(f); err != nil {
			return err
		}
		c.end(mqtt.AppendPingresp(c.begin()))
		return nil
	case mqtt.DISCONNECT:
		return l.onDisconnect(c, f)
	case mqtt.AUTH:
		return l.onAuth(c, f)
	case mqtt.CONNECT:
		return &mqtt.MalformedError{Field: "packet type", Clause: "MQTT-3.1.0-2", Code: mqtt.ProtocolError, Reason: errConnectSame.Error()}
	}
	return &mqtt.MalformedError{Field: "packet type", Code: mqtt.ProtocolError,
		Reason: "a client does not send " + f.Type.String()}
}

// onDisconnect ends the connection on the client's wish: the will is discarded
// [MQTT-3.14.4-3], but not with a 5.0 reason other than 0x00.
func (l *loop) onDisconnect(c *client, f mqtt.Frame) error {
	var p mqtt.Disconnect
	if err := p.Decode(f, c.version); err != nil {
		return err
	}
	if s := c.session; s != nil && c.version == mqtt.V5 {
		if expiry, given := p.Properties.Uint32(mqtt.PropSessionExpiryInterval); given {
			if s.expirySeconds == 0 && expiry != 0 {
				return &mqtt.MalformedError{Field: "Session Expiry Interval", Clause: "MQTT-3.14.2-2", Code: mqtt.ProtocolError,
					Reason: "a session that was to end with its connection cannot be given a lifetime in DISCONNECT"}
			}
			s.expirySeconds = c.profile.capExpiry(expiry)
		}
	}
	if p.Code == mqtt.NormalDisconnection {
		c.will = nil
	}
	c.close(errDisconnect, mqtt.Success)
	return nil
}

// malformed ends a connection that broke the protocol, and says how in the log.
func (c *client) malformed(err error, raw []byte) {
	c.loop.stats.malformed.add(1)
	code := mqtt.MalformedPacket
	var m *mqtt.MalformedError
	if errors.As(err, &m) && m.Code != 0 {
		code = m.Code
	}
	c.loop.b.logMalformed(c, err, raw)
	c.close(err, code)
}

// close ends the connection after what was appended has been written. A 5.0
// client is told the code unless it is Success.
func (c *client) close(cause error, code mqtt.ReasonCode) {
	if c.closed {
		return
	}
	if c.pace != nil {
		c.stopPacing()
	}
	if c.version == mqtt.V5 && c.phase == connected && code != mqtt.Success {
		c.endWith(c.reason(cause.Error()), func(dst []byte, p mqtt.Properties) []byte {
			d := mqtt.Disconnect{Code: code, Properties: p}
			return d.Append(dst, c.version)
		})
	}
	c.closed = true
	c.cause = cause
	c.conn.Close(cause)
}

// Closed is called by the transport when a connection has ended.
func (b *Broker) Closed(tc *transport.Conn, cause error) {
	c := tc.Attachment.(*client)
	c.closed = true
	if c.cause == nil {
		c.cause = cause
	}
	l := b.loops[tc.Loop().Index()]
	if c.loop == l { // else it ended on its way to this loop, in no list
		l.unlink(c)
	}
	c.pace = nil
	if c.session != nil {
		l.leave(c)
	}
}

// Writable is called by the transport when a backlog has been written.
func (b *Broker) Writable(tc *transport.Conn) {
	c := tc.Attachment.(*client)
	if c.closed || c.session == nil {
		return
	}
	c.proceed()
	c.loop.pump(c.session)
	c.loop.replay(c)
}

// Idle is called by the transport when the keep-alive has run out
// [MQTT-3.1.2-22]: a 5.0 client is told.
func (b *Broker) Idle(tc *transport.Conn) {
	tc.Attachment.(*client).close(transport.ErrIdle, mqtt.KeepAliveTimeout)
}

// EndTurn is called by the transport before a loop writes.
func (b *Broker) EndTurn(tl *transport.Loop) { b.loops[tl.Index()].endTurn() }

// full reports whether the client does not take what it is sent fast enough.
// What a single turn has appended is no proof of that, so it is written first.
func (c *client) full(limit int) bool {
	if c.conn.Buffered() <= limit {
		return false
	}
	c.conn.Flush()
	return c.conn.Buffered() > limit // then Writable follows
}

// begin and end bracket an append to what goes to the client.
func (c *client) begin() []byte {
	if c.pace != nil {
		if out, paced := c.pace.begin(c); paced {
			return out
		}
	}
	out := c.conn.Output()
	c.mark = int32(len(out))
	return out
}

func (c *client) end(out []byte) {
	c.loop.meterOut(c, out[c.mark:])
	if c.tap != nil {
		c.tap.emit(c, true, out[c.mark:])
	}
	if c.pace != nil {
		c.pace.end(c, out)
		return
	}
	c.conn.SetOutput(out)
}

// sendAck appends PUBACK, PUBREC, PUBREL or PUBCOMP.
func (c *client) sendAck(t mqtt.Type, id uint16, code mqtt.ReasonCode) {
	c.loop.traceAnswered(c, t, id)
	c.end(mqtt.AppendAck(c.begin(), t, c.version, id, code))
	c.disown(id)
}

// acknowledge sends a PUBACK or PUBREC now, or after those owed before it.
func (c *client) acknowledge(t mqtt.Type, id uint16, code mqtt.ReasonCode) {
	if c.acks.Empty() {
		c.answer(session.Ack{Type: t, ID: id, Code: code})
		return
	}
	c.acks.Complete(c.acks.Push(session.Ack{Type: t, ID: id}), code)
}

// sendAcks sends the acknowledgements that are ready and in turn.
func (c *client) sendAcks() {
	for !c.closed {
		ack, ready := c.acks.Next()
		if !ready {
			break
		}
		c.answer(ack)
	}
	if c.acks.Len() < maxOwed/2 {
		c.proceed()
	}
}

// answer sends one acknowledgement. A failure that a 3.1.1 client cannot be told
// ends its connection, so that it sends the message again.
func (c *client) answer(a session.Ack) {
	switch a.Type {
	case mqtt.SUBACK:
		for i := range a.Codes {
			if a.Code != mqtt.Success {
				a.Codes[i] = mqtt.UnspecifiedError
			}
		}
		if c.tooLong(&a) {
			return
		}
		var reason mqtt.Properties
		if a.Reason != "" {
			reason = c.reason(a.Reason)
		}
		c.endWith(reason, func(dst []byte, p mqtt.Properties) []byte {
			suback := mqtt.Suback{PacketID: a.ID, Codes: a.Codes, Properties: p}
			return suback.Append(dst, c.version)
		})
		c.disown(a.ID)
	case mqtt.UNSUBACK:
		if a.Code != mqtt.Success {
			if c.version != mqtt.V5 {
				c.close(errStorage, a.Code) // an UNSUBACK of 3.1.1 cannot say no
				return
			}
			for i := range a.Codes {
				a.Codes[i] = mqtt.UnspecifiedError
			}
		}
		if c.tooLong(&a) {
			return
		}
		p := mqtt.Unsuback{PacketID: a.ID, Codes: a.Codes}
		c.end(p.Append(c.begin(), c.version))
		c.disown(a.ID)
	default:
		if a.Code >= mqtt.UnspecifiedError && c.version != mqtt.V5 && a.Code != mqtt.NotAuthorized {
			c.close(errStorage, a.Code)
			return
		}
		c.sendAck(a.Type, a.ID, a.Code)
	}
}

// tooLong closes a 5.0 client that asked about so many filters at once that it
// does not take the answer [MQTT-3.1.2-24]. It can ask in smaller packets.
func (c *client) tooLong(a *session.Ack) bool {
	if c.five == nil || c.five.maxPacket == 0 {
		return false
	}
	rest := 3 + len(a.Codes) // identifier, no properties, codes
	if 1+varintSize(rest)+rest <= int(c.five.maxPacket) {
		return false
	}
	c.close(errAnswer, mqtt.PacketTooLarge)
	return true
}

// after runs f on the client's loop once d has passed, unless it is closed then.
func (c *client) after(d time.Duration, f func()) {
	c.loop.t.After(d, clientTimer{c, f})
}

type clientTimer struct {
	c *client
	f func()
}

func (t clientTimer) Run(*transport.Loop) {
	if !t.c.closed {
		t.f()
	}
}
