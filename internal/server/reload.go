package server

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/transport"
)

// Reload reads the configuration again and takes over what can be without a
// restart, for who; certificates are read again in any case. No connection is
// closed. It returns the settings that differ from those in use. An error means
// that nothing has changed.
func (s *Server) Reload(ctx context.Context, who string) (changes []config.Change, err error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.options.Notify.Reloading()
	defer func() {
		s.options.Notify.Ready(s.status())
		if err != nil {
			s.logger.Error("the configuration was not reloaded; the old one stays", "who", who, "error", err)
		}
	}()
	if s.options.Load == nil {
		return nil, fmt.Errorf("the server was started without a configuration that could be read again")
	}
	next, sources, err := s.options.Load()
	if err != nil {
		return nil, err
	}
	if err := next.Validate(); err != nil {
		return nil, err
	}
	merged, changes := s.config.Adopt(&next)
	if err := merged.Validate(); err != nil {
		return nil, fmt.Errorf("what can be changed without a restart does not fit what cannot: %w", err)
	}
	// Everything that can fail comes before everything that cannot.
	token, err := metricsToken(&merged)
	if err != nil {
		return nil, err
	}
	if err := s.Platform.AuditReload(ctx, who, describe(changes)); err != nil {
		return nil, err
	}
	if err := s.certificate.Change(certificateOptions(&merged)); err != nil {
		return nil, err
	}
	s.scraper.Store(&token)
	s.config = merged
	for _, c := range changes {
		if !c.Live {
			sources[c.Key] = s.sources[c.Key]
		}
	}
	s.sources = sources
	s.apply(&merged)

	var waiting []string
	for _, c := range changes {
		if c.Live {
			s.logger.Info("a setting was changed", "key", c.Key, "old", c.Old, "new", c.New)
			continue
		}
		waiting = append(waiting, c.Key)
		s.logger.Warn("a changed setting needs a restart; the old value stays in use", "key", c.Key, "old", c.Old, "new", c.New)
	}
	s.logger.Info("the configuration and the certificate were reloaded", "who", who, "changed", len(changes)-len(waiting),
		"need_restart", strings.Join(waiting, " "))
	return changes, nil
}

// apply hands a configuration to the rooms.
func (s *Server) apply(cfg *config.Config) {
	if s.options.Level != nil {
		s.options.Level.Set(logLevel(cfg))
	}
	s.transport.SetLimits(transportLimits(cfg))
	s.store.SetRetention(time.Duration(cfg.History.Retention))
	s.Platform.Set(platformSettings(cfg))
	s.Broker.SetFarewell(farewell(cfg))
	s.Broker.Refresh(broker.Settings{OpeningPacket: cfg.Limits.OpeningBytes, SysInterval: time.Duration(cfg.Observe.SysInterval)})
}

// reloader is Reload for the admin API, nil if there is nothing to read.
func (s *Server) reloader() func(context.Context, string) ([]config.Change, error) {
	if s.options.Load == nil {
		return nil
	}
	return s.Reload
}

// entries is the configuration in use.
func (s *Server) entries() []config.Entry {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	return s.config.Entries(s.sources)
}

// DrainTimeout is how long Shutdown is meant to take at most.
func (s *Server) DrainTimeout() time.Duration {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	return time.Duration(s.config.DrainTimeout)
}

// describe is the detail of a reload for the audit log.
func describe(changes []config.Change) string {
	var b strings.Builder
	for i, c := range changes {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %v to %v", c.Key, c.Old, c.New)
		if !c.Live {
			b.WriteString(" after a restart")
		}
	}
	return b.String()
}

func logLevel(cfg *config.Config) (level slog.Level) {
	_ = level.UnmarshalText([]byte(cfg.Log.Level)) // Validate has checked it
	return level
}

func platformSettings(cfg *config.Config) platform.Settings {
	return platform.Settings{
		Device: deviceProfile(*cfg), Application: applicationProfile(*cfg),
		Strict: cfg.Device.Strict, SCRAM: cfg.Auth.SCRAM, CallTimeout: time.Duration(cfg.Device.CallTimeout),
		SubDevices: cfg.Device.SubDevices, SubLogins: subLogins(cfg),
		ShadowRate: shadowRate(cfg), BroadcastEvery: broadcastEvery(cfg),
		UploadBytes: int64(cfg.Files.UploadBytes), UploadDeviceBytes: int64(cfg.Files.UploadDeviceBytes),
	}
}

func transportLimits(cfg *config.Config) transport.Limits {
	return transport.Limits{
		MaxConnections: cfg.Limits.Connections, MaxOpening: cfg.Limits.Opening,
		OpeningTimeout: time.Duration(cfg.Limits.OpeningTimeout), OpeningBytes: cfg.Limits.OpeningBytes,
	}
}
