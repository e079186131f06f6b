package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
)

// The limits of a device shadow (spec/services.md §1).
const (
	maxShadowAttributes = 128
	maxShadowBytes      = 16 << 10
	maxShadowDepth      = 5
)

// shadowError is a refusal in the shadow's own codes.
type shadowError struct {
	code int
	text string
}

func (e *shadowError) Error() string { return e.text }

// The codes of shadow requests.
var (
	errShadowJSON       = &shadowError{400, "the message is not JSON"}
	errShadowMethod     = &shadowError{401, "method is missing"}
	errShadowState      = &shadowError{402, "state is missing"}
	errShadowVersion    = &shadowError{403, "version is not a number"}
	errShadowReported   = &shadowError{404, "reported is missing"}
	errShadowEmpty      = &shadowError{405, "reported is empty"}
	errShadowUnknown    = &shadowError{406, "the method is none of update, get and delete"}
	errShadowNone       = &shadowError{407, "the shadow is empty"}
	errShadowAttributes = &shadowError{408, "more than 128 attributes"}
	errShadowConflict   = &shadowError{409, "the version is not greater than the shadow's"}
	errShadowRate       = &shadowError{429, "too many requests"}
	errShadowLarge      = &shadowError{400, "the shadow is larger than 16384 bytes or deeper than 5 levels"}
)

// shadowSection is one of the two sections of a shadow.
type shadowSection struct {
	State map[string]json.RawMessage `json:"state,omitempty"`
	Times map[string]int64           `json:"times,omitempty"` // Unix seconds of each attribute
	// Cleared is when the whole section was cleared, 0 if it was not or has been
	// filled since.
	Cleared int64 `json:"cleared,omitempty"`
}

func (s *shadowSection) clear(now int64) { *s = shadowSection{Cleared: now} }

func (s *shadowSection) put(v devjson.Value, now int64) {
	if s.State == nil {
		s.State, s.Times = map[string]json.RawMessage{}, map[string]int64{}
	}
	s.Cleared = 0
	v.Each(func(name string, v devjson.Value) bool {
		name = string([]byte(name))
		s.State[name], s.Times[name] = v.AppendJSON(nil), now
		return true
	})
}

func (s *shadowSection) remove(names []string) {
	for _, name := range names {
		delete(s.State, name)
		delete(s.Times, name)
	}
}

// shadowDocument is what is stored of a shadow.
type shadowDocument struct {
	Reported  shadowSection `json:"reported"`
	Desired   shadowSection `json:"desired"`
	Timestamp int64         `json:"timestamp"` // Unix seconds of the last change
}

