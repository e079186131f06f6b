package platform

import (
	"errors"
	"fmt"
	"sync"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/store"
)

// worker is what one message needs while it is handled.
type worker struct {
	p       *Platform // and the device whose message it is, during Handle
	d       *device
	decoder alink.Decoder
	request alink.Request
	reply   alink.Reply
	points  []store.Point
	topic   []byte
	data    []byte
	out     []byte
	values  []byte
}

var workers = sync.Pool{New: func() any { return new(worker) }}

// Handle takes a device's publication to a system topic to the service that
// answers it.
func (p *Platform) Handle(x *broker.Exchange) {
	d, ok := x.Principal.(*device)
	t, known := alink.ParseTopic(x.Topic)
	if !ok || !known {
		x.Done(nil)
		return
	}
	owner := d
	if d.subs != nil && !t.Of(d.pk, d.dn) {
		if owner = d.subOf(&t); owner == nil { // logged out a moment ago, or the answer to a notice
			x.Done(nil)
			return
		}
	}
	if p.throughScript(owner, t, x) {
		return
	}
	w := workers.Get().(*worker)
	w.p, w.d = p, owner
	if done := p.serve(w, owner, t, x); done {
		x.Done(nil)
	}
	w.p, w.d = nil, nil
	workers.Put(w)
}

// serve reports whether the exchange is done; otherwise the service calls Done
// later.
func (p *Platform) serve(w *worker, d *device, t alink.Topic, x *broker.Exchange) (done bool) {
	switch {
	case t.Kind == alink.JobNotify && t.Reply:
		p.jobNoticed(w, d, t, x)
		return true
	case t.Kind == alink.RRPCResponse, t.Kind == alink.ExtRRPC:
		p.answered(w, d, t, x)
		return true
	case t.Reply:
		switch {
		case t.Kind == alink.TopoChange, t.Kind == alink.ThingDisable, t.Kind == alink.ThingEnable, t.Kind == alink.ThingDelete: // nobody waits for these
		case t.Kind.Direction() == alink.Down:
			p.answered(w, d, t, x)
		default:
			p.unserved.note(p, d, x.Topic)
		}
		return true
	}
	switch t.Kind {
	case alink.PropertyPost:
		return p.propertyPost(w, d, t, x)
	case alink.EventPost:
		return p.eventPost(w, d, t, x)
	case alink.NTPRequest:
		return p.ntp(w, d, x)
	case alink.PropertyBatchPost, alink.PropertyPackPost, alink.PropertyHistoryPost:
		return p.reports(w, d, t, x)
	case alink.DesiredGet, alink.DesiredDelete:
		return p.desired(w, d, t, x)
	case alink.DeviceInfoUpdate, alink.DeviceInfoDelete:
		return p.tags(w, d, t, x)
	case alink.DeviceInfoGet:
		return p.tagsGet(w, d, t, x)
	case alink.ConfigGet:
		return p.remoteConfig(w, d, t, x)
	case alink.OTAInform, alink.OTAProgress, alink.OTARequest, alink.OTAFirmwareGet:
		return p.upgrade(w, d, t, x)
	case alink.FileDownload:
		return p.download(w, d, t, x)
	case alink.FileUploadInit, alink.FileUploadSend, alink.FileUploadCancel:
		return p.uploadFile(d, t, x)
	case alink.JobGet, alink.JobUpdate:
		return p.tasks(w, d, t, x)
	case alink.ShadowUpdate:
		return p.shadow(w, d, t, x)
	case alink.DiagPost:
		return p.diagnosis(w, d, t, x)
	case alink.LANPrefixGet, alink.EnrolleeMatch, alink.EnrolleeFound, alink.CipherGet, alink.ThingReset:
		return p.boot(w, d, t, x)
	case alink.LogConfigGet, alink.LogPost:
		return p.deviceLogs(w, d, t, x)
	case alink.TemplateGet, alink.DynamicTSLGet:
		return p.template(w, d, t, x)
	case alink.SessionLogin, alink.SessionBatchLogin, alink.SessionLogout, alink.SessionBatchLogout,
		alink.TopoAdd, alink.TopoDelete, alink.TopoGet, alink.ListFound,
		alink.SubRegister, alink.SubUnregister, alink.ProductRegister:
		return p.gateway(w, d, t, x)
	}
	if t.Kind == alink.Unknown && t.Suffix == "thing/config/log/post" { // a mistake of a third-party SDK (spec/services.md §5)
		t.Kind, t.Suffix = alink.LogPost, ""
		return p.deviceLogs(w, d, t, x)
	}
	p.unserved.note(p, d, x.Topic)
	return true
}

