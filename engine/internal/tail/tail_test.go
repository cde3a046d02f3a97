package tail

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put holds b only until it is named.
func put(c *Cache, b []byte) (Ref, bool) {
	held, by, ok := c.Hold(b)
	if !ok {
		return Ref{}, false
	}
	defer by.Release()
	return by.Ref(held), true
}

func TestCacheForgetsTheOldest(t *testing.T) {
	c := New(make([]byte, 4*100), 100, nil)
	var refs []Ref
	for i := range 40 { // 10 a chunk: the first chunk's are about to go
		r, ok := put(c, bytes.Repeat([]byte{byte(i)}, 10))
		if !ok {
			t.Fatal("no room for", i)
		}
		refs = append(refs, r)
	}
	for i, r := range refs {
		b, ok := c.Pin(r)
		if !ok || !bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, 10)) {
			t.Errorf("%d: %v, %t", i, b, ok)
			continue
		}
		c.Unpin(r)
	}
	if _, ok := put(c, make([]byte, 1)); !ok {
		t.Fatal("full")
	}
	for i, r := range refs {
		_, ok := c.Pin(r)
		if ok != (i >= 10) {
			t.Errorf("T2: %d is there: %t", i, ok)
		}
		if ok {
			c.Unpin(r)
		}
	}
}

func TestPinnedChunksArePassedOver(t *testing.T) {
	c := New(make([]byte, 2*10), 10, nil)
	first, _ := put(c, []byte("aaaaaaaaaa"))
	a, _ := c.Pin(first)
	second, _ := put(c, []byte("bbbbbbbbbb"))
	if _, ok := put(c, []byte("cccccccccc")); !ok {
		t.Error("the chunk that nobody reads is not taken again")
	}
	if _, ok := c.Pin(second); ok {
		t.Error("T2: overwritten bytes are given")
	}
	third, ok := put(c, []byte("dddddddddd"))
	if !ok || string(a) != "aaaaaaaaaa" {
		t.Errorf("T1: %q, %t", a, ok)
	}
	d, _ := c.Pin(third)
	if _, ok := put(c, []byte("e")); ok {
		t.Error("put where all is being read")
	}
	c.Unpin(first)
	c.Unpin(third)
	if r, ok := put(c, []byte("f")); !ok || string(d) != "dddddddddd" {
		t.Errorf("%v %t %q", r, ok, d)
	}
}

func TestWhatIsHeldStays(t *testing.T) {
	c := New(make([]byte, 3*10), 10, nil)
	held, by, _ := c.Hold([]byte("aaaaaaaaaa"))
	ref := by.Ref(held)
	for i := range 20 {
		if _, ok := put(c, bytes.Repeat([]byte{byte(i)}, 6)); !ok {
			t.Fatal("no room beside what is held")
		}
	}
	if b, ok := c.Pin(ref); !ok || string(b) != "aaaaaaaaaa" || string(held) != "aaaaaaaaaa" {
		t.Errorf("T1: %q, %q, %t", held, b, ok)
	}
	by.Release()
	c.Unpin(ref)
	for range 3 {
		put(c, make([]byte, 10))
	}
	if _, ok := c.Pin(ref); ok {
		t.Error("T2: what is not held any more is there for ever")
	}
}

func TestTooLargeOrTooSmall(t *testing.T) {
	for name, c := range map[string]*Cache{"nil": nil, "no memory": New(nil, 10, nil), "one chunk": New(make([]byte, 19), 10, nil), "two": New(make([]byte, 20), 10, nil)} {
		if _, ok := put(c, make([]byte, 11)); ok {
			t.Errorf("%s: took a batch larger than a chunk", name)
		}
		if _, ok := put(c, make([]byte, 10)); ok != (name == "two") {
			t.Errorf("%s: took one as large as a chunk: %t", name, ok)
		}
		if _, ok := c.Pin(Ref{}); ok {
			t.Errorf("%s: the zero Ref names something", name)
		}
	}
}

func TestMemoryIsGivenBackByTheLastReader(t *testing.T) {
	freed := 0
	c := New(make([]byte, 4*10), 10, func() { freed++ })
	r, _ := put(c, []byte("abc"))
	b, _ := c.Pin(r)
	c.Close()
	if _, ok := c.Pin(r); ok || freed != 0 || string(b) != "abc" {
		t.Errorf("T3: pinned after Close: %t; freed %d times under a reader", ok, freed)
	}
	if _, ok := put(c, []byte("d")); ok {
		t.Error("put after Close")
	}
	c.Unpin(r)
	c.Close()
	if freed != 1 {
		t.Errorf("T3: freed %d times", freed)
	}
}

func TestReadersAgainstTheWriter(t *testing.T) {
	c := New(make([]byte, 8*1024), 1024, nil)
	refs := make(chan Ref, 16)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for r := range refs {
				b, ok := c.Pin(r)
				if !ok {
					continue
				}
				if want := bytes.Repeat(b[:1], len(b)); !bytes.Equal(b, want) {
					t.Errorf("T1: mixed bytes %v", b)
				}
				c.Unpin(r)
			}
		})
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 50_000 {
		if r, ok := put(c, bytes.Repeat([]byte{byte(i)}, 1+rng.IntN(300))); ok {
			refs <- r
		}
	}
	close(refs)
	wg.Wait()
}

func TestPutAllocatesNothing(t *testing.T) {
	c := New(make([]byte, 4*100), 100, nil)
	b := make([]byte, 30)
	var log Recent
	at := batch.Offset(0)
	for range Length + 1 {
		log.Add(Entry{Base: at, Next: at + 1})
		at++
	}
	if n := testing.AllocsPerRun(100, func() {
		r, _ := put(c, b)
		log.Add(Entry{Base: at, Next: at + 1, Ref: r})
		at++
		if _, ok := c.Pin(r); ok {
			c.Unpin(r)
		}
	}); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func TestRecentAgainstASlice(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	var r Recent
	var want []Entry
	next := batch.Offset(0)
	for i := range 2000 {
		switch rng.IntN(50) {
		case 0:
			r.Forget()
			want = nil
		case 1:
			next += 5 // a gap
			want = nil
		}
		e := Entry{Base: next, Next: next + batch.Offset(1+rng.IntN(4)), Position: int64(i)}
		next = e.Next
		r.Add(e)
		if want = append(want, e); len(want) > Length {
			want = want[1:]
		}
		if r.Len() != len(want) {
			t.Fatalf("seed %d, step %d: %d entries, want %d", seed, i, r.Len(), len(want))
		}
		for o := max(want[0].Base-2, 0); o < next+2; o += 3 {
			n, ok := r.Find(o)
			in := o >= want[0].Base && o < next
			if ok != in || ok && (r.Get(n) != want[n] || o < want[n].Base || o >= want[n].Next) {
				t.Fatalf("seed %d, step %d: offset %d: entry %d, %t", seed, i, o, n, ok)
			}
		}
	}
}
