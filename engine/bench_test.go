package engine_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/streambus/streambus/bench/bare"
	"github.com/streambus/streambus/engine"
)

// zeroFileBytes is the size of the file that bare programs overwrite: that of one commit-log file.
const zeroFileBytes = 256 << 20

// rival is a bare program that a case is measured against.
type rival struct {
	name  string // of the ratio: x-name
	bytes bool   // compare MB/s, not records/s
	run   func(f *bare.File, dir string, c *writeCase, batchBytes int) (bare.Run, error)
}

var (
	perRecord = rival{"per-record-fsync", false, func(f *bare.File, _ string, c *writeCase, n int) (bare.Run, error) {
		return bare.PerRecord(f, c.writers, n, *roundTime)
	}}
	bareGroup = rival{"bare-group", true, func(f *bare.File, _ string, c *writeCase, n int) (bare.Run, error) {
		return bare.GroupCommit(f, c.writers, c.inFlight, n, *roundTime)
	}}
	device = rival{"device", true, func(f *bare.File, _ string, _ *writeCase, _ int) (bare.Run, error) {
		return bare.Device(f, *roundTime)
	}}
	bareAppend = rival{"bare-append", true, func(_ *bare.File, dir string, c *writeCase, n int) (bare.Run, error) {
		return bare.Append(dir, c.partitions, n, *roundTime)
	}}
)

// writeCase is a closed loop of writers, each with so many batches in flight. All are measured against the device too.
type writeCase struct {
	writers, inFlight, partitions int
	records                       int     // in a batch
	bytes                         int     // of a record; 0: 1 KiB
	way                           backEnd // "": the engine's own choice
	rivals                        []rival
	durability                    engine.Durability
	fewer                         int  // also measured over so few partitions: x-N-partitions
	cached                        bool // also measured in page-cache mode: x-page-cache
}

func (c *writeCase) name() string {
	what := "record=1KiB"
	if c.records > 1 {
		what = fmt.Sprintf("batch=%dKiB", c.records)
	} else if c.bytes >= 1<<10 {
		what = fmt.Sprintf("record=%dKiB", c.bytes>>10)
	} else if c.bytes > 0 {
		what = fmt.Sprintf("record=%dB", c.bytes)
	}
	name := fmt.Sprintf("durability=%v/%s/writers=%dx%d/partitions=%d", c.durability, what, c.writers, c.inFlight, c.partitions)
	if c.way != "" {
		name += "/" + string(c.way)
	}
	return name
}

// BenchmarkStorage_Write measures appends from the call to the acknowledgement, against bare programs that do only the I/O.
// An op is a record. MB are of whole batches, which the bare programs write too.
func BenchmarkStorage_Write(b *testing.B) {
	cases := []writeCase{
		{writers: 64, inFlight: 1, partitions: 1, records: 1, rivals: []rival{perRecord, bareGroup}},
		{writers: 64, inFlight: 1, partitions: 64, records: 1, rivals: []rival{perRecord, bareGroup}},
		{writers: 64, inFlight: 5, partitions: 64, records: 1, rivals: []rival{bareGroup}, cached: true},
		{writers: 1000, inFlight: 1, partitions: 1000, records: 1, rivals: []rival{bareGroup}, fewer: 10},
		{writers: 8, inFlight: 5, partitions: 8, records: 64, rivals: []rival{bareGroup, bareAppend}, cached: true},
		{writers: 64, inFlight: 5, partitions: 64, records: 1, durability: engine.Interval, rivals: []rival{bareAppend}},
		{writers: 64, inFlight: 5, partitions: 64, records: 1, durability: engine.PageCache, rivals: []rival{bareAppend}},
		{writers: 8, inFlight: 5, partitions: 8, records: 64, durability: engine.PageCache, rivals: []rival{bareAppend}},
		{writers: 64, inFlight: 5, partitions: 64, records: 1, bytes: 100, rivals: []rival{bareGroup}},
		{writers: 64, inFlight: 5, partitions: 64, records: 1, bytes: 10 << 10, rivals: []rival{bareGroup}},
	}
	for _, way := range backEnds() {
		cases = append(cases, writeCase{writers: 64, inFlight: 5, partitions: 64, records: 1, way: way, rivals: []rival{bareGroup}})
	}
	for _, c := range cases {
		c.rivals = append(c.rivals, device)
		b.Run(c.name(), func(b *testing.B) { c.measure(b) })
	}
	b.Run("durability=fsync/record=1KiB/rate=half", halfRate)
}

func newZeroFile(b *testing.B) *bare.File {
	b.Helper()
	f, err := bare.NewFile(filepath.Join(b.TempDir(), "zeros"), zeroFileBytes)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	return f
}

