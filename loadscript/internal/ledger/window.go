package ledger

import "sync"

// pageLen is the number of offsets in a page of fingerprints (16 KiB).
const pageLen = 4096

// window remembers which record is at which offset of one partition, for the newest offsets, as fingerprints (L6).
type window struct {
	mu       sync.Mutex
	pages    map[int64]*[pageLen]uint32 // guarded by mu, as all below; key: offset / pageLen
	limit    int                        // pages kept
	lowest   int64                      // pages below this one are gone
	highest  int64
	unlooked int64 // offsets that were too old to check
}

// fingerprint is never 0, which means "nothing known".
func fingerprint(producer uint32, seq int64) uint32 {
	x := uint64(seq)*0x9e3779b97f4a7c15 ^ (uint64(producer)+1)*0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return uint32(x>>32) | 1
}

// check notes that the record with this fingerprint is at the offset; it says false when another one is known to be there.
func (w *window) check(offset int64, print uint32) bool {
	page := offset / pageLen
	w.mu.Lock()
	defer w.mu.Unlock()
	if page < w.lowest {
		w.unlooked++
		return true
	}
	p := w.pages[page]
	if p == nil {
		p = new([pageLen]uint32)
		w.pages[page] = p
		w.highest = max(w.highest, page)
		for len(w.pages) > w.limit {
			w.evict()
		}
		if page < w.lowest {
			return true
		}
	}
	at := offset % pageLen
	if p[at] == 0 {
		p[at] = print
		return true
	}
	return p[at] == print
}

// evict drops the lowest page. Caller holds mu.
func (w *window) evict() {
	low := w.highest
	for page := range w.pages {
		low = min(low, page)
	}
	delete(w.pages, low)
	w.lowest = low + 1
}

// find searches for a fingerprint: slow, for the few examples of a verdict.
func (w *window) find(print uint32) (offset int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for page, p := range w.pages {
		for i, have := range p {
			if have == print {
				return page*pageLen + int64(i), true
			}
		}
	}
	return 0, false
}
