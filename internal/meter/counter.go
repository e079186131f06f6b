// Package meter counts without slowing down what is counted: counters that belong
// to one goroutine or one event loop, and are added up only when somebody looks.
// It knows nothing of how the figures are shown.
package meter

import "sync/atomic"

// Counter has one writer; any goroutine may read it. The zero value is ready.
type Counter struct{ v atomic.Uint64 }

// Add adds n. It is a load and a store, without a locked instruction, so only one
// goroutine may call it.
func (c *Counter) Add(n uint64) { c.v.Store(c.v.Load() + n) }

// Load returns the count. Any goroutine.
func (c *Counter) Load() uint64 { return c.v.Load() }

// Gauge is a number that goes up and down. It has one writer; any goroutine may
// read it. The zero value is ready.
type Gauge struct{ v atomic.Int64 }

// Add adds n, which may be negative. Only one goroutine may call it.
func (g *Gauge) Add(n int64) { g.v.Store(g.v.Load() + n) }

// Set sets the number. Only the goroutine that calls Add may call it.
func (g *Gauge) Set(n int64) { g.v.Store(n) }

// Load returns the number. Any goroutine.
func (g *Gauge) Load() int64 { return g.v.Load() }

// shards is how many cache lines a Sharded has. More event loops than that share.
const shards = 64

// Sharded is a counter for many goroutines that each name a shard, such as the
// index of their event loop, so that no cache line goes back and forth between
// cores. The zero value is ready.
type Sharded struct{ shard [shards]padded }

type padded struct {
	v atomic.Uint64
	_ [56]byte
}

// Add adds n in a shard; any number will do. Any goroutine.
func (c *Sharded) Add(shard int, n uint64) { c.shard[uint(shard)%shards].v.Add(n) }

// Load adds the shards up. Any goroutine.
func (c *Sharded) Load() (sum uint64) {
	for i := range c.shard {
		sum += c.shard[i].v.Load()
	}
	return sum
}
