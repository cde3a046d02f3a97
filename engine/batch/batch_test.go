package batch

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func build(n int) Batch {
	b := Builder{ProducerID: 7, ProducerEpoch: 2, BaseSequence: 2147483646, Sequenced: true}
	for i := range n {
		key := []byte(fmt.Sprint("key", i))
		if i%3 == 0 {
			key = nil
		}
		b.Add(time.UnixMilli(int64(1000+i)), key, bytes.Repeat([]byte{byte(i)}, i*20), Header{[]byte("h"), []byte("v")}, Header{[]byte("empty"), nil})
	}
	return b.Batch()
}

// TestBuilderAgreesWithOracle has franz-go's kmsg read what the builder wrote.
func TestBuilderAgreesWithOracle(t *testing.T) {
	b := build(5)
	b.Stamp(99, 4)
	var k kmsg.RecordBatch
	if err := k.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	if k.FirstOffset != 99 || k.PartitionLeaderEpoch != 4 || k.Magic != 2 || uint32(k.CRC) != b.ComputeCRC() || k.LastOffsetDelta != 4 ||
		k.FirstTimestamp != 1000 || k.MaxTimestamp != 1004 || k.ProducerID != 7 || k.ProducerEpoch != 2 || k.FirstSequence != 2147483646 || k.NumRecords != 5 {
		t.Fatalf("the oracle reads %+v", k)
	}
	if b.LastSequence() != 2 {
		t.Fatalf("last sequence %d: sequences wrap after 2147483647", b.LastSequence())
	}
	rest := k.Records
	i := 0
	err := b.Each(func(r Record) bool {
		var kr kmsg.Record
		if err := kr.ReadFrom(rest); err != nil {
			t.Fatal(err)
		}
		n, width := kmsgVarint(rest)
		rest = rest[width+n:]
		if r.Offset != Offset(99+i) || r.Timestamp != int64(1000+i) || !bytes.Equal(r.Key, kr.Key) || (r.Key == nil) != (i%3 == 0) || !bytes.Equal(r.Value, kr.Value) {
			t.Fatalf("record %d: %+v, the oracle has %+v", i, r, kr)
		}
		if d := cmp.Diff(r.Headers(), []Header{{[]byte("h"), []byte("v")}, {[]byte("empty"), nil}}); d != "" {
			t.Fatal(d)
		}
		i++
		return true
	})
	if err != nil || i != 5 {
		t.Fatalf("%d records, %v", i, err)
	}
}

func kmsgVarint(b []byte) (n, width int) {
	v, rest, _ := varint(b)
	return int(v), len(b) - len(rest)
}

// TestCheckFindsEveryFlip flips every bit of a batch. Bytes 0 to 15 are outside the CRC: the log stamps 0..7 and 12..15, and a wrong
// length shows in the structure.
func TestCheckFindsEveryFlip(t *testing.T) {
	good := build(4)
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			b, err := First(bad)
			if err == nil && len(b) == len(good) {
				err = b.CheckFresh()
			}
			stamped := i < 8 || i >= 12 && i < 16
			if stamped != (err == nil && len(b) == len(good)) {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
		}
	}
}

func TestFirst(t *testing.T) {
	good := build(1)
	for n := range good {
		if _, err := First(good[:n]); !errors.Is(err, ErrShort) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	two := append(bytes.Clone(good), good...)
	if b, err := First(two); err != nil || len(b) != len(good) || cap(b) != len(good) {
		t.Fatalf("first of two: %d bytes, %v", len(b), err)
	}
	old := bytes.Clone(good)
	old[atMagic] = 1
	if _, err := First(old); !errors.Is(err, ErrMagic) {
		t.Fatal(err)
	}
	for _, n := range []int32{-1, -2147483648, 0, 48} {
		bad := bytes.Clone(good)
		bad[8], bad[9], bad[10], bad[11] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
		if _, err := First(bad); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("length %d: %v", n, err)
		}
	}
}

