package compact

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
)

// Clean appends to dst what is to stay of b: the same bytes, a smaller batch, or nothing. Every batch of the log below Mapped
// must go through it, in offset order from the start of the log, also those cleaned before; batches above may and come out as
// they are. dst must not overlap b.
//
// Errors: batch.ErrCorrupt, with dst as it was: give the round up, keep the old segment. ErrUnreadable, with b appended
// unchanged: note it and go on.
func (c *Cleaner) Clean(dst []byte, b batch.Batch) ([]byte, Stats, error) {
	if err := verify(b); err != nil {
		return dst, Stats{}, err
	}
	st := Stats{Batches: 1, Records: int64(b.Count()), Bytes: int64(len(b))}
	if b.BaseOffset() >= c.mapped {
		return append(dst, b...), st.passed(), nil
	}
	if b.Control() {
		dst, st = c.cleanControl(dst, b, st)
		return dst, st, nil
	}
	plain, err := c.records(b)
	if err == nil {
		var v verdict
		if v, err = c.filter(b, plain, &st); err == nil {
			dst, st = c.write(dst, b, v, st)
			c.note(b, st)
			return dst, st, nil
		}
		err = c.judge(b, err)
	}
	if errors.Is(err, ErrUnreadable) {
		st = Stats{Batches: 1, Records: int64(b.Count()), Bytes: int64(len(b)), Unreadable: 1}.passed()
		c.note(b, st)
		return append(dst, b...), st, err
	}
	return dst, Stats{}, err
}

// note remembers that a transaction has records left, so that its marker must stay.
func (c *Cleaner) note(b batch.Batch, st Stats) {
	if b.Transactional() && st.KeptRecords > 0 {
		c.live[b.ProducerID()] = struct{}{}
	}
}

// cleanControl appends what is to stay of a control batch. A marker whose transaction has no records left is given a delete horizon, like a
// tombstone, since who has read the records before may still come for it, and goes after that time.
func (c *Cleaner) cleanControl(dst []byte, b batch.Batch, st Stats) ([]byte, Stats) {
	t, _, ok := b.ControlType()
	_, live := c.live[b.ProducerID()]
	horizon, dated := deleteHorizon(b)
	switch marker := ok && (t == batch.Abort || t == batch.Commit); {
	case b.Count() == 0: // it was one
		return c.writeEmpty(dst, b, st)
	case marker && live:
		delete(c.live, b.ProducerID())
	case !marker || c.round.Aborted == nil:
	case !dated:
		return c.write(dst, b, verdict{kept: b.Records(), count: b.Count(), tombstones: true, newest: b.MaxTimestamp()}, st)
	case horizon <= c.round.NowMs:
		st.Markers = 1
		return c.writeEmpty(dst, b, st)
	}
	return append(dst, b...), st.passed()
}

// passed is st of a batch that came out as it was.
func (s Stats) passed() Stats {
	s.KeptBatches, s.KeptRecords, s.KeptBytes = s.Batches, s.Records, s.Bytes
	return s
}

// verdict is what filter found.
type verdict struct {
	kept       []byte // the records that stay, a view
	count      int32  // of them
	tombstones bool   // among them, so that the batch needs a delete horizon
	newest     int64  // their largest timestamp, ms
}

// sieve is a filter at work on one batch.
type sieve struct {
	verdict
	plain    []byte
	pos, run int  // plain[run:pos] stays and is not copied yet; all before run is copied or lost
	dropAll  bool // the transaction was aborted
	expired  bool // the tombstones may go
}

// filter finds the records that stay. Runs of them are copied together, and nothing is copied while nothing is lost.
func (c *Cleaner) filter(b batch.Batch, plain []byte, st *Stats) (verdict, error) {
	horizon, dated := deleteHorizon(b)
	s := sieve{plain: plain, dropAll: c.aborted(b), verdict: verdict{newest: math.MinInt64}}
	s.expired = dated && horizon <= c.round.NowMs && !c.undecided(b)
	n, end := 0, 0
	err := each(b, plain, func(r record) {
		end += len(r.raw)
		e := &c.window[n]
		e.at, e.end, e.ms = b.BaseOffset()+batch.Offset(r.offsetDelta), end, b.BaseTimestamp()+r.stampDelta
		e.keyed, e.tombstone = r.key != nil, r.tombstone
		e.digest = c.offsets.hash(r.key)
		if n++; n == windowSize {
			c.sift(&s, n, st)
			n = 0
		}
	})
	if err != nil {
		return verdict{}, err
	}
	c.sift(&s, n, st)
	if s.count == b.Count() {
		s.kept = plain
		return s.verdict, nil
	}
	c.kept = append(c.kept, plain[s.run:s.pos]...)
	s.kept = c.kept
	return s.verdict, nil
}

