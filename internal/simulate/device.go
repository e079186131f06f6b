package simulate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/alink"
	"github.com/linkstead/linkstead/devjson"
	"github.com/linkstead/linkstead/mqtt"
	"github.com/linkstead/linkstead/tsl"
)

const (
	codeOK = 200
	// window is how many posts of a device may be unanswered before it leaves one
	// out.
	window = 64
	// lookUp is how often a device that waits looks whether the fleet goes on.
	lookUp = 2 * time.Second
	// stayAway and stayAwayLongest are the pauses after a failed connection.
	stayAway        = time.Second
	stayAwayLongest = 30 * time.Second
)

// device is one simulated device. One goroutine runs it.
type device struct {
	fleet  *Fleet
	triple alink.Triple
	values *values
	link   *link
	json   alink.Decoder

	lastID  uint32
	pending []post
	out     []byte
	payload []byte

	nextPost, nextEvent, nextPing, leave time.Time

	// For the fleet and the check of the history.
	online   atomic.Bool
	sessions atomic.Int64
	kept     atomic.Int64 // property posts that the server has acknowledged
	sent     atomic.Int64 // property posts
}

// post is one that has no answer yet.
type post struct {
	id       uint32
	at       time.Time
	property bool
	acked    bool
	replied  bool
}

func (p *post) packetID() uint16 { return uint16(p.id%65535) + 1 }

func newValues(f *Fleet, r *rand.Rand) *values {
	return &values{rand: r, shapes: f.o.Shapes, series: make(map[string]*series), held: make(map[string][]byte), begun: time.Now()}
}

func newDevice(f *Fleet, i int, t alink.Triple) *device {
	d := &device{fleet: f, triple: t}
	d.values = newValues(f, rand.New(rand.NewPCG(f.o.Seed, uint64(i)+2)))
	return d
}

// never is later than anything.
var never = time.Unix(math.MaxInt32, 0)

// from returns a time within the next d, never if d is 0: so that the devices
// of a fleet do not all act at once.
func (d *device) from(now time.Time, interval time.Duration) time.Time {
	if interval <= 0 {
		return never
	}
	return now.Add(time.Duration(d.values.rand.Int64N(int64(interval))))
}

// run connects, serves and connects again until ctx ends.
func (d *device) run(ctx context.Context) {
	t := &d.fleet.Tally
	now := time.Now()
	d.nextPost, d.nextEvent = d.from(now, d.fleet.o.Interval), d.from(now, d.fleet.o.EventInterval)
	pause := stayAway
	for ctx.Err() == nil {
		var err error
		if d.link, err = dial(ctx, &d.fleet.o, d.triple); err != nil {
			if ctx.Err() != nil {
				return
			}
			if _, refused := errors.AsType[*refusedError](err); refused {
				t.Refused.Add(1)
			} else {
				t.Broken.Add(1)
			}
			t.failed(fmt.Sprintf("%s: %v", d.triple, err))
			rest(ctx, pause/2+time.Duration(d.values.rand.Int64N(int64(pause))))
			pause = min(2*pause, stayAwayLongest)
			continue
		}
		pause = stayAway
		t.came()
		d.sessions.Add(1)
		d.online.Store(true)
		err = d.serve(ctx)
		d.online.Store(false)
		d.link.close()
		t.Online.Add(-1)
		t.Cut.Add(int64(len(d.pending)))
		d.pending = d.pending[:0]
		switch {
		case errors.Is(err, errLeft):
			t.Left.Add(1)
			rest(ctx, d.fleet.o.Offline)
		case err != nil:
			t.Broken.Add(1)
			t.failed(fmt.Sprintf("%s: the connection ended: %v", d.triple, err))
			rest(ctx, stayAway)
		}
	}
}

// errLeft is the end of a connection that the device itself has ended.
var errLeft = errors.New("the device has left")

// serve works on a connection until it ends, the device drops out, or ctx has
// ended and nothing is owed any more: then the error is nil.
func (d *device) serve(ctx context.Context) error {
	o := &d.fleet.o
	now := time.Now()
	d.nextPing = now.Add(o.KeepAlive * 3 / 4)
	d.leave = never
	if o.Churn > 0 {
		d.leave = now.Add(time.Duration(d.values.rand.ExpFloat64() * float64(o.Churn)))
	}
	stopping := false
	for {
		now = time.Now()
		if !stopping && ctx.Err() != nil {
			stopping = true
		}
		d.expire(now)
		if stopping && len(d.pending) == 0 {
			d.out = append(d.out[:0], byte(mqtt.DISCONNECT)<<4, 0)
			return d.link.send(d.out, o.Timeout)
		}
		if !stopping && !now.Before(d.leave) {
			if d.values.rand.IntN(2) == 0 {
				_ = d.link.send([]byte{byte(mqtt.DISCONNECT) << 4, 0}, o.Timeout)
			}
			return errLeft
		}
		if err := d.due(now, stopping); err != nil {
			return err
		}
		f, err := d.link.next(d.wakes(now, stopping))
		if errors.Is(err, errDue) {
			continue
		}
		if err != nil {
			return err
		}
		if err := d.received(f); err != nil {
			return err
		}
	}
}

