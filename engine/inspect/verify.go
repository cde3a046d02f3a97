package inspect

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// verifier compares everything in a data directory with everything else that speaks of it: what recovery would do, without doing it.
type verifier struct {
	*run
	dir   string
	logs  []string // folders of logs
	k     *known   // nil: no checkpoint that can be believed
	mark  string   // markOf when k was read, or before
	found map[uint64]string
	gone  map[uint64]bool      // dropped by a frame above the checkpoint
	stray map[uint64]string    // why a log without a folder is missed, by id
	state map[uint64]*logState // as replay would leave it
	bad   map[uint64]bool      // replay of the log is told to fail
	dim   map[string]bool      // folders of which nobody can tell whose they are
}

// dataDirWhole verifies a data directory: first what its parts say of each other, then each log.
func (r *run) dataDirWhole(dir string) error {
	var v *verifier
	checkpoint := path.Join(dir, checkpointName)
	err := r.settled(nil, func(r *run) error {
		v = &verifier{run: r, dir: dir}
		return v.parts()
	})
	if err != nil {
		return err
	}
	for _, name := range v.logs {
		folder := path.Join(dir, name)
		err := r.settled(r.stampOf(checkpoint, folder), func(r *run) error {
			if m := r.markOf(checkpoint); m != v.mark { // replaced meanwhile
				v.k, v.mark = r.knownBeside(checkpoint), m
			}
			files, err := r.d.ReadDir(folder)
			if err != nil {
				return err
			}
			return r.verifyLog(folder, files, v.k)
		})
		if err != nil && !isMissing(err) {
			return err
		}
	}
	return nil
}

// parts checks everything but the logs themselves.
func (v *verifier) parts() error {
	v.found, v.gone, v.stray = map[uint64]string{}, map[uint64]bool{}, map[uint64]string{}
	v.state, v.bad, v.dim = map[uint64]*logState{}, map[uint64]bool{}, map[string]bool{}
	entries, err := v.d.ReadDir(v.dir)
	if err != nil {
		return err
	}
	hasCommit := false
	for _, e := range entries {
		name := path.Join(v.dir, e.Name)
		var err error
		switch {
		case e.Dir && e.Name == commitName:
			hasCommit = true
		case e.Dir && e.Name == "lost+found", e.Name == lockName, e.Name == checkpointName:
		case e.Dir && (strings.HasSuffix(e.Name, newSuffix) || strings.HasSuffix(e.Name, deletedSuffix)):
			err = v.note(at(name, 0, 0), "a log half created or half removed; the next start removes it")
		case e.Dir:
			v.logs = append(v.logs, e.Name)
		default:
			if err = v.file(name); errors.Is(err, ErrUnknown) {
				err = v.note(at(name, 0, 0), "not a file of the engine")
			}
		}
		if err != nil && !isMissing(err) {
			return err
		}
	}
	if err := v.folders(v.logs); err != nil {
		return err
	}
	v.mark = v.markOf(path.Join(v.dir, checkpointName))
	if err := v.loadCheckpoint(len(v.logs) > 0 || hasCommit); err != nil {
		return err
	}
	if hasCommit {
		if err := v.commitLog(); err != nil {
			return err
		}
	}
	return v.missing()
}

// folders reads whose log each folder is.
func (v *verifier) folders(names []string) error {
	for _, name := range names {
		dir := path.Join(v.dir, name)
		id, ok, err := v.quietly().meta(path.Join(dir, metaName)) // verifyLog tells what is wrong with it
		if isMissing(err) || err == nil && !ok {
			v.dim[name] = true
			continue
		} else if err != nil {
			return err
		}
		if other, twice := v.found[id]; twice {
			err := v.damage(at(path.Join(dir, metaName), 0, metaSize), "%s and %s claim to be the same log (id %d): one is a copy; move it away", dir, path.Join(v.dir, other), id)
			if err != nil {
				return err
			}
		}
		v.found[id] = name
	}
	return nil
}

