package platform

import (
	"sync"

	"github.com/linkstead/linkstead/internal/store"
)

// greetings are the devices that have just connected and may have something
// waiting for them. There are at most as many as there are connections.
type greetings struct {
	mu     sync.Mutex
	queue  []*device
	wake   chan struct{}
	things []greeting
}

// greeting sends a device what waits for it of one kind.
type greeting struct {
	of   store.Waits
	send func(*device) error
}

func (g *greetings) init(things ...greeting) {
	g.wake = make(chan struct{}, 1)
	g.things = things
}

// greetLater has a device that is online by now sent what waits for it. It is called on
// event loops. What is written for the device from here on is sent by who writes it.
func (p *Platform) greetLater(d *device) {
	if p.store.MayWait(d.id) {
		p.greetings.add(d)
	}
}

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
			some, err := p.store.Waiting(p.ctx, d.id)
			failed(err)
			for _, thing := range p.greetings.things {
				if p.ctx.Err() != nil {
					return
				}
				if some&thing.of != 0 {
					failed(thing.send(d))
				}
			}
		}
	}
}
