package compact

import (
	"errors"
	"fmt"
	"math"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
)

// ErrUnreadable: the batch is what its producer sent, for its CRC is right, but its compressed records do not decompress, do
// not parse, or any records are larger than RecordsLimit. One such batch must not keep a log from being cleaned: Map passes it
// over and Clean gives it back unchanged, so the caller may count it and go on.
var ErrUnreadable = errors.New("records cannot be read")

// MemoryFactor times RecordsLimit bounds what a Cleaner holds of one batch: its records decompressed, what is left of them
// (once), and, for a batch that gets a delete horizon, these with timestamp deltas that may have grown (a record of 7 bytes to
// 17, in a buffer that grows by half).
const MemoryFactor = codec.MemoryFactor + 1 + 4

// keepScratch is how large a buffer may be to be kept for the next round.
const keepScratch = 4 << 20

// Options sizes a Cleaner. The zero value gives the defaults.
type Options struct {
	MapBytes int // memory for the offset map; default 128 MiB as Kafka's log.cleaner.dedupe.buffer.size

	// RecordsLimit is the largest size of a batch's records, decompressed, in bytes; default 64 MiB, at most 512 MiB. Whoever
	// raises it has one round of each log start at the log's start: batches that become readable have replaced nothing yet.
	RecordsLimit int
}

// Defaults of Options.
const (
	DefaultMapBytes     = 128 << 20
	DefaultRecordsLimit = 64 << 20
	maxRecordsLimit     = 512 << 20 // a batch's length is an int32, and records may grow 2.5-fold: see MemoryFactor
)

// Round is what one pass of cleaning is told.
type Round struct {
	Start batch.Offset // where the last round ended: everything below is cleaned
	End   batch.Offset // the map ends here at the latest: the first offset too young, not stable, or of the active segment
	NowMs int64        // one reading of the clock for the round

	// DeleteRetentionMs is how long a tombstone is kept after the first round that could have dropped it
	// (Kafka's delete.retention.ms).
	DeleteRetentionMs int64

	// Aborted says whether a transactional batch belongs to an aborted transaction; every transaction with a batch below End
	// must be decided. Nil means that nothing is known: then transactional records replace no others, and transactional tombstones
	// and markers stay, which is safe but leaves more than need be. Going from nil to a function, a round has to start at the log's start.
	Aborted func(batch.Batch) bool

	// KeepEmpty says whether a producer's batch that ends at lastOffset must stay, without records, because it holds the last
	// sequence that is known of the producer. Nil keeps none.
	KeepEmpty func(id batch.ProducerID, lastOffset batch.Offset) bool
}

// Stats counts what was done. Counts of Clean add up with Add.
type Stats struct {
	Batches, Records, Bytes             int64 // in
	KeptBatches, KeptRecords, KeptBytes int64 // out
	Rewritten                           int64 // batches that came out with other bytes
	Emptied                             int64 // batches that came out with no records
	NoKey                               int64 // records dropped for having no key
	Tombstones                          int64 // tombstones dropped, their horizon passed
	Markers                             int64 // markers of transactions dropped, their horizon passed
	Unreadable                          int64 // batches given back unchanged with ErrUnreadable
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	s.Batches += o.Batches
	s.Records += o.Records
	s.Bytes += o.Bytes
	s.KeptBatches += o.KeptBatches
	s.KeptRecords += o.KeptRecords
	s.KeptBytes += o.KeptBytes
	s.Rewritten += o.Rewritten
	s.Emptied += o.Emptied
	s.NoKey += o.NoKey
	s.Tombstones += o.Tombstones
	s.Markers += o.Markers
	s.Unreadable += o.Unreadable
}

// Cleaner cleans one log at a time, round after round; one may serve many logs in turn. It is not safe for concurrent use. It
// never keeps a batch that it was given.
type Cleaner struct {
	offsets *OffsetMap
	limit   int

	round  Round
	mapped batch.Offset // the map covers [round.Start, mapped)
	next   batch.Offset // end of the last batch mapped
	full   bool
	live   map[batch.ProducerID]struct{} // those whose transaction has records left, where cleaning is, and no marker yet

	window  [windowSize]entry
	plain   []byte // records of the batch, decompressed
	kept    []byte // those that stay
	rebased []byte // and these with other timestamp deltas
}

