package simulate

import (
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
)

// unit is what posts and is commanded: a device, or a sub-device on its gateway's
// connection. The goroutine of the connection runs it.
type unit struct {
	conn   *conn
	fleet  *Fleet
	triple alink.Triple
	values *values
	json   alink.Decoder

	lastID  uint32
	pending []post
	given   map[uint32]struct{} // posts that were cut and whose reply may come yet
	payload []byte
	// postedMS is the time of the last property post.
	postedMS int64

	nextPost, nextEvent time.Time
	drained             func() // called when nothing is pending any more; may be nil

	// For the fleet and the check of the history.
	online   atomic.Bool
	sessions atomic.Int64
	kept     atomic.Int64 // property posts that the server has acknowledged
}

// post is one that has no answer yet.
type post struct {
	id       uint32
	packet   uint16 // 0 at QoS 0
	at       time.Time
	property bool
	acked    bool
	replied  bool
}

func newValues(f *Fleet, r *rand.Rand) *values {
	return &values{rand: r, shapes: f.o.Shapes, series: make(map[string]*series), held: make(map[string][]byte), begun: time.Now()}
}

// newUnit makes the i-th unit of the fleet.
func newUnit(c *conn, i int, t alink.Triple) unit {
	f := c.fleet
	return unit{conn: c, fleet: f, triple: t, values: newValues(f, rand.New(rand.NewPCG(f.o.Seed, uint64(i)+2)))}
}

// never is later than anything.
var never = time.Unix(math.MaxInt32, 0)

// from returns a time within the next d, never if d is 0: so that the devices
// of a fleet do not all act at once.
func (u *unit) from(now time.Time, interval time.Duration) time.Time {
	if interval <= 0 {
		return never
	}
	return now.Add(time.Duration(u.values.rand.Int64N(int64(interval))))
}

// begin plans the first post and event.
func (u *unit) begin(now time.Time) {
	u.nextPost, u.nextEvent = u.from(now, u.fleet.o.Interval), u.from(now, u.fleet.o.EventInterval)
}

// leaving gives the time at which a unit drops out that is there now.
func (u *unit) leaving(now time.Time, churn time.Duration) time.Time {
	if churn <= 0 {
		return never
	}
	return now.Add(time.Duration(u.values.rand.ExpFloat64() * float64(churn)))
}

// maxGiven bounds the posts whose reply may come late.
const maxGiven = 16 * window

// cut gives up what has no answer, since the connection or the login has ended. The
// server may answer in the next one.
func (u *unit) cut() {
	u.fleet.Tally.Cut.Add(int64(len(u.pending)))
	if len(u.given) > maxGiven {
		clear(u.given)
	}
	for i := range u.pending {
		if u.given == nil {
			u.given = make(map[uint32]struct{})
		}
		u.given[u.pending[i].id] = struct{}{}
	}
	u.pending = u.pending[:0]
}

// due gathers what is due.
func (u *unit) due(now time.Time) {
	if !now.Before(u.nextPost) {
		u.nextPost = next(u.nextPost, now, u.fleet.o.Interval)
		u.post(now, true, alink.PropertyPostTopic(u.triple.ProductKey, u.triple.DeviceName), "thing.event.property.post",
			func(dst []byte) []byte {
				// No two have the same time: of those the history would keep one.
				u.postedMS = max(now.UnixMilli(), u.postedMS+1)
				return u.values.report(dst, u.fleet.properties, now, u.postedMS)
			})
	}
	if !now.Before(u.nextEvent) {
		u.nextEvent = next(u.nextEvent, now, u.fleet.o.EventInterval)
		events := u.fleet.o.Model.Events()
		e := events[u.values.rand.IntN(len(events))]
		if u.post(now, false, alink.EventPostTopic(u.triple.ProductKey, u.triple.DeviceName, e.Identifier), e.Method(),
			func(dst []byte) []byte {
				dst = append(dst, `{"value":`...)
				dst = u.values.object(dst, e.Identifier, e.Output, now)
				return append(dst, '}')
			}) {
			u.fleet.Tally.Events.Add(1)
		}
	}
}

// wakes returns when the unit has to do something next, at the latest at at.
func (u *unit) wakes(at time.Time, posting bool) time.Time {
	if posting {
		at = earliest(at, u.nextPost, u.nextEvent)
	}
	if len(u.pending) > 0 {
		at = earliest(at, u.pending[0].at.Add(u.fleet.o.Timeout))
	}
	return at
}

// earliest returns the first of some times.
func earliest(at time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if t.Before(at) {
			at = t
		}
	}
	return at
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
func (u *unit) post(now time.Time, property bool, topic, method string, params func([]byte) []byte) bool {
	t := &u.fleet.Tally
	if len(u.pending) >= window {
		t.Skipped.Add(1)
		return false
	}
	if len(u.conn.owners) >= maxOwners {
		t.Skipped.Add(1)
		return false
	}
	u.lastID++
	p := post{id: u.lastID, at: now, property: property, acked: u.fleet.o.QoS == 0}
	b := append(u.payload[:0], `{"id":"`...)
	b = strconv.AppendUint(b, uint64(p.id), 10)
	b = append(b, `","version":"1.0","params":`...)
	b = params(b)
	b = append(b, `,"method":"`...)
	b = append(b, method...)
	u.payload = append(b, `"}`...)
	out := mqtt.Publish{QoS: u.fleet.o.QoS, Topic: []byte(topic), Payload: u.payload}
	if out.QoS > 0 {
		p.packet = u.conn.packet(u)
		out.PacketID = p.packet
	}
	u.conn.out = out.Append(u.conn.out, mqtt.V311)
	u.pending = append(u.pending, p)
	t.Posted.Add(1)
	return true
}

