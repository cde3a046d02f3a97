package uring

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/disk"
)

// coldBytes is the size of the file that the cold reads go to; every block is read at most once between two drops of the cache.
const coldBytes = 512 << 20

const fadviseDontNeed = 4 // POSIX_FADV_DONTNEED

// BenchmarkColdReads reads blocks of a file in random order, none of them in the page cache, with so many in flight:
//
//	pread    so many goroutines, each with ReadAt in a loop
//	batch    one goroutine with batches of so many
//	callers  so many goroutines, each with batches of one
//
// Beside the time it reports the CPU time of the process and how many threads it has had. Threads never end, so run each in a
// process of its own, alternating, and take medians:
//
//	for i in 1 2 3 4 5; do for m in pread batch callers; do go test -tags iouring -ldflags=-checklinkname=0 \
//	  -run '^$' -bench "ColdReads/direct/4KiB/64/$m\$" -benchtime 20000x ./engine/internal/uring; done; done
func BenchmarkColdReads(b *testing.B) {
	name := path.Join(b.TempDir(), "cold")
	for _, way := range []string{"direct", "buffered"} {
		for _, block := range []int{4 << 10, 64 << 10} {
			for _, depth := range []int{1, 8, 64} {
				for mode, run := range map[string]func(*coldReads, *testing.B){"pread": pread, "batch": batches, "callers": callers} {
					b.Run(fmt.Sprintf("%s/%dKiB/%d/%s", way, block>>10, depth, mode), func(b *testing.B) {
						c := openCold(b, name, way == "direct", block, depth)
						c.measure(b, run)
					})
				}
			}
		}
	}
}

// coldReads is one benchmark: blocks in random order, taken by whoever comes.
type coldReads struct {
	s     *FS
	f     disk.File
	block int
	depth int
	order []int32
	next  atomic.Int64
}

func openCold(b *testing.B, name string, direct bool, block, depth int) *coldReads {
	s, err := Open(disk.OS{}, 256)
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	if _, err := os.Stat(name); err != nil {
		writeCold(b, s, name)
	}
	f, err := s.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	fd, _ := f.Descriptor()
	if direct {
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETFL, syscall.O_RDWR|syscall.O_DIRECT); errno != 0 {
			b.Skip("no O_DIRECT here: ", errno)
		}
	}
	c := &coldReads{s: s, f: f, block: block, depth: depth, order: make([]int32, coldBytes/block)}
	for i, p := range rand.Perm(len(c.order)) {
		c.order[i] = int32(p)
	}
	c.drop(b)
	return c
}

func writeCold(b *testing.B, s disk.FS, name string) {
	f, err := s.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.NewChaCha8([32]byte{1})
	p := make([]byte, 1<<20)
	for off := int64(0); off < coldBytes; off += int64(len(p)) {
		_, _ = rng.Read(p)
		if err := f.WriteVec([][]byte{p}, off); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		b.Fatal(err)
	}
}

// drop empties the page cache of the file.
func (c *coldReads) drop(b *testing.B) {
	fd, _ := c.f.Descriptor()
	if _, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, fd, 0, 0, fadviseDontNeed, 0, 0); errno != 0 {
		b.Fatal(errno)
	}
}

func (c *coldReads) measure(b *testing.B, run func(*coldReads, *testing.B)) {
	b.SetBytes(int64(c.block))
	before := cpuTime(b)
	b.ResetTimer()
	run(c, b)
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(threads(b), "threads")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// threads counts those of the process, the kernel's workers for the ring among them.
func threads(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "Threads:")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		b.Fatal(err)
	}
	return float64(n)
}

// take gives the offset of the next block; ok is false after b.N of them.
func (c *coldReads) take(b *testing.B) (off int64, ok bool) {
	i := c.next.Add(1) - 1
	if i >= int64(b.N) {
		return 0, false
	}
	if i > 0 && i%int64(len(c.order)) == 0 {
		c.drop(b) // all were read once
	}
	return int64(c.order[i%int64(len(c.order))]) * int64(c.block), true
}

// aligned is memory for O_DIRECT.
func aligned(b *testing.B, size int) []byte {
	a, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_POPULATE)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = syscall.Munmap(a) })
	return a
}

func pread(c *coldReads, b *testing.B) {
	c.workers(b, func(p []byte) {
		for off, ok := c.take(b); ok; off, ok = c.take(b) {
			if n, err := c.f.ReadAt(p, off); n != len(p) || err != nil {
				b.Error(n, err)
				return
			}
		}
	})
}

func callers(c *coldReads, b *testing.B) {
	c.workers(b, func(p []byte) {
		ops := make([]disk.ReadOp, 1)
		for off, ok := c.take(b); ok; off, ok = c.take(b) {
			ops[0] = disk.ReadOp{File: c.f, Off: off, P: p}
			if c.s.ReadBatch(ops); !whole(b, ops) {
				return
			}
		}
	})
}

func (c *coldReads) workers(b *testing.B, f func(p []byte)) {
	buf := aligned(b, c.block*c.depth)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range c.depth {
		wg.Go(func() { f(buf[i*c.block:][:c.block]) })
	}
	wg.Wait()
}

func batches(c *coldReads, b *testing.B) {
	buf := aligned(b, c.block*c.depth)
	ops := make([]disk.ReadOp, 0, c.depth)
	b.ResetTimer()
	for {
		ops = ops[:0]
		for len(ops) < c.depth {
			off, ok := c.take(b)
			if !ok {
				break
			}
			ops = append(ops, disk.ReadOp{File: c.f, Off: off, P: buf[len(ops)*c.block:][:c.block]})
		}
		if len(ops) == 0 {
			return
		}
		if c.s.ReadBatch(ops); !whole(b, ops) {
			return
		}
	}
}

func whole(b *testing.B, ops []disk.ReadOp) bool {
	for i := range ops {
		if ops[i].N != len(ops[i].P) || ops[i].Err != nil && ops[i].Err != io.EOF {
			b.Errorf("%d bytes: %d, %v", len(ops[i].P), ops[i].N, ops[i].Err)
			return false
		}
	}
	return true
}
