package platform

import (
	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
)

// template sends a device its thing model (spec/thing-model.md §11). What
// dynamicTsl/get asks for in its parameters does not matter: the SDK takes the
// whole model.
func (p *Platform) template(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if w.read(t, x) {
		w.answer(t, x, alink.CodeSuccess, d.product.model.Load().DeviceTSL(d.pk, d.dn), "")
	}
	return true
}
