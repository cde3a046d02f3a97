package disk

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// everywhere runs a test on every back end, each in an empty folder of its own.
func everywhere(t *testing.T, f func(t *testing.T, fsys FS, dir string)) {
	for name, fsys := range map[string]FS{"os": OS{}, "mem": NewMem(), "injected": Inject(OS{}, func(Op, string) error { return nil }), "failpoints": new(Failpoints).Over(OS{})} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := fsys.MkdirAll(dir); err != nil {
				t.Fatal(err)
			}
			f(t, fsys, dir)
		})
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func content(t *testing.T, f File) []byte {
	t.Helper()
	b := make([]byte, must[int64](t)(f.Size()))
	if err := ReadFull(f, b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func names(t *testing.T, fsys FS, dir string) (out []string) {
	t.Helper()
	for _, e := range must[[]Entry](t)(fsys.ReadDir(dir)) {
		if e.Dir {
			e.Name += "/"
		}
		out = append(out, e.Name)
	}
	return out
}

func TestNames(t *testing.T) {
	everywhere(t, func(t *testing.T, fsys FS, dir string) {
		at := func(name string) string { return path.Join(dir, name) }
		open := must[File](t)
		for _, name := range []string{"b", "a"} {
			if err := open(fsys.Create(at(name))).Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := fsys.MkdirAll(at("sub/deep")); err != nil {
			t.Fatal(err)
		}
		if err := fsys.MkdirAll(at("sub/deep")); err != nil {
			t.Error("a folder that is there is no error:", err)
		}
		open(fsys.Create(at("sub/deep/f"))).Close()
		if got := names(t, fsys, dir); !slices.Equal(got, []string{"a", "b", "sub/"}) {
			t.Error(got)
		}
		for what, c := range map[string]struct{ got, want error }{
			"create again":         {second(fsys.Create(at("a"))), fs.ErrExist},
			"create in no folder":  {second(fsys.Create(at("none/a"))), fs.ErrNotExist},
			"open nothing":         {second(fsys.Open(at("none"))), fs.ErrNotExist},
			"list nothing":         {second(fsys.ReadDir(at("none"))), fs.ErrNotExist},
			"remove nothing":       {fsys.Remove(at("none")), fs.ErrNotExist},
			"remove a full folder": {fsys.Remove(at("sub")), syscall.ENOTEMPTY},
			"rename onto a folder": {fsys.Rename(at("sub/deep"), at("sub")), fs.ErrExist},
			"rename nothing":       {fsys.Rename(at("none"), at("x")), fs.ErrNotExist},
			"rename to a folder":   {fsys.Rename(at("sub/deep"), at("sub")), fs.ErrExist},
			"folder below a file":  {fsys.MkdirAll(at("a/x")), syscall.ENOTDIR},
			"sync no folder":       {fsys.SyncDir(at("none")), fs.ErrNotExist},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%s: %v, want %v", what, c.got, c.want)
			}
		}
		if err := errors.Join(fsys.Rename(at("a"), at("b")), fsys.Rename(at("sub"), at("gone")), fsys.SyncDir(dir), fsys.Remove(at("b"))); err != nil {
			t.Fatal(err)
		}
		if got := names(t, fsys, dir); !slices.Equal(got, []string{"gone/"}) {
			t.Error(got)
		}
		if got := names(t, fsys, at("gone/deep")); !slices.Equal(got, []string{"f"}) {
			t.Error("a folder takes along what is in it:", got)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestBytes(t *testing.T) {
	everywhere(t, func(t *testing.T, fsys FS, dir string) {
		f := must[File](t)(fsys.Create(path.Join(dir, "f")))
		defer f.Close()
		if err := errors.Join(f.WriteVec([][]byte{[]byte("hello "), nil, []byte("world")}, 3), f.WriteVec(nil, 99), f.Sync()); err != nil {
			t.Fatal(err)
		}
		if got := content(t, f); string(got) != "\x00\x00\x00hello world" {
			t.Errorf("%q", got)
		}
		var buf [8]byte
		if n, err := f.ReadAt(buf[:], 10); n != 4 || err != io.EOF || string(buf[:n]) != "orld" {
			t.Errorf("%d bytes, %v", n, err)
		}
		if err := ReadFull(f, buf[:], 10); err != io.ErrUnexpectedEOF {
			t.Error(err)
		}
		if n, err := f.ReadAt(buf[:], 1000); n != 0 || err != io.EOF {
			t.Errorf("%d bytes, %v", n, err)
		}
		if err := f.Allocate(1 << 20); err != nil {
			t.Fatal(err)
		}
		if size, err := f.Size(); size != 14 || err != nil {
			t.Errorf("allocated room is not length: %d, %v", size, err)
		}
		if err := errors.Join(f.Truncate(5), f.Truncate(7)); err != nil {
			t.Fatal(err)
		}
		if got := content(t, f); string(got) != "\x00\x00\x00he\x00\x00" {
			t.Errorf("%q: what was cut off comes back as zeros", got)
		}
		again := must[File](t)(fsys.Open(path.Join(dir, "f")))
		defer again.Close()
		if string(content(t, again)) != string(content(t, f)) {
			t.Error("two handles differ")
		}
		if free, err := fsys.Free(dir); err != nil || free <= 0 {
			t.Errorf("%d bytes free, %v", free, err)
		}
	})
}

func TestVectorsOfAnyShape(t *testing.T) {
	everywhere(t, func(t *testing.T, fsys FS, dir string) {
		f := must[File](t)(fsys.Create(path.Join(dir, "f")))
		defer f.Close()
		rng := rand.New(rand.NewPCG(1, 1))
		for _, n := range []int{1, 1023, 1024, 1025, 5000} { // the kernel takes 1,024 at once
			var bufs [][]byte
			for range n {
				b := make([]byte, rng.IntN(40))
				for i := range b {
					b[i] = byte(rng.Uint32())
				}
				bufs = append(bufs, b)
			}
			want := bytes.Join(bufs, nil)
			if err := f.WriteVec(bufs, 0); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(want))
			if err := ReadFull(f, got, 0); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d buffers: %v, equal %t", n, err, bytes.Equal(got, want))
			}
		}
	})
}

// What is written past the page cache is there like any other write, and what is read without waiting is what is there.
func TestUncachedAndCached(t *testing.T) {
	everywhere(t, func(t *testing.T, fsys FS, dir string) {
		f := must[File](t)(fsys.Create(path.Join(dir, "f")))
		defer f.Close()
		want := bytes.Repeat([]byte("0123456789"), 50_000)
		for range 2 { // the second time over old bytes
			if err := WriteVecUncached(f, [][]byte{want[:100], nil, want[100:]}, 7); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		if got := content(t, f); !bytes.Equal(got[7:], want) || !bytes.Equal(got[:7], make([]byte, 7)) {
			t.Error("other bytes are there than were written")
		}
		got := make([]byte, len(want)+50) // all of it was just read
		n, err := ReadCached(f, got, 7)
		if errors.Is(err, ErrCold) {
			return // it need not be in the cache
		}
		if err != io.EOF || n != len(want) || !bytes.Equal(got[:n], want) {
			t.Errorf("%d of %d bytes from the cache, %v", n, len(want), err)
		}
		if n, err := ReadCached(f, got, 1<<30); n != 0 || err != io.EOF {
			t.Errorf("beyond the end: %d bytes, %v", n, err)
		}
		if _, err := ReadCached(f, got, -1); err == nil || errors.Is(err, ErrCold) {
			t.Errorf("before the beginning: %v", err)
		}
	})
}

func TestAdvance(t *testing.T) {
	bufs := [][]byte{[]byte("abc"), {}, []byte("defg"), []byte("h")}
	want := bytes.Join(bufs, nil)
	for first := range len(want) + 1 { // written in two steps of any size, nothing is lost or repeated
		for then := range len(want) - first + 1 {
			rest, skip := advance(bufs, 0, first)
			rest, skip = advance(rest, skip, then)
			if left := bytes.Join(rest, nil); !bytes.Equal(left[min(skip, len(left)):], want[first+then:]) {
				t.Fatalf("%d, then %d: %q, skip %d", first, then, rest, skip)
			}
		}
	}
}

func TestWritingAllocatesNothing(t *testing.T) {
	f := must[File](t)(OS{}.Create(path.Join(t.TempDir(), "f")))
	defer f.Close()
	bufs := [][]byte{make([]byte, 100), make([]byte, 200)}
	if n := testing.AllocsPerRun(100, func() {
		if err := f.WriteVec(bufs, 0); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%.0f allocations a write", n)
	}
}

func TestLock(t *testing.T) {
	everywhere(t, func(t *testing.T, fsys FS, dir string) {
		name := path.Join(dir, "lock")
		l := must[io.Closer](t)(fsys.Lock(name))
		if _, err := fsys.Lock(name); !errors.Is(err, ErrLocked) {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := must[io.Closer](t)(fsys.Lock(name)).Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCapacity(t *testing.T) {
	m := NewMem()
	m.Capacity = 1000
	f := must[File](t)(m.Create("/f"))
	g := must[File](t)(m.Create("/g"))
	if err := f.Allocate(600); err != nil {
		t.Fatal(err)
	}
	if free, _ := m.Free("/"); free != 400 {
		t.Errorf("%d free", free)
	}
	if err := g.WriteVec([][]byte{make([]byte, 401)}, 0); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if err := errors.Join(f.WriteVec([][]byte{make([]byte, 600)}, 0), g.WriteVec([][]byte{make([]byte, 400)}, 0)); err != nil {
		t.Error("room that was reserved is there:", err)
	}
	if err := g.Allocate(401); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if err := errors.Join(m.Remove("/f"), g.WriteVec([][]byte{make([]byte, 600)}, 400)); err != nil {
		t.Error("removing gives room:", err)
	}
}

func TestInject(t *testing.T) {
	broken := errors.New("broken")
	var mu sync.Mutex
	var fail Op
	var asked []Op
	fsys := Inject(NewMem(), func(op Op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, op)
		if op == fail {
			return broken
		}
		return nil
	})
	f := must[File](t)(fsys.Create("/f"))
	ops := map[Op]func() error{
		"create": func() error { return second(fsys.Create("/x")) }, "open": func() error { return second(fsys.Open("/f")) },
		"rename": func() error { return fsys.Rename("/f", "/g") }, "remove": func() error { return fsys.Remove("/f") },
		"mkdir": func() error { return fsys.MkdirAll("/d") }, "readdir": func() error { return second(fsys.ReadDir("/")) },
		"syncdir": func() error { return fsys.SyncDir("/") }, "free": func() error { return second(fsys.Free("/")) },
		"lock": func() error { return second(fsys.Lock("/l")) }, "read": func() error { return second(f.ReadAt(make([]byte, 1), 0)) },
		"write": func() error { return f.WriteVec([][]byte{{1}}, 0) }, "sync": f.Sync, "allocate": func() error { return f.Allocate(9) },
		"truncate": func() error { return f.Truncate(9) }, "size": func() error { return second(f.Size()) },
	}
	for op, do := range ops {
		fail, asked = op, nil
		if err := do(); !errors.Is(err, broken) || !slices.Contains(asked, op) {
			t.Errorf("%s: %v, asked %v", op, err, asked)
		}
	}
	fail = ""
	if got := names(t, fsys, "/"); !slices.Equal(got, []string{"f"}) || len(content(t, f)) != 0 {
		t.Errorf("%v: what failed was done all the same", got)
	}
}
