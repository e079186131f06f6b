package platform

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/rate"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/mqtt"
)

// Devices without MQTT come by HTTPS or CoAP (spec/services.md §14, §15). A door
// reads their bytes and answers in its own codes; what it does in between is here
// and the same for all: who is it, may it, and then the way of every publication.

// why is the sort of reason for which a door turns something away. Each door has a
// code for each.
type why uint8

const (
	whyMalformed why = iota + 1 // what came cannot be read
	whyRefused                  // the sign or the device is wrong
	whyDisabled                 // the device may not
	whyForbidden                // it has no right to the topic
	whyTooMany                  // more than it may send
	whyBusy                     // later perhaps
	whyFailed                   // the server could not
)

// turned is the reason for which a door turned something away, in words for the
// device's owner.
type turned struct {
	why   why
	cause string
}

func (e *turned) Error() string { return e.cause }

func turn(w why, format string, a ...any) *turned { return &turned{w, fmt.Sprintf(format, a...)} }

// credentials are the parameters of a door's /auth.
type credentials struct {
	pk, dn, clientID, sign string
	method                 string
	timestamp              string
	hasTimestamp           bool
	seq                    string // of CoAP without DTLS
	hasSeq                 bool
	silent                 bool
}

// The doors, as records call them.
const (
	doorHTTPS = "https"
	doorCoAP  = "coap"
	doorCoAPS = "coaps"
)

// maxAuth is the largest body of an /auth, in bytes; the longest that devices send
// has 300.
const maxAuth = 1 << 10

// readCredentials reads the body of an /auth.
func readCredentials(body []byte) (c credentials, err *turned) {
	if len(body) > maxAuth {
		return c, turn(whyMalformed, "the body has %d bytes; more than %d are not read", len(body), maxAuth)
	}
	var parser devjson.Parser
	v, problem := parser.ParseStrict(body)
	if problem != nil {
		return c, turn(whyMalformed, "the body is not JSON: %v", problem)
	}
	if v.Kind() != devjson.Object {
		return c, turn(whyMalformed, "the body is not a JSON object")
	}
	text := func(key string, to *string) (given bool) {
		m := v.Get(key)
		switch {
		case !m.Exists() || m.Kind() == devjson.Null:
			return false
		case m.Kind() == devjson.Number && (key == "seq" || key == "timestamp"):
			*to = m.NumberText()
		default:
			s, ok := m.Str()
			if !ok || len(s) > 256 {
				err = turn(whyMalformed, "%s is not a string of at most 256 bytes", key)
			}
			*to = s
		}
		return true
	}
	text("productKey", &c.pk)
	text("deviceName", &c.dn)
	text("clientId", &c.clientID)
	text("sign", &c.sign)
	text("signmethod", &c.method)
	c.hasTimestamp = text("timestamp", &c.timestamp)
	c.hasSeq = text("seq", &c.seq)
	if mode := v.Get("ackMode"); mode.Exists() {
		n, ok := mode.Int64()
		if s, isText := mode.Str(); isText {
			var e error
			n, e = strconv.ParseInt(s, 10, 64)
			ok = e == nil
		}
		if !ok || n < 0 || n > 1 {
			return c, turn(whyMalformed, "ackMode is neither 0 nor 1")
		}
		c.silent = n == 1
	}
	if err != nil {
		return c, err
	}
	if _, _, e := alink.ParseUsername(c.dn + "&" + c.pk); e != nil || len(c.pk) > maxName || len(c.dn) > maxName || c.clientID == "" || c.sign == "" {
		return c, turn(whyMalformed, "productKey, deviceName, clientId and sign are needed")
	}
	if c.hasSeq && !decimal(c.seq) {
		return c, turn(whyMalformed, "seq is not a decimal number")
	}
	return c, nil
}

// entrance counts what fails at the doors, by who claims to be whom.
type entrance struct {
	failures *rate.Table[visitor] // nil: any number
	ids      atomic.Int64         // of messages, see messageID
	psks     psks
}

// visitor is who stands before a door: an address, and who it says it is.
type visitor struct{ remote, identity string }

func (e *entrance) init(failed int) {
	if failed > 0 {
		e.failures = rate.NewTable[visitor](1<<14, float64(failed)/60, float64(failed))
	}
}

