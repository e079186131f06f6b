package platform

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/script"
)

// productScript is a product's script with its breaker.
type productScript struct {
	*script.Script
	// exceeded counts calls that went beyond the script's limits, the last of them at
	// last; after too many in a minute it is not called until blocked. Times are Unix
	// milliseconds.
	exceeded atomic.Int32
	last     atomic.Int64
	blocked  atomic.Int64
}

const (
	maxExceeded = 5
	scriptPause = time.Minute
)

// scriptQueues are the workers of scripts. A device's messages stay in order, and a
// script that takes long holds back a quarter of the devices at most.
type scriptQueues [4]chan func()

func (q *scriptQueues) init() {
	for i := range q {
		q[i] = make(chan func(), 1024)
	}
}

func (q *scriptQueues) of(d *device) chan<- func() { return q[uint64(d.id)%uint64(len(q))] }

// scriptCode is the cloud's code for what went wrong with a script.
func scriptCode(err error) alink.Code {
	var e *script.Error
	if !errors.As(err, &e) {
		var p *Error
		if errors.As(err, &p) {
			return p.Code
		}
		return alink.CodeScriptFailed
	}
	switch e.Kind {
	case script.Empty:
		return alink.CodeScriptEmpty
	case script.Missing:
		return alink.CodeScriptNoFunction
	case script.Nothing:
		return alink.CodeScriptEmptyResult
	case script.Format:
		return alink.CodeScriptResultFormat
	}
	return alink.CodeScriptFailed
}

// run calls a product's script, unless its breaker has opened.
func (p *Platform) run(pr *product, call func(*script.Script) ([]byte, error)) ([]byte, error) {
	s := pr.script.Load()
	if s == nil {
		return nil, &Error{Kind: KindConflict, Code: alink.CodeScriptMissing, Message: "product " + pr.key + " has no script",
			Hint: "give it one: linkstead script set " + pr.key + " FILE"}
	}
	if now := p.now().UnixMilli(); now < s.blocked.Load() {
		return nil, &Error{Kind: KindBusy, Code: alink.CodeScriptThrottled, Message: "the script of product " + pr.key + " went beyond its limits too often and is not called for a minute"}
	}
	out, err := call(s.Script)
	var e *script.Error
	if errors.As(err, &e) && e.Kind == script.Exceeded {
		now := p.now().UnixMilli()
		if now-s.last.Swap(now) > scriptPause.Milliseconds() {
			s.exceeded.Store(0)
		}
		if s.exceeded.Add(1) >= maxExceeded {
			s.exceeded.Store(0)
			s.blocked.Store(p.now().Add(scriptPause).UnixMilli())
			p.logger.Warn("a product's script went beyond its limits too often; it is not called for a minute", "productKey", pr.key, "error", err)
		}
	}
	return out, err
}

// asRaw is a device whose answers go through its product's script.
func (d *device) asRaw() *device {
	c := *d
	c.raw = true
	return &c
}

// Rewrites reports whether a custom message goes through the product's script
// before anybody gets it (spec/topics.md §10).
func (d *device) Rewrites(topic, query string) bool {
	t, ok := alink.ParseTopic(topic + "?" + query)
	return ok && t.Kind == alink.Custom && t.WantsScript() && d.product.script.Load() != nil
}

// throughScript takes messages that are bytes only the product's script can read.
// It reports whether the exchange is taken care of.
func (p *Platform) throughScript(d *device, t alink.Topic, x *broker.Exchange) bool {
	var work func(w *worker, payload []byte) (done bool)
	switch {
	case t.Kind == alink.Custom:
		topic, qos := x.Topic+"?"+x.Query, min(x.QoS, 1)
		work = func(_ *worker, b []byte) bool { return p.transform(d, t, x, topic, qos, b) }
	case t.Kind == alink.UpRaw && !t.Reply:
		work = func(w *worker, b []byte) bool { return p.upRaw(w, d.asRaw(), t, x, b) }
	case t.Kind == alink.DownRaw && t.Reply:
		reply := t
		reply.Kind = alink.PropertySet // any command: the id says which
		work = func(w *worker, b []byte) bool { p.rawAnswer(w, d, reply, x, b); return true }
	case (t.Kind == alink.ExtRRPC || t.Kind == alink.RRPCResponse) && d.product.raw.Load() && !p.calls.wantsBytes(callKey(d.key, t.ID)):
		work = func(w *worker, b []byte) bool { p.rawAnswer(w, d, t, x, b); return true }
	default:
		return false
	}
	payload := slices.Clone(x.Payload)
	x.Properties = slices.Clone(x.Properties)
	queued := later(p.scripts.of(d), func() {
		w := workers.Get().(*worker)
		w.p, w.d = p, d
		if work(w, payload) {
			x.Done(nil)
		}
		w.p, w.d = nil, nil
		workers.Put(w)
	})
	if !queued {
		p.remark(d, t, alink.CodeThrottled, "too many messages wait for the product's script")
		x.Done(nil)
	}
	return true
}

