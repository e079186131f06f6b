package broker

import (
	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/internal/transport"
)

// retained is a retained message. It is not changed once stored.
type retained struct {
	payload     []byte
	properties  []byte
	qos         byte
	publishedMS int64
	expiresMS   int64
	publisher   string
}

// retain stores or deletes the retained message of a topic [MQTT-3.3.1-5],
// [MQTT-3.3.1-6]. Memory is changed at once; the disk follows on one loop for all
// topics, with whatever memory then holds, so both end with the same message
// however many publish at the same time.
func (l *loop) retain(p *publication) {
	if len(p.payload) == 0 {
		if _, existed := l.b.retained.Delete(p.topic); !existed {
			return
		}
	} else {
		payload, properties := p.keep()
		l.b.retained.Set(p.topic, &retained{
			payload: payload, properties: properties, qos: p.qos,
			publishedMS: p.publishedMS, expiresMS: p.expiresMS, publisher: p.publisher,
		})
	}
	t := &retainTask{b: l.b, topic: p.topic}
	l.need(p, true)
	if p.x != nil && (p.qos > 0 || p.x.client == nil) {
		p.x.hold()
		t.x = p.x
	}
	keeper := l.b.loops[0]
	if keeper == l {
		t.run(l)
		return
	}
	t.tie = p.part()
	keeper.t.Post(t)
}

// retainedFull reports whether there is no room for a retained message of a topic
// that has none.
func (l *loop) retainedFull(topic string) bool {
	limit := l.b.options.MaxRetained
	if !l.tight && (limit <= 0 || l.b.retained.Count() < limit) {
		return false
	}
	_, there := l.b.retained.Get(topic)
	return !there
}

type retainTask struct {
	b     *Broker
	topic string
	x     *Exchange
	tie   *queue.Tie
}

// Run writes on the keeper's loop.
func (t *retainTask) Run(*transport.Loop) { t.run(t.b.loops[0]) }

func (t *retainTask) run(l *loop) {
	cm := l.pending()
	from := cm.batch.Bytes()
	if m, ok := l.b.retained.Get(t.topic); ok {
		l.message = queue.Message{
			Topic: t.topic, Payload: m.payload, Properties: m.properties, QoS: m.qos, Retain: true,
			PublishedMS: m.publishedMS, ExpiresMS: m.expiresMS, Publisher: m.publisher,
		}
		cm.batch.PutRetained(t.topic, &l.message)
		l.retainedUntil(t.topic, m.expiresMS)
	} else {
		cm.batch.DeleteRetained(t.topic)
		l.retainedUntil(t.topic, 0)
	}
	if t.tie != nil {
		cm.batch.Tie(t.tie, from)
	}
	if t.x != nil {
		cm.exchanges = append(cm.exchanges, t.x)
	}
}

// replay is the sending of retained messages to a new subscription, in slices.
type replay struct {
	filter  string
	options topics.Options
	id      uint32
	cursor  topics.Cursor
	posted  bool
	next    *replay // of the same client
}

// replaySlice is how many retained messages are sent to a client in one turn, and
// replayStep how many without looking whether it can take more: so many packets
// of the largest size may go beyond its limits.
const (
	replaySlice = 256
	replayStep  = 8
)

// replay goes on with what the client has not yet got, as far as it reads.
func (l *loop) replay(c *client) {
	for steps := 0; c.replays != nil && !c.closed; steps++ {
		r := c.replays
		if r.posted || c.full(c.profile.MaxOutput/2) ||
			max(c.session.waiting.count(), c.session.stored) > c.profile.MaxQueued/2 {
			return // goes on when the output has been written, or messages acknowledged
		}
		if steps == replaySlice/replayStep {
			r.posted = true
			l.t.Post(replayTask{l, c, r})
			return
		}
		next, done := l.b.retained.Match(r.filter, r.cursor, replayStep, func(topic string, m *retained) {
			l.deliverRetained(c, r, topic, m)
		})
		r.cursor = next
		if done {
			c.replays = r.next
		}
	}
}

type replayTask struct {
	l *loop
	c *client
	r *replay
}

// Run takes the next slice in a turn of its own, so that others get theirs.
func (t replayTask) Run(*transport.Loop) {
	t.r.posted = false
	if !t.c.closed && t.c.session != nil {
		t.l.replay(t.c)
	}
}

func (l *loop) deliverRetained(c *client, r *replay, topic string, m *retained) {
	if m.expired(l.nowMS()) { // it will be deleted soon
		l.drop(DropExpired, c.session.key, topic, m.qos, len(m.payload))
		return
	}
	if !c.session.rights.Receive(topic) {
		return
	}
	p := &publication{
		topic: topic, payload: m.payload, properties: m.properties, qos: m.qos, retain: true,
		publishedMS: m.publishedMS, expiresMS: m.expiresMS, publisher: m.publisher,
		keptPayload: m.payload, keptProperties: m.properties, kept: true,
	}
	t := target{s: c.session, options: r.options, id: r.id}
	if qos := min(m.qos, r.options.QoS()); qos > 0 {
		l.deliverTo(p, c.session, qos, true, &t)
		return
	}
	l.write(c, p, true, &t) // the caller has looked whether there is room
}
