package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/metrics"
	"github.com/linkstead/linkstead/internal/trace"
)

// openTrace opens the records of devices' messages, unless they are switched off.
func (s *Server) openTrace(logger *slog.Logger) (err error) {
	if s.config.Observe.TraceBytes == 0 {
		return nil
	}
	s.trace, err = trace.Open(trace.Options{
		Dir: filepath.Join(s.config.Data, "trace"), Bytes: s.config.Observe.TraceBytes,
		DeviceBytes: s.config.Observe.TraceDeviceBytes, Logger: logger,
	})
	return err
}

// tracer is what the broker hands records to, a nil interface if nothing is kept.
func (s *Server) tracer() broker.Tracer {
	if s.trace == nil {
		return nil
	}
	return s.trace
}

// metricsToken reads the token that opens /metrics and nothing else; "" if the
// configuration names none. A file that is named has to be there.
func metricsToken(cfg *config.Config) (string, error) {
	path := cfg.Observe.MetricsTokenFile
	if path == "" {
		return "", nil
	}
	token, err := admin.ReadPrivateToken(path)
	if err != nil {
		return "", fmt.Errorf("observe.metrics_token_file: %w", err)
	}
	return token, nil
}

func (s *Server) metrics(o Options) http.Handler {
	sources := metrics.Sources{
		Broker: s.Broker.Figures, Platform: s.Platform.Figures, Transport: s.transport.Stats, Queue: s.log.Metrics, Store: s.store.Stats,
		Memory:  s.guard.Stats,
		Version: o.Version, Started: time.Now(),
	}
	if s.trace != nil {
		sources.Trace = s.trace.Stats
	}
	if s.coap != nil {
		sources.CoAP = s.coap.Stats
	}
	return metrics.Handler(sources, o.Logger)
}

// writable writes something small to both stores and reports which of them did not
// take it before ctx ended: "records" "messages", or "history" if only that is not taken.
func (s *Server) writable(ctx context.Context) (failed []string) {
	records, messages := make(chan error, 1), make(done, 1)
	// SQLite writes nothing for a value that is the same.
	look := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
	go func() { records <- s.store.PutSetting(ctx, "ready", look) }()
	b := s.log.GetBatch()
	b.DeleteReceived(0, 0) // no session has this number
	s.log.Submit(b, messages)
	await := func(name string, c <-chan error) {
		select {
		case err := <-c:
			if err == nil {
				return
			}
		case <-ctx.Done():
		}
		failed = append(failed, name)
	}
	await("records", records)
	await("messages", messages)
	if s.log.Metrics().Full && len(failed) == 0 {
		failed = append(failed, "messages")
	}
	if s.store.Stats().Full && !slices.Contains(failed, "records") {
		failed = append(failed, "history")
	}
	return failed
}

// done takes the outcome of a batch.
type done chan error

// Committed passes the outcome on.
func (d done) Committed(err error) { d <- err }
