// Package memory watches how much memory the process holds against a bound that
// it was given, and tells others when it is time to be careful. It does not free
// anything itself: whoever listens stops taking on what it may refuse.
package memory

import (
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// Options say what is guarded.
type Options struct {
	// Limit is the bound in bytes; 0 is the GOMEMLIMIT of the environment, and
	// without one there is no bound. A Limit also becomes the memory limit of Go's
	// collector, which works harder near it, unless GOMEMLIMIT is set.
	Limit int64
	// Changed is told when memory becomes tight, and when it is no more. It is
	// called on the guard's goroutine.
	Changed func(tight bool)
	Logger  *slog.Logger
}

const (
	// Of the limit, memory is tight from softShare on, until less than
	// easyShare is used.
	softShare, easyShare = 0.80, 0.70

	lookEvery = 100 * time.Millisecond
	// collectEvery is how often the guard has garbage collected to learn what
	// really lives, while it might be tight.
	collectEvery = time.Second
)

// Guard watches until it is stopped.
type Guard struct {
	options  Options
	limit    int64
	previous int64 // of Go's collector, put back by Stop
	sample   [5]metrics.Sample
	used     atomic.Int64
	tight    atomic.Bool
	times    atomic.Uint64
	stop     chan struct{}
	stopped  chan struct{}
}

// Stats are the guard's figures.
type Stats struct {
	Limit int64  // bytes, 0 if there is none
	Used  int64  // bytes that live, as of the latest look
	Tight bool   // the server refuses what it may
	Times uint64 // how often that began
}

// Start begins to watch.
func Start(o Options) *Guard {
	g := &Guard{options: o, limit: o.Limit, previous: -1, stop: make(chan struct{}), stopped: make(chan struct{})}
	for i, name := range [...]string{
		"/memory/classes/total:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes",
		"/memory/classes/heap/objects:bytes", "/gc/heap/live:bytes",
	} {
		g.sample[i].Name = name
	}
	own := debug.SetMemoryLimit(-1) // asks without changing; what GOMEMLIMIT said
	switch {
	case g.limit <= 0 && own < math.MaxInt64:
		g.limit = own
	case g.limit > 0 && own == math.MaxInt64:
		g.previous = debug.SetMemoryLimit(g.limit)
	}
	go g.run()
	return g
}

// Stop ends the watch. Nothing is tight afterwards.
func (g *Guard) Stop() {
	close(g.stop)
	<-g.stopped
	if g.previous >= 0 {
		debug.SetMemoryLimit(g.previous)
	}
}

// Stats may be called from any goroutine.
func (g *Guard) Stats() Stats {
	return Stats{Limit: g.limit, Used: g.used.Load(), Tight: g.tight.Load(), Times: g.times.Load()}
}

func (g *Guard) run() {
	defer close(g.stopped)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var collected time.Time
	for {
		select {
		case <-g.stop:
			return
		case now := <-tick.C:
			_, most := g.read()
			soft, easy := int64(softShare*float64(g.limit)), int64(easyShare*float64(g.limit))
			// What lives is known from the last collection only, and what was allocated
			// since may be garbage: it is decided right after one.
			if g.limit <= 0 || !g.tight.Load() && most < soft || now.Sub(collected) < collectEvery {
				continue
			}
			runtime.GC()
			collected = time.Now()
			live, _ := g.read()
			switch {
			case live >= soft && !g.tight.Load():
				g.change(true, live)
			case live < easy && g.tight.Load():
				g.change(false, live)
			}
		}
	}
}

// read measures: what lived at the last collection, with the process's other
// memory, and what that is if nothing that was allocated since is garbage.
func (g *Guard) read() (live, most int64) {
	metrics.Read(g.sample[:])
	n := func(i int) int64 { return int64(g.sample[i].Value.Uint64()) }
	most = n(0) - n(1) - n(2)
	live = most - max(0, n(3)-n(4))
	g.used.Store(live)
	return live, most
}

func (g *Guard) change(tight bool, used int64) {
	g.tight.Store(tight)
	if tight {
		g.times.Add(1)
		g.options.Logger.Warn("memory is short: new connections and filters are refused, and slow clients lose what is not kept for them", "used_mb", used>>20,
			"limit_mb", g.limit>>20, "hint", "raise limits.memory, or find out what waits: linkstead status")
	} else {
		g.options.Logger.Info("memory is no longer short", "used_mb", used>>20, "limit_mb", g.limit>>20)
	}
	if g.options.Changed != nil {
		g.options.Changed(tight)
	}
}
