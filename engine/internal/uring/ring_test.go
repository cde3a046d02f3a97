//go:build iouring

package uring

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path"
	"reflect"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/pawelgaczynski/giouring"

	"github.com/streambus/streambus/engine/disk"
)

func init() {
	openers["kernel"] = func(t *testing.T, _ uint64, entries int) queue {
		q, err := openQueue(entries)
		if err != nil {
			t.Skipf("this kernel or sandbox grants no ring: %v", err)
		}
		return q
	}
}

// TestSQEIsCleared checks U5: what a slot held before does not show in what is prepared next.
func TestSQEIsCleared(t *testing.T) {
	buf := make([]byte, 10)
	for _, r := range []request{{fd: 3, tag: 9}, {fd: 3, buf: buf, off: 77, tag: 9}} {
		var fresh, dirty giouring.SubmissionQueueEntry
		for i := range unsafe.Sizeof(dirty) {
			*(*byte)(unsafe.Add(unsafe.Pointer(&dirty), i)) = 0xff
		}
		prepare(&fresh, r)
		prepare(&dirty, r)
		if !reflect.DeepEqual(fresh, dirty) {
			t.Errorf("prepared over an old entry:\n%+v\nover a clear one:\n%+v", dirty, fresh)
		}
	}
	var sqe giouring.SubmissionQueueEntry // why: giouring leaves the flags of the fsync to the read
	sqe.PrepareFsync(3, giouring.FsyncDatasync)
	sqe.PrepareRead(3, 0, 10, 0)
	if sqe.OpcodeFlags == 0 {
		t.Log("giouring clears rw_flags now: U5 may go")
	}
}

// TestReadAfterSyncInTheSameSlot does the same with the kernel: on a ring of one entry a read after an fdatasync would carry its
// flag, which for a read is RWF_HIPRI, and be refused.
func TestReadAfterSyncInTheSameSlot(t *testing.T) {
	s, err := Open(disk.OS{}, 1)
	if err != nil {
		t.Skip(err)
	}
	plain := 0
	s.lone = true // no shortcut
	f, content := create(t, s, rand.New(rand.NewPCG(1, 1)), 10_000)
	w := f.(*file)
	w.File = plainCounter{w.File, &plain}
	for range 10 {
		if err := s.SyncBatch([]disk.File{f}); err != nil {
			t.Fatal(err)
		}
		ops := []disk.ReadOp{{File: f, P: make([]byte, 10_000)}}
		s.ReadBatch(ops)
		if ops[0].Err != nil || !bytes.Equal(ops[0].P, content) {
			t.Fatal(ops[0].Err)
		}
	}
	if err := s.Close(); err != nil || plain != 0 {
		t.Errorf("%v, %d reads were refused", err, plain)
	}
}

// plainCounter counts the reads that did not go through the ring.
type plainCounter struct {
	disk.File
	n *int
}

func (p plainCounter) ReadAt(b []byte, off int64) (int, error) {
	*p.n++
	return p.File.ReadAt(b, off)
}

// TestReadsGoThroughTheRing makes sure that the comparison with ReadAt is not one of ReadAt with itself.
func TestReadsGoThroughTheRing(t *testing.T) {
	s, err := Open(disk.OS{}, 4)
	if err != nil {
		t.Skip(err)
	}
	plain := 0
	s.lone = true // no shortcut
	f, content := create(t, s, rand.New(rand.NewPCG(1, 1)), 10_000)
	w := f.(*file)
	w.File = plainCounter{w.File, &plain}
	for range 100 {
		ops := make([]disk.ReadOp, 10)
		for i := range ops {
			ops[i] = disk.ReadOp{File: f, Off: int64(i) * 1000, P: make([]byte, 1000)}
		}
		s.ReadBatch(ops)
		for i := range ops {
			if ops[i].Err != nil || !bytes.Equal(ops[i].P, content[i*1000:][:1000]) {
				t.Fatal(i, ops[i].Err)
			}
		}
	}
	if err := s.Close(); err != nil || plain != 0 {
		t.Errorf("%v, %d plain reads", err, plain)
	}
}

// TestStrayCompletion lets the kernel answer a request that no slot made.
func TestStrayCompletion(t *testing.T) {
	s, err := Open(disk.OS{}, 4)
	if err != nil {
		t.Skip(err)
	}
	told := make(chan error, 2)
	s.OnFailure(func(err error) { told <- err })
	f, _ := create(t, s, rand.New(rand.NewPCG(1, 1)), 10_000)
	s.mu.Lock()
	ok := s.q.push(request{fd: f.(*file).fd, tag: 5 << 32})
	if n, err := s.q.submit(); !ok || n != 1 || err != nil {
		t.Fatal(ok, n, err)
	}
	s.mu.Unlock()
	err = <-told
	ops := []disk.ReadOp{{File: f, P: make([]byte, 10_000)}, {File: f, P: make([]byte, 10), Off: 9_995}}
	s.ReadBatch(ops)
	compare(t, ops)
	if cerr := s.Close(); err == nil || cerr != err {
		t.Errorf("told %v, Close says %v", err, cerr)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestNothingLeaks opens, uses and closes many rings; goleak watches the goroutines.
func TestNothingLeaks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	name := path.Join(t.TempDir(), "f")
	round := func(fail bool) {
		s, err := Open(disk.OS{}, 8)
		if err != nil {
			t.Skip(err)
		}
		_ = os.Remove(name)
		f, err := s.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.WriteVec([][]byte{make([]byte, 20_000)}, 0); err != nil {
			t.Fatal(err)
		}
		ops := randomOps(rng, []disk.File{f}, 20_000, 20)
		s.ReadBatch(ops)
		s.ReadBatch(ops[:1])
		if fail {
			s.mu.Lock()
			s.fail(syscall.EIO)
			s.mu.Unlock()
		}
		s.ReadBatch(ops)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); (err != nil) != fail {
			t.Error(err)
		}
	}
	round(false)
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	for i := range 50 {
		round(i%2 == 0)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines; runtime.Gosched() { // one may be about to return
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
		}
	}
}
