package segment

import "sync/atomic"

// trust remembers which units of a segment were verified, or written, in this life of the program, so that what is in the page cache still
// need not be verified again. Safe for concurrent use. A bit that is not set costs a needless look, one that should not be set serves bytes
// that nobody looked at; so it is cleared whenever that may be.
type trust struct {
	chunks [trustChunks]atomic.Pointer[[chunkWords]atomic.Uint32] // nil: no bit is set
}

const (
	chunkWords  = 64
	chunkBits   = 32 * chunkWords
	trustChunks = (MaxBytes/blockSize + chunkBits) / chunkBits
)

func (t *trust) has(u int) bool {
	c := t.chunks[u/chunkBits].Load()
	return c != nil && c[u/32%chunkWords].Load()&(1<<(u%32)) != 0
}

// all says that every one of [u, end) is trusted.
func (t *trust) all(u, end int) bool {
	for ; u < end; u++ {
		if !t.has(u) {
			return false
		}
	}
	return true
}

func (t *trust) set(u, end int) {
	for ; u < end; u++ {
		at := &t.chunks[u/chunkBits]
		c := at.Load()
		if c == nil {
			at.CompareAndSwap(nil, new([chunkWords]atomic.Uint32))
			c = at.Load()
		}
		c[u/32%chunkWords].Or(1 << (u % 32))
	}
}

func (t *trust) forget(u, end int) {
	for ; u < min(end, trustChunks*chunkBits); u++ {
		if c := t.chunks[u/chunkBits].Load(); c != nil {
			c[u/32%chunkWords].And(^uint32(1 << (u % 32)))
		}
	}
}
