// Package rate holds token buckets: one of a client's own, and tables of them by
// key that never grow, however many strangers fill them.
package rate

import "time"

// Bucket allows a burst at once and then a steady rate. The zero Bucket is full.
// Rate and burst are given with each call, so that a bucket is two words.
type Bucket struct {
	tokens float64
	at     int64 // when tokens was right, ns
}

// fill brings the bucket up to now, in nanoseconds of any clock that does not run
// backwards much.
func (b *Bucket) fill(now int64, rate, burst float64) {
	if b.at == 0 {
		b.tokens, b.at = burst, now
		return
	}
	if now > b.at {
		b.tokens = min(burst, b.tokens+rate*float64(now-b.at)/1e9)
		b.at = now
	}
}

// Take takes n tokens if there are any, and reports whether there were: the bucket
// may owe afterwards, so that something larger than the burst gets through, too.
func (b *Bucket) Take(now int64, n, rate, burst float64) bool {
	b.fill(now, rate, burst)
	if b.tokens <= 0 {
		return false
	}
	b.tokens -= n
	return true
}

// TakeWhole takes one token if a whole one is there.
func (b *Bucket) TakeWhole(now int64, rate, burst float64) bool {
	b.fill(now, rate, burst)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// GiveBack returns n tokens that were taken and not needed.
func (b *Bucket) GiveBack(n, burst float64) { b.tokens = min(burst, b.tokens+n) }

// Ready reports whether Take would succeed.
func (b *Bucket) Ready(now int64, rate, burst float64) bool {
	b.fill(now, rate, burst)
	return b.tokens > 0
}

// Wait is how long it takes until Take succeeds, as of the latest Take.
func (b *Bucket) Wait(rate float64) time.Duration {
	if b.tokens > 0 {
		return 0
	}
	return time.Duration(-b.tokens/rate*1e9) + 1
}