// messageID is a number that no other message has, in the cloud's size.
func (e *entrance) messageID(now time.Time) int64 {
	for {
		last := e.ids.Load()
		next := max(last+1, now.UnixMilli()<<19)
		if e.ids.CompareAndSwap(last, next) {
			return next
		}
	}
}

// enter checks who a device is and gives it a pass for a door. remote is its address
// without the port, for limits; peer is the one for records. It may block.
func (p *Platform) enter(c credentials, door, remote, peer string) (*pass, *turned) {
	who, identity := visitor{remote, c.dn + "&" + c.pk}, c.dn+"&"+c.pk
	now := p.now()
	if t := p.entrance.failures; t != nil && t.Empty(who, now.UnixNano()) {
		return nil, turn(whyTooMany, "too many logins of %s from %s have failed in the last minute", clip(identity), remote)
	}
	x, err := p.check(c, door)
	if err != nil {
		if t := p.entrance.failures; t != nil && err.why == whyRefused {
			t.Take(who, now.UnixNano())
		}
		p.turnedAway(door, peer, identity, c.clientID, err)
		return nil, err
	}
	x.expires = now.Add(passTime)
	p.passes.issue(x, now)
	if x.d.entry.revoked.Load() { // changed meanwhile; whoever changed it did not see the pass
		p.passes.revoke(x.d.key)
		err := turn(whyBusy, "the device was changed while it logged in; it should do so again")
		p.turnedAway(door, peer, identity, c.clientID, err)
		return nil, err
	}
	if x.isProven() {
		p.arrived(x, peer)
	}
	return x, nil
}

// arrived notes that a device is there. With its first pass it is activated.
func (p *Platform) arrived(x *pass, peer string) {
	p.seen(x.d, peer)
	p.files.visited(x.d.key, peer, x.door != doorCoAP)
	p.logger.Info("device authenticated", "productKey", x.d.pk, "deviceName", x.d.dn, "remote", peer, "transport", x.door)
}

func (p *Platform) check(c credentials, door string) (*pass, *turned) {
	id := alink.ClientID{Prefix: c.clientID, HasSignMethod: c.method != "", Timestamp: c.timestamp, HasTimestamp: c.hasTimestamp}
	var err error
	if id.SignMethod, err = alink.ParseSignMethod(c.method); err != nil {
		return nil, turn(whyMalformed, "%v", err)
	}
	e, err := p.cachedEntry(c.pk, c.dn)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, turn(whyRefused, "%s", p.unknownDevice(c.pk, c.dn).Cause)
	case err != nil:
		p.storeFailed(err)
		return nil, turn(whyFailed, "the device could not be looked up: %v", err)
	}
	secret := e.secret.Reveal()
	content, good := alink.SignContent(c.clientID, c.dn, c.pk, c.timestamp, c.hasTimestamp), false
	if c.hasSeq {
		content = alink.CoAPAuthContent(c.clientID, c.dn, c.pk, c.seq)
		if c.hasTimestamp {
			content += "timestamp" + c.timestamp
		}
		good = alink.MatchesCoAPAuth(id, c.dn, c.pk, c.seq, secret, c.sign)
	} else {
		good = alink.Matches(id, c.dn, c.pk, secret, c.sign)
	}
	if !good {
		return nil, turn(whyRefused, "the sign is not the %s of %s under the DeviceSecret", id.SignMethod, clip(content))
	}
	if !e.enabled {
		return nil, turn(whyDisabled, "the device is disabled; enable it: linkstead device enable %s/%s", c.pk, c.dn)
	}
	d := newDevice(e, c.pk, c.dn, 0, p.now())
	d.subs = nil // sub-devices log in through a connection, which there is none of
	x := &pass{d: d, clientID: c.clientID, token: newToken(), door: door, silent: c.silent, proven: door != doorCoAP}
	if door == doorCoAP { // what came may be the repetition of what somebody overheard
		x.random = newToken()[:16]
		key := alink.NewCoAPKey(secret, x.random)
		x.key, x.seqs = &key, alink.NewCoAPSeqs(firstSeq)
	}
	return x, nil
}

