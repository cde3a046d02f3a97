package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/bench/bare"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/disk"
)

// plug is a disk that can be pulled: from then on every operation fails and changes nothing, so that the directory stays as a
// process that is killed at that moment leaves it, in the page cache and on the disk.
type plug struct{ pulled atomic.Bool }

// refillBytes is about what is written between two checkpoints: more would only make the data grow from round to round.
const refillBytes = zeroFileBytes

var errPulled = errors.New("the disk was pulled")

func (p *plug) rule(disk.Op, string) error {
	if p.pulled.Load() {
		return errPulled
	}
	return nil
}

// BenchmarkStorage_Recovery measures Open and OpenLog of 1,000 logs after an unclean stop and after a clean one, with warm page
// cache as after kill -9. An op is the unclean one.
func BenchmarkStorage_Recovery(b *testing.B) {
	const logs = 1000
	b.Run(fmt.Sprintf("partitions=%d", logs), func(b *testing.B) {
		dir := b.TempDir()
		total := dataBytes()
		writeAndPull(b, dir, logs, total)
		s := newSamples()
		for first := true; b.Loop(); first = false {
			b.StopTimer()
			if !first { // after a clean stop: make it unclean again, with as much to replay as a checkpoint leaves
				total += writeAndPull(b, dir, logs, min(dataBytes(), refillBytes))
			}
			b.StartTimer()
			unclean, found := openAll(b, dir, logs, false)
			b.StopTimer()
			clean, _ := openAll(b, dir, logs, true)
			gib := float64(total) / (1 << 30)
			s.Add("ns/op", float64(unclean.Nanoseconds()))
			s.Add("unclean-s", unclean.Seconds())
			s.Add("clean-s", clean.Seconds())
			s.Add("unclean-s/GiB", unclean.Seconds()/gib)
			s.Add("clean-s/GiB", clean.Seconds()/gib)
			s.Add("unclean-replay-s", found.Duration.Seconds())
			s.Add("replayed-frames", float64(found.Frames))
			s.Add("x-clean", bare.Ratio(unclean, clean))
			s.Add("GiB", gib)
			b.StartTimer()
		}
		s.Report(b.ReportMetric)
	})
}

// writeAndPull appends so many bytes, in batches of 16 KiB over all logs, and stops as kill -9 does.
func writeAndPull(b *testing.B, dir string, logs int, bytes int64) int64 {
	b.Helper()
	var p plug
	e, err := engine.Open(context.Background(), engine.Options{Dir: dir, FS: disk.Inject(disk.OS{}, p.rule)})
	if err != nil {
		b.Fatal(err)
	}
	l := newLoad(openLogs(b, e, "bench", logs, engine.LogOptions{}), logs, 1, 16, 1024)
	r, err := l.fill(bytes)
	p.pulled.Store(true)
	_ = e.Close() // cannot but fail; that the stop was unclean, the next Open says
	if err != nil {
		b.Fatal(err)
	}
	return r.Bytes
}

// openAll opens the directory, which was stopped cleanly or not, and all logs, and closes them, cleanly.
func openAll(b *testing.B, dir string, logs int, clean bool) (took time.Duration, found engine.Summary) {
	b.Helper()
	begin := time.Now()
	e, err := engine.Open(context.Background(), engine.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	openLogs(b, e, "bench", logs, engine.LogOptions{})
	took = time.Since(begin)
	found = e.Summary()
	if found.Clean != clean || found.Logs != logs || clean && found.Frames > 0 {
		b.Fatalf("after a stop that was clean: %v, Open says %+v", clean, found)
	}
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
	return took, found
}