// appendState appends {"reported":{…},"desired":{…}}; empty sections are left out.
func (d *shadowDocument) appendState(dst []byte) []byte {
	dst = append(dst, '{')
	sep := ""
	for _, s := range [...]struct {
		name    string
		section *shadowSection
	}{{"reported", &d.Reported}, {"desired", &d.Desired}} {
		if len(s.section.State) == 0 {
			continue
		}
		dst = append(append(append(append(dst, sep...), '"'), s.name...), `":{`...)
		sep = ","
		for i, name := range slices.Sorted(maps.Keys(s.section.State)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(devjson.AppendString(dst, name), ':'), s.section.State[name]...)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendMetadata appends the times of what appendState appends.
func (d *shadowDocument) appendMetadata(dst []byte) []byte {
	dst = append(dst, '{')
	sep := ""
	for _, s := range [...]struct {
		name    string
		section *shadowSection
	}{{"reported", &d.Reported}, {"desired", &d.Desired}} {
		switch {
		case len(s.section.State) > 0:
			dst = append(append(append(append(dst, sep...), '"'), s.name...), `":{`...)
			for i, name := range slices.Sorted(maps.Keys(s.section.State)) {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = append(devjson.AppendString(dst, name), `:{"timestamp":`...)
				dst = append(strconv.AppendInt(dst, s.section.Times[name], 10), '}')
			}
			dst = append(dst, '}')
		case s.section.Cleared > 0:
			dst = fmt.Appendf(dst, `%s"%s":{"timestamp":%d}`, sep, s.name, s.section.Cleared)
		default:
			continue
		}
		sep = ","
	}
	return append(dst, '}')
}

// check refuses a document beyond the limits.
func (d *shadowDocument) check() error {
	if len(d.Reported.State) > maxShadowAttributes || len(d.Desired.State) > maxShadowAttributes {
		return errShadowAttributes
	}
	if len(d.appendState(nil)) > maxShadowBytes {
		return errShadowLarge
	}
	return nil
}

// depth is how many levels of objects and arrays v has, at most one more than
// interests anybody.
func depth(v devjson.Value) int {
	deepest := 0
	switch v.Kind() {
	case devjson.Object:
		v.Each(func(_ string, v devjson.Value) bool {
			deepest = max(deepest, depth(v))
			return deepest <= maxShadowDepth
		})
	case devjson.Array:
		for i := range v.Len() {
			if deepest = max(deepest, depth(v.Index(i))); deepest > maxShadowDepth {
				break
			}
		}
	default:
		return 0
	}
	return deepest + 1
}

// isNull reports whether a value stands for "remove this": the text null, or null.
func isNull(v devjson.Value) bool {
	s, text := v.Str()
	return v.Exists() && (v.Kind() == devjson.Null || text && s == "null")
}

// nextVersion is the version that a request makes, given the one that is there.
func nextVersion(v devjson.Value, have int64) (next int64, reset bool, err error) {
	if !v.Exists() {
		if have == math.MaxInt64 {
			return 0, false, errShadowConflict
		}
		return have + 1, false, nil
	}
	n, ok := v.Int64()
	switch {
	case !ok || n < -1:
		return 0, false, errShadowVersion
	case n == -1:
		return 0, true, nil
	case n <= have:
		return 0, false, errShadowConflict
	}
	return n, false, nil
}

// shadowRequest is a device's request to its shadow.
type shadowRequest struct {
	method  string
	state   devjson.Value
	version devjson.Value
}

func parseShadow(v devjson.Value, err error) (r shadowRequest, _ error) {
	if err != nil || v.Kind() != devjson.Object {
		return r, errShadowJSON
	}
	r.method, _ = v.Get("method").Str()
	r.state, r.version = v.Get("state"), v.Get("version")
	switch r.method {
	case "":
		return r, errShadowMethod
	case "get":
		return r, nil
	case "update", "delete":
	default:
		return r, errShadowUnknown
	}
	if r.state.Kind() != devjson.Object {
		return r, errShadowState
	}
	if depth(r.state) > maxShadowDepth {
		return r, errShadowLarge
	}
	return r, nil
}

// apply changes a document by a device's update or delete.
func (r *shadowRequest) apply(d *shadowDocument, now int64) error {
	reported, desired := r.state.Get("reported"), r.state.Get("desired")
	if r.method == "delete" {
		for _, s := range [...]struct {
			v       devjson.Value
			section *shadowSection
		}{{reported, &d.Reported}, {desired, &d.Desired}} {
			switch {
			case isNull(s.v):
				s.section.clear(now)
			case s.v.Kind() == devjson.Object:
				var names []string
				s.v.Each(func(name string, _ devjson.Value) bool { names = append(names, name); return true })
				s.section.remove(names)
			}
		}
		if !reported.Exists() && !desired.Exists() {
			return errShadowReported
		}
		return nil
	}
	if isNull(desired) {
		d.Desired.clear(now)
	}
	switch {
	case isNull(reported):
		d.Reported.clear(now)
	case !reported.Exists():
		if !isNull(desired) {
			return errShadowReported
		}
	case reported.Kind() != devjson.Object || reported.Len() == 0:
		return errShadowEmpty
	default:
		d.Reported.put(reported, now)
	}
	return d.check()
}

func readShadow(b []byte) (d shadowDocument, err error) {
	if len(b) == 0 {
		return d, nil
	}
	if err = json.Unmarshal(b, &d); err != nil {
		err = fmt.Errorf("a stored shadow cannot be read: %w", err)
	}
	return d, err
}

// changeShadow is the one way a shadow is changed.
func (p *Platform) changeShadow(ctx context.Context, deviceID int64, version devjson.Value, change func(*shadowDocument, int64) error) (shadowDocument, int64, error) {
	var after shadowDocument
	var next int64
	now := p.now().Unix()
	err := p.store.UpdateShadow(ctx, deviceID, func(b []byte, have int64) ([]byte, int64, error) {
		var reset bool
		var err error
		if next, reset, err = nextVersion(version, have); err != nil {
			return nil, 0, err
		}
		if after, err = readShadow(b); err != nil {
			return nil, 0, err
		}
		if reset {
			after = shadowDocument{}
		}
		if err := change(&after, now); err != nil {
			return nil, 0, err
		}
		after.Timestamp = now
		b, err = json.Marshal(&after)
		return b, next, err
	})
	return after, next, err
}

// shadowBurst is how many seconds' worth of requests a device may send at once: what
// waited while it was away.
const shadowBurst = 5

// maxShadowMessage is the longest request that is looked at.
const maxShadowMessage = 64 << 10

// shadow answers a device's request to its shadow (spec/services.md §1). There is
// no id: replies come in the order of the requests.
func (p *Platform) shadow(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	topic := []byte("/shadow/get/" + d.pk + "/" + d.dn)
	if limit := float64(p.settings.Load().ShadowRate); limit > 0 {
		burst := shadowBurst * limit
		if d.strict {
			burst = limit
		}
		if !d.shadows.TakeWhole(x.Time.UnixNano(), limit, burst) {
			p.remark(d, t, alink.CodeTooManyRequests, fmt.Sprintf("more than %v requests to the shadow in a second (setting device.shadow_rate)", limit))
			x.Reply(topic, p.shadowFailure(errShadowRate))
			return true
		}
	}
	if len(x.Payload) > maxShadowMessage {
		p.remark(d, t, 400, errShadowLarge.text)
		x.Reply(topic, p.shadowFailure(errShadowLarge))
		return true
	}
	payload := slices.Clone(x.Payload)
	queued := later(p.records, func() {
		reply, err := p.shadowReply(d, payload)
		var refused *shadowError
		if errors.As(err, &refused) {
			p.remark(d, t, alink.Code(refused.code), refused.text)
			reply, err = p.shadowFailure(refused), nil
		} else if err != nil {
			p.storeFailed(err)
		}
		if err == nil {
			x.Reply(topic, reply)
		}
		x.Done(err)
	})
	if !queued {
		x.Reply(topic, p.shadowFailure(&shadowError{500, "too many requests wait"}))
	}
	return !queued
}

func (p *Platform) shadowReply(d *device, payload []byte) ([]byte, error) {
	var parser devjson.Parser
	r, err := parseShadow(parser.Parse(payload))
	if err != nil {
		return nil, err
	}
	if r.method == "get" {
		b, version, err := p.store.Shadow(p.ctx, d.id)
		if err != nil {
			return nil, err
		}
		if b == nil {
			return nil, errShadowNone
		}
		doc, err := readShadow(b)
		if err != nil {
			return nil, err
		}
		return p.appendShadow(nil, "reply", &doc, version), nil
	}
	_, version, err := p.changeShadow(p.ctx, d.id, r.version, r.apply)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"method":"reply","payload":{"status":"success","version":%d},"timestamp":%d}`, version, p.now().Unix()), nil
}

// appendShadow appends the whole shadow as a reply or a control message.
func (p *Platform) appendShadow(dst []byte, method string, d *shadowDocument, version int64) []byte {
	dst = append(append(append(dst, `{"method":"`...), method...), `","payload":{"status":"success","state":`...)
	dst = d.appendState(dst)
	dst = d.appendMetadata(append(dst, `,"metadata":`...))
	dst = strconv.AppendInt(append(dst, `},"version":`...), version, 10)
	dst = strconv.AppendInt(append(dst, `,"timestamp":`...), p.now().Unix(), 10)
	return append(dst, '}')
}

func (p *Platform) shadowFailure(e *shadowError) []byte {
	return fmt.Appendf(nil, `{"method":"reply","payload":{"status":"error","content":{"errorcode":"%d","errormessage":"%s"}},"timestamp":%d}`,
		e.code, e.text, p.now().Unix())
}

// Shadow is a device's shadow.
type Shadow struct {
	State     json.RawMessage `json:"state"`
	Metadata  json.RawMessage `json:"metadata"`
	Timestamp int64           `json:"timestamp"` // Unix seconds of the last change
	Version   int64           `json:"version"`
}

// DeviceShadow returns a device's shadow; an empty one if there is none.
func (p *Platform) DeviceShadow(ctx context.Context, pk, dn string) (Shadow, error) {
	dev, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return Shadow{}, err
	}
	b, version, err := p.store.Shadow(ctx, dev.ID)
	if err != nil {
		return Shadow{}, err
	}
	doc, err := readShadow(b)
	if err != nil {
		return Shadow{}, err
	}
	return Shadow{doc.appendState(nil), doc.appendMetadata(nil), doc.Timestamp, version}, nil
}

// DesireShadow changes the desired section of a device's shadow: attributes are
// merged, those that are null are removed; null as a whole clears it. version is
// the one the shadow is to have, which must be greater than what it has; 0 counts
// on, -1 empties the shadow first. The device is told at once if it is online, and
// when it connects.
func (p *Platform) DesireShadow(ctx context.Context, who, pk, dn string, desired json.RawMessage, version int64) (Shadow, error) {
	dev, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return Shadow{}, err
	}
	var parser, numbers devjson.Parser
	v, err := parser.ParseStrict(desired)
	if err != nil || !isNull(v) && v.Kind() != devjson.Object || depth(v) >= maxShadowDepth {
		return Shadow{}, &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: "the desired state is no JSON object of at most 5 levels"}
	}
	var next devjson.Value
	if version != 0 {
		next, _ = numbers.ParseStrict(strconv.AppendInt(nil, version, 10))
	}
	if err := p.auditFirst(ctx, who, "shadow.update", pk+"/"+dn, ""); err != nil {
		return Shadow{}, err
	}
	doc, got, err := p.changeShadow(ctx, dev.ID, next, func(d *shadowDocument, now int64) error {
		if isNull(v) {
			d.Desired.clear(now)
			return nil
		}
		d.Desired.put(v, now)
		var gone []string
		v.Each(func(name string, v devjson.Value) bool {
			if v.Kind() == devjson.Null {
				gone = append(gone, name)
			}
			return true
		})
		d.Desired.remove(gone)
		return d.check()
	})
	var refused *shadowError
	switch {
	case errors.Is(err, errShadowConflict):
		return Shadow{}, &Error{Kind: KindConflict, Code: 409, Message: fmt.Sprintf("version %d is not greater than that of the shadow of %s/%s", version, pk, dn), Hint: "read the shadow and decide again"}
	case errors.As(err, &refused):
		return Shadow{}, &Error{Kind: KindInvalid, Code: alink.Code(refused.code), Message: refused.text}
	case err != nil:
		return Shadow{}, err
	}
	if len(doc.Desired.State) > 0 && p.broker.Online(DeviceKey(pk, dn)) {
		p.notice("/shadow/get/"+pk+"/"+dn, p.appendShadow(nil, "control", &doc, got))
	}
	return Shadow{doc.appendState(nil), doc.appendMetadata(nil), doc.Timestamp, got}, nil
}

// DeleteShadow removes a device's shadow; its version begins again.
func (p *Platform) DeleteShadow(ctx context.Context, who, pk, dn string) error {
	dev, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return err
	}
	if err := p.auditFirst(ctx, who, "shadow.delete", pk+"/"+dn, ""); err != nil {
		return err
	}
	return p.store.UpdateShadow(ctx, dev.ID, func([]byte, int64) ([]byte, int64, error) { return nil, 0, nil })
}

// greetShadow tells a device that has just connected what its shadow desires.
func (p *Platform) greetShadow(d *device) error {
	b, version, err := p.store.Shadow(p.ctx, d.id)
	if err != nil || b == nil {
		return err
	}
	doc, err := readShadow(b)
	if err != nil || len(doc.Desired.State) == 0 {
		return err
	}
	p.notice("/shadow/get/"+d.pk+"/"+d.dn, p.appendShadow(nil, "control", &doc, version))
	return nil
}
