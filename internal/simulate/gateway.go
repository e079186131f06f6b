package simulate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/mqtt"
)

// Gateway is a gateway with the sub-devices that it speaks for.
type Gateway struct {
	Triple     alink.Triple
	SubDevices []alink.Triple
}

// What a gateway asks for in one request (spec/gateway.md §4.1, §6.2).
const (
	addedAtOnce    = 30
	loggedInAtOnce = 50
)

// subState is how far a sub-device has come.
type subState uint8

const (
	subAway   subState = iota // logged out until back
	subAsking                 // its login or logout has no answer yet
	subHere                   // it posts
	subGoing                  // it posts no more and awaits the answers that it is owed
)

// subDevice is one sub-device. It has no connection: its gateway's goroutine runs it.
type subDevice struct {
	unit
	state  subState
	leave  time.Time // when it is to log out
	abrupt bool      // it does not await answers when it does
	back   time.Time // when it is to log in
}

// ask is a request of the gateway itself. It has one under way at a time.
type ask struct {
	kind alink.TopicKind
	id   uint64
	subs []*subDevice
	at   time.Time
}

// gateway is one gateway with its connection. One goroutine runs it.
type gateway struct {
	unit  // posts nothing itself
	own   conn
	subs  []*subDevice
	named map[string]*subDevice // by ProductKey/DeviceName

	known   int  // how many of subs the server has in the topology for certain
	asked   *ask // nil: nothing is under way
	lastAsk uint64
	ready   bool      // there may be something to ask for
	retry   time.Time // not asked again before
	wake    time.Time // when a sub-device has to do something
	leave   time.Time
}

func newGateway(f *Fleet, i int, g Gateway) *gateway {
	w := &gateway{named: make(map[string]*subDevice, len(g.SubDevices))}
	w.own = conn{fleet: f, owners: make(map[uint16]*unit)}
	w.unit = newUnit(&w.own, i, g.Triple)
	for k, t := range g.SubDevices {
		s := &subDevice{}
		s.unit = newUnit(&w.own, i+1+k, t)
		s.drained = func() { w.ready = w.ready || s.state == subGoing }
		w.subs = append(w.subs, s)
		w.named[t.ProductKey+"/"+t.DeviceName] = s
	}
	return w
}

func (g *gateway) run(ctx context.Context) {
	g.conn.run(ctx, &g.unit, func(ctx context.Context) error {
		err := g.serve(ctx)
		g.ended(err)
		return err
	})
}

// ended takes the sub-devices offline: the connection that carried them is gone.
func (g *gateway) ended(err error) {
	for _, s := range g.subs {
		if s.online.Load() {
			s.offline()
			if err != nil && !errors.Is(err, errLeft) {
				g.fleet.Tally.SubsBroken.Add(1)
			}
		}
		s.cut()
		s.state, s.back = subAway, time.Time{}
	}
	g.asked = nil
}

// serve works on a connection until it ends, the gateway drops out, or ctx has ended
// and nothing is owed any more: then the error is nil.
func (g *gateway) serve(ctx context.Context) error {
	g.leave = g.leaving(time.Now(), g.fleet.o.GatewayChurn)
	g.wake, g.retry, g.ready = time.Time{}, time.Time{}, true
	for {
		now := time.Now()
		stopping := ctx.Err() != nil
		if stopping && g.settled() {
			return g.conn.goodbye()
		}
		if !stopping && !now.Before(g.leave) {
			return g.dropOut()
		}
		if stopping || !now.Before(g.wake) {
			g.look(now, stopping)
		}
		if err := g.overdue(now); err != nil {
			return err
		}
		if g.ready && !stopping && g.asked == nil && !now.Before(g.retry) {
			g.request(now)
		}
		g.conn.keepAlive(now)
		if err := g.conn.flush(now); err != nil {
			return err
		}
		at := earliest(now.Add(lookUp), g.conn.ping, g.wake)
		if g.asked != nil {
			at = earliest(at, g.asked.at.Add(g.fleet.o.Timeout))
		}
		if !stopping {
			at = earliest(at, g.leave)
			if g.asked == nil && now.Before(g.retry) {
				at = earliest(at, g.retry)
			}
		}
		f, err := g.conn.link.next(at)
		if errors.Is(err, errDue) {
			continue
		}
		if err != nil {
			return err
		}
		if err := g.conn.received(f, g.message); err != nil {
			return err
		}
	}
}

// settled reports whether nothing is owed to the gateway and its sub-devices.
func (g *gateway) settled() bool {
	if g.asked != nil {
		return false
	}
	for _, s := range g.subs {
		if len(s.pending) > 0 {
			return false
		}
	}
	return true
}

