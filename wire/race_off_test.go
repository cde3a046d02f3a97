//go:build !race

package wire

const (
	raceEnabled = false
	slowdown    = 1
)
