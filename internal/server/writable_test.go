package server

import (
	"slices"
	"testing"

	"github.com/linkstead/linkstead/internal/config"
)

// TestWritableNamesTheStore closes one store after the other beneath the server.
func TestWritableNamesTheStore(t *testing.T) {
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.Admin = t.TempDir(), []string{"127.0.0.1:0"}, "127.0.0.1:0"
	s, err := Start(t.Context(), cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Shutdown(t.Context()) }() // whose errors are the closed stores
	if failed := s.writable(t.Context()); len(failed) != 0 {
		t.Errorf("at rest: %v", failed)
	}
	if err := s.log.Close(); err != nil {
		t.Fatal(err)
	}
	if failed := s.writable(t.Context()); !slices.Equal(failed, []string{"messages"}) {
		t.Errorf("without the message store: %v", failed)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	if failed := s.writable(t.Context()); !slices.Equal(failed, []string{"records", "messages"}) {
		t.Errorf("without both: %v", failed)
	}
}
