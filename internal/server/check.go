package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/linkstead/linkstead/internal/config"
)

// certificateWarning is how long before its end a certificate is worth a warning.
const certificateWarning = 30 * 24 * time.Hour

// Check looks for what a valid configuration would still fail at or is likely not
// meant to be, without starting or changing anything: wrong keeps a server from
// starting, doubtful does not.
func Check(cfg *config.Config) (wrong, doubtful []config.Problem) {
	bad := func(key, format string, a ...any) {
		wrong = append(wrong, config.Problem{Key: key, Message: fmt.Sprintf(format, a...)})
	}
	odd := func(key, format string, a ...any) {
		doubtful = append(doubtful, config.Problem{Key: key, Message: fmt.Sprintf(format, a...)})
	}
	switch info, err := os.Stat(cfg.Data); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		bad("data", "%v", err)
	case !info.IsDir():
		bad("data", "%s is no directory", cfg.Data)
	case info.Mode().Perm()&0o077 != 0:
		odd("data", "%s can be entered by others (mode %04o); chmod 700", cfg.Data, info.Mode().Perm())
	}
	checkListeners(cfg, bad)
	if cfg.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(cfg.TLS.Cert, cfg.TLS.Key)
		switch left := time.Duration(0); {
		case err != nil:
			bad("tls.cert", "the certificate with its key cannot be used: %v", err)
		case pair.Leaf != nil:
			if left = time.Until(pair.Leaf.NotAfter); left <= 0 {
				odd("tls.cert", "the certificate ended on %s; clients refuse it", pair.Leaf.NotAfter.Format(time.DateOnly))
			} else if left < certificateWarning {
				odd("tls.cert", "the certificate ends on %s", pair.Leaf.NotAfter.Format(time.DateOnly))
			}
		}
	}
	if _, err := metricsToken(cfg); err != nil {
		bad("observe.metrics_token_file", "%v", errors.Unwrap(err))
	}
	if v := cfg.TLS.MinVersion; v == "1.0" || v == "1.1" {
		odd("tls.min_version", "TLS %s is broken; only for devices that know nothing newer", v)
	}
	if cfg.Durability != "disk" {
		odd("durability", "%s is not durable: what was acknowledged can be lost", cfg.Durability)
	}
	if cfg.AdminRemote {
		odd("admin_remote", "the token of the admin API crosses the network readable; put a TLS proxy before it")
	}
	if cfg.Limits.QueuedBytes < cfg.Limits.Packet {
		odd("limits.queued_bytes", "a packet of limits.packet bytes fits into no queue")
	}
	return wrong, doubtful
}

// checkListeners looks for addresses that are used twice, and sockets that have no
// place.
func checkListeners(cfg *config.Config, bad func(key, format string, a ...any)) {
	seen := map[string]string{cfg.Admin: "admin"}
	for _, text := range cfg.Listen {
		l, err := config.ParseListener(text)
		if err != nil {
			continue // Validate has said so
		}
		name := l.Address
		if l.Network != "tcp" {
			name = l.Network + ":" + name
		}
		if other := seen[name]; other != "" && !ephemeral(name) {
			bad("listen", "%q has the address of %s", text, other)
		}
		seen[name] = "another entry"
		if l.Network == "unix" {
			if info, err := os.Stat(filepath.Dir(l.Address)); err != nil || !info.IsDir() {
				bad("listen", "%q: there is no directory %s", text, filepath.Dir(l.Address))
			}
		}
	}
}

// ephemeral reports whether the system chooses the port.
func ephemeral(address string) bool { return len(address) > 2 && address[len(address)-2:] == ":0" }
