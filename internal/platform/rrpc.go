package platform

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
)

// The limits of a synchronous request (spec/services.md §7).
const (
	MinRRPCTimeout = time.Second
	MaxRRPCTimeout = 8 * time.Second
	maxRRPCPayload = 128 << 10
)

// RRPCResult is a device's answer to a synchronous request.
type RRPCResult struct {
	ID      string `json:"id"` // of the message
	Topic   string `json:"topic"`
	Payload []byte `json:"payload"` // base64 in JSON
	// Properties are those of the answer of a device that speaks MQTT 5.0, nil if
	// it has none.
	Properties *MessageProperties `json:"properties,omitempty"`
}

// RRPC sends a device a request of any bytes and waits for its answer, 1 to 8
// seconds. An empty topic uses the system's own (/sys/{P}/rrpc/request/…); any
// other is a custom topic of the device, which must have asked for this at its
// login (ext=1).
func (p *Platform) RRPC(ctx context.Context, who, pk, dn, topic string, payload []byte, timeout time.Duration) (*RRPCResult, error) {
	return p.RRPCWith(ctx, who, pk, dn, topic, payload, timeout, nil)
}

// RRPCWith is RRPC with properties for a device that speaks MQTT 5.0; nil for none.
func (p *Platform) RRPCWith(ctx context.Context, who, pk, dn, topic string, payload []byte, timeout time.Duration, properties *MessageProperties) (*RRPCResult, error) {
	encoded, err := properties.encode()
	if err != nil {
		return nil, err
	}
	dev, err := p.store.Device(ctx, pk, dn)
	if err != nil {
		return nil, err
	}
	key := DeviceKey(pk, dn)
	switch {
	case timeout < MinRRPCTimeout || timeout > MaxRRPCTimeout:
		return nil, &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: fmt.Sprintf("the time-out is %v; it must be 1 to 8 seconds", timeout)}
	case len(payload) > maxRRPCPayload:
		return nil, &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: fmt.Sprintf("the request has %d bytes, allowed are %d", len(payload), maxRRPCPayload)}
	case !dev.Enabled:
		return nil, &Error{Kind: KindConflict, Code: alink.CodeDownlinkDisabled, Message: "device " + pk + "/" + dn + " is disabled"}
	case !p.broker.Online(key):
		return nil, &Error{Kind: KindOffline, Code: alink.CodeOffline, Message: "device " + pk + "/" + dn + " is offline"}
	}
	// Nineteen digits as on the cloud, so that ids of synchronous services, which
	// are shorter, are never met.
	id := strconv.FormatUint(1_000_000_000_000_000_000+rand.Uint64N(8_000_000_000_000_000_000), 10)
	to := alink.RRPCRequestTopic(pk, dn, id)
	if topic != "" {
		if !strings.HasPrefix(topic, "/"+pk+"/"+dn+"/") {
			return nil, &Error{Kind: KindInvalid, Code: alink.CodeTopicIllegal, Message: clip(topic) + " is no custom topic of " + pk + "/" + dn, Hint: "write /" + pk + "/" + dn + "/user/…"}
		}
		p.presentMu.RLock()
		ext := p.present[key]
		p.presentMu.RUnlock()
		if ext&alink.ExtRRPCWanted == 0 {
			return nil, &Error{Kind: KindConflict, Code: alink.CodeDeliveryFailed, Message: "the device did not ask for requests on custom topics",
				Hint: "let it log in with ext=1 in its client id, or leave the topic out"}
		}
		to = alink.ExtRRPCTopic(id, topic)
	}
	if err := validTopic(to); err != nil {
		return nil, err
	}
	w := &call{kind: commandService, raw: true, reply: make(chan CallResult, 1)}
	at := callKey(key, id)
	p.calls.mu.Lock()
	if len(p.calls.waiting) >= maxWaitingCalls {
		p.calls.mu.Unlock()
		return nil, &Error{Kind: KindBusy, Code: alink.CodeTooManyRequests, Message: "too many commands wait for replies"}
	}
	p.calls.waiting[at] = w
	p.calls.mu.Unlock()
	defer p.calls.forget(at, w)
	if err := p.auditFirst(ctx, who, "rrpc", pk+"/"+dn, fmt.Sprintf("message %s, %d bytes", id, len(payload))); err != nil {
		return nil, err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	w.sent.Store(time.Now().UnixNano())
	p.figures.sent[commandService].Add(0, 1)
	p.broker.Publish(broker.Message{Topic: to, Payload: payload, Properties: encoded, Publisher: "platform"}, nil)
	select {
	case r := <-w.reply:
		return &RRPCResult{ID: id, Topic: to, Payload: r.payload, Properties: r.Properties}, nil
	case <-timer.C:
		p.figures.timeouts[commandService].Add(0, 1)
		return nil, &Error{Kind: KindTimeout, Code: alink.CodeDeliveryFailed, Message: fmt.Sprintf("device %s/%s did not answer message %s within %v", pk, dn, id, timeout)}
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.ctx.Done():
		return nil, &Error{Kind: KindClosed, Message: "the server is shutting down"}
	}
}

