package platform

import (
	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// maxDiagnoses is how many measurements one message may carry.
const maxDiagnoses = 40

// diagnosis keeps what a device measured of its link in its log (spec/services.md
// §11): one measurement, or an array of earlier ones.
func (p *Platform) diagnosis(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if !w.read(t, x) {
		return true
	}
	return p.later(p.records, w, d, t, x, func(params devjson.Value) (answer, error) {
		lines, ok := measurements(params)
		if !ok {
			return refuse(alink.CodeParameter, ""), nil
		}
		return success, p.store.AddDeviceLog(p.ctx, d.id, lines)
	})
}

// measurements reads what a device measured as lines of its log.
func measurements(params devjson.Value) (lines []store.LogLine, ok bool) {
	one := params.Get("p")
	list := []devjson.Value{one}
	if one.Kind() == devjson.Array {
		list = list[:0]
		for i := range min(one.Len(), maxDiagnoses+1) {
			list = append(list, one.Index(i))
		}
	}
	if len(list) == 0 || len(list) > maxDiagnoses {
		return nil, false
	}
	lines = make([]store.LogLine, len(list))
	for i, v := range list {
		if v.Kind() != devjson.Object || v.Len() == 0 {
			return nil, false
		}
		lines[i] = store.LogLine{Source: "device", Level: "INFO", Module: "diag", UTCTime: textOf(v.Get("_time")), Content: string(v.AppendJSON(nil))}
	}
	return lines, true
}
