package compact

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
)

const (
	transactionalBit = 0x10
	controlBit       = 0x20
)

// tb is what *testing.T, *testing.B and *rapid.T have in common.
type tb interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// spec says how a batch is made; the zero value is one plain batch of no producer.
type spec struct {
	base     batch.Offset
	codec    batch.Codec
	bits     int16
	producer batch.ProducerID // 0: none
	records  []rec
}

// rec is a record as tests know it.
type rec struct {
	offset     batch.Offset
	ms         int64
	key, value []byte
	header     string
}

func (r rec) String() string {
	return fmt.Sprintf("%d@%d %q=%q (%s)", r.offset, r.ms, r.key, r.value, r.header)
}

// pack makes the bytes of a batch.
func pack(t tb, s spec) batch.Batch {
	b := batch.Builder{ProducerID: s.producer, ProducerEpoch: 3, BaseSequence: batch.Sequence(s.base), Sequenced: s.producer != 0}
	for _, r := range s.records {
		var hs []batch.Header
		if r.header != "" {
			hs = []batch.Header{{Key: []byte("h"), Value: []byte(r.header)}}
		}
		b.Add(time.UnixMilli(r.ms), r.key, r.value, hs...)
	}
	plain := b.Batch()
	out, err := codec.Encode(append([]byte(nil), plain[:batch.HeaderSize]...), s.codec, plain.Records())
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint16(out[atAttributes:], uint16(s.bits)|uint16(s.codec))
	batch.Batch(out).Stamp(s.base, 5)
	seal(out)
	return out
}

var decompressor = kgo.DefaultDecompressor()

// unpack has the oracle, franz-go, read a batch.
func unpack(t tb, b batch.Batch) (out []rec) {
	var k kmsg.RecordBatch
	if err := k.ReadFrom(b); err != nil {
		t.Fatalf("the oracle cannot read the batch: %v", err)
	}
	if uint32(k.CRC) != b.ComputeCRC() || int(k.Length) != len(b)-batch.Overhead {
		t.Fatalf("CRC %08x, length %d of %d bytes", uint32(k.CRC), k.Length, len(b))
	}
	plain, err := decompressor.Decompress(k.Records, kgo.CompressionCodecType(k.Attributes&codecMask))
	if err != nil {
		t.Fatalf("the oracle cannot decompress: %v", err)
	}
	for range k.NumRecords {
		n, width := binary.Varint(plain)
		var r kmsg.Record
		if err := r.ReadFrom(plain[:width+int(n)]); err != nil {
			t.Fatalf("the oracle cannot read a record: %v", err)
		}
		plain = plain[width+int(n):]
		x := rec{offset: batch.Offset(k.FirstOffset + int64(r.OffsetDelta)), ms: k.FirstTimestamp + r.TimestampDelta64, key: r.Key, value: r.Value}
		for _, h := range r.Headers {
			x.header += string(h.Value)
		}
		out = append(out, x)
	}
	if len(plain) != 0 {
		t.Fatalf("%d bytes after the records", len(plain))
	}
	return out
}

// split cuts a log into batches.
func split(t tb, log []byte) (out []batch.Batch) {
	for len(log) > 0 {
		b, err := batch.First(log)
		if err != nil {
			t.Fatal(err)
		}
		out, log = append(out, b), log[len(b):]
	}
	return out
}

// model is a log and what cleaning must make of it.
type model struct {
	specs    map[batch.Offset]spec // as appended, by base offset
	log      []byte
	next     batch.Offset
	horizon  map[batch.Offset]int64 // by base offset of the batch
	gone     map[batch.Offset]bool  // tombstones and markers expired
	aborted  map[batch.Offset]bool  // batches, by base offset
	preserve map[batch.Offset]bool  // last offsets that KeepEmpty keeps
}

