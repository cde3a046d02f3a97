package uring

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/streambus/streambus/engine/disk"
)

// TestSyncBatch checks which errors of a sync stand, and that none is asked twice.
func TestSyncBatch(t *testing.T) {
	everywhere(t, 4, func(t *testing.T, s *FS, rng *rand.Rand) {
		var files []disk.File
		for range 10 {
			f, _ := create(t, s, rng, 5000)
			files = append(files, f)
		}
		foreign, _ := create(t, disk.NewMem(), rng, 10)
		if err := s.SyncBatch(append(files, foreign)); err != nil {
			t.Error(err)
		}
		if err := s.SyncBatch(nil); err != nil {
			t.Error(err)
		}
		if err := files[3].Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.SyncBatch(files); err == nil {
			t.Error("a closed file was synced")
		}
	})
}

func TestFailedSyncIsFinal(t *testing.T) {
	for errno, want := range map[syscall.Errno]struct{ asked, plain int }{
		0: {1, 0}, syscall.EIO: {1, 0}, syscall.ENOSPC: {1, 0}, syscall.ECANCELED: {1, 1}, syscall.EINTR: {maxTries + 1, 0},
	} {
		asked := 0
		q := newMemQueue(1, 4)
		q.syncResult = func(request) int32 { asked++; return -int32(errno) }
		plain := 0
		s := newFS(disk.Inject(disk.OS{}, func(op disk.Op, _ string) error {
			if op == "sync" {
				plain++
			}
			return nil
		}), q, 4)
		f, _ := create(t, s, rand.New(rand.NewPCG(1, 1)), 10)
		err := s.SyncBatch([]disk.File{f})
		if cerr := s.Close(); cerr != nil {
			t.Error(cerr)
		}
		if asked != want.asked || plain != want.plain {
			t.Errorf("%v: asked %d times and %d by a plain call, want %+v", errno, asked, plain, want)
		}
		wantErr := errno != 0 && errno != syscall.ECANCELED
		if wantErr != (err != nil) || wantErr && (!errors.Is(err, errno) || !strings.Contains(err.Error(), f.(*file).name)) {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

// TestInterruptedSyncIsAskedAgain: the error of a first answer does not stick.
func TestInterruptedSyncIsAskedAgain(t *testing.T) {
	q := newMemQueue(1, 4)
	answers := []int32{-int32(syscall.EINTR), -int32(syscall.EAGAIN), 0}
	q.syncResult = func(request) (res int32) { res, answers = answers[0], answers[1:]; return res }
	s := newFS(disk.OS{}, q, 4)
	s.lone = true // no shortcut
	f, _ := create(t, s, rand.New(rand.NewPCG(1, 1)), 10)
	if err := errors.Join(s.SyncBatch([]disk.File{f}), s.Close()); err != nil || len(answers) != 0 {
		t.Errorf("%v, %d answers left", err, len(answers))
	}
}

func TestEndlessEAGAINEndsInAPlainRead(t *testing.T) {
	q := newMemQueue(1, 4)
	asked := 0
	q.readResult = func(request) (int32, bool) { asked++; return -int32(syscall.EAGAIN), true }
	s := newFS(disk.OS{}, q, 4)
	s.lone = true // no shortcut
	f, _ := create(t, s, rand.New(rand.NewPCG(1, 1)), 1000)
	ops := []disk.ReadOp{{File: f, P: make([]byte, 1000)}}
	s.ReadBatch(ops)
	compare(t, ops)
	if err := s.Close(); err != nil || asked != maxTries+1 {
		t.Errorf("%v; asked %d times, want %d", err, asked, maxTries+1)
	}
}

// TestFailureTurnsToPlainReads breaks the ring in each way while batches run: all get the right bytes, and it is said once.
func TestFailureTurnsToPlainReads(t *testing.T) {
	for name, harm := range map[string]func(q *memQueue){
		"submit error":    func(q *memQueue) { q.set(func() { q.submitErr = syscall.EBADF }) },
		"endless EAGAIN":  func(q *memQueue) { q.set(func() { q.submitErr = syscall.EAGAIN }) },
		"stale answer":    func(q *memQueue) { q.say(completion{tag: 7 << 50, res: 1}) },
		"slot that isn't": func(q *memQueue) { q.say(completion{tag: 1 << 20, res: 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			rng, seed := newRand(t)
			q := newMemQueue(seed, 8)
			s := newFS(disk.OS{}, q, 8)
			told := make(chan error, 10)
			s.OnFailure(func(err error) { told <- err })
			f, _ := create(t, s, rng, 100_000)
			var wg sync.WaitGroup
			for i := range 6 {
				rng := rand.New(rand.NewPCG(rng.Uint64(), 0))
				wg.Go(func() {
					for k := range 40 {
						if i == 0 && k == 10 {
							harm(q)
						}
						ops := randomOps(rng, []disk.File{f}, 100_000, 12)
						s.ReadBatch(ops)
						compare(t, ops)
					}
				})
			}
			wg.Wait()
			if err := s.SyncBatch([]disk.File{f}); err != nil {
				t.Error(err)
			}
			err := s.Close()
			if err == nil || err != s.Err() || len(told) != 1 || <-told != err || !q.exited {
				t.Errorf("%v, %v, told %d more times, ring given up: %t", err, s.Err(), len(told), q.exited)
			}
			late := make(chan error, 1)
			s.OnFailure(func(err error) { late <- err })
			if <-late != err {
				t.Error("who asks late is told another error")
			}
		})
	}
}

// TestLostAnswerEndsTheProcess checks the end of U7 in a child process.
func TestLostAnswerEndsTheProcess(t *testing.T) {
	if os.Getenv("URING_LOSE_AN_ANSWER") != "" {
		q := newMemQueue(1, 8)
		q.withhold = func(r request) bool { return r.off == 500 }
		s := newFS(disk.OS{}, q, 8)
		f, _ := create(t, s, rand.New(rand.NewPCG(1, 1)), 1000)
		go func() { // the ring must have the request when it fails: what it has not taken, plain reads do
			until(func() bool { q.mu.Lock(); defer q.mu.Unlock(); return slices.ContainsFunc(q.held, q.withhold) })
			q.say(completion{tag: 1 << 40})
		}()
		s.ReadBatch([]disk.ReadOp{{File: f, P: make([]byte, 10)}, {File: f, P: make([]byte, 10), Off: 500}})
		t.Fatal("the batch returned although the kernel may still write into its buffer")
	}
	// #nosec: this very program
	cmd := exec.Command(os.Args[0], "-test.run=^TestLostAnswerEndsTheProcess$")
	cmd.Env = append(os.Environ(), "URING_LOSE_AN_ANSWER=1", "TMPDIR="+t.TempDir()) // it ends without cleaning up
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("panic: U7: 1 requests unanswered")) {
		t.Errorf("%v\n%s", err, out)
	}
}