// read decodes a request; if it cannot be read the failure is answered.
func (w *worker) read(t alink.Topic, x *broker.Exchange) bool {
	err := w.decoder.Request(x.Payload, &w.request)
	if err == nil {
		return true
	}
	code := alink.CodeNotJSON
	var e *alink.EnvelopeError
	if errors.As(err, &e) {
		code = e.Code
	}
	w.p.remark(w.d, t, code, err.Error())
	w.request = alink.Request{Ack: true}
	w.answer(t, x, code, nil, "")
	return false
}

// answer replies to the request in w, unless its sender wants no reply. An empty
// message is the code's own.
func (w *worker) answer(t alink.Topic, x *broker.Exchange, code alink.Code, data []byte, message string) {
	if !w.request.Ack {
		return
	}
	w.topic = t.AppendReplyTopic(w.topic[:0])
	w.out = alink.AppendReply(w.out[:0], code, data, w.request.ID, message, t.Method(), "")
	w.p.reply(w.d, x, w.topic, w.out)
}

// stored is told by the store that an exchange's points are safe.
type stored struct {
	p *Platform
	x *broker.Exchange
}

var storedPool = sync.Pool{New: func() any { return new(stored) }}

// Committed ends the exchange.
func (s *stored) Committed(err error) {
	x, p := s.x, s.p
	*s = stored{}
	storedPool.Put(s)
	if err != nil {
		p.storeFailed(err)
		if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrOverloaded) {
			err = fmt.Errorf("%w: %w", broker.ErrQuota, err)
		}
	}
	x.Done(err)
}

// keep hands points to the store; the exchange is done when they are on disk.
func (p *Platform) keep(x *broker.Exchange, points []store.Point) {
	p.store.Append(points, p.storing(x))
}

// storing ends an exchange when its points are on disk.
func (p *Platform) storing(x *broker.Exchange) *stored {
	s := storedPool.Get().(*stored)
	s.p, s.x = p, x
	return s
}

// storeFailed logs a failing store, once in ten seconds.
func (p *Platform) storeFailed(err error) {
	now := p.now().Unix()
	if last := p.failedAt.Load(); now-last < 10 || !p.failedAt.CompareAndSwap(last, now) {
		return
	}
	p.logger.Error("device data could not be stored; the device is not acknowledged", "error", err,
		"hint", "check the free space and health of the disk that holds the data directory")
}

// unserved remembers which device asked for what is not offered, so that the log
// says it once.
type unserved struct {
	mu   sync.Mutex
	seen map[string]struct{}
}

const maxUnserved = 10_000

func (u *unserved) note(p *Platform, d *device, topic string) {
	u.mu.Lock()
	if u.seen == nil || len(u.seen) >= maxUnserved {
		u.seen = make(map[string]struct{})
	}
	_, known := u.seen[topic]
	if !known {
		u.seen[topic] = struct{}{}
	}
	u.mu.Unlock()
	if !known {
		p.logger.Warn("a device uses a service that is not offered; the message is acknowledged and dropped",
			"productKey", d.pk, "deviceName", d.dn, "topic", clip(topic))
	}
}
