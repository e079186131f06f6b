package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/config"
)

const (
	// drainPatience is how long clients may take to acknowledge what they were sent
	// before the server stops, if drain_timeout gives as much.
	drainPatience = 2 * time.Second
	// adminPatience is how long requests to the admin API may take to end.
	adminPatience = 500 * time.Millisecond
	// closePatience is what a service manager is asked for besides, to close files.
	closePatience = 30 * time.Second
)

// Shutdown stops the server: it is not ready any more and accepts no connections,
// finishes what clients have begun, tells them as far as their protocol allows, and
// closes its files with everything on disk. ctx bounds the part that depends on
// clients; when it ends they are cut off. The error is that of the context then, or
// says what could not be closed.
func (s *Server) Shutdown(ctx context.Context) error {
	err := errors.New("the server is being stopped already")
	s.stop.Do(func() {
		err = s.shutdown(ctx)
		close(s.stopped)
	})
	return err
}

// Done is closed when the server has stopped.
func (s *Server) Done() <-chan struct{} { return s.stopped }

func (s *Server) shutdown(ctx context.Context) error {
	var cutOff error
	var errs []error
	if s.transport != nil {
		within := s.DrainTimeout()
		if deadline, ok := ctx.Deadline(); ok {
			within = time.Until(deadline)
		}
		s.options.Notify.Stopping(within + closePatience)
		s.transport.StopAccepting()
		if s.coap != nil { // what it has begun is still published
			patience, cancel := context.WithTimeout(ctx, within/4)
			cutOff = s.coap.Shutdown(patience)
			cancel()
		}
		cutOff = errors.Join(cutOff, s.Broker.Drain(ctx))
		s.drained.Store(true)
		cutOff = errors.Join(cutOff, s.transport.Shutdown(ctx))
	}
	if s.filesServer != nil {
		_ = s.filesServer.Close()
	}
	if s.guard != nil {
		s.guard.Stop()
	}
	// Until here /readyz has said that the server is draining.
	if s.adminServer != nil {
		_ = os.Remove(filepath.Join(s.config.Data, "admin.json"))
		patience, cancel := context.WithTimeout(ctx, adminPatience)
		_ = s.adminServer.Shutdown(patience)
		cancel()
		_ = s.adminServer.Close()
	}
	if s.Broker != nil {
		s.Broker.Close()
	}
	if s.Platform != nil {
		s.Platform.Close()
	}
	if s.trace != nil {
		errs = append(errs, s.trace.Close())
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return cutOff
}

// farewell says what clients are told at the end.
func farewell(cfg *config.Config) broker.Farewell {
	return broker.Farewell{
		Server: cfg.DrainServer, Moved: cfg.DrainMoved,
		Patience: min(drainPatience, time.Duration(cfg.DrainTimeout)/4),
	}
}
