package platform

import (
	"context"
	"strings"
	"sync"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// A sub-device is a device like any other, with its triple, queue, rights and
// history, but without a connection: a gateway logs it in and speaks for it
// (spec/gateway.md). The principal of its login is a device whose gateway is set.

// deviceID names a device without making a string of it.
type deviceID struct{ pk, dn string }

// subDevices is what a gateway's login keeps of its sub-devices.
type subDevices struct {
	mu     sync.RWMutex
	online map[deviceID]*device
	// noticed are sub-devices whose gateway was told of a change of theirs: it may
	// answer on their topics though they are not logged in.
	noticed map[deviceID]struct{}
	// refused is when the gateway was last told that a message for a sub-device
	// was refused, in Unix seconds.
	refused map[deviceID]int64
	remote  string // address of the connection

	jobs    []func()
	working bool
}

// maxGatewayJobs is how many requests of one gateway wait at most. Beyond, it is
// told that the server is busy.
const maxGatewayJobs = 256

// maxRemembered bounds noticed and refused.
const maxRemembered = 4096

// sessions are the sub-devices that are logged in, by session key. Its mutex is
// taken before that of a subDevices.
type subSessions struct {
	mu       sync.Mutex
	m        map[string]*device
	gateways map[string]*device // logged-in gateways by session key
	rate     map[string]*loginRate
}

// isGateway reports whether a login is that of a gateway.
func isGateway(principal any) bool {
	d, ok := principal.(*device)
	return ok && d.subs != nil
}

func (d *device) gatewayNode() bool {
	return d.subs != nil && d.product.nodeType() == string(store.NodeGateway)
}

// subOf returns the logged-in sub-device that a topic belongs to, nil if there is
// none.
func (d *device) subOf(t *alink.Topic) *device {
	if d.subs == nil || t.DeviceName == "" {
		return nil
	}
	d.subs.mu.RLock()
	defer d.subs.mu.RUnlock()
	return d.subs.online[deviceID{t.ProductKey, t.DeviceName}]
}

// ActsFor names the session of the logged-in sub-device that a topic or filter
// belongs to.
func (d *device) ActsFor(topic string) string {
	if d.subs == nil {
		return ""
	}
	t, ok := alink.ParseTopic(topic)
	if !ok || t.Of(d.pk, d.dn) {
		return ""
	}
	if s := d.subOf(&t); s != nil {
		return s.key
	}
	return ""
}

var _ broker.Carrier = (*device)(nil)

// mayAnswer reports whether a topic is the answer to a notice about a sub-device.
func (d *device) mayAnswer(t *alink.Topic) bool {
	if d.subs == nil || !t.Reply {
		return false
	}
	switch t.Kind {
	case alink.ThingDisable, alink.ThingEnable, alink.ThingDelete:
	default:
		return false
	}
	d.subs.mu.RLock()
	defer d.subs.mu.RUnlock()
	_, noticed := d.subs.noticed[deviceID{t.ProductKey, t.DeviceName}]
	return noticed
}

// run has f called on a worker, after those that were handed over before. It
// reports false if too many wait.
func (g *subDevices) run(p *Platform, f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.jobs) >= maxGatewayJobs {
		return false
	}
	if !g.working {
		if !later(p.lookup, func() { g.work() }) {
			return false
		}
		g.working = true
	}
	g.jobs = append(g.jobs, f)
	return true
}

func (g *subDevices) work() {
	for {
		g.mu.Lock()
		if len(g.jobs) == 0 {
			g.working, g.jobs = false, nil
			g.mu.Unlock()
			return
		}
		f := g.jobs[0]
		g.jobs[0] = nil
		g.jobs = g.jobs[1:]
		g.mu.Unlock()
		f()
	}
}

// gatewayConnected notes a gateway's connection, and that a device which logs in
// by itself is not carried any more.
func (p *Platform) gatewayConnected(d *device, remote string) {
	p.subs.mu.Lock()
	if d.subs != nil {
		d.subs.remote = remote
		p.subs.gateways[d.key] = d
	}
	carried := p.subs.m[d.key]
	if carried != nil {
		p.subs.take(carried)
	}
	p.subs.mu.Unlock()
	if carried != nil {
		p.pushSubError(carried.gateway, alink.CodeKicked, d.pk, d.dn)
	}
}

