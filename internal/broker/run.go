package broker

import (
	"encoding/binary"

	"github.com/linkstead/linkstead/mqtt"
)

// run is publications at QoS 0 for one session, each to be passed on as it came.
type run struct {
	frames []byte // behind each other
	count  int
	// of the first, for the records
	from        *Session
	publisher   string
	publishedMS int64
}

// plain reports whether all that a receiver at QoS 0 gets of a publication without
// RETAIN is the publication, whoever sent it.
func (t *target) plain() bool {
	return !t.options.NoLocal() && t.own == nil && t.group == nil && t.id == 0 && t.more == nil && !t.s.device
}

// burst takes the publications at the beginning of buf that repeat the topic of the
// one before, which the client has just made. What was decided about that one a
// moment ago, its rights and its receiver t, holds for what came with it, so they
// go on together. The first that differs in anything ends the burst and goes the
// usual way.
func (l *loop) burst(c *client, t *target, buf []byte) (size, count int) {
	if c.closed || c.stalled || c.tap != nil || c.limit != nil || l.tracing(c.session) || t.s == c.session {
		return 0, 0 // each is looked at
	}
	topic := l.asked.topic
	for size < len(buf) {
		f, n, err := mqtt.SplitTolerant(buf[size:], c.profile.MaxPacket, c.profile.Tolerance)
		if err != nil || n == 0 || !repeats(f, topic) {
			break
		}
		size += n
		count++
	}
	if count == 0 {
		return 0, 0
	}
	frames := buf[:size]
	if home := t.s.home; home == l {
		l.deliverRun(&run{frames: frames, count: count, from: c.session, publisher: l.asked.actor, publishedMS: l.nowMS()}, t)
	} else if !l.handoff(home.index).extend(frames, count, t) {
		return 0, 0
	}
	l.stats.received.add(uint64(count))
	l.stats.receivedSize.add(uint64(size))
	l.meters.in[c.kind()].addRun(frames, count)
	return size, count
}

// repeats reports whether a packet is a PUBLISH to the topic at QoS 0, without
// RETAIN, that a receiver before 5.0 gets byte for byte; see publication.frame.
func repeats(f mqtt.Frame, topic string) bool {
	return f.Raw[0] == 0x30 && len(f.Raw) == 1+varintSize(len(f.Body))+len(f.Body) &&
		len(f.Body) >= 2+len(topic) && int(binary.BigEndian.Uint16(f.Body)) == len(topic) && string(f.Body[2:2+len(topic)]) == topic
}

// deliverRun delivers a run at once if its receiver takes it as it is, else one
// by one.
func (l *loop) deliverRun(r *run, t *target) {
	s := t.s
	if c := s.client; s.via == nil && c != nil && !c.closed && c.started && c.version != mqtt.V5 && c.pace == nil && c.tap == nil &&
		!l.tight && c.conn.Buffered()+len(r.frames) <= s.profile.MaxOutput {
		l.stats.delivered.add(uint64(r.count))
		l.meters.out[c.kind()].addRun(r.frames, r.count)
		c.conn.SetOutput(append(c.conn.Output(), r.frames...))
		return
	}
	for frames := r.frames; len(frames) > 0; {
		f, n, err := mqtt.Split(frames, 0)
		if err != nil || n == 0 || len(f.Body) < 2 {
			return // it was a PUBLISH when it came
		}
		topic := f.Body[2:][:binary.BigEndian.Uint16(f.Body)]
		p := &l.pub
		*p = publication{
			topic: string(topic), payload: f.Body[2+len(topic):], frame: frames[:n],
			from: r.from, publisher: r.publisher, publishedMS: r.publishedMS,
		}
		l.deliver(p, t)
		frames = frames[n:]
	}
}
