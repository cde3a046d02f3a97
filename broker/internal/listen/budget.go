package listen

import (
	"context"
	"fmt"
	"sync"
)

// budget is how many bytes of requests may be in work over all connections. Who asks first is served first.
type budget struct {
	mu      sync.Mutex
	free    int64
	size    int64
	waiting []*claim
}

type claim struct {
	bytes   int64
	granted chan struct{}
}

func newBudget(bytes int64) *budget { return &budget{free: bytes, size: bytes} }

// acquire takes n bytes, waiting until they are free or ctx ends. More than there are in all are taken as all.
func (b *budget) acquire(ctx context.Context, n int64) error {
	c, ok := b.claim(n)
	if ok {
		return nil
	}
	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
	}
	if b.withdraw(c) {
		return fmt.Errorf("wait for %d of %d bytes for requests: %w", n, b.size, context.Cause(ctx))
	}
	b.release(n) // granted in the same moment
	return fmt.Errorf("wait for %d of %d bytes for requests: %w", n, b.size, context.Cause(ctx))
}

func (b *budget) claim(n int64) (c *claim, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 && b.fits(n) {
		b.free -= n
		return nil, true
	}
	c = &claim{bytes: n, granted: make(chan struct{})}
	b.waiting = append(b.waiting, c)
	return c, false
}

// fits: a claim larger than the whole budget goes when nothing else is out, or it would wait for ever. Callers hold mu.
func (b *budget) fits(n int64) bool { return n <= b.free || b.free == b.size }

func (b *budget) withdraw(c *claim) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if w == c {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			b.grant()
			return true
		}
	}
	return false
}

func (b *budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.grant()
}

// grant serves the claims in front. Callers hold mu. Closing a channel never blocks.
func (b *budget) grant() {
	for len(b.waiting) > 0 && b.fits(b.waiting[0].bytes) {
		b.free -= b.waiting[0].bytes
		close(b.waiting[0].granted)
		b.waiting = b.waiting[1:]
	}
}