// wakes returns when the device has to do something next.
func (d *device) wakes(now time.Time, stopping bool) time.Time {
	at := now.Add(lookUp)
	for _, t := range []time.Time{d.nextPing, d.nextPost, d.nextEvent, d.leave} {
		if t.Before(at) {
			at = t
		}
	}
	if stopping {
		at = now.Add(lookUp)
	}
	if len(d.pending) > 0 {
		if t := d.pending[0].at.Add(d.fleet.o.Timeout); t.Before(at) {
			at = t
		}
	}
	return at
}

// due sends what is due.
func (d *device) due(now time.Time, stopping bool) error {
	d.out = d.out[:0]
	if !stopping && !now.Before(d.nextPost) {
		d.nextPost = next(d.nextPost, now, d.fleet.o.Interval)
		d.post(now, true, alink.PropertyPostTopic(d.triple.ProductKey, d.triple.DeviceName), "thing.event.property.post",
			func(dst []byte) []byte { return d.values.params(dst, d.fleet.properties, now) })
	}
	if !stopping && !now.Before(d.nextEvent) {
		d.nextEvent = next(d.nextEvent, now, d.fleet.o.EventInterval)
		events := d.fleet.o.Model.Events()
		e := events[d.values.rand.IntN(len(events))]
		if d.post(now, false, alink.EventPostTopic(d.triple.ProductKey, d.triple.DeviceName, e.Identifier), e.Method(),
			func(dst []byte) []byte {
				dst = append(dst, `{"value":`...)
				dst = d.values.object(dst, e.Identifier, e.Output, now)
				return append(dst, '}')
			}) {
			d.fleet.Tally.Events.Add(1)
		}
	}
	if len(d.out) == 0 && !now.Before(d.nextPing) {
		d.out = mqtt.AppendPingreq(d.out)
	}
	return d.flush(now)
}

// flush writes what has been gathered.
func (d *device) flush(now time.Time) error {
	if len(d.out) == 0 {
		return nil
	}
	d.nextPing = now.Add(d.fleet.o.KeepAlive * 3 / 4)
	return d.link.send(d.out, d.fleet.o.Timeout)
}

// next is the time after a due one, leaving out those that are past already.
func next(due, now time.Time, interval time.Duration) time.Time {
	due = due.Add(interval)
	if due.Before(now) {
		due = now.Add(interval)
	}
	return due
}

// post gathers one post, unless too many have no answer yet.
func (d *device) post(now time.Time, property bool, topic, method string, params func([]byte) []byte) bool {
	t := &d.fleet.Tally
	if len(d.pending) >= window {
		t.Skipped.Add(1)
		return false
	}
	d.lastID++
	p := post{id: d.lastID, at: now, property: property, acked: d.fleet.o.QoS == 0}
	b := append(d.payload[:0], `{"id":"`...)
	b = strconv.AppendUint(b, uint64(p.id), 10)
	b = append(b, `","version":"1.0","params":`...)
	b = params(b)
	b = append(b, `,"method":"`...)
	b = append(b, method...)
	d.payload = append(b, `"}`...)
	out := mqtt.Publish{QoS: d.fleet.o.QoS, Topic: []byte(topic), Payload: d.payload}
	if out.QoS > 0 {
		out.PacketID = p.packetID()
	}
	d.out = out.Append(d.out, mqtt.V311)
	d.pending = append(d.pending, p)
	t.Posted.Add(1)
	if property {
		d.sent.Add(1)
	}
	return true
}

// expire gives up posts whose answer has not come in time.
func (d *device) expire(now time.Time) {
	for len(d.pending) > 0 && now.Sub(d.pending[0].at) > d.fleet.o.Timeout {
		d.fleet.Tally.Missing.Add(1)
		d.fleet.Tally.failed(fmt.Sprintf("%s: post %d got no answer within %v (acknowledged: %v, replied: %v)", d.triple,
			d.pending[0].id, d.fleet.o.Timeout, d.pending[0].acked, d.pending[0].replied))
		d.pending = slices.Delete(d.pending, 0, 1)
	}
}

// settle notes an answer, and forgets a post that has all of its.
func (d *device) settle(is func(*post) bool, note func(*post)) bool {
	i := slices.IndexFunc(d.pending, func(p post) bool { return is(&p) })
	if i < 0 {
		return false
	}
	note(&d.pending[i])
	if d.pending[i].acked && d.pending[i].replied {
		d.pending = slices.Delete(d.pending, i, i+1)
	}
	return true
}

