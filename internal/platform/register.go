package platform

import (
	"errors"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/store"
)

// registrable returns the device that wants to be registered with its product's
// secret. One that does not exist is created if auto is set.
func (p *Platform) registrable(pk, dn string, auto bool) (store.Device, alink.Code) {
	dev, err := p.store.Device(p.ctx, pk, dn)
	if errors.Is(err, store.ErrNotFound) {
		if !auto {
			return dev, alink.CodeDeviceNotFound
		}
		if !alink.ValidDeviceName(dn) {
			return dev, alink.CodeDeviceNameInvalid
		}
		var r store.Registered
		if r, err = p.store.CreateDevice(p.ctx, store.NewDevice{ProductKey: pk, Name: dn}); err == nil {
			p.changed(pk, dn)
			p.audit(p.ctx, "device "+pk+"/"+dn, "device.create", pk+"/"+dn, "with the product's secret")
			return r.Device, alink.CodeSuccess
		}
		if errors.Is(err, store.ErrExists) { // another request was quicker
			dev, err = p.store.Device(p.ctx, pk, dn)
		}
	}
	if err != nil {
		p.storeFailed(err)
		return dev, alink.CodeServer
	}
	return dev, alink.CodeSuccess
}
