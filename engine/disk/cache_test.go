package disk

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path"
	"testing"

	"golang.org/x/sys/unix"
)

// cold makes a file of size bytes whose pages are not in the page cache; it skips the test where they stay.
func cold(t testing.TB, name string, size int) File {
	t.Helper()
	f, err := OS{}.Create(name)
	if err == nil {
		err = f.WriteVec([][]byte{bytes.Repeat([]byte{7}, size)}, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if !InCache(f, 0, int64(size)) {
		t.Skip("this kernel does not say what is in the page cache, or has thrown out what was just written")
	}
	evict(t, f)
	if InCache(f, 0, PageSize) {
		t.Skip("this file system keeps its files in the page cache")
	}
	return f
}

func evict(t testing.TB, f File) {
	t.Helper()
	fd, _ := f.Descriptor()
	if err := unix.Fadvise(int(fd), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(fd), 0, 0, unix.FADV_RANDOM); err != nil { // nothing but what is asked for is read
		t.Fatal(err)
	}
}

// TestInCache reads pages of a cold file in random order: a range is in the cache when all of its pages were read, and only then.
func TestInCache(t *testing.T) {
	const pages = 40
	f := cold(t, path.Join(t.TempDir(), "f"), pages*PageSize-100)
	rng := rand.New(rand.NewPCG(1, 2))
	read := map[int64]bool{}
	for _, page := range rng.Perm(pages) {
		if _, err := f.ReadAt(make([]byte, 1), int64(page)*PageSize+rng.Int64N(PageSize-100)); err != nil {
			t.Fatal(err)
		}
		read[int64(page)] = true
		for range 30 {
			off := rng.Int64N(pages*PageSize - 101)
			n := rng.Int64N(pages*PageSize-100-off) + 1
			if rng.IntN(2) == 0 {
				n = min(n, 1+rng.Int64N(3*PageSize))
			}
			want := true
			for p := off / PageSize; p <= (off+n-1)/PageSize; p++ {
				want = want && read[p]
			}
			if got := InCache(f, off, n); got != want {
				t.Fatalf("after %d pages, [%d, %d): %t", len(read), off, off+n, got)
			}
			if !want { // ReadCached would have the kernel bring them in
				continue
			}
			if _, err := ReadCached(f, make([]byte, n), off); err != nil {
				t.Fatalf("after %d pages, [%d, %d) is in the cache, but reading says %v", len(read), off, off+n, err)
			}
		}
	}
	for _, r := range [][2]int64{{-1, 5}, {0, 0}, {5, -5}} {
		if InCache(f, r[0], r[1]) {
			t.Errorf("%d bytes at %d are in the cache", r[1], r[0])
		}
	}
	if InCache(f, 0, (pages+1)*PageSize) {
		t.Error("what lies behind the end is in the cache")
	}
	if n := testing.AllocsPerRun(100, func() { InCache(f, 0, 1<<20) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestMemHasNoCache: everything in memory counts as read from the disk.
func TestMemHasNoCache(t *testing.T) {
	f, err := NewMem().Create("/f")
	if err == nil {
		err = f.WriteVec([][]byte{make([]byte, 100)}, 0)
	}
	if err != nil || InCache(f, 0, 100) {
		t.Error(err, "in the cache")
	}
}

// BenchmarkInCache is what it costs to ask.
func BenchmarkInCache(b *testing.B) {
	f := cold(b, path.Join(b.TempDir(), "f"), 1<<20)
	for _, warm := range []bool{true, false} {
		for _, n := range []int64{4 << 10, 64 << 10, 1 << 20} {
			if warm {
				if _, err := f.ReadAt(make([]byte, 1<<20), 0); err != nil {
					b.Fatal(err)
				}
			} else {
				evict(b, f)
			}
			b.Run(fmt.Sprintf("warm=%t/%dK", warm, n>>10), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if InCache(f, 0, n) != warm {
						b.Fatal("the pages came or went")
					}
				}
			})
		}
	}
}
