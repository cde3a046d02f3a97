package segment

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// placed is a batch and where it lies.
type placed struct {
	batch.Batch
	pos int64
}

// fill makes a segment of n batches of random sizes, times and gaps.
func fill(t testing.TB, rng *rand.Rand, n, interval int) (*Segment, []placed) {
	t.Helper()
	fs := disk.NewMem()
	s, err := Create(fs, "/", 1000, interval)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Release() })
	var all []placed
	next := batch.Offset(1000)
	for range n {
		var b batch.Builder
		for range rng.IntN(5) + 1 {
			b.Add(time.UnixMilli(rng.Int64N(500)), nil, make([]byte, rng.IntN(300)))
		}
		next += batch.Offset(rng.IntN(3)) // compaction leaves gaps
		one := b.Batch()
		one.Stamp(next, 3)
		next = one.NextOffset()
		if err := s.Write([][]byte{one}, s.Size()); err != nil {
			t.Fatal(err)
		}
		all = append(all, placed{one, s.Size()})
		s.Append(one, int64(len(one)))
	}
	return s, all
}

func TestIndexFindsWhatALinearSearchFinds(t *testing.T) {
	for _, interval := range []int{1, 500, 4096, 1 << 20} {
		s, all := fill(t, rand.New(rand.NewPCG(uint64(interval), 1)), 400, interval)
		for o := batch.Offset(995); o < all[len(all)-1].NextOffset()+3; o++ {
			floor := s.FloorOffset(o)
			found, ok, err := s.Find(o, floor, s.Size())
			i := slices.IndexFunc(all, func(p placed) bool { return p.NextOffset() > o })
			if err != nil || ok != (i >= 0) || ok && found.Pos != all[i].pos {
				t.Fatalf("interval %d, offset %d: %d, %t, %v; want batch %d", interval, o, found.Pos, ok, err, i)
			}
		}
		for ms := int64(-1); ms < 502; ms++ { // no batch before the floor is as new
			floor := s.FloorTime(ms)
			for _, p := range all {
				if p.pos < floor && p.MaxTimestamp() >= ms {
					t.Fatalf("interval %d, time %d: floor %d is beyond the batch at %d", interval, ms, floor, p.pos)
				}
			}
		}
		for pos := range s.Size() {
			floor := s.FloorPosition(pos)
			if floor > pos || !slices.ContainsFunc(all, func(p placed) bool { return p.pos == floor }) {
				t.Fatalf("interval %d: the floor of %d is %d", interval, pos, floor)
			}
		}
		newest := slices.MaxFunc(all, func(a, b placed) int {
			if a.MaxTimestamp() != b.MaxTimestamp() {
				return int(a.MaxTimestamp() - b.MaxTimestamp())
			}
			return int(b.pos - a.pos) // the first of equals
		})
		if got := s.Newest(); got != (Stamp{Time: newest.MaxTimestamp(), Base: newest.BaseOffset(), Pos: newest.pos}) {
			t.Errorf("newest %+v, want %d at %d", got, newest.MaxTimestamp(), newest.pos)
		}
	}
}

func TestScanRebuildsTheIndex(t *testing.T) {
	s, all := fill(t, rand.New(rand.NewPCG(7, 7)), 1000, 600)
	again := open(nil, s.file, s.Path, s.Base, 600)
	var seen int
	next, err := again.Scan(s.Size(), func(h batch.Batch) {
		if h.BaseOffset() != all[seen].BaseOffset() {
			t.Errorf("batch %d has offset %d", seen, h.BaseOffset())
		}
		seen++
	})
	if err != nil || next != all[len(all)-1].NextOffset() || seen != len(all) {
		t.Fatalf("next %d after %d batches, %v", next, seen, err)
	}
	if !reflect.DeepEqual(again.heap, s.heap) || !reflect.DeepEqual(again.prefixes, s.prefixes) || again.PrefixSum() != s.PrefixSum() || again.Next() != s.Next() || again.Newest() != s.Newest() || again.Size() != s.Size() {
		t.Error("the index or the sums rebuilt differ from those kept while writing")
	}
}

