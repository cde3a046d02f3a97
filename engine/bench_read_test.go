package engine_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/bench/bare"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// readBlock is what a reader asks for at once, as a consumer that catches up does.
const readBlock = 1 << 20

// readSpan reads like a broker that sends a fetch response over TLS: the span is found, and its bytes are brought to memory.
func readSpan(l *engine.Log, from, end batch.Offset, most int, buf []byte) (next batch.Offset, out []byte, err error) {
	span, err := l.Read(from, end, most)
	if err != nil {
		return from, buf, err
	}
	defer span.Release()
	out, err = span.AppendTo(buf[:0])
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("nothing to read at %d below %d", from, end)
	}
	return span.Next(), out, err
}

// fillLogs makes n logs with dataBytes in all, in batches of so many records of 1 KiB, closes the engine and opens it anew.
func fillLogs(b *testing.B, way backEnd, dir string, n, records int, c *counts) (*engine.Engine, []*partition) {
	b.Helper()
	e := way.open(b, dir, c)
	writers := max(n, 8)
	l := newLoad(openLogs(b, e, "bench", n, engine.LogOptions{}), writers, 8, records, 1024)
	mustRun(b)(l.fill(dataBytes()))
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
	e = way.open(b, dir, c)
	return e, openLogs(b, e, "bench", n, engine.LogOptions{})
}

// BenchmarkStorage_Read reads the last batch of a log just after it was flushed, as a consumer at the tail does. reads/op are the
// reads asked of the disk interface; x-bare-pread is the time against one pread of as many cached bytes (below 1 is better).
func BenchmarkStorage_Read(b *testing.B) {
	for _, records := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("hot/batch=%dKiB", records), func(b *testing.B) { readTail(b, records) })
	}
}

func readTail(b *testing.B, records int) {
	const rounds = 16 // appends in a round; after each, the tail is read so often:
	const readsEach = 500
	var n counts
	dir := b.TempDir()
	e := openEngine(b, dir, &n)
	l := newLoad(openLogs(b, e, "bench", 1, engine.LogOptions{}), 1, 1, records, 1024)
	mustRun(b)(l.fill(4 << 20))
	p := l.parts[0]
	s := newSamples()
	for b.Loop() {
		var reads int64
		r, err := bare.Round(0, 1, func(_ int, t *bare.Tally, _ *atomic.Bool) error {
			for range rounds {
				var ignored bare.Tally
				if err := l.write(0, &ignored, func() bool { return true }); err != nil {
					return err
				}
				before := n.reads.Load()
				if err := readEnd(p.log, records, readsEach, t); err != nil {
					return err
				}
				reads += n.reads.Load() - before
			}
			return nil
		})
		mustRun(b)(r, err)
		b.StopTimer()
		other := mustRun(b)(bare.Random(segmentFiles(b, dir)[0], 1, rounds*readsEach, l.bytes, bare.Unique()))
		s.Add("ns/op", float64(r.Latency.Quantile(0.5)))
		s.Add("reads/op", float64(reads)/float64(r.Ops))
		s.Quantiles("", &r.Latency)
		s.Add("bare-pread-p50-us", float64(other.Latency.Quantile(0.5))/1e3)
		s.Add("x-bare-pread", bare.Ratio(r.Latency.Quantile(0.5), other.Latency.Quantile(0.5)))
		b.StartTimer()
	}
	s.Report(b.ReportMetric)
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}

func readEnd(l *engine.Log, records, times int, t *bare.Tally) (err error) {
	end := l.FlushedEnd()
	buf := make([]byte, 0, readBlock)
	for range times {
		begin := time.Now()
		if _, buf, err = readSpan(l, end-batch.Offset(records), end, readBlock, buf); err != nil {
			return err
		}
		t.Latency.Add(time.Since(begin))
		t.Ops++
		t.Bytes += int64(len(buf))
	}
	return nil
}

// BenchmarkStorage_Sequential lets 64 readers each read a log of their own from the beginning to the end, with nothing cached,
// against as many goroutines that pread the same files 1 MiB at a time. An op is a span of up to 1 MiB.
// threads/most is how many OS threads the process had at once.
func BenchmarkStorage_Sequential(b *testing.B) {
	for _, way := range backEnds() {
		sequential(b, way, 64)
	}
}