func (m *model) append(t tb, s spec, aborted, preserve bool) {
	s.base = m.next
	for i := range s.records {
		s.records[i].offset = s.base + batch.Offset(i)
	}
	m.specs[s.base] = s
	b := pack(t, s)
	m.log = append(m.log, b...)
	m.next = b.NextOffset()
	m.aborted[s.base], m.preserve[b.LastOffset()] = aborted, preserve
}

// run does a round as the package comment says, and returns the new log.
func run(t tb, c *Cleaner, r Round, log []byte) ([]byte, Stats) {
	if err := c.Begin(r); err != nil {
		t.Fatal(err)
	}
	for _, b := range split(t, log) {
		if more, err := c.Map(b); err != nil {
			t.Fatal(err)
		} else if !more {
			break
		}
	}
	return sweep(t, c, log)
}

func sweep(t tb, c *Cleaner, log []byte) (out []byte, sum Stats) {
	for _, b := range split(t, log) {
		var st Stats
		var err error
		before := len(out)
		if out, st, err = c.Clean(out, b); err != nil {
			t.Fatal(err)
		}
		if int64(len(out)-before) != st.KeptBytes || st.Batches != 1 {
			t.Fatalf("%d bytes came out, the stats say %+v", len(out)-before, st)
		}
		sum.Add(st)
	}
	return out, sum
}

// expire brings the model's tombstones up to the round; end is where cleaning reaches.
func (m *model) expire(r Round, end batch.Offset) {
	for base, s := range m.specs {
		h, dated := m.horizon[base]
		for _, x := range s.records {
			if dated && h <= r.NowMs && x.value == nil && x.offset < end {
				m.gone[x.offset] = true
			}
		}
	}
	want := m.want(end)
	m.expireMarkers(r, want, end)
	for base, s := range m.specs {
		if _, dated := m.horizon[base]; dated || s.bits&controlBit != 0 || base+batch.Offset(len(s.records)) > end {
			continue
		}
		for _, x := range s.records {
			if _, stays := want[x.offset]; stays && x.value == nil {
				m.horizon[base] = r.NowMs + r.DeleteRetentionMs
			}
		}
	}
}

// expireMarkers does so for markers whose transaction has no records left in want.
func (m *model) expireMarkers(r Round, want map[batch.Offset]rec, end batch.Offset) {
	live := map[batch.ProducerID]bool{}
	for _, base := range slices.Sorted(maps.Keys(m.specs)) {
		s := m.specs[base]
		h, dated := m.horizon[base]
		switch marker := s.bits&controlBit != 0; {
		case base >= end || marker && m.gone[base]: // of another batch, that is its first record
		case marker && live[s.producer]:
			live[s.producer] = false
		case marker && !dated:
			m.horizon[base] = r.NowMs + r.DeleteRetentionMs
		case marker && h <= r.NowMs:
			m.gone[base] = true
		case s.bits&transactionalBit != 0:
			for _, x := range s.records {
				_, stays := want[x.offset]
				live[s.producer] = live[s.producer] || stays && !marker
			}
		}
	}
}

// want is every record that must be in a log cleaned up to end.
func (m *model) want(end batch.Offset) map[batch.Offset]rec {
	last := map[string]batch.Offset{}
	out := map[batch.Offset]rec{}
	for base, s := range m.specs {
		for _, x := range s.records {
			control := s.bits&controlBit != 0
			switch {
			case x.offset >= end || control && !m.gone[base]:
				out[x.offset] = x
			case control:
			case x.key != nil && !m.aborted[base]:
				out[x.offset] = x
				if o, ok := last[string(x.key)]; !ok || o < x.offset {
					last[string(x.key)] = x.offset
				}
			}
		}
	}
	for o, x := range out {
		if s := m.specOf(o); o < end && s.bits&controlBit == 0 && (last[string(x.key)] != o || m.gone[o]) {
			delete(out, o)
		}
	}
	return out
}

func (m *model) specOf(o batch.Offset) spec {
	for ; ; o-- {
		if s, ok := m.specs[o]; ok {
			return s
		}
	}
}