// look lets each sub-device do what is due, and plans when to look again.
func (g *gateway) look(now time.Time, stopping bool) {
	g.wake = now.Add(lookUp)
	for _, s := range g.subs {
		s.expire(now)
		if stopping {
			g.wake = s.wakes(g.wake, false)
			continue
		}
		if s.state == subHere && !now.Before(s.leave) {
			s.state = subGoing
		}
		if s.state == subHere {
			s.due(now)
			g.wake = earliest(g.wake, s.leave)
		}
		if s.state == subAway && now.Before(s.back) {
			g.wake = earliest(g.wake, s.back)
		}
		g.ready = g.ready || s.waits(now)
		g.wake = s.wakes(g.wake, s.state == subHere)
	}
}

// at makes sure that the gateway looks at a sub-device then.
func (g *gateway) at(t time.Time) { g.wake = earliest(g.wake, t) }

// overdue gives up a request that has no answer in time. What became of it is not
// known, so the gateway begins anew with another connection.
func (g *gateway) overdue(now time.Time) error {
	if g.asked == nil || now.Sub(g.asked.at) <= g.fleet.o.Timeout {
		return nil
	}
	t := &g.fleet.Tally
	t.Missing.Add(1)
	err := fmt.Errorf("request %d (%v) of the gateway got no answer within %v", g.asked.id, g.asked.kind, g.fleet.o.Timeout)
	g.asked = nil
	return err
}

// request sends the gateway's next request: the topology first, then who has to go,
// then who has to come.
func (g *gateway) request(now time.Time) {
	if g.known < len(g.subs) {
		g.ask(now, alink.TopoAdd, g.subs[g.known:min(g.known+addedAtOnce, len(g.subs))])
		return
	}
	var going, coming []*subDevice
	for _, s := range g.subs {
		switch {
		case !s.waits(now):
		case s.state == subGoing:
			going = append(going, s)
		default:
			coming = append(coming, s)
		}
	}
	g.ready = false
	switch {
	case len(going) == 1:
		g.ask(now, alink.SessionLogout, going)
	case len(going) > 1:
		g.ask(now, alink.SessionBatchLogout, going[:min(len(going), loggedInAtOnce)])
	case len(coming) == 1:
		g.ask(now, alink.SessionLogin, coming)
	case len(coming) > 1:
		g.ask(now, alink.SessionBatchLogin, coming[:min(len(coming), loggedInAtOnce)])
	}
}

// waits reports whether a sub-device waits for its logout or login.
func (s *subDevice) waits(now time.Time) bool {
	return s.state == subGoing && (s.abrupt || len(s.pending) == 0) || s.state == subAway && !now.Before(s.back)
}

// ask gathers a request about sub-devices.
func (g *gateway) ask(now time.Time, kind alink.TopicKind, subs []*subDevice) {
	g.lastAsk++
	g.asked = &ask{kind: kind, id: g.lastAsk, subs: subs, at: now}
	g.fleet.Tally.Asked.Add(1)
	b := append(g.payload[:0], `{"id":"`...)
	b = strconv.AppendUint(b, g.lastAsk, 10)
	b = append(b, `","version":"1.0","params":`...)
	switch kind {
	case alink.SessionLogin, alink.SessionLogout:
		b = subs[0].appendLogin(b, kind)
	case alink.SessionBatchLogin:
		b = append(appendLogins(append(b, `{"deviceList":`...), kind, subs), '}')
	default:
		b = appendLogins(b, kind, subs)
	}
	t := alink.Topic{Kind: kind, ProductKey: g.triple.ProductKey, DeviceName: g.triple.DeviceName}
	b = append(b, `,"method":"`...)
	b = t.AppendMethod(b)
	g.payload = append(b, `"}`...)
	out := mqtt.Publish{Topic: t.Append(nil), Payload: g.payload}
	g.conn.out = out.Append(g.conn.out, mqtt.V311)
	for _, s := range subs {
		switch kind {
		case alink.SessionLogin, alink.SessionBatchLogin:
			s.state = subAsking
		case alink.SessionLogout, alink.SessionBatchLogout:
			s.state = subAsking
			s.offline()
		}
	}
}

func appendLogins(b []byte, kind alink.TopicKind, subs []*subDevice) []byte {
	b = append(b, '[')
	for i, s := range subs {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.appendLogin(b, kind)
	}
	return append(b, ']')
}

// signedAt is the timestamp in the signature of sub-devices, as the C SDKs have it.
const signedAt = "2524608000000"