func sequential(b *testing.B, way backEnd, readers int) {
	b.Run(fmt.Sprintf("cold/readers=%d/%s", readers, way), func(b *testing.B) {
		var n counts
		dir := b.TempDir()
		e, parts := fillLogs(b, way, dir, readers, 16, &n)
		files := segmentFiles(b, dir)
		s := newSamples()
		for b.Loop() {
			b.StopTimer()
			dropCaches(b, files)
			reads, most := n.reads.Load(), bare.WatchThreads()
			b.StartTimer()
			r := mustRun(b)(readAll(parts))
			b.StopTimer()
			s.run(&r, 0)
			s.Add("reads/op", float64(n.reads.Load()-reads)/float64(r.Ops))
			s.Add("threads/most", float64(most()))
			dropCaches(b, files)
			other := mustRun(b)(bare.Sequential(files, readBlock))
			if r.Bytes != other.Bytes {
				b.Fatalf("the engine read %d bytes, the files have %d", r.Bytes, other.Bytes)
			}
			s.Add("bare-MB/s", other.MBPerSecond())
			s.Add("bare-CPU-s/GB", other.CPUPerGB())
			s.Add("x-bare-reads", r.MBPerSecond()/other.MBPerSecond())
			b.StartTimer()
		}
		s.Report(b.ReportMetric)
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	})
}

func readAll(parts []*partition) (bare.Run, error) {
	return bare.Round(0, len(parts), func(i int, t *bare.Tally, stop *atomic.Bool) (err error) {
		buf := make([]byte, 0, readBlock)
		l := parts[i].log
		end := l.FlushedEnd()
		for at := l.StartOffset(); at < end && !stop.Load(); {
			begin := time.Now()
			if at, buf, err = readSpan(l, at, end, readBlock, buf); err != nil {
				return err
			}
			t.Latency.Add(time.Since(begin))
			t.Ops++
			t.Bytes += int64(len(buf))
		}
		return nil
	})
}

// BenchmarkStorage_Random reads single batches at random offsets of one large log of 4 KiB batches, the smallest that each get
// an index entry, with nothing cached; and measures what opening that log adds to the heap. The bare program reads 4 KiB; the engine the
// 64 KiB around them, since it checks what comes from the disk. disk-reads/op are those of reads/op that the page cache could not answer.
func BenchmarkStorage_Random(b *testing.B) {
	for _, way := range backEnds() {
		random(b, way)
	}
}

func random(b *testing.B, way backEnd) {
	const readers, reads = 8, 256 // few enough that hardly any page is met twice
	b.Run(fmt.Sprintf("cold/batch=4KiB/readers=%d/%s", readers, way), func(b *testing.B) {
		var n counts
		dir := b.TempDir()
		e, parts := fillLogs(b, way, dir, 1, 4, &n)
		files := segmentFiles(b, dir)
		s := newSamples()
		for b.Loop() {
			b.StopTimer()
			dropCaches(b, files)
			before, cold, bytes := n.reads.Load(), n.coldReads.Load(), n.readBytes.Load()
			seed := bare.Unique()
			b.StartTimer()
			r := mustRun(b)(readRandom(parts[0].log, readers, reads, seed))
			b.StopTimer()
			s.run(&r, 0)
			s.Add("reads/op", float64(n.reads.Load()-before)/float64(r.Ops))
			s.Add("disk-reads/op", float64(n.coldReads.Load()-cold)/float64(r.Ops))
			s.Add("read-bytes/op", float64(n.readBytes.Load()-bytes)/float64(r.Ops))
			dropCaches(b, files)
			other := mustRun(b)(bare.Random(files[0], readers, reads, 4096, seed))
			s.Add("bare-reads/s", other.OpsPerSecond())
			s.Add("bare-p50-us", float64(other.Latency.Quantile(0.5))/1e3)
			s.Add("x-bare-reads", r.OpsPerSecond()/other.OpsPerSecond())
			b.StartTimer()
		}
		s.Report(b.ReportMetric)
		b.ReportMetric(indexMiBPerGiB(b, e, dir, &n), "index-MiB/GiB")
	})
}

func readRandom(l *engine.Log, readers, reads int, seed uint64) (bare.Run, error) {
	end := l.FlushedEnd()
	return bare.Round(0, readers, func(i int, t *bare.Tally, stop *atomic.Bool) (err error) {
		rng, buf := rand.New(rand.NewPCG(seed, uint64(i))), make([]byte, 0, 64<<10)
		for range reads {
			begin := time.Now()
			if _, buf, err = readSpan(l, batch.Offset(rng.Int64N(int64(end))), end, 1, buf); err != nil || stop.Load() {
				return err
			}
			t.Latency.Add(time.Since(begin))
			t.Ops++
			t.Bytes += int64(len(buf))
		}
		return nil
	})
}

// indexMiBPerGiB closes the engine and measures what an OpenLog leaves on the heap.
func indexMiBPerGiB(b *testing.B, e *engine.Engine, dir string, n *counts) float64 {
	b.Helper()
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
	e = openEngine(b, dir, n)
	before := heapBytes()
	p := openLogs(b, e, "bench", 1, engine.LogOptions{})[0]
	grown := heapBytes() - before
	size := p.log.SizeBytes()
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
	return float64(grown) / (1 << 20) / (float64(size) / (1 << 30))
}

func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second one empties the pools too
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
