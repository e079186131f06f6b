package e2e

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var killFor = flag.Duration("kill.for", 0, "kill the server again and again for this long, instead of ten times")

// TestKill kills the server with signal 9 at random moments, again and again on the same data, under traffic.
// Everything that was acknowledged is there afterwards and in order; what comes twice says so, or was sent twice.
func TestKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	cfg := defaults(t.TempDir())
	h := mustStartWith(t, cfg)
	x := newTraffic(t, h, random)
	h.stop()

	deaths := 0
	for again := rounds(10, *killFor); again(); deaths++ {
		p := serve(t, cfg.Data)
		wait := x.begin(p.address, new(gate))
		time.Sleep(50*time.Millisecond + time.Duration(random.Int64N(int64(600*time.Millisecond))))
		p.kill()
		wait()
		if x.judge(t, deaths, false); t.Failed() {
			break
		}
	}

	h = mustStartWith(t, cfg)
	x.wantRetained(t, h, user{"traffic", "traffic secret 42"})
	for _, p := range x.posters {
		p.look(t, h)
	}
	x.finish(h.address())
	f := x.judge(t, deaths, true)
	t.Log(f)
	f.enough(t)
}

// rounds is true so many times or, if a time is given, for so long.
func rounds(n int, d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool {
		n--
		if d > 0 {
			return time.Now().Before(end)
		}
		return n >= 0
	}
}
