//go:build race

package engine

// raceEnabled: the race detector makes pools forget, so allocations are not counted under it.
const raceEnabled = true
