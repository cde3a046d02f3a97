//go:build race

package main

// raceDetector says that the race detector's shadow memory is larger than any limit of a script's.
const raceDetector = true
