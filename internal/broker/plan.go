package broker

import (
	"slices"

	"github.com/linkstead/linkstead/internal/topics"
)

// target is one receiver of a topic.
type target struct {
	s       *Session
	options topics.Options
	// id is the subscription identifier; more holds further ones of overlapping
	// filters.
	id   uint32
	more []uint32
	// own is what a client gets of its own publications if it asked for No Local
	// with some of its filters and not with others: the latter only. Else nil.
	own *target
	// group is the shared subscription that the message is for, nil for none.
	group *topics.Group[*Session]
}

// plan is who receives a topic, grouped by the loop that owns the receiver. It
// is cached with the topic's route and never changed.
type plan struct {
	byLoop [][]target
	// lasting[i] tells that some receiver on loop i may keep a QoS 1 message on
	// disk, so its acknowledgement waits.
	lasting []bool
	// implicit is the session that gets the topic without a subscription, or "".
	implicit string
	empty    bool
	once     bool // the targets change with the next message
	// sole is the only receiver, if it may get publications in runs; nil in a plan
	// that is used once.
	sole *target
}

// planOf returns the plan of a route.
func (l *loop) planOf(r *topics.Route[*Session]) *plan {
	if r.Once() {
		p := &l.once
		for i := range p.byLoop {
			clear(p.byLoop[i])
			p.byLoop[i] = p.byLoop[i][:0]
			if cap(p.byLoop[i]) > planOnceMost {
				p.byLoop[i] = nil
			}
		}
		l.b.fillPlan(p, r)
		p.once = true
		return p
	}
	p, _ := r.Extra.(*plan)
	if p == nil {
		p = new(plan)
		l.b.fillPlan(p, r)
		p.sole = p.soleReceiver(r)
		r.Extra = p
	}
	return p
}

// soleReceiver returns the only receiver of a plan if it gets each publication at
// QoS 0 as it came, whoever sent it.
func (p *plan) soleReceiver(r *topics.Route[*Session]) *target {
	if len(r.Entries) != 1 || len(r.Shared) > 0 || p.implicit != "" {
		return nil
	}
	for i := range p.byLoop {
		if len(p.byLoop[i]) == 1 && p.byLoop[i][0].plain() {
			return &p.byLoop[i][0]
		}
	}
	return nil
}

// planOnceMost is the most targets whose place is kept for the next plan that is
// used once.
const planOnceMost = 1024

// fillPlan makes p, whose lists are empty, the plan of a route.
func (b *Broker) fillPlan(p *plan, r *topics.Route[*Session]) {
	if p.byLoop == nil {
		p.byLoop, p.lasting = make([][]target, len(b.loops)), make([]bool, len(b.loops))
	}
	clear(p.lasting)
	p.implicit = ""
	if b.authority != nil {
		p.implicit = b.authority.Implicit(r.Topic)
	}
	p.empty = len(r.Entries) == 0 && len(r.Shared) == 0 && p.implicit == ""
	var seen map[*Session]int
	if len(r.Entries) > 16 {
		seen = make(map[*Session]int, len(r.Entries))
	}
	for _, e := range r.Entries {
		s := e.Subscriber
		if p.implicit != "" && (s.device || s.key == p.implicit) {
			// Its own device gets it once, as a system topic; no other device gets
			// it, whatever filter without an identity it subscribed to.
			continue
		}
		i := s.home.index
		if s.durable.Load() || s.device {
			p.lasting[i] = true
		}
		if at, known := find(p.byLoop[i], s, seen); known {
			p.byLoop[i][at].merge(e)
			continue
		}
		if seen != nil {
			seen[s] = len(p.byLoop[i])
		}
		p.byLoop[i] = append(p.byLoop[i], target{s: s, options: e.Options, id: e.ID})
	}
}

func find(ts []target, s *Session, seen map[*Session]int) (int, bool) {
	if seen != nil {
		at, known := seen[s]
		return at, known
	}
	for i := range ts {
		if ts[i].s == s {
			return i, true
		}
	}
	return 0, false
}

// merge folds a second matching filter of the same client in: one delivery at
// the highest QoS [MQTT-3.3.5-1], with every subscription identifier
// [MQTT-3.3.4-4]. A filter with No Local plays no part in the delivery of the
// client's own messages [MQTT-3.8.3-3].
func (t *target) merge(e topics.Entry[*Session]) {
	switch {
	case t.own != nil:
		if !e.Options.NoLocal() {
			t.own.merge(e)
		}
	case t.options.NoLocal() && !e.Options.NoLocal():
		t.own = &target{s: t.s, options: e.Options, id: e.ID}
	case !t.options.NoLocal() && e.Options.NoLocal():
		t.own = &target{s: t.s, options: t.options, id: t.id, more: slices.Clone(t.more)}
	}
	qos := max(t.options.QoS(), e.Options.QoS())
	noLocal := t.options & e.Options & topics.NoLocal
	asPublished := (t.options | e.Options) & topics.RetainAsPublished
	t.options = topics.Options(qos) | noLocal | asPublished
	switch {
	case e.ID == 0:
	case t.id == 0:
		t.id = e.ID
	default:
		t.more = append(t.more, e.ID)
	}
}
