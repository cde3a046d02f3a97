package disk

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// depth is a disk that can do more than others, and notes what it is asked to.
type depth struct {
	*Mem
	files [][]File // of each batch
}

func (d *depth) ReadBatch(ops []ReadOp) {
	var files []File
	for i := range ops {
		files = append(files, ops[i].File)
		ops[i].N, ops[i].Err = ops[i].File.ReadAt(ops[i].P, ops[i].Off)
	}
	d.files = append(d.files, files)
}

func (d *depth) SyncBatch(files []File) error {
	d.files = append(d.files, slices.Clone(files))
	return nil
}

// A disk with depth keeps it under failpoints, and is given its own files; one without gets none.
func TestFailpointsHideNothing(t *testing.T) {
	inner := &depth{Mem: NewMem()}
	d := new(Failpoints).Over(inner)
	f, g := put(t, d, "/f", []byte("first")), put(t, d, "/g", []byte("second"))
	ops := []ReadOp{{File: f, P: make([]byte, 5)}, {File: g, P: make([]byte, 3), Off: 3}}
	d.(BatchReader).ReadBatch(ops)
	if string(ops[0].P) != "first" || string(ops[1].P) != "ond" || ops[0].File != f || ops[1].File != g {
		t.Errorf("read %q and %q; its files are left as they were: %t, %t", ops[0].P, ops[1].P, ops[0].File == f, ops[1].File == g)
	}
	if err := SyncAll(d, []File{f, g}); err != nil {
		t.Error(err)
	}
	if len(inner.files) != 2 {
		t.Fatalf("%d batches came down, want a read and a sync", len(inner.files))
	}
	for _, batch := range inner.files {
		for _, f := range batch {
			if _, own := f.(*memFile); !own {
				t.Errorf("a batch has a %T, which the disk below does not know", f)
			}
		}
	}
	if m := must[*Mapping](t)(Map(d, "/f")); string(m.Bytes()) != "first" || m.Close() != nil {
		t.Error("a mapping of another file")
	}
	if _, ok := new(Failpoints).Over(NewMem()).(BatchReader); ok {
		t.Error("a disk that reads no batches claims to")
	}
	name := path.Join(t.TempDir(), "f")
	disk := new(Failpoints).Over(OS{})
	cached := put(t, disk, name, make([]byte, PageSize))
	plain := must[File](t)(OS{}.Open(name))
	defer plain.Close()
	if InCache(cached, 0, PageSize) != InCache(plain, 0, PageSize) {
		t.Error("what is in the page cache is hidden")
	}
	p, q := make([]byte, 10), make([]byte, 10)
	n, err := ReadCached(cached, p, 0)
	if m, err2 := ReadCached(plain, q, 0); n != m || !errors.Is(err, err2) {
		t.Errorf("ReadCached: %d, %v; plain: %d, %v", n, err, m, err2)
	}
	if _, ok := cached.Descriptor(); !ok {
		t.Error("the descriptor is hidden")
	}
}

// Each write and flush takes exactly so much longer, and nothing else does.
func TestFailpointsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 200 * time.Millisecond
		var p Failpoints
		for name, inner := range map[string]FS{"plain": NewMem(), "with depth": &depth{Mem: NewMem()}} {
			d := p.Over(inner)
			f, g := put(t, d, "/f", []byte("x")), put(t, d, "/g", []byte("x"))
			p.Set(Fault{Delay: delay})
			batch := delay
			if name == "plain" {
				batch = 2 * delay // one after the other
			}
			before, _ := p.Struck()
			count := int64(0)
			for what, c := range map[string]struct {
				do   func() error
				want time.Duration
			}{
				"write":          {func() error { return f.WriteVec([][]byte{{1}, {2}}, 0) }, delay},
				"write uncached": {func() error { return WriteVecUncached(f, [][]byte{{1}}, 0) }, delay},
				"write back":     {func() error { return WriteBack(f, 0, 1) }, delay},
				"sync":           {f.Sync, delay},
				"sync folder":    {func() error { return d.SyncDir("/") }, delay},
				"sync batch":     {func() error { return SyncAll(d, []File{f, g}) }, batch},
				"read":           {func() error { return ReadFull(f, make([]byte, 1), 0) }, 0},
				"allocate":       {func() error { return f.Allocate(100) }, 0},
				"size":           {func() error { _, err := f.Size(); return err }, 0},
				"free":           {func() error { _, err := d.Free("/"); return err }, 0},
				"list":           {func() error { _, err := d.ReadDir("/"); return err }, 0},
				"rename":         {func() error { return d.Rename("/f", "/f") }, 0},
			} {
				begun := time.Now()
				if err := c.do(); err != nil {
					t.Errorf("%s, %s: %v", name, what, err)
				}
				if took := time.Since(begun); took != c.want {
					t.Errorf("%s, %s took %s longer, want %s", name, what, took, c.want)
				}
				count += int64(c.want / delay)
			}
			if now, refused := p.Struck(); now-before != count || refused != 0 {
				t.Errorf("%s: %d slowed and %d refused, want %d and none", name, now-before, refused, count)
			}
			p.Set(Fault{})
			begun := time.Now()
			if err := errors.Join(f.WriteVec([][]byte{{1}}, 0), f.Sync()); err != nil || time.Since(begun) != 0 {
				t.Errorf("%s: healed, %v, and still slow by %s", name, err, time.Since(begun))
			}
		}
	})
}