// maxBroadcast is the size of a broadcast in bytes (spec/services.md §8).
const maxBroadcast = 64 << 10

// Broadcast sends a message to devices of a product. With an empty suffix all that
// are online get it on /sys/{P}/broadcast/request/{messageId} without having
// subscribed; otherwise those that subscribed to /broadcast/{productKey}/{suffix}.
// It returns the message id, or the topic, and how many devices it was sent to (-1
// if subscribers decide).
func (p *Platform) Broadcast(ctx context.Context, who, pk, suffix string, payload []byte) (where string, devices int, err error) {
	if _, err := p.store.Product(ctx, pk); err != nil {
		return "", 0, err
	}
	if len(payload) > maxBroadcast {
		return "", 0, &Error{Kind: KindInvalid, Code: alink.CodeParameter, Message: fmt.Sprintf("the message has %d bytes, allowed are %d", len(payload), maxBroadcast)}
	}
	topic := "/broadcast/" + pk + "/" + suffix
	if suffix != "" {
		if err := validTopic(topic); err != nil {
			return "", 0, err
		}
	}
	if suffix == "" {
		if wait := p.broadcasts.wait(pk, p.now(), p.settings.Load().BroadcastEvery); wait > 0 {
			return "", 0, &Error{Kind: KindBusy, Code: alink.CodeTooManyRequests, Message: fmt.Sprintf("the product's devices had a broadcast a moment ago; the next may be sent in %v", wait.Round(time.Second)),
				Hint: "device.broadcast_every, and device.strict, say how often there may be one"}
		}
	}
	if err := p.auditFirst(ctx, who, "broadcast", pk, fmt.Sprintf("%s, %d bytes", suffix, len(payload))); err != nil {
		return "", 0, err
	}
	if suffix != "" {
		return topic, -1, p.publish(ctx, topic, payload)
	}
	id := p.calls.id()
	for _, dn := range p.onlineOf(pk) {
		p.notice(alink.SysTopic(pk, dn, "broadcast/request/"+id), payload)
		devices++
	}
	return id, devices, nil
}

// broadcasts remembers when each product had the last one to all its devices.
type broadcasts struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// wait is 0 if a broadcast may be sent now, which is then noted, and else how long it
// has to wait.
func (b *broadcasts) wait(pk string, now time.Time, every time.Duration) time.Duration {
	if every <= 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := every - now.Sub(b.last[pk]); wait > 0 {
		return wait
	}
	if b.last == nil {
		b.last = make(map[string]time.Time)
	}
	for other, at := range b.last { // products come and go
		if now.Sub(at) >= every {
			delete(b.last, other)
		}
	}
	b.last[pk] = now
	return 0
}

// onlineOf names the devices of a product that are online.
func (p *Platform) onlineOf(pk string) []string {
	prefix := DeviceKey(pk, "")
	var names []string
	p.presentMu.RLock()
	defer p.presentMu.RUnlock()
	for key := range p.present {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			names = append(names, name)
		}
	}
	return names
}

// publish publishes a message of the platform and waits until it is on its way.
func (p *Platform) publish(ctx context.Context, topic string, payload []byte) error {
	sent := make(chan error, 1)
	p.broker.Publish(broker.Message{Topic: topic, Payload: payload, Publisher: "platform"}, func(err error) { sent <- err })
	select {
	case err := <-sent:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ctx.Done():
		return &Error{Kind: KindClosed, Message: "the server is shutting down"}
	}
}
