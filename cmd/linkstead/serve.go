package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/server"
	"github.com/linkstead/linkstead/internal/systemd"
)

// serverFlags are the settings that can be given on the command line; all others
// are set by file or environment.
type serverFlags struct {
	file       string
	data       string
	listen     []string
	admin      string
	durability string
	logLevel   string
	logFormat  string
	strict     bool
}

func (f *serverFlags) register(cmd *cobra.Command) {
	d := config.Default()
	flags := cmd.Flags()
	flags.StringVar(&f.file, "config", "", "configuration `file` (TOML); also LINKSTEAD_CONFIG")
	flags.StringVar(&f.data, "data", d.Data, "`directory` that holds everything the server stores")
	flags.StringArrayVar(&f.listen, "listen", d.Listen, "`address` for devices and MQTT clients: plain, TLS and WebSocket, or only one of them as in tls://:8883 (repeatable)")
	flags.StringVar(&f.admin, "admin", d.Admin, "`address` of the admin API")
	flags.StringVar(&f.durability, "durability", d.Durability, "what an acknowledgement means: disk, os or memory")
	flags.StringVar(&f.logLevel, "log-level", d.Log.Level, "debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log-format", d.Log.Format, "text or json")
	flags.BoolVar(&f.strict, "strict", false, "refuse what the cloud refuses, to test firmware against it")
}

// load gives the configuration: file, environment, then the flags that were given.
func (f *serverFlags) load(cmd *cobra.Command) (config.Config, config.Sources, error) {
	path := f.path()
	c, sources, err := config.Load(path, os.Environ())
	if err != nil {
		return c, nil, err
	}
	set := func(flag, key string, apply func()) {
		if cmd.Flags().Changed(flag) {
			apply()
			sources[key] = "flag --" + flag
		}
	}
	set("data", "data", func() { c.Data = f.data })
	set("listen", "listen", func() { c.Listen = f.listen })
	set("admin", "admin", func() { c.Admin = f.admin })
	set("durability", "durability", func() { c.Durability = f.durability })
	set("log-level", "log.level", func() { c.Log.Level = f.logLevel })
	set("log-format", "log.format", func() { c.Log.Format = f.logFormat })
	set("strict", "device.strict", func() { c.Device.Strict = f.strict })
	return c, sources, locate(c.Validate(), sources, path)
}

// path is the configuration file's, "" for none.
func (f *serverFlags) path() string {
	if f.file != "" {
		return f.file
	}
	return os.Getenv("LINKSTEAD_CONFIG")
}

// locate adds to what is wrong where it stands.
func locate(err error, sources config.Sources, path string) error {
	if wrong, ok := errors.AsType[*config.InvalidError](err); ok {
		text, _ := os.ReadFile(path) // it was read a moment ago
		wrong.Locate(sources, path, config.Lines(text))
	}
	return err
}

// newLogger makes the server's log as configured. Its level can be changed.
func newLogger(w io.Writer, c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	_ = level.UnmarshalText([]byte(c.Level)) // Validate has checked it
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o)), level
	}
	return slog.New(slog.NewTextHandler(w, o)), level
}

func newServeCommand() *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the server",
		GroupID: groupServer,
		Args:    cobra.NoArgs,
		Long: `Run the server until it is told to stop (Ctrl-C or SIGTERM). It needs no configuration:
everything is stored in ./linkstead-data, devices and MQTT clients connect to port 1883 with
plain MQTT, TLS or WebSocket, and the admin API listens on loopback.

Settings come from the defaults, then the file, then LINKSTEAD_… variables, then flags;
"linkstead config" shows the result and where each value came from. SIGHUP, or
"linkstead reload", has the file and the certificate read again without closing a connection.
SIGTERM drains: what clients have begun is finished and they are told; a second one stops
at once.`,
		Example: `  linkstead serve
  linkstead serve --data /var/lib/linkstead --listen :1883 --listen :443
  linkstead serve --config /etc/linkstead.toml --log-format json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, sources, err := f.load(cmd)
			if err != nil {
				return err
			}
			logger, level := newLogger(cmd.ErrOrStderr(), cfg.Log)
			var manager systemd.Notifier
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			s, err := server.Start(ctx, cfg, server.Options{
				Logger: logger, Level: level, Sources: sources, Version: version(),
				Sockets: systemd.Sockets(), Notify: manager,
				Load: func() (config.Config, config.Sources, error) { return f.load(cmd) },
			})
			if err != nil {
				return startError(err)
			}
			announce(logger, s, cfg)
			watching, unwatch := context.WithCancel(context.Background())
			defer unwatch()
			go manager.Watchdog(watching, s.Alive, func() {
				logger.Error("an event loop does not answer; the service manager's watchdog is not fed")
			})
			return runUntil(ctx, stop, logger, s)
		},
	}
	f.register(cmd)
	return cmd
}

// startError adds what to do about the usual reasons why a server does not start.
func startError(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return withHint(err, "Another program, perhaps another linkstead, has the port. Stop it, or choose another with --listen or --admin.")
	}
	if errors.Is(err, syscall.EACCES) && strings.Contains(err.Error(), "listen") {
		return withHint(err, "Ports below 1024 need a privilege. Choose another with --listen, or grant CAP_NET_BIND_SERVICE.")
	}
	return err
}

// announce logs where everything is.
func announce(logger *slog.Logger, s *server.Server, cfg config.Config) {
	serving := []any{"mqtt", strings.Join(s.Addresses(), " "), "admin", s.AdminAddress(), "data", cfg.Data, "durability", cfg.Durability}
	if a := strings.TrimSpace(s.CoAPAddress() + " " + s.CoAPTLSAddress()); a != "" {
		serving = append(serving, "coap", a)
	}
	logger.Info("linkstead is serving", serving...)
	if s.NewCA() {
		logger.Info("a certificate authority was made; devices that verify the server have to trust it", "file", s.CAFile(), "sha256", s.CAFingerprint())
	}
	if s.NewKey() {
		logger.Info("a master key was made; device secrets cannot be read without it: keep a copy apart from the data", "data", cfg.Data)
	}
	if s.NewToken() {
		logger.Info("a token for the admin API was made; commands on this machine find it by themselves", "file", cfg.Data+"/admin.token")
	}
}

// runUntil serves until ctx ends, then stops within the configured time. A second
// signal cuts clients off and stops at once.
func runUntil(ctx context.Context, restore func(), logger *slog.Logger, s *server.Server) error {
	hup := make(chan os.Signal, 1)
	notifyReload(hup)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			_, _ = s.Reload(ctx, "SIGHUP") // it logs what has changed, or what is wrong
			continue
		case <-ctx.Done():
		}
		break
	}
	again, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	restore()
	within := s.DrainTimeout()
	logger.Info("stopping", "drain_timeout", within)
	stopping, cancel := context.WithTimeout(again, within)
	defer cancel()
	err := s.Shutdown(stopping)
	switch {
	case errors.Is(err, context.Canceled):
		logger.Warn("stopped at once by a second signal; clients were cut off")
	case errors.Is(err, context.DeadlineExceeded):
		logger.Warn("stopped; clients that had not taken everything within drain_timeout were cut off")
	case err != nil:
		return fmt.Errorf("the server did not stop cleanly: %w", err)
	default:
		logger.Info("stopped")
	}
	return nil
}

// version is the version of this program, as far as the build knows it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
