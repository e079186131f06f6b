package platform

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// boot answers what consumer firmware asks before it begins to report
// (spec/services.md §12). Some of it stays in its boot state until it has an
// answer.
func (p *Platform) boot(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if !w.read(t, x) {
		return true
	}
	params := w.request.Params
	switch t.Kind {
	case alink.LANPrefixGet:
		data := devjson.AppendString([]byte(`{"deviceSecret":`), p.derived(d, "lan secret")[:32])
		data = devjson.AppendString(append(data, `,"prefix":`...), p.derived(d, "lan prefix")[:8])
		data = devjson.AppendString(append(data, `,"productKey":`...), d.pk)
		data = devjson.AppendString(append(data, `,"deviceName":`...), d.dn)
		w.answer(t, x, alink.CodeSuccess, append(data, '}'), "")
	case alink.CipherGet:
		pk, dn := textOf(params.Get("productKey")), textOf(params.Get("deviceName"))
		if pk == "" || dn == "" {
			p.remark(d, t, alink.CodeParameter, "params should have productKey and deviceName")
			w.answer(t, x, alink.CodeParameter, nil, "")
			return true
		}
		data := devjson.AppendString([]byte(`{"productKey":`), pk)
		data = devjson.AppendString(append(data, `,"deviceName":`...), dn)
		data = devjson.AppendString(append(data, `,"cipher":`...), p.derived(d, "cipher "+pk+" "+dn+" "+textOf(params.Get("random")))[:32])
		w.answer(t, x, alink.CodeSuccess, append(data, '}'), "")
	case alink.EnrolleeMatch:
		if token := textOf(params.Get("token")); token == "" || len(token) > 128 {
			p.remark(d, t, alink.CodeParameter, "params should have a token of at most 128 bytes")
			w.answer(t, x, alink.CodeParameter, nil, "")
			return true
		}
		return p.later(p.records, w, d, t, x, func(params devjson.Value) (answer, error) {
			return success, p.store.PutDeviceSetting(p.ctx, d.id, bindToken, textOf(params.Get("token")))
		})
	case alink.ThingReset:
		return p.later(p.records, w, d, t, x, func(devjson.Value) (answer, error) {
			if err := p.store.PutDeviceSetting(p.ctx, d.id, bindToken, ""); err != nil {
				return answer{}, err
			}
			return success, p.store.AddDeviceLog(p.ctx, d.id, []store.LogLine{{Source: "server", Level: "INFO", Module: t.Kind.String(), Code: "200", Content: "the device was reset to its factory state"}})
		})
	default:
		w.answer(t, x, alink.CodeSuccess, nil, "")
	}
	return true
}

// bindToken is the name of the setting that holds the token a device reported
// last.
const bindToken = "bind.token"

// derived is a text of 64 hex digits that is always the same for a device and a
// purpose, and says nothing about its secret.
func (p *Platform) derived(d *device, purpose string) string {
	h := hmac.New(sha256.New, []byte(d.entry.secret.Reveal()))
	h.Write([]byte(purpose))
	return hex.EncodeToString(h.Sum(nil))
}

// AccountEvent tells a device that its owner did something with it: Bind, Unbind
// or Reset. Consumer firmware waits for it after its token was taken.
func (p *Platform) AccountEvent(ctx context.Context, who, pk, dn, operation string) error {
	switch operation {
	case "Bind", "Unbind", "Reset":
	default:
		return &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: clip(operation) + " is none of Bind, Unbind and Reset"}
	}
	if _, err := p.store.Device(ctx, pk, dn); err != nil {
		return err
	}
	if !p.broker.Online(DeviceKey(pk, dn)) {
		return &Error{Kind: KindOffline, Code: alink.CodeOffline, Message: "device " + pk + "/" + dn + " is offline"}
	}
	if err := p.auditFirst(ctx, who, "device.account", pk+"/"+dn, operation); err != nil {
		return err
	}
	b := devjson.AppendString([]byte(`{"id":`), p.calls.id())
	b = append(b, `,"version":"1.0","method":"_thing.event.notify","params":{"identifier":"awss.BindNotify","value":{"Operation":"`...)
	return p.publish(ctx, alink.SysTopic(pk, dn, "_thing/event/notify"), append(append(b, operation...), `"}}}`...))
}

// BindToken is the token that a device reported last, "" if none since its last
// reset.
func (p *Platform) BindToken(ctx context.Context, pk, dn string) (string, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return "", err
	}
	return p.store.DeviceSetting(ctx, d.ID, bindToken)
}
