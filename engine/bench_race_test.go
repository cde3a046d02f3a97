//go:build race

package engine_test

// underRace: sync.Pool forgets at random under the race detector, so allocations cannot be counted.
const underRace = true
