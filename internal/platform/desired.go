package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/tsl"
)

// maxDesiredAsked is how many properties one request may name
// (spec/thing-model.md §10).
const maxDesiredAsked = 200

// desired answers a device that reads or clears its desired values.
func (p *Platform) desired(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if !w.read(t, x) {
		return true
	}
	if t.Kind == alink.DesiredGet {
		return p.later(p.records, w, d, t, x, func(params devjson.Value) (answer, error) { return p.desiredGet(d, params) })
	}
	return p.later(p.records, w, d, t, x, func(params devjson.Value) (answer, error) { return p.desiredDelete(d, params) })
}

func (p *Platform) desiredGet(d *device, params devjson.Value) (answer, error) {
	if params.Kind() != devjson.Array || params.Len() == 0 {
		return refuse(alink.CodeParameter, ""), nil
	}
	if params.Len() > maxDesiredAsked {
		return refuse(alink.CodeTooManyDesired, ""), nil
	}
	asked := make(map[string]bool, params.Len())
	for i := range params.Len() {
		id, ok := params.Index(i).Str()
		if !ok {
			return refuse(alink.CodeParameter, "params should be property identifiers"), nil
		}
		asked[id] = true
	}
	all, err := p.store.Desired(p.ctx, d.id)
	if err != nil {
		return answer{}, err
	}
	b := []byte{'{'}
	for _, v := range all {
		if !asked[v.Identifier] {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = devjson.AppendString(b, v.Identifier)
		b = append(append(b, `:{"value":`...), v.Value...)
		b = append(b, `,"version":`...)
		b = append(strconv.AppendInt(b, v.Version, 10), '}')
	}
	return answer{code: alink.CodeSuccess, data: append(b, '}')}, nil
}

func (p *Platform) desiredDelete(d *device, params devjson.Value) (answer, error) {
	changes, bad := clearedIn(d.product.model.Load(), params)
	if bad.code != 0 {
		return bad, nil
	}
	_, err := p.store.ClearDesired(p.ctx, d.id, changes)
	return success, err
}

// clearedIn reads which desired values a device clears; bad is the answer if they
// cannot be cleared.
func clearedIn(model *tsl.Model, params devjson.Value) (changes []store.NewDesired, bad answer) {
	if params.Kind() != devjson.Object || params.Len() == 0 {
		return nil, refuse(alink.CodeParameter, "")
	}
	if params.Len() > maxDesiredAsked {
		return nil, refuse(alink.CodeTooManyDesired, "")
	}
	params.Each(func(id string, v devjson.Value) bool {
		if _, known := model.Property(id); !known {
			bad = refuse(alink.CodePropertyUndefined, "")
			return false
		}
		change := store.NewDesired{Identifier: id, Expect: -1}
		if version := v.Get("version"); version.Exists() {
			n, ok := version.Int64()
			if s, text := version.Str(); text {
				var err error
				n, err = strconv.ParseInt(s, 10, 64)
				ok = err == nil
			}
			if !ok || n < 0 {
				bad = refuse(alink.CodeParameter, "version should be a number")
				return false
			}
			change.Expect = n
		}
		changes = append(changes, change)
		return true
	})
	return changes, bad
}

// DesiredValue is what a property of a device should become.
type DesiredValue struct {
	Identifier string          `json:"identifier"`
	Value      json.RawMessage `json:"value,omitempty"`
	Version    int64           `json:"version"`
	Time       int64           `json:"time,omitempty"` // Unix milliseconds of the last change
}

// DesiredValues returns the desired values of a device.
func (p *Platform) DesiredValues(ctx context.Context, pk, dn string) ([]DesiredValue, error) {
	d, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	recs, err := p.store.Desired(ctx, d.ID)
	if err != nil {
		return nil, err
	}
	out := make([]DesiredValue, 0, len(recs))
	for _, r := range recs {
		out = append(out, DesiredValue{r.Identifier, r.Value, r.Version, r.At.UnixMilli()})
	}
	return out, nil
}

// SetDesired stores what properties of a device should become and returns the new
// versions. params is a JSON object of writable properties; null clears one.
// versions name the version that a property's desired value must have, 0 for none
// yet; what is not named is not compared. A device that is online is told at once,
// one that is not when it connects.
func (p *Platform) SetDesired(ctx context.Context, who, pk, dn string, params json.RawMessage, versions map[string]int64) ([]DesiredValue, error) {
	dev, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	pr, err := p.productOf(ctx, pk)
	if err != nil {
		return nil, err
	}
	var parser devjson.Parser
	v, err := parser.ParseStrict(params)
	if err != nil {
		return nil, &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: "the desired values are not JSON: " + err.Error()}
	}
	changes, told, err := desiredChanges(pr.model.Load(), v, versions)
	if err != nil {
		return nil, err
	}
	c := command{params: params}
	if err := p.auditFirst(ctx, who, "property.desired", pk+"/"+dn, c.detail("desired", v)); err != nil {
		return nil, err
	}
	numbers, err := p.store.SetDesired(ctx, dev.ID, changes)
	if err != nil {
		return nil, err
	}
	out := make([]DesiredValue, len(changes))
	for i, c := range changes {
		out[i] = DesiredValue{Identifier: c.Identifier, Value: c.Value, Version: numbers[i]}
	}
	if len(told) > 2 && dev.Enabled && p.broker.Online(DeviceKey(pk, dn)) {
		p.pushSet(pk, dn, told)
	}
	return out, nil
}

