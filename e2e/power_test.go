package e2e

import (
	"context"
	"flag"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/config"
	"github.com/linkstead/linkstead/internal/fraildisk"
	"github.com/linkstead/linkstead/internal/server"
)

var (
	powerFor  = flag.Duration("powerloss.for", 0, "cut the power again and again for this long, instead of twenty times")
	powerSeed = flag.Uint64("powerloss.seed", 1, "where chance begins")
)

// TestPowerLoss cuts the power of the disk beneath a server at random moments, again and again on the same data,
// under traffic. Only what was synced is sure to be there afterwards; everything that was acknowledged is, and in
// order. What clients saw in the moment of the cut or later has not happened.
func TestPowerLoss(t *testing.T) {
	random := rand.New(rand.NewPCG(*powerSeed, 0))
	disk := fraildisk.New(*powerSeed)
	disk.SyncTime = 3 * time.Millisecond
	cfg := defaults(t.TempDir())
	h := mustStartOn(t, cfg, disk)
	x := newTraffic(t, h, random)

	deaths := 0
	for again := rounds(20, *powerFor); again(); deaths++ {
		g := new(gate)
		wait := x.begin(h.address(), g)
		time.Sleep(20*time.Millisecond + time.Duration(random.Int64N(int64(400*time.Millisecond))))
		g.close()
		disk.Cut()
		h.die()
		wait()
		disk.PowerUp()
		h = mustStartOn(t, cfg, disk)
		x.wantRetained(t, h, user{"traffic", "traffic secret 42"})
		for _, p := range x.posters {
			p.look(t, h)
		}
		if x.judge(t, deaths, false); t.Failed() {
			break
		}
	}
	x.finish(h.address())
	f := x.judge(t, deaths, true)
	t.Log(f)
	f.enough(t)
}

// mustStartOn starts a server whose stores lie on a disk.
func mustStartOn(t *testing.T, cfg config.Config, disk *fraildisk.Disk) *home {
	t.Helper()
	h := &home{t: t, cfg: cfg, log: &logLines{}}
	var err error
	h.Server, err = server.Start(t.Context(), cfg, server.Options{
		Logger: slog.New(slog.NewTextHandler(h.log, nil)),
		Disk:   server.Disk{Messages: disk.Messages(), Records: disk.Records()},
	})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() {
		h.die()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", h.log.tail(8<<10))
		}
	})
	return h
}

// die stops a server that may have lost its disk.
func (h *home) die() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = h.Shutdown(ctx)
}