func (c *writeCase) measure(b *testing.B) {
	f := newZeroFile(b)
	var n counts
	dir, scratch := b.TempDir(), b.TempDir()
	way, bytes := c.way, c.bytes
	if way == "" {
		way = backEnds()[0]
	}
	if bytes == 0 {
		bytes = 1 << 10
	}
	e := way.open(b, dir, &n)
	settle(b, e)
	fillCache(b)
	l := newLoad(openLogs(b, e, "bench", c.partitions, engine.LogOptions{Durability: c.durability}), c.writers, c.inFlight, c.records, bytes)
	others := c.others(b, e, l)
	for _, o := range append(others, variant{load: l}) { // first segments are reserved, pools filled
		mustRun(b)(o.load.round(*roundTime / 2))
	}
	s := newSamples()
	for b.Loop() {
		rest(b, dir)
		syncs, written, commit := n.syncs.Load(), n.writeBytes.Load(), n.commitBytes.Load()
		n.takeTimes()
		r := mustRun(b)(l.round(*roundTime))
		s.run(&r, n.syncs.Load()-syncs)
		s.times(&n)
		s.Add("commit-bytes/byte", float64(n.commitBytes.Load()-commit)/float64(r.Bytes))
		s.Add("written-bytes/byte", float64(n.writeBytes.Load()-written)/float64(r.Bytes))
		b.StopTimer()
		for _, rival := range c.rivals {
			rest(b, dir)
			other := mustRun(b)(rival.run(f, scratch, c, l.bytes))
			s.against(&rival, &r, &other)
		}
		for _, o := range others {
			rest(b, dir)
			other := mustRun(b)(o.load.round(*roundTime))
			s.against(&rival{name: o.name}, &r, &other)
		}
		b.StartTimer()
	}
	s.Report(b.ReportMetric)
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}

// variant is the same load on other logs of the same engine.
type variant struct {
	name string
	load *load
}

func (c *writeCase) others(b *testing.B, e *engine.Engine, l *load) (out []variant) {
	b.Helper()
	add := func(name, prefix string, n int, o engine.LogOptions) {
		same := *l
		same.parts = openLogs(b, e, prefix, n, o)
		out = append(out, variant{name, &same})
	}
	if c.fewer > 0 {
		add(fmt.Sprintf("%d-partitions", c.fewer), "few", c.fewer, engine.LogOptions{Durability: c.durability})
	}
	if c.cached {
		add("page-cache", "cached", c.partitions, engine.LogOptions{Durability: engine.PageCache})
	}
	return out
}

// settle writes until all commit-log files exist: from then on they are recycled, and no round pays for filling one with zeros.
func settle(b *testing.B, e *engine.Engine) {
	b.Helper()
	const name = "settle"
	l := newLoad(openLogs(b, e, name, 1, engine.LogOptions{}), 4, 8, 64, 1024)
	mustRun(b)(l.fill(4 * zeroFileBytes))
	if err := e.Drop(name + "-0"); err != nil {
		b.Fatal(err)
	}
}

// fillCache lets new files find memory that is there; what benchmarks before this one removed is not, on a virtual machine.
func fillCache(b *testing.B) {
	b.Helper()
	if _, err := bare.FillCache(b.TempDir(), bare.LeaveFree); err != nil {
		b.Fatal(err)
	}
}

// rest lets what others left in the page cache reach the disk, so that a side does not pay for the one before it.
func rest(b *testing.B, dir string) {
	b.Helper()
	if err := bare.Flush(dir); err != nil {
		b.Fatal(err)
	}
}

// times adds how long the engine's own I/O took in a round.
func (s samples) times(n *counts) {
	syncs, writes := n.takeTimes()
	if syncs.Count() > 0 {
		s.Quantiles("commit-sync-", &syncs)
	}
	s.Quantiles("segment-write-", &writes)
}

func (s samples) against(v *rival, r, other *bare.Run) {
	if v.bytes {
		s.Add(v.name+"-MB/s", other.MBPerSecond())
		s.Add("x-"+v.name, r.MBPerSecond()/other.MBPerSecond())
		s.Add(v.name+"-CPU-s/GB", other.CPUPerGB())
		return
	}
	s.Add(v.name+"-records/s", other.OpsPerSecond())
	s.Add("x-"+v.name, r.OpsPerSecond()/other.OpsPerSecond())
}

func mustRun(b *testing.B) func(bare.Run, error) bare.Run {
	return func(r bare.Run, err error) bare.Run {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
}

// halfRate offers half of what the closed loop of 64 writers reached, on an absolute schedule, and compares the latency of an
// acknowledgement, from the time at which the record was due, with that of one bare fdatasync of the same round. late-… is how
// much of it the schedule itself lost: where its p99 is not well below fdatasync-p99, the machine was too busy for the ratio.
func halfRate(b *testing.B) {
	f := newZeroFile(b)
	var n counts
	dir := b.TempDir()
	e := openEngine(b, dir, &n)
	settle(b, e)
	bare.EmptyCache() // 80 MB/s find their memory in time
	l := newLoad(openLogs(b, e, "bench", 64, engine.LogOptions{}), 64, 1, 1, 1024)
	p := newPaced(l.parts)
	mustRun(b)(l.round(*roundTime / 2)) // first segments are reserved, pools filled
	s := newSamples()
	for b.Loop() {
		b.StopTimer()
		rest(b, dir)
		most := mustRun(b)(l.round(*roundTime))
		rest(b, dir)
		bareSync := mustRun(b)(bare.SyncLatency(f, *roundTime))
		rest(b, dir)
		b.StartTimer()
		syncs := n.syncs.Load()
		n.takeTimes()
		r, late, err := p.round(most.OpsPerSecond()/2, *roundTime)
		if err != nil {
			b.Fatal(err)
		}
		s.run(&r, n.syncs.Load()-syncs)
		s.times(&n)
		s.Add("offered-records/s", most.OpsPerSecond()/2)
		s.Quantiles("late-", late)
		s.Quantiles("fdatasync-", &bareSync.Latency)
		s.Add("x-fdatasync-p99", bare.Ratio(r.Latency.Quantile(0.99), bareSync.Latency.Quantile(0.99)))
		s.Add("x-fdatasync-p50", bare.Ratio(r.Latency.Quantile(0.5), bareSync.Latency.Quantile(0.5)))
	}
	s.Report(b.ReportMetric)
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}
