package disk

import (
	"fmt"
	"sync/atomic"

	"github.com/edsrzf/mmap-go"
)

// Arena is memory outside Go's heap: page-aligned, zeroed, of a fixed size, never moved and never freed but by Free. So it is what
// may be handed to a ring or to O_DIRECT, and what a cache may fill without work for the garbage collector. The pages are taken from
// the machine when they are first touched. It must not hold Go pointers: the collector does not look into it.
//
// Nothing frees an Arena that is forgotten: a slice of Bytes does not keep it alive, so a finaliser would free memory in use.
// Held counts them. An Arena is owned by one goroutine at a time where Free is concerned; its bytes are plain memory.
type Arena struct {
	m     mmap.MMap
	freed atomic.Bool
}

// NewArena maps size bytes, rounded up to whole pages. Error: ENOMEM, wrapped, or a size that is not positive.
func NewArena(size int) (*Arena, error) {
	if size <= 0 {
		return nil, fmt.Errorf("arena of %d bytes: the size must be positive", size)
	}
	size = (size + PageSize - 1) / PageSize * PageSize
	if size <= 0 {
		return nil, fmt.Errorf("arena: the size overflows when rounded up to pages")
	}
	m, err := mmap.MapRegion(nil, size, mmap.RDWR, mmap.ANON, 0)
	if err != nil {
		return nil, fmt.Errorf("arena of %d bytes: mmap: %w", size, err)
	}
	arenas.Add(1)
	return &Arena{m: m}, nil
}

// Bytes is the whole arena, valid until Free.
func (a *Arena) Bytes() []byte { return a.m }

// Free gives the memory back. Nobody, no ring and no slice, may use it any more. Freeing twice panics.
func (a *Arena) Free() error {
	if a.freed.Swap(true) {
		panic("arena freed twice")
	}
	arenas.Add(-1)
	return a.m.Unmap()
}
