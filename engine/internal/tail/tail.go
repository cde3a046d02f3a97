// Package tail keeps the newest batches of all logs of a disk in memory: until they are written to their segments, which so can
// be done many at once, and after that for as long as there is room, so that who reads at the end of a log needs no system call.
// Recent says where the last batches of one log lie, Cache holds their bytes.
//
// It is a cache: what is not held it may forget at any time, and where it has no room the caller keeps its own memory. It does no
// I/O and allocates nothing once made.
//
//	Cache   one piece of memory, cut into chunks that are filled one after the other, round and round:
//
//	        | a2 b7 a3 .... | c1 a4 b8 ... | free → |   a chunk of which anything is pinned (held, or read from) is passed over
//
//	Recent  a ring of entries of one log: {base, next, segment, position, size, where in the Cache}
//
// # Invariants
//
//	T1  Bytes that Hold or Pin gave do not change until Release or Unpin.
//	T2  A Ref whose chunk was filled anew is refused by Pin: it never gives another batch's bytes.
//	T3  After Close the memory is given back when the last reader is gone, and not before.
//	T4  The entries of a Recent follow each other without a gap and end at the flushed end of their log.
package tail

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// Cache is the memory. It is safe for concurrent use; a nil one has no room.
type Cache struct {
	mu     sync.Mutex // Hold
	chunks []Chunk
	cur    int // being filled; -1: none
	used   int // bytes of it

	free   func() // gives the memory back; nil once called
	closed atomic.Bool
}

// Chunk is a piece of a Cache. To who holds bytes in it, it is whom to give them back to.
type Chunk struct {
	cache *Cache
	mem   []byte
	index uint32
	turn  atomic.Uint64 // how often it was begun; a Ref names the turn
	pins  atomic.Int64  // holders and readers; while there are any, it is not filled anew
}

// Ref names bytes in a Cache. The zero Ref names none.
type Ref struct {
	turn      uint64
	chunk     uint32
	off, size uint32
}

// Bytes is how many bytes it names.
func (r Ref) Bytes() int { return int(r.size) }

// New makes a Cache of mem, which it owns until it calls free (T3; nil: nothing to call), in chunks of chunkBytes. Less than two
// chunks hold nothing. The caller must call Close.
func New(mem []byte, chunkBytes int, free func()) *Cache {
	c := &Cache{cur: -1, free: free}
	if chunkBytes <= 0 || len(mem) < 2*chunkBytes {
		return c
	}
	c.chunks = make([]Chunk, len(mem)/chunkBytes)
	for i := range c.chunks {
		ch := &c.chunks[i]
		ch.cache, ch.index = c, uint32(i)
		ch.mem = mem[i*chunkBytes : (i+1)*chunkBytes : (i+1)*chunkBytes]
	}
	return c
}

// Hold copies b into the cache and keeps the copy, which the caller may change, until by.Release; ok is false where it does not
// fit, or something of every chunk is pinned.
func (c *Cache) Hold(b []byte) (held []byte, by *Chunk, ok bool) {
	if c == nil || len(c.chunks) == 0 || len(b) > len(c.chunks[0].mem) || len(b) == 0 {
		return nil, nil, false
	}
	held, by = c.reserve(len(b))
	if by == nil {
		return nil, nil, false
	}
	copy(held, b) // without the lock: nobody else has these bytes
	return held, by, true
}

// reserve pins n bytes.
func (c *Cache) reserve(n int) ([]byte, *Chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() || (c.cur < 0 || c.used+n > len(c.chunks[c.cur].mem)) && !c.turnOver() {
		return nil, nil
	}
	ch := &c.chunks[c.cur]
	ch.pins.Add(1)
	b := ch.mem[c.used:][:n:n]
	c.used += n
	return b, ch
}

// turnOver begins the next chunk of which nothing is pinned. First the turn is counted up, so that no new reader comes in, then
// those that are in are looked for: a reader does it the other way round.
func (c *Cache) turnOver() bool {
	for i := range len(c.chunks) {
		n := (c.cur + 1 + i) % len(c.chunks)
		ch := &c.chunks[n]
		if ch.pins.Load() != 0 {
			continue // what is held there can still be read
		}
		ch.turn.Add(1)
		if ch.pins.Load() == 0 {
			c.cur, c.used = n, 0
			return true
		}
	}
	c.cur = -1
	return false
}

// Ref names bytes that Hold gave and that are held still, for readers.
func (ch *Chunk) Ref(held []byte) Ref {
	off := uintptr(unsafe.Pointer(unsafe.SliceData(held))) - uintptr(unsafe.Pointer(unsafe.SliceData(ch.mem)))
	return Ref{turn: ch.turn.Load(), chunk: ch.index, off: uint32(off), size: uint32(len(held))}
}

// Release gives back what Hold gave. It can be read on until the chunk is filled anew.
func (ch *Chunk) Release() { ch.unpin() }

// Pin gives the bytes, read only, and keeps them until Unpin; ok is false when they are gone.
func (c *Cache) Pin(r Ref) (b []byte, ok bool) {
	if c == nil || r.size == 0 {
		return nil, false
	}
	ch := &c.chunks[r.chunk]
	ch.pins.Add(1)
	if ch.turn.Load() != r.turn {
		ch.pins.Add(-1)
		return nil, false
	}
	return ch.mem[r.off:][:r.size:r.size], true
}

// Unpin gives back what Pin gave.
func (c *Cache) Unpin(r Ref) { c.chunks[r.chunk].unpin() }

func (ch *Chunk) unpin() {
	if n := ch.pins.Add(-1); n < 0 {
		panic("tail: unpinned more often than pinned")
	}
	if ch.cache.closed.Load() {
		ch.cache.giveBack()
	}
}

// Close keeps new readers out. Nothing is put any more.
func (c *Cache) Close() {
	if c == nil || c.closed.Swap(true) {
		return
	}
	c.mu.Lock()
	for i := range c.chunks {
		c.chunks[i].turn.Add(1)
	}
	c.mu.Unlock()
	c.giveBack()
}

// giveBack frees the memory when nobody reads from it any more.
func (c *Cache) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.chunks {
		if c.chunks[i].pins.Load() != 0 {
			return
		}
	}
	if c.free != nil {
		c.free()
		c.free = nil
	}
}
