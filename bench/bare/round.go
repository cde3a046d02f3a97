package bare

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Tally is what one worker did in a round. It belongs to that worker until the round ends.
type Tally struct {
	Ops     int64 // records, or reads
	Bytes   int64 // of those, payload only
	Syncs   int64
	Latency Histogram // of each op, as its worker saw it
}

// Run is what all workers of a round did together.
type Run struct {
	Tally
	Elapsed time.Duration // from the start of the first worker to the end of the last
	CPU     time.Duration // user and system time of the whole process
	Mallocs uint64        // heap allocations of the whole process
}

// OpsPerSecond is the rate of the round.
func (r *Run) OpsPerSecond() float64 { return float64(r.Ops) / r.Elapsed.Seconds() }

// MBPerSecond is the rate of payload, in 10^6 bytes.
func (r *Run) MBPerSecond() float64 { return float64(r.Bytes) / 1e6 / r.Elapsed.Seconds() }

// CPUPerGB is the seconds of CPU for 10^9 bytes of payload.
func (r *Run) CPUPerGB() float64 { return r.CPU.Seconds() / (float64(r.Bytes) / 1e9) }

// Round runs work in so many goroutines, sets stop after d (never when d is 0), and waits for all of them. A worker that
// returns an error sets stop. Garbage is collected before, so that a round does not pay for the one before it.
func Round(d time.Duration, workers int, work func(worker int, t *Tally, stop *atomic.Bool) error) (Run, error) {
	var stop atomic.Bool
	tallies := make([]Tally, workers)
	errs := make([]error, workers)
	runtime.GC()
	var r Run
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, begin := processCPU(), time.Now()
	if d > 0 {
		defer time.AfterFunc(d, func() { stop.Store(true) }).Stop()
	}
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			if errs[i] = work(i, &tallies[i], &stop); errs[i] != nil {
				stop.Store(true)
			}
		})
	}
	wg.Wait()
	r.Elapsed, r.CPU = time.Since(begin), processCPU()-cpu
	runtime.ReadMemStats(&after)
	r.Mallocs = after.Mallocs - before.Mallocs
	for i := range tallies {
		r.Merge(&tallies[i])
	}
	return r, errors.Join(errs...)
}

// Merge adds what another worker did.
func (t *Tally) Merge(o *Tally) {
	t.Ops += o.Ops
	t.Bytes += o.Bytes
	t.Syncs += o.Syncs
	t.Latency.Merge(&o.Latency)
}

func processCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic("getrusage of this process: " + err.Error()) // cannot fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
