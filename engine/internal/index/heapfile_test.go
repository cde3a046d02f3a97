package index

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

func someHeap(batches int) (x Heap, size int64, next batch.Offset) {
	rng := rand.New(rand.NewPCG(1, uint64(batches)))
	x = NewHeap(500, 300)
	next = 500
	for range batches {
		var b batch.Builder
		b.Add(time.UnixMilli(rng.Int64N(1000)), nil, make([]byte, rng.IntN(200)))
		one := b.Batch()
		one.Stamp(next, 1)
		x.Add(one, size)
		size, next = size+int64(len(one)), next+1
	}
	return x, size, next
}

// An index that went through a recap answers as before, and goes on as before.
func TestHeapSurvivesARecap(t *testing.T) {
	for _, n := range []int{0, 1, 5, 1000, 3000} {
		x, size, next := someHeap(n)
		y, rest, err := ParseHeap(append(x.Append(nil), "rest"...), 500, size, next)
		if err != nil || string(rest) != "rest" || y.Len() != x.Len() {
			t.Fatalf("%d batches: %d entries, want %d, %q, %v", n, y.Len(), x.Len(), rest, err)
		}
		for range 300 { // both go on
			var b batch.Builder
			b.Add(time.UnixMilli(5), nil, make([]byte, 100))
			one := b.Batch()
			one.Stamp(next, 1)
			x.Add(one, size)
			y.Add(one, size)
			size, next = size+int64(len(one)), next+1
		}
		for o := batch.Offset(500); o < next; o++ {
			a, _ := x.FloorOffset(o)
			b, _ := y.FloorOffset(o)
			c, _ := x.FloorTime(int64(o))
			d, _ := y.FloorTime(int64(o))
			if a != b || c != d || x.Newest() != y.Newest() {
				t.Fatalf("%d batches, offset %d: %d and %d, time %d and %d", n, o, a, b, c, d)
			}
		}
	}
}

func FuzzParseHeap(f *testing.F) {
	for _, n := range []int{0, 3, 400} {
		x, _, _ := someHeap(n)
		f.Add(x.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, rest, err := ParseHeap(b, 500, 100_000, 900)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
			return
		}
		for o := batch.Offset(490); o < 910; o += 7 {
			if pos, err := x.FloorOffset(o); err != nil || pos < 0 || pos >= 100_000 {
				t.Errorf("offset %d is at %d, %v", o, pos, err)
			}
		}
		if got := x.Append(nil); len(got) != len(b)-len(rest) {
			t.Errorf("%d bytes were taken, %d come back", len(b)-len(rest), len(got))
		}
	})
}
