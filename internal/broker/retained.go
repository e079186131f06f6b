package broker

import (
	"fmt"

	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/internal/transport"
)

// retained is a retained message. It is not changed once stored.
type retained struct {
	id          queue.RetainedID // of its topic's messages on disk
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
	var m *retained
	var id queue.RetainedID
	if len(p.payload) == 0 {
		old, existed := l.b.retained.Delete(p.topic)
		if !existed {
			return
		}
		id = old.id
	} else {
		payload, properties := p.keep()
		m = &retained{
			payload: payload, properties: properties, qos: p.qos,
			publishedMS: p.publishedMS, expiresMS: p.expiresMS, publisher: p.publisher,
		}
		l.b.retained.SetAfter(p.topic, m, l.b.identifyRetained)
		id = m.id
	}
	l.need(p, true)
	var x *Exchange
	if p.x != nil && (p.qos > 0 || p.x.client == nil) {
		p.x.hold()
		x = p.x
	}
	if keeper := l.b.loops[0]; keeper != l {
		l.post(keeper, &retainTask{b: l.b, topic: p.topic, id: id, x: x, tie: p.part()})
		return
	}
	// If another loop has changed it since, that loop's task is still to come.
	if m != nil {
		l.putRetained(p.topic, m)
	} else {
		l.deleteRetained(p.topic, id)
	}
	if x != nil {
		cm := l.pending()
		cm.exchanges = append(cm.exchanges, x)
	}
}

// loadRetained brings the retained messages back. Where a crash has left two of one
// topic, an older one whose deletion was not on disk yet is deleted now.
func (b *Broker) loadRetained() error {
	type superseded struct {
		id    queue.RetainedID
		topic string
	}
	var (
		old      []superseded
		expiring []string
	)
	err := b.log.Retained(func(id queue.RetainedID, topic string, m *queue.Message) error {
		b.retainedID = max(b.retainedID, id)
		if other, ok := b.retained.Get(topic); ok {
			old = append(old, superseded{min(id, other.id), topic})
			if id < other.id {
				return nil
			}
		}
		b.retained.Set(topic, &retained{
			id: id, payload: append([]byte(nil), m.Payload...), properties: append([]byte(nil), m.Properties...),
			qos: m.QoS, publishedMS: m.PublishedMS, expiresMS: m.ExpiresMS, publisher: m.Publisher,
		})
		if m.ExpiresMS > 0 {
			expiring = append(expiring, topic)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the retained messages: %w", err)
	}
	keeper := b.loops[0]
	keeper.t.Post(task{func() {
		for _, o := range old {
			keeper.pending().batch.DeleteRetained(o.id, o.topic)
		}
		for _, topic := range expiring {
			if m, ok := b.retained.Get(topic); ok {
				keeper.retainedUntil(topic, m.expiresMS)
			}
		}
	}})
	return nil
}

// identifyRetained gives a message the identifier of the one that it replaces, or the next
// one. It is called with the lock of the retained messages held.
func (b *Broker) identifyRetained(m, old *retained, replaces bool) {
	if replaces {
		m.id = old.id
		return
	}
	b.retainedID++
	m.id = b.retainedID
}

// retainedFull reports whether there is no room for a retained message of a topic
// that has none.
func (l *loop) retainedFull(topic []byte) bool {
	limit := l.b.options.MaxRetained
	if !l.tight && (limit <= 0 || l.b.retained.Count() < limit) {
		return false
	}
	_, there := l.b.retained.Get(string(topic))
	return !there
}

// retainTask has the keeper write what memory holds for a topic of which another
// loop has changed the message with this identifier.
type retainTask struct {
	b     *Broker
	topic string
	id    queue.RetainedID
	x     *Exchange
	tie   *queue.Tie
}

// Run writes on the keeper's loop.
func (t *retainTask) Run(*transport.Loop) {
	l := t.b.loops[0]
	cm := l.pending()
	from := cm.batch.Bytes()
	m, ok := t.b.retained.Get(t.topic)
	if !ok || m.id != t.id { // deleted since
		l.deleteRetained(t.topic, t.id)
	}
	if ok {
		l.putRetained(t.topic, m)
	}
	if t.tie != nil {
		cm.batch.Tie(t.tie, from)
	}
	if t.x != nil {
		cm.exchanges = append(cm.exchanges, t.x)
	}
}

// putRetained writes the message of a topic to disk, on the keeper's loop.
func (l *loop) putRetained(topic string, m *retained) {
	l.message = queue.Message{
		Topic: topic, Payload: m.payload, Properties: m.properties, QoS: m.qos, Retain: true,
		PublishedMS: m.publishedMS, ExpiresMS: m.expiresMS, Publisher: m.publisher,
	}
	l.pending().batch.PutRetained(m.id, topic, &l.message)
	l.retainedUntil(topic, m.expiresMS)
}

// deleteRetained deletes a message of a topic from disk, on the keeper's loop.
func (l *loop) deleteRetained(topic string, id queue.RetainedID) {
	l.pending().batch.DeleteRetained(id, topic)
	l.retainedUntil(topic, 0)
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
