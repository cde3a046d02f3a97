package index

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 draws one")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./engine/internal/index -run '^%s$' -seed=%d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

const base = batch.Offset(5000)

// placed is a batch's header and where it lies.
type placed struct {
	batch.Batch
	pos int64
}

// log makes n batches of random sizes, times and gaps; the last element of sizes is the end of the segment.
func log(rng *rand.Rand, n int) (all []placed, size int64) {
	next := base
	for range n {
		var b batch.Builder
		ms := rng.Int64N(2000) - 1
		if rng.IntN(20) == 0 {
			ms = -1 // a batch without timestamps
		}
		for range rng.IntN(3) + 1 {
			b.Add(time.UnixMilli(ms), nil, make([]byte, rng.IntN(400)))
		}
		next += batch.Offset(rng.IntN(3))
		one := b.Batch()
		one.Stamp(next, 1)
		next = one.NextOffset()
		all = append(all, placed{one, size})
		size += int64(len(one))
	}
	return all, size
}

// both builds both forms of one log's index, on Mem under /.
func both(t testing.TB, d disk.FS, dir string, all []placed, size, interval int64) (*Heap, *Files, Sums) {
	t.Helper()
	h := NewHeap(base, interval)
	tracker := NewTracker(interval)
	w, err := Create(d, dir, base)
	if err != nil {
		t.Fatal(err)
	}
	next := base
	for _, p := range all {
		h.Add(p.Batch[:batch.HeaderSize], p.pos)
		if point, due := tracker.Note(p.Batch, p.pos); due {
			if err := w.Add(point); err != nil {
				t.Fatal(err)
			}
		}
		next = p.NextOffset()
	}
	sums, err := w.Commit(&tracker)
	if err != nil {
		t.Fatal(err)
	}
	x, err := Open(d, dir, base, Bounds{Size: size, Next: next, Sums: &sums})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	if n, _ := x.Len(); n != h.Len() {
		t.Fatalf("%d entries in the files, %d in the heap", n, h.Len())
	}
	return &h, x, sums
}

func held(t testing.TB) {
	before, _ := disk.Held()
	t.Cleanup(func() {
		if now, _ := disk.Held(); now != before {
			t.Errorf("%d mappings are left open", now-before)
		}
	})
}

type bare struct{ disk.FS } // an FS that cannot map

// TestBothFormsFloorAlike is I1 and I2: every floor of both forms against a linear search, on every kind of FS.
func TestBothFormsFloorAlike(t *testing.T) {
	held(t)
	rng := newRand(t)
	for name, d := range map[string]disk.FS{"os": disk.OS{}, "mem": disk.NewMem(), "unmapped": bare{disk.NewMem()}} {
		for i, interval := range []int64{1, 500, 0, 1 << 20} {
			t.Run(fmt.Sprintf("%s/%d", name, interval), func(t *testing.T) {
				dir := t.TempDir()
				if err := d.MkdirAll(dir); err != nil {
					t.Fatal(err)
				}
				all, size := log(rng, []int{400, 300, 300, 20}[i])
				h, x, _ := both(t, d, dir, all, size, interval)
				if x.Mapped() != (name != "unmapped") {
					t.Errorf("mapped: %t", x.Mapped())
				}
				floorsMatch(t, all, size, h, x)
			})
		}
	}
}

func floorsMatch(t *testing.T, all []placed, size int64, h *Heap, x *Files) {
	t.Helper()
	starts := map[int64]bool{0: true}
	for _, p := range all {
		starts[p.pos] = true
	}
	same := func(what string, v int64, a int64, aerr error, b int64, berr error) int64 {
		if aerr != nil || berr != nil || a != b || !starts[a] || a >= size {
			t.Fatalf("%s %d: heap %d, %v; files %d, %v", what, v, a, aerr, b, berr)
		}
		return a
	}
	for o := base - 5; o < all[len(all)-1].NextOffset()+5; o++ {
		a, aerr := h.FloorOffset(o)
		b, berr := x.FloorOffset(o)
		floor := same("offset", int64(o), a, aerr, b, berr)
		if i := slices.IndexFunc(all, func(p placed) bool { return p.NextOffset() > o }); i >= 0 && floor > all[i].pos {
			t.Fatalf("offset %d lies at %d, the floor is %d", o, all[i].pos, floor)
		}
	}
	for ms := int64(-3); ms < 2003; ms++ {
		a, aerr := h.FloorTime(ms)
		b, berr := x.FloorTime(ms)
		if n := entriesBetween(t, x, a, b); aerr != nil || berr != nil || !starts[a] || !starts[b] || n < 0 || n >= chunkEntries {
			t.Fatalf("time %d: heap %d, %v; files %d, %v; %d entries apart", ms, a, aerr, b, berr, n)
		}
		floor := b // and so a
		if i := slices.IndexFunc(all, func(p placed) bool { return p.MaxTimestamp() >= ms }); i >= 0 && floor > all[i].pos {
			t.Fatalf("the first batch as new as %d lies at %d, the floor is %d", ms, all[i].pos, floor)
		}
	}
	for pos := int64(-1); pos <= size; pos++ {
		a, aerr := h.FloorPosition(pos)
		b, berr := x.FloorPosition(pos)
		if floor := same("position", pos, a, aerr, b, berr); floor > max(pos, 0) {
			t.Fatalf("position %d: the floor is %d", pos, floor)
		}
		next, ok, err := x.NextPosition(pos)
		if again, _ := h.FloorPosition(next); err != nil || ok && (next < pos || again != next) {
			t.Fatalf("position %d: the next is %d, %v", pos, next, err)
		}
		if before, _ := h.FloorPosition(next - 1); ok && before >= pos && before > 0 {
			t.Fatalf("position %d: the next is %d, but %d is indexed too", pos, next, before)
		}
	}
}

