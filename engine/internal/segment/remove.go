package segment

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/index"
)

// DeletedSuffix is added to the name of a .log that is being removed.
const DeletedSuffix = ".deleted"

// removeStep is how much of a file is given back to the file system at once, in bytes. On ext4 with `discard` that costs 14 ms for
// 64 MiB; removing 1 GiB at once keeps the disk busy, and every fsync waiting, for 200 ms.
const removeStep = 64 << 20

// Retire gives up the caller's hold like Release, for a segment that leaves the log, and calls gone once when the last hold is given up:
// the file is closed and the index unmapped then, so RemoveFiles may run (S6). gone runs on whatever goroutine was last, maybe before
// Retire returns, and maybe with the log's lock held: it must only hand the segment to whoever removes files.
func (s *Segment) Retire(gone func()) error {
	s.gone = gone
	return s.Release()
}

// RemoveFiles removes the files of a segment that nobody has open (Retire), in the background: it blocks for milliseconds per 64 MiB.
// That the log begins above the segment must be durable already. First the names go, durably: a crash leaves the segment, or a
// leftover that is none. Then the .log is cut from its end in steps, and removed. It may be called again after an error or a crash.
func RemoveFiles(d disk.FS, dir string, base batch.Offset) error {
	if err := removeSideFiles(d, dir, base); err != nil {
		return err
	}
	name := path.Join(dir, Name(base))
	if err := d.Rename(name, name+DeletedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.SyncDir(dir); err != nil {
		return err
	}
	return removeInSteps(d, name+DeletedSuffix)
}

// RemoveLeftovers removes what a crash left in a log's folder of side files half written and segments half removed. Not while a Seal or
// RemoveFiles runs there.
func RemoveLeftovers(d disk.FS, dir string) error {
	entries, err := d.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		switch {
		case e.Dir:
		case strings.HasSuffix(e.Name, Suffix+DeletedSuffix):
			err = removeInSteps(d, name)
		case isTmp(e.Name):
			err = d.Remove(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isTmp says that a name is one that Seal writes under.
func isTmp(name string) bool {
	name, ok := strings.CutSuffix(name, index.TmpSuffix)
	for _, suffix := range sideSuffixes {
		if ok && strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

func removeInSteps(d disk.FS, name string) error {
	f, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	size, err := f.Size()
	for err == nil && size > removeStep {
		size -= removeStep
		err = f.Truncate(size)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.Remove(name)
}
