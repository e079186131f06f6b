package broker

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/linkstead/linkstead/internal/transport"
	"github.com/linkstead/linkstead/mqtt"
)

// greet deals with a connection that is not logged in: f must be a CONNECT. It
// reports true when the login is complete and the packet consumed. Until then
// the packet stays in the connection's buffer: while the Authority thinks, and
// while the connection moves to the loop of its session.
func (l *loop) greet(c *client, f mqtt.Frame, all []byte) (done bool) {
	switch c.phase {
	case authenticating:
		return false
	case challenged:
		if c.five.talk.taken {
			c.five.talk.taken = false
			return true
		}
		return l.challenge(c, f)
	case admitted:
		if c.five != nil {
			return l.taken(c)
		}
		return l.enter(c, f)
	}
	if f.Type != mqtt.CONNECT {
		c.malformed(&mqtt.MalformedError{Field: "packet type", Clause: "MQTT-3.1.0-1", Code: mqtt.ProtocolError,
			Reason: "the first packet must be CONNECT, not " + f.Type.String()}, f.Raw)
		return false
	}
	var p mqtt.Connect
	if err := p.Decode(f, mqtt.TolerateDevices); err != nil {
		l.refuseMalformed(c, f, err)
		return false
	}
	c.version, c.keepAlive, c.clean = p.Version, p.KeepAlive, p.CleanStart
	r := &LoginRequest{
		ClientID: string(p.ClientID), HasUsername: p.HasUsername, Username: string(p.Username),
		HasPassword: p.HasPassword, Password: bytes.Clone(p.Password),
		Version: p.Version, KeepAlive: p.KeepAlive, CleanStart: p.CleanStart,
		Remote: c.conn.RemoteAddr(), Kind: c.conn.Kind(), Frame: bytes.Clone(f.Raw),
	}
	if t := c.conn.TLSState(); t != nil {
		r.Certificates = t.PeerCertificates
	}
	if l.draining {
		l.refuse(c, r, &Refusal{Code: mqtt.ServerUnavailable, Identity: r.ClientID, Cause: errShutdown.Error()})
		return false
	}
	if l.holdOff(r) {
		l.hold(c)
		return false
	}
	if _, extended := p.Properties.String(mqtt.PropAuthenticationMethod); extended {
		return l.converse(c, f, &p, r)
	}
	c.phase = authenticating
	a := &answer{client: c, request: r, onLoop: true}
	l.b.authority.Login(r, a.decide)
	a.mu.Lock()
	a.onLoop = false
	decided := a.decided
	a.mu.Unlock()
	if !decided {
		c.conn.Pause()
		return false
	}
	return l.decided(c, a) && l.enter(c, f)
}

// decided takes the Authority's answer up and reports whether the login goes on.
func (l *loop) decided(c *client, a *answer) bool {
	if a.refusal != nil {
		l.failedLogin(a.request, a.refusal)
		l.refuse(c, a.request, a.refusal)
		return false
	}
	l.loggedIn(a.request)
	c.admission = a.admission
	c.phase = admitted
	return true
}

// enter gives an admitted connection its session. It reports false if the
// connection has to move to the session's loop first, or was refused there.
func (l *loop) enter(c *client, f mqtt.Frame) (done bool) {
	ad := c.admission
	s, created := l.b.sessions.getOrPut(ad.Key, func() *Session {
		return &Session{key: ad.Key, owner: ad.Owner, home: l, device: ad.Profile.Device, profile: ad.Profile}
	})
	if s.home != l {
		l.unlink(c)
		c.conn.MoveTo(s.home.t)
		return false
	}
	if s.gone { // it ended while this connection was on its way
		l.b.sessions.remove(s)
		return l.enter(c, f)
	}
	var p mqtt.Connect
	if err := p.Decode(f, mqtt.TolerateDevices); err != nil {
		l.refuseMalformed(c, f, err)
		return false
	}
	if why := ad.Profile.unmet(&p); why != nil {
		if created {
			l.b.sessions.remove(s)
			s.gone = true
		}
		why.Identity = ad.Owner
		l.refuse(c, nil, why)
		return false
	}
	if created && !l.b.owners.add(s, false) {
		l.b.sessions.remove(s)
		s.gone = true
		l.refuse(c, nil, &Refusal{Code: mqtt.QuotaExceeded, Identity: ad.Owner,
			Cause: fmt.Sprintf("the user has %d sessions, as many as allowed (limits.sessions_per_user); end some with a clean session, or let them expire", l.b.owners.limit)})
		return false
	}
	if c.version == mqtt.V5 {
		c.keepAlive = ad.Profile.serverKeepAlive(p.KeepAlive)
	}
	if s.owner != ad.Owner {
		l.refuse(c, nil, &Refusal{Code: mqtt.NotAuthorized, Identity: ad.Owner,
			Cause: fmt.Sprintf("the client identifier %q belongs to a session of another identity; choose another identifier", ad.ClientIDOr(string(p.ClientID)))})
		return false
	}
	if old := s.client; old != nil {
		l.stats.takeovers.add(1)
		l.b.logger.Info("connection replaced", "client", s.key, "old", old.conn.RemoteAddr(), "new", c.conn.RemoteAddr())
		old.close(errTakeover, mqtt.SessionTakenOver)
		l.leave(old)
		if s.gone { // another loop may have been quicker to make the next one
			return l.enter(c, f)
		}
	}
	if s.via != nil { // a gateway's connection carried it; its own takes over
		l.putDown(s)
		if s.gone {
			return l.enter(c, f)
		}
	}
	if !created && s.client == nil && s.expired(l.nowMS()) { // the sweep has not come by yet [MQTT-3.1.2-23]
		l.end(s)
		return l.enter(c, f)
	}
	present := !created
	if c.clean {
		present = false
		l.discard(s, !s.device)
	}
	l.attach(c, s, &p, present)
	return true
}