// entriesBetween counts the entries in (a, b].
func entriesBetween(t *testing.T, x *Files, a, b int64) (n int) {
	t.Helper()
	if a > b {
		return -1
	}
	for a < b {
		next, ok, err := x.NextPosition(a + 1)
		if !ok || err != nil {
			t.Fatalf("no entry above %d, %v", a, err)
		}
		a = next
		n++
	}
	return n
}

// TestHeapIsSmall counts what the index of 1 GiB of log holds at the densest.
func TestHeapIsSmall(t *testing.T) {
	var b batch.Builder
	b.Add(time.UnixMilli(1), nil, nil)
	h := b.Batch()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := NewHeap(base, 0)
	for pos, o := int64(0), base; pos < 1<<30; pos, o = pos+DefaultInterval+1, o+1 {
		h.Stamp(o, 1)
		x.Add(h, pos)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if held > 22<<20/10 || x.Len() < 1<<18-100 {
		t.Errorf("%d bytes of heap for %d entries", held, x.Len())
	}
	t.Logf("%d bytes of heap for %d entries of 1 GiB", held, x.Len())
	runtime.KeepAlive(x)
}

// TestLookupsAllocateNothing is I4.
func TestLookupsAllocateNothing(t *testing.T) {
	all, size := log(newRand(t), 300)
	h, x, _ := both(t, disk.OS{}, t.TempDir(), all, size, 100)
	for _, x := range []Index{h, x} {
		if n := testing.AllocsPerRun(100, func() {
			_, e1 := x.FloorOffset(base + 100)
			_, e2 := x.FloorPosition(size / 2)
			_, e3 := x.FloorTime(700)
			if e1 != nil || e2 != nil || e3 != nil {
				t.Fatal(e1, e2, e3)
			}
		}); n > 0 {
			t.Errorf("%T: %.0f allocations", x, n)
		}
	}
}

// BenchmarkFloorOffset looks up random offsets in the index of 1 GiB of log: 262,144 entries.
func BenchmarkFloorOffset(b *testing.B) {
	const n = 1 << 18
	d, dir := disk.OS{}, b.TempDir()
	h := NewHeap(base, 0)
	w, err := Create(d, dir, base)
	if err != nil {
		b.Fatal(err)
	}
	tracker := NewTracker(0)
	var one batch.Builder
	one.Add(time.UnixMilli(1), nil, nil)
	header := one.Batch()
	for i := range int64(n) {
		header.Stamp(base+batch.Offset(i), 1)
		h.Add(header, i*4097)
		if p, due := tracker.Note(header, i*4097); due {
			if err := w.Add(p); err != nil {
				b.Fatal(err)
			}
		}
	}
	sums, err := w.Commit(&tracker)
	if err != nil {
		b.Fatal(err)
	}
	x, err := Open(d, dir, base, Bounds{Size: n * 4097, Next: base + n, Sums: &sums})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = x.Close() }()
	for _, x := range []Index{&h, x} {
		b.Run(strings.TrimPrefix(fmt.Sprintf("%T", x), "*index."), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			for b.Loop() {
				o := batch.Offset(rng.IntN(n))
				pos, err := x.FloorOffset(base + o)
				if want := int64(o) * 4097; err != nil || pos != want {
					b.Fatalf("offset %d: %d, %v, want %d", o, pos, err, want)
				}
			}
		})
	}
}
