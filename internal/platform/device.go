package platform

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/rate"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/internal/transport"
)

// deviceEntry is what a login needs of a device, in memory.
type deviceEntry struct {
	id      int64
	secret  store.Secret
	enabled bool
	product *product
	// activated is set when the record of the device says that it has been online, or
	// is about to.
	activated atomic.Bool
	// revoked is set when the device has been changed since this was read: a login
	// decided by it must not stand.
	revoked atomic.Bool
}

// device is a logged-in device: the principal of its connection and its rights.
type device struct {
	id      int64
	pk, dn  string
	key     string
	product *product
	entry   *deviceEntry
	ext     int  // bitmap of the client id's ext parameter
	raw     bool // this message came as bytes, and so goes the answer
	since   time.Time
	gateway *device     // it is logged in through, nil for a connection of its own
	subs    *subDevices // of a gateway, else nil
	// certified: it logged in with a certificate and is told who it is
	certified bool
	strict    bool        // the cloud's limits hold
	shadows   rate.Bucket // requests to its shadow; of its connection's loop
	// prefixes of the topics it may use
	sys, custom string
}

func newDevice(e *deviceEntry, pk, dn string, ext int, now time.Time) *device {
	d := &device{
		id: e.id, pk: pk, dn: dn, key: DeviceKey(pk, dn), product: e.product, entry: e, ext: ext, since: now,
		sys: "/sys/" + pk + "/" + dn + "/", custom: "/" + pk + "/" + dn + "/",
	}
	if e.product.nodeType() == string(store.NodeGateway) {
		d.subs = new(subDevices)
	}
	return d
}

