package index

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

func TestOpenRefuses(t *testing.T) {
	held(t)
	rng := newRand(t)
	var d *disk.Mem
	var size int64
	var next batch.Offset
	var sums Sums
	for times := 0; times < 3; { // fewer cannot fall, or cannot be told from zeros
		d = disk.NewMem()
		var all []placed
		all, size = log(rng, 300)
		next = all[len(all)-1].NextOffset()
		var x *Files
		_, x, sums = both(t, d, "/", all, size, 500)
		_, times = x.Len()
	}
	whole := map[string][]byte{}
	for _, suffix := range []string{OffsetSuffix, TimeSuffix} {
		whole[suffix], _ = readAll(d, fileName("/", base, suffix), 1<<30)
	}
	put := func(change func(map[string][]byte)) disk.FS {
		files := map[string][]byte{OffsetSuffix: slices.Clone(whole[OffsetSuffix]), TimeSuffix: slices.Clone(whole[TimeSuffix])}
		change(files)
		d := disk.NewMem()
		for suffix, b := range files {
			write(t, d, fileName("/", base, suffix), b)
		}
		return d
	}
	swap := func(b []byte, width int) { // the first entry and the last
		last := slices.Clone(b[len(b)-width:])
		copy(b[len(b)-width:], b[:width])
		copy(b, last)
	}
	for what, change := range map[string]func(map[string][]byte){
		"half an entry of .index":       func(f map[string][]byte) { f[OffsetSuffix] = f[OffsetSuffix][:len(f[OffsetSuffix])-4] },
		"half an entry of .timeindex":   func(f map[string][]byte) { f[TimeSuffix] = append(f[TimeSuffix], 1) },
		"more entries than batches":     func(f map[string][]byte) { f[OffsetSuffix] = make([]byte, 8*(size/61+1)) },
		"an offset before the base":     func(f map[string][]byte) { f[OffsetSuffix][0] = 0x80 },
		"an offset beyond the end":      func(f map[string][]byte) { f[OffsetSuffix][len(f[OffsetSuffix])-8] = 0x70 },
		"a position beyond the end":     func(f map[string][]byte) { f[OffsetSuffix][len(f[OffsetSuffix])-4] = 0x70 },
		"a negative position":           func(f map[string][]byte) { f[OffsetSuffix][4] = 0x80 },
		"entries that fall":             func(f map[string][]byte) { swap(f[OffsetSuffix], 8) },
		"times that fall":               func(f map[string][]byte) { swap(f[TimeSuffix], 12) },
		"a time before all times":       func(f map[string][]byte) { f[TimeSuffix][0] = 0x80 },
		"a time's offset beyond":        func(f map[string][]byte) { f[TimeSuffix][len(f[TimeSuffix])-4] = 0x70 },
		"nothing but zeros":             func(f map[string][]byte) { clear(f[OffsetSuffix]) },
		"nothing but zeros, time index": func(f map[string][]byte) { clear(f[TimeSuffix]) },
	} {
		for _, b := range []Bounds{{size, next, nil}, {size, next, &sums}} {
			for _, d := range []disk.FS{put(change), bare{put(change)}} {
				if _, err := Open(d, "/", base, b); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s (sums %t): %v", what, b.Sums != nil, err)
				}
			}
		}
	}
	for suffix := range whole { // any flip, and any cut, is noticed by the sums
		for i := range whole[suffix] {
			flip := put(func(f map[string][]byte) { f[suffix][i] ^= 1 << (i % 8) })
			if _, err := Open(flip, "/", base, Bounds{size, next, &sums}); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d of %s changed: %v", i, suffix, err)
			}
		}
		if _, err := Open(put(func(f map[string][]byte) { f[suffix] = nil }), "/", base, Bounds{size, next, &sums}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("an empty %s: %v", suffix, err)
		}
		one := put(func(map[string][]byte) {})
		if err := one.Remove(fileName("/", base, suffix)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(one, "/", base, Bounds{size, next, nil}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no %s: %v", suffix, err)
		}
	}
}