// compare checks a cleaned log, batch by batch and record by record.
func (m *model) compare(t tb, log []byte, end batch.Offset) {
	want, n := m.want(end), 0
	for _, b := range split(t, log) {
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		s, ok := m.specs[b.BaseOffset()]
		if !ok {
			t.Fatalf("a batch at offset %d, where none was", b.BaseOffset())
		}
		m.compareHeader(t, b, s, end)
		newest := int64(0)
		for _, got := range unpack(t, b) {
			x, ok := want[got.offset]
			if !ok || fmt.Sprint(got) != fmt.Sprint(x) || (got.value == nil) != (x.value == nil) || (got.key == nil) != (x.key == nil) {
				t.Fatalf("end %d: found record %v, want %v (%v)", end, got, x, ok)
			}
			newest = max(newest, got.ms)
			n++
		}
		if b.Count() > 0 && newest != b.MaxTimestamp() {
			t.Fatalf("largest timestamp is %d, header says %d", newest, b.MaxTimestamp())
		}
	}
	if n != len(want) {
		t.Fatalf("end %d: %d records, want %d: %v", end, n, len(want), want)
	}
}

func (m *model) compareHeader(t tb, b batch.Batch, s spec, end batch.Offset) {
	orig := pack(t, s)
	h, dated := m.horizon[s.base]
	bits := orig.Attributes()
	if b.Count() == 0 {
		bits &^= codecMask
		last := b.NextOffset() == end
		if !last && !(m.preserve[b.LastOffset()] && s.producer != 0) {
			t.Fatalf("an empty batch at %d stayed for no reason", s.base)
		}
	} else if dated {
		bits |= deleteHorizonBit
		if b.BaseTimestamp() != h {
			t.Fatalf("delete horizon %d, want %d", b.BaseTimestamp(), h)
		}
	}
	if b.Attributes() != bits || b.LastOffset() != orig.LastOffset() || b.LeaderEpoch() != 5 || b.ProducerID() != orig.ProducerID() ||
		b.ProducerEpoch() != orig.ProducerEpoch() || b.BaseSequence() != orig.BaseSequence() || b.LastSequence() != orig.LastSequence() {
		t.Fatalf("the header changed:\n%x\n%x", orig[:batch.HeaderSize], b[:batch.HeaderSize])
	}
}

func genSpec(t *rapid.T) (s spec, aborted, preserve bool) {
	s.codec = batch.Codec(rapid.IntRange(0, 4).Draw(t, "codec"))
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if kind >= 4 {
		s.producer = batch.ProducerID(rapid.IntRange(1, 3).Draw(t, "producer"))
	}
	if kind >= 7 {
		s.bits |= transactionalBit
		aborted = kind == 9
	}
	preserve = rapid.IntRange(0, 3).Draw(t, "preserve") == 0
	if kind == 8 && rapid.Bool().Draw(t, "control") {
		s.bits, s.codec = s.bits|controlBit, batch.None
		s.records = []rec{{ms: 1, key: []byte{0, 0, 0, byte(rapid.IntRange(0, 1).Draw(t, "commit"))}, value: []byte{0, 0, 0, 0, 0, 9}}}
		return s, false, preserve
	}
	n := rapid.IntRange(1, 8).Draw(t, "records")
	if rapid.IntRange(0, 19).Draw(t, "long") == 0 {
		n *= 30 // several windows
	}
	for range n {
		r := rec{ms: rapid.Int64Range(1, 1<<41).Draw(t, "ms")}
		if k := rapid.IntRange(0, 12).Draw(t, "key"); k > 0 {
			r.key = bytes.Repeat([]byte{byte('a' + k)}, k*k*k/5) // keys of 0 to 345 bytes
		}
		if v := rapid.IntRange(0, 5).Draw(t, "value"); v > 1 {
			r.value = bytes.Repeat([]byte{byte('0' + v)}, v*v*v)
		} else if v == 1 {
			r.value = []byte{}
		}
		if rapid.IntRange(0, 3).Draw(t, "header") == 0 {
			r.header = "head"
		}
		s.records = append(s.records, r)
	}
	return s, aborted, preserve
}

