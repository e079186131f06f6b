package transport

import (
	"sync/atomic"
	"time"

	"github.com/linkstead/linkstead/internal/meter"
)

// Refusal is a reason for which a connection did not get as far as a login.
type Refusal uint8

// The reasons.
const (
	RefusedFull           Refusal = iota // Options.MaxConnections
	RefusedDescriptors                   // the process may not open more files
	RefusedProtocol                      // not MQTT, TLS or a WebSocket upgrade
	RefusedTLS                           // TLS handshake failed or TLS is off
	RefusedUpgrade                       // the HTTP request is no WebSocket upgrade
	RefusedOpeningTimeout                // Options.OpeningTimeout
	RefusedOpeningBytes                  // Options.OpeningBytes
	RefusedEvicted                       // Options.MaxOpening
	RefusedProxy                         // no PROXY header where one has to be, or not from a load balancer
	Refusals                             // how many reasons there are
)

var refusalNames = [Refusals]string{"full", "descriptors", "protocol", "tls", "upgrade", "opening_timeout", "opening_bytes", "evicted", "proxy"}

// String returns a short name, fit for a metric's label.
func (r Refusal) String() string {
	if r < Refusals {
		return refusalNames[r]
	}
	return "unknown"
}

// Stats is a snapshot of a server's counters.
type Stats struct {
	Accepted uint64           // sockets accepted
	Sockets  int              // sockets open now, in whatever state
	Opening  int              // of these, not logged in
	Open     [kinds]int       // connections between Opened and Closed, by Kind
	Refused  [Refusals]uint64 // by Refusal
	Read     uint64           // bytes read from sockets
	Written  uint64           // bytes written to sockets
	Turns    meter.Snapshot   // how long turns of event loops took, ns, without the waiting
}

// Stats returns the counters. Any goroutine.
func (s *Server) Stats() Stats {
	stats := Stats{
		Accepted: s.accepted.Load(),
		Sockets:  int(s.total.Load()),
		Opening:  int(s.opening.Load()),
	}
	for k := range s.open {
		stats.Open[k] = int(s.open[k].Load())
	}
	for r := range s.refusals {
		stats.Refused[r] = s.refusals[r].Load()
	}
	for _, l := range s.loops {
		stats.Read += l.bytesRead.Load()
		stats.Written += l.bytesWrote.Load()
		stats.Turns = stats.Turns.Plus(l.turns.Snapshot())
	}
	return stats
}

// refused counts and logs a connection that is turned away. c is nil if there
// never was one.
func (s *Server) refused(l *Loop, c *Conn, why Refusal, cause error) {
	s.refusals[why].Add(1)
	ok, missed := s.logLimit.allow(time.Now())
	if !ok {
		return
	}
	attrs := []any{"reason", why.String(), "cause", cause}
	if c != nil {
		attrs = append(attrs, "remote", c.remote)
	}
	if missed > 0 {
		attrs = append(attrs, "not_logged", missed)
	}
	s.options.Logger.Warn("connection refused", attrs...)
}

// logLimit lets a few lines a second through: whoever can connect can make us
// log, and must not fill the disk.
type logLimit struct {
	second atomic.Int64
	lines  atomic.Int64
	missed atomic.Int64
}

const logLinesPerSecond = 10

func (f *logLimit) allow(now time.Time) (ok bool, missed int64) {
	second := now.Unix()
	if f.second.Swap(second) != second {
		f.lines.Store(0)
	}
	if f.lines.Add(1) > logLinesPerSecond {
		f.missed.Add(1)
		return false, 0
	}
	return true, f.missed.Swap(0)
}
