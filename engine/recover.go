package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/commit"
	"github.com/streambus/streambus/engine/internal/segment"
)

func (e *Engine) checkpointPath() string { return path.Join(e.o.Dir, checkpointFile) }

// recovery is the work of Open on a directory: replay the commit log over the segments from the checkpoint on, cut off what
// was never acknowledged, and write a new checkpoint.
type recovery struct {
	o       Options
	logs    map[uint64]commit.LogState
	dirs    map[uint64]string // folders found, by the id in them
	damaged map[uint64]error
	orphans map[uint64]commit.LSN // entries of logs that have no folder: fine if a Drop follows
	gone    map[uint64]bool       // dropped during replay
	open    map[uint64]*segment.Segment
	dirty   []*segment.Segment // every segment replay wrote to, once each
	names   map[string]bool    // folders in which replay made files
	nextLog uint64
	frames  int // seen
	end     commit.LSN
	summary Summary
}

// replayedEvery is after how many frames Options.Replayed is told.
const replayedEvery = 64

func recoverDir(ctx context.Context, o Options) (*recovery, error) {
	r := &recovery{
		o: o, logs: map[uint64]commit.LogState{}, dirs: map[uint64]string{}, damaged: map[uint64]error{},
		orphans: map[uint64]commit.LSN{}, gone: map[uint64]bool{}, open: map[uint64]*segment.Segment{},
		names: map[string]bool{},
	}
	if err := r.findLogs(); err != nil {
		return nil, err
	}
	c, err := r.loadCheckpoint()
	if err != nil {
		return nil, err
	}
	for id, name := range r.dirs { // those that the checkpoint does not know were created after it
		if _, ok := r.logs[id]; !ok {
			r.logs[id] = commit.LogState{ID: id, Name: name}
		}
	}
	rec, err := commit.Replay(o.FS, path.Join(o.Dir, commitDir), c, func(at commit.LSN, entries []commit.Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.frames++; o.Replayed != nil && r.frames%replayedEvery == 0 {
			o.Replayed(r.frames)
		}
		return r.apply(at, entries)
	})
	if err := errors.Join(err, r.syncReplayed()); err != nil {
		return nil, err
	}
	r.end = max(rec.End, firstLSN)
	r.summary = Summary{Frames: rec.Frames, Clean: c.Clean, Torn: rec.Torn}
	if err := r.settle(c); err != nil {
		return nil, err
	}
	r.summary.Logs = len(r.logs)
	return r, nil
}

// firstLSN is where the commit log of a new directory begins. A log is known up to an LSN that lies above its last frame (LogState.LSN);
// before all frames there must be room for one, too.
const firstLSN = disk.PageSize

// findLogs lists the folders, and removes those that were being created or removed.
func (r *recovery) findLogs() error {
	entries, err := r.o.FS.ReadDir(r.o.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := path.Join(r.o.Dir, e.Name)
		switch {
		case !e.Dir || e.Name == commitDir || e.Name == "lost+found":
		case strings.HasSuffix(e.Name, newSuffix), strings.HasSuffix(e.Name, deletedSuffix):
			if err := removeAll(r.o.FS, dir); err != nil {
				return err
			}
		default:
			id, err := readMeta(r.o.FS, dir)
			if err != nil {
				return err
			}
			if other, ok := r.dirs[id]; ok {
				return fmt.Errorf("%w: %s and %s claim to be the same log (id %d): one is a copy; move it away", ErrCorrupt, dir, path.Join(r.o.Dir, other), id)
			}
			r.dirs[id] = e.Name
			r.nextLog = max(r.nextLog, id+1)
		}
	}
	return nil
}