// salted makes a map the same in every run, so that what rapid finds can be repeated.
func salted(m *OffsetMap, salt byte) {
	m.draw = func(p []byte) {
		salt++
		clear(p)
		p[0] = salt
	}
	m.Reset()
}

// TestModel cleans random histories in several rounds, with maps too small for one, and more appended between the rounds.
// A failing seed is printed by rapid; repeat it with go test -run TestModel -rapid.seed=N ./engine/internal/compact
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { modelRun(t) })
}

func modelRun(t *rapid.T) {
	m := &model{specs: map[batch.Offset]spec{}, horizon: map[batch.Offset]int64{}, gone: map[batch.Offset]bool{},
		aborted: map[batch.Offset]bool{}, preserve: map[batch.Offset]bool{}}
	slots := rapid.IntRange(1, 20).Draw(t, "slots")
	c, err := New(Options{MapBytes: slots * SlotSize, RecordsLimit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	salted(c.offsets, rapid.Byte().Draw(t, "salt"))
	start, now := batch.Offset(0), int64(1000)
	for range rapid.IntRange(1, 6).Draw(t, "rounds") {
		for range rapid.IntRange(1, 6).Draw(t, "batches") {
			s, aborted, preserve := genSpec(t)
			m.append(t, s, aborted, preserve)
		}
		now += rapid.Int64Range(0, 300).Draw(t, "passes")
		r := Round{
			Start: start, End: m.next - batch.Offset(rapid.IntRange(0, int(m.next-start)).Draw(t, "too young")), NowMs: now, DeleteRetentionMs: 100,
			Aborted:   func(b batch.Batch) bool { return m.aborted[b.BaseOffset()] },
			KeepEmpty: func(id batch.ProducerID, last batch.Offset) bool { return m.preserve[last] },
		}
		cleaned, _ := run(t, c, r, m.log)
		end := c.Mapped()
		if end < start || end > r.End || end == start && r.End > start {
			t.Fatalf("a round over [%d, %d) got to %d", start, r.End, end)
		}
		m.expire(r, end)
		m.compare(t, cleaned, end)
		if again, st := sweep(t, c, cleaned); !bytes.Equal(again, cleaned) || st.Rewritten != 0 {
			t.Fatalf("cleaning twice changes more: %+v", st)
		}
		if last := split(t, cleaned); end == m.next && last[len(last)-1].NextOffset() != m.next {
			t.Fatalf("the last batch of the range is gone: the log ends at %d, was %d", last[len(last)-1].NextOffset(), m.next)
		}
		m.log, start = cleaned, end
	}
}

// TestState is the promise to users, in its simplest form: reading the cleaned log gives the same state as reading all of it.
func TestState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log []byte
		var next batch.Offset
		for range rapid.IntRange(1, 30).Draw(t, "batches") {
			s, _, _ := genSpec(t)
			s.bits, s.base = 0, next
			b := pack(t, s)
			log, next = append(log, b...), b.NextOffset()
		}
		c, err := New(Options{MapBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		cleaned, _ := run(t, c, Round{End: next, NowMs: 1, DeleteRetentionMs: 1}, log)
		if a, b := state(t, log), state(t, cleaned); !slices.Equal(a, b) {
			t.Fatalf("all of it gives %v, cleaned it gives %v", a, b)
		}
		if n, _ := c.Keys(); n > 14 || c.Mapped() != next {
			t.Fatalf("%d keys, mapped to %d of %d", n, c.Mapped(), next)
		}
	})
}

func state(t tb, log []byte) (out []string) {
	last := map[string]string{}
	for _, b := range split(t, log) {
		for _, r := range unpack(t, b) {
			if r.key != nil {
				last[string(r.key)] = string(r.value)
				if r.value == nil {
					delete(last, string(r.key))
				}
			}
		}
	}
	for k, v := range last {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}
