package platform

import (
	"bytes"
	"errors"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// gatewayCall is one request of a gateway while it is served. Its members outlive
// the message.
type gatewayCall struct {
	p      *Platform
	d      *device // the gateway
	t      alink.Topic
	x      *broker.Exchange
	id     string
	ack    bool
	params devjson.Value
}

// gateway takes the requests that only a gateway makes to a worker: they read or
// write records. The requests of one gateway are served in their order.
func (p *Platform) gateway(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	c := &gatewayCall{p: p, d: d, t: t, x: x}
	if !d.gatewayNode() {
		if c.read(w, x.Payload) {
			c.reply(alink.CodeForbidden, nil, "product "+d.product.key+" is not a gateway product, or was none when the device connected")
		}
		return true
	}
	payload := bytes.Clone(x.Payload)
	queued := d.subs.run(p, func() {
		w := workers.Get().(*worker)
		defer workers.Put(w)
		if !c.read(w, payload) || c.serve() {
			x.Done(nil)
		}
	})
	if !queued {
		if c.read(w, x.Payload) {
			c.reply(alink.CodeBusy, nil, "")
		}
		return true
	}
	return false
}

// read decodes the request; a failure is answered.
func (c *gatewayCall) read(w *worker, payload []byte) bool {
	err := w.decoder.Request(payload, &w.request)
	c.ack = true
	if err != nil {
		code := alink.CodeNotJSON
		var e *alink.EnvelopeError
		if errors.As(err, &e) {
			code = e.Code
		}
		c.refuse(code, err.Error())
		return false
	}
	c.id, c.ack, c.params = string([]byte(w.request.ID)), w.request.Ack, w.request.Params
	return true
}

// session tells whether the request came on /ext/session, whose replies have a form
// of their own.
func (c *gatewayCall) session() bool {
	switch c.t.Kind {
	case alink.SessionLogin, alink.SessionBatchLogin, alink.SessionLogout, alink.SessionBatchLogout:
		return true
	}
	return false
}

func (c *gatewayCall) payload(code alink.Code, data []byte, message string) []byte {
	if c.session() {
		return alink.AppendSessionReply(nil, code, data, c.id, message)
	}
	return alink.AppendReply(nil, code, data, c.id, message, c.t.Method(), "")
}

// refuse answers a request that cannot be read; why is for the gateway's log.
func (c *gatewayCall) refuse(code alink.Code, why string) {
	c.p.remark(c.d, c.t, code, why)
	c.reply(code, nil, "")
}

// reply answers the request, unless its sender wants no reply. A refusal is in the
// gateway's log.
func (c *gatewayCall) reply(code alink.Code, data []byte, message string) {
	if c.ack {
		c.x.Reply([]byte(c.t.ReplyTopic()), c.payload(code, data, message))
	}
	if code != alink.CodeSuccess {
		c.p.remark(c.d, c.t, code, message)
	}
	if code != alink.CodeSuccess && c.p.noise.allow(c.p.now().Unix()) {
		if message == "" {
			message = code.Message()
		}
		c.p.logger.Info("a gateway's request was refused", "gateway", c.d.pk+"/"+c.d.dn, "topic", clip(c.t.String()),
			"code", int(code), "message", clip(message))
	}
}

// serve reports whether the exchange is done.
func (c *gatewayCall) serve() (done bool) {
	switch c.t.Kind {
	case alink.SessionLogin:
		return c.login(false)
	case alink.SessionBatchLogin:
		return c.login(true)
	case alink.SessionLogout, alink.SessionBatchLogout:
		return c.logout()
	case alink.TopoAdd:
		c.topoAdd()
	case alink.TopoDelete:
		c.topoDelete()
	case alink.TopoGet:
		c.topoGet()
	case alink.ListFound:
		c.listFound()
	case alink.SubRegister:
		c.subRegister()
	case alink.SubUnregister:
		c.subUnregister()
	case alink.ProductRegister:
		c.productRegister()
	}
	return true
}

// The limits of one message.
const (
	maxBatchLogin = 50
	maxSubsInCall = 30
)

// appendIdentity appends the two names of a device as an object, in either order:
// the cloud's examples have both.
func appendIdentity(dst []byte, pk, dn string, productFirst bool) []byte {
	if productFirst {
		dst = append(dst, `{"productKey":`...)
		dst = devjson.AppendString(dst, pk)
		dst = append(dst, `,"deviceName":`...)
		dst = devjson.AppendString(dst, dn)
		return append(dst, '}')
	}
	dst = append(dst, `{"deviceName":`...)
	dst = devjson.AppendString(dst, dn)
	dst = append(dst, `,"productKey":`...)
	dst = devjson.AppendString(dst, pk)
	return append(dst, '}')
}

func appendIdentities(ids []deviceID, productFirst bool) []byte {
	out := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendIdentity(out, id.pk, id.dn, productFirst)
	}
	return append(out, ']')
}

