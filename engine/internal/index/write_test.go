package index

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// TestKafkaReadsTheFiles holds the bytes against what Kafka's LogSegment writes, told once more in other words, and so against what its
// DumpLogSegments checks: each offset is the last one of the batch at the position, each time that of the batch with the offset.
func TestKafkaReadsTheFiles(t *testing.T) {
	const interval = 700
	rng := newRand(t)
	var all []placed
	var size int64
	var offsets, times [][2]int64 // what is expected
	for len(times) < 3 {          // the newest record may come early
		all, size = log(rng, 500)
		offsets, times = expected(all, interval)
	}
	d := disk.NewMem()
	_, _, _ = both(t, d, "/", all, size, interval)
	b, err := readAll(d, "/00000000000000005000.index", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var got [][2]int64
	for ; len(b) > 0; b = b[8:] {
		got = append(got, [2]int64{int64(base) + int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))})
	}
	if !slices.Equal(got, offsets) || len(got) < 10 {
		t.Errorf("offset index\n%v, want\n%v", got, offsets)
	}
	if b, err = readAll(d, "/00000000000000005000.timeindex", 1<<20); err != nil {
		t.Fatal(err)
	}
	for got = nil; len(b) > 0; b = b[12:] {
		got = append(got, [2]int64{int64(binary.BigEndian.Uint64(b)), int64(base) + int64(binary.BigEndian.Uint32(b[8:]))})
	}
	if !slices.Equal(got, times) {
		t.Errorf("time index\n%v, want\n%v", got, times)
	}
}

// expected is the entries of both indexes.
func expected(all []placed, interval int) (offsets, times [][2]int64) {
	since, newest, newestLast := 0, int64(NoTime), batch.Offset(0)
	for _, p := range all {
		if p.MaxTimestamp() > newest {
			newest, newestLast = p.MaxTimestamp(), p.LastOffset()
		}
		if since > interval {
			offsets = append(offsets, [2]int64{int64(p.LastOffset()), p.pos})
			times = appendTime(times, newest, newestLast)
			since = 0
		}
		since += len(p.Batch)
	}
	return offsets, appendTime(times, newest, newestLast) // the one written at roll
}

func appendTime(list [][2]int64, ms int64, last batch.Offset) [][2]int64 {
	if ms == NoTime || len(list) > 0 && list[len(list)-1][0] == ms {
		return list
	}
	return append(list, [2]int64{ms, int64(last)})
}

// TestAnEntryIsDueBeyondTheInterval: not at it (Kafka's rule), and never for the first batch.
func TestAnEntryIsDueBeyondTheInterval(t *testing.T) {
	var b batch.Builder
	b.Add(time.UnixMilli(1), nil, nil)
	h := b.Batch()
	tracker := NewTracker(100)
	for _, c := range []struct {
		pos int64
		due bool
	}{{0, false}, {61, false}, {100, false}, {101, true}, {162, false}, {201, false}, {202, true}, {1000, true}} {
		if p, due := tracker.Note(h, c.pos); due != c.due || due && p.Pos != c.pos {
			t.Errorf("at byte %d: due %t, %+v", c.pos, due, p)
		}
	}
}

// TestWriterLeavesNothingBehind fails every operation of a Writer in turn.
func TestWriterLeavesNothingBehind(t *testing.T) {
	all, _ := log(newRand(t), 200)
	broken := errors.New("broken")
	for n := 0; ; n++ {
		mem, left := disk.NewMem(), n
		d := disk.Inject(mem, func(op disk.Op, _ string) error {
			if left--; left == -1 && op != "remove" {
				return broken
			}
			return nil
		})
		err := writeAll(d, "/", all)
		entries, _ := mem.ReadDir("/")
		if err == nil && left >= 0 {
			if len(entries) != 2 {
				t.Errorf("%v after success", entries)
			}
			t.Logf("%d operations failed in turn", n)
			return
		}
		for _, e := range entries {
			if path.Ext(e.Name) == TmpSuffix {
				t.Errorf("operation %d failed (%v): %s is left", n, err, e.Name)
			}
		}
	}
}

func writeAll(d disk.FS, dir string, all []placed) error {
	w, err := Create(d, dir, base)
	if err != nil {
		return err
	}
	t := NewTracker(100)
	for _, p := range all {
		if point, due := t.Note(p.Batch, p.pos); due {
			if err := w.Add(point); err != nil {
				w.Abort()
				return err
			}
		}
	}
	_, err = w.Commit(&t)
	return err
}

func TestWriterRefusesWhatDoesNotRise(t *testing.T) {
	for what, p := range map[string][]Point{
		"offset":    {{Last: base + 5, Pos: 100}, {Last: base + 5, Pos: 200}},
		"position":  {{Last: base + 5, Pos: 100}, {Last: base + 6, Pos: 100}},
		"byte 0":    {{Last: base + 5, Pos: 0}},
		"too far":   {{Last: base + 5, Pos: 1 << 31}},
		"the range": {{Last: base + 1<<31, Pos: 100}},
	} {
		w, err := Create(disk.NewMem(), "/", base)
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s went unnoticed", what)
				}
			}()
			for _, p := range p {
				if err := w.Add(p); err != nil {
					t.Error(err)
				}
			}
		}()
	}
}

// TestCrash cuts the power after every operation of writing an index: what is found under the final names is whole (I3).
func TestCrash(t *testing.T) {
	rng := newRand(t)
	all, size := log(rng, 200)
	clean := disk.NewMem()
	_, _, sums := both(t, clean, "/", all, size, 100)
	b := Bounds{size, all[len(all)-1].NextOffset(), &sums}
	states, found := 0, 0
	for n := 0; ; n++ {
		mem, left := disk.NewMem(), n
		err := writeAll(disk.Inject(mem, func(disk.Op, string) error {
			if left--; left < 0 {
				return errors.New("power cut")
			}
			return nil
		}), "/", all)
		for range 200 {
			after := mem.Crash(rng, []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)])
			x, err := Open(after, "/", base, b)
			states++
			if err == nil {
				found++
				if err := x.Close(); err != nil {
					t.Fatal(err)
				}
			} else if !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("cut after %d operations: half a file is found: %v", n, err)
			}
		}
		if err == nil {
			break
		}
	}
	if found == 0 || found == states {
		t.Errorf("the files were found in %d of %d states", found, states)
	}
}
