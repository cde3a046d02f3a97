package inspect

import (
	"fmt"
	"hash/crc32"
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/streambus/streambus/engine/batch"
)

const logSuffix = ".log"

// extent is what is promised of a segment.
type extent struct {
	sure  int64        // bytes below must be whole batches; math.MaxInt64: all of the file
	next  batch.Offset // the offset after them; NoOffset: unknown
	above string       // why bytes above may be anything; "" when there must be none
	limit batch.Offset // no offset is at or above; NoOffset: unknown
	gap   bool         // offsets below next may be missing: a compacted log may have been cut where some were

	prefixes uint32 // the chain over the prefixes of the batches below sure (batch.PrefixSum)
	summed   string // who says so; "": nobody
}

// everything is promised of a segment of which nothing else is known.
var everything = extent{sure: math.MaxInt64, next: batch.NoOffset, limit: batch.NoOffset}

// segmentReader goes through a segment once.
type segmentReader struct {
	*run
	*window
	base  batch.Offset
	ext   extent
	want  batch.Offset // offsets below have been seen
	pos   int64
	count int64       // good batches
	sum   uint32      // the chain over the prefixes of all batches
	holes bool        // some were lost, so sum is nothing to go by
	check *indexCheck // may be nil
	tail  bool        // above the promise nothing is read further
	comp  *compaction // gaps of the log
	body  []byte      // of a batch with its records decompressed
}

// compaction gathers the gaps of a log: without compaction, there are none.
type compaction struct {
	seen bool // a batch shows it
	gaps []place
}

const maxGaps = 1000

// baseOf reads the base offset in a file's name: 20 digits and a suffix.
func baseOf(name, suffix string) (batch.Offset, bool) {
	digits, ok := strings.CutSuffix(path.Base(name), suffix)
	n, err := strconv.ParseInt(digits, 10, 64)
	return batch.Offset(n), ok && err == nil && n >= 0 && fmt.Sprintf("%020d", n) == digits
}

// segment shows and checks one .log. next is the offset after its last batch, its base when there is none.
func (r *run) segment(name string, ext extent, check *indexCheck, comp *compaction) (next batch.Offset, err error) {
	base, named := baseOf(strings.TrimSuffix(name, swapSuffix), logSuffix)
	w, err := r.open(name)
	if err != nil {
		return base, err
	}
	defer w.close()
	if !named {
		if err := r.damage(at(name, 0, w.size), "the name is not that of a segment: 20 digits and %s; move it away", logSuffix); err != nil {
			return base, err
		}
		base = 0
	}
	s := &segmentReader{run: r, window: w, base: base, ext: ext, want: base, check: check, comp: comp}
	if err := s.batches(); err != nil {
		return s.want, err
	}
	return s.want, s.finish()
}

// sure says that the byte at pos is one that must be good.
func (s *segmentReader) sure(pos int64) bool { return pos < s.ext.sure || s.ext.above == "" }

func (s *segmentReader) batches() error {
	for s.pos < s.size {
		if !s.tail && !s.sure(s.pos) {
			s.tail = true
			if err := s.atPromise(); err != nil {
				return err
			}
		}
		h, n, bad, err := s.header(s.pos)
		if err != nil {
			return s.unreadable(s.window, s.pos, err)
		}
		if bad != "" {
			if s.tail {
				return s.rest(bad)
			}
			if err := s.lost(bad); err != nil {
				return err
			}
			continue
		}
		if err := s.batch(h, n); err != nil {
			return err
		}
	}
	return nil
}

// header reads the header at pos; bad says why no batch can be there. The header is a copy.
func (s *segmentReader) header(pos int64) (h batch.Batch, n int64, bad string, err error) {
	left := s.size - pos
	if left < batch.HeaderSize {
		return nil, 0, fmt.Sprintf("%d bytes are left, a batch header has %d", left, batch.HeaderSize), nil
	}
	b, err := s.bytes(pos, batch.HeaderSize)
	if err != nil {
		return nil, 0, "", err
	}
	n, serr := batch.SizeOf(b)
	h = batch.Batch(append([]byte(nil), b...))
	o, delta := h.BaseOffset(), int64(h.LastOffsetDelta())
	switch {
	case serr != nil:
		return nil, 0, serr.Error(), nil
	case n > left:
		return nil, 0, fmt.Sprintf("a batch of %d bytes, and %d are left", n, left), nil
	case o < s.want:
		return nil, 0, fmt.Sprintf("offset %d, where %d or more is due", o, s.want), nil
	case delta < 0 || int64(o-s.base) > math.MaxInt32-delta:
		return nil, 0, fmt.Sprintf("offset %d and %d after it do not fit a segment that begins at %d", o, delta, s.base), nil
	case s.sure(pos) && s.ext.limit >= 0 && o+batch.Offset(delta) >= s.ext.limit:
		return nil, 0, fmt.Sprintf("offset %d and %d after it, where %d is the next that is elsewhere", o, delta, s.ext.limit), nil
	}
	return h, n, "", nil
}

