package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/linkstead/linkstead/internal/rate"
)

// gate decides when a connection is accepted and whether it is welcome. What is
// too much for the moment waits in the kernel's queue, whose clients connect a
// little later without knowing why; only an address that comes too often, whoever
// is behind it, is turned away.
type gate struct {
	rate   float64 // connections a second; 0: no limit
	exempt []netip.Prefix

	mu        sync.Mutex
	all       rate.Bucket
	addresses *rate.Table[netip.Addr]
}

const (
	gateEntries = 8192 // addresses that are remembered
	// gateBurst is how many seconds' worth of connections an address may open at
	// once: all devices behind it that come back after an outage.
	gateBurst = 20
	// gatePause is how long a loop leaves a listener alone when it has enough to do.
	gatePause = 5 * time.Millisecond
)

func newGate(o *Options) *gate {
	g := &gate{rate: float64(o.AcceptRate), exempt: o.AcceptExempt}
	if n := float64(o.AcceptPerAddress); n > 0 {
		g.addresses = rate.NewTable[netip.Addr](gateEntries, n, gateBurst*n)
	}
	return g
}

// take takes the place of one connection of the server's rate, and reports whether
// there was one. Event loops accept at the same time, so a place is taken before
// and given back if nobody has come.
func (g *gate) take(now time.Time) bool {
	if g.rate <= 0 {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all.TakeWhole(now.UnixNano(), g.rate, g.burst())
}

func (g *gate) giveBack() {
	if g.rate > 0 {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.all.GiveBack(1, g.burst())
	}
}

// burst is how many connections are accepted at once after a quiet time.
func (g *gate) burst() float64 { return max(1, g.rate/10) }

// welcome reports whether an address may open one more connection now.
func (g *gate) welcome(from netip.AddrPort, now time.Time) bool {
	addr := from.Addr()
	if g.addresses == nil || !addr.IsValid() { // Unix sockets have none
		return true
	}
	for _, p := range g.exempt {
		if p.Contains(addr) {
			return true
		}
	}
	if addr.Is6() { // one subscriber has 2^64 of them
		prefix, _ := addr.Prefix(64)
		addr = prefix.Addr()
	}
	ok, _ := g.addresses.Take(addr, now.UnixNano())
	return ok
}

var errTooOften = errors.New("this address opens connections too often; if many clients share it, raise limits.accept_per_address or name it in limits.accept_exempt")

func tooOften(peer netip.AddrPort) error { return fmt.Errorf("%w (%s)", errTooOften, peer.Addr()) }

// errMemory is given while Server.Refuse is in force.
var errMemory = errors.New("the server is short of memory; see limits.memory")

// ready reports whether a connection may be accepted now; then its place is taken.
// Otherwise it waits in the kernel's queue: so many logins and handshakes are
// already waiting for us that more would only wait until their time is over, or
// the rate does not allow it. A server that closes is always ready.
func (s *Server) ready(now time.Time) bool {
	return s.closing.Load() || s.awaiting.Load() <= int64(max(1, s.options.MaxOpening/4)) && s.gate.take(now)
}

// await counts a connection that has not logged in and waits for us, or (-1) does
// no more.
func (s *Server) await(n int64) { s.awaiting.Add(n) }

// Refuse has new connections turned away, or accepted again. Any goroutine.
func (s *Server) Refuse(yes bool) { s.refusing.Store(yes) }
