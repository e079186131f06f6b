package store

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/linkstead/linkstead/internal/fraildisk"
)

// tally counts the points of one series that were committed, until the power is
// cut: what is told afterwards is told to nobody.
type tally struct {
	cut  *blackout
	n    int64
	done chan struct{}
}

type blackout struct {
	mu    sync.Mutex
	over  bool
	acked [crashSeries]int64 // points 0 to acked-1 are committed
	total int
}

func (y tally) Committed(err error) {
	y.cut.mu.Lock()
	if err == nil && !y.cut.over {
		for i := range y.cut.acked {
			y.cut.acked[i] = y.n + 1
		}
		y.cut.total++
	}
	y.cut.mu.Unlock()
	close(y.done)
}

// TestPowerCut cuts the power while points and records are written: what was
// reported as committed is there when the power is back.
func TestPowerCut(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			disk := fraildisk.New(seed)
			disk.SyncTime = time.Millisecond
			opts := Options{Dir: t.TempDir(), MasterKey: testKey, MaxHeads: 20_000, Now: newClock().now, Window: -1,
				Logger: slog.New(slog.DiscardHandler), VFS: disk.Records()}
			s, err := Open(ctx, opts)
			if err != nil {
				t.Fatal(err)
			}
			mustProduct(t, s)
			dev := mustDevice(t, s, "dev1")
			var acked [crashSeries]int64
			settings := 0
			for round := range 8 {
				c := &blackout{acked: acked}
				var running sync.WaitGroup
				running.Go(func() {
					for n := acked[0]; ; n++ {
						var points []Point
						for i := range crashSeries {
							points = append(points, Point{SeriesKey{dev.ID, Property, fmt.Sprint("p", i)}, t0 + n, Int(n)})
						}
						y := tally{c, n, make(chan struct{})}
						s.Append(points, y)
						<-y.done
						c.mu.Lock()
						over := c.over
						c.mu.Unlock()
						if over {
							return
						}
					}
				})
				running.Go(func() {
					for n := settings + 1; ; n++ {
						err := s.PutSetting(ctx, "n", fmt.Append(nil, n))
						c.mu.Lock()
						over := c.over
						if err == nil && !over {
							settings = n
						}
						c.mu.Unlock()
						if over {
							return
						}
					}
				})
				// At a random moment after some commits, however slow the machine is.
				for enough := 3 + rnd.IntN(40); ; time.Sleep(time.Millisecond) {
					c.mu.Lock()
					n := c.total
					c.mu.Unlock()
					if n >= enough {
						break
					}
				}
				time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
				c.mu.Lock()
				c.over = true
				c.mu.Unlock()
				disk.Cut()
				running.Wait()
				_ = s.Close() // its disk has no power
				disk.PowerUp()
				acked = c.acked

				if s, err = Open(ctx, opts); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				for i, sure := range acked {
					got, err := s.Range(ctx, SeriesKey{dev.ID, Property, fmt.Sprint("p", i)}, RangeQuery{Limit: MaxRangeLimit})
					if err != nil {
						t.Fatal(err)
					}
					if int64(len(got)) < sure {
						t.Errorf("round %d: p%d has %d points, %d were committed", round, i, len(got), sure)
					}
					for n, p := range got {
						if v, _ := p.Value.Int64(); p.TimeMS != t0+int64(n) || v != int64(n) {
							t.Fatalf("round %d: point %d of p%d is %+v", round, n, i, p)
						}
					}
				}
				if v, err := s.Setting(ctx, "n"); settings > 0 && (err != nil || atoi(v) < settings) {
					t.Errorf("round %d: the setting is %q, %v; %d was committed", round, v, err, settings)
				}
			}
			if acked[0] < 20 {
				t.Errorf("%d points a series were committed: too few for this test to mean anything", acked[0])
			}
			t.Logf("%d points a series, %d settings", acked[0], settings)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func atoi(b []byte) (n int) { fmt.Sscan(string(b), &n); return n }
