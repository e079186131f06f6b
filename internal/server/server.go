// Package server puts the rooms together: storage, the MQTT engine, the device
// platform and the admin API, from one configuration. The command line and the
// end-to-end tests start it the same way.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/memory"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/store"
	"github.com/linkstead/linkstead/internal/trace"
	"github.com/linkstead/linkstead/internal/transport"
)

// Options are what a start needs besides the configuration.
type Options struct {
	Logger *slog.Logger
	// Sources tell where each value of the configuration came from, for the
	// admin API; may be nil.
	Sources config.Sources
	// Version is shown by the admin API.
	Version string
}

// Server is a running linkstead.
type Server struct {
	Platform *platform.Platform
	Broker   *broker.Broker

	config      config.Config
	logger      *slog.Logger
	store       *store.Store
	log         *queue.Log
	transport   *transport.Server
	guard       *memory.Guard
	trace       *trace.Ring // nil if switched off
	certificate *transport.Certificate
	adminServer *http.Server
	adminAddr   net.Addr
	token       string
	newKey      bool
	newToken    bool
	stop        sync.Once
	stopped     chan struct{}
}

// Start starts a server and returns once it accepts connections. The error says
// what could not be done and what to do about it; nothing is left running then.
func Start(ctx context.Context, cfg config.Config, o Options) (s *Server, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s = &Server{config: cfg, logger: o.Logger, stopped: make(chan struct{})}
	begun := s // what is returned is nil by the time of the cleaning up
	defer func() {
		if err != nil {
			_ = begun.shutdown(context.Background())
		}
	}()
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory cannot be made: %w", err)
	}
	keyFile := cfg.KeyFile
	if keyFile == "" {
		keyFile = filepath.Join(cfg.Data, "master.key")
	}
	key, created, err := store.LoadOrCreateKey(keyFile)
	if err != nil {
		return nil, err
	}
	s.newKey = created
	s.store, err = store.Open(ctx, store.Options{
		Dir: filepath.Join(cfg.Data, "records"), MasterKey: key, Durability: store.Durability(cfg.Durability),
		Retention: time.Duration(cfg.History.Retention), Logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.log, err = queue.Open(queue.Options{
		Dir: filepath.Join(cfg.Data, "messages"), Durability: durability(cfg.Durability), Logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.Platform = platform.New(platform.Options{
		Store: s.store, Logger: o.Logger, Device: deviceProfile(cfg), Application: applicationProfile(cfg),
		Strict: cfg.Device.Strict, CallTimeout: time.Duration(cfg.Device.CallTimeout),
	})
	if err := s.openTrace(o.Logger); err != nil {
		return nil, err
	}
	s.Broker, err = broker.New(broker.Options{
		Tracer: s.tracer(), SysInterval: time.Duration(cfg.Observe.SysInterval), Version: o.Version,
		Authority: s.Platform, Handler: s.Platform, Recorder: s.Platform, Log: s.log, Logger: o.Logger,
		FailedLogins: cfg.Limits.FailedLogins, SessionsPerOwner: cfg.Limits.SessionsPerUser, MaxRetained: cfg.Limits.Retained,
		OpeningPacket: cfg.Limits.OpeningBytes, Profiles: s.Platform.Profile,
	})
	if err != nil {
		return nil, err
	}
	s.Platform.Bind(s.Broker)
	s.certificate, err = certificate(cfg)
	if err != nil {
		return nil, err
	}
	makeRoom(cfg.Loops)
	exempt, err := cfg.Limits.Exempt()
	if err != nil {
		return nil, err
	}
	s.transport, err = transport.Listen(transport.Options{
		Handler: s.Broker, Prepare: s.Broker.Start, Loops: cfg.Loops, Listeners: listeners(cfg), TLS: s.certificate.Config,
		WebSocket: true, OpeningTimeout: time.Duration(cfg.Limits.OpeningTimeout), OpeningBytes: cfg.Limits.OpeningBytes,
		MaxConnections: cfg.Limits.Connections, MaxOpening: cfg.Limits.Opening, Logger: o.Logger,
		AcceptRate: cfg.Limits.Accept, AcceptPerAddress: cfg.Limits.AcceptPerAddress, AcceptExempt: exempt,
	})
	if err != nil {
		return nil, err
	}
	s.guard = memory.Start(memory.Options{Limit: int64(cfg.Limits.Memory), Logger: o.Logger, Changed: s.tight})
	if err := s.serveAdmin(o); err != nil {
		return nil, err
	}
	go newSettler().run(s.stopped)
	return s, nil
}

// tight has everybody take on less while memory is short.
func (s *Server) tight(yes bool) {
	s.transport.Refuse(yes)
	s.Broker.Tight(yes)
}

// makeRoom gives Go a processor for each event loop beside those of everything
// else: a loop that waits for a moment keeps its own (see transport.Options.Loops).
func makeRoom(loops int) {
	cores := runtime.NumCPU()
	if loops == 0 {
		loops = cores
	}
	if want := cores + loops; os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < want {
		runtime.GOMAXPROCS(want)
	}
}

func durability(name string) queue.Durability {
	switch name {
	case "os":
		return queue.WriteToOS
	case "memory":
		return queue.WriteToMemory
	}
	return queue.SyncToDisk
}

func deviceProfile(cfg config.Config) broker.Profile {
	p := broker.DeviceProfile()
	p.MaxPacket = cfg.Device.Packet
	p.MaxSubscriptions = cfg.Device.Subscriptions
	p.MaxQueued = cfg.Device.Queued
	p.MaxQueuedBytes = cfg.Device.QueuedBytes
	p.MaxOutput = cfg.Device.Output
	p.Window = cfg.Device.Inflight
	p.PublishRate, p.PublishBytes = cfg.Device.PublishRate, cfg.Device.PublishBytes
	p.MaxTopicBytes, p.MaxTopicLevels = cfg.Device.TopicBytes, cfg.Device.TopicLevels
	p.MessageExpiry = time.Duration(cfg.Limits.MessageExpiry)
	p.Pace = time.Duration(cfg.Device.Pace)
	p.Settle = time.Duration(cfg.Device.Settle)
	if cfg.Device.Strict {
		p.MinKeepAlive, p.MaxKeepAlive = 30, 1200
	}
	return p
}

func applicationProfile(cfg config.Config) broker.Profile {
	p := broker.ApplicationProfile()
	p.MaxPacket = cfg.Limits.Packet
	p.MaxQueued = cfg.Limits.Queued
	p.MaxQueuedBytes = cfg.Limits.QueuedBytes
	p.MaxOutput = cfg.Limits.Output
	p.MaxSubscriptions = cfg.Limits.Subscriptions
	p.Window = cfg.Limits.Inflight
	p.PublishRate, p.PublishBytes = cfg.Limits.PublishRate, cfg.Limits.PublishBytes
	p.MaxTopicBytes, p.MaxTopicLevels = cfg.Limits.TopicBytes, cfg.Limits.TopicLevels
	p.MessageExpiry = time.Duration(cfg.Limits.MessageExpiry)
	p.SessionExpiry = time.Duration(cfg.Limits.SessionExpiry)
	return p
}

func listeners(cfg config.Config) []transport.Listener {
	var out []transport.Listener
	for _, a := range cfg.Listen {
		if path, ok := strings.CutPrefix(a, "unix:"); ok {
			out = append(out, transport.Listener{Network: "unix", Address: path})
			continue
		}
		out = append(out, transport.Listener{Network: "tcp", Address: a})
	}
	return out
}

// serveAdmin starts the admin API and writes where it is for the command line.
func (s *Server) serveAdmin(o Options) error {
	tokenFile := filepath.Join(s.config.Data, "admin.token")
	token, created, err := admin.LoadOrCreateToken(tokenFile)
	if err != nil {
		return err
	}
	s.token, s.newToken = token, created
	metricsToken, err := s.metricsToken()
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", s.config.Admin)
	if err != nil {
		return fmt.Errorf("the admin API cannot listen on %s: %w; choose another address with --admin", s.config.Admin, err)
	}
	s.adminAddr = ln.Addr()
	handler := admin.New(admin.Options{
		Platform: s.Platform, Broker: s.Broker, Token: token, Logger: o.Logger, Address: ln.Addr().String(), Remote: s.config.AdminRemote,
		Version: o.Version, MQTTAddresses: s.Addresses, CAFile: s.CAFile(), Config: s.config.Entries(o.Sources),
		QueueMetrics: s.log.Metrics, TransportStats: s.transport.Stats,
		MetricsToken: metricsToken, Metrics: s.metrics(o), Trace: s.trace, Writable: s.writable,
	})
	s.adminServer = &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	go func() { _ = s.adminServer.Serve(ln) }()
	return admin.WriteAddress(filepath.Join(s.config.Data, "admin.json"), ln.Addr().String(), tokenFile)
}

// Addresses are the addresses that take devices and MQTT clients, as they were
// bound.
func (s *Server) Addresses() []string {
	var out []string
	for _, a := range s.transport.Addrs() {
		out = append(out, a.String())
	}
	return out
}

// AdminAddress is where the admin API listens.
func (s *Server) AdminAddress() string { return s.adminAddr.String() }

// AdminToken is the bearer token of the admin API.
func (s *Server) AdminToken() string { return s.token }

// NewToken reports whether the admin token was made by this start; NewKey the
// same of the master key.
func (s *Server) NewToken() bool { return s.newToken }

// NewKey reports whether the master key was made by this start.
func (s *Server) NewKey() bool { return s.newKey }

// CAFile is the certificate of the authority that devices have to trust, or ""
// if the server was given a certificate of its own.
func (s *Server) CAFile() string { return s.certificate.CAFile() }

// CAFingerprint is the SHA-256 of that certificate in hex, colons between bytes.
func (s *Server) CAFingerprint() string { return s.certificate.CAFingerprint() }

// NewCA reports whether the authority was made by this start.
func (s *Server) NewCA() bool { return s.certificate.Created() }

// ReloadCertificate reads the certificate files again. Connections stay; a file
// that cannot be used is reported and the old certificate is kept.
func (s *Server) ReloadCertificate() error { return s.certificate.Reload() }

// Shutdown stops the server: no new connections, clients are told as far as their
// protocol allows, what was acknowledged is on disk, files are closed. It returns
// early, with the context's error, if ctx ends while clients are still there.
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
	var errs []error
	if s.adminServer != nil {
		_ = s.adminServer.Close()
		_ = os.Remove(filepath.Join(s.config.Data, "admin.json"))
	}
	if s.guard != nil {
		s.guard.Stop()
	}
	if s.transport != nil {
		if err := s.Broker.Drain(ctx); err != nil {
			errs = append(errs, err)
		}
		if err := s.transport.Shutdown(ctx); err != nil {
			errs = append(errs, err)
		}
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
	return errors.Join(errs...)
}
