package inspect

import (
	"fmt"
	"hash/crc32"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// The commit log: drawn in engine/internal/commit/frame.go.
const (
	commitSuffix = ".commit"
	spareSuffix  = ".spare"
	commitMagic  = "SBCOMMIT"
	commitVer    = 2
	commitHeader = 48
	frameMagic   = "SBFR"
	frameHeader  = 48
	entrySize    = 48
	maxEntries   = 1 << 16
	maxPayload   = 1 << 31
	minCommit    = 64 << 10
)

const (
	kindAppend = 1
	kindDrop   = 2
	kindTrim   = 3
)

// commitFile is a file of the commit log being read.
type commitFile struct {
	*run
	*window
	seq, generation, start uint64
	bytes                  int64  // of the file, as its header says
	tab                    []byte // header and table of one frame
}

func (c *commitFile) end() uint64              { return c.start + uint64(c.bytes-disk.PageSize) }
func (c *commitFile) position(at uint64) int64 { return int64(at-c.start) + disk.PageSize }

// frame is a frame's header.
type frame struct {
	pos          int64
	lsn, durable uint64
	payload      int64
	entries      int
	crc          uint32
	turn         bool // a mark: the log goes on in the next file
}

// mark says that it is one: a frame of nothing, which says that all below durable was flushed, and that a real one overwrites.
func (f frame) mark() bool { return f.entries == 0 }

func (f frame) table() int64 { return frameHeader + int64(f.entries)*entrySize }
func (f frame) size() int64  { return f.table() + f.payload }
func (f frame) next() uint64 {
	return (f.lsn + uint64(f.size()) + disk.PageSize - 1) &^ uint64(disk.PageSize-1)
}

// entry is one entry of a frame's table.
type entry struct {
	kind     byte
	epoch    batch.Epoch
	base     batch.Offset
	size     int64
	crc      uint32
	log      uint64
	segment  batch.Offset
	position int64
	next     batch.Offset // offset after the batch
}

// replay is what the frames are read for: where reading begins, how far it came, and who is told of the entries of whole frames.
type replay struct {
	from  uint64 // frames below are covered by the checkpoint
	end   uint64 // every frame below is whole
	clean bool   // nothing can follow from
	gap   bool   // frames are damaged: what follows from entries is not to be believed
	read  *read  // the file looked at before; nil: none, or not to its end
	next  string // the file in which that one says the log goes on; empty: it says nothing
	each  func(file string, f frame, e entry) error
}

// read is how far the frames of a file go.
type read struct {
	file     string
	sequence uint64
	pos      int64  // where the first frame that is not there would begin
	lsn      uint64 // of it
}

// replayOf is what the checkpoint of a data directory says of the commit log, for what is looked at alone.
func (r *run) replayOf(dir string) *replay {
	if k := r.knownBeside(path.Join(dir, checkpointName)); k != nil {
		return &replay{from: k.lsn, clean: k.clean}
	}
	return &replay{}
}

// commitLog reads one file. p is nil for a file that is looked at alone.
func (r *run) commitLog(name string, p *replay) error {
	w, err := r.open(name)
	if err != nil {
		return err
	}
	defer w.close()
	c := &commitFile{run: r, window: w}
	ok, err := c.header()
	if err != nil || !ok {
		return err
	}
	if p == nil {
		p = r.replayOf(path.Dir(path.Dir(name)))
	}
	if p.end = max(p.end, p.from); p.each == nil || c.start <= p.from {
		p.end = max(p.end, c.start)
	}
	if w.size != c.bytes {
		if err := r.damage(at(name, min(w.size, c.bytes), max(w.size, c.bytes)), "the file has %d bytes, its header says %d", w.size, c.bytes); err != nil {
			return err
		}
	}
	return c.frames(p)
}

// header reads the first page; ok is false when the frames cannot be read.
func (c *commitFile) header() (ok bool, err error) {
	b, err := c.window.bytes(0, int(min(commitHeader, c.size)))
	if err != nil {
		return false, c.unreadable(c.window, 0, err)
	}
	if len(b) < commitHeader || string(b[:8]) != commitMagic {
		if strings.HasSuffix(c.name, spareSuffix) {
			return false, c.blank()
		}
		return false, c.damage(at(c.name, 0, commitHeader), "no header of a commit-log file: it does not begin with %q; restore it or the data directory from a copy", commitMagic)
	}
	version, crc, got := le.Uint32(b[8:]), le.Uint32(b[12:]), crc32.Update(crcOf(b[16:commitHeader]), castagnoli, b[:12])
	c.seq, c.generation, c.start, c.bytes = le.Uint64(b[16:]), le.Uint64(b[24:]), le.Uint64(b[32:]), int64(le.Uint64(b[40:]))
	ok = true
	digits, named := strings.CutSuffix(path.Base(c.name), commitSuffix)
	seq, serr := strconv.ParseUint(digits, 10, 64)
	switch here := at(c.name, 0, commitHeader); {
	case got != crc:
		ok, err = false, c.damage(here, "the checksum of the header is %s, it says %s; restore it from a copy", hex32(got), hex32(crc))
	case version != commitVer:
		ok, err = false, c.damage(here, "version %d, this program reads %d: another one may have written it", version, commitVer)
	case c.bytes < minCommit || c.bytes%disk.PageSize != 0 || c.start%disk.PageSize != 0 || c.start > 1<<62 || c.bytes > 1<<62:
		ok, err = false, c.damage(here, "impossible values: %d bytes from LSN %d on", c.bytes, c.start)
	case named && (serr != nil || seq != c.seq):
		err = c.damage(here, "the header belongs to file %d", c.seq)
	}
	if err != nil || !c.show() {
		return ok, err
	}
	return ok, c.row(c.name, "file", Field{"at", int64(0)}, Field{"sequence", c.seq}, Field{"generation", hex64(c.generation)},
		Field{"lsn", c.start}, Field{"bytes", c.bytes}, Field{"crc", hex32(crc)}, Field{"state", state(ok)})
}

// blank shows a spare that was never in use.
func (c *commitFile) blank() error {
	if !c.show() {
		return nil
	}
	return c.row(c.name, "spare", Field{"at", int64(0)}, Field{"bytes", c.size})
}

// frames goes through the frames of this use of the file.
func (c *commitFile) frames(p *replay) error {
	at := c.start
	p.next = ""
	defer func() { p.read = &read{c.name, c.seq, c.position(at), at} }()
	for at < c.end() {
		f, bad, err := c.frame(at, p)
		if err != nil {
			return err
		}
		if bad == "" && f.mark() {
			if f.turn && c.end() > p.from && !p.clean {
				p.next = path.Join(path.Dir(c.name), fmt.Sprintf("%020d%s", c.seq+1, commitSuffix))
			}
			return nil
		}
		if bad == "" {
			p.end = max(p.end, f.next())
			at = f.next()
			continue
		}
		next, err := c.broken(at, bad, p)
		if err != nil || next == 0 {
			return err
		}
		p.gap = true
		p.end = max(p.end, next)
		at = next
	}
	return nil
}

// frame reads, shows and reports the frame at an LSN. bad says why there is no whole one.
func (c *commitFile) frame(at uint64, p *replay) (f frame, bad string, err error) {
	f, bad, err = c.parse(at)
	if err != nil || bad != "" {
		return f, bad, err
	}
	if bad, err = c.check(f); err != nil {
		return f, "", err
	}
	if c.show() && f.mark() {
		err = c.row(c.name, "mark", Field{"at", f.pos}, Field{"lsn", f.lsn}, Field{"durable", f.durable}, Field{"generation", hex64(c.generation)}, Field{"crc", hex32(f.crc)}, Field{"turn", f.turn}, Field{"state", state(true)})
	} else if c.show() {
		err = c.row(c.name, "frame", Field{"at", f.pos}, Field{"lsn", f.lsn}, Field{"durable", f.durable}, Field{"entries", int64(f.entries)},
			Field{"payload", f.payload}, Field{"size", f.size()}, Field{"generation", hex64(c.generation)}, Field{"crc", hex32(f.crc)}, Field{"state", state(bad == "")})
	}
	if err == nil && bad == "" {
		err = c.lastOfTheFileBefore(f, p)
	}
	if err != nil || bad != "" {
		return f, bad, err
	}
	if f.durable > p.end && f.lsn >= p.from && p.each != nil {
		err = c.damage(place{c.name, f.pos, f.pos + f.size(), batch.NoOffset, batch.NoOffset},
			"the frame at LSN %d was written when everything below LSN %d was flushed, but the log before it can be read only to LSN %d; restore the missing file from a copy", f.lsn, f.durable, p.end)
		if err != nil {
			return f, "", err
		}
	}
	return f, "", c.entries(f, p)
}

// lastOfTheFileBefore reports what a first frame proves: that there were more frames in the file before than can be read. Where recovery
// needs them, that is told with the frame.
func (c *commitFile) lastOfTheFileBefore(f frame, p *replay) error {
	r := p.read
	if r == nil || r.sequence+1 != c.seq || f.lsn != c.start || f.durable <= r.lsn || r.lsn >= p.from {
		return nil
	}
	return c.damage(at(r.file, r.pos, r.pos+int64(f.durable-r.lsn)),
		"the frame at LSN %d is damaged or gone, but that at LSN %d, in the next file, says that it was flushed; the checkpoint covers it, so recovery does not need it", r.lsn, f.lsn)
}

// parse reads a frame's header.
func (c *commitFile) parse(at uint64) (f frame, bad string, err error) {
	f.pos = c.position(at)
	if c.size-f.pos < frameHeader {
		return f, "the file ends", nil
	}
	b, err := c.window.bytes(f.pos, frameHeader)
	if err != nil {
		return f, "", err
	}
	return c.parseAt(b, at)
}

func (c *commitFile) parseAt(b []byte, at uint64) (f frame, bad string, err error) {
	f.pos = c.position(at)
	if string(b[:4]) != frameMagic {
		return f, "no frame", nil
	}
	if g := le.Uint64(b[8:]); g != c.generation {
		return f, "no frame", nil // of an earlier use of the file
	}
	pay, n := le.Uint64(b[32:]), le.Uint32(b[40:])
	f.crc, f.lsn, f.durable = le.Uint32(b[4:]), le.Uint64(b[16:]), le.Uint64(b[24:])
	if f.lsn != at || f.durable > at || pay > maxPayload || n > maxEntries {
		return f, fmt.Sprintf("impossible values: LSN %d, durable %d, %d entries, %d bytes", f.lsn, f.durable, n, pay), nil
	}
	f.payload, f.entries = int64(pay), int(n)
	turn := le.Uint32(b[44:])
	if got := crcOf(b[8:frameHeader]); f.mark() && (pay != 0 || turn > 1 || got != f.crc) {
		return f, fmt.Sprintf("a mark of %d bytes, turn %d, with checksum %s, and it says %s", pay, turn, hex32(got), hex32(f.crc)), nil
	}
	f.turn = f.mark() && turn == 1
	if f.pos+f.size() > c.bytes || f.pos+f.size() > c.size {
		return f, fmt.Sprintf("it has %d bytes, and the file ends before", f.size()), nil
	}
	return f, "", nil
}

// readTable keeps the header and table of a frame, at most 3 MiB, so that entries and batches can be read in turn.
func (c *commitFile) readTable(f frame) error {
	n := int(f.table())
	c.tab = slices.Grow(c.tab[:0], n)[:n]
	return disk.ReadFull(c.f, c.tab, f.pos)
}

// check sums the table and holds every batch against it.
func (c *commitFile) check(f frame) (bad string, err error) {
	if err := c.readTable(f); err != nil {
		return "", err
	}
	if got := crcOf(c.tab[8:]); got != f.crc {
		return fmt.Sprintf("the checksum of the table is %s, it says %s", hex32(got), hex32(f.crc)), nil
	}
	pos, end := f.pos+f.table(), f.pos+f.size()
	for i := range f.entries {
		e := c.entry(i)
		if bad, err = c.checkEntry(&e, pos, end); bad != "" || err != nil {
			return fmt.Sprintf("entry %d of %d (log %d, offset %d, byte %d): %s", i, f.entries, e.log, e.base, pos, bad), err
		}
		pos += e.size
	}
	if pos != end {
		return fmt.Sprintf("%d bytes after the last batch", end-pos), nil
	}
	return "", nil
}

// entry is the i-th entry of the table read last.
func (c *commitFile) entry(i int) entry {
	b := c.tab[frameHeader+i*entrySize:]
	return entry{
		kind: b[0], epoch: batch.Epoch(le.Uint32(b[4:])), base: batch.Offset(le.Uint64(b[8:])), size: int64(le.Uint32(b[16:])), crc: le.Uint32(b[20:]),
		log: le.Uint64(b[24:]), segment: batch.Offset(le.Uint64(b[32:])), position: int64(le.Uint64(b[40:])),
	}
}

// checkEntry holds the batch at pos against its entry, and fills in where it ends.
func (c *commitFile) checkEntry(e *entry, pos, end int64) (bad string, err error) {
	if e.size == 0 && (e.kind == kindDrop || e.kind == kindTrim) {
		if e.base < 0 {
			return "the offset is negative", nil
		}
		return "", nil
	}
	if e.kind != kindAppend || e.size < batch.HeaderSize || e.size > end-pos || e.position < 0 {
		return fmt.Sprintf("kind %d with %d bytes of %d, for byte %d of a segment", e.kind, e.size, end-pos, e.position), nil
	}
	b, err := c.window.bytes(pos, batch.HeaderSize)
	if err != nil {
		return "", err
	}
	h := batch.Batch(b)
	n, serr := batch.SizeOf(b)
	e.next = h.NextOffset()
	switch {
	case serr != nil:
		return serr.Error(), nil
	case n != e.size || h.BaseOffset() != e.base || h.LeaderEpoch() != e.epoch || h.CRC() != e.crc:
		return fmt.Sprintf("the batch has offset %d, epoch %d, %d bytes and CRC %s, the table says %d, %d, %d and %s",
			h.BaseOffset(), h.LeaderEpoch(), n, hex32(h.CRC()), e.base, e.epoch, e.size, hex32(e.crc)), nil
	}
	got, err := c.crc(pos+batchCRCFrom, pos+e.size)
	if err != nil {
		return "", err
	}
	if got != e.crc {
		return fmt.Sprintf("the CRC of the batch is %s, it says %s", hex32(got), hex32(e.crc)), nil
	}
	return "", nil
}

// batchCRCFrom is where the bytes begin that a batch's CRC covers.
const batchCRCFrom = 21

// entries shows and hands over the entries of a whole frame.
func (c *commitFile) entries(f frame, p *replay) error {
	if !c.show() && p.each == nil {
		return nil
	}
	pos := f.pos + f.table()
	for i := range f.entries {
		e := c.entry(i)
		var err error
		if e.kind == kindAppend {
			err = c.head(&e, pos)
		}
		if err == nil && p.each != nil && f.lsn >= p.from {
			err = p.each(c.name, f, e)
		}
		if err == nil && c.show() {
			err = c.row(c.name, "entry", Field{"at", pos}, Field{"frame", f.lsn}, Field{"does", kindName(e.kind)}, Field{"log", e.log},
				Field{"base", int64(e.base)}, Field{"next", int64(e.next)}, Field{"size", e.size}, Field{"epoch", int64(e.epoch)}, Field{"crc", hex32(e.crc)},
				Field{"segment", int64(e.segment)}, Field{"position", e.position})
		}
		if err != nil {
			return err
		}
		pos += e.size
	}
	return nil
}

// head fills in where the batch of a checked entry ends.
func (c *commitFile) head(e *entry, pos int64) error {
	b, err := c.window.bytes(pos, batch.HeaderSize)
	if err == nil {
		e.next = batch.Batch(b).NextOffset()
	}
	return err
}

func kindName(k byte) string {
	switch k {
	case kindAppend:
		return "append"
	case kindDrop:
		return "drop"
	case kindTrim:
		return "trim"
	}
	return fmt.Sprintf("kind%d", k)
}

// broken says what a frame that is not whole means: the end of what was written, a torn write, or corruption. Since no frame is
// written before the one below it is flushed, a later one tells (commit.C1, C2). next is where frames go on, 0 when they do not.
func (c *commitFile) broken(lsn uint64, bad string, p *replay) (next uint64, err error) {
	begun := false // a header of this use stands here
	for pos := c.position(lsn); pos+frameHeader <= min(c.bytes, c.size); pos += disk.PageSize {
		b, err := c.window.bytes(pos, frameHeader)
		if err != nil {
			return 0, c.unreadable(c.window, pos, err)
		}
		here := c.start + uint64(pos-disk.PageSize)
		f, why, err := c.parseAt(b, here)
		if err != nil {
			return 0, err
		}
		if here == lsn {
			begun = why != "no frame"
			continue
		}
		if why == "" && f.durable > lsn {
			if p.clean && here >= p.from {
				break // left from before
			}
			return here, c.damage(at(c.name, c.position(lsn), pos),
				"the frame at LSN %d is damaged (%s), but the one at LSN %d says that it was flushed; restore the file or the data directory from a copy", lsn, bad, here)
		}
	}
	if lsn < p.from && p.from > c.end() && begun {
		return 0, c.damage(at(c.name, c.position(lsn), c.position(c.end())),
			"the frame at LSN %d is damaged (%s), and the log went on in the next file; the checkpoint covers it, so recovery does not need it", lsn, bad)
	}
	if lsn < p.from && p.from <= c.end() {
		return p.from, c.damage(at(c.name, c.position(lsn), c.position(p.from)),
			"the frame at LSN %d is damaged (%s); the checkpoint covers everything below LSN %d, so recovery does not need it", lsn, bad, p.from)
	}
	if begun {
		return 0, c.note(at(c.name, c.position(lsn), c.position(lsn)+frameHeader),
			"torn: the last frame, at LSN %d, is not whole (%s); it was being written when the program or the machine stopped, and nobody was promised it", lsn, bad)
	}
	return 0, nil
}
