package platform

import (
	"context"
	"time"
)

// scheduler does what has its time, soon after it is poked and once a second.
type scheduler struct{ wake chan struct{} }

func (s *scheduler) init() { s.wake = make(chan struct{}, 1) }

func (s *scheduler) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

const (
	scheduleEvery = time.Second
	scheduleBatch = 200
)

// run calls work until ctx ends; failed is told what goes wrong.
func (s *scheduler) run(ctx context.Context, work func() error, failed func(error)) {
	tick := time.NewTicker(scheduleEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := work(); err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
}
