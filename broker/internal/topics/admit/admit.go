package admit

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
)

var (
	// ErrRecord: a record is not what the topic takes (Kafka: INVALID_RECORD).
	ErrRecord = errors.New("record is not what the topic takes")
	// ErrTimestamp: a record's time is not within the topic's limits (Kafka: INVALID_TIMESTAMP).
	ErrTimestamp = errors.New("record timestamp is out of range")
	// ErrPlain: the records are too large when decompressed (Kafka: MESSAGE_TOO_LARGE).
	ErrPlain = errors.New("records are too large when decompressed")
	// ErrReplicas: the topic wants more replicas in sync than there are (Kafka: NOT_ENOUGH_REPLICAS).
	ErrReplicas = errors.New("not enough replicas are in sync")
)

// PlainBytes is the most that a batch is decompressed to. A Java producer that is refused for its size splits the batch and sends the parts.
const PlainBytes = 16 << 20

// maxFaults bounds the list of bad records: one message is enough for the rest.
const maxFaults = 100

// Fault is one record that is refused: its index in the batch, and why.
type Fault struct {
	Index  int32
	Reason string
}

// Refusal is an error that names records. It unwraps to ErrRecord or ErrTimestamp. Nothing of the batch was taken.
type Refusal struct {
	Err    error
	Faults []Fault // the first hundred
	Total  int
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%v: %d of the batch, the first is record %d: %s", r.Err, r.Total, r.Faults[0].Index, r.Faults[0].Reason)
}

// Unwrap gives the class.
func (r *Refusal) Unwrap() error { return r.Err }

// Rules are what a topic asks. They do not change. The zero value asks for nothing but MinInsync 0; use Any for a topic without
// limits.
type Rules struct {
	RequiresKey bool        // compacted
	AppendTime  bool        // the broker's time counts
	BeforeMs    int64       // how old a record may be; math.MaxInt64: as old as it likes
	AfterMs     int64       // how far in the future
	Recode      bool        // records are kept in Codec, whatever they come in
	Codec       batch.Codec // where Recode
	MinInsync   int         // replicas that acks=all needs; there is one
}

// Any takes all batches as they are.
var Any = Rules{BeforeMs: math.MaxInt64, AfterMs: math.MaxInt64, MinInsync: 1}

// Acks says whether a batch may be taken that is to be acknowledged by all replicas in sync. Errors: ErrReplicas.
func (r *Rules) Acks(all bool) error {
	if all && r.MinInsync > 1 {
		return fmt.Errorf("%w: min.insync.replicas is %d and there is one replica; set it to 1", ErrReplicas, r.MinInsync)
	}
	return nil
}

// Admit holds a batch that has passed CheckFresh to the rules, and gives what is to be appended: b, which it may have stamped in place,
// or another in memory of its own. nowMs is the broker's time. Errors: *Refusal (ErrRecord, ErrTimestamp), ErrRecord for records that
// do not decompress, ErrPlain.
func (r *Rules) Admit(b batch.Batch, nowMs int64) (batch.Batch, error) {
	if b.LogAppendTime() {
		return nil, &Refusal{ErrTimestamp, []Fault{{0, "a producer must not set the timestamp type to LogAppendTime"}}, 1}
	}
	recode := r.Recode && b.Codec() != r.Codec
	walk := r.RequiresKey || !r.AppendTime && r.BeforeMs != math.MaxInt64
	if !recode && !walk {
		if ms := b.MaxTimestamp(); !r.AppendTime && r.late(ms, nowMs) {
			return nil, &Refusal{ErrTimestamp, []Fault{{b.Count() - 1, r.reason(ms, nowMs)}}, 1}
		}
	} else {
		out, err := r.open(b, recode, nowMs)
		if err != nil {
			return nil, err
		}
		b = out
	}
	if r.AppendTime {
		b.StampTime(nowMs)
	}
	return b, nil
}

// noTime is what a producer sends that has no clock.
const noTime = -1

func (r *Rules) late(ms, now int64) bool {
	return ms != noTime && r.AfterMs <= math.MaxInt64-now && ms > now+r.AfterMs
}

func (r *Rules) early(ms, now int64) bool { return ms != noTime && ms < now-r.BeforeMs }

func (r *Rules) reason(ms, now int64) string {
	return fmt.Sprintf("timestamp %d is not within [%d, %d] ms of the broker's time %d", ms, -r.BeforeMs, r.AfterMs, now)
}

// shop is the memory to decompress in, and the turns to do so (A2).
var (
	turns = make(chan struct{}, runtime.GOMAXPROCS(0))
	plain = sync.Pool{New: func() any { return new([]byte) }}
)

// keepBytes is how much memory a pool keeps for the next batch, until a garbage collection: what a bomb made it take, so that the next
// one is refused within milliseconds.
const keepBytes = PlainBytes + 256<<10

// largePacked is from what size on a batch gets the largest buffer at once: growing to it step by step would take as much again, and longer.
const largePacked = 64 << 10

// open looks at each record, and compresses them anew where recode says so.
func (r *Rules) open(b batch.Batch, recode bool, now int64) (batch.Batch, error) {
	if b.Codec() == batch.None && !recode {
		return b, r.records(b, now)
	}
	turns <- struct{}{}
	defer func() { <-turns }()
	buf := plain.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= keepBytes {
			plain.Put(buf)
		}
	}()
	open := b
	if b.Codec() != batch.None {
		if len(b) > largePacked && cap(*buf) < keepBytes {
			*buf = make([]byte, 0, keepBytes)
		}
		*buf = append((*buf)[:0], make([]byte, batch.HeaderSize)...)
		var err error
		if *buf, err = codec.Decode(*buf, b.Codec(), b.Records(), PlainBytes); err != nil {
			return nil, opened(err)
		}
		open = b.Recoded(*buf, batch.None)
		if err := open.CheckRecords(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRecord, err)
		}
	}
	if err := r.records(open, now); err != nil || !recode {
		return b, err
	}
	out, err := codec.Encode(make([]byte, batch.HeaderSize, batch.HeaderSize+len(open)/2), r.Codec, open.Records())
	if err != nil || len(out) > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %d bytes of records do not fit a batch again", ErrPlain, len(open))
	}
	return b.Recoded(out, r.Codec), nil
}

func opened(err error) error {
	if errors.Is(err, codec.ErrTooLarge) {
		return fmt.Errorf("%w: %w", ErrPlain, err)
	}
	return fmt.Errorf("%w: %w", ErrRecord, err)
}

// records looks at each record of an uncompressed batch. Errors: *Refusal; ErrRecord for bytes that are no records.
func (r *Rules) records(b batch.Batch, now int64) error {
	var bad *Refusal
	index := int32(0)
	err := b.Each(func(rec batch.Record) bool {
		switch {
		case !r.AppendTime && (r.early(rec.Timestamp, now) || r.late(rec.Timestamp, now)):
			bad = bad.add(ErrTimestamp, index, r.reason(rec.Timestamp, now))
		case r.RequiresKey && rec.Key == nil:
			bad = bad.add(ErrRecord, index, "a compacted topic takes no record without a key")
		}
		index++
		return true
	})
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrRecord, err)
	case bad != nil:
		return bad
	}
	return nil
}

// add files a fault. A timestamp that is wrong gives the class, whatever else is, as in Kafka.
func (r *Refusal) add(class error, index int32, reason string) *Refusal {
	if r == nil {
		r = &Refusal{Err: class}
	}
	if class == ErrTimestamp {
		r.Err = class
	}
	if r.Total++; len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, Fault{index, reason})
	}
	return r
}
