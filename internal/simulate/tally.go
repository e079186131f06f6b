package simulate

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Tally counts what a fleet did and saw. It may be read at any time.
type Tally struct {
	Online, LoggedIn, Refused, Broken, Left      atomic.Int64
	Posted, Acknowledged, Replied, Rejected      atomic.Int64 // property and event posts
	Missing, Cut, Skipped                        atomic.Int64
	Events, Received, Answered, Unknown, Strange atomic.Int64
	CommandsSent, CommandsReplied, CommandsLost  atomic.Int64
	mostOnline                                   atomic.Int64

	// Of gateways: their own requests, and their sub-devices.
	Asked, AskedReplied      atomic.Int64
	SubsOnline, SubsLoggedIn atomic.Int64
	SubsRefused              atomic.Int64 // in the topology, or their login
	SubsLeft                 atomic.Int64 // logged out of their own will
	SubsBroken               atomic.Int64 // their login ended otherwise
	mostSubs                 atomic.Int64
	latency                  latencies // from post to its reply
	lastError                atomic.Pointer[string]
}

// came counts a device that is online now.
func (t *Tally) came() {
	t.LoggedIn.Add(1)
	raise(&t.mostOnline, t.Online.Add(1))
}

// subCame counts a sub-device that is online now.
func (t *Tally) subCame() {
	t.SubsLoggedIn.Add(1)
	raise(&t.mostSubs, t.SubsOnline.Add(1))
}

// raise makes most at least n.
func raise(most *atomic.Int64, n int64) {
	for {
		was := most.Load()
		if n <= was || most.CompareAndSwap(was, n) {
			return
		}
	}
}

func (t *Tally) failed(what string) { t.lastError.Store(&what) }

// latencies is a histogram of durations: eight steps for each doubling from a
// microsecond on, so a quantile is at most an eighth too high.
type latencies struct{ buckets [8 * 40]atomic.Int64 }

func (l *latencies) add(d time.Duration) {
	us := uint64(max(d.Microseconds(), 1))
	l.buckets[min(step(us), len(l.buckets)-1)].Add(1)
}

// step is the bucket of so many microseconds.
func step(us uint64) int {
	if us < 8 {
		return int(us)
	}
	shift := bits.Len64(us) - 4
	return (shift+1)*8 + int(us>>shift) - 8
}

// top is the first value beyond a bucket, in microseconds.
func top(i int) uint64 {
	if i < 8 {
		return uint64(i + 1)
	}
	shift := i/8 - 1
	return uint64(i%8+9) << shift
}

// quantile returns the duration that a share q of all stay below, 0 if there are
// none.
func (l *latencies) quantile(q float64) time.Duration {
	var all, seen int64
	for i := range l.buckets {
		all += l.buckets[i].Load()
	}
	if all == 0 {
		return 0
	}
	want := int64(q * float64(all-1))
	for i := range l.buckets {
		if seen += l.buckets[i].Load(); seen > want {
			return time.Duration(top(i)) * time.Microsecond
		}
	}
	return time.Duration(top(len(l.buckets)-1)) * time.Microsecond
}
