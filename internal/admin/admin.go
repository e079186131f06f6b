package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/linkstead/linkstead/internal/backup"
	"github.com/linkstead/linkstead/internal/broker"
	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/platform"
	"github.com/linkstead/linkstead/internal/queue"
	"github.com/linkstead/linkstead/internal/trace"
	"github.com/linkstead/linkstead/internal/transport"
)

// Options are what the API works on. Platform, Broker and Token are required.
type Options struct {
	Platform *platform.Platform
	Broker   *broker.Broker
	// Token is what requests carry as "Authorization: Bearer …".
	Token  string
	Logger *slog.Logger
	// Address is the host:port the API is served at; its host is a name that
	// requests may call the server by.
	Address string
	// Remote lets requests call the server by any name.
	Remote  bool
	Version string
	// MQTTAddresses lists where devices and MQTT clients connect.
	MQTTAddresses func() []string
	// CAFile gives the certificate that TLS devices trust, or "".
	CAFile func() string
	// Config gives the effective configuration.
	Config func() []config.Entry
	// Reload reads the configuration again on somebody's behalf, and returns what
	// has changed; nil if the server has none to read.
	Reload         func(ctx context.Context, who string) ([]config.Change, error)
	QueueMetrics   func() queue.Metrics
	TransportStats func() transport.Stats
	// Metrics serves /metrics; the token that MetricsToken gives opens it besides
	// Token, and nothing else. If it is nil or gives "" only Token does.
	Metrics      http.Handler
	MetricsToken func() string
	// Trace has the records of devices' messages; nil if none are kept.
	Trace *trace.Ring
	// Backup copies everything that is stored into a directory, on somebody's behalf.
	Backup func(ctx context.Context, who, dir string) (backup.Manifest, error)
	// Writable names the stores that do not take writes before ctx ends; nil asks
	// none.
	Writable func(ctx context.Context) []string
}

// handler serves the API.
type handler struct {
	Options
	token   [sha256.Size]byte
	health  health
	started time.Time
	mux     *http.ServeMux
	tails   atomic.Int32 // open live views
}

// New makes the API's handler.
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &handler{Options: o, token: sha256.Sum256([]byte(o.Token)), started: time.Now(), mux: http.NewServeMux()}
	h.Token = ""
	h.routes()
	return h
}

// routes lists every route. The patterns of a noun are served by the file of its
// name.
func (h *handler) routes() {
	h.handle("GET /v1/status", h.getStatus)
	h.handle("POST /v1/reload", h.reload)
	h.productRoutes()
	h.modelRoutes()
	h.deviceRoutes()
	h.propertyRoutes()
	h.eventRoutes()
	h.serviceRoutes()
	h.desiredRoutes()
	h.deviceLogRoutes()
	h.shadowRoutes()
	h.rrpcRoutes()
	h.gatewayRoutes()
	h.certificateRoutes()
	h.scriptRoutes()
	h.remoteConfigRoutes()
	h.firmwareRoutes()
	h.fileRoutes()
	h.jobRoutes()
	h.userRoutes()
	h.handle("POST /v1/publish", h.publish)
	h.handle("GET /v1/tail", h.tail)
	h.handle("GET /v1/sessions/{key...}", h.getSession)
	h.handle("GET /v1/refusals", h.listRefusals)
	h.handle("GET /v1/drops", h.getDrops)
	h.handle("GET /v1/audit", h.listAudit)
	h.handle("GET /v1/devices/{pk}/{dn}/trace", h.getTrace)
	if h.Backup != nil {
		h.handle("POST /v1/backup", h.backup)
	}
	h.profileRoutes()
	if h.Metrics != nil {
		h.mux.Handle("GET "+metricsPath, h.Metrics)
	}
}

// handle registers a route; its error becomes the answer.
func (h *handler) handle(pattern string, serve func(http.ResponseWriter, *http.Request) error) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			h.fail(w, r, err)
		}
	})
}

// maxBody is the largest request, in bytes: an import of MaxBulk devices fits.
const maxBody = 8 << 20

// ServeHTTP lets a request through if it calls the server by a name of its own and
// carries the token.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !h.Remote && !h.ownName(r.Host) {
		h.fail(w, r, &Error{Code: CodeForbidden, Message: "the request calls the server " + clip(r.Host) + ", which is no name of this machine",
			Hint: "use 127.0.0.1 or localhost, or set admin_remote = true"})
		return
	}
	if h.serveHealth(w, r) {
		return
	}
	if !h.allowed(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="linkstead"`)
		h.fail(w, r, &Error{Code: CodeUnauthorized, Message: "the token is missing or wrong",
			Hint: "send Authorization: Bearer with the content of admin.token in the server's data directory"})
		return
	}
	most := int64(maxBody)
	if isFirmware(r) {
		most = platform.MaxPackage + 1
	}
	r.Body = http.MaxBytesReader(w, r.Body, most)
	if _, pattern := h.mux.Handler(r); pattern == "" {
		h.noRoute(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// noRoute answers for paths and methods that the API does not have.
func (h *handler) noRoute(w http.ResponseWriter, r *http.Request) {
	probe := &statusProbe{header: http.Header{}}
	h.mux.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.header.Get("Allow"))
		h.fail(w, r, &Error{Code: CodeMethod, Message: clip(r.URL.Path) + " does not take " + clip(r.Method), Hint: "it takes " + probe.header.Get("Allow")})
		return
	}
	h.fail(w, r, &Error{Code: CodeNotFound, Message: "the API has no " + clip(r.URL.Path)})
}

// statusProbe keeps the status of an answer and throws its body away.
type statusProbe struct {
	header http.Header
	status int
}

func (p *statusProbe) Header() http.Header         { return p.header }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *statusProbe) WriteHeader(status int)      { p.status = status }

// ownName reports whether a Host header names this machine.
func (h *handler) ownName(host string) bool {
	name := hostname(host)
	if strings.EqualFold(name, "localhost") || name != "" && strings.EqualFold(name, hostname(h.Address)) {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// allowed compares the token in constant time, whatever its length.
func (h *handler) allowed(r *http.Request) bool {
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	admin := subtle.ConstantTimeCompare(sum[:], h.token[:]) == 1
	return strings.EqualFold(kind, "Bearer") && (admin || r.URL.Path == metricsPath && h.scraper(sum))
}

// scraper reports whether this is the sum of the token for /metrics.
func (h *handler) scraper(sum [sha256.Size]byte) bool {
	if h.MetricsToken == nil {
		return false
	}
	token := h.MetricsToken()
	own := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], own[:]) == 1 && token != ""
}

// UserHeader may name the person behind a request, for the audit log.
const UserHeader = "X-Linkstead-User"

// who names the caller in the audit log: "token", or "token:name".
func who(r *http.Request) string {
	name := strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, r.Header.Get(UserHeader))
	if name == "" {
		return "token"
	}
	return "token:" + clip(name)
}
