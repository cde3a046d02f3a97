package engine

import (
	"io"

	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/uring"
)

// ringEntries is how many reads and syncs may be in the ring at once.
const ringEntries = 256

// IO says in words how the engine does its disk I/O, and where it is not by io_uring, why.
func (e *Engine) IO() string { return e.io }

// IO says in words how an engine opened with Options.IO = auto would do its disk I/O on this machine.
func IO() string {
	if err := uring.Probe(); err != nil {
		return syncWords(err)
	}
	return ringWords
}

const ringWords = "io_uring for cold reads and checkpoints, system calls for the rest"

func syncWords(why error) string { return "system calls (no io_uring: " + why.Error() + ")" }

// openIO chooses the back end, and lays the failpoints over it. ring is never nil.
func openIO(o *Options) (ring io.Closer, how string, err error) {
	ring, how, err = chooseIO(o)
	if err == nil && o.Failpoints != nil {
		o.FS = o.Failpoints.Over(o.FS)
		how += ", with failpoints"
	}
	return ring, how, err
}

func chooseIO(o *Options) (ring io.Closer, how string, err error) {
	switch {
	case o.FS != nil:
		return nothing{}, "a disk given by the program", nil
	case o.IO == "sync":
		o.FS = disk.OS{}
		return nothing{}, "system calls, as asked for", nil
	}
	u, err := uring.Open(disk.OS{}, ringEntries)
	switch {
	case err == nil:
		u.OnFailure(func(err error) { o.Logger.Warn("io_uring is given up; it goes on by system calls", "err", err) })
		o.FS = u
		return ignoreError{u}, ringWords, nil
	case o.IO == "uring":
		return nil, "", err
	}
	o.FS = disk.OS{}
	return nothing{}, syncWords(err), nil
}

// nothing has nothing to close.
type nothing struct{}

func (nothing) Close() error { return nil }

// ignoreError closes a ring: why it failed was told by OnFailure, and nothing was lost by it.
type ignoreError struct{ io.Closer }

func (c ignoreError) Close() error {
	_ = c.Closer.Close()
	return nil
}
