package platform

import (
	"errors"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/tsl"
)

// propertyPost takes a property report (spec/thing-model.md §5). Values that fit
// the model are stored; the others are named in the reply's data, and the code is
// 200 all the same.
func (p *Platform) propertyPost(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if !w.read(t, x) {
		p.figures.refusedPosts.Add(x.Shard(), 1)
		return true
	}
	now := x.Time.UnixMilli()
	w.points, w.data, w.values = w.points[:0], w.data[:0], w.values[:0]
	model := d.product.model.Load()
	err := model.EachProperty(w.request.Params, tsl.Mode(d.product.mode.Load()), now,
		func(id string, prop *tsl.Property, v devjson.Value, at int64, problem *tsl.Problem) bool {
			if problem != nil {
				if len(w.data) == 0 {
					p.remark(d, t, alink.Code(problem.Code), problem.Error())
				}
				w.data = appendProblem(w.data, id, problem)
				return true
			}
			if prop == nil { // mode none: whatever the device sends is forwarded, nothing is kept
				return true
			}
			if at <= 0 || at > store.MaxTime {
				at = now
			}
			w.points = append(w.points, store.Point{
				Series: store.SeriesKey{DeviceID: d.id, Kind: store.Property, Identifier: prop.Identifier},
				TimeMS: at,
				Value:  w.value(prop.Type, v),
			})
			return true
		})
	if err != nil {
		var problem *tsl.Problem
		code, message := alink.CodeParameter, ""
		if errors.As(err, &problem) {
			code, message = alink.Code(problem.Code), problem.Message
		}
		p.remark(d, t, code, err.Error())
		w.answer(t, x, code, nil, message)
		p.figures.refusedPosts.Add(x.Shard(), 1)
		return true
	}
	p.figures.posted(x.Shard(), len(w.points))
	data := w.data
	if len(data) > 0 {
		data = append(data, '}')
		w.data = data
	}
	w.answer(t, x, alink.CodeSuccess, data, "")
	if len(w.points) == 0 {
		return true
	}
	p.keep(x, w.points)
	return false
}

// appendProblem adds one member to the data of a reply, opening it at the first.
func appendProblem(dst []byte, id string, problem *tsl.Problem) []byte {
	if len(dst) == 0 {
		dst = append(dst, '{')
	} else {
		dst = append(dst, ',')
	}
	dst = devjson.AppendString(dst, id)
	dst = append(dst, ':')
	return devjson.AppendString(dst, problem.Message)
}

// value turns a checked value into what is stored. Text and JSON refer to memory
// of the worker that lives until the points are handed over.
func (w *worker) value(t *tsl.DataType, v devjson.Value) store.Value {
	switch t.Kind {
	case tsl.Int, tsl.Enum:
		if n, ok := v.Int64(); ok {
			return store.Int(n)
		}
	case tsl.Bool:
		if n, ok := v.Int64(); ok {
			return store.Bool(n != 0)
		}
		if v.Kind() == devjson.Bool {
			return store.Bool(v.Bool())
		}
	case tsl.Float, tsl.Double:
		if f, ok := v.Float64(); ok {
			return store.Float(f)
		}
	case tsl.Text, tsl.Date:
		if s, ok := v.Str(); ok {
			return store.Text(s)
		}
		if v.Kind() == devjson.Number {
			return store.Text(v.NumberText())
		}
	}
	start := len(w.values)
	w.values = t.AppendValue(w.values, v)
	return store.JSON(w.values[start:len(w.values):len(w.values)])
}