// elements calls f for the elements of an array, or once for a single object.
func elements(v devjson.Value, f func(v devjson.Value)) {
	if v.Kind() == devjson.Object {
		f(v)
		return
	}
	for i := range v.Len() {
		f(v.Index(i))
	}
}

// count is how many elements elements has.
func count(v devjson.Value) int {
	switch v.Kind() {
	case devjson.Object:
		return 1
	case devjson.Array:
		return v.Len()
	}
	return 0
}

// loginRate counts the logins of one sub-device within a minute.
type loginRate struct {
	since time.Time
	n     int
}

// allow reports whether a sub-device may log in once more this minute.
func (s *subSessions) allow(key string, now time.Time, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rate == nil || len(s.rate) > cachedDevices {
		s.rate = make(map[string]*loginRate)
	}
	r := s.rate[key]
	if r == nil || now.Sub(r.since) >= time.Minute {
		r = &loginRate{since: now}
		s.rate[key] = r
	}
	r.n++
	return r.n <= most
}

// login logs sub-devices in: all or, if one is refused, none (spec/gateway.md
// §6.1, §6.2).
func (c *gatewayCall) login(batch bool) (done bool) {
	list, method := c.params, ""
	if batch {
		method, _ = c.params.Get("signMethod").Str()
		list = c.params.Get("deviceList")
	}
	if n := count(list); n == 0 || n > maxBatchLogin || !batch && list.Kind() != devjson.Object {
		c.reply(alink.CodeParameter, nil, "")
		return true
	}
	data := func(ids []deviceID) []byte {
		if batch {
			return appendIdentities(ids, true)
		}
		return appendIdentity(nil, ids[0].pk, ids[0].dn, false)
	}
	var subs []*device
	var clean []bool
	var ids, bad []deviceID
	seen := map[string]bool{}
	worst, why := alink.CodeSuccess, ""
	elements(list, func(v devjson.Value) {
		s, ok := alink.ParseSubDevice(v, method)
		if !ok {
			if worst == alink.CodeSuccess {
				worst = alink.CodeParameter
			}
			return
		}
		id := deviceID{s.ProductKey, s.DeviceName}
		sub, code, message := c.judgeLogin(&s)
		if code != alink.CodeSuccess {
			bad = append(bad, id)
			if worst == alink.CodeSuccess {
				worst, why = code, message
			}
			return
		}
		ids = append(ids, id)
		if !seen[sub.key] {
			seen[sub.key] = true
			subs, clean = append(subs, sub), append(clean, s.CleanSession)
		}
	})
	if worst == alink.CodeSuccess && c.tooMany(subs) {
		worst, bad = alink.CodeTooManyOnline, ids
	}
	if worst != alink.CodeSuccess {
		if len(bad) == 0 {
			c.reply(worst, nil, why)
			return true
		}
		c.reply(worst, data(bad), why)
		return true
	}
	var left atomic.Int32
	left.Store(int32(len(subs)))
	for i, sub := range subs {
		c.p.carry(sub, clean[i], func() {
			if left.Add(-1) == 0 {
				c.reply(alink.CodeSuccess, data(ids), "")
				c.x.Done(nil)
			}
		})
	}
	return false
}