// upRaw turns bytes into a message and has it served like any other; the answer
// goes back through the script.
func (p *Platform) upRaw(w *worker, d *device, t alink.Topic, x *broker.Exchange, raw []byte) (done bool) {
	w.d = d
	fail := func(code alink.Code, reason string) bool {
		p.remark(d, t, code, reason)
		w.request = alink.Request{Ack: true}
		w.answer(t, x, code, nil, "")
		return true
	}
	message, err := p.run(d.product, func(s *script.Script) ([]byte, error) { return s.RawToProtocol(raw) })
	if err != nil {
		return fail(scriptCode(err), err.Error())
	}
	if err := w.decoder.Request(message, &w.request); err != nil {
		return fail(alink.CodeNotJSON, err.Error())
	}
	if w.request.Method == "" {
		if w.decoder.Reply(message, &w.reply) == nil { // the answer to a command
			x.Payload = message
			t.Kind, t.Reply = alink.PropertySet, true
			p.answered(w, d, t, x)
			return true
		}
		return fail(alink.CodeMethodMissingAfter, "what rawDataToProtocol returned has no method")
	}
	method := strings.Clone(w.request.Method) // outlives the decoder's next message
	served, ok := alink.ParseMethod(method)
	if !ok || served.Kind.Direction() != alink.Up || !served.Kind.HasReply() || served.Kind == alink.UpRaw {
		return fail(alink.CodeNotAlink, "rawDataToProtocol returned the method "+clip(method)+", which no device sends")
	}
	served.ProductKey, served.DeviceName = d.pk, d.dn
	x.Payload = message
	return p.serve(w, d, served, x)
}

// rawAnswer takes the bytes that answer a command.
func (p *Platform) rawAnswer(w *worker, d *device, t alink.Topic, x *broker.Exchange, raw []byte) {
	message, err := p.run(d.product, func(s *script.Script) ([]byte, error) { return s.RawToProtocol(raw) })
	if err != nil {
		p.remark(d, alink.Topic{Kind: alink.DownRaw}, scriptCode(err), err.Error())
		return
	}
	x.Payload = message
	p.answered(w, d, t, x)
}

// transform publishes what the script makes of a custom message in its place.
func (p *Platform) transform(d *device, t alink.Topic, x *broker.Exchange, topic string, qos byte, raw []byte) (done bool) {
	message, err := p.run(d.product, func(s *script.Script) ([]byte, error) { return s.Transform(topic, raw) })
	if err != nil {
		p.remark(d, t, scriptCode(err), err.Error())
		return true
	}
	p.broker.Publish(broker.Message{Topic: x.Topic, Payload: message, Properties: x.Properties, QoS: qos, Publisher: d.key}, x.Done)
	return false
}

// rawReply is a reply as the script puts it, nil if it cannot.
func (p *Platform) rawReply(d *device, reply []byte) []byte {
	raw, err := p.run(d.product, func(s *script.Script) ([]byte, error) { return s.ProtocolToRaw(reply) })
	if err != nil {
		p.remark(d, alink.Topic{Kind: alink.UpRaw, Reply: true}, scriptCode(err), err.Error())
		return nil
	}
	return raw
}

// reply sends the answer to a request, through the script if the request came that
// way. It runs on a worker of scripts then.
func (p *Platform) reply(d *device, x *broker.Exchange, topic, reply []byte) {
	if d == nil || !d.raw {
		x.Reply(topic, reply)
		return
	}
	if raw := p.rawReply(d, reply); raw != nil {
		x.Reply([]byte(alink.SysTopic(d.pk, d.dn, "thing/model/up_raw_reply")), raw)
	}
}

// outgoing is a command as its device gets it: where and which bytes.
func (p *Platform) outgoing(pr *product, pk, dn, topic string, message []byte) (string, []byte, error) {
	if !pr.raw.Load() {
		return topic, message, nil
	}
	raw, err := p.run(pr, func(s *script.Script) ([]byte, error) { return s.ProtocolToRaw(message) })
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			return "", nil, err
		}
		return "", nil, &Error{Kind: KindConflict, Code: scriptCode(err), Message: err.Error()}
	}
	down := alink.SysTopic(pk, dn, "thing/model/down_raw")
	switch t, _ := alink.ParseTopic(topic); t.Kind {
	case alink.RRPCRequest:
		return topic, raw, nil
	case alink.ExtRRPC:
		return alink.ExtRRPCTopic(t.ID, down), raw, nil
	}
	return down, raw, nil
}

// wantsBytes reports whether the command that an answer is for takes it as it is.
func (c *calls) wantsBytes(at string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.waiting[at]
	return w != nil && w.raw
}

// PutScript checks a script by running it once and makes it that of a product; an
// empty one removes it. It takes effect with the next message.
func (p *Platform) PutScript(ctx context.Context, who, pk, source string) error {
	pr, err := p.productOf(ctx, pk)
	if err != nil {
		return err
	}
	var fresh *productScript
	if source != "" {
		s, err := script.New(source, script.Limits{})
		if err != nil {
			return &Error{Kind: KindInvalid, Code: scriptCode(err), Message: err.Error()}
		}
		fresh = &productScript{Script: s}
	}
	if err := p.store.PutScript(ctx, pk, source); err != nil {
		if fresh != nil {
			fresh.Close()
		}
		return err
	}
	if old := pr.script.Swap(fresh); old != nil {
		old.Close()
	}
	p.audit(ctx, who, "script.put", pk, "")
	return nil
}

// Script returns the script of a product, "" if it has none.
func (p *Platform) Script(ctx context.Context, pk string) (string, error) {
	if _, err := p.store.Product(ctx, pk); err != nil {
		return "", err
	}
	source, _, err := p.store.Script(ctx, pk)
	return source, err
}

// loadScript gives a product that is read from the store its script. One that
// cannot be used any more is as good as none, and the log says so.
func (p *Platform) loadScript(ctx context.Context, pr *product) error {
	source, _, err := p.store.Script(ctx, pr.key)
	if err != nil || source == "" {
		return err
	}
	s, err := script.New(source, script.Limits{})
	if err != nil {
		p.logger.Error("the stored script of a product cannot be used", "productKey", pr.key, "error", err)
		return nil
	}
	pr.script.Store(&productScript{Script: s})
	return nil
}