// attach makes c the connection of s and answers the CONNECT.
func (l *loop) attach(c *client, s *Session, p *mqtt.Connect, present bool) {
	ad := c.admission
	c.admission = nil
	c.session, c.profile, c.principal = s, ad.Profile, ad.Principal
	c.limit = limitOf(c.profile)
	if id := string(p.ClientID); strings.HasSuffix(s.key, id) {
		c.clientID = s.key[len(s.key)-len(id):] // the same text once
	} else {
		c.clientID = id
	}
	c.sinceMS = l.nowMS()
	c.phase = connected
	s.client, s.profile, s.rights = c, ad.Profile, ad.Rights
	s.online.Store(true)
	s.offlineMS = 0
	l.cancelWill(s)

	s.expirySeconds = 0
	if !c.clean && c.version != mqtt.V5 {
		s.expirySeconds = ^uint32(0)
	}
	window := ad.Profile.Window
	var authentication mqtt.Properties
	if c.version == mqtt.V5 {
		if v, ok := p.Properties.Uint32(mqtt.PropSessionExpiryInterval); ok {
			s.expirySeconds = v
		}
		if v, ok := p.Properties.Uint16(mqtt.PropReceiveMaximum); ok {
			window = min(window, int(v))
		}
		authentication = c.authenticationOf()
		c.five = newFive(p.Properties, ad.Profile, c.five)
		c.five.inherited = s.in.Len()
	}
	s.out.SetWindow(window)
	was := s.durable.Load()
	// A session that is to end with this connection still has what it kept so far
	// to deliver.
	s.durable.Store(s.expirySeconds != 0 || s.stored > 0)
	if s.durable.Load() || was && s.id != 0 {
		l.store(s)
	}
	if p.HasWill && !c.profile.Device {
		c.will = newWill(&p.Will)
	}

	c.conn.Established()
	c.conn.SetLimit(c.profile.MaxPacket)
	if c.keepAlive > 0 {
		c.conn.SetReadTimeout(time.Duration(c.keepAlive) * time.Second * 3 / 2)
	} else {
		c.conn.SetReadTimeout(0)
	}
	l.stats.logins.add(1)
	l.stats.connected.Add(1)
	l.meterConnected(c, 1)

	ack := mqtt.Connack{SessionPresent: present && !c.profile.Device}
	if c.version == mqtt.V5 {
		ack.Properties = append(l.connackProperties(c, s, ad, p), authentication...)
	}
	c.tap = l.b.tapFor(s.key)
	if c.tap != nil {
		c.tap.emitConnect(c, p)
	}
	out := c.conn.Output()
	c.mark = int32(len(out))
	out = ack.Append(out, c.version)
	if f := c.five; f != nil && f.maxPacket > 0 && len(out)-int(c.mark) > int(f.maxPacket) { // nothing can be said [MQTT-3.1.2-24]
		c.closed, c.cause = true, errTooSmall
		c.conn.Close(errTooSmall)
	} else {
		c.end(out)
	}
	if c.profile.Pace > 0 {
		c.pace = &pace{gap: c.profile.Pace, last: l.now(), until: l.now().Add(c.profile.PaceFor)}
	}
	c.told = true
	if h := l.b.handler; h != nil {
		h.Connected(c.connection())
	}
	if c.profile.Lifetime > 0 {
		c.after(c.profile.Lifetime, func() { c.close(errLifetime, mqtt.AdministrativeAction) })
	}
	if c.profile.Settle > 0 {
		c.after(c.profile.Settle, func() { l.begin(c) })
	} else {
		l.begin(c)
	}
}