// batch shows and checks the batch at pos, and goes past it.
func (s *segmentReader) batch(h batch.Batch, n int64) error {
	pos := s.pos
	shown := s.show() && h.NextOffset() > s.o.From
	var bad error
	var b batch.Batch
	if shown || !s.show() {
		var err error
		if b, bad, err = s.whole(h, n); err != nil {
			return s.unreadable(s.window, pos, err)
		}
	}
	if bad != nil && s.tail {
		return s.rest(bad.Error())
	}
	s.gap(h)
	s.comp.note(h)
	if bad != nil {
		err := s.damage(at(s.name, pos, pos+n).offsets(h.BaseOffset(), h.NextOffset()), "%v; restore the file from a copy, or delete the records", bad)
		if err != nil {
			return err
		}
	}
	if shown {
		if err := s.showBatch(h, b, pos, n, bad == nil); err != nil {
			return err
		}
	}
	if err := s.check.batch(s.run, h, pos); err != nil {
		return err
	}
	s.pos, s.want, s.sum = pos+n, h.NextOffset(), sumOf(h, s.sum)
	s.count++
	return nil
}

// sumOf carries the chain over the prefixes of batches on.
func sumOf(h batch.Batch, sum uint32) uint32 { return crc32.Update(sum, castagnoli, h[:batchCRCFrom]) }

// summed compares the chain over the prefixes below pos with what it should be.
func (s *segmentReader) summed() error {
	if s.ext.summed == "" || s.holes || s.sum == s.ext.prefixes {
		return nil
	}
	return s.damage(at(s.name, 0, s.pos).offsets(s.base, s.want), "the first %d bytes of all batches add up to %s, %s says %s: an offset, epoch or length was changed; restore the file from a copy",
		batchCRCFrom, hex32(s.sum), s.ext.summed, hex32(s.ext.prefixes))
}

// whole reads the batch and checks it. b is nil when it is too large for more than its CRC.
func (s *segmentReader) whole(h batch.Batch, n int64) (b batch.Batch, bad, err error) {
	if n > MaxBatch {
		got, err := s.crc(s.pos+batchCRCFrom, s.pos+n)
		if err == nil && got != h.CRC() {
			bad = fmt.Errorf("%w: CRC is %08x, header says %08x", batch.ErrCorrupt, got, h.CRC())
		}
		return nil, bad, err
	}
	raw, err := s.bytes(s.pos, int(n))
	if err != nil {
		return nil, nil, err
	}
	b = batch.Batch(raw)
	return b, b.Check(), nil
}

// gap notes offsets that no batch holds.
func (s *segmentReader) gap(h batch.Batch) {
	if h.BaseOffset() == s.want || s.o.Compacted {
		return
	}
	s.comp.gap(at(s.name, s.pos, s.pos+8).offsets(s.want, h.BaseOffset())) // the base offset may be what is damaged
}

// gap keeps a gap for tell.
func (c *compaction) gap(p place) {
	if c != nil && len(c.gaps) < maxGaps {
		c.gaps = append(c.gaps, p)
	}
}

// note looks for what only the log cleaner makes: a delete horizon, or offsets that are not all there.
func (c *compaction) note(h batch.Batch) {
	if c != nil && !h.Control() && (h.Attributes()&horizonBit != 0 || h.Count() != h.LastOffsetDelta()+1) {
		c.seen = true
	}
}

// tell reports the gaps, once all batches of the log were seen.
func (c *compaction) tell(r *run) error {
	for _, p := range c.gaps {
		if c.seen {
			continue
		}
		err := r.damage(p, "offsets [%d, %d) are missing at byte %d: a file, or a part of one, was lost, or the offset there is damaged; restore the file from a copy (if the log is compacted, use --compacted)",
			p.first, p.next, p.lo)
		if err != nil {
			return err
		}
	}
	return nil
}

