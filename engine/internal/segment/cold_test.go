package segment

import (
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/streambus/streambus/engine/disk"
)

// pages is a file of a disk with a page cache: what is read is read from memory, where it comes from the disk when it is first wanted, with
// more behind it than was asked for.
type pages struct {
	disk.File
	rng    *rand.Rand
	disk   []byte
	memory map[int64][]byte
	reads  int // pages
}

func (p *pages) bring(page int64) {
	if at := page * disk.PageSize; p.memory[page] == nil && at < int64(len(p.disk)) {
		p.memory[page] = slices.Clone(p.disk[at:min(at+disk.PageSize, int64(len(p.disk)))])
	}
}

func (p *pages) ReadAt(b []byte, off int64) (n int, err error) {
	last := (off + int64(len(b)) - 1) / disk.PageSize
	ahead := last
	for n < len(b) {
		page, in := (off+int64(n))/disk.PageSize, (off+int64(n))%disk.PageSize
		if p.memory[page] == nil {
			ahead = last + p.rng.Int64N(readAhead*blockSize/disk.PageSize)
		}
		p.bring(page)
		if int64(len(p.memory[page])) <= in {
			return n, io.EOF
		}
		n += copy(b[n:], p.memory[page][in:])
		p.reads++
	}
	for page := last + 1; page <= ahead; page++ {
		p.bring(page)
	}
	return n, nil
}

func (p *pages) ReadCached([]byte, int64) (int, error) { return 0, disk.ErrCold }

func (p *pages) InCache(off, n int64) bool {
	for page := off / disk.PageSize; page <= (off+n-1)/disk.PageSize; page++ {
		if p.memory[page] == nil {
			return false
		}
	}
	return true
}

// TestCheckColdServesNothingUnseen reads through a page cache that forgets pages and reads ahead, from a disk that changes bits: what
// CheckCold lets pass is what was written, and what is good and in memory is not looked at twice.
func TestCheckColdServesNothingUnseen(t *testing.T) {
	held(t)
	rng := newRand(t)
	steps := 400
	if testing.Short() {
		steps = 40
	}
	found, passed := 0, 0
	for round := range 6 {
		d := disk.NewMem()
		var sizes []int
		for range 25 {
			sizes = append(sizes, []int{300, 20_000, 150_000, 400_000}[rng.IntN(4)])
		}
		s, _ := sized(t, d, "/d", sizes...)
		want := make([]byte, s.size)
		if err := s.ReadAt(want, 0); err != nil {
			t.Fatal(err)
		}
		if round%2 == 1 {
			sealIt(t, s)
		}
		file := &pages{File: s.file, rng: rng, disk: slices.Clone(want), memory: map[int64][]byte{}}
		if round < 4 { // it was just written
			for page := range s.size/disk.PageSize + 1 {
				file.bring(page)
			}
		} else {
			s.trust = new(trust)
		}
		s.file = file
		x := s.Sums()
		if err := x.CheckCold(0, x.size); err != nil || file.reads > 0 != (round >= 4) {
			t.Fatalf("%d pages are read at first, %v", file.reads, err)
		}
		for range steps {
			for range rng.IntN(200) {
				delete(file.memory, rng.Int64N(s.size/disk.PageSize+1))
			}
			if rng.IntN(20) == 0 {
				clear(file.memory)
			}
			at := rng.Int64N(s.size)
			file.disk[at] ^= 1 << rng.IntN(8)
			lo := rng.Int64N(s.size)
			for range rng.IntN(4) { // a reader goes on from where it is
				hi := min(lo+1+rng.Int64N(300_000), x.size)
				err := x.CheckCold(lo, hi)
				got := make([]byte, hi-lo)
				_, _ = file.ReadAt(got, lo)
				switch {
				case err == nil && !slices.Equal(got, want[lo:hi]):
					t.Fatalf("[%d, %d) passed, and is not what was written", lo, hi)
				case err == nil:
					passed++
					before := file.reads
					if err := x.CheckCold(lo, hi); err != nil || file.reads != before {
						t.Fatalf("[%d, %d) is good and in memory, and %d pages are read again, %v", lo, hi, file.reads-before, err)
					}
				default:
					found++
				}
				if lo = hi; lo == x.size {
					break
				}
			}
			file.disk[at] = want[at]
			if rng.IntN(2) == 0 { // the bad page need not be seen, and may go unseen
				delete(file.memory, at/disk.PageSize)
			}
		}
		s.file = file.File
		release(t, s)
	}
	if passed < steps || found < steps/10 {
		t.Errorf("%d ranges passed, %d were bad: next to nothing was tried", passed, found)
	}
}
