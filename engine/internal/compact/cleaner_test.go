package compact

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
)

var codecs = []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd}

func newCleaner(t testing.TB, mapBytes, limit int) *Cleaner {
	c, err := New(Options{MapBytes: mapBytes, RecordsLimit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func kv(key, value string) rec { return rec{ms: 1000, key: []byte(key), value: []byte(value)} }

// logOf packs specs one after the other.
func logOf(t testing.TB, specs ...spec) (log []byte, end batch.Offset) {
	for _, s := range specs {
		s.base = end
		b := pack(t, s)
		log, end = append(log, b...), b.NextOffset()
	}
	return log, end
}

func offsets(t testing.TB, log []byte) (out []batch.Offset) {
	for _, b := range split(t, log) {
		for _, r := range unpack(t, b) {
			out = append(out, r.offset)
		}
	}
	return out
}

func wantOffsets(t testing.TB, log []byte, want ...batch.Offset) {
	t.Helper()
	if got := offsets(t, log); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("records at %v, want %v", got, want)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{MapBytes: 1}, {MapBytes: -1}, {RecordsLimit: -1}, {RecordsLimit: maxRecordsLimit + 1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	c := newCleaner(t, 1<<10, 1<<10)
	for _, r := range []Round{{Start: -1}, {Start: 2, End: 1}, {End: math.MaxInt64}, {DeleteRetentionMs: -1}} {
		if err := c.Begin(r); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
}

// TestTombstones follows one through its life (KIP-534).
func TestTombstones(t *testing.T) {
	c := newCleaner(t, 1<<16, 1<<16)
	for _, cd := range codecs {
		log, end := logOf(t, spec{codec: cd, records: []rec{kv("a", "1"), kv("b", "1")}}, spec{codec: cd, records: []rec{{ms: 7, key: []byte("a")}, kv("c", "1")}},
			spec{codec: cd, records: []rec{kv("z", "1")}})
		r := Round{End: end, NowMs: 1000, DeleteRetentionMs: 100}
		log, st := run(t, c, r, log)
		wantOffsets(t, log, 1, 2, 3, 4)
		dated := split(t, log)[1]
		if h, ok := deleteHorizon(dated); !ok || h != 1100 || st.Rewritten != 2 {
			t.Fatalf("codec %d: horizon %d %v, %+v", cd, h, ok, st)
		}
		if rs := unpack(t, dated); rs[0].ms != 7 || rs[1].ms != 1000 || dated.MaxTimestamp() != 1000 {
			t.Fatalf("timestamps moved: %v, largest %d", rs, dated.MaxTimestamp())
		}
		r.Start, r.NowMs = end, 1099
		if log, st = run(t, c, r, log); st.Rewritten != 0 || st.Tombstones != 0 {
			t.Fatalf("codec %d: before its horizon: %+v", cd, st)
		}
		r.NowMs = 1100
		if log, st = run(t, c, r, log); st.Tombstones != 1 {
			t.Fatalf("codec %d: at its horizon: %+v", cd, st)
		}
		wantOffsets(t, log, 1, 3, 4)
	}
}

// TestTombstoneRetentionSaturates: delete.retention.ms may be the largest long.
func TestTombstoneRetentionSaturates(t *testing.T) {
	c := newCleaner(t, 1<<16, 1<<16)
	log, end := logOf(t, spec{records: []rec{{ms: 7, key: []byte("a")}}})
	log, _ = run(t, c, Round{End: end, NowMs: 1000, DeleteRetentionMs: math.MaxInt64}, log)
	if h, ok := deleteHorizon(split(t, log)[0]); !ok || h != math.MaxInt64 {
		t.Fatalf("horizon %d, %v", h, ok)
	}
	if rs := unpack(t, split(t, log)[0]); rs[0].ms != 7 {
		t.Fatalf("the timestamp moved: %v", rs)
	}
}

// TestLogAppendTime: there the largest timestamp is that of all records, whichever stay.
func TestLogAppendTime(t *testing.T) {
	c := newCleaner(t, 1<<16, 1<<16)
	log, end := logOf(t, spec{bits: logAppendTimeBit, records: []rec{{ms: 9000, key: []byte("a"), value: []byte("1")}, kv("b", "1")}}, spec{records: []rec{kv("a", "2")}})
	log, _ = run(t, c, Round{End: end}, log)
	wantOffsets(t, log, 1, 2)
	if b := split(t, log)[0]; b.MaxTimestamp() != 9000 {
		t.Fatalf("log-append time became %d", b.MaxTimestamp())
	}
}

// TestUndecidedTransactions: with no knowledge of aborts a transactional record replaces nothing, but is replaced.
func TestUndecidedTransactions(t *testing.T) {
	c := newCleaner(t, 1<<16, 1<<16)
	log, end := logOf(t, spec{records: []rec{kv("a", "1")}}, spec{bits: transactionalBit, producer: 4, records: []rec{kv("a", "2"), kv("b", "1")}},
		spec{records: []rec{kv("b", "2")}})
	log, _ = run(t, c, Round{End: end}, log)
	wantOffsets(t, log, 0, 1, 3)
}

// TestMarkers follows those of an aborted transaction, of a committed one that is replaced, and of one that is not.
func TestMarkers(t *testing.T) {
	tx := func(id batch.ProducerID, keys ...string) spec {
		s := spec{bits: transactionalBit, producer: id}
		for _, k := range keys {
			s.records = append(s.records, kv(k, "1"))
		}
		return s
	}
	ends := func(id batch.ProducerID, kind byte) spec {
		return spec{bits: transactionalBit | controlBit, producer: id, records: []rec{{ms: 7, key: []byte{0, 0, 0, kind}, value: make([]byte, 6)}}}
	}
	other := ends(2, 9) // of no transaction
	log, end := logOf(t, tx(1, "a"), ends(1, 0), tx(1, "b"), ends(1, 1), tx(1, "c"), ends(1, 1), other, spec{records: []rec{kv("b", "2"), kv("z", "1")}})
	c := newCleaner(t, 1<<16, 1<<16)
	unknown, _ := run(t, c, Round{End: end, NowMs: 1, DeleteRetentionMs: 100}, log)
	wantOffsets(t, unknown, 0, 1, 3, 4, 5, 6, 7, 8) // b is replaced; whatever else stays, markers do
	keep := batch.Offset(-1)
	r := Round{
		End: end, NowMs: 1000, DeleteRetentionMs: 100, Aborted: func(b batch.Batch) bool { return b.BaseOffset() == 0 },
		KeepEmpty: func(_ batch.ProducerID, last batch.Offset) bool { return last == keep },
	}
	log, st := run(t, c, r, log)
	wantOffsets(t, log, 1, 3, 4, 5, 6, 7, 8)
	for i, b := range split(t, log)[:2] {
		if h, ok := deleteHorizon(b); !ok || h != 1100 || unpack(t, b)[0].ms != 7 || st.Markers != 0 {
			t.Errorf("marker %d: horizon %d %t, %v, %+v", i, h, ok, unpack(t, b), st)
		}
		if got, _, ok := b.ControlType(); !ok || int(got) != i {
			t.Errorf("marker %d is of type %d, %t", i, got, ok)
		}
	}
	r.Start, r.NowMs = end, 1099
	if log, st = run(t, c, r, log); st.Rewritten != 0 || st.Markers != 0 {
		t.Errorf("before its horizon: %+v", st)
	}
	r.NowMs, keep = 1100, 3
	if log, st = run(t, c, r, log); st.Markers != 2 || st.Emptied != 1 {
		t.Errorf("at its horizon: %+v", st)
	}
	wantOffsets(t, log, 4, 5, 6, 7, 8)
	if b := split(t, log)[0]; b.BaseOffset() != 3 || b.Count() != 0 || !b.Control() {
		t.Errorf("of the marker that its producer's epoch is known by, %x is left", []byte(b))
	}
	keep = -1
	if log, st = run(t, c, r, log); st.Markers != 0 || split(t, log)[0].BaseOffset() != 4 {
		t.Errorf("an emptied marker that nobody wants: %+v", st)
	}
}

// TestUndecidedTombstonesStay: else what they delete would come back, since they have replaced nothing.
func TestUndecidedTombstonesStay(t *testing.T) {
	c := newCleaner(t, 1<<16, 1<<16)
	log, end := logOf(t, spec{records: []rec{kv("a", "1")}}, spec{bits: transactionalBit, producer: 4, records: []rec{{ms: 1, key: []byte("a")}}})
	for now := range int64(3) {
		var st Stats
		if log, st = run(t, c, Round{End: end, NowMs: 1000 * now, DeleteRetentionMs: 1}, log); st.Rewritten != 0 || st.KeptRecords != 2 {
			t.Fatalf("round %d: %+v", now, st)
		}
	}
	committed := func(batch.Batch) bool { return false }
	log, _ = run(t, c, Round{End: end, NowMs: 5000, DeleteRetentionMs: 1, Aborted: committed}, log)
	wantOffsets(t, log, 1)
}

// TestRangeEndsInsideBatch: Start and End need not be the borders of batches (K7).
func TestRangeEndsInsideBatch(t *testing.T) {
	log, end := logOf(t, spec{records: []rec{kv("a", "1"), kv("a", "2"), kv("a", "3"), kv("a", "4")}}, spec{records: []rec{kv("a", "5")}})
	c := newCleaner(t, SlotSize, 1<<16)
	log, _ = run(t, c, Round{End: 2}, log)
	wantOffsets(t, log, 1, 2, 3, 4)
	if c.Mapped() != 2 {
		t.Fatalf("mapped to %d", c.Mapped())
	}
	log, _ = run(t, c, Round{Start: 2, End: end}, log)
	wantOffsets(t, log, 4)
	if bs := split(t, log); len(bs) != 1 { // the first batch is not the last, so its header need not stay
		t.Fatalf("%d batches", len(bs))
	}
}

// damage gives a batch of each codec whose CRC is right and whose records are not.
func damage(t testing.TB, cd batch.Codec) map[string]batch.Batch {
	good := pack(t, spec{codec: cd, records: []rec{kv("a", "1"), kv("b", "2")}})
	plain, err := codec.Decode(nil, cd, good.Records(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	with := func(records []byte, change func(b batch.Batch)) batch.Batch {
		out, err := codec.Encode(bytes.Clone(good[:batch.HeaderSize]), cd, records)
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(out)
		}
		seal(out)
		return out
	}
	count := func(n uint32) func(batch.Batch) {
		return func(b batch.Batch) { binary.BigEndian.PutUint32(b[atCount:], n) }
	}
	lies := bytes.Clone(plain)
	lies[len(lies)-3] = 0x7e // the last record's value is longer than the record
	out := map[string]batch.Batch{
		"cut off":        with(plain[:len(plain)-1], nil),
		"one too many":   with(append(bytes.Clone(plain), plain...), nil),
		"fewer":          with(plain, count(1)),
		"value too long": with(lies, nil),
		"same offset":    with(append(bytes.Clone(plain[:len(plain)/2]), plain[:len(plain)/2]...), nil),
		"beyond the end": with(plain, func(b batch.Batch) { binary.BigEndian.PutUint32(b[23:], 0); count(1)(b) }),
	}
	if cd != batch.None {
		garbage := append(bytes.Clone(good[:batch.HeaderSize]), "this is not compressed"...)
		seal(garbage)
		out["garbage"] = garbage
		big := pack(t, spec{codec: cd, records: []rec{kv("a", string(make([]byte, 1<<20)))}})
		out["too large"] = big
	}
	return out
}

// TestUnreadableBatchesStay: one bad producer does not keep the rest from being cleaned; and none of a bad batch's keys counts.
func TestUnreadableBatchesStay(t *testing.T) {
	for _, cd := range codecs {
		for name, bad := range damage(t, cd) {
			c := newCleaner(t, 1<<16, 1<<20)
			class := ErrUnreadable
			if cd == batch.None {
				class = batch.ErrCorrupt
			}
			first := pack(t, spec{records: []rec{kv("a", "0")}})
			bad.Stamp(1, 5)
			if err := c.Begin(Round{End: 100}); err != nil {
				t.Fatal(err)
			}
			if more, err := c.Map(first); !more || err != nil {
				t.Fatal(more, err)
			}
			more, err := c.Map(bad)
			if !errors.Is(err, class) || more != (class == ErrUnreadable) {
				t.Fatalf("codec %d %s: Map: %v, %v", cd, name, more, err)
			}
			if n, _ := c.Keys(); n != 1 {
				t.Fatalf("codec %d %s: %d keys of a batch that cannot be read", cd, name, n-1)
			}
			if class == batch.ErrCorrupt {
				c.mapped = 100 // as if it had not been damaged then
			}
			out, st, err := c.Clean([]byte("before"), bad)
			if !errors.Is(err, class) {
				t.Fatalf("codec %d %s: Clean: %v", cd, name, err)
			}
			want := "before"
			if class == ErrUnreadable {
				want += string(bad)
			}
			if string(out) != want || (st.Unreadable == 1) != (class == ErrUnreadable) {
				t.Fatalf("codec %d %s: %d bytes came out, %+v", cd, name, len(out)-6, st)
			}
		}
	}
}

// TestRecordsLimit: for uncompressed batches too.
func TestRecordsLimit(t *testing.T) {
	for _, cd := range codecs {
		b := pack(t, spec{codec: cd, records: []rec{kv("a", string(make([]byte, 1000))), kv("a", "2")}})
		for limit, want := range map[int]bool{1000: true, 1100: false} {
			c := newCleaner(t, 1<<16, limit)
			if err := c.Begin(Round{End: 2}); err != nil {
				t.Fatal(err)
			}
			_, mapErr := c.Map(b)
			out, _, err := c.Clean(nil, b)
			if errors.Is(mapErr, ErrUnreadable) != want || errors.Is(err, ErrUnreadable) != want || bytes.Equal(out, b) != want || c.Mapped() != 2 {
				t.Fatalf("codec %d limit %d: %v, %v", cd, limit, mapErr, err)
			}
		}
	}
}

// TestEveryFlipIsRefused: K5. Base offset and leader epoch lie outside the CRC.
func TestEveryFlipIsRefused(t *testing.T) {
	for _, cd := range codecs {
		good := pack(t, spec{codec: cd, records: []rec{kv("a", "1"), kv("a", "2"), {ms: 1, key: []byte("b")}}})
		c := newCleaner(t, 1<<16, 1<<20)
		for i := range good {
			if i < 8 || i >= 12 && i < 16 {
				continue
			}
			for bit := range 8 {
				bad := bytes.Clone(good)
				bad[i] ^= 1 << bit
				if err := c.Begin(Round{End: 10}); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Map(bad); !errors.Is(err, batch.ErrCorrupt) {
					t.Fatalf("codec %d, bit %d of byte %d: Map: %v", cd, bit, i, err)
				}
				if out, _, err := c.Clean([]byte("x"), bad); !errors.Is(err, batch.ErrCorrupt) || string(out) != "x" {
					t.Fatalf("codec %d, bit %d of byte %d: Clean: %v", cd, bit, i, err)
				}
			}
		}
	}
	c := newCleaner(t, 1<<16, 1<<20)
	b := pack(t, spec{base: 5, records: []rec{kv("a", "1")}})
	if err := c.Begin(Round{End: 10}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Map(b); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Map(b); !errors.Is(err, batch.ErrCorrupt) {
		t.Fatalf("the same offset twice: %v", err)
	}
	b.Stamp(math.MaxInt64, 5)
	if _, _, err := c.Clean(nil, b); !errors.Is(err, batch.ErrCorrupt) {
		t.Fatalf("an offset that ends the world: %v", err)
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestSteadyStateAllocatesNothing: map and clean, with and without losses, uncompressed, snappy, lz4 and zstd.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under -race")
	}
	for _, cd := range []batch.Codec{batch.None, batch.Snappy, batch.LZ4, batch.Zstd} {
		log, end := benchLog(t, cd, 1<<20, 1000)
		bs := split(t, log)
		c := newCleaner(t, 1<<20, 1<<20)
		out := make([]byte, 0, 2*len(log))
		if n := testing.AllocsPerRun(20, func() {
			if err := c.Begin(Round{End: end}); err != nil {
				t.Fatal(err)
			}
			out = roundOver(t, c, bs, out[:0])
		}); n > 1 { // the codecs' pools may be emptied by a collection
			t.Errorf("codec %d: %v allocations to clean %d batches", cd, n, len(bs))
		}
	}
}

func roundOver(t testing.TB, c *Cleaner, bs []batch.Batch, out []byte) []byte {
	for _, b := range bs {
		if _, err := c.Map(b); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range bs {
		var err error
		if out, _, err = c.Clean(out, b); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestMemoryIsBounded: K6, with the batches that need most: many tiny tombstones, which grow when they get a horizon.
func TestMemoryIsBounded(t *testing.T) {
	const limit = 2 << 20
	var records []rec
	for i := range limit / 11 {
		records = append(records, rec{ms: 0, key: binary.AppendUvarint(nil, uint64(i%64))})
	}
	for _, cd := range codecs {
		b := pack(t, spec{codec: cd, records: records})
		c := newCleaner(t, 1<<16, limit)
		if err := c.Begin(Round{End: b.NextOffset(), NowMs: math.MaxInt64 / 2, DeleteRetentionMs: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Map(b); err != nil {
			t.Fatal(err)
		}
		c.offsets.Reset() // so that all stay
		out := make([]byte, 0, 4*limit)
		if n := allocated(func() {
			var st Stats
			var err error
			if out, st, err = c.Clean(out, b); err != nil || st.Rewritten != 1 {
				t.Fatal(st, err)
			}
		}); n > 3*MemoryFactor*limit { // all buffers the growing one went through, not only those alive
			t.Errorf("codec %d: %d bytes allocated with a limit of %d", cd, n, limit)
		}
		if n := cap(c.plain) + cap(c.kept) + cap(c.rebased); n > MemoryFactor*limit {
			t.Errorf("codec %d: %d bytes held with a limit of %d", cd, n, limit)
		}
		if err := c.Begin(Round{}); err != nil || cap(c.rebased) > keepScratch {
			t.Errorf("codec %d: %d bytes kept for the next round, %v", cd, cap(c.rebased), err)
		}
	}
}

// FuzzClean: no panic on any batch, errors of the two classes only, K3, K4, and bounded memory.
func FuzzClean(f *testing.F) {
	for _, cd := range codecs {
		f.Add([]byte(pack(f, spec{codec: cd, records: []rec{kv("a", "1"), kv("a", "2"), {ms: 5, key: []byte("b")}, {value: []byte("x")}}})), int64(4), int64(5), true)
		for _, bad := range damage(f, cd) {
			if len(bad) < 10_000 {
				f.Add([]byte(bad), int64(1), int64(9), false)
			}
		}
	}
	f.Add([]byte(batch.EndTxnMarker(batch.Abort, 1, 2, 3, time.UnixMilli(4))), int64(4), int64(5), true)
	c := newCleaner(f, 100*SlotSize, 1<<20)
	f.Fuzz(func(t *testing.T, in []byte, end, now int64, keep bool) {
		in = bytes.Clone(in)
		if len(in) >= batch.HeaderSize {
			in[16] = 2
			seal(in) // so that the fuzzer gets past the CRC
		}
		r := Round{End: batch.Offset(end & (1<<40 - 1)), NowMs: now, DeleteRetentionMs: 1, KeepEmpty: func(batch.ProducerID, batch.Offset) bool { return keep }}
		if end&(1<<41) != 0 {
			r.Aborted = func(batch.Batch) bool { return keep }
		}
		if err := c.Begin(r); err != nil {
			t.Fatal(err)
		}
		var out []byte
		var st Stats
		var mapErr, err error
		used := allocated(func() {
			_, mapErr = c.Map(in)
			out, st, err = c.Clean(nil, in)
		})
		if used > 3*MemoryFactor<<20+uint64(4*len(in)) {
			t.Fatalf("%d bytes allocated for a batch of %d", used, len(in))
		}
		for _, e := range []error{mapErr, err} {
			if e != nil && !errors.Is(e, batch.ErrCorrupt) && !errors.Is(e, ErrUnreadable) {
				t.Fatal(e)
			}
		}
		if errors.Is(err, ErrUnreadable) != (st.Unreadable == 1) || errors.Is(err, batch.ErrCorrupt) && len(out) != 0 || int64(len(out)) != st.KeptBytes {
			t.Fatalf("%d bytes came out, %+v, %v", len(out), st, err)
		}
		if err != nil || len(out) == 0 {
			return
		}
		before, after := batch.Batch(in), batch.Batch(out)
		if before.Check() == nil && after.Check() != nil || after.BaseOffset() != before.BaseOffset() || after.LastOffset() != before.LastOffset() {
			t.Fatalf("a good batch became a bad one: %v", after.Check())
		}
		if again, _, err := c.Clean(nil, after); (now+1 > now) && (err != nil || !bytes.Equal(again, out)) {
			t.Fatalf("cleaning twice changes more: %v\n%x\n%x", err, out, again)
		}
	})
}
