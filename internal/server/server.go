// Package server puts the rooms together: storage, the MQTT engine, the device
// platform and the admin API, from one configuration. The command line and the
// end-to-end tests start it the same way.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/linkstead/linkstead/internal/admin"
	"github.com/linkstead/linkstead/internal/backup"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/coap"
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
	// Load reads the configuration again; nil if it cannot be reloaded.
	Load func() (config.Config, config.Sources, error)
	// Sockets, by name, were opened for the server, for entries systemd:NAME of listen.
	Sockets map[string][]*os.File
	// Notify is told how the server is; may be nil.
	Notify Notifier
	// Level is the level of Logger, to be changed by a reload; may be nil.
	Level *slog.LevelVar
	// Version is shown by the admin API.
	Version string
	// Disk is what the stores lie on: the operating system's file system. Tests
	// put one beneath them that loses its power or fails.
	Disk Disk
}

// Disk is what the stores lie on; the zero value is the operating system's.
type Disk struct {
	Messages vfs.FS // see queue.Options.FS
	Records  string // see store.Options.VFS
}

// free tells how much of the disk is free for the records.
func (d Disk) free(dir string) func() (uint64, bool) {
	fs := d.Messages
	if fs == nil {
		fs = vfs.Default
	}
	return func() (uint64, bool) {
		usage, err := fs.GetDiskUsage(dir)
		return usage.AvailBytes, err == nil
	}
}

// Notifier is a service manager, as far as the server has to do with it.
type Notifier interface {
	// Ready: the server serves, or does so with its new configuration.
	Ready(status string)
	// Reloading: the configuration is being read again.
	Reloading()
	// Stopping: the end has begun and takes at most as long.
	Stopping(within time.Duration)
}

// nobody is the Notifier of a server that nobody manages.
type nobody struct{}

func (nobody) Ready(string)           {}
func (nobody) Reloading()             {}
func (nobody) Stopping(time.Duration) {}