// desiredChanges checks desired values and returns them with what the device is
// told.
func desiredChanges(m *tsl.Model, v devjson.Value, versions map[string]int64) (changes []store.NewDesired, told []byte, err error) {
	if v.Kind() != devjson.Object || v.Len() == 0 || v.Len() > maxDesiredAsked {
		return nil, nil, &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: "desired values are an object of 1 to 200 properties"}
	}
	told = []byte{'{'}
	var w worker
	v.Each(func(id string, value devjson.Value) bool {
		prop, known := m.Property(id)
		change := store.NewDesired{Identifier: id, Expect: -1}
		if n, ok := versions[id]; ok {
			change.Expect = n
		}
		var problem *tsl.Problem
		switch {
		case !known:
			err = &Error{Kind: KindInvalid, Code: alink.CodePropertyUndefined, Message: "the thing model has no property " + clip(id)}
		case !prop.AccessMode.Writable():
			err = &Error{Kind: KindInvalid, Code: alink.CodeParamsMismatch, Message: "property " + clip(id) + " is read-only"}
		case value.Kind() == devjson.Null:
		default:
			if problem = prop.Type.Check(value, tsl.Strong); problem != nil {
				problem.Identifier = prop.Identifier
				err = problem
				break
			}
			// In the form that reported values are kept in, so that they compare.
			change.Value = w.value(prop.Type, value).AppendJSON(nil)
			if len(told) > 1 {
				told = append(told, ',')
			}
			told = append(append(devjson.AppendString(told, id), ':'), change.Value...)
		}
		changes = append(changes, change)
		return err == nil
	})
	for id := range versions {
		if err == nil && !slices.ContainsFunc(changes, func(c store.NewDesired) bool { return c.Identifier == id }) {
			err = &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: "there is a version of " + clip(id) + ", but no value"}
		}
	}
	return changes, append(told, '}'), err
}

// pushSet tells a device to set properties and does not wait for its reply.
func (p *Platform) pushSet(pk, dn string, params []byte) {
	id := p.calls.id()
	pr, err := p.productOf(p.ctx, pk)
	if err != nil {
		p.storeFailed(err)
		return
	}
	topic, payload, err := p.outgoing(pr, pk, dn, alink.PropertySetTopic(pk, dn), alink.AppendCommand(nil, "thing.service.property.set", id, params, ""))
	if err != nil {
		p.logger.Warn("a device could not be told of its desired values", "productKey", pk, "deviceName", dn, "error", err)
		return
	}
	w := &call{kind: commandSet, input: params, reply: make(chan CallResult, 1)}
	at := callKey(DeviceKey(pk, dn), id)
	p.calls.mu.Lock()
	if len(p.calls.waiting) < maxWaitingCalls {
		p.calls.waiting[at] = w
	}
	p.calls.mu.Unlock()
	time.AfterFunc(p.settings.Load().CallTimeout, func() {
		if p.calls.forget(at, w) {
			p.figures.timeouts[commandSet].Add(0, 1)
		}
	})
	w.sent.Store(time.Now().UnixNano())
	p.figures.sent[commandSet].Add(0, 1)
	p.notice(topic, payload)
}

// greetDesired sends a device that has just connected the desired values that
// differ from what it reported.
func (p *Platform) greetDesired(d *device) error {
	want, err := p.store.Desired(p.ctx, d.id)
	if err != nil || len(want) == 0 {
		return err
	}
	have, err := p.store.Latest(p.ctx, d.id)
	if err != nil {
		return err
	}
	reported := make(map[string]store.Value, len(have))
	for _, v := range have {
		reported[v.Identifier] = v.Value
	}
	params := []byte{'{'}
	for _, v := range want {
		if is, ok := reported[v.Identifier]; ok && bytes.Equal(is.AppendJSON(nil), v.Value) {
			continue
		}
		if len(params) > 1 {
			params = append(params, ',')
		}
		params = append(append(devjson.AppendString(params, v.Identifier), ':'), v.Value...)
	}
	if len(params) > 1 {
		p.pushSet(d.pk, d.dn, append(params, '}'))
	}
	return nil
}
