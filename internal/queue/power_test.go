package queue

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestPowerCut cuts the power of a simulated disk while writers run: only what
// was synced is sure to remain, of the rest any part may.
func TestPowerCut(t *testing.T) {
	for _, d := range []Durability{SyncToDisk, WriteToOS} {
		for seed := range 6 {
			t.Run(fmt.Sprintf("%v/%d", d, seed), func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(uint64(seed), 2))
				disk := vfs.NewCrashableMem()
				for range 4 {
					disk = runUntilPowerCut(t, disk, d, rnd)
				}
			})
		}
	}
}

func runUntilPowerCut(t *testing.T, disk *vfs.MemFS, d Durability, rnd *rand.Rand) *vfs.MemFS {
	t.Helper()
	l := open(t, Options{Dir: "queue", Durability: d, FS: disk, memTable: testMemTable})
	var (
		mu           sync.Mutex
		acknowledged = map[SessionID]Seq{}
		total        int
		cutAt        = 50 + rnd.IntN(600)
		after        *vfs.MemFS
		writers      sync.WaitGroup
		before       = map[SessionID]Seq{}
	)
	for sid := SessionID(1); sid <= crashWriters; sid++ {
		before[sid] = verifyRounds(t, l, sid, 0)
	}
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: rnd.IntN(101), RNG: rand.New(rand.NewPCG(rnd.Uint64(), 0))}
	for w := range crashWriters {
		writers.Go(func() {
			sid := SessionID(w + 1)
			for round := before[sid] + 1; ; round++ {
				if err := submit(l, func(b *Batch) { crashRound(b, sid, round) }); err != nil {
					t.Errorf("round %d: %v", round, err)
					return
				}
				mu.Lock()
				if after == nil {
					acknowledged[sid] = round
					if total++; total == cutAt {
						after = disk.CrashClone(cfg)
					}
				}
				over := after != nil
				mu.Unlock()
				if over {
					return
				}
			}
		})
	}
	writers.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, Options{Dir: "queue", Durability: d, FS: after, memTable: testMemTable})
	for sid := SessionID(1); sid <= crashWriters; sid++ {
		sure := acknowledged[sid]
		if d != SyncToDisk {
			sure = 0 // consistent is all that is promised
		}
		verifyRounds(t, l, sid, sure)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return after
}
