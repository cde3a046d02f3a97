package disk

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"runtime"
	"syscall"
	"testing"
)

// held fails the test if it ends with more mappings or arenas than it began with.
func held(t *testing.T) {
	maps, arenas := Held()
	t.Cleanup(func() {
		if m, a := Held(); m != maps || a != arenas {
			t.Errorf("%d mappings and %d arenas are left open", m-maps, a-arenas)
		}
	})
}

func put(t *testing.T, fsys FS, name string, content []byte) File {
	t.Helper()
	f := must[File](t)(fsys.Create(name))
	t.Cleanup(func() { _ = f.Close() })
	if err := f.WriteVec([][]byte{content}, 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestMapShowsTheFile(t *testing.T) {
	everywhere(t, func(t *testing.T, fsys FS, dir string) {
		held(t)
		for _, size := range []int{0, 1, PageSize, 3*PageSize + 17} {
			name := path.Join(dir, string(rune('a'+size%20)))
			want := bytes.Repeat([]byte{7}, size)
			put(t, fsys, name, want)
			m := must[*Mapping](t)(Map(fsys, name))
			again := must[*Mapping](t)(Map(fsys, name))
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
			if err := fsys.Remove(name); err != nil { // M1: an unlinked file stays whole
				t.Fatal(err)
			}
			var equal bool
			if err := Guard(func() { equal = m.Bytes() != nil && bytes.Equal(m.Bytes(), want) }); err != nil || !equal {
				t.Errorf("%d bytes: equal %t, %v", size, equal, err)
			}
			if err := m.Close(); err != nil || m.Bytes() != nil {
				t.Errorf("%d bytes: %v, or bytes after Close", size, err)
			}
		}
		if _, err := Map(fsys, path.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
			t.Error("a file that is not there:", err)
		}
	})
}

func TestMapRefuses(t *testing.T) {
	held(t)
	broken := errors.New("broken")
	mem := NewMem()
	put(t, mem, "/f", []byte("x"))
	if _, err := Map(Inject(mem, func(op Op, name string) error {
		if op == "map" && name == "/f" {
			return broken
		}
		return nil
	}), "/f"); !errors.Is(err, broken) {
		t.Error("an injected failure:", err)
	}
	type bare struct{ FS } // hides Mem's Map
	if _, err := Map(bare{mem}, "/f"); !errors.Is(err, errors.ErrUnsupported) {
		t.Error("an FS that cannot map:", err)
	}
	name := path.Join(t.TempDir(), "f")
	if err := put(t, OS{}, name, nil).Truncate(MaxMapBytes + 1); err != nil {
		t.Fatal(err)
	}
	if _, err := Map(OS{}, name); !errors.Is(err, ErrTooLarge) {
		t.Error("a file of more than MaxMapBytes:", err)
	}
}

// TestGuard cuts a mapped file short, which without Guard ends the process (M3).
func TestGuard(t *testing.T) {
	held(t)
	name := path.Join(t.TempDir(), "f")
	f := put(t, OS{}, name, make([]byte, 2*PageSize))
	m := must[*Mapping](t)(Map(OS{}, name))
	if err := f.Truncate(PageSize); err != nil {
		t.Fatal(err)
	}
	b := m.Bytes()
	var sum byte
	for range 2 { // a second fault is as good as the first
		if err := Guard(func() { sum += b[PageSize] }); !errors.Is(err, ErrFault) {
			t.Error("a load beyond the end of the file:", err)
		}
	}
	if err := Guard(func() { sum += b[PageSize-1] }); err != nil {
		t.Error("a load below the end:", err)
	}
	if err := touch(b); !errors.Is(err, ErrFault) {
		t.Error("populating by touch:", err)
	}
	if err := populate(b); !errors.Is(err, syscall.EIO) && !errors.Is(err, ErrFault) {
		t.Error("populating:", err)
	}
	if err := Guard(func() { // nested, and on the same goroutine after it
		_ = Guard(func() { sum += b[PageSize] })
		sum += b[PageSize]
	}); !errors.Is(err, ErrFault) {
		t.Error("nested:", err)
	}
	runtime.KeepAlive(sum)
	if err := touch(b[:PageSize]); err != nil {
		t.Error("populating by touch:", err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestGuardLetsOtherPanicsPass(t *testing.T) {
	var none *Mapping
	for what, f := range map[string]func(){
		"a value":       func() { panic("mine") },
		"a nil pointer": func() { _ = none.Bytes() },
		"an index":      func() { _ = []byte{}[len(t.Name())] },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("the panic of %s was swallowed", what)
				}
			}()
			t.Errorf("%s: %v", what, Guard(f))
		}()
	}
}

func TestGuardAllocatesNothing(t *testing.T) {
	b := []byte{1, 2, 3}
	if n := testing.AllocsPerRun(100, func() {
		var sum int
		if err := Guard(func() {
			for _, v := range b {
				sum += int(v)
			}
		}); err != nil || sum != 6 {
			t.Fatal(sum, err)
		}
	}); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}

// TestMemWatchesItsMappings: what kills a process on a real disk must not go unnoticed on this one.
func TestMemWatchesItsMappings(t *testing.T) {
	held(t)
	mem := NewMem()
	f := put(t, mem, "/f", []byte("sealed"))
	m := must[*Mapping](t)(mem.Map("/f"))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("M1: a mapped file was cut short and nobody noticed")
			}
		}()
		_ = f.Truncate(3)
	}()
	if err := errors.Join(f.Truncate(6), f.WriteVec([][]byte{[]byte("SE")}, 0)); err != nil {
		t.Fatal(err)
	}
	if string(m.Bytes()) != "sealed" || string(content(t, f)) != "SEaled" {
		t.Errorf("mapped %q, file %q", m.Bytes(), content(t, f))
	}
	if err := errors.Join(m.Close(), f.Truncate(3)); err != nil {
		t.Error(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a second Close went unnoticed")
		}
	}()
	_ = m.Close()
}

func TestArena(t *testing.T) {
	held(t)
	a := must[*Arena](t)(NewArena(PageSize + 1))
	b := a.Bytes()
	if len(b) != 2*PageSize || !bytes.Equal(b, make([]byte, len(b))) {
		t.Errorf("%d bytes, want two pages of zeros", len(b))
	}
	f := put(t, OS{}, path.Join(t.TempDir(), "f"), nil)
	copy(b, "what a ring or a cache would put there")
	if err := f.WriteVec([][]byte{b}, 0); err != nil {
		t.Error("the kernel reads from it:", err)
	}
	clear(b)
	if err := ReadFull(f, b, 0); err != nil || !bytes.HasPrefix(b, []byte("what a ring")) {
		t.Error("the kernel writes to it:", err)
	}
	if _, arenas := Held(); arenas == 0 {
		t.Error("an arena that is open is not counted")
	}
	if err := a.Free(); err != nil || a.Bytes() != nil {
		t.Error(err)
	}
	for _, size := range []int{0, -1, 1<<63 - 1} {
		if _, err := NewArena(size); err == nil {
			t.Errorf("an arena of %d bytes", size)
		}
	}
	if _, err := NewArena(1 << 60); !errors.Is(err, syscall.ENOMEM) {
		t.Error("more than there is:", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a second Free went unnoticed")
		}
	}()
	_ = a.Free()
}
