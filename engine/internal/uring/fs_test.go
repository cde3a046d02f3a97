package uring

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streambus/streambus/engine/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var seedFlag = flag.Uint64("uring.seed", 0, "seed of the random tests; 0 draws one")

func newRand(t *testing.T) (*rand.Rand, uint64) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./engine/internal/uring -run '^%s$' -uring.seed=%d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0)), seed
}

// openers are the queues that the tests below run on; with the tag the kernel's is one of them.
var openers = map[string]func(t *testing.T, seed uint64, entries int) queue{
	"memory": func(_ *testing.T, seed uint64, entries int) queue { return newMemQueue(seed, entries) },
	"odd": func(_ *testing.T, seed uint64, entries int) queue {
		q := newMemQueue(seed, entries)
		q.odd = 5
		return q
	},
}

func everywhere(t *testing.T, entries int, f func(t *testing.T, s *FS, rng *rand.Rand)) {
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			rng, seed := newRand(t)
			s := newFS(disk.OS{}, open(t, seed, entries), entries)
			f(t, s, rng)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if s.slots.live() != 0 || len(s.unsent) != 0 {
				t.Errorf("%d slots and %d unsent after Close", s.slots.live(), len(s.unsent))
			}
		})
	}
}

// create makes a file of random bytes.
func create(t *testing.T, s disk.FS, rng *rand.Rand, size int) (disk.File, []byte) {
	t.Helper()
	dir := t.TempDir()
	f, err := s.Create(path.Join(dir, "f"))
	if errors.Is(err, fs.ErrNotExist) { // a file system of memory
		err = s.MkdirAll(dir)
		if err == nil {
			f, err = s.Create(path.Join(dir, "f"))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(rng.Uint32())
	}
	if err := f.WriteVec([][]byte{content}, 0); err != nil {
		t.Fatal(err)
	}
	return f, content
}

// randomOps are reads of files that begin and end anywhere, past the end too, some of no length.
func randomOps(rng *rand.Rand, files []disk.File, size, n int) []disk.ReadOp {
	ops := make([]disk.ReadOp, n)
	for i := range ops {
		length := rng.IntN(20 << 10)
		if rng.IntN(8) == 0 {
			length = 0
		}
		f, off := files[rng.IntN(len(files))], int64(rng.IntN(size+size/8))
		ops[i] = disk.ReadOp{File: f, Off: off, P: make([]byte, length), N: 99, Err: io.ErrNoProgress}
		if rng.IntN(8) == 0 {
			ops[i].Off = int64(size - length) // ends at the end of the file
		}
	}
	return ops
}

// compare checks each op against a plain ReadAt.
func compare(t *testing.T, ops []disk.ReadOp) {
	t.Helper()
	for i, op := range ops {
		p := make([]byte, len(op.P))
		n, err := op.File.ReadAt(p, op.Off)
		same := (op.Err == nil) == (err == nil) && (err == nil || op.Err.Error() == err.Error())
		if op.N != n || !same || !bytes.Equal(op.P[:n], p[:n]) {
			t.Fatalf("op %d, %d bytes at %d: %d, %v; ReadAt gives %d, %v (bytes equal: %t)", i, len(p), op.Off, op.N, op.Err, n, err, bytes.Equal(op.P, p))
		}
	}
}

func TestBatchesAgreeWithReadAt(t *testing.T) {
	const size = 100_000
	everywhere(t, 8, func(t *testing.T, s *FS, rng *rand.Rand) {
		a, _ := create(t, s, rng, size)
		b, _ := create(t, s, rng, size)
		foreign, _ := create(t, disk.OS{}, rng, size)
		mem, _ := create(t, disk.NewMem(), rng, size)
		for range 200 {
			ops := randomOps(rng, []disk.File{a, b, a, b, foreign, mem}, size, rng.IntN(40)) // up to five times the ring
			s.ReadBatch(ops)
			compare(t, ops)
		}
	})
}

func TestManyGoroutines(t *testing.T) {
	const size = 100_000
	everywhere(t, 16, func(t *testing.T, s *FS, rng *rand.Rand) {
		f, _ := create(t, s, rng, size)
		var wg sync.WaitGroup
		for range 32 {
			rng := rand.New(rand.NewPCG(rng.Uint64(), 0))
			wg.Go(func() {
				for range 30 {
					ops := randomOps(rng, []disk.File{f}, size, 1+rng.IntN(24))
					s.ReadBatch(ops)
					compare(t, ops)
				}
			})
		}
		wg.Wait()
		if q, ok := s.q.(*memQueue); ok && q.most > 16 {
			t.Errorf("U3: %d requests in flight with 16 slots", q.most)
		}
	})
}

func TestLargerThanOneRequest(t *testing.T) {
	everywhere(t, 4, func(t *testing.T, s *FS, rng *rand.Rand) {
		f, content := create(t, s, rng, 3<<20)
		ops := []disk.ReadOp{
			{File: f, P: make([]byte, 3<<20)}, {File: f, P: make([]byte, 4<<20)}, {File: f, Off: 1 << 20, P: make([]byte, 2<<20)},
		}
		s.ReadBatch(ops)
		compare(t, ops)
		if !bytes.Equal(ops[0].P, content) || ops[1].Err != io.EOF {
			t.Errorf("%v, %v", ops[0].Err, ops[1].Err)
		}
	})
}

func TestErrorsAreThoseOfReadAt(t *testing.T) {
	everywhere(t, 4, func(t *testing.T, s *FS, rng *rand.Rand) {
		dir := t.TempDir()
		d, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		good, _ := create(t, s, rng, 100)
		closed, _ := create(t, s, rng, 100)
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		folder := wrapDescriptor(t, s, d)
		ops := []disk.ReadOp{
			{File: closed, P: make([]byte, 10)}, {File: folder, P: make([]byte, 10)}, {File: good, P: make([]byte, 10), Off: -1},
			{File: good, P: make([]byte, 10)}, {File: good, P: nil, Off: 5000}, {File: good, P: make([]byte, 10), Off: 5000}, {File: closed},
		}
		s.ReadBatch(ops)
		compare(t, ops)
		for i, want := range []error{fs.ErrClosed, syscall.EISDIR, nil, nil, nil, io.EOF} {
			if want != nil && !errors.Is(ops[i].Err, want) {
				t.Errorf("op %d: %v, want %v", i, ops[i].Err, want)
			}
		}
		if ops[2].Err == nil || ops[3].N != 10 {
			t.Errorf("%v, %d", ops[2].Err, ops[3].N)
		}
		if err := s.Err(); err != nil {
			t.Error("errors of files are not the ring's:", err)
		}
	})
}

// plainFile is a disk.File around any os.File.
type plainFile struct {
	disk.File
	f *os.File
}

func (p plainFile) ReadAt(b []byte, off int64) (int, error) { return p.f.ReadAt(b, off) }
func (p plainFile) Descriptor() (uintptr, bool)             { return p.f.Fd(), true }
func (p plainFile) Close() error                            { return p.f.Close() }

func wrapDescriptor(t *testing.T, s *FS, f *os.File) disk.File {
	t.Helper()
	w, err := s.wrap(f.Name())(plainFile{f: f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestCloseOfAFileWaits checks U8: while the ring has a read of it, a file keeps its descriptor.
func TestCloseOfAFileWaits(t *testing.T) {
	q := newMemQueue(1, 4)
	gate := true
	q.withhold = func(request) bool { return gate }
	s := newFS(disk.OS{}, q, 4)
	s.lone = true // no shortcut
	rng := rand.New(rand.NewPCG(1, 1))
	f, content := create(t, s, rng, 1000)
	ops := []disk.ReadOp{{File: f, P: make([]byte, 1000)}}
	var wg sync.WaitGroup
	wg.Go(func() { s.ReadBatch(ops) })
	until(func() bool { q.mu.Lock(); defer q.mu.Unlock(); return len(q.held) == 1 })
	var closed error
	wg.Go(func() { closed = f.Close() })
	w := f.(*file)
	until(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.closed })
	if _, err := w.File.Size(); err != nil {
		t.Error("closed under a read:", err)
	}
	late := []disk.ReadOp{{File: f, P: make([]byte, 10)}} // goes to ReadAt of a file about to close: either answer is right
	s.ReadBatch(late)
	q.set(func() { gate = false })
	wg.Wait()
	if closed != nil || ops[0].Err != nil || !bytes.Equal(ops[0].P, content) {
		t.Error(closed, ops[0].Err)
	}
	if _, err := w.File.Size(); !errors.Is(err, fs.ErrClosed) {
		t.Error("still open:", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func until(cond func() bool) {
	for !cond() {
		runtime.Gosched()
	}
}

func TestCloseDrains(t *testing.T) {
	everywhere(t, 4, func(t *testing.T, s *FS, rng *rand.Rand) {
		f, _ := create(t, s, rng, 50_000)
		var wg sync.WaitGroup
		for range 8 {
			rng := rand.New(rand.NewPCG(rng.Uint64(), 0))
			wg.Go(func() {
				for range 50 {
					ops := randomOps(rng, []disk.File{f}, 50_000, 12)
					s.ReadBatch(ops)
					compare(t, ops)
				}
			})
		}
		for range 3 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		wg.Wait() // they go on by plain reads
	})
}

func TestReadBatchAllocatesNothing(t *testing.T) {
	everywhere(t, 16, func(t *testing.T, s *FS, rng *rand.Rand) {
		if _, ok := s.q.(*memQueue); ok { // which allocates itself
			return
		}
		f, _ := create(t, s, rng, 64<<10)
		ops := make([]disk.ReadOp, 40)
		for i := range ops {
			ops[i] = disk.ReadOp{File: f, Off: int64(i) * 512, P: make([]byte, 512)}
		}
		if n := testing.AllocsPerRun(100, func() { s.ReadBatch(ops) }); n >= 1 {
			t.Errorf("%.1f allocations a batch", n)
		}
	})
}

// TestLoneReadIsPlain counts what goes to the ring: nothing of a batch of one that is alone, everything else.
func TestLoneReadIsPlain(t *testing.T) {
	q := newMemQueue(1, 4)
	asked := 0
	q.readResult = func(request) (int32, bool) { asked++; return 0, false }
	s := newFS(disk.OS{}, q, 4)
	f, _ := create(t, s, rand.New(rand.NewPCG(1, 1)), 1000)
	for n, want := range []int{0, 0, 2, 5, 9} {
		ops := randomOps(rand.New(rand.NewPCG(uint64(n), 1)), []disk.File{f}, 900, n)
		for i := range ops {
			ops[i].Off, ops[i].P = int64(i), make([]byte, 10)
		}
		s.ReadBatch(ops)
		compare(t, ops)
		if asked != want {
			t.Errorf("after a batch of %d: %d reads by the ring, want %d", n, asked, want)
		}
	}
	if err := s.Close(); err != nil || s.lone {
		t.Error(err, s.lone)
	}
}

func TestOpen(t *testing.T) {
	for _, n := range []int{-1, 0, MaxEntries + 1} {
		if _, err := Open(disk.OS{}, n); err == nil {
			t.Errorf("%d entries are taken", n)
		}
	}
	s, err := Open(disk.OS{}, 8)
	perr := Probe()
	if (err == nil) != (perr == nil) {
		t.Fatalf("Open: %v, Probe: %v", err, perr)
	}
	if !Built {
		if err == nil || !strings.Contains(err.Error(), "iouring") {
			t.Fatalf("without the tag: %v", err)
		}
		return
	}
	if err != nil {
		t.Skipf("this kernel or sandbox grants no ring: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestInCachePassesThrough: a file of the ring says what the file below it says, and nothing of a closed one.
func TestInCachePassesThrough(t *testing.T) {
	everywhere(t, 4, func(t *testing.T, s *FS, _ *rand.Rand) {
		name := path.Join(t.TempDir(), "f")
		f, err := s.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.WriteVec([][]byte{make([]byte, 9000)}, 0); err != nil {
			t.Fatal(err)
		}
		below := plain(f)
		if got, want := disk.InCache(f, 0, 9000), disk.InCache(below, 0, 9000); got != want {
			t.Errorf("in the cache: %t, below %t", got, want)
		}
		if n, err := disk.ReadCached(f, make([]byte, 9000), 0); n != 9000 && !errors.Is(err, disk.ErrCold) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if disk.InCache(f, 0, 9000) {
			t.Error("a closed file is in the cache")
		}
	})
}

// TestUnderFailpoints: batches that come through failpoints still go to the ring, and what a full disk refuses does not.
func TestUnderFailpoints(t *testing.T) {
	rng, seed := newRand(t)
	q := newMemQueue(seed, 8)
	syncs := 0
	q.syncResult = func(request) int32 { syncs++; return 0 }
	s := newFS(disk.OS{}, q, 8)
	var p disk.Failpoints
	d := p.Over(s)
	a, _ := create(t, d, rng, 10_000)
	b, _ := create(t, d, rng, 10_000)
	ops := randomOps(rng, []disk.File{a, b}, 10_000, 20)
	d.(disk.BatchReader).ReadBatch(ops)
	compare(t, ops)
	if q.most < 2 {
		t.Errorf("at most %d requests of a batch of 20 were in the ring at once", q.most)
	}
	p.Set(disk.Fault{Full: true})
	if err := disk.SyncAll(d, []disk.File{a, b}); err != nil || syncs != 2 {
		t.Errorf("%v; %d syncs in the ring, want 2", err, syncs)
	}
	if err := a.WriteVec([][]byte{{1}}, 10_000); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a write beyond the end on the full disk: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