// begin starts to deliver what waits for the client.
func (l *loop) begin(c *client) {
	c.started = true
	s := c.session
	if h := c.held; h != nil {
		for _, packet := range h.packets {
			l.stats.delivered.add(1)
			l.traceHeld(c, packet)
			c.end(append(c.begin(), packet...))
		}
		c.held = nil
	}
	if s.durable.Load() {
		s.loaded = s.done
		s.more = s.stored > 0 || s.seq > s.loaded
	}
	if s.more {
		// What was acknowledged in the last connection may not be deleted on disk
		// yet; reading now would deliver it again.
		s.reading = true
		l.after(func(error) {
			if s.client == c {
				s.reading = false
				l.pump(s)
			}
		})
		return
	}
	l.pump(s)
}

func (l *loop) connackProperties(c *client, s *Session, ad *Admission, connect *mqtt.Connect) mqtt.Properties {
	var p mqtt.Properties
	if granted := c.profile.capExpiry(s.expirySeconds); granted != s.expirySeconds {
		s.expirySeconds = granted
		p = mqtt.AppendUint32Property(p, mqtt.PropSessionExpiryInterval, s.expirySeconds)
	}
	if ad.ClientID != "" {
		p = mqtt.AppendStringProperty(p, mqtt.PropAssignedClientIdentifier, ad.ClientID)
	}
	p = mqtt.AppendUint16Property(p, mqtt.PropReceiveMaximum, uint16(min(c.profile.MaxReceived, 65535)))
	if n := c.profile.TopicAliases; n > 0 {
		p = mqtt.AppendUint16Property(p, mqtt.PropTopicAliasMaximum, uint16(min(n, 65535)))
	}
	if c.profile.MaxQoS < 2 {
		p = mqtt.AppendByteProperty(p, mqtt.PropMaximumQoS, c.profile.MaxQoS)
	}
	if c.profile.Device {
		p = mqtt.AppendByteProperty(p, mqtt.PropRetainAvailable, 0)
		p = mqtt.AppendByteProperty(p, mqtt.PropSharedSubscriptionAvailable, 0)
	}
	p = mqtt.AppendUint32Property(p, mqtt.PropMaximumPacketSize, uint32(c.profile.MaxPacket))
	if c.keepAlive != connect.KeepAlive {
		p = mqtt.AppendUint16Property(p, mqtt.PropServerKeepAlive, c.keepAlive)
	}
	if wanted, _ := connect.Properties.Byte(mqtt.PropRequestResponseInformation); wanted == 1 {
		if topic := c.responses(ad.ClientIDOr(c.clientID)); topic != "" {
			p = mqtt.AppendStringProperty(p, mqtt.PropResponseInformation, topic)
		}
	}
	return p
}

// refuse answers a CONNECT with a failure and says why in the log.
func (l *loop) refuse(c *client, r *LoginRequest, why *Refusal) {
	l.stats.refused.add(1)
	l.meters.refused[why.Code].Add(1)
	l.b.refused(c, r, why)
	l.sendRefusal(c, why.Code)
}

// hold refuses a login that was not looked at. It is counted and not logged: the
// first of them was.
func (l *loop) hold(c *client) {
	l.stats.refused.add(1)
	l.meters.refused[mqtt.ConnectionRateExceeded].Add(1)
	l.sendRefusal(c, mqtt.ConnectionRateExceeded)
}

func (l *loop) sendRefusal(c *client, code mqtt.ReasonCode) {
	if !c.closed {
		ack := mqtt.Connack{Code: code}
		out := c.conn.Output()
		mark := len(out)
		out = ack.Append(out, c.version)
		l.meterOut(c, out[mark:])
		c.conn.SetOutput(out)
		c.closed = true
		c.cause = errRefused
		c.conn.Close(errRefused)
	}
}

// refuseMalformed answers a CONNECT that cannot be read. Only an unknown
// protocol level and a bad client identifier have an answer in 3.1.1; everything
// else closes the connection [MQTT-3.1.4-1].
func (l *loop) refuseMalformed(c *client, f mqtt.Frame, err error) {
	var m *mqtt.MalformedError
	if asMalformed(err, &m) && (m.Code == mqtt.UnsupportedProtocolVersion || m.Code == mqtt.ClientIdentifierNotValid) {
		if c.version == 0 {
			c.version = mqtt.V311
		}
		l.refuse(c, &LoginRequest{Frame: bytes.Clone(f.Raw), Remote: c.conn.RemoteAddr(), Kind: c.conn.Kind()},
			&Refusal{Code: m.Code, Cause: err.Error()})
		return
	}
	c.malformed(err, f.Raw)
}