func (v *verifier) loadCheckpoint(used bool) error {
	name := path.Join(v.dir, checkpointName)
	k, err := v.checkpoint(name, true)
	if isMissing(err) {
		if !used {
			return nil
		}
		return v.damage(at(name, 0, 0), "the checkpoint is missing, but the directory holds logs; restore it from a copy")
	}
	if err != nil {
		return err
	}
	v.k = k
	if k == nil {
		return nil
	}
	for id, s := range k.logs {
		copied := *s
		v.state[id] = &copied
	}
	return nil
}

// commitLog checks every frame, and follows what replay would make of those above the checkpoint.
func (v *verifier) commitLog() error {
	p := &replay{}
	if v.k != nil {
		p.from, p.clean, p.each = v.k.lsn, v.k.clean, func(file string, f frame, e entry) error {
			if p.gap {
				return nil // what is missing is told already
			}
			return v.redo(file, f, e)
		}
	}
	dir := path.Join(v.dir, commitName)
	if v.k != nil && !v.k.clean && v.k.file > 0 {
		name := path.Join(dir, fmt.Sprintf("%020d%s", v.k.file-1, commitSuffix))
		if f, err := v.d.Open(name); err == nil {
			_ = f.Close() // only read
		} else if !isMissing(err) {
			return err
		} else if err := v.damage(at(name, 0, 0), "the checkpoint says that this is the newest file of the commit log, and it is missing; restore it from a copy"); err != nil {
			return err
		}
	}
	err := v.commitDir(dir, p)
	if isMissing(err) {
		return nil
	}
	if err == nil && p.next != "" {
		err = v.damage(at(p.next, 0, 0), "the file before it says that the commit log goes on here, and it is missing; restore it from a copy")
	}
	return err
}

// redo follows one entry, as recovery does.
func (v *verifier) redo(file string, f frame, e entry) error {
	_, exists := v.found[e.log]
	switch {
	case e.kind == kindDrop:
		v.gone[e.log] = true
		delete(v.stray, e.log)
		return nil
	case !exists:
		if !v.gone[e.log] {
			v.stray[e.log] = fmt.Sprintf("%s holds records of log %d at LSN %d, but no folder belongs to it and it was not dropped; restore the folder from a copy", file, e.log, f.lsn)
		}
		return nil
	case e.kind == kindTrim || v.bad[e.log]:
		return nil
	}
	s := v.state[e.log]
	if s == nil {
		s = &logState{id: e.log}
		v.state[e.log] = s
	}
	if f.lsn < s.lsn || e.next <= s.end {
		return nil
	}
	same, fresh := e.segment == s.segment && e.position == s.position, e.segment == e.base && e.position == 0
	if s.compacted && e.segment > s.segment && e.segment < e.base && e.position == 0 { // it was cut where that segment held nothing
		fresh = true
	}
	if e.base != s.end || !same && !fresh {
		v.bad[e.log] = true
		return v.damage(at(file, f.pos, f.pos+f.size()).offsets(s.end, e.base),
			"log %d (%s) is known up to offset %d (byte %d of segment %d), but the commit log goes on at LSN %d with offset %d at byte %d of segment %d",
			e.log, v.found[e.log], s.end, s.position, s.segment, f.lsn, e.base, e.position, e.segment)
	}
	s.end, s.segment, s.position = e.next, e.segment, e.position+e.size
	return nil
}

// missing reports logs that the checkpoint or the commit log know and that have no folder.
func (v *verifier) missing() error {
	var all []string
	if v.k != nil {
		for id, s := range v.k.logs {
			if _, ok := v.found[id]; !ok && !v.gone[id] && !v.dim[s.name] {
				delete(v.stray, id)
				all = append(all, fmt.Sprintf("the folder of log %d, %q, is missing; restore it from a copy", id, s.name))
			}
		}
	}
	for id, why := range v.stray {
		if s := v.state[id]; s == nil && len(v.dim) > 0 || s != nil && v.dim[s.name] {
			continue // its log.meta is damaged, which is told
		}
		all = append(all, why)
	}
	slices.Sort(all)
	for _, why := range all {
		if err := v.damage(at(path.Join(v.dir, checkpointName), 0, 0), "%s", why); err != nil {
			return err
		}
	}
	return nil
}

// logVerifier checks one log's folder.
type logVerifier struct {
	*run
	dir   string
	k     *known
	s     *logState // of the checkpoint; nil: unknown
	id    uint64
	meta  bool // id can be believed
	has   map[string]bool
	bases []batch.Offset
	comp  compaction
}

