package platform

import "sync"

// greetings are the devices that have just connected and may have something
// waiting for them. There are at most as many as there are connections.
type greetings struct {
	mu     sync.Mutex
	queue  []*device
	wake   chan struct{}
	things []func(*device) error // what may wait, one of each service
}

func (g *greetings) init(things ...func(*device) error) {
	g.wake = make(chan struct{}, 1)
	g.things = things
}

// add is called on event loops.
func (g *greetings) add(d *device) {
	g.mu.Lock()
	g.queue = append(g.queue, d)
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

func (g *greetings) take() []*device {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queue
	g.queue = nil
	return q
}

// greet sends devices what waits for them, until the platform is closed.
func (p *Platform) greet() {
	for {
		select {
		case <-p.greetings.wake:
		case <-p.ctx.Done():
			return
		}
		for _, d := range p.greetings.take() {
			failed := func(err error) {
				if err != nil && p.ctx.Err() == nil {
					p.logger.Error("what waits for a device could not be read; it gets it at its next connection",
						"productKey", d.pk, "deviceName", d.dn, "error", err)
				}
			}
			if some, err := p.store.Waiting(p.ctx, d.id); err != nil || !some {
				failed(err)
				continue
			}
			for _, thing := range p.greetings.things {
				if p.ctx.Err() != nil {
					return
				}
				failed(thing(d))
			}
		}
	}
}