// Who waits goes on when the fault is over, waits longer when the disk gets slower, and no longer than it would have when it gets quicker.
func TestFailpointsDelayChangesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ first, then, want time.Duration }{
			{time.Hour, 0, time.Second}, {time.Hour, 3 * time.Second, 3 * time.Second}, {time.Hour, time.Millisecond, time.Second}, {2 * time.Second, time.Minute, time.Minute},
		} {
			var p Failpoints
			f := put(t, p.Over(NewMem()), "/f", nil)
			p.Set(Fault{Delay: c.first})
			begun, took := time.Now(), make(chan time.Duration)
			go func() {
				if err := f.Sync(); err != nil {
					t.Error(err)
				}
				took <- time.Since(begun)
			}()
			time.Sleep(time.Second)
			p.Set(Fault{Delay: c.then})
			if got := <-took; got != c.want {
				t.Errorf("%s, and after a second %s: it took %s, want %s", c.first, c.then, got, c.want)
			}
		}
	})
}

// A full disk refuses what needs new room, by ENOSPC, and does everything else.
func TestFailpointsFull(t *testing.T) {
	var p Failpoints
	everywhereOver(t, &p, func(t *testing.T, d FS, dir string) {
		at := func(name string) string { return path.Join(dir, name) }
		log := put(t, d, at("log"), make([]byte, 100))
		if err := errors.Join(log.Allocate(5000), d.MkdirAll(at("folder"))); err != nil {
			t.Fatal(err)
		}
		p.Set(Fault{Full: true})
		defer p.Set(Fault{})
		before := refusals(&p)
		for what, do := range map[string]func() error{
			"create":           func() error { _, err := d.Create(at("new")); return err },
			"new folder":       func() error { return d.MkdirAll(at("folder/deep")) },
			"write beyond":     func() error { return log.WriteVec([][]byte{make([]byte, 1000)}, 4001) },
			"write uncached":   func() error { return WriteVecUncached(log, [][]byte{{1}}, 5000) },
			"reserve":          func() error { return log.Allocate(5001) },
			"replace by other": func() error { return ReplaceFile(d, at("log"), []byte("new")) },
		} {
			if err := do(); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%s: %v, want ENOSPC", what, err)
			}
		}
		if n := refusals(&p) - before; n != 6 {
			t.Errorf("%d refusals are counted, want 6", n)
		}
		if free, err := d.Free(dir); free != 0 || err != nil {
			t.Errorf("%d bytes free, %v", free, err)
		}
		if size := must[int64](t)(log.Size()); size != 100 {
			t.Errorf("what was refused left %d bytes", size)
		}
		for _, step := range []struct {
			what string
			do   func() error
		}{
			{"overwrite", func() error { return log.WriteVec([][]byte{make([]byte, 100)}, 0) }},
			{"write into reserved room", func() error { return log.WriteVec([][]byte{make([]byte, 4000), make([]byte, 1000)}, 0) }},
			{"write nothing", func() error { return log.WriteVec(nil, 9999) }},
			{"reserve what is reserved", func() error { return log.Allocate(5000) }},
			{"sync", log.Sync},
			{"folder that is there", func() error { return d.MkdirAll(at("folder")) }},
			{"rename", func() error { return d.Rename(at("log"), at("other")) }},
			{"sync folder", func() error { return d.SyncDir(dir) }},
			{"cut", func() error { return log.Truncate(10) }},
			{"write what is left", func() error { return log.WriteVec([][]byte{make([]byte, 10)}, 0) }},
			{"read", func() error { return ReadFull(log, make([]byte, 10), 0) }},
			{"remove folder", func() error { return d.Remove(at("folder")) }},
		} {
			if err := step.do(); err != nil {
				t.Errorf("%s: %v", step.what, err)
			}
		}
		if err := log.WriteVec([][]byte{make([]byte, 11)}, 0); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("room that was given back is still there: %v", err)
		}
		again := must[File](t)(d.Open(at("other")))
		defer again.Close()
		if err := again.WriteVec([][]byte{make([]byte, 10)}, 0); err != nil {
			t.Errorf("overwriting a file that was opened on the full disk: %v", err)
		}
		p.Set(Fault{})
		if err := errors.Join(log.WriteVec([][]byte{make([]byte, 99)}, 0), put(t, d, at("new"), []byte("x")).Sync(), d.MkdirAll(at("folder/deep"))); err != nil {
			t.Errorf("healed: %v", err)
		}
		if free, err := d.Free(dir); free == 0 || err != nil {
			t.Errorf("healed: %d bytes free, %v", free, err)
		}
	})
}

