package platform

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/coap"
	"github.com/linkstead/linkstead/internal/store"
)

// maxDatagram is the largest message of a device that speaks CoAP, in bytes, and the
// largest answer (spec/services.md §15).
const maxDatagram = 1 << 10

// firstSeq is the first sequence number of a symmetric session.
const firstSeq = 1

// ServeCoAP answers the CoAP requests of devices (spec/services.md §15): over DTLS, or
// with a session that is encrypted by itself.
func (p *Platform) ServeCoAP(ctx context.Context, r *coap.Request) coap.Response {
	upload := strings.HasPrefix(r.Path, "/topic/")
	switch {
	case !upload && r.Path != "/auth":
		return coap.Response{Code: coap.NotFound}
	case r.Method != coap.POST:
		return coap.Response{Code: coap.MethodNotAllowed}
	case upload:
		return p.uploadCoAP(ctx, r)
	}
	return p.authCoAP(r)
}

// coapCode is the code of a reason.
func coapCode(w why) coap.Code {
	switch w {
	case whyMalformed:
		return coap.BadRequest
	case whyRefused:
		return coap.Unauthorized
	case whyDisabled, whyForbidden:
		return coap.Forbidden
	case whyTooMany, whyBusy:
		return coap.Unavailable
	}
	return coap.ServerError
}

func doorOf(r *coap.Request) string {
	if r.Secure {
		return doorCoAPS
	}
	return doorCoAP
}

// authCoAP gives a device a token, and without DTLS what the key of the session is
// made of. A refusal has no words: who has no session cannot read them, and C SDK 3
// decrypts whatever comes.
func (p *Platform) authCoAP(r *coap.Request) coap.Response {
	switch {
	case r.Format != coap.JSON && r.Format != coap.None:
		return coap.Response{Code: coap.UnsupportedFormat}
	case r.Accept != coap.JSON && r.Accept != coap.None:
		return coap.Response{Code: coap.NotAcceptable}
	case len(r.Payload) > maxDatagram:
		return coap.Response{Code: coap.TooLarge}
	}
	peer := r.Remote.String()
	c, err := readCredentials(r.Payload)
	if err == nil && !r.Secure && !c.hasSeq {
		err = turn(whyMalformed, "seq is needed without DTLS")
	}
	if err == nil && r.Identity != "" {
		if who, problem := alink.ParsePSKIdentity(r.Identity); problem != nil || who.ProductKey != c.pk || who.DeviceName != c.dn {
			err = turn(whyDisabled, "the DTLS session is that of %s, not of the device in the body", clip(r.Identity))
		}
	}
	if err != nil {
		p.turnedAway(doorOf(r), peer, c.dn+"&"+c.pk, c.clientID, err)
		return coap.Response{Code: coapCode(err.why)}
	}
	x, err := p.enter(c, doorOf(r), r.Remote.Addr().String(), peer)
	if err != nil {
		return coap.Response{Code: coapCode(err.why)}
	}
	out := []byte{'{'}
	if x.key != nil {
		out = append(devjson.AppendString(append(out, `"random":`...), x.random), `,"seqOffset":`...)
		out = append(strconv.AppendInt(out, firstSeq, 10), ',')
	}
	out = append(devjson.AppendString(append(out, `"token":`...), x.token), '}')
	return coap.Response{Code: coap.Content, Format: coap.JSON, Payload: out, Known: x.isProven()}
}

// uploadCoAP takes a message of a device that shows its token.
func (p *Platform) uploadCoAP(ctx context.Context, r *coap.Request) coap.Response {
	x, _ := p.passes.find(r.Token, p.now())
	if x == nil || x.door != doorOf(r) {
		return coap.Response{Code: coap.Unauthorized}
	}
	code, up, err := p.takeCoAP(ctx, x, r)
	if err != nil {
		if code == 0 {
			code = coapCode(err.why)
		}
		return x.sealed(coap.Response{Code: code, Format: coap.Text, Payload: []byte(clip(err.cause))})
	}
	a := coap.Response{Code: coap.Content, Format: coap.JSON, MessageID: strconv.FormatInt(up.id, 10)}
	if r.Accept == coap.OctetStream {
		a.Format = coap.OctetStream
	}
	if !x.silent {
		a.Payload = up.reply
	}
	return x.sealed(a)
}

// sealed encrypts what an answer says, if the session does that.
func (x *pass) sealed(a coap.Response) coap.Response {
	a.Known = x.isProven()
	if x.key != nil && len(a.Payload) > 0 {
		a.Payload = x.key.Encrypt(a.Payload)
	}
	return a
}

