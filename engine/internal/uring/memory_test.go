package uring

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/streambus/streambus/engine/disk"
)

// TestLocalBufferIsMovedToTheHeap reads into an array that is a local variable while stacks grow and shrink around it: the kernel
// would write to where the stack was. It holds because the slot table makes the array escape, which the allocations show.
func TestLocalBufferIsMovedToTheHeap(t *testing.T) {
	everywhere(t, 16, func(t *testing.T, s *FS, rng *rand.Rand) {
		s.lone = true // no shortcut
		f, content := create(t, s, rng, 64<<10)
		read := func(off int) bool {
			var buf [512]byte
			ops := [1]disk.ReadOp{{File: f, Off: int64(off), P: buf[:]}}
			s.ReadBatch(ops[:])
			return ops[0].Err == nil && bytes.Equal(buf[:], content[off:off+512])
		}
		if n := testing.AllocsPerRun(50, func() { read(0) }); n < 1 {
			t.Error("the buffer stays on the stack, which moves")
		}
		stop := make(chan struct{})
		var wg, gc sync.WaitGroup
		gc.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					runtime.GC() // shrinks the stacks of goroutines that wait
				}
			}
		})
		for i := range 16 {
			wg.Go(func() {
				for k := range 20 {
					if off := (i*20 + k) * 128; !deep(40, func() bool { return read(off) }) {
						t.Errorf("wrong bytes at %d", off)
					}
				}
			})
		}
		wg.Wait()
		close(stop)
		gc.Wait()
	})
}

// deep calls f with n large frames below it.
func deep(n int, f func() bool) bool {
	var pad [1024]byte
	if n > 0 {
		pad[n] = 1
		return deep(n-1, f) && pad[n] == 1
	}
	return f()
}

// TestBufferIsReferencedUntilTheAnswer checks U1 directly: while a request is held, the slot refers to its buffer; then it does not.
func TestBufferIsReferencedUntilTheAnswer(t *testing.T) {
	q := newMemQueue(1, 4)
	gate := true
	q.withhold = func(request) bool { return gate }
	s := newFS(disk.OS{}, q, 4)
	s.lone = true // no shortcut
	f, _ := create(t, s, rand.New(rand.NewPCG(1, 1)), 1000)
	freed := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := new([1000]byte)
		runtime.AddCleanup(p, func(struct{}) { close(freed) }, struct{}{})
		s.ReadBatch([]disk.ReadOp{{File: f, P: p[:]}})
	}()
	until(func() bool { q.mu.Lock(); defer q.mu.Unlock(); return len(q.held) == 1 })
	q.set(func() { q.held[0].buf = append([]byte(nil), q.held[0].buf...) }) // as the kernel: no reference of its own
	runtime.GC()
	runtime.GC()
	select {
	case <-freed:
		t.Error("collected while the ring had it")
	default:
	}
	q.set(func() { gate = false })
	<-done
	until(func() bool {
		runtime.GC()
		select {
		case <-freed:
			return true
		default:
			return false
		}
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
