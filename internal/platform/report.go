package platform

import (
	"strconv"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/tsl"
)

// The limits of messages with several values (spec/thing-model.md §9).
const (
	maxReportProperties = 200
	maxReportEvents     = 200
	maxReportDevices    = 20
	maxHistoryPoints    = 10_000
)

// report gathers the values of one message that has many: batch, pack, history.
type report struct {
	w      *worker
	device int64
	model  *tsl.Model
	mode   tsl.Mode
	now    int64
	events int
}

func (w *worker) report(e *deviceEntry, now int64) report {
	return report{w: w, device: e.id, model: e.product.model.Load(), mode: tsl.Mode(e.product.mode.Load()), now: now}
}

// property adds one value, {"value":…,"time":…} or bare, if it fits the model.
func (r *report) property(id string, v devjson.Value) *tsl.Problem {
	prop, value, at, problem := r.model.CheckProperty(id, v, r.mode, r.now)
	if problem == nil && prop != nil {
		r.add(store.Property, prop.Identifier, at, r.w.value(prop.Type, value))
	}
	return problem
}

// event adds one occurrence of an event, if it fits the model.
func (r *report) event(id string, v devjson.Value) *tsl.Problem {
	r.events++
	out, at, problem := r.model.CheckEvent(id, v, r.mode, r.now)
	if problem != nil {
		return problem
	}
	if e, known := r.model.Event(id); known {
		start := len(r.w.values)
		r.w.values = out.AppendJSON(r.w.values)
		r.add(store.Event, e.Identifier, at, store.JSON(r.w.values[start:len(r.w.values):len(r.w.values)]))
	}
	return nil
}

func (r *report) add(kind store.Kind, id string, at int64, v store.Value) {
	if at <= 0 || at > store.MaxTime {
		at = r.now
	}
	r.w.points = append(r.w.points, store.Point{
		Series: store.SeriesKey{DeviceID: r.device, Kind: kind, Identifier: id}, TimeMS: at, Value: v,
	})
}

// each calls visit for every value of {"id":[…],"id":…}.
func each(v devjson.Value, visit func(id string, v devjson.Value) bool) {
	v.Each(func(id string, v devjson.Value) bool {
		if v.Kind() != devjson.Array {
			return visit(id, v)
		}
		for i := range v.Len() {
			if !visit(id, v.Index(i)) {
				return false
			}
		}
		return true
	})
}

// reports takes batch, pack and history posts (spec/thing-model.md §9).
func (p *Platform) reports(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	if !w.read(t, x) {
		p.figures.refusedPosts.Add(x.Shard(), 1)
		return true
	}
	w.points, w.data, w.values = w.points[:0], w.data[:0], w.values[:0]
	events, problem := p.gather(w, d, t.Kind, x.Time.UnixMilli())
	p.figures.events.Add(x.Shard(), uint64(events))
	if problem != nil {
		p.remark(d, t, alink.Code(problem.Code), problem.Error())
		w.answer(t, x, alink.Code(problem.Code), nil, problem.Message)
		p.figures.refusedPosts.Add(x.Shard(), 1)
		return true
	}
	p.figures.posted(x.Shard(), len(w.points))
	if len(w.data) > 0 {
		w.data = append(w.data, '}')
	}
	w.answer(t, x, alink.CodeSuccess, w.data, "")
	if len(w.points) == 0 {
		return true
	}
	s := p.storing(x)
	if t.Kind == alink.PropertyHistoryPost {
		p.store.AppendPast(w.points, s)
	} else {
		p.store.Append(w.points, s)
	}
	return false
}

// gather reads the values of the request in w into its points, and returns how many
// events there were. now is the time of arrival in UTC milliseconds.
func (p *Platform) gather(w *worker, d *device, kind alink.TopicKind, now int64) (events int, problem *tsl.Problem) {
	switch kind {
	case alink.PropertyBatchPost:
		return p.batch(w, d, now)
	case alink.PropertyPackPost:
		return p.pack(w, d, now)
	}
	return p.historical(w, d, now)
}

func wrong(code alink.Code, message, detail string) *tsl.Problem {
	if message == "" {
		message = code.Message()
	}
	return &tsl.Problem{Code: int(code), Message: message, Detail: detail}
}

// object checks that a member is an object, or absent if that is allowed.
func object(v devjson.Value, name string) *tsl.Problem {
	if v.Exists() && v.Kind() != devjson.Object && v.Kind() != devjson.Null {
		return wrong(alink.CodeParameter, "params format error", name+" should be an object")
	}
	return nil
}

// batch takes several values of a device's own properties and events. What does
// not fit is named in the reply, the rest is kept, as of a property post.
func (p *Platform) batch(w *worker, d *device, now int64) (int, *tsl.Problem) {
	r := w.report(d.entry, now)
	properties, events := w.request.Params.Get("properties"), w.request.Params.Get("events")
	if problem := object(properties, "properties"); problem != nil {
		return 0, problem
	}
	if problem := object(events, "events"); problem != nil {
		return 0, problem
	}
	values, occurrences := 0, 0
	each(properties, func(string, devjson.Value) bool { values++; return values <= maxHistoryPoints })
	each(events, func(string, devjson.Value) bool { occurrences++; return occurrences <= maxReportEvents })
	switch {
	case values+occurrences == 0:
		return 0, wrong(alink.CodeParameter, "params is empty", "neither properties nor events have a value")
	case properties.Len() > maxReportProperties, values > maxHistoryPoints:
		return 0, wrong(alink.CodeTooManyProperties, "", "more than "+strconv.Itoa(maxReportProperties)+" properties")
	case occurrences > maxReportEvents:
		return 0, wrong(alink.CodeTooManyEvents, "", "more than "+strconv.Itoa(maxReportEvents)+" events")
	}
	last := "" // an identifier is named once, however many of its values are no good
	note := func(id string, problem *tsl.Problem) {
		if problem != nil && id != last {
			w.data = appendProblem(w.data, id, problem)
			last = id
		}
	}
	each(properties, func(id string, v devjson.Value) bool { note(id, r.property(id, v)); return true })
	last = ""
	each(events, func(id string, v devjson.Value) bool { note(id, r.event(id, v)); return true })
	return r.events, nil
}