// TestLyingCountsAreRefused rewrites fields and mends the CRC, as a hostile producer would.
func TestLyingCountsAreRefused(t *testing.T) {
	for name, lie := range map[string]func(b Batch){
		"more records":       func(b Batch) { b[60]++ },
		"fewer records":      func(b Batch) { b[60]-- },
		"no records":         func(b Batch) { b[60] = 0 },
		"negative count":     func(b Batch) { b[57] = 0xff },
		"larger last delta":  func(b Batch) { b[26]++ },
		"unknown codec":      func(b Batch) { b[22] |= 7 },
		"negative epoch":     func(b Batch) { b[51] = 0xff },
		"negative sequence":  func(b Batch) { b[53] = 0xff },
		"producer id -2":     func(b Batch) { copy(b[43:], []byte{255, 255, 255, 255, 255, 255, 255, 254}) },
		"record too long":    func(b Batch) { b[HeaderSize]++ },
		"record length lies": func(b Batch) { b[HeaderSize] = 0x7f },
	} {
		b := build(4)
		lie(b)
		if err := seal(b).CheckFresh(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	b := build(20)
	if n := testing.AllocsPerRun(100, func() {
		b.Stamp(5, 1)
		if x, err := First(b); err != nil || x.CheckFresh() != nil {
			t.Fatal("a good batch was refused")
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzBatch(f *testing.F) {
	f.Add([]byte(build(3)), true)
	f.Add([]byte(build(1))[:70], false)
	f.Fuzz(func(t *testing.T, in []byte, mend bool) {
		b, err := First(bytes.Clone(in))
		if err != nil {
			return
		}
		if mend { // so that the fuzzer gets past the CRC
			old := bytes.Clone(b[:12])
			seal(b)
			copy(b, old)
		}
		if b.Check() != nil {
			return
		}
		n := int32(0)
		if b.Codec() == None {
			if err := b.Each(func(r Record) bool { n++; _ = r.Headers(); return true }); err != nil || n != b.Count() {
				t.Fatalf("Check accepts, Each finds %d of %d records: %v", n, b.Count(), err)
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	x := build(60)
	b.SetBytes(int64(len(x)))
	for b.Loop() {
		if x.Check() != nil {
			b.Fatal("refused")
		}
	}
}

// TestPrefixSumAndCRCLeaveNothingOut flips every bit of a batch: its own CRC notices, or the chain over the prefixes does, and never both
// are silent.
func TestPrefixSumAndCRCLeaveNothingOut(t *testing.T) {
	var x Builder
	x.Add(time.UnixMilli(5), []byte("k"), []byte("value"))
	b := x.Batch()
	b.Stamp(1<<40, 7)
	before, want := uint32(0x1234), b.PrefixSum(0x1234)
	for bit := range 8 * len(b) {
		b[bit/8] ^= 1 << (bit % 8)
		if b.ComputeCRC() == b.CRC() && b.PrefixSum(before) == want {
			t.Errorf("bit %d goes unnoticed", bit)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	if b.PrefixSum(before) != want || b[:HeaderSize].PrefixSum(before) != want || b.PrefixSum(0) == want {
		t.Error("the sum is not one of the prefix and of what came before")
	}
	if n := testing.AllocsPerRun(100, func() { b.PrefixSum(before) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPrefixSum(b *testing.B) {
	var x Builder
	x.Add(time.UnixMilli(5), nil, nil)
	one, sum := x.Batch(), uint32(0)
	for b.Loop() {
		sum = one.PrefixSum(sum)
	}
}

// Only the broker itself may leave the sequence out, and only in a transaction.
func TestBatchesWithoutSequence(t *testing.T) {
	for _, c := range []struct{ transactional, stored, fresh bool }{{true, true, false}, {false, false, false}} {
		b := Builder{ProducerID: 7, ProducerEpoch: 1, BaseSequence: NoSequence, Sequenced: true, Transactional: c.transactional}
		b.Add(time.UnixMilli(1), []byte("k"), []byte("v"))
		got := b.Batch()
		if stored, fresh := got.Check() == nil, got.CheckFresh() == nil; stored != c.stored || fresh != c.fresh || got.Transactional() != c.transactional {
			t.Errorf("%+v: stored %t, fresh %t", c, stored, fresh)
		}
	}
}