// received takes one packet.
func (d *device) received(f mqtt.Frame) error {
	t := &d.fleet.Tally
	switch f.Type {
	case mqtt.PINGRESP:
		return nil
	case mqtt.PUBACK:
		var a mqtt.Ack
		if err := a.Decode(f, mqtt.V311, 0); err != nil {
			return err
		}
		if !d.settle(func(p *post) bool { return !p.acked && p.packetID() == a.PacketID }, func(p *post) {
			p.acked = true
			t.Acknowledged.Add(1)
			if p.property {
				d.kept.Add(1)
			}
		}) {
			t.Strange.Add(1)
		}
		return nil
	case mqtt.PUBLISH:
		var p mqtt.Publish
		if err := p.Decode(f, mqtt.V311, 0); err != nil {
			return err
		}
		d.out = d.out[:0]
		if p.QoS == 1 {
			d.out = mqtt.AppendAck(d.out, mqtt.PUBACK, mqtt.V311, p.PacketID, mqtt.Success)
		}
		d.message(&p)
		return d.flush(time.Now())
	}
	return fmt.Errorf("the server sent a packet of type %v, which a device does not expect", f.Type)
}

// message takes one message: the reply to a post, or something to answer.
func (d *device) message(p *mqtt.Publish) {
	t := &d.fleet.Tally
	topic, ok := alink.ParseTopic(string(p.Topic))
	switch {
	case ok && topic.Reply && (topic.Kind == alink.PropertyPost || topic.Kind == alink.EventPost):
		var r alink.Reply
		if err := d.json.Reply(p.Payload, &r); err != nil {
			t.Strange.Add(1)
			t.failed(fmt.Sprintf("%s: a reply that cannot be read: %v", d.triple, err))
			return
		}
		id, _ := strconv.ParseUint(r.ID, 10, 32)
		if !d.settle(func(p *post) bool { return !p.replied && p.id == uint32(id) }, func(p *post) {
			p.replied = true
			t.Replied.Add(1)
			t.latency.add(time.Since(p.at))
			if r.Code != codeOK {
				t.Rejected.Add(1)
				t.failed(fmt.Sprintf("%s: post %d was replied with code %d %s", d.triple, p.id, r.Code, r.Message))
			}
		}) {
			t.Strange.Add(1)
		}
	case ok && (topic.Kind == alink.PropertySet || topic.Kind == alink.PropertyGet || topic.Kind == alink.ServiceCall) && !topic.Reply:
		d.answer(topic.ReplyTopic(), p.Payload, topic)
	case ok && topic.Kind == alink.RRPCRequest:
		d.answer(alink.RRPCResponseTopic(topic.ProductKey, topic.DeviceName, topic.ID), p.Payload, topic)
	default:
		t.Unknown.Add(1)
	}
}

// answer does what it was told and says so.
func (d *device) answer(to string, payload []byte, topic alink.Topic) {
	t := &d.fleet.Tally
	t.Received.Add(1)
	var r alink.Request
	if err := d.json.Request(payload, &r); err != nil {
		t.Strange.Add(1)
		t.failed(fmt.Sprintf("%s: a command that cannot be read: %v", d.triple, err))
		return
	}
	if inner, ok := alink.ParseMethod(r.Method); ok && topic.Kind == alink.RRPCRequest {
		topic.Kind, topic.Module, topic.ID = inner.Kind, inner.Module, inner.ID
	}
	now := time.Now()
	b := devjson.AppendString(append(d.payload[:0], `{"id":`...), r.ID)
	b = append(b, `,"code":200,"data":`...)
	switch topic.Kind {
	case alink.PropertySet:
		d.adopt(&r)
		b = append(b, "{}"...)
	case alink.PropertyGet:
		b = d.values.params(b, d.wanted(&r), now)
	case alink.ServiceCall:
		id := topic.ID
		if topic.Module != "" {
			id = topic.Module + ":" + id
		}
		if s, ok := d.fleet.o.Model.Service(id); ok {
			b = d.values.object(b, id, s.Output, now)
		} else {
			b = append(b, "{}"...)
		}
	default:
		b = append(b, "{}"...)
	}
	d.payload = append(b, `,"version":"1.0"}`...)
	out := mqtt.Publish{Topic: []byte(to), Payload: d.payload}
	d.out = out.Append(d.out, mqtt.V311)
	t.Answered.Add(1)
}

// adopt keeps the values that the server has set; they are posted from now on.
func (d *device) adopt(r *alink.Request) {
	for _, p := range d.fleet.writable {
		if v := r.Params.Get(p.Identifier); v.Exists() {
			d.values.held[p.Identifier] = v.AppendJSON(nil)
		}
	}
}

// wanted are the properties that a get asks for.
func (d *device) wanted(r *alink.Request) []*tsl.Property {
	var out []*tsl.Property
	for i := range r.Params.Len() {
		if id, ok := r.Params.Index(i).Str(); ok {
			if p, ok := d.fleet.o.Model.Property(id); ok {
				out = append(out, p)
			}
		}
	}
	return out
}