// sift decides about the first n records of the window.
func (c *Cleaner) sift(s *sieve, n int, st *Stats) {
	c.offsets.touch(c.window[:n])
	for i := range n {
		e := &c.window[i]
		if e.at >= c.mapped || !s.dropAll && c.stays(e, s.expired, st) {
			s.count++
			s.tombstones = s.tombstones || e.tombstone
			s.newest = max(s.newest, e.ms)
		} else {
			if s.run == 0 { // the first loss
				c.kept = slices.Grow(c.kept[:0], len(s.plain))
			}
			c.kept = append(c.kept, s.plain[s.run:s.pos]...)
			s.run = e.end
		}
		s.pos = e.end
	}
}

// stays decides about one record in [0, mapped).
func (c *Cleaner) stays(e *entry, expired bool, st *Stats) bool {
	if !e.keyed {
		st.NoKey++
		return false
	}
	if c.offsets.get(e.digest) > e.at {
		return false
	}
	if e.tombstone && expired {
		st.Tombstones++
		return false
	}
	return true
}

// deleteHorizon is the time, in ms, from which the tombstones of the batch may go; ok is false when it has none yet.
func deleteHorizon(b batch.Batch) (ms int64, ok bool) {
	return b.BaseTimestamp(), b.Attributes()&deleteHorizonBit != 0
}

// write appends what the verdict leaves of b.
func (c *Cleaner) write(dst []byte, b batch.Batch, v verdict, st Stats) ([]byte, Stats) {
	if v.count == 0 {
		return c.writeEmpty(dst, b, st)
	}
	_, dated := deleteHorizon(b)
	// A horizon says that everything these tombstones delete is gone, so all of them must have been in a map.
	date := v.tombstones && !dated && b.NextOffset() <= c.mapped && !c.undecided(b)
	if v.count == b.Count() && !date {
		return append(dst, b...), st.passed()
	}
	begin := len(dst)
	dst = append(dst, b[:batch.HeaderSize]...)
	h := batch.Batch(dst[begin:])
	if date {
		v.kept = c.date(h, v.kept)
	}
	if h.Attributes()&logAppendTimeBit == 0 { // else the one timestamp of all records
		binary.BigEndian.PutUint64(h[atMaxTimestamp:], uint64(v.newest))
	}
	binary.BigEndian.PutUint32(h[atCount:], uint32(v.count))
	dst, err := codec.Encode(dst, b.Codec(), v.kept)
	if err != nil || len(dst)-begin-batch.Overhead > math.MaxInt32 {
		panic(fmt.Sprintf("compact: %d bytes of records within a limit of %d make no batch: %v", len(v.kept), c.limit, err))
	}
	seal(dst[begin:])
	st.KeptBatches, st.KeptRecords, st.KeptBytes, st.Rewritten = 1, int64(v.count), int64(len(dst)-begin), 1
	return dst, st
}

// date writes the delete horizon into a header and gives the records with timestamps counted from it.
func (c *Cleaner) date(h batch.Batch, kept []byte) []byte {
	horizon := c.round.NowMs + c.round.DeleteRetentionMs
	if horizon < c.round.NowMs {
		horizon = math.MaxInt64 // kept for ever
	}
	c.rebased = appendRebased(c.rebased[:0], kept, horizon-h.BaseTimestamp())
	binary.BigEndian.PutUint16(h[atAttributes:], uint16(h.Attributes()|deleteHorizonBit))
	binary.BigEndian.PutUint64(h[atBaseTimestamp:], uint64(horizon))
	return c.rebased
}

// writeEmpty appends the header of a batch with no records left, if it must stay: as the last of the range it says where the
// range ended, which the log's end may hang on; as the last of its producer, which sequence comes next.
func (c *Cleaner) writeEmpty(dst []byte, b batch.Batch, st Stats) ([]byte, Stats) {
	last := b.NextOffset() >= c.mapped
	id := b.ProducerID()
	if !last && (id == batch.NoProducerID || c.round.KeepEmpty == nil || !c.round.KeepEmpty(id, b.LastOffset())) {
		return dst, st
	}
	begin := len(dst)
	dst = append(dst, b[:batch.HeaderSize]...)
	h := batch.Batch(dst[begin:])
	binary.BigEndian.PutUint16(h[atAttributes:], uint16(b.Attributes()&^(codecMask|deleteHorizonBit)))
	binary.BigEndian.PutUint64(h[atBaseTimestamp:], uint64(b.MaxTimestamp()))
	binary.BigEndian.PutUint32(h[atCount:], 0)
	seal(h)
	st.KeptBatches, st.KeptBytes, st.Emptied = 1, int64(len(h)), 1
	if string(h) != string(b) {
		st.Rewritten = 1
	}
	return dst, st
}

// seal writes length and CRC.
func seal(b batch.Batch) {
	binary.BigEndian.PutUint32(b[atLength:], uint32(len(b)-batch.Overhead))
	binary.BigEndian.PutUint32(b[atCRC:], b.ComputeCRC())
}