// entry reads a device for a login, from the database. It may block.
func (p *Platform) entry(ctx context.Context, pk, dn string) (*deviceEntry, error) {
	generation := p.generation.Load()
	c, err := p.store.Credentials(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	pr, err := p.productOf(ctx, pk)
	if err != nil {
		return nil, err
	}
	e := &deviceEntry{id: c.Device.ID, secret: c.Secret, enabled: c.Device.Enabled, product: pr}
	e.activated.Store(!c.Device.ActivatedAt.IsZero())
	key := DeviceKey(pk, dn)
	p.devices.Set(key, e)
	if p.generation.Load() != generation { // it may have changed since it was read
		e.revoked.Store(true)
		p.devices.Invalidate(key)
	}
	return e, nil
}

// cachedEntry is entry, from memory if it is there.
func (p *Platform) cachedEntry(pk, dn string) (*deviceEntry, error) {
	if e, ok := p.devices.GetIfPresent(DeviceKey(pk, dn)); ok {
		return e, nil
	}
	return p.entry(p.ctx, pk, dn)
}

// changed forgets what is in memory of a device.
func (p *Platform) changed(pk, dn string) {
	p.generation.Add(1)
	if e, ok := p.devices.GetIfPresent(DeviceKey(pk, dn)); ok {
		e.revoked.Store(true)
	}
	p.devices.Invalidate(DeviceKey(pk, dn))
	p.passes.revoke(DeviceKey(pk, dn))
}

// seen records that a device is online, from an address.
func (p *Platform) seen(d *device, addr string) {
	if d.entry.activated.CompareAndSwap(false, true) {
		p.store.Activate(d.id, p.now(), addr)
		return
	}
	p.store.SetOnline(d.id, p.now(), addr)
}

// Connected notes that a client is there.
func (p *Platform) Connected(c broker.Connection) {
	if d, ok := c.Principal.(*device); ok {
		p.gatewayConnected(d, c.Remote.String())
		if d.certified {
			p.tellIdentity(d)
		}
		p.presentMu.Lock()
		p.present[d.key] = d.ext
		p.presentMu.Unlock()
		if d.entry.revoked.Load() { // changed while it was logging in; whoever changed it did not see the connection
			p.broker.Disconnect(d.key)
		}
		p.seen(d, transport.PeerName(c.Remote))
		p.files.came(d.key, c)
		p.greetLater(d)
		p.logger.LogAttrs(p.ctx, slog.LevelInfo, "device online", slog.String("productKey", d.pk), slog.String("deviceName", d.dn),
			slog.String("remote", transport.PeerName(c.Remote)), slog.String("transport", c.Kind.String()), slog.String("mqtt", c.Version.String()))
		return
	}
	if g, ok := c.Principal.(*registration); ok {
		p.registered(g)
		return
	}
	if u, ok := c.Principal.(*user); ok {
		if u.revoked.Load() {
			p.broker.Disconnect(c.Key)
		}
	}
	p.logger.Info("application online", "clientId", c.ClientID, "remote", c.Remote, "transport", c.Kind.String(), "mqtt", c.Version.String())
}

// Disconnected notes that a client is gone.
func (p *Platform) Disconnected(c broker.Connection, cause string) {
	if d, ok := c.Principal.(*device); ok {
		p.gatewayGone(d)
		p.files.went(d.key, c)
		if !p.broker.Online(d.key) { // no other unit of it is there
			p.presentMu.Lock()
			delete(p.present, d.key)
			p.presentMu.Unlock()
			p.store.SetOffline(d.id, p.now(), transport.PeerName(c.Remote))
		}
		p.logger.LogAttrs(p.ctx, slog.LevelInfo, "device offline", slog.String("productKey", d.pk), slog.String("deviceName", d.dn), slog.String("cause", cause))
		return
	}
	if _, ok := c.Principal.(*registration); ok {
		return
	}
	p.logger.Info("application offline", "clientId", c.ClientID, "cause", cause)
}

// Publish decides what a device may publish to (spec/topics.md §9): its own
// uplink topics and its own custom topics, and if it is a gateway those of the
// sub-devices that are logged in through it. Names are compared byte for byte.
func (d *device) Publish(topic string) broker.Decision {
	t, ok := alink.ParseTopic(topic)
	if !ok || d.strict && tooDeep(&t, topic) {
		return broker.Deny
	}
	if decision := d.publish(&t); decision != broker.Deny || d.subs == nil {
		return decision
	}
	if s := d.subOf(&t); s != nil {
		return s.publish(&t)
	}
	if d.mayAnswer(&t) {
		return broker.System
	}
	return broker.Deny
}

// cloudSlashes is how many slashes a custom topic has at most on the cloud
// (spec/connect.md §14).
const cloudSlashes = 7

func tooDeep(t *alink.Topic, topic string) bool {
	return t.Kind == alink.Custom && strings.Count(topic, "/") > cloudSlashes
}

func (d *device) publish(t *alink.Topic) broker.Decision {
	switch t.Kind {
	case alink.Custom:
		if t.Of(d.pk, d.dn) {
			return broker.Route
		}
		return broker.Deny
	case alink.Broadcast:
		return broker.Deny
	case alink.ExtRRPC:
		if d.within(t.Suffix) {
			return broker.System
		}
		return broker.Deny
	}
	if !t.Of(d.pk, d.dn) || t.Direction() == alink.Down {
		return broker.Deny
	}
	return broker.System
}

// within reports whether a topic inside an ExtRRPC topic is the device's own.
func (d *device) within(inner string) bool {
	t, ok := alink.ParseTopic(inner)
	return ok && t.Of(d.pk, d.dn)
}

// Subscribe reports whether a filter reaches nothing but what the device may
// receive. Filters without an identity (/ext/rrpc/#) are granted; the engine
// delivers system topics to the device they belong to and to no other.
func (d *device) Subscribe(filter string) bool {
	t, ok := alink.ParseTopic(filter)
	if ok && d.strict && tooDeep(&t, filter) {
		return false
	}
	if d.subscribe(filter) {
		return true
	}
	if d.subs != nil {
		if ok {
			if s := d.subOf(&t); s != nil {
				return s.subscribe(filter)
			}
		}
	}
	return false
}

func (d *device) subscribe(filter string) bool {
	switch {
	case hasPrefix(filter, d.sys), hasPrefix(filter, d.custom):
		return true
	case hasPrefix(filter, "/broadcast/"+d.pk+"/"), hasPrefix(filter, "/ext/rrpc/"), hasPrefix(filter, "/ext/network/probe/"):
		return true
	}
	switch filter {
	case "/ext/register", "/ext/regnwl", "/ext/auth/identity/response":
		return true
	}
	own := d.pk + "/" + d.dn
	for _, root := range [...]string{"/ext/", "/ota/device/", "/shadow/"} {
		if !hasPrefix(filter, root) {
			continue
		}
		rest := filter[len(root):]
		word := level(rest)
		if word == "" || word == "#" || len(word) == len(rest) {
			return false
		}
		rest = rest[len(word)+1:]
		return rest == own || hasPrefix(rest, own+"/")
	}
	return false
}

// Receive reports whether a message that waited may be delivered.
func (d *device) Receive(topic string) bool { return true }

func hasPrefix(s, prefix string) bool { return len(s) > len(prefix) && s[:len(prefix)] == prefix }

func level(s string) string {
	for i := range len(s) {
		if s[i] == '/' {
			return s[:i]
		}
	}
	return s
}

// Implicit names the device that gets a system topic without having subscribed
// (spec/topics.md §1).
func (p *Platform) Implicit(topic string) string {
	if len(topic) < 6 || topic[0] != '/' {
		return ""
	}
	switch level(topic[1:]) {
	case "sys", "ext", "ota", "shadow":
	default:
		return ""
	}
	t, ok := alink.ParseTopic(topic)
	if !ok || !t.System() {
		return ""
	}
	if t.Kind == alink.ExtRRPC {
		if t, ok = alink.ParseTopic(t.Suffix); !ok || t.ProductKey == "" || t.DeviceName == "" {
			return ""
		}
		return DeviceKey(t.ProductKey, t.DeviceName)
	}
	if t.ProductKey == "" || t.DeviceName == "" || t.Direction() == alink.Up || t.Direction() == alink.Neither {
		return ""
	}
	return DeviceKey(t.ProductKey, t.DeviceName)
}
