package broker

import (
	"github.com/linkstead/linkstead/internal/session"
	"github.com/linkstead/linkstead/internal/topics"
	"github.com/linkstead/linkstead/mqtt"
)

// onSubscribe takes a SUBSCRIBE: one code per filter [MQTT-3.8.4-6].
func (l *loop) onSubscribe(c *client, f mqtt.Frame) error {
	p := &l.subscribe
	if err := p.Decode(f, c.version, c.profile.Tolerance); err != nil {
		return err
	}
	s := c.session
	var id uint32
	for n := range p.Properties.SubscriptionIdentifiers() {
		id = n
	}
	codes := make([]mqtt.ReasonCode, len(p.Filters))
	changed := false
	why := ""
	var fresh []string
	behind := &c.replays
	for *behind != nil {
		behind = &(*behind).next
	}
	var others carriedFilters // of sessions that the client carries
	for i, want := range p.Filters {
		filter := string(want.Filter)
		code := l.judge(c, s, filter)
		if code != mqtt.Success {
			l.meters.unsubscribed[code].Add(1)
			if l.b.allowNoise() {
				l.b.logger.Warn("subscription refused", "client", s.key, "filter", filter, "reason", code.String())
			}
			codes[i] = refusalOf(c.version, code)
			if why == "" && c.version == mqtt.V5 {
				why = filter + ": " + code.String()
			}
			continue
		}
		o := topics.Options(min(want.QoS, c.profile.MaxQoS))
		if want.NoLocal {
			o |= topics.NoLocal
		}
		if want.RetainAsPublished {
			o |= topics.RetainAsPublished
		}
		switch want.RetainHandling {
		case 1:
			o |= topics.RetainIfNew
		case 2:
			o |= topics.RetainNever
		}
		if c.carrying != nil && others.take(c, subscription{filter: filter, options: o, id: id}, i) {
			continue
		}
		s.joinShare(filter)
		existed := s.subs.put(subscription{filter: filter, options: o, id: id})
		l.b.index.Subscribe(filter, s, o, id)
		changed = true
		if !existed {
			fresh = append(fresh, filter)
		}
		codes[i] = mqtt.ReasonCode(o.QoS())
		if c.profile.Device {
			codes[i] = mqtt.GrantedQoS1 // whatever was asked for (spec/connect.md §5)
			continue
		}
		if _, _, shared, _ := topics.ParseShared(filter); shared || o.RetainHandling() == 2 || o.RetainHandling() == 1 && existed {
			continue
		}
		*behind = &replay{filter: filter, options: o, id: id}
		behind = &(*behind).next
	}
	ack := session.Ack{Type: mqtt.SUBACK, ID: p.PacketID, Codes: codes, Reason: why}
	if others != nil {
		l.subscribedCarried(c, s, ack, changed, fresh, others)
		return nil
	}
	l.subscribed(c, s, ack, changed, fresh)
	l.replay(c)
	return nil
}

// judge says whether a client may have a filter.
func (l *loop) judge(c *client, s *Session, filter string) mqtt.ReasonCode {
	limits := topics.Limits{Levels: c.profile.MaxTopicLevels, Bytes: c.profile.MaxTopicBytes}
	if err := limits.Filter(filter); err != nil {
		return mqtt.TopicFilterInvalid
	}
	rest := filter
	if _, inner, shared, err := topics.ParseShared(filter); err != nil {
		return mqtt.TopicFilterInvalid
	} else if shared {
		if c.profile.Device {
			return mqtt.SharedSubscriptionsNotSupported
		}
		rest = inner
	}
	if !c.session.rights.Subscribe(rest) {
		return mqtt.NotAuthorized
	}
	if (l.tight || len(s.subs.list) >= c.profile.MaxSubscriptions) && s.subs.find(filter) < 0 {
		return mqtt.QuotaExceeded
	}
	return mqtt.Success
}

func refusalOf(v mqtt.Version, code mqtt.ReasonCode) mqtt.ReasonCode {
	if v == mqtt.V5 {
		return code
	}
	return mqtt.SubackFailure
}

// subscribed answers a SUBSCRIBE or UNSUBSCRIBE, after the change is on disk if
// it has to outlive the server.
func (l *loop) subscribed(c *client, s *Session, ack session.Ack, changed bool, fresh []string) {
	if !changed && !s.unsaved || !s.durable.Load() && !s.device {
		if c.acks.Empty() {
			c.answer(ack)
			return
		}
		c.acks.Complete(c.acks.Push(ack), mqtt.Success)
		return
	}
	l.store(s)
	cm := l.pending()
	cm.owed = append(cm.owed, owed{client: c, ticket: c.acks.Push(ack), fresh: fresh})
}

// onUnsubscribe takes an UNSUBSCRIBE.
func (l *loop) onUnsubscribe(c *client, f mqtt.Frame) error {
	p := &l.unsubscribe
	if err := p.Decode(f, c.version, c.profile.Tolerance); err != nil {
		return err
	}
	s := c.session
	var codes []mqtt.ReasonCode
	changed := false
	var others carriedFilters
	for i, name := range p.Filters {
		filter := string(name)
		if c.carrying != nil && others.take(c, subscription{filter: filter}, i) {
			if c.version == mqtt.V5 {
				codes = append(codes, mqtt.Success)
			}
			continue
		}
		existed := s.subs.remove(filter)
		if existed {
			l.b.index.Unsubscribe(filter, s)
			changed = true
		}
		if c.version == mqtt.V5 {
			code := mqtt.Success
			if !existed {
				code = mqtt.NoSubscriptionExisted
			}
			codes = append(codes, code)
		}
	}
	ack := session.Ack{Type: mqtt.UNSUBACK, ID: p.PacketID, Codes: codes}
	if others != nil {
		l.subscribedCarried(c, s, ack, changed, nil, others)
		return nil
	}
	l.subscribed(c, s, ack, changed, nil)
	return nil
}
