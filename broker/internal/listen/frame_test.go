//go:build !race

package listen

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
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

// FuzzFrames reads frames off arbitrary bytes that come in arbitrary pieces: those that are whole and within the limit come as they were
// sent, the first that is not ends the connection with an error, and the budget is whole again, however it ends (L2, L5).
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 0, 0, 0, 0, 9, 'x'}, uint16(2))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint16(1))
	f.Add(append([]byte{0, 1, 0x86, 0xa0}, make([]byte, 100_000)...), uint16(4096)) // in more than one step
	f.Add([]byte{0, 0xf0, 0, 0, 1}, uint16(100))                                    // most of it never comes
	f.Fuzz(func(t *testing.T, in []byte, piece uint16) {
		const limit, most = 16 << 20, 64 << 20
		b := newBudget(most)
		fr := &frameReader{r: &pieces{bytes.NewReader(in), int(piece)}, limit: limit, budget: b, arm: func(int) {}}
		for rest := in; ; {
			got, err := fr.next(context.Background())
			n := int64(-1)
			if len(rest) >= 4 {
				n = int64(int32(binary.BigEndian.Uint32(rest)))
			}
			if whole := n >= 0 && n <= limit && n <= int64(len(rest)-4); whole != (err == nil) {
				t.Fatalf("%d bytes left, %d announced: %v", len(rest), n, err)
			}
			if err != nil {
				if (len(rest) == 0) != (err == io.EOF) {
					t.Fatalf("%d bytes left: %v", len(rest), err)
				}
				break
			}
			if !bytes.Equal(got.Body, rest[4:4+n]) || cap(got.Body) != int(n) {
				t.Fatalf("a frame of %d bytes is not what was sent", n)
			}
			rest = rest[4+n:]
			got.Release()
		}
		if b.free != most || len(b.waiting) != 0 {
			t.Fatalf("%d of %d bytes of the budget are free at the end", b.free, most)
		}
	})
}

// pieces gives at most so many bytes at a time.
type pieces struct {
	io.Reader
	most int
}

func (p *pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(len(b), max(p.most, 1))]) }
