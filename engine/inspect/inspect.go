package inspect

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

const (
	lockName       = ".lock"
	checkpointName = "checkpoint"
	commitName     = "commit"
	metaName       = "log.meta"
	recapName      = "recap"
	newSuffix      = ".new"
	deletedSuffix  = ".deleted"
	tmpSuffix      = ".tmp"
	cleanedSuffix  = ".cleaned"
	swapSuffix     = ".swap"
	asideSuffix    = ".damaged" // or .damaged2, .damaged3, …: engine/repair renames to it
)

// ErrUnknown: neither the name nor the first bytes are those of a file of the engine.
var ErrUnknown = errors.New("not a file of the engine")

// Path shows or verifies what lies at name: a data directory, a log's folder, the folder of the commit log, or a file. name must be
// absolute or have its folders in it, since what lies beside it is looked at too. Errors: ErrUnknown, those of the sink, I/O errors.
func Path(d disk.FS, name string, o Options, sink Sink) error {
	name = path.Clean(name)
	r := &run{d: d, o: o, sink: sink}
	if f, err := d.Open(name); err == nil {
		_ = f.Close() // only read
		return r.file(name)
	}
	entries, err := d.ReadDir(name)
	if err != nil {
		return r.file(name) // its error is the better one
	}
	has := func(n string) bool {
		return slices.ContainsFunc(entries, func(e disk.Entry) bool { return e.Name == n })
	}
	switch {
	case has(metaName):
		return r.logDirAlone(name)
	case has(checkpointName), has(commitName):
		return r.dataDir(name, entries)
	case slices.ContainsFunc(entries, func(e disk.Entry) bool { return isCommit(e.Name) }):
		return r.commitDirAlone(name)
	case slices.ContainsFunc(entries, func(e disk.Entry) bool { _, ok := baseOf(e.Name, logSuffix); return ok }):
		return r.logDirAlone(name)
	case slices.ContainsFunc(entries, func(e disk.Entry) bool { return e.Dir }):
		return r.dataDir(name, entries)
	}
	return fmt.Errorf("%s: %w: a data directory holds a checkpoint, a log's folder %s and segments", name, ErrUnknown, metaName)
}

// File is Path for a file only. A segment is held against the checkpoint of the data directory that it lies in, if there is one.
func File(d disk.FS, name string, o Options, sink Sink) error {
	r := &run{d: d, o: o, sink: sink}
	return r.file(path.Clean(name))
}

func isCommit(name string) bool {
	return strings.HasSuffix(name, commitSuffix) || strings.HasSuffix(name, spareSuffix)
}

// quietly is a run that tells nobody anything, for what is looked at on the way.
func (r *run) quietly() *run {
	return &run{d: r.d, o: Options{Verify: true}, sink: r.sink, quiet: true}
}

// knownBeside reads a checkpoint if there is a good one.
func (r *run) knownBeside(name string) *known {
	k, err := r.quietly().checkpoint(name, true)
	if err != nil {
		return nil
	}
	return k
}