// takeCoAP checks a message and publishes it. A code other than 0 is that of the
// refusal; otherwise the reason has it.
func (p *Platform) takeCoAP(ctx context.Context, x *pass, r *coap.Request) (coap.Code, uploaded, *turned) {
	refuse := func(code coap.Code, w why, format string, a ...any) (coap.Code, uploaded, *turned) {
		err := turn(w, format, a...)
		p.remarkPass(x, err)
		return code, uploaded{}, err
	}
	if r.Identity != "" {
		if who, err := alink.ParsePSKIdentity(r.Identity); err != nil || who.ProductKey != x.d.pk || who.DeviceName != x.d.dn {
			return refuse(coap.Unauthorized, whyRefused, "the token was shown in the DTLS session of %s", clip(r.Identity))
		}
	}
	payload := r.Payload
	if x.key != nil {
		n, err := x.key.DecryptSeq(r.Seq)
		if err != nil {
			return refuse(coap.Unauthorized, whyRefused, "%v", err)
		}
		if len(payload) > 0 {
			if payload, err = x.key.Decrypt(payload); err != nil {
				return refuse(0, whyMalformed, "the payload: %v", err)
			}
		}
		if !x.use(n) {
			return refuse(coap.Unauthorized, whyRefused, "sequence number %d was used before; the next has to be greater", n)
		}
		if p.passes.prove(x) {
			p.arrived(x, r.Remote.String())
		}
	}
	if len(payload) > maxDatagram {
		return refuse(coap.TooLarge, whyMalformed, "the message has %d bytes; %d are the most", len(payload), maxDatagram)
	}
	switch r.Format {
	case coap.None, coap.Text, coap.JSON, coap.OctetStream:
	default:
		return refuse(coap.UnsupportedFormat, whyMalformed, "Content-Format %d is not offered; 50 is JSON, 42 bytes", r.Format)
	}
	switch r.Accept {
	case coap.None, coap.JSON, coap.OctetStream:
	default:
		return refuse(coap.NotAcceptable, whyMalformed, "no answer can be made in format %d, which Accept asks for", r.Accept)
	}
	topic := strings.TrimPrefix(r.Path, "/topic")
	for _, q := range r.Query {
		if strings.HasPrefix(q, "_sn=") { // spec/topics.md §10
			topic += "?" + q
			break
		}
	}
	qos := byte(0)
	if r.Confirmable {
		qos = 1
	}
	up, err := p.upload(ctx, x, topic, payload, qos)
	if err == nil && len(up.reply) > maxDatagram && !x.silent {
		return refuse(0, whyFailed, "the reply has %d bytes, more than fit; the device has to ask over MQTT or HTTPS", len(up.reply))
	}
	return 0, up, err
}

// psks remembers how devices write the digits of their key for DTLS, which only the
// end of a handshake tells.
type psks struct {
	mu sync.Mutex
	of map[string]*pskCase
}

type pskCase struct {
	small bool // letters, as of the latest handshake
	known bool // that is how this device does it
}

// maxPSKs bounds what is remembered. Beyond, it is found out again.
const maxPSKs = 10_000

// next is which case the next handshake is tried with: capitals first, and as long as
// none has succeeded the other one each time.
func (s *psks) next(identity string) (small bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.of[identity]
	switch {
	case c == nil:
		if s.of == nil || len(s.of) >= maxPSKs {
			s.of = make(map[string]*pskCase)
		}
		c = new(pskCase)
		s.of[identity] = c
	case !c.known:
		c.small = !c.small
	}
	return c.small
}

func (s *psks) succeeded(identity string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.of[identity]; c != nil {
		c.known = true
	}
}

// PSK is the key of a device that names itself in a DTLS handshake (spec/connect.md
// §9.4).
func (p *Platform) PSK(identity string) ([]byte, error) {
	who, err := alink.ParsePSKIdentity(identity)
	if err != nil {
		return nil, err
	}
	e, err := p.cachedEntry(who.ProductKey, who.DeviceName)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, errors.New(p.unknownDevice(who.ProductKey, who.DeviceName).Cause)
	case err != nil:
		p.storeFailed(err)
		return nil, err
	case !e.enabled:
		return nil, fmt.Errorf("the device is disabled; enable it: linkstead device enable %s/%s", who.ProductKey, who.DeviceName)
	}
	return who.Key(e.secret.Reveal(), !p.entrance.psks.next(identity)), nil
}

// PSKEnded records how a handshake ended. A key that is wrong shows in that the client
// is not understood.
func (p *Platform) PSKEnded(identity, remote string, err error) {
	if err == nil {
		p.entrance.psks.succeeded(identity)
		return
	}
	name := identity
	if who, problem := alink.ParsePSKIdentity(identity); problem == nil {
		name = who.DeviceName + "&" + who.ProductKey
	}
	p.turnedAway(doorCoAPS, remote, name, identity, turn(whyRefused, "the DTLS handshake of PSK identity %s failed: %v; its key is the HMAC of id{productKey}&{deviceName}timestamp{…} under the DeviceSecret, in hex", clip(identity), err))
}

var _ coap.Handler = (*Platform)(nil)
