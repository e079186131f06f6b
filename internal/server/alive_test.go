package server

import (
	"context"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/transport"
)

// block keeps a loop busy until free is closed.
type block struct{ held, free chan struct{} }

func (b block) Run(*transport.Loop) { close(b.held); <-b.free }

// TestAlive holds one event loop up: the watchdog's question is answered with no.
func TestAlive(t *testing.T) {
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.Admin, cfg.Loops = t.TempDir(), []string{"127.0.0.1:0"}, "127.0.0.1:0", 2
	s, err := Start(t.Context(), cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	alive := func(within time.Duration) bool {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return s.Alive(ctx)
	}
	if !alive(30 * time.Second) {
		t.Error("a server at rest is not alive")
	}
	b := block{make(chan struct{}), make(chan struct{})}
	s.transport.Loops()[1].Post(b)
	<-b.held
	if alive(100 * time.Millisecond) {
		t.Error("a server with a loop that does not answer is alive")
	}
	close(b.free)
	if !alive(30 * time.Second) {
		t.Error("a server whose loop goes on is not alive")
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if !alive(30 * time.Second) {
		t.Error("a server that is stopped on purpose counts as hung")
	}
}
