package segment

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/seal"
)

const blockSize = seal.BlockSize

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Damage is the error (it is ErrCorrupt) that says which bytes of a segment are not what was written.
type Damage struct {
	Path        string
	Lo, Hi      int64        // bytes [Lo, Hi): whole batches, or whole blocks of a sealed segment
	First, Next batch.Offset // only records of [First, Next) lie in batches that they touch; gaps beside them may be counted in
	Err         error        // what was found
}

// Error implements error.
func (d *Damage) Error() string {
	return fmt.Sprintf("%v: %s bytes [%d, %d), offsets [%d, %d): %v", ErrCorrupt, d.Path, d.Lo, d.Hi, d.First, d.Next, d.Err)
}

// Unwrap makes a Damage ErrCorrupt, and what was found.
func (d *Damage) Unwrap() []error { return []error{ErrCorrupt, d.Err} }

// Check reads the units that [lo, hi) touches and compares every bit of them with what is known. hi may lie beyond the end. What was good
// is trusted from then on. It allocates nothing when all is well, and reads at most 256 KiB at once, or 1 MiB where an FS reads in batches.
// Errors: *Damage for the first stretch that is not what was written, I/O errors.
func (x Sums) Check(lo, hi int64) error {
	if hi = min(hi, x.size); lo >= hi {
		return nil
	}
	if err := x.bring(); err != nil {
		return err
	}
	return x.check(x.units(lo, hi))
}

// CheckCold is Check of those units that [lo, hi) touches and that cannot be trusted: they were not verified or written in this life of the
// program, or are not in the page cache any more, so that they come from the disk. Who reads a range calls it first, before any other look
// at the range brings in pages that then seem to have been there. When all can be trusted it costs one cachestat.
//
// What escapes it: a unit that was verified, thrown out of the page cache, and brought in again by somebody else than CheckCold: another
// program, a reader that did not call it, or the kernel reading further ahead than is allowed for (readAhead).
func (x Sums) CheckCold(lo, hi int64) error {
	if hi = min(hi, x.size); lo >= hi {
		return nil
	}
	if err := x.bring(); err != nil {
		return err
	}
	u, end := x.units(lo, hi)
	if x.trust.all(u, end) && x.cached(u, end) {
		return nil
	}
	for u < end {
		if x.trusted(u) {
			u++
			continue
		}
		from := u
		for u < end && !x.trusted(u) {
			u++
		}
		if err := x.check(from, u); err != nil {
			return err
		}
	}
	return nil
}

func (x *Sums) trusted(u int) bool { return x.trust.has(u) && x.cached(u, u+1) }

// cached says that the page cache holds units [u, end), or that they are empty.
func (x *Sums) cached(u, end int) bool {
	lo, hi := x.at(u), x.at(end)
	return lo == hi || disk.InCache(x.seg.file, lo, hi-lo)
}

// readAhead is how many units the kernel may bring in beyond the bytes that were asked for, and nobody looked at: 2 MiB.
const readAhead = 32

// check verifies units [u, end).
func (x *Sums) check(u, end int) error {
	c := checkers.Get().(*checker)
	defer checkers.Put(c)
	x.trust.forget(u, end+readAhead)
	if err := c.run(x, u, end); err != nil {
		return err
	}
	x.trust.set(u, end)
	return nil
}

const (
	readSize  = 256 << 10 // a whole number of blocks
	readBatch = 4         // how many are read at once where that is better than one after another
)

var checkers = sync.Pool{New: func() any { return new(checker) }}

// checker is one check under way, and its memory.
type checker struct {
	x    Sums
	walk walker
	ops  [readBatch]disk.ReadOp
	bufs [readBatch][]byte // made when first needed
	cold [readBatch]disk.ReadOp
}