// expire gives up posts whose answer has not come in time.
func (u *unit) expire(now time.Time) {
	for len(u.pending) > 0 && now.Sub(u.pending[0].at) > u.fleet.o.Timeout {
		u.fleet.Tally.Missing.Add(1)
		u.fleet.Tally.failed(fmt.Sprintf("%s: post %d got no answer within %v (acknowledged: %v, replied: %v)", u.triple,
			u.pending[0].id, u.fleet.o.Timeout, u.pending[0].acked, u.pending[0].replied))
		u.pending = slices.Delete(u.pending, 0, 1)
	}
}

// settle notes an answer, and forgets a post that has all of its.
func (u *unit) settle(is func(*post) bool, note func(*post)) bool {
	i := slices.IndexFunc(u.pending, func(p post) bool { return is(&p) })
	if i < 0 {
		return false
	}
	note(&u.pending[i])
	if u.pending[i].acked && u.pending[i].replied {
		u.pending = slices.Delete(u.pending, i, i+1)
		if len(u.pending) == 0 && u.drained != nil {
			u.drained()
		}
	}
	return true
}

// acknowledged takes the PUBACK of a post; it may have been given up in the
// meantime.
func (u *unit) acknowledged(packet uint16) {
	u.settle(func(p *post) bool { return p.packet == packet }, func(p *post) {
		p.acked = true
		u.fleet.Tally.Acknowledged.Add(1)
		if p.property {
			u.kept.Add(1)
		}
	})
}

// message takes one message: the reply to a post, or something to answer.
func (u *unit) message(p *mqtt.Publish) {
	t := &u.fleet.Tally
	topic, ok := alink.ParseTopic(string(p.Topic))
	switch {
	case ok && topic.Reply && (topic.Kind == alink.PropertyPost || topic.Kind == alink.EventPost):
		var r alink.Reply
		if err := u.json.Reply(p.Payload, &r); err != nil {
			t.Strange.Add(1)
			t.failed(fmt.Sprintf("%s: a reply that cannot be read: %v", u.triple, err))
			return
		}
		id, _ := strconv.ParseUint(r.ID, 10, 32)
		if !u.settle(func(p *post) bool { return !p.replied && p.id == uint32(id) }, func(p *post) {
			p.replied = true
			t.Replied.Add(1)
			t.latency.add(time.Since(p.at))
			if r.Code != codeOK {
				t.Rejected.Add(1)
				t.failed(fmt.Sprintf("%s: post %d was replied with code %d %s", u.triple, p.id, r.Code, r.Message))
			}
		}) {
			if _, late := u.given[uint32(id)]; late {
				delete(u.given, uint32(id))
				return
			}
			t.Strange.Add(1)
			t.failed(fmt.Sprintf("%s: a reply to post %s, which waits for none", u.triple, r.ID))
		}
	case ok && (topic.Kind == alink.PropertySet || topic.Kind == alink.PropertyGet || topic.Kind == alink.ServiceCall) && !topic.Reply:
		u.answer(topic.ReplyTopic(), p.Payload, topic)
	case ok && topic.Kind == alink.RRPCRequest:
		u.answer(alink.RRPCResponseTopic(topic.ProductKey, topic.DeviceName, topic.ID), p.Payload, topic)
	default:
		t.Unknown.Add(1)
	}
}

// answer does what it was told and says so.
func (u *unit) answer(to string, payload []byte, topic alink.Topic) {
	t := &u.fleet.Tally
	t.Received.Add(1)
	var r alink.Request
	if err := u.json.Request(payload, &r); err != nil {
		t.Strange.Add(1)
		t.failed(fmt.Sprintf("%s: a command that cannot be read: %v", u.triple, err))
		return
	}
	if inner, ok := alink.ParseMethod(r.Method); ok && topic.Kind == alink.RRPCRequest {
		topic.Kind, topic.Module, topic.ID = inner.Kind, inner.Module, inner.ID
	}
	now := time.Now()
	b := devjson.AppendString(append(u.payload[:0], `{"id":`...), r.ID)
	b = append(b, `,"code":200,"data":`...)
	switch topic.Kind {
	case alink.PropertySet:
		u.adopt(&r)
		b = append(b, "{}"...)
	case alink.PropertyGet:
		b = u.values.params(b, u.wanted(&r), now)
	case alink.ServiceCall:
		id := topic.ID
		if topic.Module != "" {
			id = topic.Module + ":" + id
		}
		if s, ok := u.fleet.o.Model.Service(id); ok {
			b = u.values.object(b, id, s.Output, now)
		} else {
			b = append(b, "{}"...)
		}
	default:
		b = append(b, "{}"...)
	}
	u.payload = append(b, `,"version":"1.0"}`...)
	out := mqtt.Publish{Topic: []byte(to), Payload: u.payload}
	u.conn.out = out.Append(u.conn.out, mqtt.V311)
	t.Answered.Add(1)
}

// adopt keeps the values that the server has set; they are posted from now on.
func (u *unit) adopt(r *alink.Request) {
	for _, p := range u.fleet.writable {
		if v := r.Params.Get(p.Identifier); v.Exists() {
			u.values.held[p.Identifier] = v.AppendJSON(nil)
		}
	}
}

// wanted are the properties that a get asks for.
func (u *unit) wanted(r *alink.Request) []*tsl.Property {
	var out []*tsl.Property
	for i := range r.Params.Len() {
		if id, ok := r.Params.Index(i).Str(); ok {
			if p, ok := u.fleet.o.Model.Property(id); ok {
				out = append(out, p)
			}
		}
	}
	return out
}