// file shows and checks one file.
func (r *run) file(name string) error {
	r.rows = 0
	err := r.fileOf(name, path.Base(name))
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// fileOf knows the kind by the name, and where that says nothing, by the first bytes.
func (r *run) fileOf(name, base string) error {
	switch {
	case strings.HasSuffix(base, logSuffix+swapSuffix):
		if err := r.note(at(name, 0, 0), "a compacted segment that takes its place at the next start"); err != nil {
			return err
		}
		_, err := r.segment(name, everything, nil, nil)
		return err
	case strings.HasSuffix(base, tmpSuffix), strings.HasSuffix(base, deletedSuffix), strings.HasSuffix(base, logSuffix+cleanedSuffix):
		if err := r.note(at(name, 0, 0), "a leftover of work that was cut off; the next start removes it"); err != nil || r.o.Verify {
			return err
		}
		lenient := *r
		lenient.quiet = true
		return lenient.fileOf(name, leftoverOf(base))
	case isAside(base):
		if err := r.note(at(name, 0, 0), "a damaged file that a repair has moved aside; nothing reads it"); err != nil || r.o.Verify {
			return err
		}
		lenient := *r
		lenient.quiet = true
		return lenient.fileOf(name, leftoverOf(base))
	case base == lockName:
		return r.lock(name)
	case base == checkpointName:
		_, err := r.checkpoint(name, false)
		return err
	case base == metaName:
		_, _, err := r.meta(name)
		return err
	case base == recapName:
		return r.recap(name)
	case strings.HasSuffix(base, commitSuffix):
		return r.commitLog(name, nil)
	case strings.HasSuffix(base, spareSuffix):
		spare := *r
		spare.quiet = true // nothing in it counts
		return spare.commitLog(name, nil)
	case strings.HasSuffix(base, sealSuffix):
		return r.seal(name)
	case strings.HasSuffix(base, timeSuffix), strings.HasSuffix(base, indexSuffix):
		return r.indexFile(name)
	case strings.HasSuffix(base, txnSuffix):
		return r.txnIndex(name)
	case strings.HasSuffix(base, logSuffix):
		return r.segmentFile(name)
	}
	return r.fileByMagic(name)
}

// isAside says whether a file has the name of one that a repair has moved aside.
func isAside(name string) bool {
	return strings.HasSuffix(strings.TrimRight(name, "0123456789"), asideSuffix)
}

// leftoverOf is the name that a leftover was to have, or had.
func leftoverOf(name string) string {
	if isAside(name) {
		name = strings.TrimRight(name, "0123456789")
	}
	for _, suffix := range []string{tmpSuffix, deletedSuffix, cleanedSuffix, asideSuffix} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}

func (r *run) fileByMagic(name string) error {
	w, err := r.open(name)
	if err != nil {
		return err
	}
	b, err := w.bytes(0, int(min(w.size, batch.HeaderSize)))
	w.close()
	if err != nil {
		return err
	}
	magic := ""
	if len(b) >= 8 {
		magic = string(b[:8])
	}
	switch magic {
	case checkpointMagic:
		return r.fileOf(name, checkpointName)
	case metaMagic:
		return r.fileOf(name, metaName)
	case recapMagic:
		return r.fileOf(name, recapName)
	case commitMagic:
		return r.fileOf(name, commitSuffix)
	case sealMagic:
		return r.fileOf(name, sealSuffix)
	}
	if n, err := batch.SizeOf(b); err == nil && n <= w.size {
		return r.fileOf(name, logSuffix)
	}
	return fmt.Errorf("%s: %w: neither its name nor its first bytes are known", name, ErrUnknown)
}

// segmentFile is a .log looked at alone: what the checkpoint promises of it is found out on the way.
func (r *run) segmentFile(name string) error {
	ext, comp := everything, &compaction{}
	if base, ok := baseOf(name, logSuffix); ok {
		dir := path.Dir(name)
		id, good, err := r.quietly().meta(path.Join(dir, metaName))
		if k := r.knownBeside(path.Join(path.Dir(dir), checkpointName)); k != nil && good && err == nil {
			ext = k.extent(id, base)
			comp.seen = k.logs[id] != nil && k.logs[id].compacted
		}
	}
	if _, err := r.segment(name, ext, nil, comp); err != nil {
		return err
	}
	return comp.tell(r)
}

// indexFile is an index looked at alone; its .log, where it is there, is read for nothing but what the index says of it.
func (r *run) indexFile(name string) error {
	suffix, entry := indexSuffix, int64(indexEntry)
	offsets, times := name, ""
	if strings.HasSuffix(name, timeSuffix) {
		suffix, entry, offsets, times = timeSuffix, timeEntry, "", name
	}
	if err := r.index(name, suffix, entry); err != nil {
		return err
	}
	base, ok := baseOf(name, suffix)
	log := strings.TrimSuffix(name, suffix) + logSuffix
	if f, err := r.d.Open(log); !ok || err != nil {
		return r.note(at(name, 0, 0), "its .log is not beside it: only the order of the entries was checked")
	} else {
		_ = f.Close() // only read
	}
	silent := *r
	silent.quiet, silent.o.Verify = true, true
	check, err := silent.openIndexCheck(offsets, times, base)
	if err != nil {
		return err
	}
	defer check.close()
	check.loud = r
	_, err = silent.segment(log, everything, check, nil)
	return err
}

// extent is what the checkpoint promises of a segment.
func (k *known) extent(id uint64, base batch.Offset) extent {
	if k == nil {
		return everything
	}
	s := k.logs[id]
	if s == nil {
		if k.clean {
			return everything
		}
		s = &logState{id: id} // created after the checkpoint
	}
	if base < s.segment {
		return everything
	}
	ext := extent{next: batch.NoOffset, limit: batch.NoOffset}
	if base == s.segment {
		ext.sure, ext.next, ext.prefixes, ext.summed, ext.gap = s.position, s.end, s.prefixes, "the checkpoint", s.compacted
	}
	switch {
	case k.clean:
	case s.cutting:
		ext.above = "it lies above the checkpoint and was cut off"
	case s.unlogged:
		ext.above = "it lies above the checkpoint of an unlogged log, and the next start takes the whole batches before it"
	default:
		ext.above = "it lies above the checkpoint, where the commit log is what counts"
	}
	return ext
}

// all says that everything of the segment is promised.
func (e extent) all() bool { return e.sure == math.MaxInt64 }