func TestWalkRefusesWhatIsNoBatch(t *testing.T) {
	s, all := fill(t, rand.New(rand.NewPCG(3, 3)), 20, 4096)
	none := func(int64, batch.Batch, int64) bool { return true }
	for _, cut := range []int64{1, batch.HeaderSize - 1, batch.HeaderSize, int64(len(all[19].Batch)) - 1} {
		if err := s.Walk(0, all[19].pos+cut, none); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut %d bytes into the last batch: %v", cut, err)
		}
	}
	if err := s.Walk(0, s.Size()+100, none); err == nil {
		t.Error("walked beyond the end")
	}
	if err := s.Walk(1, s.Size(), none); !errors.Is(err, ErrCorrupt) {
		t.Error("walked from the middle of a batch:", err)
	}
	back := open(nil, s.file, s.Path, s.Base, 4096)
	first := slices.Clone(all[10].Batch)
	first.Stamp(all[3].BaseOffset(), 3)
	if err := s.Write([][]byte{first}, all[10].pos); err != nil {
		t.Fatal(err)
	}
	if _, err := back.Scan(s.Size(), nil); !errors.Is(err, ErrCorrupt) || back.Size() != all[10].pos {
		t.Errorf("S1: offsets that go back: %v at %d, want the end of what is good, %d", err, back.Size(), all[10].pos)
	}
}

// Of data batches Walk and Scan give the header, of control batches all, wherever they lie in what is read at once.
func TestWalkGivesControlBatchesWhole(t *testing.T) {
	s, all := fill(t, rand.New(rand.NewPCG(4, 4)), 3, 100)
	rng := rand.New(rand.NewPCG(9, 9))
	for i := range 600 {
		var b batch.Builder
		b.Add(time.UnixMilli(1), nil, make([]byte, rng.IntN(700)))
		one := b.Batch()
		if i%3 == 0 {
			one = batch.EndTxnMarker(batch.Commit, 1, 2, 3, time.UnixMilli(5))
		}
		if i == 300 || i == 330 { // one that is as large as it may be, and one that is larger
			b.Add(time.UnixMilli(1), nil, make([]byte, MaxControl-70+i-300))
			one = b.Batch()
			one[22] |= 0x20
		}
		one.Stamp(s.Next(), 3)
		all = append(all, placed{one, s.Size()})
		if err := s.Write([][]byte{one}, s.Size()); err != nil {
			t.Fatal(err)
		}
		s.Append(one, int64(len(one)))
	}
	check := func(i int, h batch.Batch) {
		want := all[i].Batch
		if !want.Control() || len(want) > MaxControl {
			want = want[:batch.HeaderSize]
		}
		if !bytes.Equal(h, want) {
			t.Fatalf("batch %d of %d bytes, control %t: %d bytes are given", i, len(all[i].Batch), all[i].Control(), len(h))
		}
	}
	i := 0
	if err := s.Walk(0, s.Size(), func(_ int64, h batch.Batch, _ int64) bool { check(i, h); i++; return true }); err != nil || i != len(all) {
		t.Fatal(i, err)
	}
	if i = 0; len(all[303].Batch) != MaxControl || len(all[333].Batch) <= MaxControl {
		t.Error(len(all[303].Batch), len(all[333].Batch))
	}
	again := open(nil, s.file, s.Path, s.Base, 600)
	if _, err := again.Scan(s.Size(), func(h batch.Batch) { check(i, h); i++ }); err != nil || i != len(all) {
		t.Fatal(i, err)
	}
}

func TestReferences(t *testing.T) {
	s, _ := fill(t, rand.New(rand.NewPCG(1, 2)), 1, 100)
	s.Acquire()
	if err := errors.Join(s.Release()); err != nil {
		t.Fatal(err)
	}
	if err := s.ReadAt(make([]byte, 1), 0); err != nil {
		t.Error("S3: closed while held:", err)
	}
	s.Acquire() // for the cleanup
	defer func() {
		if recover() == nil {
			t.Error("one release too many goes unnoticed")
		}
	}()
	other := open(nil, s.file, s.Path, 0, 1)
	_ = other.Release()
	_ = other.Release()
}

// FuzzScan opens whatever a disk may hold: no panic, no batch beyond the file, and what was scanned can be found again.
func FuzzScan(f *testing.F) {
	s, all := fill(f, rand.New(rand.NewPCG(5, 5)), 6, 200)
	whole := make([]byte, s.Size())
	if err := s.ReadAt(whole, 0); err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:all[3].pos+30])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := disk.NewMem().Create("/f")
		if err != nil {
			t.Fatal(err)
		}
		if err := file.WriteVec([][]byte{data}, 0); err != nil {
			t.Fatal(err)
		}
		s := open(nil, file, "/f", 1000, 100)
		next, err := s.Scan(int64(len(data)), nil)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		if s.Size() > int64(len(data)) || next < s.Base {
			t.Fatalf("size %d of %d bytes, next offset %d", s.Size(), len(data), next)
		}
		if err := s.Walk(0, s.Size(), func(pos int64, h batch.Batch, _ int64) bool {
			if found, ok, err := s.Find(h.BaseOffset(), s.FloorOffset(h.BaseOffset()), s.Size()); found.Pos != pos || !ok || err != nil {
				t.Fatalf("offset %d lies at %d and is found at %d, %v", h.BaseOffset(), pos, found.Pos, err)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
	})
}
