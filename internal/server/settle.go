package server

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// settler gives memory back to the system when a server has become quiet. Go
// keeps what a storm of logins or a checked password has left behind until the
// heap has grown as much again, which on a server whose clients are idle may be
// never.
type settler struct {
	sample [4]metrics.Sample
	total  uint64    // bytes allocated since the start, at the last look
	rest   time.Time // not before this
}

const (
	settleEvery = 500 * time.Millisecond
	// settleQuiet is the allocation rate, in bytes a look, below which nobody is
	// using the memory.
	settleQuiet = 1 << 20
	// settleWorth is what must be gained, in bytes; and an eighth of what lives.
	settleWorth = 4 << 20
	// settleShare bounds the CPU: one part in so many of one core's time.
	settleShare = 50
)

func newSettler() *settler {
	s := new(settler)
	for i, name := range []string{
		"/gc/heap/allocs:bytes", "/memory/classes/heap/objects:bytes", "/gc/heap/live:bytes", "/memory/classes/heap/free:bytes",
	} {
		s.sample[i].Name = name
	}
	return s
}

// look collects and gives back if it is quiet and worth it; it reports whether
// it did.
func (s *settler) look(now time.Time) bool {
	metrics.Read(s.sample[:])
	total, objects, live, free := s.sample[0].Value.Uint64(), s.sample[1].Value.Uint64(), s.sample[2].Value.Uint64(), s.sample[3].Value.Uint64()
	quiet := total-s.total < settleQuiet
	s.total = total
	gain := free
	if objects > live {
		gain += objects - live
	}
	if !quiet || gain < settleWorth+live/8 || now.Before(s.rest) {
		return false
	}
	debug.FreeOSMemory()
	s.rest = now.Add(max(2*time.Second, settleShare*time.Since(now)))
	return true
}

// run looks until stopped is closed.
func (s *settler) run(stopped <-chan struct{}) {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.look(now)
		case <-stopped:
			return
		}
	}
}