// New takes the memory of the map.
func New(o Options) (*Cleaner, error) {
	if o.MapBytes == 0 {
		o.MapBytes = DefaultMapBytes
	}
	if o.RecordsLimit == 0 {
		o.RecordsLimit = DefaultRecordsLimit
	}
	if o.RecordsLimit < 0 || o.RecordsLimit > maxRecordsLimit {
		return nil, fmt.Errorf("records limit of %d bytes: give 1 to %d", o.RecordsLimit, maxRecordsLimit)
	}
	m, err := NewOffsetMap(o.MapBytes)
	if err != nil {
		return nil, err
	}
	return &Cleaner{offsets: m, limit: o.RecordsLimit, live: map[batch.ProducerID]struct{}{}}, nil
}

// Begin starts a round with an empty map. Large buffers of the last round are let go.
func (c *Cleaner) Begin(r Round) error {
	if r.Start < 0 || r.End < r.Start || r.End == maxOffset || r.DeleteRetentionMs < 0 {
		return fmt.Errorf("cleaning round over offsets [%d, %d) with a delete retention of %d ms is impossible", r.Start, r.End, r.DeleteRetentionMs)
	}
	c.offsets.Reset()
	c.round, c.mapped, c.next, c.full = r, r.Start, 0, false
	clear(c.live)
	for _, b := range []*[]byte{&c.plain, &c.kept, &c.rebased} {
		if cap(*b) > keepScratch {
			*b = nil
		}
	}
	return nil
}

// Mapped is the end of what the round cleans, and the Start of the next round: the first offset that Map has not seen.
func (c *Cleaner) Mapped() batch.Offset { return c.mapped }

// Keys is how many keys the map holds, and how many it can hold.
func (c *Cleaner) Keys() (n, limit int) { return c.offsets.Len(), c.offsets.Cap() }

// Map enters the batch's keys. Batches come in the order of the log; those below Start are passed over. It returns false when
// mapping is over because the map is full or End is reached; then the batch, or the rest of it, belongs to a later round.
// Errors: batch.ErrCorrupt, after which the round is to be given up; ErrUnreadable, after which mapping may go on.
func (c *Cleaner) Map(b batch.Batch) (more bool, err error) {
	if err := verify(b); err != nil {
		return false, err
	}
	if c.full || b.BaseOffset() >= c.round.End {
		return false, nil
	}
	if b.BaseOffset() < c.next {
		return false, fmt.Errorf("%w: a batch at offset %d after one that ends at %d", batch.ErrCorrupt, b.BaseOffset(), c.next)
	}
	c.next = b.NextOffset()
	if b.NextOffset() <= c.round.Start {
		return true, nil
	}
	if b.Control() || c.replacesNothing(b) {
		c.reach(b.NextOffset())
		return !c.full, nil
	}
	plain, err := c.records(b)
	if err == nil {
		err = c.judge(b, each(b, plain, func(record) {})) // all of it, before any of it counts
	}
	switch {
	case errors.Is(err, ErrUnreadable):
		c.reach(b.NextOffset())
		return !c.full, err
	case err != nil:
		return false, err
	}
	c.enter(b, plain)
	return !c.full, nil
}

// replacesNothing says that the batch's records are not to replace older ones.
func (c *Cleaner) replacesNothing(b batch.Batch) bool {
	return c.undecided(b) || c.aborted(b)
}

// undecided says that nobody knows whether the batch's transaction was committed.
func (c *Cleaner) undecided(b batch.Batch) bool { return b.Transactional() && c.round.Aborted == nil }

func (c *Cleaner) aborted(b batch.Batch) bool {
	return b.Transactional() && c.round.Aborted != nil && c.round.Aborted(b)
}