// loadCheckpoint reads the checkpoint, or begins a new directory.
func (r *recovery) loadCheckpoint() (*commit.Checkpoint, error) {
	name, dir := path.Join(r.o.Dir, checkpointFile), path.Join(r.o.Dir, commitDir)
	c, err := commit.ReadCheckpoint(r.o.FS, name)
	if errors.Is(err, fs.ErrNotExist) {
		files, lerr := r.o.FS.ReadDir(dir)
		if len(r.dirs) > 0 || len(files) > 0 {
			return nil, fmt.Errorf("%w: %s is missing, but the directory holds %d logs and %d commit-log files; restore the file from a copy", ErrCorrupt, name, len(r.dirs), len(files))
		}
		if lerr != nil && !errors.Is(lerr, fs.ErrNotExist) {
			return nil, lerr
		}
		c = &commit.Checkpoint{Clean: true}
		if err := syncParents(r.o.FS, path.Clean(r.o.Dir)); err != nil {
			return nil, err
		}
		if err := commit.WriteCheckpoint(r.o.FS, name, c); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if err := r.o.FS.MkdirAll(dir); err != nil {
		return nil, err
	}
	if err := r.o.FS.SyncDir(r.o.Dir); err != nil {
		return nil, err
	}
	for _, l := range c.Logs {
		r.logs[l.ID] = l
	}
	r.nextLog = max(r.nextLog, c.NextLog)
	return c, nil
}

// apply redoes one frame.
func (r *recovery) apply(at commit.LSN, entries []commit.Entry) error {
	for i := range entries {
		e := &entries[i]
		r.nextLog = max(r.nextLog, e.Log+1)
		_, exists := r.dirs[e.Log]
		switch {
		case e.Kind == commit.Drop:
			r.gone[e.Log] = true
			delete(r.orphans, e.Log)
		case !exists:
			r.orphans[e.Log] = at
		case e.Kind == commit.Trim:
			s := r.logs[e.Log]
			s.Start = max(s.Start, e.Offset)
			r.logs[e.Log] = s
		case r.damaged[e.Log] == nil:
			if err := r.redo(at, e); errors.Is(err, ErrCorrupt) {
				r.damaged[e.Log] = err
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// redo writes a batch where it belongs, unless the checkpoint covers it.
func (r *recovery) redo(at commit.LSN, e *commit.Entry) error {
	s := r.logs[e.Log]
	base, next := e.Batch.BaseOffset(), e.Batch.NextOffset()
	if at < s.LSN || next <= s.End {
		return nil
	}
	sameSegment := e.Segment == s.Segment && e.Position == s.Position
	newSegment := e.Position == 0 && (e.Segment == base || e.Segment < base && emptied(&s, e.Segment))
	if base != s.End || !sameSegment && !newSegment {
		return fmt.Errorf("%w: log %s is known up to offset %d (byte %d of segment %d), but the commit log goes on at LSN %d with offset %d at byte %d of segment %d",
			ErrCorrupt, s.Name, s.End, s.Position, s.Segment, at, base, e.Position, e.Segment)
	}
	seg, err := r.segment(s.Name, e)
	if err != nil {
		return err
	}
	if err := seg.Write([][]byte{e.Batch}, e.Position); err != nil {
		return err
	}
	if e.Segment != s.Segment {
		rolled(&s, e.Segment)
	}
	s.End, s.Segment, s.Position, s.Prefix = next, e.Segment, e.Position+int64(len(e.Batch)), e.Batch.PrefixSum(s.Prefix)
	r.logs[e.Log] = s
	return nil
}

// emptied says whether the segment that begins at base may be the last one though the log ends above base: a compacted log may have been cut
// where that segment held nothing.
func emptied(s *commit.LogState, base batch.Offset) bool {
	return s.Compacted && base > s.Segment && base < s.End
}

// rolled goes on in the segment that begins at base.
func rolled(s *commit.LogState, base batch.Offset) {
	if s.Position > 0 {
		s.Rolled = append(s.Rolled, commit.Chain{Base: s.Segment, Prefix: s.Prefix})
	}
	s.Segment, s.Position, s.Prefix = base, 0, 0
}

// segment opens the file that an entry belongs to, keeping the last one of each log open.
func (r *recovery) segment(name string, e *commit.Entry) (*segment.Segment, error) {
	if seg := r.open[e.Log]; seg != nil && seg.Base == e.Segment {
		return seg, nil
	}
	dir := path.Join(r.o.Dir, name)
	if err := segment.Unseal(r.o.FS, dir, e.Segment); err != nil {
		return nil, err
	}
	seg, err := segment.Open(r.o.FS, dir, e.Segment, 0)
	if errors.Is(err, fs.ErrNotExist) && e.Position == 0 {
		r.names[dir] = true
		seg, err = segment.Create(r.o.FS, dir, e.Segment, 0)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: the commit log goes on at byte %d of segment %s of log %s, which is missing; restore it from a copy", ErrCorrupt, e.Position, segment.Name(e.Segment), name)
	}
	if err != nil {
		return nil, err
	}
	r.open[e.Log] = seg
	r.dirty = append(r.dirty, seg)
	return seg, nil
}

func (r *recovery) syncReplayed() error {
	err := syncAll(r.o.FS, r.dirty)
	r.dirty, r.open = nil, nil
	for dir := range r.names {
		if err == nil {
			err = r.o.FS.SyncDir(dir)
		}
	}
	return err
}

// settle compares what was replayed with what is on the disk, cuts off what was never acknowledged, and makes a checkpoint of
// the result, so that the old commit log is not needed any more.
func (r *recovery) settle(old *commit.Checkpoint) error {
	for id, at := range r.orphans {
		return fmt.Errorf("%w: the commit log holds records of log %d at LSN %d, but no folder in %s belongs to it and it was not dropped; restore the folder from a copy", ErrCorrupt, id, at, r.o.Dir)
	}
	for id, s := range r.logs {
		if r.gone[id] {
			continue
		}
		if _, ok := r.dirs[id]; !ok {
			return fmt.Errorf("%w: the folder %s is missing; restore it from a copy", ErrCorrupt, path.Join(r.o.Dir, s.Name))
		}
		s.Name = r.dirs[id]
		r.logs[id] = s
		if r.damaged[id] != nil || old.Clean && r.summary.Frames == 0 {
			continue
		}
		if s.Unlogged && !s.Cutting {
			if err := r.extend(&s); err != nil {
				return err
			}
		}
		if s.End < s.Start { // an unlogged log lost what a trim, which is logged, was to leave
			if err := r.restart(&s); err != nil {
				return err
			}
		}
		err := r.trim(s)
		s.Cutting = false
		r.logs[id] = s
		if errors.Is(err, ErrCorrupt) {
			r.damaged[id] = err
		} else if err != nil {
			return err
		}
	}
	return r.finish()
}

// finish removes what was dropped and writes the checkpoint.
func (r *recovery) finish() error {
	for id := range r.gone {
		name, ok := r.dirs[id]
		delete(r.logs, id)
		delete(r.damaged, id)
		if !ok {
			continue
		}
		gone := path.Join(r.o.Dir, fmt.Sprintf("%d%s", id, deletedSuffix))
		if err := r.o.FS.Rename(path.Join(r.o.Dir, name), gone); err != nil {
			return err
		}
		if err := r.o.FS.SyncDir(r.o.Dir); err != nil {
			return err
		}
		if err := removeAll(r.o.FS, gone); err != nil {
			return err
		}
	}
	c := commit.Checkpoint{LSN: r.end, NextLog: r.nextLog}
	for _, s := range r.logs {
		c.Logs = append(c.Logs, s)
	}
	return commit.WriteCheckpoint(r.o.FS, path.Join(r.o.Dir, checkpointFile), &c)
}

// extend takes into an unlogged log what the page cache saved of it: the whole batches that follow what is known, in order,
// up to the first that is not as it was written.
func (r *recovery) extend(s *commit.LogState) error {
	dir := path.Join(r.o.Dir, s.Name)
	bases, err := segmentBases(r.o.FS, dir)
	if err != nil {
		return err
	}
	for _, base := range bases {
		if base < s.Segment || base > s.Segment && base != s.End && !emptied(s, base) {
			continue
		}
		if base > s.Segment {
			rolled(s, base)
		}
		if err := r.extendFile(path.Join(dir, segment.Name(base)), s); err != nil {
			return err
		}
	}
	return nil
}

func (r *recovery) extendFile(name string, s *commit.LogState) error {
	f, err := r.o.FS.Open(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	begin := s.Position
	for err == nil && s.Position < size {
		var b batch.Batch
		if b, err = readBatch(f, s.Position, size); err != nil || b == nil || b.BaseOffset() != s.End {
			break
		}
		s.End, s.Prefix = b.NextOffset(), b.PrefixSum(s.Prefix)
		s.Position += int64(len(b))
	}
	if err == nil && s.Position > begin {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// restart lets a log that lost everything up to its start go on from there.
func (r *recovery) restart(s *commit.LogState) error {
	dir := path.Join(r.o.Dir, s.Name)
	seg, err := segment.Open(r.o.FS, dir, s.Start, 0)
	if errors.Is(err, fs.ErrNotExist) {
		seg, err = segment.Create(r.o.FS, dir, s.Start, 0)
	}
	if err == nil {
		err = r.o.FS.SyncDir(dir)
	}
	if err != nil {
		return err
	}
	s.End, s.Segment, s.Position, s.Prefix = s.Start, s.Start, 0, 0
	return seg.Release()
}

// readBatch reads the batch at pos; nil when there is no whole one that is as it was written.
func readBatch(f disk.File, pos, size int64) (batch.Batch, error) {
	var h [batch.HeaderSize]byte
	if size-pos < int64(len(h)) {
		return nil, nil
	}
	if err := disk.ReadFull(f, h[:], pos); err != nil {
		return nil, err
	}
	n, err := batch.SizeOf(h[:])
	if err != nil || n > size-pos {
		return nil, nil
	}
	buf := make([]byte, n)
	if err := disk.ReadFull(f, buf, pos); err != nil {
		return nil, err
	}
	b, err := batch.First(buf)
	if err != nil || b.Check() != nil {
		return nil, nil
	}
	return b, nil
}

// trim cuts a log's files to what is known of it: bytes and segments beyond were written ahead of a flush that never
// came, so nobody was told of them.
func (r *recovery) trim(s commit.LogState) error {
	dir := path.Join(r.o.Dir, s.Name)
	bases, err := segmentBases(r.o.FS, dir)
	if err != nil {
		return err
	}
	removed := false
	for _, base := range bases {
		if base <= s.Segment {
			continue
		}
		if err := segment.Unseal(r.o.FS, dir, base); err != nil {
			return err
		}
		if err := r.o.FS.Remove(path.Join(dir, segment.Name(base))); err != nil {
			return err
		}
		removed = true
	}
	if removed {
		if err := r.o.FS.SyncDir(dir); err != nil {
			return err
		}
	}
	if !slices.Contains(bases, s.Segment) {
		return fmt.Errorf("%w: segment %s of log %s is missing; restore it from a copy", ErrCorrupt, segment.Name(s.Segment), s.Name)
	}
	return r.cutFile(dir, s)
}

// cutFile cuts the last segment to what is known of it. Of an Fsync log nothing is written to a segment before it is flushed in the
// commit log, so a whole batch that goes on where the log ends says that the commit log has lost its own end.
func (r *recovery) cutFile(dir string, s commit.LogState) error {
	name := path.Join(dir, segment.Name(s.Segment))
	f, err := r.o.FS.Open(name)
	if err != nil {
		return err
	}
	has, err := f.Size()
	switch {
	case err != nil:
	case has < s.Position:
		err = fmt.Errorf("%w: %s has %d bytes, but %d were durable; restore it from a copy", ErrCorrupt, name, has, s.Position)
	case has > s.Position:
		var lost batch.Batch
		if !s.Unlogged && !s.Cutting {
			lost, err = readBatch(f, s.Position, has)
		}
		if lost != nil && lost.BaseOffset() == s.End {
			err = fmt.Errorf("%w: the commit log ends at offset %d of log %s, but %s holds acknowledged records from there on: its end was lost or damaged, and records of other logs may be gone with it; restore %s from a copy", ErrCorrupt, s.End, s.Name, name, path.Join(r.o.Dir, commitDir))
		}
		if err == nil {
			err = segment.Unseal(r.o.FS, dir, s.Segment)
		}
		if err == nil {
			err = f.Truncate(s.Position)
		}
		if err == nil {
			err = f.Sync()
		}
	}
	return errors.Join(err, f.Close())
}

// segmentBases lists the base offsets of the segments in a folder, in order.
func segmentBases(fsys disk.FS, dir string) ([]batch.Offset, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []batch.Offset
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name, segment.Suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || segment.Name(batch.Offset(n)) != e.Name {
			return nil, fmt.Errorf("%w: %s is not the name of a segment; move it away", ErrCorrupt, path.Join(dir, e.Name))
		}
		out = append(out, batch.Offset(n))
	}
	slices.Sort(out)
	return out, nil
}

// log.meta names a log, little-endian:
//
//	 0  8  magic "SBLOG001"
//	 8  4  crc   CRC-32C of bytes [12, 24)
//	12  4  zero
//	16  8  id    never used for another log of this data directory
const (
	metaFile  = "log.meta"
	metaMagic = "SBLOG001"
	metaSize  = 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func writeMeta(fsys disk.FS, dir string, id uint64) error {
	b := append([]byte(metaMagic), make([]byte, metaSize-8)...)
	binary.LittleEndian.PutUint64(b[16:], id)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	return commit.ReplaceFile(fsys, path.Join(dir, metaFile), b)
}

func parseMeta(b []byte) (id uint64, ok bool) {
	if len(b) != metaSize || string(b[:8]) != metaMagic || crc32.Checksum(b[12:], castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b[16:]), true
}

func readMeta(fsys disk.FS, dir string) (uint64, error) {
	name := path.Join(dir, metaFile)
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%w: %s is not a log (no %s); move it out of the data directory", ErrCorrupt, dir, metaFile)
	} else if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // only read
	b := make([]byte, metaSize)
	if err := disk.ReadFull(f, b, 0); err != nil {
		return 0, fmt.Errorf("%w: %s: %w", ErrCorrupt, name, err)
	}
	id, ok := parseMeta(b)
	if !ok {
		return 0, fmt.Errorf("%w: %s is damaged; restore it from a copy", ErrCorrupt, name)
	}
	return id, nil
}

// removeAll removes a folder of files.
func removeAll(fsys disk.FS, dir string) error {
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, e := range entries {
		if err := fsys.Remove(path.Join(dir, e.Name)); err != nil {
			return err
		}
	}
	return fsys.Remove(dir)
}
