package broker

import (
	"context"
	"sync"
	"time"

	"github.com/linkstead/linkstead/mqtt"
)

// A server that is stopped on purpose owes its clients an orderly end. Draining
// goes through three steps, each on all loops before the next:
//
//  1. Nothing new is begun: a PUBLISH, SUBSCRIBE or UNSUBSCRIBE that has not been
//     read stays unread, so it is not acknowledged and its client sends it again;
//     CONNECT is refused; messages that are on disk wait for the next start. What
//     has been begun is finished: acknowledgements that wait for the disk or for the
//     handler leave, with their replies, and clients get a moment to acknowledge
//     what they were sent last.
//  2. Clients with a will are sent away. Only a DISCONNECT of the client deletes a
//     will, so it has to be published [MQTT-3.1.2-8]. The server may put that off
//     until it is started again, but it cannot know when that will be, and by then
//     the client may have come back and be reported dead after the fact. So a will
//     without a delay is published now, in time for receivers that are still here,
//     and one with a delay waits for it as ever.
//  3. Everybody else is sent away.

// Farewell is what clients are told when the server is stopped.
type Farewell struct {
	// Server is where 5.0 clients are sent, as they understand it; "" says only that
	// the server is shutting down.
	Server string
	// Moved says that they need not come back: 0x9D instead of 0x9C.
	Moved bool
	// Patience is how long clients may take to acknowledge what they were sent
	// before; 0 is not at all.
	Patience time.Duration
}

// SetFarewell changes what Drain will say. Any goroutine.
func (b *Broker) SetFarewell(f Farewell) { b.farewell.Store(&f) }

// Draining reports whether Drain was called. Any goroutine.
func (b *Broker) Draining() bool { return b.draining.Load() }

// drainLook is how often a loop looks whether it has finished what was begun.
const drainLook = 2 * time.Millisecond

// Drain finishes what clients have begun, then disconnects every one of them,
// telling 5.0 clients why. It returns when all loops have done so, or with the
// context's error; three quarters of the context's time are for the finishing.
func (b *Broker) Drain(ctx context.Context) error {
	b.draining.Store(true)
	f := Farewell{}
	if set := b.farewell.Load(); set != nil {
		f = *set
	}
	now := time.Now()
	owing := now.Add(time.Hour) // until when we finish what we owe
	if deadline, ok := ctx.Deadline(); ok {
		owing = now.Add(deadline.Sub(now) * 3 / 4)
	}
	patient := now.Add(min(f.Patience, owing.Sub(now))) // until when clients may
	steps := []func(l *loop, done func()){
		func(l *loop, done func()) {
			l.draining = true
			l.settle(ctx, owing, patient, done)
		},
		func(l *loop, done func()) {
			for c := range l.eachClient {
				if c.will != nil {
					l.sendAway(c, &f)
				}
			}
			l.t.Post(task{done}) // they are reported as closed before
		},
		func(l *loop, done func()) { l.settle(ctx, owing, now, done) },
		func(l *loop, done func()) {
			for c := range l.eachClient {
				l.sendAway(c, &f)
			}
			done()
		},
	}
	for _, step := range steps {
		var wg sync.WaitGroup
		for _, l := range b.loops {
			wg.Add(1)
			l.t.Post(task{func() { step(l, wg.Done) }})
		}
		finished := make(chan struct{})
		go func() { wg.Wait(); close(finished) }()
		select {
		case <-finished:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// settle calls done when the loop owes nothing any more, and its clients nothing
// either, as long as there is time for each.
func (l *loop) settle(ctx context.Context, owing, patient time.Time, done func()) {
	now := time.Now()
	if ctx.Err() != nil || !now.Before(owing) || l.settled(!now.Before(patient)) {
		done()
		return
	}
	l.t.After(drainLook, task{func() { l.settle(ctx, owing, patient, done) }})
}

// settled reports whether what was begun on this loop is finished. What clients
// owe is not asked for if it is late.
func (l *loop) settled(late bool) bool {
	if l.exchanging > 0 || l.committing > 0 || l.commit != nil || l.handed.Load() > 0 {
		return false
	}
	for c := range l.eachClient {
		if c.phase == connected && !c.closed && (!c.acks.Empty() || !late && c.owes()) {
			return false
		}
	}
	return true
}

// owes reports whether the client may still acknowledge what it was sent or
// finish what it has begun. One that wants to begin something new is not listened
// to any more.
func (c *client) owes() bool {
	if c.stalled {
		return false
	}
	s := c.session
	return s.out.InFlight() > 0 || s.in.Len() > 0 || !s.durable.Load() && s.waiting.count() > 0
}

// eachClient calls yield with the connections of the loop, which may be closed
// meanwhile.
func (l *loop) eachClient(yield func(*client) bool) {
	for c := l.clients; c != nil; {
		next := c.next
		if !yield(c) {
			return
		}
		c = next
	}
}

// sendAway ends a connection because the server stops.
func (l *loop) sendAway(c *client, f *Farewell) {
	if f.Server == "" {
		c.close(errShutdown, mqtt.ServerShuttingDown)
		return
	}
	code := mqtt.UseAnotherServer
	if f.Moved {
		code = mqtt.ServerMoved
	}
	if c.version == mqtt.V5 && c.phase == connected && !c.closed {
		if c.pace != nil {
			c.stopPacing()
		}
		p := mqtt.Disconnect{Code: code, Properties: mqtt.AppendStringProperty(nil, mqtt.PropServerReference, f.Server)}
		packet := p.Append(nil, c.version)
		if c.five == nil || c.five.maxPacket == 0 || len(packet) <= int(c.five.maxPacket) { // [MQTT-3.14.2-3]
			c.end(append(c.begin(), packet...))
			c.close(errShutdown, mqtt.Success)
			return
		}
	}
	c.close(errShutdown, code)
}

// begins reports whether a packet asks for something new.
func begins(t mqtt.Type) bool {
	return t == mqtt.PUBLISH || t == mqtt.SUBSCRIBE || t == mqtt.UNSUBSCRIBE
}
