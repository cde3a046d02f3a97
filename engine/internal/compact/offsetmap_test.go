package compact

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/streambus/streambus/engine/batch"
)

func TestSlotSize(t *testing.T) {
	if SlotSize != 24 {
		t.Fatalf("a slot has %d bytes, the documentation says 24", SlotSize)
	}
	if _, err := NewOffsetMap(SlotSize - 1); err == nil {
		t.Fatal("a map with no slot")
	}
}

// TestOffsetMapModel compares with a Go map, up to and beyond the point where it is full.
func TestOffsetMapModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := NewOffsetMap(SlotSize * rapid.IntRange(1, 60).Draw(t, "slots"))
		if err != nil {
			t.Fatal(err)
		}
		salted(m, rapid.Byte().Draw(t, "salt"))
		for range 2 { // the second time after Reset
			want := map[string]batch.Offset{}
			for i := range rapid.IntRange(0, 120).Draw(t, "puts") {
				key := bytes.Repeat([]byte{byte(rapid.IntRange(0, 80).Draw(t, "key"))}, rapid.SampledFrom([]int{0, 1, 240, 241, 1000}).Draw(t, "length"))
				old, known := want[string(key)]
				o := batch.Offset(rapid.IntRange(0, 1000).Draw(t, "offset"))
				if m.Put(key, o) {
					want[string(key)] = max(o, old)
				} else if known || len(want) == 0 {
					t.Fatalf("put %d: refused a key that it has (%v), or the first", i, known)
				}
				if m.Len() != len(want) || m.Len() > m.Cap() {
					t.Fatalf("%d keys, want %d of %d", m.Len(), len(want), m.Cap())
				}
			}
			for b := range 81 {
				for _, n := range []int{0, 1, 240, 241, 1000} {
					key := bytes.Repeat([]byte{byte(b)}, n)
					w, ok := want[string(key)]
					if !ok {
						w = batch.NoOffset
					}
					if got := m.Get(key); got != w {
						t.Fatalf("key %d x %d: %d, want %d", n, b, got, w)
					}
				}
			}
			m.Reset()
			if m.Len() != 0 || m.Get(nil) != batch.NoOffset {
				t.Fatal("not empty after Reset")
			}
		}
	})
}

// TestOffsetMapFills: a map of a usual size takes all the keys it promises, and searches stay short when it is full.
func TestOffsetMapFills(t *testing.T) {
	m, err := NewOffsetMap(4 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if slots := 4 << 20 / SlotSize; m.Cap() < slots*89/100 {
		t.Fatalf("%d keys in %d slots", m.Cap(), slots)
	}
	var key [8]byte
	for i := range m.Cap() {
		binary.BigEndian.PutUint64(key[:], uint64(i))
		if !m.Put(key[:], batch.Offset(i)) {
			t.Fatalf("full with %d of %d keys", i, m.Cap())
		}
	}
	if m.Put([]byte("one more"), 1) {
		t.Fatal("took more than it has room for")
	}
	steps := 0
	for i := range 10_000 {
		binary.BigEndian.PutUint64(key[:], uint64(m.Cap()+i))
		d := m.hash(key[:])
		at, found := m.find(d)
		home, _ := bits.Mul64(d.hi, m.home)
		if found {
			t.Fatal("found a key that is not there")
		}
		steps += at - int(home) + 1
	}
	if steps > 10_000*16 {
		t.Fatalf("%d slots looked at in 10000 searches", steps)
	}
}

func TestOffsetMapAllocatesNothing(t *testing.T) {
	m, err := NewOffsetMap(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	short, long := make([]byte, 30), make([]byte, 3000)
	if n := testing.AllocsPerRun(1000, func() {
		short[0]++
		long[0]++
		if !m.Put(short, 1) || !m.Put(long, 2) || m.Get(short) != 1 || m.Get(long) != 2 {
			t.Fatal("wrong")
		}
		m.Reset()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkOffsetMap(b *testing.B) {
	for _, full := range []int{50, 100} {
		m, err := NewOffsetMap(DefaultMapBytes)
		if err != nil {
			b.Fatal(err)
		}
		var key [16]byte
		for i := range m.Cap() * full / 100 {
			binary.BigEndian.PutUint64(key[:], uint64(i))
			m.Put(key[:], batch.Offset(i))
		}
		r := rand.New(rand.NewPCG(1, 1))
		for what, from := range map[string]int{"present": 0, "absent": m.Cap()} {
			b.Run(fmt.Sprintf("get-%s/%d%%", what, full), func(b *testing.B) {
				for b.Loop() {
					binary.BigEndian.PutUint64(key[:], uint64(from+r.IntN(m.Len())))
					m.Get(key[:])
				}
			})
		}
	}
}