// appendLogin appends what a request says of a sub-device.
func (s *subDevice) appendLogin(b []byte, kind alink.TopicKind) []byte {
	field := func(name, value string) {
		b = append(append(append(b, '"'), name...), `":`...)
		b = devjson.AppendString(b, value)
	}
	b = append(b, '{')
	field("productKey", s.triple.ProductKey)
	b = append(b, ',')
	field("deviceName", s.triple.DeviceName)
	if kind == alink.SessionLogout || kind == alink.SessionBatchLogout {
		return append(b, '}')
	}
	in := s.triple.Login(alink.LoginOptions{Method: alink.HMACSHA256, Prefix: s.triple.DeviceName, Timestamp: signedAt})
	b = append(b, ',')
	field("clientId", s.triple.DeviceName)
	b = append(b, `,"timestamp":"`+signedAt+`","signMethod":"hmacSha256",`...)
	field("sign", in.Password)
	if kind != alink.TopoAdd {
		b = append(b, `,"cleanSession":"`...)
		b = strconv.AppendBool(b, !s.fleet.o.Persistent)
		b = append(b, '"')
	}
	return append(b, '}')
}

// message takes one message of the connection: a sub-device's, or its own.
func (g *gateway) message(p *mqtt.Publish) {
	t := &g.fleet.Tally
	topic, ok := alink.ParseTopic(string(p.Topic))
	if !ok || topic.Of(g.triple.ProductKey, g.triple.DeviceName) {
		switch {
		case ok && topic.Reply && g.asked != nil && topic.Kind == g.asked.kind:
			g.answered(p.Payload)
		case ok && topic.Kind == alink.SessionError:
			g.pushed(p.Payload)
		case ok && topic.Reply:
			t.Strange.Add(1)
		default:
			g.unit.message(p)
		}
		return
	}
	s := g.named[topic.ProductKey+"/"+topic.DeviceName]
	switch {
	case s == nil:
		t.Strange.Add(1)
		t.failed(fmt.Sprintf("%s: a message on %s, which belongs to none of its sub-devices", g.triple, p.Topic))
	case !topic.Reply && s.state != subHere && s.state != subGoing:
		t.Unknown.Add(1) // it is on its way out: nobody answers
	default:
		s.message(p)
	}
}

// answered takes the reply to the request that is under way.
func (g *gateway) answered(payload []byte) {
	t := &g.fleet.Tally
	var r alink.Reply
	if err := g.json.Reply(payload, &r); err != nil || r.ID != strconv.FormatUint(g.asked.id, 10) {
		t.Strange.Add(1)
		t.failed(fmt.Sprintf("%s: the answer to request %d cannot be read or is another's: %.200s", g.triple, g.asked.id, payload))
		return
	}
	a, now := g.asked, time.Now()
	g.asked, g.ready = nil, true
	t.AskedReplied.Add(1)
	refused := r.Code != codeOK
	if refused {
		t.failed(fmt.Sprintf("%s: %v for %s … was answered with code %d %s", g.triple, a.kind, a.subs[0].triple, r.Code, r.Message))
		g.retry = now.Add(stayAway)
	}
	switch a.kind {
	case alink.TopoAdd:
		if refused {
			t.SubsRefused.Add(int64(len(a.subs)))
			return
		}
		g.known += len(a.subs)
	case alink.SessionLogin, alink.SessionBatchLogin:
		if refused {
			t.SubsRefused.Add(int64(len(a.subs)))
		}
		for _, s := range a.subs {
			if s.state != subAsking { // the server ended the login meanwhile
				continue
			}
			if refused {
				s.state, s.back = subAway, g.retry
				continue
			}
			s.state = subHere
			s.online.Store(true)
			s.sessions.Add(1)
			t.subCame()
			s.begin(now)
			s.leave, s.abrupt = s.leaving(now, g.fleet.o.Churn), s.values.rand.IntN(2) == 0
		}
	default:
		for _, s := range a.subs {
			s.cut()
			s.state, s.back = subAway, now.Add(g.fleet.o.Offline)
			t.SubsLeft.Add(1)
		}
		if refused {
			t.Rejected.Add(1)
		}
	}
	g.at(now)
}

// pushed takes a notice that something is wrong with a sub-device: its login has
// ended, or a message came without one.
func (g *gateway) pushed(payload []byte) {
	t := &g.fleet.Tally
	var r alink.Reply
	if err := g.json.Reply(payload, &r); err != nil {
		t.Strange.Add(1)
		return
	}
	pk, _ := r.Data.Get("productKey").Str()
	dn, _ := r.Data.Get("deviceName").Str()
	t.failed(fmt.Sprintf("%s: the server says of %s/%s: %d %s", g.triple, pk, dn, r.Code, r.Message))
	s := g.named[pk+"/"+dn]
	if s == nil || !s.online.Load() {
		t.Strange.Add(1)
		return
	}
	t.SubsBroken.Add(1)
	s.offline()
	s.cut()
	s.state, s.back = subAway, time.Now().Add(stayAway)
	g.at(s.back)
}

// offline counts a sub-device that is not there any more.
func (s *subDevice) offline() {
	if s.online.Swap(false) {
		s.fleet.Tally.SubsOnline.Add(-1)
	}
}