// tooMany reports whether the gateway would have more sub-devices online than it
// may.
func (c *gatewayCall) tooMany(more []*device) bool {
	g := c.d.subs
	g.mu.RLock()
	defer g.mu.RUnlock()
	n := len(g.online)
	for _, s := range more {
		if g.online[deviceID{s.pk, s.dn}] == nil {
			n++
		}
	}
	return n > c.p.settings.Load().SubDevices
}

// judgeLogin checks one login and makes the principal of it.
func (c *gatewayCall) judgeLogin(s *alink.SubDevice) (*device, alink.Code, string) {
	p, d := c.p, c.d
	if s.ProductKey == d.pk && s.DeviceName == d.dn {
		return nil, alink.CodeTopologySelf, ""
	}
	if !p.subs.allow(DeviceKey(s.ProductKey, s.DeviceName), p.now(), p.settings.Load().SubLogins) {
		return nil, alink.CodeTooManyRequests, ""
	}
	e, code := c.entry(s.ProductKey, s.DeviceName)
	switch {
	case code != alink.CodeSuccess:
		return nil, code, ""
	case !s.Signed(e.secret.Reveal()):
		return nil, alink.CodeInvalidSign, ""
	case !e.enabled:
		return nil, alink.CodeDeviceForbidden, ""
	}
	switch g, err := p.store.GatewayOf(p.ctx, e.id); {
	case errors.Is(err, store.ErrNotFound), err == nil && g.ID != d.id:
		return nil, alink.CodeNoTopology, ""
	case err != nil:
		p.storeFailed(err)
		return nil, alink.CodeServer, ""
	}
	sub := newDevice(e, s.ProductKey, s.DeviceName, d.ext, p.now())
	sub.strict = d.strict
	sub.gateway, sub.subs = d, nil
	return sub, alink.CodeSuccess, ""
}

// entry reads a device for one of the gateway's requests.
func (c *gatewayCall) entry(pk, dn string) (*deviceEntry, alink.Code) {
	e, err := c.p.cachedEntry(pk, dn)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, alink.CodeDeviceNotFound
	case err != nil:
		c.p.storeFailed(err)
		return nil, alink.CodeServer
	}
	return e, alink.CodeSuccess
}

// logout ends logins. Those that there are end, whatever becomes of the others.
func (c *gatewayCall) logout() (done bool) {
	batch := c.t.Kind == alink.SessionBatchLogout
	list := c.params
	if batch && list.Kind() == devjson.Object && list.Get("deviceList").Exists() {
		list = list.Get("deviceList") // as in batch_login
	}
	if n := count(list); n == 0 || n > maxBatchLogin {
		c.reply(alink.CodeParameter, nil, "")
		return true
	}
	var subs []*device
	var ids []deviceID
	code := alink.CodeSuccess
	elements(list, func(v devjson.Value) {
		pk, _ := v.Get("productKey").Str()
		dn, _ := v.Get("deviceName").Str()
		if pk == "" || dn == "" || len(pk) > maxName || len(dn) > maxName {
			code = alink.CodeParameter
			return
		}
		t := alink.Topic{ProductKey: string([]byte(pk)), DeviceName: string([]byte(dn))}
		ids = append(ids, deviceID{t.ProductKey, t.DeviceName})
		if s := c.d.subOf(&t); s != nil {
			subs = append(subs, s)
			return
		}
		if code == alink.CodeSuccess {
			code = alink.CodeNoSession
		}
	})
	var left atomic.Int32
	left.Store(int32(len(subs)) + 1)
	one := func() {
		if left.Add(-1) != 0 {
			return
		}
		var data []byte
		switch {
		case batch:
			data = appendIdentities(ids, true)
		case len(ids) > 0:
			data = appendIdentity(nil, ids[0].pk, ids[0].dn, false)
		}
		c.reply(code, data, "")
		c.x.Done(nil)
	}
	for _, s := range subs {
		if !c.p.putDown(s, one) {
			one()
		}
	}
	one()
	return false
}
