//go:build race

package broker

// underRace: sync.Pool forgets on purpose under the race detector, so that
// allocations cannot be counted.
const underRace = true