// atPromise compares what was read with what the checkpoint says ends here.
func (s *segmentReader) atPromise() error {
	if s.ext.gap && s.pos == s.ext.sure {
		s.want = max(s.want, s.ext.next)
	}
	if s.ext.next != batch.NoOffset && s.pos == s.ext.sure && s.want != s.ext.next {
		return s.damage(at(s.name, s.pos, s.pos).offsets(min(s.want, s.ext.next), max(s.want, s.ext.next)),
			"byte %d is where offset %d ends, but the checkpoint says %d", s.pos, s.want, s.ext.next)
	}
	if s.pos > s.ext.sure {
		return s.damage(at(s.name, s.ext.sure, s.pos), "the checkpoint says that byte %d ends a batch, but one goes on to byte %d", s.ext.sure, s.pos)
	}
	if s.pos == s.ext.sure {
		return s.summed()
	}
	return nil
}

// rest is what lies above the promise and is no batch.
func (s *segmentReader) rest(bad string) error {
	lo := s.pos
	s.pos = s.size
	return s.note(at(s.name, lo, s.size), "no whole batch: %s; %s", bad, s.ext.above)
}

// finish checks the end.
func (s *segmentReader) finish() error {
	if s.ext.sure != math.MaxInt64 {
		switch {
		case s.size < s.ext.sure:
			return s.damage(at(s.name, s.size, s.ext.sure).offsets(s.want, max(s.ext.next, batch.NoOffset)),
				"the file has %d bytes, but %d were durable; restore it from a copy", s.size, s.ext.sure)
		case s.ext.above == "" && s.size > s.ext.sure:
			return s.damage(at(s.name, s.ext.sure, s.size), "the checkpoint of a clean stop says %d bytes, the file has %d; restore one of them from a copy", s.ext.sure, s.size)
		case !s.tail:
			if err := s.atPromise(); err != nil {
				return err
			}
		}
	}
	if s.ext.sure == math.MaxInt64 && s.pos == s.size {
		if err := s.summed(); err != nil {
			return err
		}
	}
	return s.check.end(s.run, s.size)
}

// maxTries bounds how many places are tried as the beginning of a batch behind a damaged one.
const maxTries = 64

// lost reports a stretch in which no batch can be found, and goes on behind it.
func (s *segmentReader) lost(bad string) error {
	lo := s.pos
	first := s.want
	s.holes = true
	pos, next, err := s.resync(lo + 1)
	if err != nil {
		return s.unreadable(s.window, lo, err)
	}
	p := at(s.name, lo, pos).offsets(first, next)
	if next == batch.NoOffset {
		p = p.offsets(first, max(s.ext.next, batch.NoOffset))
	}
	s.pos = pos
	if next != batch.NoOffset {
		s.want = next
	} else if s.ext.next > s.want {
		s.want = s.ext.next
	}
	s.check.skip(pos)
	if s.show() {
		if err := s.row(s.name, "lost", Field{"at", lo}, Field{"size", pos - lo}, Field{"state", "bad"}); err != nil {
			return err
		}
	}
	return s.damage(p, "no batch: %s; restore the file from a copy", bad)
}

// resync looks for the next good batch from pos on. next is NoOffset, and pos the end of the file, when none is found.
func (s *segmentReader) resync(pos int64) (at int64, next batch.Offset, err error) {
	for tries := 0; pos+batch.HeaderSize <= s.size && tries < maxTries; pos++ {
		b, err := s.bytes(pos, batch.HeaderSize)
		if err != nil {
			return pos, batch.NoOffset, err
		}
		if b[16] != 2 || b[0] != 0 && s.base < 1<<56 {
			continue
		}
		h, n, bad, err := s.header(pos)
		if err != nil {
			return pos, batch.NoOffset, err
		}
		if bad != "" || n > MaxBatch {
			continue
		}
		tries++
		raw, err := s.bytes(pos, int(n))
		if err != nil {
			return pos, batch.NoOffset, err
		}
		if batch.Batch(raw).Check() == nil {
			return pos, h.BaseOffset(), nil
		}
	}
	return s.size, batch.NoOffset, nil
}