func refusals(p *Failpoints) int64 {
	_, n := p.Struck()
	return n
}

func everywhereOver(t *testing.T, p *Failpoints, f func(t *testing.T, d FS, dir string)) {
	for name, inner := range map[string]FS{"os": OS{}, "mem": NewMem()} {
		t.Run(name, func(t *testing.T) {
			d, dir := p.Over(inner), t.TempDir()
			if err := d.MkdirAll(dir); err != nil {
				t.Fatal(err)
			}
			f(t, d, dir)
		})
	}
}

// TestFailpointsFullTakesNoRoom does random things to files: on the full disk nothing takes room, and all that needs none is done.
func TestFailpointsFullTakesNoRoom(t *testing.T) {
	rng := newRand(t)
	inner := NewMem()
	inner.Capacity = 1 << 30
	var p Failpoints
	d := p.Over(inner)
	type open struct {
		f    File
		room int64 // what the file is known to have
	}
	var files []*open
	full, next := false, 0
	for step := range 20_000 {
		what := fmt.Sprintf("step %d, full %t", step, full)
		free := must[int64](t)(inner.Free("/"))
		var err error
		needs := false
		off, n := rng.Int64N(5000), rng.Int64N(2000)
		kind := rng.IntN(12)
		if len(files) == 0 {
			kind = 0
		}
		switch kind {
		case 0:
			var f File
			if f, err = d.Create(fmt.Sprint("/", next)); err == nil {
				files = append(files, &open{f: f})
			}
			next, needs = next+1, true
		case 1:
			full = rng.IntN(2) == 0
			p.Set(Fault{Full: full})
		case 2:
			if len(files) > 5 {
				i := rng.IntN(len(files))
				err = d.Remove(files[i].f.(*failingFile).name)
				files = slices.Delete(files, i, i+1)
			}
		default:
			o := files[rng.IntN(len(files))]
			size := must[int64](t)(o.f.Size())
			switch kind {
			case 3:
				o.f = must[File](t)(d.Open(o.f.(*failingFile).name))
				o.room = size // what was reserved beyond, only the one before knows
			case 4:
				if err = o.f.Truncate(min(off, size)); err == nil {
					o.room = min(o.room, off, size)
				}
			case 5, 6:
				needs = off > o.room
				if err = o.f.Allocate(off); err == nil {
					o.room = max(o.room, off)
				}
			default:
				off = min(off, size) // no holes
				needs = n > 0 && off+n > o.room
				if err = o.f.WriteVec([][]byte{make([]byte, n/2), make([]byte, n-n/2)}, off); err == nil {
					o.room = max(o.room, off+n)
				}
			}
			what = fmt.Sprintf("%s, file of %d bytes with room for %d, kind %d, [%d, %d)", what, size, o.room, kind, off, off+n)
		}
		if full != (inner.Capacity > 0 && must[int64](t)(d.Free("/")) == 0) {
			t.Fatalf("%s: Free tells otherwise", what)
		}
		if refused := errors.Is(err, syscall.ENOSPC); refused != (needs && full) || err != nil && !refused {
			t.Fatalf("%s: %v; needs room: %t", what, err, needs)
		}
		if full && must[int64](t)(inner.Free("/")) < free {
			t.Fatalf("%s: it took room on the full disk", what)
		}
	}
	if refusals(&p) < 100 {
		t.Errorf("only %d refusals: this tries too little", refusals(&p))
	}
}