func write(t testing.TB, d disk.FS, name string, b []byte) {
	t.Helper()
	f, err := d.Create(name)
	if err == nil {
		err = errors.Join(f.WriteVec([][]byte{b}, 0), f.Sync(), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAnEmptyIndex is that of a segment of one batch, or of batches without timestamps.
func TestAnEmptyIndex(t *testing.T) {
	held(t)
	for name, d := range map[string]disk.FS{"os": disk.OS{}, "mem": disk.NewMem()} {
		dir := t.TempDir()
		if err := d.MkdirAll(dir); err != nil {
			t.Fatal(name, err)
		}
		h, x, _ := both(t, d, dir, nil, 0, 0)
		for _, f := range []func(Index) (int64, error){
			func(x Index) (int64, error) { return x.FloorOffset(base + 7) },
			func(x Index) (int64, error) { return x.FloorPosition(99) },
			func(x Index) (int64, error) { return x.FloorTime(99) },
		} {
			a, aerr := f(h)
			b, berr := f(x)
			if a != 0 || b != 0 || aerr != nil || berr != nil {
				t.Error(name, a, aerr, b, berr)
			}
		}
	}
}

// TestAFaultIsAnError cuts a mapped file, which nobody may do (M1), and which must not end the process all the same.
func TestAFaultIsAnError(t *testing.T) {
	held(t)
	dir := t.TempDir()
	all, size := log(newRand(t), 1000)
	_, x, _ := both(t, disk.OS{}, dir, all, size, 1)
	for _, suffix := range []string{OffsetSuffix, TimeSuffix} {
		f, err := disk.OS{}.Open(fileName(dir, base, suffix))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(0), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for i, f := range []func() (int64, error){
		func() (int64, error) { return x.FloorOffset(base + 1000) },
		func() (int64, error) { return x.FloorPosition(size - 1) },
		func() (int64, error) { return x.FloorTime(500) },
		func() (int64, error) { pos, _, err := x.NextPosition(size / 2); return pos, err },
	} {
		if pos, err := f(); pos != 0 || !errors.Is(err, disk.ErrFault) {
			t.Errorf("lookup %d: %d, %v", i, pos, err)
		}
	}
}

// TestNoRoomForAMapping: at the kernel's limit of mappings the files are read instead; other failures stay failures.
func TestNoRoomForAMapping(t *testing.T) {
	held(t)
	d := disk.NewMem()
	all, size := log(newRand(t), 100)
	_, _, sums := both(t, d, "/", all, size, 300)
	b := Bounds{size, all[len(all)-1].NextOffset(), &sums}
	fail := func(op disk.Op, err error) disk.FS {
		return disk.Inject(d, func(o disk.Op, name string) error {
			if o == op && strings.HasSuffix(name, TimeSuffix) {
				return err
			}
			return nil
		})
	}
	x, err := Open(fail("map", syscall.ENOMEM), "/", base, b)
	if err != nil || x.Mapped() {
		t.Fatal("ENOMEM:", err)
	}
	if pos, err := x.FloorPosition(size / 2); err != nil || pos == 0 {
		t.Error(pos, err)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(fail("map", syscall.EIO), "/", base, b); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrCorrupt) {
		t.Error("EIO:", err)
	}
}

// FuzzOpen opens whatever a disk may hold under the two names: no panic, no floor outside the segment, no memory beyond the files' own.
func FuzzOpen(f *testing.F) {
	d := disk.NewMem()
	all, size := log(rand.New(rand.NewPCG(1, 2)), 50)
	_, _, _ = both(f, d, "/", all, size, 300)
	offsets, _ := readAll(d, offsetName("/", base), 1<<20)
	times, _ := readAll(d, timeName("/", base), 1<<20)
	f.Add(offsets, times)
	f.Add(offsets[:16], times[:12])
	f.Add(make([]byte, 64), make([]byte, 24))
	f.Add([]byte{}, []byte{1})
	f.Fuzz(func(t *testing.T, offsets, times []byte) {
		d := disk.NewMem()
		write(t, d, offsetName("/", base), offsets)
		write(t, d, timeName("/", base), times)
		x, err := Open(d, "/", base, Bounds{Size: size, Next: all[len(all)-1].NextOffset()})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		for v := int64(-100); v < size+100; v += 53 {
			for i, f := range []func(int64) (int64, error){
				func(v int64) (int64, error) { return x.FloorOffset(base + batch.Offset(v)) }, x.FloorPosition, x.FloorTime,
				func(v int64) (int64, error) { pos, _, err := x.NextPosition(v); return pos, err },
			} {
				pos, err := f(v)
				if pos < 0 || pos >= size || err != nil && (pos != 0 || !errors.Is(err, ErrCorrupt)) {
					t.Fatalf("lookup %d of %d: %d, %v", i, v, pos, err)
				}
			}
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
