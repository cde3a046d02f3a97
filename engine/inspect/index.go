package inspect

import (
	"encoding/binary"

	"github.com/streambus/streambus/engine/batch"
)

// The indexes: drawn in engine/internal/index/doc.go.
const (
	indexSuffix = ".index"
	timeSuffix  = ".timeindex"
	indexEntry  = 8
	timeEntry   = 12
)

// points reads an index file entry by entry.
type points struct {
	*window
	entry int64
	pos   int64 // of the entry that follows
	bad   bool  // reported: what follows is not compared any more
}

// next gives the entry that follows: the position or time, and the last offset counted from the base. ok is false at the end.
func (p *points) next() (value int64, relative int32, ok bool, err error) {
	if p.pos+p.entry > p.size {
		return 0, 0, false, nil
	}
	b, err := p.bytes(p.pos, int(p.entry))
	if err != nil {
		return 0, 0, false, err
	}
	p.pos += p.entry
	if p.entry == indexEntry {
		return int64(int32(binary.BigEndian.Uint32(b[4:]))), int32(binary.BigEndian.Uint32(b)), true, nil
	}
	return int64(binary.BigEndian.Uint64(b)), int32(binary.BigEndian.Uint32(b[8:])), true, nil
}

// openPoints opens an index file, and checks its length.
func (r *run) openPoints(name string, entry int64) (*points, error) {
	w, err := r.open(name)
	if err != nil {
		return nil, err
	}
	p := &points{window: w, entry: entry}
	if left := w.size % entry; left != 0 {
		if err := r.damage(at(name, w.size-left, w.size), "%d bytes, not a multiple of %d; remove it, the next start makes it anew", w.size, entry); err != nil {
			w.close()
			return nil, err
		}
	}
	return p, nil
}

// index shows and checks the shape of an index file: both fields rise.
func (r *run) index(name, suffix string, entry int64) error {
	base, ok := baseOf(name, suffix)
	if !ok {
		if err := r.damage(at(name, 0, 0), "the name is not that of an index: 20 digits and %s", suffix); err != nil {
			return err
		}
	}
	p, err := r.openPoints(name, entry)
	if err != nil {
		return err
	}
	defer p.close()
	lastValue, lastRelative := int64(-1), int32(-1)
	for {
		pos := p.pos
		value, relative, ok, err := p.next()
		if err != nil || !ok {
			return r.unreadable(p.window, pos, err)
		}
		good := value > lastValue && relative > lastRelative
		if entry == timeEntry { // the last entry may be of a batch in the middle, but never before an earlier one
			good = value > lastValue && relative > lastRelative
		}
		lastValue, lastRelative = value, relative
		if !good {
			if err := r.damage(at(name, pos, pos+entry), "the entry does not rise: %d, offset %d", value, relative); err != nil {
				return err
			}
		}
		offset := base + batch.Offset(relative)
		if !r.show() || offset < r.o.From {
			continue
		}
		kind, second := "point", Field{"position", value}
		if entry == timeEntry {
			kind, second = "time", Field{"time", Millis(value)}
		}
		if err := r.row(name, kind, Field{"at", pos}, Field{"offset", int64(offset)}, second, Field{"state", state(good)}); err != nil {
			return err
		}
	}
}

// indexCheck holds the index files of a segment against its batches while they go by. A nil one checks nothing.
type indexCheck struct {
	base           batch.Offset
	offsets, times *points // nil: there is none
	hasOffset      bool
	position       int64
	relative       int32
	hasTime        bool
	time           int64
	timeRelative   int32
	newest         int64
	last           batch.Offset
	loud           *run // nil: the run that reads the .log
}

// openIndexCheck opens what there is of index files.
func (r *run) openIndexCheck(offsets, times string, base batch.Offset) (*indexCheck, error) {
	c := &indexCheck{base: base, newest: -1, last: base - 1}
	var err error
	if offsets != "" {
		if c.offsets, err = r.openPoints(offsets, indexEntry); err != nil {
			return nil, err
		}
		if err = c.nextOffset(); err != nil {
			c.close()
			return nil, err
		}
	}
	if times != "" {
		if c.times, err = r.openPoints(times, timeEntry); err == nil {
			err = c.nextTime()
		}
		if err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *indexCheck) close() {
	for _, p := range []*points{c.offsets, c.times} {
		if p != nil {
			p.close()
		}
	}
}

func (c *indexCheck) nextOffset() (err error) {
	c.position, c.relative, c.hasOffset, err = c.offsets.next()
	return err
}

func (c *indexCheck) nextTime() (err error) {
	c.time, c.timeRelative, c.hasTime, err = c.times.next()
	return err
}

func (c *indexCheck) teller(r *run) *run {
	if c.loud != nil {
		return c.loud
	}
	return r
}

const remake = "remove the .seal, .index and .timeindex of the segment while the broker is stopped; the next start makes them anew"

// batch compares the entries that speak of the batch at pos.
func (c *indexCheck) batch(r *run, h batch.Batch, pos int64) error {
	if c == nil {
		return nil
	}
	r = c.teller(r)
	c.last = h.LastOffset()
	c.newest = max(c.newest, h.MaxTimestamp())
	for c.hasOffset && !c.offsets.bad && c.position <= pos {
		if c.position < pos || c.base+batch.Offset(c.relative) != h.LastOffset() {
			c.offsets.bad = true
			return r.damage(at(c.offsets.name, c.offsets.pos-indexEntry, c.offsets.pos),
				"the entry says that a batch which ends with offset %d begins at byte %d; the one that begins at byte %d ends with %d; %s",
				c.base+batch.Offset(c.relative), c.position, pos, h.LastOffset(), remake)
		}
		if err := c.nextOffset(); err != nil {
			return r.unreadable(c.offsets.window, c.offsets.pos, err)
		}
	}
	for c.hasTime && !c.times.bad && c.base+batch.Offset(c.timeRelative) <= h.LastOffset() {
		if c.base+batch.Offset(c.timeRelative) != h.LastOffset() || c.time != h.MaxTimestamp() || c.time != c.newest {
			c.times.bad = true
			return r.damage(at(c.times.name, c.times.pos-timeEntry, c.times.pos),
				"the entry says that %d is the largest time up to the batch which ends with offset %d; the one that ends with %d has %d, the largest is %d; %s",
				c.time, c.base+batch.Offset(c.timeRelative), h.LastOffset(), h.MaxTimestamp(), c.newest, remake)
		}
		if err := c.nextTime(); err != nil {
			return r.unreadable(c.times.window, c.times.pos, err)
		}
	}
	return nil
}

// skip leaves out the entries of a stretch that cannot be read.
func (c *indexCheck) skip(int64) {
	if c == nil {
		return
	}
	for _, p := range []*points{c.offsets, c.times} {
		if p != nil {
			p.bad = true // the .log's damage is told already; the seal's checksums look at the indexes
		}
	}
}

// end reports entries beyond the last batch.
func (c *indexCheck) end(r *run, size int64) error {
	if c == nil {
		return nil
	}
	r = c.teller(r)
	if c.hasOffset && !c.offsets.bad {
		return r.damage(at(c.offsets.name, c.offsets.pos-indexEntry, c.offsets.size), "the entry leads to byte %d, and no batch begins there: the .log has %d bytes; %s", c.position, size, remake)
	}
	if c.hasTime && !c.times.bad {
		return r.damage(at(c.times.name, c.times.pos-timeEntry, c.times.size), "the entry speaks of offset %d, the .log ends with %d; %s", c.base+batch.Offset(c.timeRelative), c.last, remake)
	}
	return nil
}
