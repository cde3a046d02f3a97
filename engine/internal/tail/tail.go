// Package tail keeps the newest batches of all logs of a disk in memory, so that who reads at the end of a log needs no system
// call: Recent says where the last batches of one log lie, Cache holds their bytes.
//
// It is a cache: it may forget anything at any time, and nothing depends on it. It does no I/O and allocates nothing once made.
//
//	Cache   one piece of memory, cut into chunks that are filled one after the other, round and round:
//
//	        | a2 b7 a3 .... | c1 a4 b8 ... | free → |   a chunk that is read from (pinned) is passed over
//
//	Recent  a ring of entries of one log: {base, next, segment, position, size, where in the Cache}
//
// # Invariants
//
//	T1  Bytes that Pin gave do not change until Unpin.
//	T2  A Ref whose chunk was filled anew is refused by Pin: it never gives another batch's bytes.
//	T3  After Close the memory is given back when the last reader is gone, and not before.
//	T4  The entries of a Recent follow each other without a gap and end at the flushed end of their log.
package tail

import (
	"sync"
	"sync/atomic"
)

// Cache is the memory. Put may be called by one goroutine at a time (it locks); Pin and Unpin by any.
type Cache struct {
	mu     sync.Mutex // Put
	chunks []chunk
	cur    int // being filled; -1: none
	used   int // bytes of it

	free   func() // gives the memory back; nil once called
	closed atomic.Bool
}

type chunk struct {
	mem  []byte
	turn atomic.Uint64 // how often it was begun; a Ref names the turn
	pins atomic.Int64  // readers; while there are any, it is not filled anew
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
	c.chunks = make([]chunk, len(mem)/chunkBytes)
	for i := range c.chunks {
		c.chunks[i].mem = mem[i*chunkBytes : (i+1)*chunkBytes : (i+1)*chunkBytes]
	}
	return c
}

// Put copies b into the cache; ok is false where it does not fit, or all chunks are being read from.
func (c *Cache) Put(b []byte) (r Ref, ok bool) {
	if c == nil || len(c.chunks) == 0 || len(b) > len(c.chunks[0].mem) || len(b) == 0 {
		return r, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return r, false
	}
	if (c.cur < 0 || c.used+len(b) > len(c.chunks[c.cur].mem)) && !c.turnOver() {
		return r, false
	}
	ch := &c.chunks[c.cur]
	r = Ref{turn: ch.turn.Load(), chunk: uint32(c.cur), off: uint32(c.used), size: uint32(len(b))}
	c.used += copy(ch.mem[c.used:], b)
	return r, true
}

// turnOver begins the next chunk that nobody reads from. First the turn is counted up, so that no new reader comes in, then
// those that are in are looked for: a reader does it the other way round.
func (c *Cache) turnOver() bool {
	for i := range len(c.chunks) {
		n := (c.cur + 1 + i) % len(c.chunks)
		ch := &c.chunks[n]
		ch.turn.Add(1)
		if ch.pins.Load() == 0 {
			c.cur, c.used = n, 0
			return true
		}
	}
	c.cur = -1
	return false
}

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
func (c *Cache) Unpin(r Ref) {
	if n := c.chunks[r.chunk].pins.Add(-1); n < 0 {
		panic("tail: unpinned more often than pinned")
	}
	if c.closed.Load() {
		c.giveBack()
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
