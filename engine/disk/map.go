package disk

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// Mapper is what an FS also implements when it can show a whole file as memory, read-only.
//
// A mapping is a loan of the kernel's, with rules that no type checks:
//
//	M1  Only sealed files are mapped: written, synced, renamed into place, and never written or truncated again. To replace one,
//	    write another beside it and rename; to delete one, unlink it. Both leave the mapping whole.
//	M2  Nothing is written through a mapping. It is mapped without write permission: a store is a fault.
//	M3  A load that the file cannot answer (the file was cut short, or its disk fails) is SIGBUS, which ends the process. So every
//	    load lies inside a Guard, on the goroutine that does it. After a fault nothing read under that Guard may be used.
//	M4  Bytes is used by nobody once Close is called: what points into it then points nowhere. Its owner counts references.
//	M5  A mapping that was not populated stops a whole scheduler thread at each cold page, not just a goroutine. Map populates. Pages
//	    may still be evicted under memory pressure: so map what is small and often used (indexes), not logs.
//	M6  The kernel allows 65,530 mappings a process (vm.max_map_count); beyond it Map fails with ENOMEM and the caller does without.
//
// Passing mapped bytes to a system call is safe in another way: the call gives EFAULT where a load would fault.
type Mapper interface {
	// Map maps the whole of a file that exists, populated. A file without bytes gives a Mapping without bytes.
	// Errors: fs.ErrNotExist, ErrTooLarge, ENOMEM (M6), I/O errors while populating, each with operation and path.
	Map(name string) (*Mapping, error)
}

// MaxMapBytes is the largest file that Map takes.
const MaxMapBytes = 1 << 30

// ErrTooLarge says that a file is above MaxMapBytes.
var ErrTooLarge = errors.New("file is too large to map")

// Map is Mapper.Map where d has it, and otherwise an error that is errors.ErrUnsupported: read the file instead.
func Map(d FS, name string) (*Mapping, error) {
	if m, ok := d.(Mapper); ok {
		return m.Map(name)
	}
	return nil, pathError("mmap", name, errors.ErrUnsupported)
}

// Mapping is a file as memory. It is safe for concurrent use until Close.
type Mapping struct {
	b      []byte
	unmap  func() error
	closed atomic.Bool
}

var mappings, arenas atomic.Int64

// Held is how many Mappings and Arenas are open in the process, of all back ends: for leak tests and for M6.
func Held() (maps, arenaCount int64) { return mappings.Load(), arenas.Load() }

func newMapping(b []byte, unmap func() error) *Mapping {
	mappings.Add(1)
	if b == nil {
		b = []byte{} // nil means closed
	}
	return &Mapping{b: b, unmap: unmap}
}

// Bytes is the file's content, valid until Close; nil after it. Read it inside Guard only (M3) and never write to it (M2).
func (m *Mapping) Bytes() []byte { return m.b }

// Close unmaps. Closing twice is a bug in the reference counting and panics.
func (m *Mapping) Close() error {
	if m.closed.Swap(true) {
		panic(fmt.Sprintf("mapping of %d bytes closed twice", len(m.b)))
	}
	m.b = nil
	mappings.Add(-1)
	return m.unmap()
}

// ErrFault says that mapped memory could not be read: its file was cut short, or its disk failed.
var ErrFault = errors.New("fault while reading a mapped file")

// Guard calls f and turns a memory fault in it into ErrFault; what f had read or computed is then not to be used. It holds for
// the calling goroutine only, not for goroutines that f starts. Any other panic passes through. It allocates nothing, and neither
// does a closure given to it that captures local variables.
//
// It cannot tell a fault of a mapping from one of any other bad address (M4), so f does nothing but read the mapping.
func Guard(f func()) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			err = faultOf(p)
		}
	}()
	f()
	return nil
}

// faultOf is the error of a memory fault's panic; it panics on with anything else. A nil pointer is no fault: it has no Addr.
func faultOf(p any) error {
	fault, ok := p.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok {
		panic(p)
	}
	return fmt.Errorf("%w: address %#x", ErrFault, fault.Addr())
}

// Map implements Mapper when the inner FS does; the rule is asked as operation "map".
func (i injected) Map(name string) (*Mapping, error) {
	if err := i.rule("map", name); err != nil {
		return nil, pathError("mmap", name, err)
	}
	return Map(i.FS, name)
}