func (r *run) verifyLog(dir string, entries []disk.Entry, k *known) error {
	l := &logVerifier{run: r, dir: dir, k: k, has: map[string]bool{}, bases: basesOf(entries)}
	for _, e := range entries {
		l.has[e.Name] = true
	}
	id, ok, err := r.meta(path.Join(dir, metaName))
	if isMissing(err) {
		if err := r.damage(at(path.Join(dir, metaName), 0, 0), "the folder has no %s: restore it, or move the folder out of the data directory", metaName); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if l.id, l.meta = id, ok; !ok {
		l.k = nil
	}
	if l.k != nil {
		if l.s = l.k.logs[id]; l.s == nil && l.k.clean {
			if err := r.damage(at(dir, 0, 0), "the checkpoint of a clean stop does not know log %d; restore it from a copy, or move the folder away", id); err != nil {
				return err
			}
		}
	}
	l.comp.seen = l.s != nil && l.s.compacted
	for _, e := range entries { // what takes a segment's place counts, and what it replaces may be gone
		base, ok := baseOf(strings.TrimSuffix(e.Name, swapSuffix), logSuffix)
		if ok && strings.HasSuffix(e.Name, swapSuffix) {
			l.comp.seen = true
			if !slices.Contains(l.bases, base) {
				l.bases = append(l.bases, base)
			}
		}
	}
	slices.Sort(l.bases)
	if err := l.others(entries); err != nil {
		return err
	}
	if err := l.ends(); err != nil {
		return err
	}
	return l.segments()
}

// others checks the files that are not segments.
func (l *logVerifier) others(entries []disk.Entry) error {
	for _, e := range entries {
		name := path.Join(l.dir, e.Name)
		var err error
		switch {
		case e.Dir:
			err = l.note(at(name, 0, 0), "not a file of the engine")
		case e.Name == metaName:
		case strings.HasSuffix(e.Name, sealSuffix), strings.HasSuffix(e.Name, indexSuffix), strings.HasSuffix(e.Name, timeSuffix), strings.HasSuffix(e.Name, logSuffix):
			err = l.sideFile(e.Name)
		default:
			if err = l.file(name); errors.Is(err, ErrUnknown) {
				err = l.note(at(name, 0, 0), "not a file of the engine")
			}
		}
		if err != nil && !isMissing(err) {
			return err
		}
	}
	return nil
}

// sideFile notes side files of no segment, and names of none.
func (l *logVerifier) sideFile(name string) error {
	for _, suffix := range []string{sealSuffix, timeSuffix, indexSuffix, logSuffix} {
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		base, ok := baseOf(name, suffix)
		if !ok {
			return l.damage(at(path.Join(l.dir, name), 0, 0), "the name is not that of a segment's file: 20 digits and %s; move it away", suffix)
		}
		if !slices.Contains(l.bases, base) {
			return l.note(at(path.Join(l.dir, name), 0, 0), "its .log is not there")
		}
		return nil
	}
	return nil
}

// ends checks that the segments which the checkpoint speaks of are there.
func (l *logVerifier) ends() error {
	if len(l.bases) == 0 {
		return l.damage(at(l.dir, 0, 0), "the log has no segments; restore them from a copy")
	}
	if l.s == nil {
		return nil
	}
	if !slices.Contains(l.bases, l.s.segment) {
		name := path.Join(l.dir, fmt.Sprintf("%020d%s", l.s.segment, logSuffix))
		if err := l.damage(at(name, 0, l.s.position), "the checkpoint says that the log ends in this segment, and it is missing; restore it from a copy"); err != nil {
			return err
		}
	}
	if first := l.bases[0]; first > l.s.start && l.s.start < l.s.end {
		return l.damage(at(l.dir, 0, 0).offsets(l.s.start, first), "the log begins at offset %d, but the first segment at %d: segments are missing; restore them from a copy", l.s.start, first)
	}
	return nil
}

// segments checks all segments, in order, each with its side files.
func (l *logVerifier) segments() error {
	next, known := batch.NoOffset, false
	for i, base := range l.bases {
		name := path.Join(l.dir, fmt.Sprintf("%020d%s", base, logSuffix))
		if l.s != nil && i+1 < len(l.bases) && l.bases[i+1] <= l.s.start {
			if err := l.note(at(name, 0, 0), "all of it lies below the log's start, offset %d; it is removed after the next checkpoint", l.s.start); err != nil {
				return err
			}
			continue
		}
		ext := l.k.extent(l.id, base)
		if ext.limit = ext.next; i+1 < len(l.bases) && ext.all() {
			ext.limit = l.bases[i+1]
		}
		if known && (ext.above == "" || ext.sure > 0) {
			if err := l.follows(name, next, base); err != nil {
				return err
			}
		}
		end, err := l.one(name, base, ext)
		if isMissing(err) {
			continue // gone meanwhile
		} else if err != nil {
			return err
		}
		next, known = end, ext.above == ""
		if i+1 < len(l.bases) {
			if err := l.chain(base, l.bases[i+1]); err != nil {
				return err
			}
		}
	}
	return l.comp.tell(l.run)
}

// chain checks that the segment which follows is the one that followed when this one was sealed.
func (l *logVerifier) chain(base, next batch.Offset) error {
	h, ok, err := l.head(base)
	if err != nil || !ok || h.end == next || l.meta && h.log != l.id { // another log's: told already
		return err
	}
	if l.has[fmt.Sprintf("%020d%s%s", base, logSuffix, swapSuffix)] {
		return nil // what takes its place has the following ones in it
	}
	name := path.Join(l.dir, fmt.Sprintf("%020d%s", h.end, logSuffix))
	return l.damage(at(name, 0, 0).offsets(min(h.end, next), max(h.end, next)),
		"segment %d was sealed when the one that begins at offset %d followed, but the next that is there begins at %d: a file is missing, or was added; restore it from a copy", base, h.end, next)
}

// head reads a seal that is there and good.
func (l *logVerifier) head(base batch.Offset) (h sealHead, ok bool, err error) {
	name := fmt.Sprintf("%020d%s", base, sealSuffix)
	if !l.has[name] {
		return h, false, nil
	}
	q := l.quietly()
	w, err := q.open(path.Join(l.dir, name))
	if isMissing(err) {
		return h, false, nil
	} else if err != nil {
		return h, false, err
	}
	defer w.close()
	return q.sealHeader(w)
}

// follows checks that a segment begins where the one before it ends.
func (l *logVerifier) follows(name string, next, base batch.Offset) error {
	if base < next {
		return l.damage(at(name, 0, 0).offsets(base, next), "the segment begins before the one below it ends, with offset %d; restore one of them from a copy", next)
	}
	if base > next && !l.o.Compacted {
		l.comp.gap(at(name, 0, 0).offsets(next, base))
	}
	return nil
}

// one checks a segment and its side files.
func (l *logVerifier) one(name string, base batch.Offset, ext extent) (next batch.Offset, err error) {
	beside := func(suffix string) string {
		if n := fmt.Sprintf("%020d%s", base, suffix); l.has[n] {
			return path.Join(l.dir, n)
		}
		return ""
	}
	for _, x := range []struct {
		suffix string
		entry  int64
	}{{indexSuffix, indexEntry}, {timeSuffix, timeEntry}} {
		if n := beside(x.suffix); n != "" {
			if err := l.index(n, x.suffix, x.entry); err != nil && !isMissing(err) {
				return base, err
			}
		}
	}
	if n := beside(sealSuffix); n != "" {
		if err := l.seal(n); err != nil && !isMissing(err) {
			return base, err
		}
		h, ok, err := l.head(base)
		if err != nil {
			return base, err
		}
		if ok && l.meta && h.log != l.id {
			if err := l.damage(at(n, 112, 120), "it seals a segment of log %d, and this is log %d: files were mixed up; restore them from a copy", h.log, l.id); err != nil {
				return base, err
			}
		}
		if ok && ext.all() {
			ext.prefixes, ext.summed = h.prefixes, "its seal"
		}
	}
	check, err := l.openIndexCheck(beside(indexSuffix), beside(timeSuffix), base)
	if err != nil {
		return base, err
	}
	defer check.close()
	return l.segment(name, ext, check, &l.comp)
}
