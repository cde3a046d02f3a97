package disk

import "io"

// Op names an operation for Inject: "create", "open", "rename", "remove", "mkdir", "readdir", "syncdir", "free", "lock",
// "read", "write", "sync", "allocate", "truncate", "size", "map".
type Op string

// Inject wraps an FS: before each operation it asks rule, with the path, whether it fails; a non-nil error is returned in its
// place and the operation is not done. Reads are asked too. Rule is called from many goroutines.
func Inject(inner FS, rule func(op Op, name string) error) FS { return injected{inner, rule} }

type injected struct {
	FS
	rule func(Op, string) error
}

func (i injected) file(op Op, name string, open func(string) (File, error)) (File, error) {
	if err := i.rule(op, name); err != nil {
		return nil, pathError(string(op), name, err)
	}
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	return injectedFile{f, i.rule, name}, nil
}

func (i injected) ask(op Op, name string, do func() error) error {
	if err := i.rule(op, name); err != nil {
		return pathError(string(op), name, err)
	}
	return do()
}

func (i injected) Create(name string) (File, error) { return i.file("create", name, i.FS.Create) }
func (i injected) Open(name string) (File, error)   { return i.file("open", name, i.FS.Open) }

func (i injected) Rename(oldName, newName string) error {
	return i.ask("rename", oldName, func() error { return i.FS.Rename(oldName, newName) })
}

func (i injected) Remove(name string) error {
	return i.ask("remove", name, func() error { return i.FS.Remove(name) })
}

func (i injected) MkdirAll(name string) error {
	return i.ask("mkdir", name, func() error { return i.FS.MkdirAll(name) })
}

func (i injected) SyncDir(name string) error {
	return i.ask("syncdir", name, func() error { return i.FS.SyncDir(name) })
}

func (i injected) ReadDir(name string) (out []Entry, err error) {
	err = i.ask("readdir", name, func() error { out, err = i.FS.ReadDir(name); return err })
	return out, err
}

func (i injected) Free(name string) (n int64, err error) {
	err = i.ask("free", name, func() error { n, err = i.FS.Free(name); return err })
	return n, err
}

func (i injected) Lock(name string) (c io.Closer, err error) {
	err = i.ask("lock", name, func() error { c, err = i.FS.Lock(name); return err })
	return c, err
}

type injectedFile struct {
	File
	rule func(Op, string) error
	name string
}

func (f injectedFile) ask(op Op, do func() error) error {
	if err := f.rule(op, f.name); err != nil {
		return pathError(string(op), f.name, err)
	}
	return do()
}

func (f injectedFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.ask("read", func() error { n, err = f.File.ReadAt(p, off); return err })
	return n, err
}

func (f injectedFile) WriteVec(bufs [][]byte, off int64) error {
	return f.ask("write", func() error { return f.File.WriteVec(bufs, off) })
}

// WriteVecUncached implements Uncached as far as the file below does; the rule is asked as for any write.
func (f injectedFile) WriteVecUncached(bufs [][]byte, off int64) error {
	return f.ask("write", func() error { return WriteVecUncached(f.File, bufs, off) })
}

// WriteBack implements WriteBacker as far as the file below does.
func (f injectedFile) WriteBack(off, n int64) error {
	return f.ask("writeback", func() error { return WriteBack(f.File, off, n) })
}

func (f injectedFile) Sync() error { return f.ask("sync", f.File.Sync) }

func (f injectedFile) Allocate(size int64) error {
	return f.ask("allocate", func() error { return f.File.Allocate(size) })
}

func (f injectedFile) Truncate(size int64) error {
	return f.ask("truncate", func() error { return f.File.Truncate(size) })
}

func (f injectedFile) Size() (n int64, err error) {
	err = f.ask("size", func() error { n, err = f.File.Size(); return err })
	return n, err
}