// entry is a record whose key is hashed. Records are taken by the window: see OffsetMap.touch.
type entry struct {
	digest
	at        batch.Offset
	end       int   // where it ends in the plain records
	ms        int64 // timestamp
	keyed     bool
	tombstone bool
}

const windowSize = 64

// enter puts the keys of a batch, up to End or the first that does not fit.
func (c *Cleaner) enter(b batch.Batch, plain []byte) {
	for len(plain) > 0 {
		n := 0
		for n < windowSize && len(plain) > 0 {
			r, rest, _ := cut(plain) // each has walked these bytes
			plain = rest
			if at := b.BaseOffset() + batch.Offset(r.offsetDelta); r.key != nil && at >= c.round.Start && at < c.round.End {
				c.window[n].digest, c.window[n].at = c.offsets.hash(r.key), at
				n++
			}
		}
		c.offsets.touch(c.window[:n])
		for i := range n {
			if e := &c.window[i]; !c.offsets.put(e.digest, e.at) {
				c.mapped, c.full = e.at, true
				return
			}
		}
	}
	c.reach(b.NextOffset())
}

// reach moves the end of the map on, to End at most.
func (c *Cleaner) reach(end batch.Offset) {
	c.mapped = min(max(c.mapped, end), c.round.End)
	c.full = c.mapped == c.round.End
}

// verify checks what must be right of any batch, and what the arithmetic here rests on. The records are checked where they
// are walked.
func verify(b batch.Batch) error {
	whole, err := batch.First(b)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", batch.ErrCorrupt, err)
	case len(whole) != len(b):
		return fmt.Errorf("%w: %d bytes given, the batch has %d", batch.ErrCorrupt, len(b), len(whole))
	case b.ComputeCRC() != b.CRC():
		return fmt.Errorf("%w: batch at offset %d: CRC is %08x, header says %08x", batch.ErrCorrupt, b.BaseOffset(), b.ComputeCRC(), b.CRC())
	case b.BaseOffset() < 0 || b.LastOffsetDelta() < 0 || b.BaseOffset() > math.MaxInt64-1-batch.Offset(b.LastOffsetDelta()):
		return fmt.Errorf("%w: base offset %d, last offset delta %d", batch.ErrCorrupt, b.BaseOffset(), b.LastOffsetDelta())
	case b.Count() < 0 || int64(b.Count()) > int64(b.LastOffsetDelta())+1:
		return fmt.Errorf("%w: batch at offset %d: %d records for offset deltas 0..%d", batch.ErrCorrupt, b.BaseOffset(), b.Count(), b.LastOffsetDelta())
	case b.Count() == 0 && b.Codec() == batch.None && len(b) != batch.HeaderSize:
		return fmt.Errorf("%w: batch at offset %d: no records, but %d bytes", batch.ErrCorrupt, b.BaseOffset(), len(b)-batch.HeaderSize)
	}
	return nil
}

// records are the plain records of a batch, valid until the next call; those of an uncompressed one are its own bytes.
func (c *Cleaner) records(b batch.Batch) ([]byte, error) {
	if b.Codec() == batch.None {
		if len(b.Records()) > c.limit {
			return nil, fmt.Errorf("%w: batch at offset %d: %d bytes, the limit is %d", ErrUnreadable, b.BaseOffset(), len(b.Records()), c.limit)
		}
		return b.Records(), nil
	}
	if b.Count() == 0 {
		return nil, nil
	}
	var err error
	if c.plain, err = codec.Decode(c.plain[:0], b.Codec(), b.Records(), c.limit); err != nil {
		return nil, c.judge(b, err)
	}
	return c.plain, nil
}

// judge says what a defect in the records means. Uncompressed ones were walked when they were appended, so it is the disk's;
// what lies in a compressed block was never looked at, so it is the producer's.
func (c *Cleaner) judge(b batch.Batch, err error) error {
	if err == nil {
		return nil
	}
	class := ErrUnreadable
	if b.Codec() == batch.None {
		class = batch.ErrCorrupt
	}
	return fmt.Errorf("%w: batch at offset %d, codec %d: %w", class, b.BaseOffset(), b.Codec(), err)
}
