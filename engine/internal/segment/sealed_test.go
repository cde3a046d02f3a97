package segment

import (
	"errors"
	"flag"
	"math/rand/v2"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/index"
	"github.com/streambus/streambus/engine/internal/seal"
	"github.com/streambus/streambus/engine/internal/txn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What segments of these tests are sealed with: the id of their log, and where the next segment begins.
const (
	logID = 77
	never = batch.Offset(1) << 40
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 draws one")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./engine/internal/segment -run '^%s$' -seed=%d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// held fails the test if it ends with more mappings than it began with.
func held(t testing.TB) {
	before, _ := disk.Held()
	t.Cleanup(func() {
		if now, _ := disk.Held(); now != before {
			t.Errorf("%d mappings are left open", now-before)
		}
	})
}

// rolled makes an unsealed segment of n batches in a folder, its room reserved beyond its end as the engine does.
func rolled(t testing.TB, d disk.FS, dir string, base batch.Offset, n, interval int, rng *rand.Rand) (*Segment, []placed) {
	t.Helper()
	if err := errors.Join(d.MkdirAll(dir), d.SyncDir(path.Dir(dir))); err != nil {
		t.Fatal(err)
	}
	s, err := Create(d, dir, base, interval)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Allocate(1 << 20); err != nil {
		t.Fatal(err)
	}
	all := extend(t, s, n, rng)
	abort(s, all)
	if err := errors.Join(s.Sync(), d.SyncDir(dir)); err != nil {
		t.Fatal(err)
	}
	return s, all
}

// abort says of every tenth batch that it is an abort marker. What batches are is not looked at in this room.
func abort(s *Segment, all []placed) {
	for _, a := range abortedOf(all) {
		s.Aborted().Add(a)
	}
}

func abortedOf(all []placed) (out []txn.Aborted) {
	for i := 4; i < len(all); i += 10 {
		last := all[i].BaseOffset()
		out = append(out, txn.Aborted{ProducerID: batch.ProducerID(i), First: last - 1, Last: last, LastStable: last + 1})
	}
	return out
}

// extend writes batches at the end.
func extend(t testing.TB, s *Segment, n int, rng *rand.Rand) (all []placed) {
	t.Helper()
	var buf []byte
	start, next := s.Size(), s.Next()
	for range n {
		var b batch.Builder
		for range rng.IntN(3) + 1 {
			b.Add(time.UnixMilli(rng.Int64N(5000)), nil, make([]byte, rng.IntN(300)))
		}
		one := b.Batch()
		one.Stamp(next+batch.Offset(rng.IntN(3)), 3)
		next = one.NextOffset()
		all = append(all, placed{one, start + int64(len(buf))})
		buf = append(buf, one...)
	}
	if err := s.Write([][]byte{buf}, start); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		s.Append(p.Batch, int64(len(p.Batch)))
	}
	return all
}

func release(t testing.TB, s *Segment) {
	t.Helper()
	if err := s.Release(); err != nil {
		t.Fatal(err)
	}
}

// answers is everything that a segment can be asked. Floors of times are checked here: a sealed segment knows them better.
func answers(t testing.TB, s *Segment, all []placed) []int64 {
	t.Helper()
	out := []int64{s.Size(), int64(s.Next()), s.Newest().Time, int64(s.Newest().Base), s.Newest().Pos}
	for o := s.Base - 2; o < s.Next()+3; o++ {
		out = append(out, s.FloorOffset(o))
		if found, ok, err := s.Find(o, s.FloorOffset(o), s.Size()); err != nil {
			t.Fatal(err)
		} else if i := slices.IndexFunc(all, func(p placed) bool { return p.NextOffset() > o }); ok != (i >= 0) || ok && found.Pos != all[i].pos {
			t.Fatalf("offset %d is found at %d, %t", o, found.Pos, ok)
		}
	}
	for v := int64(-2); v < 5002; v += 7 {
		out = append(out, s.FloorPosition(v*s.Size()/5000))
		floor, begins := s.FloorTime(v), len(all) == 0
		for _, p := range all {
			begins = begins || p.pos == floor
			if p.pos < floor && p.MaxTimestamp() >= v {
				t.Fatalf("time %d: the floor %d is beyond the batch at %d", v, floor, p.pos)
			}
		}
		if !begins {
			t.Fatalf("time %d: at the floor %d no batch begins", v, floor)
		}
	}
	if got := s.Aborted().Entries(); !slices.Equal(got, abortedOf(all)) {
		t.Fatalf("aborted are %v, want %v", got, abortedOf(all))
	}
	return out
}

func everywhere(t *testing.T, f func(t *testing.T, d disk.FS, dir string)) {
	for name, d := range map[string]disk.FS{"os": disk.OS{}, "mem": disk.NewMem()} {
		t.Run(name, func(t *testing.T) {
			held(t)
			f(t, d, t.TempDir())
		})
	}
}

// TestSealedAnswersAsBefore: before the seal, after it, and opened again, a segment says the same.
func TestSealedAnswersAsBefore(t *testing.T) {
	rng := newRand(t)
	everywhere(t, func(t *testing.T, d disk.FS, dir string) {
		for i, n := range []int{0, 1, 400} {
			base := batch.Offset(i) * 100_000
			s, all := rolled(t, d, dir, base, n, 500, rng)
			before := answers(t, s, all)
			var mu sync.Mutex
			for range 2 { // the second time there is nothing to do
				if err := s.Seal(d, &mu, logID, never, nil); err != nil {
					t.Fatal(err)
				}
			}
			if !s.Sealed() || s.heap.Len() != 0 || s.Allocated() != s.Size() {
				t.Errorf("sealed %t, %d entries in the heap, %d allocated", s.Sealed(), s.heap.Len(), s.Allocated())
			}
			if !slices.Equal(answers(t, s, all), before) {
				t.Error("sealed, it answers otherwise")
			}
			again, err := OpenSealed(d, dir, base, logID)
			if err != nil {
				t.Fatal(err)
			}
			release(t, s)
			if !again.Sealed() || !slices.Equal(answers(t, again, all), before) || again.Faults() != 0 {
				t.Error("opened again, it answers otherwise")
			}
			release(t, again)
			if err := seal.Verify(d, dir, base, nil, func(x seal.Damage) { t.Errorf("%+v", x) }); err != nil {
				t.Error(err)
			}
		}
	})
}

// switching is a segment whose readers go on while it is sealed, retired and removed.
type switching struct {
	t               *testing.T
	mu              sync.Mutex // the log's lock
	s               *Segment
	all             []placed
	reads, unlocked atomic.Int64
	stop            atomic.Bool
}

// read looks things up as the engine does, under the log's lock or, when the segment is sealed and mayUnlock, without.
func (w *switching) read(rng *rand.Rand, mayUnlock bool) {
	defer func() { _ = w.s.Release() }()
	for !w.stop.Load() {
		p := w.all[rng.IntN(len(w.all))]
		var floor, byTime, byPos int64
		look := func() {
			floor, byTime, byPos = w.s.FloorOffset(p.LastOffset()), w.s.FloorTime(p.MaxTimestamp()), w.s.FloorPosition(p.pos)
		}
		if w.s.Sealed() && mayUnlock {
			look()
			w.unlocked.Add(1)
		} else {
			w.mu.Lock()
			look()
			w.mu.Unlock()
		}
		found, ok, err := w.s.Find(p.BaseOffset(), floor, p.pos+int64(len(p.Batch)))
		if err != nil || !ok || found.Pos != p.pos || byTime > p.pos || byPos > p.pos {
			w.t.Errorf("offset %d: %d, %t, %v; floors %d, %d; it lies at %d", p.BaseOffset(), found.Pos, ok, err, byTime, byPos, p.pos)
			return
		}
		w.reads.Add(1)
	}
}

// await waits until a count has grown by 50.
func (w *switching) await(count *atomic.Int64) {
	for at := count.Load(); count.Load() < at+50 && !w.t.Failed(); {
		runtime.Gosched()
	}
}

// TestReadersDuringTheSwitch reads with the log's lock and without, while the segment is being sealed and let go. Run it with -race.
func TestReadersDuringTheSwitch(t *testing.T) {
	rng := newRand(t)
	everywhere(t, func(t *testing.T, d disk.FS, dir string) {
		for round := range 10 {
			base := batch.Offset(round) * 10_000
			w := &switching{t: t}
			w.s, w.all = rolled(t, d, dir, base, 200, 300, rng)
			var readers sync.WaitGroup
			for r := range 3 {
				w.s.Acquire()
				readers.Go(func() { w.read(rand.New(rand.NewPCG(uint64(round), uint64(r))), r > 0) })
			}
			w.await(&w.reads)
			if err := w.s.Seal(d, &w.mu, logID, never, nil); err != nil {
				t.Error(err)
			}
			w.await(&w.unlocked)
			gone := make(chan struct{})
			w.mu.Lock() // the log lets go first, the readers go on
			if err := w.s.Retire(func() { close(gone) }); err != nil {
				t.Error(err)
			}
			w.mu.Unlock()
			w.await(&w.reads)
			select {
			case <-gone:
				t.Error("S3: gone under its readers")
			default:
			}
			w.stop.Store(true)
			readers.Wait()
			<-gone
			if err := RemoveFiles(d, dir, base); err != nil {
				t.Error(err)
			}
		}
		if entries, err := d.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("%v are left, %v", entries, err)
		}
	})
}