// Server is a running linkstead.
type Server struct {
	Platform *platform.Platform
	Broker   *broker.Broker

	options     Options
	reloading   sync.Mutex // guards config and sources, and is held during a reload
	config      config.Config
	sources     config.Sources
	scraper     atomic.Pointer[string] // the token for /metrics, "" for none
	logger      *slog.Logger
	store       *store.Store
	log         *queue.Log
	transport   *transport.Server
	guard       *memory.Guard
	trace       *trace.Ring // nil if switched off
	certificate *transport.Certificate
	asking      atomic.Pointer[askingConfig] // of certificate, if clients are asked for theirs
	asks        bool                         // TLS clients for a certificate
	adminServer *http.Server
	filesServer *http.Server // nil if files are not served
	filesAddr   string
	coap        *coap.Server // nil if it is not served
	adminAddr   net.Addr
	token       string
	newKey      bool
	newToken    bool
	drained     atomic.Bool // the event loops are being stopped
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
	if o.Notify == nil {
		o.Notify = nobody{}
	}
	s = &Server{options: o, config: cfg, sources: o.Sources, logger: o.Logger, stopped: make(chan struct{})}
	begun := s // what is returned is nil by the time of the cleaning up
	defer func() {
		if err != nil {
			_ = begun.shutdown(context.Background())
		}
	}()
	if err := store.MakeDir(cfg.Data); err != nil {
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
	signer, err := filesKey(key)
	if err != nil {
		return nil, err
	}
	s.store, err = store.Open(ctx, store.Options{
		Dir: filepath.Join(cfg.Data, "records"), MasterKey: key, Durability: store.Durability(cfg.Durability),
		Retention: time.Duration(cfg.History.Retention), Logger: o.Logger, VFS: o.Disk.Records,
		Reserve: cfg.History.Reserve, Free: o.Disk.free(filepath.Join(cfg.Data, "records")),
	})
	if err != nil {
		return nil, err
	}
	s.log, err = queue.Open(queue.Options{
		Dir: filepath.Join(cfg.Data, "messages"), Durability: durability(cfg.Durability), Logger: o.Logger,
		FS: o.Disk.Messages, StopOnDamage: cfg.OnDamage == "stop",
	})
	if err != nil {
		return nil, err
	}
	s.Platform = platform.New(platform.Options{
		Store: s.store, Logger: o.Logger, Settings: platformSettings(&cfg), FailedLogins: cfg.Limits.FailedLogins,
		Files: platform.FileOptions{Dir: filepath.Join(cfg.Data, "firmware"), Key: signer, URL: cfg.Files.URL,
			UploadDir: filepath.Join(cfg.Data, "uploads"), Sync: store.Durability(cfg.Durability) == store.DurabilityDisk},
	})
	if err := s.openTrace(o.Logger); err != nil {
		return nil, err
	}
	s.Broker, err = broker.New(broker.Options{
		Sharing: sharing(cfg),
		Tracer:  s.tracer(), SysInterval: time.Duration(cfg.Observe.SysInterval), Version: o.Version,
		Authority: s.Platform, Handler: s.Platform, Recorder: s.Platform, Log: s.log, Logger: o.Logger,
		FailedLogins: cfg.Limits.FailedLogins, SessionsPerOwner: cfg.Limits.SessionsPerUser, MaxRetained: cfg.Limits.Retained,
		OpeningPacket: cfg.Limits.OpeningBytes, Profiles: s.Platform.Profile,
	})
	if err != nil {
		return nil, err
	}
	s.Broker.SetFarewell(farewell(&cfg))
	s.Platform.Bind(s.Broker)
	s.certificate, err = transport.LoadOrCreate(certificateOptions(&cfg))
	if err != nil {
		return nil, err
	}
	doors, err := listeners(&cfg, o.Sockets)
	if err != nil {
		return nil, err
	}
	s.asks = cfg.TLS.ClientCertificates
	makeRoom(cfg.Loops)
	exempt, err := cfg.Limits.Exempt()
	if err != nil {
		return nil, err
	}
	s.transport, err = transport.Listen(transport.Options{
		Handler: s.Broker, Prepare: s.Broker.Start, Loops: cfg.Loops, Listeners: doors, TLS: s.tlsConfig,
		WebSocket: true, HTTP: s.Platform, OpeningTimeout: time.Duration(cfg.Limits.OpeningTimeout), OpeningBytes: cfg.Limits.OpeningBytes,
		MaxConnections: cfg.Limits.Connections, MaxOpening: cfg.Limits.Opening, Logger: o.Logger,
		AcceptRate: cfg.Limits.Accept, AcceptPerAddress: cfg.Limits.AcceptPerAddress, AcceptExempt: exempt,
	})
	if err != nil {
		return nil, err
	}
	if err := s.serveFiles(); err != nil {
		return nil, err
	}
	if err := s.serveCoAP(exempt); err != nil {
		return nil, err
	}
	s.guard = memory.Start(memory.Options{Limit: int64(cfg.Limits.Memory), Logger: o.Logger, Changed: s.tight})
	if err := s.serveAdmin(o); err != nil {
		return nil, err
	}
	go newSettler().run(s.stopped)
	o.Notify.Ready(s.status())
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
		restrict(&p)
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

func sharing(cfg config.Config) broker.Sharing {
	s := broker.Sharing{Key: cfg.Shared.Key}
	switch cfg.Shared.Strategy {
	case "least_in_flight":
		s.Strategy = broker.LeastInFlight
	case "sticky":
		s.Strategy = broker.Sticky
	}
	return s
}

// serveAdmin starts the admin API and writes where it is for the command line.
func (s *Server) serveAdmin(o Options) error {
	tokenFile := filepath.Join(s.config.Data, "admin.token")
	token, created, err := admin.LoadOrCreateToken(tokenFile)
	if err != nil {
		return err
	}
	s.token, s.newToken = token, created
	scraper, err := metricsToken(&s.config)
	if err != nil {
		return err
	}
	s.scraper.Store(&scraper)
	ln, err := net.Listen("tcp", s.config.Admin)
	if err != nil {
		return fmt.Errorf("the admin API cannot listen on %s: %w; choose another address with --admin", s.config.Admin, err)
	}
	s.adminAddr = ln.Addr()
	handler := admin.New(admin.Options{
		Platform: s.Platform, Broker: s.Broker, Token: token, Logger: o.Logger, Address: ln.Addr().String(), Remote: s.config.AdminRemote,
		Version: o.Version, MQTTAddresses: s.Addresses, CAFile: s.CAFile, Config: s.entries, Reload: s.reloader(),
		QueueMetrics: s.log.Metrics, TransportStats: s.transport.Stats,
		MetricsToken: func() string { return *s.scraper.Load() }, Metrics: s.metrics(o), Trace: s.trace, Writable: s.writable,
		Backup: s.backup,
	})
	s.adminServer = &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	go func() { _ = s.adminServer.Serve(ln) }()
	return admin.WriteAddress(filepath.Join(s.config.Data, "admin.json"), ln.Addr().String(), tokenFile)
}

// backup copies everything into dir. That it begins is in the audit log before,
// and so in the copy, and how it ended afterwards.
func (s *Server) backup(ctx context.Context, who, dir string) (m backup.Manifest, err error) {
	begun := false
	m, err = backup.Write(ctx, backup.Sources{Store: s.store, Log: s.log, Data: s.config.Data, Version: s.options.Version, Begins: func() {
		begun = true
		s.Platform.AuditBackup(ctx, who, dir, "begun")
	}}, dir)
	switch end := context.WithoutCancel(ctx); { // who asked may be gone
	case !begun:
	case err != nil:
		s.Platform.AuditBackup(end, who, dir, "failed: "+err.Error())
	default:
		s.Platform.AuditBackup(end, who, dir, fmt.Sprintf("done: %d files, %d bytes", len(m.Files), m.Bytes()))
	}
	return m, err
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

// status says in a line what the server does.
func (s *Server) status() string { return "serving MQTT on " + strings.Join(s.Addresses(), " ") }

// Alive reports whether every event loop answers before ctx ends. When they have
// been stopped on purpose the server is as alive as it has to be.
func (s *Server) Alive(ctx context.Context) bool {
	return s.drained.Load() || len(s.Broker.Health(ctx).Stuck) == 0
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