// run reads units [u, end) front to back.
func (c *checker) run(x *Sums, u, end int) error {
	c.x = *x
	defer func() { // the pool keeps nobody's file
		c.x, c.walk.x = Sums{}, nil
		clear(c.ops[:])
		clear(c.cold[:])
	}()
	c.walk.begin(&c.x, u)
	batched := 1
	if _, ok := x.seg.fs.(disk.BatchReader); ok {
		batched = readBatch
	}
	start, stop := c.x.at(u), c.x.at(end)
	for pos := start &^ (disk.PageSize - 1); pos < stop; {
		n := 0
		for ; n < batched && pos < stop; n++ {
			if c.bufs[n] == nil {
				c.bufs[n] = make([]byte, readSize)
			}
			to := min((pos/readSize+1)*readSize, stop)
			c.ops[n] = disk.ReadOp{File: x.seg.file, Off: pos, P: c.bufs[n][:to-pos]}
			pos = to
		}
		c.read(n)
		for i := range n {
			if err := c.feed(&c.ops[i], start, u, end); err != nil {
				return err
			}
		}
	}
	if x.table != nil {
		return nil
	}
	return c.walk.finish(end)
}

// read does the first n reads: what the page cache has by plain calls, the rest together.
func (c *checker) read(n int) {
	cold := 0
	for i := range c.ops[:n] {
		op := &c.ops[i]
		if n == 1 {
			op.N, op.Err = op.File.ReadAt(op.P, op.Off)
			return
		}
		if op.N, op.Err = disk.ReadCached(op.File, op.P, op.Off); errors.Is(op.Err, disk.ErrCold) {
			c.cold[cold] = disk.ReadOp{File: op.File, Off: op.Off + int64(op.N), P: op.P[op.N:]}
			cold++
		}
	}
	if cold == 0 {
		return
	}
	c.x.seg.fs.(disk.BatchReader).ReadBatch(c.cold[:cold])
	cold = 0
	for i := range c.ops[:n] {
		if op := &c.ops[i]; errors.Is(op.Err, disk.ErrCold) {
			op.N, op.Err = op.N+c.cold[cold].N, c.cold[cold].Err
			cold++
		}
	}
}

// feed compares what one read brought. Bytes before start are there only because reads begin on a page.
func (c *checker) feed(op *disk.ReadOp, start int64, u, end int) error {
	if op.N < len(op.P) {
		if op.Err != nil && !errors.Is(op.Err, io.EOF) {
			return fmt.Errorf("%s: read %d bytes at %d: %w", c.x.seg.Path, len(op.P), op.Off, op.Err)
		}
		return c.short(op.Off+int64(op.N), u, end)
	}
	if c.x.table != nil {
		return c.blocks(op.P, op.Off)
	}
	return c.walk.feed(op.P[max(0, start-op.Off):])
}

// short is the damage of a file that ends before its readable bytes do.
func (c *checker) short(at int64, u, end int) error {
	for u+1 < end && c.x.at(u+1) <= at {
		u++
	}
	err := fmt.Errorf("the file ends at byte %d, and had %d", at, c.x.size)
	if c.x.table != nil {
		return c.damagedBlocks(c.x.at(u), c.x.size, err)
	}
	_, first := c.x.before(u)
	return &Damage{Path: c.x.seg.Path, Lo: c.x.at(u), Hi: c.x.size, First: first, Next: c.x.next, Err: err}
}

// blocks compares blocks with the seal's table.
func (c *checker) blocks(p []byte, pos int64) error {
	bad := func(i int) bool {
		return i < len(p) && !c.x.table.Holds((pos+int64(i))/blockSize, p[i:min(i+blockSize, len(p))])
	}
	for i := 0; i < len(p); i += blockSize {
		if !bad(i) {
			continue
		}
		lo := pos + int64(i)
		err := fmt.Errorf("the CRC of the block is %08x, it was sealed with %08x", crc32.Checksum(p[i:min(i+blockSize, len(p))], castagnoli), c.x.table.Sum(lo/blockSize))
		for i += blockSize; bad(i); i += blockSize {
		}
		return c.damagedBlocks(lo, min(pos+int64(i), c.x.size), err)
	}
	return nil
}

func (c *checker) damagedBlocks(lo, hi int64, err error) error {
	s := c.x.seg
	first, next := seal.Locate(s.file, s.head, c.x.table, s.mapped.Load(), lo, hi)
	return &Damage{Path: s.Path, Lo: lo, Hi: hi, First: first, Next: next, Err: err}
}

