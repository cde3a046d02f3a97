package engine

import "github.com/streambus/streambus/engine/internal/uring"

// IO says in words which back end does the disk I/O, and whether io_uring could: for the line that a program prints at start.
func IO() string {
	if err := uring.Probe(); err != nil {
		return "system calls (no io_uring: " + err.Error() + ")"
	}
	return "system calls (io_uring is there, and not used yet)"
}