// ClientIDOr gives the identifier the server assigned, or else the client's own.
func (a *Admission) ClientIDOr(own string) string {
	if a.ClientID != "" {
		return a.ClientID
	}
	return own
}

// AssignClientID makes an identifier for a client that sent none.
func AssignClientID() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return "auto-" + hex.EncodeToString(b[:])
}

// leave ends the connection's part in its session.
func (l *loop) leave(c *client) {
	s := c.session
	if s == nil || s.client != c {
		return
	}
	s.client = nil
	s.online.Store(false)
	s.offlineMS = l.nowMS()
	c.acks.Reset()
	c.replays = nil
	if c.carrying != nil {
		l.putDownAll(c)
	}
	if c.held != nil {
		l.dropAll(DropSessionEnded, s.key, len(c.held.packets))
		c.held = nil
	}
	l.stats.connected.Add(-1)
	l.meterConnected(c, -1)
	var orphans []item
	if s.expirySeconds == 0 {
		orphans = s.orphans()
	}
	waiting := s.forget() - len(orphans)
	s.more, s.reading = false, false
	if c.told && l.b.handler != nil {
		l.b.handler.Disconnected(c.connection(), c.cause.Error())
	}
	if w := c.will; w != nil {
		c.will = nil
		// The end of the session comes first, if it does [MQTT-3.1.2-8].
		if delay := min(w.delay, s.expirySeconds); delay > 0 {
			l.delayWill(s, w, delay)
		} else {
			l.publishWill(s, s.rights, w, nil)
		}
	}
	switch {
	case s.durable.Load() && s.expirySeconds != 0:
		if s.id != 0 {
			l.store(s)
		}
	case s.device:
		if s.durable.Load() {
			l.discard(s, false)
		} else {
			l.dropAll(DropSessionEnded, s.key, waiting)
		}
		s.in.Reset()
		s.durable.Store(false)
		if s.id == 0 && len(s.subs.list) == 0 {
			l.end(s) // nothing to remember: the next login makes a new one
		}
	default:
		if !s.durable.Load() {
			l.dropAll(DropSessionEnded, s.key, waiting)
		}
		l.end(s)
	}
	for i := range orphans { // now that it is a member no more
		if it := &orphans[i]; !l.adopt(it, nil) {
			l.drop(DropSessionEnded, s.key, it.topic, it.qos, len(it.payload))
		}
	}
}

// discard empties a session: its messages, and with all its subscriptions and
// its record too. A device keeps those over a clean start (spec/connect.md §5).
func (l *loop) discard(s *Session, all bool) {
	var left *salvage
	if all && s.rare.share() != nil && s.id != 0 && s.stored > 0 && s.durable.Load() {
		left = l.salvageOf(s) // others may get some of it
	}
	if left == nil {
		l.dropAll(DropSessionEnded, s.key, s.stored)
		if s.id != 0 && s.durable.Load() {
			l.pending().batch.Clear(s.id)
		}
	}
	s.forget()
	s.in.Reset()
	s.done, s.sent, s.committed, s.loaded = s.seq, s.seq, s.seq, s.seq
	s.meterQueue(-s.stored, -s.storedBytes)
	s.stored, s.storedBytes, s.expiresMS = 0, 0, 0
	s.suspectUpTo(0)
	s.more, s.reading = false, false
	if !all {
		return
	}
	if s.rare.will() != nil {
		l.fireWill(s, s.rare.will())
	}
	for _, sub := range s.subs.list {
		l.b.index.Unsubscribe(sub.filter, s)
	}
	s.subs = subscriptions{}
	s.leaveShares()
	if left != nil {
		l.pending().batch.PutSession(s.id, left.appendRecord(nil))
		left.begin()
	} else if s.id != 0 {
		l.pending().batch.DeleteSession(s.id)
	}
	s.id = 0
}

// end removes a session for good.
func (l *loop) end(s *Session) {
	l.discard(s, true)
	s.gone = true
	l.b.sessions.remove(s)
	l.b.owners.remove(s)
}

// store has the session's record written with the turn's batch, as it is at the
// end of the turn.
func (l *loop) store(s *Session) {
	if s.id == 0 {
		s.id = l.b.nextSessionID()
	}
	s.unsaved = false
	if cm := l.pending(); !s.dirty {
		s.dirty = true
		cm.records = append(cm.records, s)
	}
}

func (c *client) connection() Connection {
	return Connection{
		Key: c.session.key, ClientID: c.clientID, Principal: c.principal,
		Remote: c.conn.RemoteAddr(), Kind: c.conn.Kind(), Version: c.version,
		Clean: c.clean, KeepAlive: c.keepAlive, SinceMS: c.sinceMS,
	}
}

var _ transport.Handler = (*Broker)(nil)
