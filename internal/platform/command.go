package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/tsl"
)

// CallOptions say how a device is asked.
type CallOptions struct {
	// Wait waits for the device's reply, as long as Timeout (the server's default
	// if 0). Synchronous services always wait.
	Wait    bool
	Timeout time.Duration
	// ForceID is the message id to use, a decimal number; made up if empty.
	ForceID string
	// NoCheck sends what the thing model does not allow.
	NoCheck bool
	// Properties go with the message to a device that speaks MQTT 5.0.
	Properties *MessageProperties
}

// CallResult is what became of a command.
type CallResult struct {
	ID      string          `json:"id"`
	Topic   string          `json:"topic"`
	Replied bool            `json:"replied"`
	Code    int             `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	// Properties are those of the device's reply, nil if it has none.
	Properties *MessageProperties `json:"properties,omitempty"`

	payload []byte // of a raw call
}

// calls are the commands whose replies are awaited, by device and message id.
type calls struct {
	next    atomic.Uint64
	mu      sync.Mutex
	waiting map[string]*call
	late    atomic.Uint64
}

type call struct {
	kind    int          // which of the commands
	sent    atomic.Int64 // Unix nanoseconds, 0 until the audit log has it
	service string       // recorded in the device's history, "" for property commands
	input   []byte
	raw     bool // the answer is bytes, not an Alink reply
	reply   chan CallResult
}

const maxWaitingCalls = 100_000

// init begins message ids at a number that differs from run to run, so that a
// reply of before a restart is not taken for one of now. Ids have at most ten
// digits: older SDKs keep no more (spec/thing-model.md §4).
func (c *calls) init(now time.Time) {
	c.waiting = make(map[string]*call)
	c.next.Store(uint64(now.UnixMilli()))
}

func (c *calls) id() string {
	return strconv.FormatUint(c.next.Add(1)%4_000_000_000+1, 10)
}

func decimal(s string) bool {
	if s == "" || len(s) > 20 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func callKey(d, id string) string { return d + "|" + id }

// SetProperties tells a device to change properties. params is a JSON object of
// writable properties. The audit log says that who did it before it is sent: the
// names of the properties, not their values.
func (p *Platform) SetProperties(ctx context.Context, who, pk, dn string, params json.RawMessage, o CallOptions) (*CallResult, error) {
	c := command{method: "thing.service.property.set", topic: alink.PropertySetTopic(pk, dn), params: params, who: who, action: "property.set"}
	return p.send(ctx, pk, dn, c, o, func(m *tsl.Model, v devjson.Value) error {
		if problem := m.CheckSet(v); problem != nil {
			return problem
		}
		return nil
	})
}

// GetProperties asks a device for properties, by identifier, and waits for the
// reply. It changes nothing, so the audit log does not have it.
func (p *Platform) GetProperties(ctx context.Context, pk, dn string, identifiers []string, o CallOptions) (*CallResult, error) {
	params, err := json.Marshal(identifiers)
	if err != nil {
		return nil, err
	}
	o.Wait = true
	c := command{method: "thing.service.property.get", topic: alink.PropertyGetTopic(pk, dn), params: params}
	return p.send(ctx, pk, dn, c, o, func(m *tsl.Model, v devjson.Value) error {
		for _, id := range identifiers {
			if _, known := m.Property(id); !known {
				return &Error{Kind: KindInvalid, Code: alink.CodePropertyUndefined, Message: "the thing model has no property " + id}
			}
		}
		return nil
	})
}

// InvokeService calls a service of a device. params is a JSON object, {} if nil.
// The audit log says that who did it before it is sent.
func (p *Platform) InvokeService(ctx context.Context, who, pk, dn, service string, params json.RawMessage, o CallOptions) (*CallResult, error) {
	if len(params) == 0 {
		params = json.RawMessage("{}")
	}
	if service == "" || strings.ContainsAny(service, "/+#?") {
		return nil, &Error{Kind: KindInvalid, Code: alink.CodeServiceUndefined, Message: strconv.Quote(clip(service)) + " cannot be the name of a service"}
	}
	pr, err := p.productOf(ctx, pk)
	if err != nil {
		return nil, err
	}
	topic := alink.ServiceTopic(pk, dn, service)
	if o.ForceID == "" {
		o.ForceID = p.calls.id()
	}
	if s, known := pr.model.Load().Service(service); known && s.CallType == tsl.CallSync {
		o.Wait = true
		topic = p.syncTopic(pk, dn, o.ForceID, topic)
	}
	return p.send(ctx, pk, dn, command{method: "thing.service." + service, topic: topic, service: service, params: params, who: who, action: "service.call"}, o, func(m *tsl.Model, v devjson.Value) error {
		if problem := m.CheckServiceInput(service, v, tsl.Strong); problem != nil {
			return problem
		}
		return nil
	})
}

// syncTopic is where a synchronous call goes: it depends on what the device asked
// for at its login (spec/thing-model.md §8.2).
func (p *Platform) syncTopic(pk, dn, id, service string) string {
	p.presentMu.RLock()
	ext := p.present[DeviceKey(pk, dn)]
	p.presentMu.RUnlock()
	if ext&alink.ExtRRPCWanted != 0 {
		return alink.ExtRRPCTopic(id, service)
	}
	return alink.RRPCRequestTopic(pk, dn, id)
}

type command struct {
	method, topic, service string
	params                 json.RawMessage
	// who did what, for the audit log; no action for what changes nothing
	who, action string
	// version is that of the message, "1.0.0" if empty
	version string
	// notice: it is about the device's place here, not its thing model
	notice bool
}

func (c *command) kind() int {
	switch {
	case c.notice:
		return commandNotice
	case c.service != "":
		return commandService
	case c.action == "":
		return commandGet
	}
	return commandSet
}

// detail says for the audit log what a command asked for. Values may be secrets
// (the password of a network), so there are only names.
func (c *command) detail(id string, params devjson.Value) string {
	b := append([]byte(nil), "message "...)
	b = append(b, id...)
	if c.service != "" {
		b = append(append(b, ", service "...), c.service...)
	}
	sep := ": "
	params.Each(func(name string, _ devjson.Value) bool {
		b = append(append(b, sep...), name...)
		sep = ", "
		return len(b) < maxDetail
	})
	return string(b) // the store cuts what is too long
}

// maxDetail is the length of an audit entry's detail behind which no name is added.
const maxDetail = 512

func (p *Platform) send(ctx context.Context, pk, dn string, c command, o CallOptions, check func(*tsl.Model, devjson.Value) error) (*CallResult, error) {
	dev, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	pr, err := p.productOf(ctx, pk)
	if err != nil {
		return nil, err
	}
	var parser devjson.Parser
	v, err := parser.ParseStrict(c.params)
	if err != nil {
		return nil, &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: "the parameters are not JSON: " + err.Error()}
	}
	if !o.NoCheck {
		if err := check(pr.model.Load(), v); err != nil {
			return nil, err
		}
	}
	key := DeviceKey(pk, dn)
	switch {
	case !dev.Enabled:
		return nil, &Error{Kind: KindConflict, Code: alink.CodeDownlinkDisabled, Message: "device " + pk + "/" + dn + " is disabled"}
	case dev.ActivatedAt.IsZero() && !p.broker.Online(key):
		return nil, &Error{Kind: KindOffline, Code: alink.CodeNotActivated, Message: "device " + pk + "/" + dn + " has never connected"}
	case !p.broker.Online(key):
		return nil, &Error{Kind: KindOffline, Code: alink.CodeOffline, Message: "device " + pk + "/" + dn + " is offline"}
	}
	id := o.ForceID
	if id == "" {
		id = p.calls.id()
	}
	if !decimal(id) {
		return nil, &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: "the message id " + strconv.Quote(clip(id)) + " is not a decimal number of at most 20 digits"}
	}
	if err := validTopic(c.topic); err != nil {
		return nil, err
	}
	properties, err := o.Properties.encode()
	if err != nil {
		return nil, err
	}
	compact := v.AppendJSON(nil)
	topic, payload, err := p.outgoing(pr, pk, dn, c.topic, alink.AppendCommand(nil, c.method, id, compact, c.version))
	if err != nil {
		return nil, err
	}
	c.topic = topic
	w := &call{kind: c.kind(), service: c.service, input: compact, reply: make(chan CallResult, 1)}
	at := callKey(key, id)
	p.calls.mu.Lock()
	if len(p.calls.waiting) >= maxWaitingCalls {
		p.calls.mu.Unlock()
		return nil, &Error{Kind: KindBusy, Code: alink.CodeTooManyRequests, Message: "too many commands wait for replies"}
	}
	if p.calls.waiting[at] != nil {
		p.calls.mu.Unlock()
		return nil, &Error{Kind: KindConflict, Code: alink.CodeParameter, Message: "message id " + id + " waits for a reply of this device already"}
	}
	p.calls.waiting[at] = w
	p.calls.mu.Unlock()
	if c.action != "" {
		if err := p.auditFirst(ctx, c.who, c.action, pk+"/"+dn, c.detail(id, v)); err != nil {
			p.calls.forget(at, w)
			return nil, err
		}
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = p.settings.Load().CallTimeout
	}
	time.AfterFunc(timeout, func() {
		if p.calls.forget(at, w) {
			p.figures.timeouts[w.kind].Add(0, 1)
		}
	})
	w.sent.Store(time.Now().UnixNano())
	p.figures.sent[w.kind].Add(0, 1)

	result := &CallResult{ID: id, Topic: c.topic}
	sent := make(chan error, 1)
	p.broker.Publish(broker.Message{Topic: c.topic, Payload: payload, Properties: properties, Publisher: "platform"},
		func(err error) { sent <- err })
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-sent:
		if err != nil {
			p.calls.forget(at, w)
			return nil, err
		}
	case <-ctx.Done():
		p.calls.forget(at, w)
		return nil, ctx.Err()
	case <-p.ctx.Done():
		return nil, &Error{Kind: KindClosed, Message: "the server is shutting down"}
	}
	if !o.Wait {
		return result, nil
	}
	select {
	case r := <-w.reply:
		r.Topic = c.topic
		return &r, nil
	case <-timer.C:
		return result, &Error{Kind: KindTimeout, Code: alink.CodeDeliveryFailed,
			Message: fmt.Sprintf("device %s/%s did not reply to message %s within %v", pk, dn, id, timeout)}
	case <-ctx.Done():
		p.calls.forget(at, w)
		return nil, ctx.Err()
	case <-p.ctx.Done():
		return nil, &Error{Kind: KindClosed, Message: "the server is shutting down"}
	}
}

// forget ends the waiting and reports whether there was any left.
func (c *calls) forget(at string, w *call) (waited bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[at] != w {
		return false
	}
	delete(c.waiting, at)
	return true
}

func (c *calls) take(at string) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.waiting[at]
	delete(c.waiting, at)
	return w
}

// answered takes a device's reply to a command. The first one counts.
func (p *Platform) answered(w *worker, d *device, t alink.Topic, x *broker.Exchange) {
	err := w.decoder.Reply(x.Payload, &w.reply)
	var at string
	switch {
	case t.Kind == alink.RRPCResponse, t.Kind == alink.ExtRRPC:
		at = callKey(d.key, t.ID)
	case err != nil:
		var e *alink.EnvelopeError
		errors.As(err, &e)
		p.logger.Debug("a device's reply cannot be read", "productKey", d.pk, "deviceName", d.dn, "topic", x.Topic, "error", err)
		return
	default:
		at = callKey(d.key, w.reply.ID)
	}
	c := p.calls.take(at)
	if c == nil {
		if t.Kind != alink.PropertySet && t.Reply && t.Kind != alink.PropertyGet && t.Kind != alink.ServiceCall {
			return // of a push that wants no answer
		}
		p.calls.late.Add(1)
		p.logger.Debug("a reply that nobody waits for", "productKey", d.pk, "deviceName", d.dn, "topic", x.Topic)
		return
	}
	if sent := c.sent.Load(); sent > 0 {
		p.figures.replied[c.kind].Observe(time.Now().UnixNano() - sent)
	}
	r := CallResult{Replied: true, Properties: PropertiesOf(x.Properties)}
	if c.raw {
		r.payload = slices.Clone(x.Payload)
		c.reply <- r
		return
	}
	if err != nil { // answered on the right topic, but not in the form: hand it over as it is
		r.ID = t.ID
		r.Data, _ = json.Marshal(string(x.Payload))
	} else {
		r.ID = string([]byte(w.reply.ID))
		r.Code = int(w.reply.Code)
		r.Message = string([]byte(w.reply.Message))
		if w.reply.Data.Exists() {
			r.Data = w.reply.Data.AppendJSON(nil)
		}
	}
	if c.service != "" {
		p.recordCall(d, c, r, x.Time)
		return
	}
	c.reply <- r
}

// recorded hands a call's result over once it is in the device's history.
type recorded struct {
	p *Platform
	c *call
	r CallResult
}

// Committed hands the result over, also if it could not be kept: the device has
// done what it was asked.
func (d recorded) Committed(err error) {
	if err != nil {
		d.p.storeFailed(err)
	}
	d.c.reply <- d.r
}

// recordCall keeps a service call in the device's history.
func (p *Platform) recordCall(d *device, c *call, r CallResult, at time.Time) {
	b := append([]byte(nil), `{"id":`...)
	b = devjson.AppendString(b, r.ID)
	b = append(b, `,"code":`...)
	b = strconv.AppendInt(b, int64(r.Code), 10)
	b = append(append(b, `,"input":`...), c.input...)
	b = append(b, `,"output":`...)
	if r.Data != nil {
		b = append(b, r.Data...)
	} else {
		b = append(b, "{}"...)
	}
	b = append(b, '}')
	p.store.Append([]store.Point{{
		Series: store.SeriesKey{DeviceID: d.id, Kind: store.Service, Identifier: c.service},
		TimeMS: at.UnixMilli(), Value: store.JSON(b),
	}}, recorded{p, c, r})
}

// Publish publishes a message of the server's owner to any topic. The audit log
// says that who did it before it is sent.
func (p *Platform) Publish(ctx context.Context, who, topic string, payload []byte, qos byte, retain bool) error {
	return p.PublishWith(ctx, who, topic, payload, qos, retain, nil)
}

// PublishWith is Publish with properties for receivers that speak MQTT 5.0; nil for
// none.
func (p *Platform) PublishWith(ctx context.Context, who, topic string, payload []byte, qos byte, retain bool, properties *MessageProperties) error {
	if qos > 1 {
		return &Error{Kind: KindInvalid, Message: "the QoS must be 0 or 1"}
	}
	if err := validTopic(topic); err != nil {
		return err
	}
	encoded, err := properties.encode()
	if err != nil {
		return err
	}
	detail := fmt.Sprintf("QoS %d, %d bytes", qos, len(payload))
	if retain {
		detail += ", retained"
	}
	if err := p.auditFirst(ctx, who, "publish", topic, detail); err != nil {
		return err
	}
	sent := make(chan error, 1)
	p.broker.Publish(broker.Message{Topic: topic, Payload: payload, Properties: encoded, QoS: qos, Retain: retain, Publisher: who}, func(err error) { sent <- err })
	select {
	case err := <-sent:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ctx.Done():
		return &Error{Kind: KindClosed, Message: "the server is shutting down"}
	}
}
