package platform

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/tsl"
)

// DeviceRef names a device.
type DeviceRef struct {
	ProductKey string `json:"productKey"`
	DeviceName string `json:"deviceName"`
}

// gatewayRecord reads a device that has to be a gateway.
func (p *Platform) gatewayRecord(ctx context.Context, pk, dn string) (store.Device, error) {
	g, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return g, err
	}
	pr, err := p.productOf(ctx, pk)
	if err != nil {
		return g, err
	}
	if pr.nodeType() != string(store.NodeGateway) {
		return g, &Error{Kind: KindInvalid, Code: alink.CodeForbidden, Message: "device " + pk + "/" + dn + " is of a product that is not a gateway's",
			Hint: "linkstead product update " + pk + " --node gateway"}
	}
	return g, nil
}

// Topology returns the sub-devices of a gateway in the order in which they were
// registered.
func (p *Platform) Topology(ctx context.Context, pk, dn string) ([]Device, error) {
	g, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	out := []Device{}
	for after := int64(0); ; {
		page, err := p.store.Topology(ctx, g.ID, after, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			out = append(out, p.deviceView(d))
			after = d.ID
		}
		if len(page) < 1000 {
			return out, nil
		}
	}
}

// GatewayOf returns the gateway of a device, or an error of KindNotFound.
func (p *Platform) GatewayOf(ctx context.Context, pk, dn string) (DeviceRef, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return DeviceRef{}, err
	}
	g, err := p.store.GatewayOf(ctx, d.ID)
	return DeviceRef{g.ProductKey, g.Name}, err
}

// AddTopology makes devices the sub-devices of a gateway, without signatures, and
// tells it. Gateways that had them before are told too.
func (p *Platform) AddTopology(ctx context.Context, who, pk, dn string, subs []DeviceRef) error {
	g, err := p.gatewayRecord(ctx, pk, dn)
	if err != nil {
		return err
	}
	var ids []int64
	var names []deviceID
	for _, s := range subs {
		d, err := p.store.Device(ctx, s.ProductKey, s.DeviceName)
		if err != nil {
			return err
		}
		pr, err := p.productOf(ctx, s.ProductKey)
		if err != nil {
			return err
		}
		if pr.nodeType() == string(store.NodeGateway) {
			return &Error{Kind: KindInvalid, Code: alink.CodeTopologySelf, Message: "device " + s.ProductKey + "/" + s.DeviceName + " is a gateway itself"}
		}
		ids, names = append(ids, d.ID), append(names, deviceID{s.ProductKey, s.DeviceName})
	}
	if code := p.addTopology(g.ID, names, ids); code != alink.CodeSuccess {
		return topologyError(code, p.settings.Load().SubDevices)
	}
	p.topoChange(DeviceKey(pk, dn), pk, dn, 0, names)
	p.audit(ctx, who, "topology.add", pk+"/"+dn, fmt.Sprintf("%d sub-devices", len(subs)))
	return nil
}

func topologyError(code alink.Code, most int) error {
	switch code {
	case alink.CodeTopologyFull:
		return &Error{Kind: KindInvalid, Code: code, Message: fmt.Sprintf("a gateway has at most %d sub-devices", most),
			Hint: "remove some, or raise device.sub_devices"}
	case alink.CodeDeviceNotFound:
		return &Error{Kind: KindNotFound, Code: code, Message: code.Message()}
	}
	return &Error{Kind: KindInternal, Code: code, Message: code.Message()}
}

// RemoveTopology takes a sub-device from its gateway and tells the gateway; the
// login of the sub-device ends.
func (p *Platform) RemoveTopology(ctx context.Context, who, pk, dn string, sub DeviceRef) error {
	g, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return err
	}
	d, err := p.store.Device(ctx, sub.ProductKey, sub.DeviceName)
	if err != nil {
		return err
	}
	removed, err := p.store.RemoveTopology(ctx, g.ID, []int64{d.ID})
	if err != nil {
		return err
	}
	if !removed[0] {
		return &Error{Kind: KindNotFound, Code: alink.CodeNoTopology,
			Message: "device " + sub.ProductKey + "/" + sub.DeviceName + " does not belong to gateway " + pk + "/" + dn}
	}
	p.movedAway(g.ID, deviceID{sub.ProductKey, sub.DeviceName})
	p.audit(ctx, who, "topology.remove", pk+"/"+dn, sub.ProductKey+"/"+sub.DeviceName)
	return nil
}

// NotifyAddTopology asks a gateway to register and add devices, and waits for its
// reply if o.Wait is set (spec/gateway.md §5).
func (p *Platform) NotifyAddTopology(ctx context.Context, who, pk, dn string, subs []DeviceRef, o CallOptions) (*CallResult, error) {
	if _, err := p.gatewayRecord(ctx, pk, dn); err != nil {
		return nil, err
	}
	ids := make([]deviceID, len(subs))
	for i, s := range subs {
		ids[i] = deviceID{s.ProductKey, s.DeviceName}
		if _, err := p.store.Device(ctx, s.ProductKey, s.DeviceName); err != nil {
			return nil, err
		}
	}
	t := alink.Topic{Kind: alink.TopoAddNotify, ProductKey: pk, DeviceName: dn}
	return p.inform(ctx, t, appendIdentities(ids, false), who, "topology.notify", o)
}

// PermitJoin lets devices of a product join a gateway's network for so many
// seconds, and waits for its reply if o.Wait is set.
func (p *Platform) PermitJoin(ctx context.Context, who, pk, dn, productKey string, seconds int, o CallOptions) (*CallResult, error) {
	if _, err := p.gatewayRecord(ctx, pk, dn); err != nil {
		return nil, err
	}
	if _, err := p.productOf(ctx, productKey); err != nil {
		return nil, err
	}
	if seconds < 0 || seconds > 86400 {
		return nil, &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: "the time must be 0 to 86400 seconds"}
	}
	params, err := json.Marshal(struct {
		Time       int    `json:"time"`
		ProductKey string `json:"productKey"`
	}{seconds, productKey})
	if err != nil {
		return nil, err
	}
	t := alink.Topic{Kind: alink.GatewayPermit, ProductKey: pk, DeviceName: dn}
	return p.inform(ctx, t, params, who, "gateway.permit", o)
}

// Bootstrap tells a device to read its endpoint again, after which it connects
// anew (spec/services.md §13).
func (p *Platform) Bootstrap(ctx context.Context, who, pk, dn string, o CallOptions) (*CallResult, error) {
	t := alink.Topic{Kind: alink.BootstrapNotify, ProductKey: pk, DeviceName: dn}
	return p.inform(ctx, t, []byte(`{"cmd":0}`), who, "device.bootstrap", o)
}

// inform sends a device a request that has nothing to do with its thing model.
func (p *Platform) inform(ctx context.Context, t alink.Topic, params []byte, who, action string, o CallOptions) (*CallResult, error) {
	c := command{method: t.Method(), topic: t.String(), params: params, who: who, action: action, version: "1.0", notice: true}
	return p.send(ctx, t.ProductKey, t.DeviceName, c, o, func(*tsl.Model, devjson.Value) error { return nil })
}
