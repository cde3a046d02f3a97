//go:build race

package wire

// The race detector makes the random tests several times slower and has nothing
// to find in most of their rounds.
const (
	raceEnabled = true
	slowdown    = 5
)
