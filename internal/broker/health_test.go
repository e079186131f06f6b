package broker

import (
	"context"
	"slices"
	"testing"
)

// TestHealthFindsALoopThatDoesNotTurn holds one loop up and asks.
func TestHealthFindsALoopThatDoesNotTurn(t *testing.T) {
	s := mustStart(t, settings{loops: 2})
	if h := s.broker.Health(t.Context()); len(h.Stuck) != 0 || h.Loops != 2 || h.Pressing || h.Draining {
		t.Errorf("at rest: %+v", h)
	}
	held, free := make(chan struct{}), make(chan struct{})
	s.broker.loops[1].t.Post(task{func() { close(held); <-free }})
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	s.broker.loops[0].t.Post(task{func() { s.broker.loops[0].t.Post(task{cancel}) }}) // after the probe of loop 0
	h := s.broker.Health(ctx)
	close(free)
	if !slices.Contains(h.Stuck, 1) {
		t.Errorf("while loop 1 is held up: %+v", h)
	}
	if h := s.broker.Health(t.Context()); len(h.Stuck) != 0 {
		t.Errorf("afterwards: %+v", h)
	}
}
