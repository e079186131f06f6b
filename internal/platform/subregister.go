package platform

import (
	"errors"
	"strconv"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/store"
)

// A gateway fetches secrets for its sub-devices in two ways: by their names, for
// devices that are registered here and free (sub/register), or signed with the
// secret of their product, which takes a device over (product_register). Both
// need the product's dynamic registration to be switched on. Secrets go to the
// gateway and to nobody else, and the audit log has each.

// subRegister takes sub/register (spec/gateway.md §2).
func (c *gatewayCall) subRegister() {
	ids, ok := named(c.params, maxSubsInCall)
	if !ok {
		c.reply(alink.CodeParameter, nil, "")
		return
	}
	data := []byte{'['}
	worst := alink.CodeSuccess
	for _, id := range ids {
		secret, iotID, code := c.fetch(id)
		if code != alink.CodeSuccess {
			if worst == alink.CodeSuccess {
				worst = code
			}
			continue
		}
		if len(data) > 1 {
			data = append(data, ',')
		}
		data = append(data, `{"iotId":`...)
		data = devjson.AppendString(data, iotID)
		data = append(data, `,"productKey":`...)
		data = devjson.AppendString(data, id.pk)
		data = append(data, `,"deviceName":`...)
		data = devjson.AppendString(data, id.dn)
		data = append(data, `,"deviceSecret":`...)
		data = devjson.AppendString(data, secret)
		data = append(data, '}')
	}
	if len(data) == 1 {
		c.reply(worst, nil, "")
		return
	}
	c.replyPrivately(append(data, ']'))
}

func (c *gatewayCall) replyPrivately(data []byte) {
	if c.ack {
		c.x.ReplyPrivately([]byte(c.t.ReplyTopic()), c.payload(alink.CodeSuccess, data, ""))
	}
}

// fetch gives the secret of a device that sub/register may give.
func (c *gatewayCall) fetch(id deviceID) (secret, iotID string, code alink.Code) {
	p := c.p
	if id.pk == c.d.pk && id.dn == c.d.dn {
		return "", "", alink.CodeTopologySelf
	}
	pr, err := p.store.Product(p.ctx, id.pk)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", "", alink.CodeProductQuery
	case err != nil:
		p.storeFailed(err)
		return "", "", alink.CodeServer
	case !pr.DynamicRegister:
		return "", "", alink.CodeRegisterOff
	}
	dev, err := p.store.Device(p.ctx, id.pk, id.dn)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", "", alink.CodeDeviceNotFound
	case err != nil:
		p.storeFailed(err)
		return "", "", alink.CodeServer
	case !dev.Enabled:
		return "", "", alink.CodeDeviceDisabled
	}
	switch g, err := p.store.GatewayOf(p.ctx, dev.ID); {
	case err == nil && g.ID != c.d.id:
		return "", "", alink.CodeBoundElsewhere
	case errors.Is(err, store.ErrNotFound) && pr.NodeType != store.NodeSubDevice && !dev.ActivatedAt.IsZero():
		// It connects by itself: no gateway gets hold of its secret.
		return "", "", alink.CodeAlreadyActive
	case err != nil && !errors.Is(err, store.ErrNotFound):
		p.storeFailed(err)
		return "", "", alink.CodeServer
	}
	secret, code = c.reveal(id, "thing.sub.register")
	return secret, dev.IotID, code
}

func (c *gatewayCall) reveal(id deviceID, why string) (string, alink.Code) {
	secret, err := c.p.store.RevealSecret(c.p.ctx, id.pk, id.dn, "gateway "+c.d.pk+"/"+c.d.dn, why)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", alink.CodeDeviceNotFound
	case err != nil:
		c.p.storeFailed(err)
		return "", alink.CodeServer
	}
	return secret, alink.CodeSuccess
}

// subUnregister takes what C SDK 3 sends when it forgets sub-devices: they are the
// gateway's no more, but stay registered.
func (c *gatewayCall) subUnregister() {
	ids, ok := named(c.params, maxSubsInCall)
	if !ok {
		c.reply(alink.CodeParameter, nil, "")
		return
	}
	for _, id := range ids {
		if _, code := c.entry(id.pk, id.dn); code != alink.CodeSuccess {
			c.reply(code, nil, "")
			return
		}
	}
	c.removeTopology(ids) // one that was not its own is none of it now, too
	c.reply(alink.CodeSuccess, nil, "")
}

// productRegister takes product_register: sub-devices signed with their product's
// secret become the gateway's, whoever had them before (spec/gateway.md §3).
func (c *gatewayCall) productRegister() {
	list := c.params.Get("proxieds")
	if n := count(list); n == 0 || n > maxSubsInCall {
		c.reply(alink.CodeParameter, nil, "")
		return
	}
	var good, bad []byte
	elements(list, func(v devjson.Value) {
		s, ok := alink.ParseSubDevice(v, "")
		id := deviceID{s.ProductKey, s.DeviceName}
		code, secret := alink.CodeParameter, ""
		if ok {
			secret, code = c.takeOver(&s, id)
		}
		if code != alink.CodeSuccess {
			if bad != nil {
				bad = append(bad, ',')
			}
			bad = append(bad, `{"productKey":`...)
			bad = devjson.AppendString(bad, id.pk)
			bad = append(bad, `,"deviceName":`...)
			bad = devjson.AppendString(bad, id.dn)
			bad = append(bad, `,"errorDetail":{"code":`...)
			bad = strconv.AppendInt(bad, int64(code), 10)
			bad = append(bad, `,"message":`...)
			bad = devjson.AppendString(bad, code.Message())
			bad = append(bad, `}}`...)
			return
		}
		if good != nil {
			good = append(good, ',')
		}
		good = append(good, `{"deviceSecret":`...)
		good = devjson.AppendString(good, secret)
		good = append(good, `,"productKey":`...)
		good = devjson.AppendString(good, id.pk)
		good = append(good, `,"deviceName":`...)
		good = devjson.AppendString(good, id.dn)
		good = append(good, '}')
	})
	data := append([]byte(`{"failures":[`), bad...)
	data = append(data, `],"successes":[`...)
	data = append(append(data, good...), `]}`...)
	c.replyPrivately(data)
}

func (c *gatewayCall) takeOver(s *alink.SubDevice, id deviceID) (string, alink.Code) {
	p := c.p
	if id.pk == c.d.pk && id.dn == c.d.dn {
		return "", alink.CodeTopologySelf
	}
	if !s.MethodKnown() {
		return "", alink.CodeSignMethodUnknown
	}
	keys, err := p.store.ProductKeys(p.ctx, id.pk)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", alink.CodeProductQuery
	case err != nil:
		p.storeFailed(err)
		return "", alink.CodeServer
	case !keys.DynamicRegister:
		return "", alink.CodeRegisterOff
	case keys.NodeType == store.NodeGateway:
		return "", alink.CodeParameter
	case !s.Signed(keys.Secret.Reveal()):
		return "", alink.CodeUnauthorized
	}
	dev, code := p.registrable(id.pk, id.dn, keys.AutoRegister)
	switch {
	case code != alink.CodeSuccess:
		return "", code
	case !dev.Enabled:
		return "", alink.CodeDeviceDisabled
	}
	secret, code := c.reveal(id, "thing.proxy.provisioning.product_register")
	if code != alink.CodeSuccess {
		return "", code
	}
	return secret, p.addTopology(c.d.id, []deviceID{id}, []int64{dev.ID})
}
