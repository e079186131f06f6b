package platform

import (
	"errors"
	"strconv"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// topoAdd takes a gateway's request to be given sub-devices (spec/gateway.md §4.1).
// Each is signed with its own secret. Those that can be added are, and named in
// the reply; if none can, the reply has the first one's code.
func (c *gatewayCall) topoAdd() {
	if n := count(c.params); n == 0 || n > maxSubsInCall {
		c.reply(alink.CodeParameter, nil, "")
		return
	}
	var added []deviceID
	var ids []int64
	worst := alink.CodeSuccess
	fail := func(code alink.Code) {
		if worst == alink.CodeSuccess {
			worst = code
		}
	}
	elements(c.params, func(v devjson.Value) {
		s, ok := alink.ParseSubDevice(v, "")
		if !ok {
			fail(alink.CodeParameter)
			return
		}
		if s.ProductKey == c.d.pk && s.DeviceName == c.d.dn {
			fail(alink.CodeTopologySelf)
			return
		}
		e, code := c.entry(s.ProductKey, s.DeviceName)
		switch {
		case code != alink.CodeSuccess:
			fail(code)
		case !s.Signed(e.secret.Reveal()):
			fail(alink.CodeUnauthorized)
		case !e.enabled:
			fail(alink.CodeDeviceDisabled)
		case e.product.nodeType() == string(store.NodeGateway):
			fail(alink.CodeParameter)
		default:
			added = append(added, deviceID{s.ProductKey, s.DeviceName})
			ids = append(ids, e.id)
		}
	})
	if len(added) == 0 {
		c.reply(worst, nil, "")
		return
	}
	if code := c.p.addTopology(c.d.id, added, ids); code != alink.CodeSuccess {
		c.reply(code, nil, "")
		return
	}
	c.reply(alink.CodeSuccess, appendIdentities(added, false), "")
}

// addTopology makes devices a gateway's, and tells the gateways that had them
// before.
func (p *Platform) addTopology(gatewayID int64, subs []deviceID, ids []int64) alink.Code {
	before, err := p.store.AddTopology(p.ctx, gatewayID, ids, p.settings.Load().SubDevices)
	switch {
	case errors.Is(err, store.ErrLimit):
		return alink.CodeTopologyFull
	case errors.Is(err, store.ErrNotFound):
		return alink.CodeDeviceNotFound
	case err != nil:
		p.storeFailed(err)
		return alink.CodeServer
	}
	for i, old := range before {
		if old != 0 && old != gatewayID {
			p.movedAway(old, subs[i])
		}
	}
	return alink.CodeSuccess
}

// movedAway tells a gateway that a sub-device is its no more.
func (p *Platform) movedAway(gatewayID int64, sub deviceID) {
	p.subs.mu.Lock()
	s := p.subs.m[DeviceKey(sub.pk, sub.dn)]
	p.subs.mu.Unlock()
	if s != nil && s.gateway.id == gatewayID && p.putDown(s, nil) {
		p.pushSubError(s.gateway, alink.CodeNoTopology, sub.pk, sub.dn)
	}
	if g, err := p.store.DeviceByID(p.ctx, gatewayID); err == nil {
		p.topoChange(DeviceKey(g.ProductKey, g.Name), g.ProductKey, g.Name, 1, []deviceID{sub})
	}
}

// topoChange tells a gateway that is connected of a change that it did not ask for:
// status 0 added, 1 removed, 2 enabled, 8 disabled (spec/gateway.md §5).
func (p *Platform) topoChange(key, pk, dn string, status int, subs []deviceID) {
	if !p.broker.Online(key) {
		return
	}
	params := append([]byte(`{"status":`), strconv.Itoa(status)...)
	params = append(params, `,"subList":`...)
	params = append(append(params, appendIdentities(subs, true)...), '}')
	t := alink.Topic{Kind: alink.TopoChange, ProductKey: pk, DeviceName: dn}
	p.broker.Publish(broker.Message{Topic: t.String(), Publisher: "platform",
		Payload: alink.AppendCommand(nil, t.Method(), p.calls.id(), params, "1.0")}, nil)
}

// maxName is the longest name of a product or device that is looked at, in bytes.
const maxName = 256

// named reads a list of devices by their names alone.
func named(v devjson.Value, most int) (ids []deviceID, ok bool) {
	if n := count(v); n == 0 || n > most {
		return nil, false
	}
	ok = true
	elements(v, func(v devjson.Value) {
		pk, _ := v.Get("productKey").Str()
		dn, _ := v.Get("deviceName").Str()
		if pk == "" || dn == "" || len(pk) > maxName || len(dn) > maxName {
			ok = false
			return
		}
		ids = append(ids, deviceID{string([]byte(pk)), string([]byte(dn))})
	})
	return ids, ok
}

// topoDelete takes sub-devices from the gateway; their logins end (spec/gateway.md
// §4.2).
func (c *gatewayCall) topoDelete() {
	subs, ok := named(c.params, maxSubsInCall)
	if !ok {
		c.reply(alink.CodeParameter, nil, "")
		return
	}
	removed, code := c.removeTopology(subs)
	if len(removed) == 0 {
		c.reply(code, nil, "")
		return
	}
	c.reply(alink.CodeSuccess, appendIdentities(removed, false), "")
}

// removeTopology returns the devices that were the gateway's and are no more, and
// the code of the first that was not.
func (c *gatewayCall) removeTopology(subs []deviceID) (removed []deviceID, code alink.Code) {
	code = alink.CodeSuccess
	for _, id := range subs {
		e, why := c.entry(id.pk, id.dn)
		if why == alink.CodeSuccess {
			gone, err := c.p.store.RemoveTopology(c.p.ctx, c.d.id, []int64{e.id})
			switch {
			case err != nil:
				c.p.storeFailed(err)
				why = alink.CodeServer
			case !gone[0]:
				why = alink.CodeNoTopology
			}
		}
		if why != alink.CodeSuccess {
			if code == alink.CodeSuccess {
				code = why
			}
			continue
		}
		removed = append(removed, id)
		t := alink.Topic{ProductKey: id.pk, DeviceName: id.dn}
		if s := c.d.subOf(&t); s != nil {
			c.p.putDown(s, nil)
		}
	}
	return removed, code
}

// topoGet lists the gateway's sub-devices.
func (c *gatewayCall) topoGet() {
	var ids []deviceID
	for after := int64(0); ; {
		page, err := c.p.store.Topology(c.p.ctx, c.d.id, after, 0)
		if err != nil {
			c.p.storeFailed(err)
			c.reply(alink.CodeServer, nil, "")
			return
		}
		for _, d := range page {
			ids = append(ids, deviceID{d.ProductKey, d.Name})
			after = d.ID
		}
		if len(page) < 1000 {
			break
		}
	}
	c.reply(alink.CodeSuccess, appendIdentities(ids, false), "")
}

// listFound takes a report of devices that the gateway has met. Applications that
// have subscribed to the topic get it; nothing else happens (spec/gateway.md §5).
func (c *gatewayCall) listFound() {
	ids, ok := named(c.params, maxSubsInCall)
	if !ok {
		c.reply(alink.CodeParameter, nil, "")
		return
	}
	for _, id := range ids {
		if _, err := c.p.productOf(c.p.ctx, id.pk); err != nil {
			c.reply(alink.CodeProductNotFound, nil, "")
			return
		}
		if !foundName(id.dn) {
			c.reply(alink.CodeDeviceNameInvalid, nil, "")
			return
		}
	}
	c.reply(alink.CodeSuccess, nil, "")
}

// foundName is the older rule for the names of devices that a gateway reports:
// Chinese characters count as two (spec/connect.md §1).
func foundName(s string) bool {
	n := 0
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z',
			r == '_', r == '-', r == '@', r == '.', r == ':':
			n++
		case r >= 0x4e00 && r <= 0x9fff:
			n += 2
		default:
			return false
		}
	}
	return n >= 4 && n <= 32
}