func TestSealRefuses(t *testing.T) {
	held(t)
	rng := newRand(t)
	for what, harm := range map[string]func(d *disk.Mem, s *Segment){
		"a flip in a batch":           func(d *disk.Mem, s *Segment) { flip(t, d, s.Path, s.Size()-5) },
		"bytes that are not readable": func(d *disk.Mem, s *Segment) { _ = s.Write([][]byte{{1}}, s.Size()) },
		"a file that is shorter":      func(d *disk.Mem, s *Segment) { _ = s.Truncate(s.Size() - 1) },
	} {
		d := disk.NewMem()
		s, all := rolled(t, d, "/d", 0, 50, 500, rng)
		harm(d, s)
		if err := s.Seal(d, new(sync.Mutex), logID, never, nil); !errors.Is(err, ErrCorrupt) || s.Sealed() {
			t.Errorf("%s: %v", what, err)
		}
		if s.FloorOffset(all[40].BaseOffset()) == 0 {
			t.Errorf("%s: the index is gone", what)
		}
		release(t, s)
	}
	d := disk.NewMem()
	s, _ := rolled(t, d, "/d", 0, 50, 500, rng)
	stop := errors.New("stop")
	if err := s.Seal(d, new(sync.Mutex), logID, never, func(int) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if err := s.Seal(d, new(sync.Mutex), logID, never, nil); err != nil {
		t.Error("tried again:", err)
	}
	for what, f := range map[string]func(){
		"append":   func() { var b batch.Builder; b.Add(time.Now(), nil, nil); s.Append(b.Batch(), 70) },
		"write":    func() { _ = s.Write([][]byte{{1}}, 0) },
		"truncate": func() { _ = s.Truncate(0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("S4: %s to a sealed segment", what)
				}
			}()
			f()
		}()
	}
	release(t, s)
}

// TestAFaultBeginsAtByteZero: an index whose memory cannot be read slows a lookup down and nothing else.
func TestAFaultBeginsAtByteZero(t *testing.T) {
	held(t)
	d, dir := disk.OS{}, t.TempDir()
	s, all := rolled(t, d, dir, 0, 1000, 1, newRand(t))
	if err := s.Seal(d, new(sync.Mutex), logID, never, nil); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{index.OffsetSuffix, index.TimeSuffix} {
		f, err := d.Open(strings.TrimSuffix(s.Path, Suffix) + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(0), f.Close()); err != nil { // what nobody may do
			t.Fatal(err)
		}
	}
	p := all[900]
	found, ok, err := s.Find(p.BaseOffset(), s.FloorOffset(p.BaseOffset()), s.Size())
	if found.Pos != p.pos || !ok || err != nil || s.FloorTime(100) != 0 || s.FloorPosition(p.pos) != 0 || s.Faults() != 3 {
		t.Errorf("%d, %t, %v, %d faults", found.Pos, ok, err, s.Faults())
	}
	release(t, s)
}
