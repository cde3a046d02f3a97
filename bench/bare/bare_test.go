package bare

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHistogramIsWithinABucketOfTheTruth(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	var h, other Histogram
	var all []time.Duration
	for i := range 20_000 {
		d := time.Duration(rng.Uint64() >> (30 + rng.IntN(34)))
		all = append(all, d)
		if i%2 == 0 {
			h.Add(d)
		} else {
			other.Add(d)
		}
	}
	h.Merge(&other)
	slices.Sort(all)
	if h.Count() != uint64(len(all)) {
		t.Fatalf("counted %d of %d", h.Count(), len(all))
	}
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := h.Quantile(q); got < want || float64(got) > float64(want)*(1+1.0/subBuckets)+1 {
			t.Errorf("seed %d: quantile %v is %d, truth %d", seed, q, got, want)
		}
	}
}

func TestHistogramTakesAnything(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Error("an empty histogram has a quantile")
	}
	h.Add(-1)
	h.Add(1 << 62)
	if h.Quantile(0) != 0 || h.Quantile(1) < 60*time.Second {
		t.Errorf("got %v and %v", h.Quantile(0), h.Quantile(1))
	}
}

func zeroFile(t *testing.T, size int64) (*File, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "zeros")
	f, err := NewFile(name, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, name
}

func TestWritingProgramsWriteWhatTheyCount(t *testing.T) {
	const writers, size = 5, 1000
	for name, run := range map[string]func(f *File) (Run, error){
		"PerRecord":   func(f *File) (Run, error) { return PerRecord(f, writers, size, time.Millisecond) },
		"GroupCommit": func(f *File) (Run, error) { return GroupCommit(f, writers, 3, size, time.Millisecond) },
		"Device":      func(f *File) (Run, error) { return Device(f, time.Millisecond) },
		"SyncLatency": func(f *File) (Run, error) { return SyncLatency(f, time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			f, path := zeroFile(t, 8<<20)
			r, err := run(f)
			if err != nil {
				t.Fatal(err)
			}
			if r.Ops == 0 || r.Syncs == 0 || r.Latency.Count() != uint64(r.Ops) || r.Elapsed <= 0 || r.Bytes < r.Ops*size {
				t.Errorf("%d ops, %d bytes, %d syncs, %d latencies in %v", r.Ops, r.Bytes, r.Syncs, r.Latency.Count(), r.Elapsed)
			}
			if name == "GroupCommit" && r.Syncs > r.Ops {
				t.Errorf("%d syncs for %d records: no groups", r.Syncs, r.Ops)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) != 8<<20 || bytes.Count(b, []byte{0}) == len(b) {
				t.Errorf("%d bytes, of which %d are zero", len(b), bytes.Count(b, []byte{0}))
			}
		})
	}
}

func TestAppendLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	r, err := Append(dir, 3, 5000, time.Millisecond)
	if err != nil || r.Ops == 0 || r.Bytes != 5000*r.Ops {
		t.Errorf("%d ops, %d bytes: %v", r.Ops, r.Bytes, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if _, err := Append(dir+"/none", 1, 10, time.Minute); err == nil {
		t.Error("a missing folder was written to")
	}
}

func TestGroupCommitReportsAFailedDisk(t *testing.T) {
	f, _ := zeroFile(t, 1<<20)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := GroupCommit(f, 4, 2, 100, time.Minute); err == nil {
		t.Error("writes to a closed file went well")
	}
}

func TestReadingProgramsReadEverything(t *testing.T) {
	dir := t.TempDir()
	var names []string
	total := 0
	for _, size := range []int{100_000, 1 << 20, 8192} {
		name := filepath.Join(dir, string(rune('a'+len(names))))
		if err := os.WriteFile(name, Payload(size), 0o600); err != nil {
			t.Fatal(err)
		}
		names, total = append(names, name), total+size
		if _, err := Drop(name); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Sequential(names, 64<<10)
	if err != nil || r.Bytes != int64(total) {
		t.Errorf("read %d bytes of %d: %v", r.Bytes, total, err)
	}
	r, err = Random(names[1], 3, 50, pageSize, 1)
	if err != nil || r.Ops != 150 || r.Bytes != 150*pageSize {
		t.Errorf("%d reads of %d bytes in all: %v", r.Ops, r.Bytes, err)
	}
	if _, err := Sequential([]string{filepath.Join(dir, "none")}, 4096); err == nil {
		t.Error("a missing file was read")
	}
}

func TestStampChangesEverySector(t *testing.T) {
	a := Payload(4096)
	b := bytes.Clone(a)
	Stamp(b, 0)
	for at := 0; at < len(a); at += 512 {
		if bytes.Equal(a[at:at+512], b[at:at+512]) {
			t.Errorf("sector at %d is the same", at)
		}
	}
	if bytes.Equal(Payload(64), Payload(64)) {
		t.Error("two payloads are alike")
	}
}

func TestTickerKeepsCount(t *testing.T) {
	tick, err := NewTicker(time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for n < 10 {
		due, err := tick.Wait()
		if err != nil || due < 1 {
			t.Fatalf("%d ticks: %v", due, err)
		}
		n += due
	}
	if passed := time.Since(tick.Begin()); passed < time.Duration(n)*time.Millisecond {
		t.Errorf("%d ticks of 1 ms within %v", n, passed)
	}
	if err := tick.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestThreadsAreCounted: the thread that counts runs, and nobody is counted who does not.
func TestThreadsAreCounted(t *testing.T) {
	if n := BusyThreads(); n < 1 || n > 64 {
		t.Errorf("%d threads are busy", n)
	}
	most := WatchThreads()
	if n := most(); n < 0 {
		t.Error(n)
	}
}

func TestFillCacheLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		t.Fatal(err)
	}
	before := len(holes)
	filled, err := FillCache(dir, int64(info.Freeram)*int64(info.Unit)-(64<<20)) // little: a test is no benchmark
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	var sizes int64
	for _, f := range holes[before:] {
		info, err := f.Stat()
		if err != nil || info.Sys().(*syscall.Stat_t).Blocks != 0 {
			t.Errorf("%d bytes take room on the disk: %v", info.Size(), err)
		}
		sizes += info.Size()
	}
	if filled != sizes {
		t.Errorf("%d bytes are said to be filled, the files have %d", filled, sizes)
	}
	if filled, err = FillCache(dir, 1<<60); err != nil || filled != 0 || len(holes) > before+1 {
		t.Errorf("nothing to fill: %v, %d bytes, %d files", err, filled, len(holes)-before)
	}
	if _, err := FillCache(dir+"/none", 0); err == nil {
		t.Error("a missing folder was written to")
	}
	all := holes
	EmptyCache()
	for _, f := range all {
		if _, err := f.Stat(); err == nil {
			t.Error("a file is still open")
		}
	}
}