// walker goes through the batches of groups, which it is fed in pieces of any size: each batch's own CRC must be right, and the chain over
// their prefixes at the end of each group.
type walker struct {
	x    *Sums
	u    int    // the group under way
	pos  int64  // of the next byte
	sum  uint32 // the chain so far
	from int64  // where the batch under way begins
	have int    // bytes of its header
	left int64  // bytes behind the header that are still to come
	crc  uint32 // of what it covers so far
	head [batch.HeaderSize]byte

	bad    Damage // of the group under way, so far; Err nil: none
	closed bool   // bad.Next is known
}

// begin starts at unit u.
func (w *walker) begin(x *Sums, u int) {
	*w = walker{x: x, u: u}
	if x.table == nil {
		w.pos = x.at(u)
		w.sum, _ = x.before(u)
	}
}

func (w *walker) feed(p []byte) error {
	for len(p) > 0 {
		var n int
		if w.have < batch.HeaderSize {
			if w.have == 0 {
				if err := w.first(); err != nil {
					return err
				}
			}
			n = copy(w.head[w.have:], p)
			if w.have += n; w.have == batch.HeaderSize {
				if err := w.header(); err != nil {
					return err
				}
			}
		} else {
			n = int(min(w.left, int64(len(p))))
			w.crc = crc32.Update(w.crc, castagnoli, p[:n])
			w.left -= int64(n)
		}
		p = p[n:]
		w.pos += int64(n)
		if w.have == batch.HeaderSize && w.left == 0 {
			w.batch()
		}
	}
	return nil
}

// first begins a batch, maybe in another group.
func (w *walker) first() error {
	for w.pos >= w.x.at(w.u+1) && w.u+1 < len(w.x.groups) {
		if err := w.close(); err != nil {
			return err
		}
	}
	w.from = w.pos
	return nil
}

// header looks at a whole header.
func (w *walker) header() error {
	size, err := batch.SizeOf(w.head[:])
	if end := w.x.at(w.u + 1); err == nil && size > end-w.from {
		err = fmt.Errorf("a batch of %d bytes, and %d are left to the end of its group", size, end-w.from)
	}
	if err != nil {
		return w.lost(fmt.Errorf("at byte %d: %w", w.from, err))
	}
	w.crc = crc32.Update(0, castagnoli, w.head[batch.PrefixSize:])
	w.left = size - batch.HeaderSize
	return nil
}

// batch ends a batch. One whose own CRC is wrong is reported at the end of its group, when it is known that its header can be believed.
func (w *walker) batch() {
	h := batch.Batch(w.head[:])
	w.sum = h.PrefixSum(w.sum)
	w.have = 0
	if w.bad.Err != nil && !w.closed {
		w.bad.Next, w.closed = h.BaseOffset(), true
	}
	if w.crc == h.CRC() {
		return
	}
	if w.bad.Err == nil {
		w.bad = Damage{
			Path: w.x.seg.Path, Lo: w.from, First: h.BaseOffset(),
			Err: fmt.Errorf("the CRC of the batch at byte %d is %08x, its header says %08x", w.from, w.crc, h.CRC()),
		}
	}
	w.bad.Hi, w.closed = w.pos, false
}

// close ends a group.
func (w *walker) close() error {
	want, next := w.x.before(w.u + 1)
	if w.sum != want {
		return w.lost(fmt.Errorf("the headers of the batches add up to %08x, when they were written it was %08x", w.sum, want))
	}
	if w.bad.Err != nil {
		if !w.closed {
			w.bad.Next = next
		}
		d := w.bad
		return &d
	}
	w.u++
	return nil
}

// lost is the damage of a whole group: nothing in it can be believed.
func (w *walker) lost(err error) error {
	_, first := w.x.before(w.u)
	_, next := w.x.before(w.u + 1)
	return &Damage{Path: w.x.seg.Path, Lo: w.x.at(w.u), Hi: w.x.at(w.u + 1), First: first, Next: next, Err: err}
}

// finish ends the last group before end.
func (w *walker) finish(end int) error {
	if w.have > 0 {
		return w.lost(fmt.Errorf("the batch at byte %d has no end", w.from))
	}
	for w.u < end {
		if err := w.close(); err != nil {
			return err
		}
	}
	return nil
}