// turnedAway records that somebody was not let in.
func (p *Platform) turnedAway(door, peer, identity, clientID string, err *turned) {
	p.figures.came(door, false)
	p.refusals.add(Refusal{AtMS: p.now().UnixMilli(), Identity: clip(identity), ClientID: clientID, Remote: peer,
		Transport: door, Code: err.why.String(), Cause: err.cause})
	if p.noise.allow(p.now().Unix()) {
		p.logger.Warn("login refused", "identity", clip(identity), "remote", peer, "transport", door, "code", err.why.String(), "cause", err.cause)
	}
}

func (w why) String() string {
	switch w {
	case whyMalformed:
		return "malformed"
	case whyRefused:
		return "not authenticated"
	case whyDisabled:
		return "device disabled"
	case whyForbidden:
		return "not authorized"
	case whyTooMany:
		return "too many"
	case whyBusy:
		return "busy"
	}
	return "failed"
}

// remarkPass writes into the log of the device that has a pass why what came with it
// was turned away.
func (p *Platform) remarkPass(x *pass, err *turned) {
	p.figures.came(x.door, false)
	p.note(x.d, remarkKey{device: x.d.id, door: x.door, code: alink.Code(err.why)}, x.door, err.why.String(), err.cause)
}

// uploadTime is how long a door waits for what a message has to outlive.
const uploadTime = 10 * time.Second

// uploaded is what became of a message that was taken.
type uploaded struct {
	id    int64  // of the message
	reply []byte // to it, nil if there is none
}

// upload publishes a message of a device that is not connected. It waits until it is
// safe, and for its reply.
func (p *Platform) upload(ctx context.Context, x *pass, topic string, payload []byte, qos byte) (uploaded, *turned) {
	up, err := p.uploading(ctx, x, topic, payload, qos)
	if err != nil {
		p.remarkPass(x, err)
	} else {
		p.figures.came(x.door, true)
	}
	return up, err
}

func (p *Platform) uploading(ctx context.Context, x *pass, topic string, payload []byte, qos byte) (uploaded, *turned) {
	now := p.now()
	profile := p.Profile(true)
	if !x.allow(now, len(payload), profile.PublishRate, profile.PublishBytes) {
		return uploaded{}, turn(whyTooMany, "the device publishes more than device.publish_rate or device.publish_bytes allow")
	}
	t, ok := alink.ParseTopic(topic)
	if !ok {
		return uploaded{}, turn(whyMalformed, "%q is not a topic of a device", clip(topic))
	}
	switch t.Kind {
	case alink.SessionLogin, alink.SessionBatchLogin, alink.SessionLogout, alink.SessionBatchLogout:
		return uploaded{}, turn(whyForbidden, "sub-devices log in over MQTT only: a gateway's connection carries them, and there is none here")
	}
	type outcome struct {
		code    mqtt.ReasonCode
		replies []broker.Reply
	}
	result := make(chan outcome, 1)
	p.broker.PublishFor(broker.Inbound{
		Key: x.d.key, ClientID: x.clientID, Principal: x.d, Rights: x.d, Profile: profile, Topic: topic, Payload: payload, QoS: qos,
	}, func(code mqtt.ReasonCode, replies []broker.Reply) { result <- outcome{code, replies} })
	wait := time.NewTimer(uploadTime)
	defer wait.Stop()
	var got outcome
	select {
	case got = <-result:
	case <-wait.C:
		return uploaded{}, turn(whyBusy, "the message was not stored within %s", uploadTime)
	case <-ctx.Done():
		return uploaded{}, turn(whyBusy, "the server is shutting down")
	case <-p.ctx.Done():
		return uploaded{}, turn(whyBusy, "the server is shutting down")
	}
	switch got.code {
	case mqtt.Success:
	case mqtt.NotAuthorized:
		return uploaded{}, turn(whyForbidden, "the device may not publish to %s", clip(topic))
	case mqtt.TopicNameInvalid:
		return uploaded{}, turn(whyMalformed, "%s is not a topic, or longer or deeper than devices may use", clip(topic))
	case mqtt.ServerShuttingDown:
		return uploaded{}, turn(whyBusy, "the server is shutting down")
	default:
		return uploaded{}, turn(whyFailed, "the message could not be stored")
	}
	up := uploaded{id: p.entrance.messageID(now)}
	if len(got.replies) > 0 {
		up.reply = got.replies[0].Payload
	}
	return up, nil
}