// gatewayGone ends the logins of a gateway's sub-devices.
func (p *Platform) gatewayGone(d *device) {
	if d.subs == nil {
		return
	}
	p.subs.mu.Lock()
	if p.subs.gateways[d.key] == d {
		delete(p.subs.gateways, d.key)
	}
	d.subs.mu.Lock()
	gone := d.subs.online
	d.subs.online = nil
	d.subs.mu.Unlock()
	for _, s := range gone {
		if p.subs.m[s.key] == s {
			delete(p.subs.m, s.key)
		}
	}
	p.subs.mu.Unlock()
	for _, s := range gone {
		p.subOffline(s)
	}
	if len(gone) > 0 {
		p.logger.Info("sub-devices offline", "gateway", d.pk+"/"+d.dn, "count", len(gone), "cause", "the gateway's connection ended")
	}
}

// put notes a login; it reports false if the gateway is gone. The caller holds mu.
func (s *subSessions) put(sub *device) bool {
	g := sub.gateway
	if s.gateways[g.key] != g {
		return false
	}
	s.m[sub.key] = sub
	g.subs.mu.Lock()
	defer g.subs.mu.Unlock()
	if g.subs.online == nil {
		g.subs.online = make(map[deviceID]*device)
	}
	g.subs.online[deviceID{sub.pk, sub.dn}] = sub
	return true
}

// take removes a login. The caller holds mu.
func (s *subSessions) take(sub *device) {
	if s.m[sub.key] == sub {
		delete(s.m, sub.key)
	}
	g := sub.gateway.subs
	g.mu.Lock()
	defer g.mu.Unlock()
	if id := (deviceID{sub.pk, sub.dn}); g.online[id] == sub {
		delete(g.online, id)
	}
}

// carry makes devices online through a gateway; sign in for it has been checked.
// done is called once for each, on an event loop.
func (p *Platform) carry(sub *device, clean bool, done func()) {
	g := sub.gateway
	p.subs.mu.Lock()
	old := p.subs.m[sub.key]
	if old != nil {
		p.subs.take(old)
	}
	p.subs.put(sub)
	// In order with every other change, because the mutex is held.
	p.broker.Carry(g.key, g, sub.key, sub, p.Profile(true), clean, func(carried bool) {
		p.carried(sub, carried)
		done()
	})
	p.subs.mu.Unlock()
	if old != nil && old.gateway.key != g.key {
		p.pushSubError(old.gateway, alink.CodeKicked, sub.pk, sub.dn)
	}
}

// carried goes on with carry when the engine has done it, or not.
func (p *Platform) carried(sub *device, ok bool) {
	p.subs.mu.Lock()
	standing := p.subs.m[sub.key] == sub
	if !ok && standing {
		p.subs.take(sub)
	}
	p.subs.mu.Unlock()
	switch {
	case !ok:
		return
	case !standing: // logged out, or in elsewhere, in the meantime
		p.broker.PutDown(sub.gateway.key, sub.gateway, sub.key, nil)
		return
	}
	p.presentMu.Lock()
	p.present[sub.key] = sub.ext
	p.presentMu.Unlock()
	sub.gateway.subs.mu.RLock()
	remote := sub.gateway.subs.remote
	sub.gateway.subs.mu.RUnlock()
	p.seen(sub, remote)
	p.greetLater(sub)
	p.logger.Info("sub-device online", "productKey", sub.pk, "deviceName", sub.dn, "gateway", sub.gateway.pk+"/"+sub.gateway.dn)
	if sub.entry.revoked.Load() { // changed while it was logging in; whoever changed it did not see the login
		p.endSub(sub.key, alink.CodeDeviceForbidden)
	}
}

// putDown ends a sub-device's login. It reports false if that was no login of now.
// done may be nil.
func (p *Platform) putDown(sub *device, done func()) bool {
	p.subs.mu.Lock()
	defer p.subs.mu.Unlock()
	if p.subs.m[sub.key] != sub {
		return false
	}
	p.subs.take(sub)
	p.broker.PutDown(sub.gateway.key, sub.gateway, sub.key, func() {
		p.subOffline(sub)
		p.logger.Info("sub-device offline", "productKey", sub.pk, "deviceName", sub.dn, "gateway", sub.gateway.pk+"/"+sub.gateway.dn)
		if done != nil {
			done()
		}
	})
	return true
}

