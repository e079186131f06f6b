package platform

import (
	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/tsl"
)

// eventPost takes an event (spec/thing-model.md §7). Unlike properties it is
// accepted or refused as a whole.
func (p *Platform) eventPost(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	p.figures.events.Add(x.Shard(), 1)
	if !w.read(t, x) {
		return true
	}
	id := t.ID
	if t.Module != "" {
		id = t.Module + ":" + t.ID
	}
	now := x.Time.UnixMilli()
	model := d.product.model.Load()
	out, at, problem := model.CheckEvent(id, w.request.Params, tsl.Mode(d.product.mode.Load()), now)
	if problem != nil {
		p.logger.Debug("an event was refused", "productKey", d.pk, "deviceName", d.dn, "event", clip(id), "problem", problem.Error())
		p.remark(d, t, alink.Code(problem.Code), problem.Error())
		w.answer(t, x, alink.Code(problem.Code), nil, problem.Message)
		return true
	}
	if _, known := model.Event(id); !known { // mode none: nothing is kept of what the model does not know
		w.answer(t, x, alink.CodeSuccess, nil, "")
		return true
	}
	if at <= 0 || at > store.MaxTime {
		at = now
	}
	w.values = out.AppendJSON(w.values[:0])
	w.points = append(w.points[:0], store.Point{
		Series: store.SeriesKey{DeviceID: d.id, Kind: store.Event, Identifier: id},
		TimeMS: at,
		Value:  store.JSON(w.values),
	})
	w.answer(t, x, alink.CodeSuccess, nil, "")
	p.keep(x, w.points)
	return false
}
