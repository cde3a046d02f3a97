//go:build !race

package listen

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"runtime/debug"
	"testing"
)

// TestFramesTakeNoNewMemory: the second and later frames of a size come in the memory of the first, up to the largest that is pooled,
// and no byte of them is copied from one buffer to the next. Not under the race detector, where sync.Pool forgets at random.
func TestFramesTakeNoNewMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
	for _, size := range []int{100, 70 << 10, 900 << 10, 3 << 20} {
		one := binary.BigEndian.AppendUint32(nil, uint32(size))
		one = append(one, make([]byte, size)...)
		const frames = 20
		fr := &frameReader{
			r: bytes.NewReader(bytes.Repeat(one, 1+frames)), limit: 100 << 20, budget: newBudget(100 << 20), arm: func(int) {},
		}
		next := func() *Frame {
			f, err := fr.next(context.Background())
			if err != nil || len(f.Body) != size {
				t.Fatalf("frame of %d bytes: %v", size, err)
			}
			return f
		}
		next().Release()
		next().Release() // a large one is taken at once from here on
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range frames - 1 {
			next().Release()
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > frames*256 {
			t.Errorf("%d frames of %d bytes took %d bytes of new memory", frames-1, size, got)
		}
	}
}