// pack takes the values of a gateway and its sub-devices, all or none.
func (p *Platform) pack(w *worker, d *device, now int64) (int, *tsl.Problem) {
	params := w.request.Params
	if params.Kind() != devjson.Object {
		return 0, wrong(alink.CodeParameter, "", "params should be an object")
	}
	subs := params.Get("subDevices")
	if subs.Exists() && subs.Kind() != devjson.Array {
		return 0, wrong(alink.CodeParameter, "params format error", "subDevices should be an array")
	}
	if subs.Len() > maxReportDevices {
		return 0, wrong(alink.CodeTooManySubDevices, "", "more than "+strconv.Itoa(maxReportDevices)+" sub-devices")
	}
	properties, events := 0, 0
	if problem := p.packed(w, w.report(d.entry, now), params, &properties, &events); problem != nil {
		return 0, problem
	}
	for i := range subs.Len() {
		sub := subs.Index(i)
		e, problem := p.member(d, sub.Get("identity"))
		if problem == nil {
			problem = p.packed(w, w.report(e, now), sub, &properties, &events)
		}
		if problem != nil {
			return 0, problem
		}
	}
	if properties+events == 0 {
		return 0, wrong(alink.CodeParameter, "params is empty", "there is no value in the message")
	}
	return events, nil
}

// packed takes one device's part of a pack.
func (p *Platform) packed(w *worker, r report, part devjson.Value, properties, events *int) (problem *tsl.Problem) {
	if problem = object(part.Get("properties"), "properties"); problem != nil {
		return problem
	}
	if problem = object(part.Get("events"), "events"); problem != nil {
		return problem
	}
	each(part.Get("properties"), func(id string, v devjson.Value) bool {
		if *properties++; *properties > maxReportProperties {
			problem = wrong(alink.CodeTooManyProperties, "", "more than "+strconv.Itoa(maxReportProperties)+" properties")
		} else {
			problem = r.property(id, v)
		}
		return problem == nil
	})
	if problem != nil {
		return problem
	}
	each(part.Get("events"), func(id string, v devjson.Value) bool {
		if *events++; *events > maxReportEvents {
			problem = wrong(alink.CodeTooManyEvents, "", "more than "+strconv.Itoa(maxReportEvents)+" events")
		} else {
			problem = r.event(id, v)
		}
		return problem == nil
	})
	return problem
}

// historical takes values that were measured earlier, all or none.
func (p *Platform) historical(w *worker, d *device, now int64) (int, *tsl.Problem) {
	params := w.request.Params
	if params.Kind() != devjson.Array || params.Len() == 0 {
		return 0, wrong(alink.CodeParameter, "", "params should be an array of devices with their values")
	}
	if params.Len() > maxReportDevices {
		return 0, wrong(alink.CodeTooManySubDevices, "", "more than "+strconv.Itoa(maxReportDevices)+" devices")
	}
	values, occurrences := 0, 0
	for i := range params.Len() {
		part := params.Index(i)
		e, problem := p.member(d, part.Get("identity"))
		if problem != nil {
			return 0, problem
		}
		r := w.report(e, now)
		take := func(list devjson.Value, add func(string, devjson.Value) *tsl.Problem) {
			if list.Exists() && list.Kind() != devjson.Array && problem == nil {
				problem = wrong(alink.CodeParameter, "params format error", "properties and events should be arrays")
			}
			for j := range list.Len() {
				each(list.Index(j), func(id string, v devjson.Value) bool {
					if values++; problem == nil && values > maxHistoryPoints {
						problem = wrong(alink.CodeTooManyProperties, "", "more than "+strconv.Itoa(maxHistoryPoints)+" values")
					}
					if problem == nil {
						problem = add(id, v)
					}
					return problem == nil
				})
			}
		}
		take(part.Get("properties"), r.property)
		take(part.Get("events"), r.event)
		if problem != nil {
			return 0, problem
		}
		occurrences += r.events
	}
	if values == 0 {
		return 0, wrong(alink.CodeParameter, "params is empty", "there is no value in the message")
	}
	return occurrences, nil
}

// member finds the device that a part of a message is about: the sender itself, or
// one of the sub-devices that are logged in through it.
func (p *Platform) member(d *device, identity devjson.Value) (*deviceEntry, *tsl.Problem) {
	pk, _ := identity.Get("productKey").Str()
	dn, _ := identity.Get("deviceName").Str()
	if pk == "" || dn == "" {
		return nil, wrong(alink.CodeParameter, "", "identity should have productKey and deviceName")
	}
	if pk == d.pk && dn == d.dn {
		return d.entry, nil
	}
	if sub := d.subOf(&alink.Topic{ProductKey: pk, DeviceName: dn}); sub != nil {
		return sub.entry, nil
	}
	return nil, wrong(alink.CodeNoTopology, "", clip(pk)+"/"+clip(dn)+" is no sub-device that "+d.pk+"/"+d.dn+" has logged in")
}
