package inspect

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// logDir shows all files of a log's folder, or verifies them as a whole. k may be nil.
func (r *run) logDir(dir string, k *known) error {
	entries, err := r.d.ReadDir(dir)
	if err != nil {
		return err
	}
	if r.o.Verify {
		return r.verifyLog(dir, entries, k)
	}
	bases := basesOf(entries)
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		if e.Dir || r.below(e.Name, bases) {
			continue
		}
		if err := r.file(name); isMissing(err) {
			continue // gone meanwhile
		} else if errors.Is(err, ErrUnknown) {
			err = r.note(at(name, 0, 0), "not a file of the engine")
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// below says that a file is of a segment that ends before Options.From.
func (r *run) below(name string, bases []batch.Offset) bool {
	for _, suffix := range []string{logSuffix, sealSuffix, timeSuffix, indexSuffix, txnSuffix} {
		if base, ok := baseOf(name, suffix); ok {
			i := slices.IndexFunc(bases, func(b batch.Offset) bool { return b > base })
			return i >= 0 && bases[i] <= r.o.From
		}
	}
	return false
}

// basesOf lists the segments, in order.
func basesOf(entries []disk.Entry) (out []batch.Offset) {
	for _, e := range entries {
		if base, ok := baseOf(e.Name, logSuffix); ok && !e.Dir {
			out = append(out, base)
		}
	}
	slices.Sort(out)
	return out
}

// logDirAlone is logDir for a folder that was named, with the checkpoint beside it.
func (r *run) logDirAlone(dir string) error {
	checkpoint := path.Join(path.Dir(dir), checkpointName)
	return r.settled(r.stampOf(checkpoint, dir), func(r *run) error { return r.logDir(dir, r.knownBeside(checkpoint)) })
}

// commitDirAlone is commitDir for a folder that was named.
func (r *run) commitDirAlone(dir string) error {
	return r.settled(nil, func(r *run) error { return r.commitDir(dir, r.replayOf(path.Dir(dir))) })
}

// commitDir shows or verifies the commit log.
func (r *run) commitDir(dir string, p *replay) error {
	entries, err := r.d.ReadDir(dir)
	if err != nil {
		return err
	}
	var last *commitEnd
	p.read = nil
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		switch {
		case e.Dir || !isCommit(e.Name):
			err = r.note(at(name, 0, 0), "not a file of the engine")
		case strings.HasSuffix(e.Name, spareSuffix):
			if r.show() {
				err = r.file(name)
			}
		default:
			r.rows = 0
			last, err = r.inOrder(name, last, p)
			if err == nil {
				err = r.commitLog(name, p)
			}
			if errors.Is(err, errEnough) || isMissing(err) {
				err = nil
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// commitEnd is where a file of the commit log ends.
type commitEnd struct {
	sequence, lsn uint64
}

// inOrder checks that a file follows the one before it, and that the first is not above the checkpoint.
func (r *run) inOrder(name string, last *commitEnd, p *replay) (*commitEnd, error) {
	w, err := r.open(name)
	if err != nil {
		return last, err
	}
	defer w.close()
	c := &commitFile{run: r.quietly(), window: w}
	if ok, err := c.header(); err != nil || !ok {
		return nil, err
	}
	if p.clean || c.end() <= p.from {
		return nil, nil // nothing of it is needed: it may have been recycled, in any order
	}
	now := &commitEnd{c.seq, c.end()}
	switch {
	case last != nil && (c.seq != last.sequence+1 || c.start != last.lsn):
		err = r.damage(at(name, 0, commitHeader), "the file is number %d and begins at LSN %d, the one before it is number %d and ends at LSN %d: one is missing; restore it from a copy",
			c.seq, c.start, last.sequence, last.lsn)
	case last == nil && p.from > 0 && c.start > p.from:
		err = r.damage(at(name, 0, commitHeader), "the file begins at LSN %d, and the checkpoint at LSN %d: the file that it points into is missing; restore it from a copy", c.start, p.from)
	}
	return now, err
}

// dataDir shows all files of a data directory, or verifies them as a whole.
func (r *run) dataDir(dir string, entries []disk.Entry) error {
	if r.o.Verify {
		return r.dataDirWhole(dir)
	}
	var dirs []string
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		if e.Dir {
			dirs = append(dirs, e.Name)
			continue
		}
		if err := r.file(name); errors.Is(err, ErrUnknown) {
			if err := r.note(at(name, 0, 0), "not a file of the engine"); err != nil {
				return err
			}
		} else if err != nil && !isMissing(err) {
			return err
		}
	}
	for _, d := range dirs {
		name := path.Join(dir, d)
		var err error
		switch {
		case d == commitName:
			err = r.commitDir(name, r.replayOf(dir))
		case d == "lost+found":
		default:
			err = r.logDir(name, nil)
		}
		if err != nil && !isMissing(err) {
			return err
		}
	}
	return nil
}