// subOffline records that a sub-device is offline, unless it has come back by
// another way.
func (p *Platform) subOffline(sub *device) {
	if p.broker.Online(sub.key) {
		p.subs.mu.Lock()
		back := p.subs.m[sub.key] != nil
		p.subs.mu.Unlock()
		if back {
			return
		}
	}
	p.presentMu.Lock()
	delete(p.present, sub.key)
	p.presentMu.Unlock()
	p.store.SetOffline(sub.id, p.now(), "")
}

// endSub ends the login of a sub-device, if it has one, and tells its gateway why.
func (p *Platform) endSub(key string, code alink.Code) {
	p.subs.mu.Lock()
	sub := p.subs.m[key]
	p.subs.mu.Unlock()
	if sub != nil && p.putDown(sub, nil) {
		p.pushSubError(sub.gateway, code, sub.pk, sub.dn)
	}
}

// pushSubError tells a gateway about the session of a sub-device, on
// /ext/error/{gateway} (spec/gateway.md §7).
func (p *Platform) pushSubError(g *device, code alink.Code, pk, dn string) {
	p.broker.Publish(broker.Message{
		Topic: "/ext/error/" + g.pk + "/" + g.dn, Publisher: "platform",
		Payload: alink.AppendSessionReply(nil, code, appendIdentity(nil, pk, dn, true), "0", ""),
	}, nil)
}

// refusedForSub tells a gateway that a message of it was refused, because the
// sub-device it is for is not logged in through it. It is told once a second for
// one sub-device.
func (p *Platform) refusedForSub(drop broker.Drop) {
	if drop.Topic == "" {
		return
	}
	p.subs.mu.Lock()
	g := p.subs.gateways[drop.Key]
	p.subs.mu.Unlock()
	if g == nil {
		return
	}
	t, ok := alink.ParseTopic(drop.Topic)
	if !ok || t.DeviceName == "" || t.Of(g.pk, g.dn) || g.mayAnswer(&t) {
		return
	}
	id, now := deviceID{strings.Clone(t.ProductKey), strings.Clone(t.DeviceName)}, drop.AtMS/1000
	g.subs.mu.Lock()
	told := g.subs.refused[id] == now
	if !told {
		if g.subs.refused == nil || len(g.subs.refused) >= maxRemembered {
			g.subs.refused = make(map[deviceID]int64)
		}
		g.subs.refused[id] = now
	}
	g.subs.mu.Unlock()
	if !told {
		p.pushSubError(g, alink.CodeNoSession, id.pk, id.dn)
	}
}

// noticeSub tells a device's gateway of a change of the device, on the device's own
// topic and as a change of the topology: status 1 deleted, 2 enabled, 8 disabled
// (spec/gateway.md §5, §8). It does nothing for a device without a gateway.
func (p *Platform) noticeSub(gateway string, kind alink.TopicKind, status int, pk, dn string) {
	p.subs.mu.Lock()
	g := p.subs.gateways[gateway]
	p.subs.mu.Unlock()
	if g == nil {
		return
	}
	g.subs.mu.Lock()
	if g.subs.noticed == nil || len(g.subs.noticed) >= maxRemembered {
		g.subs.noticed = make(map[deviceID]struct{})
	}
	g.subs.noticed[deviceID{pk, dn}] = struct{}{}
	g.subs.mu.Unlock()
	t := alink.Topic{Kind: kind, ProductKey: pk, DeviceName: dn}
	p.broker.Publish(broker.Message{Topic: t.String(), To: g.key, Publisher: "platform",
		Payload: alink.AppendCommand(nil, t.Method(), p.calls.id(), nil, "1.0")}, nil)
	p.topoChange(g.key, g.pk, g.dn, status, []deviceID{{pk, dn}})
}

// gatewayKeyOf is the session key of a device's gateway, "" if it has none.
func (p *Platform) gatewayKeyOf(ctx context.Context, subID int64) string {
	g, err := p.store.GatewayOf(ctx, subID)
	if err != nil {
		return ""
	}
	return DeviceKey(g.ProductKey, g.Name)
}
