package transport

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"time"
)

// Options says how to listen. Handler and Listeners are required; what is zero
// otherwise gets the default that the field names.
type Options struct {
	// Handler is told what happens.
	Handler Handler

	// Loops is the number of event loops. Default: one per core. On Linux a loop
	// keeps its GOMAXPROCS slot for a while after it ran out of work: up to 50 ms if
	// GOMAXPROCS is larger than Loops, as it should be, by the number of other busy
	// goroutines; up to a millisecond otherwise. While there is little to do, the
	// first loop does the work of all.
	Loops int

	// Prepare is called with the loops before they run and before the first
	// connection is accepted; an error of its ends Listen. It may post tasks.
	Prepare func(loops []*Loop) error

	// Listeners are the addresses, at most 256.
	Listeners []Listener

	// TLS returns the configuration for a new handshake; it is called for each,
	// so that certificates can be exchanged while the server runs. If it is nil
	// or returns nil, TLS is refused.
	TLS func() *tls.Config

	// WebSocket says whether HTTP requests are answered: an upgrade to
	// WebSocket on any path.
	WebSocket bool

	// HTTP answers POST requests, one to a connection, on other goroutines. With nil
	// they are refused.
	HTTP http.Handler

	// OpeningTimeout is how long a connection may take from being accepted to
	// Conn.Established, whatever it does in between. Default: 10 s.
	OpeningTimeout time.Duration

	// OpeningBytes is Conn.SetLimit for new connections. Default: 16 KB.
	OpeningBytes int

	// MaxConnections is the most open sockets; further ones are accepted and
	// closed. Default: no limit but the number of file descriptors.
	MaxConnections int

	// MaxOpening is the most connections that have not logged in. With more,
	// the oldest one that has not sent what it has to is closed. Default: 5000.
	MaxOpening int

	// AcceptRate is how many connections are accepted in a second; more wait in
	// the kernel's queue. 0: as many as can be dealt with.
	AcceptRate int

	// AcceptPerAddress is how many connections a second an address may open, and
	// twenty times as many at once; more are closed. Of IPv6 the first 64 bits
	// count. 0: no limit. AcceptExempt are the addresses for which there is none.
	AcceptPerAddress int
	AcceptExempt     []netip.Prefix

	// HandshakeWorkers is how many TLS handshakes are computed at the same
	// time; waiting for the peer does not count. Default: 2 × GOMAXPROCS.
	HandshakeWorkers int

	// Linger is how long a closed connection may take to read what was written
	// for it. Default: 2 s.
	Linger time.Duration

	// Portable selects the variant with goroutines on Linux, too.
	Portable bool

	// Logger gets refusals and internal errors. Default: slog.Default().
	Logger *slog.Logger
}

func (o *Options) setDefaults() {
	set := func(n *int, value int) {
		if *n <= 0 {
			*n = value
		}
	}
	set(&o.Loops, runtime.NumCPU())
	set(&o.OpeningBytes, 16<<10)
	set(&o.MaxOpening, 5000)
	set(&o.HandshakeWorkers, 2*runtime.GOMAXPROCS(0))
	if o.OpeningTimeout <= 0 {
		o.OpeningTimeout = 10 * time.Second
	}
	if o.Linger <= 0 {
		o.Linger = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}
