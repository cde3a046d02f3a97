package prim

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
)

// TestUvarint walks both directions over every size, and the forms that are
// refused.
func TestUvarint(t *testing.T) {
	for _, x := range []uint32{0, 1, 127, 128, 16383, 16384, 1<<21 - 1, 1 << 21, 1<<28 - 1, 1 << 28, math.MaxUint32} {
		b := AppendUvarint(nil, x)
		if len(b) != UvarintSize(x) {
			t.Errorf("%d: %d bytes, UvarintSize says %d", x, len(b), UvarintSize(x))
		}
		var put [MaxUvarintBytes]byte
		if n := PutUvarint(put[:], x); !bytes.Equal(put[:n], b) {
			t.Errorf("%d: PutUvarint %x, AppendUvarint %x", x, put[:n], b)
		}
		r := NewReader(b)
		if got := r.Uvarint(); got != x || r.End() != nil {
			t.Errorf("%d: read %d, %v", x, got, r.End())
		}
	}
	for _, bad := range []string{
		"",                         // nothing
		"\x80", "\xff\xff\xff\xff", // cut short
		"\x80\x00", "\xff\x80\x00", "\x80\x80\x80\x80\x00", // overlong
		"\xff\xff\xff\xff\x10", "\xff\xff\xff\xff\x7f", // past 32 bits
		"\xff\xff\xff\xff\xff", "\x80\x80\x80\x80\x80\x01", // past 5 bytes
	} {
		r := NewReader([]byte(bad))
		if x := r.Uvarint(); x != 0 || !errors.Is(r.End(), ErrMalformed) {
			t.Errorf("%x: read %d, %v", bad, x, r.End())
		}
	}
}

// TestLengths holds each length form to what it must refuse.
func TestLengths(t *testing.T) {
	long := strings.Repeat("x", MaxStringBytes+1)
	cases := []struct {
		name string
		in   string
		read func(r *Reader)
		ok   bool
	}{
		{"string", "\x00\x02ab", func(r *Reader) { r.String(false) }, true},
		{"string null", "\xff\xff", func(r *Reader) { r.String(false) }, false},
		{"string -2", "\xff\xfe", func(r *Reader) { r.NullableString(false) }, false},
		{"string too long", "\x00\x03ab", func(r *Reader) { r.String(false) }, false},
		{"string half a length", "\x00", func(r *Reader) { r.String(false) }, false},
		{"nullable null", "\xff\xff", func(r *Reader) { r.NullableString(false) }, true},
		{"compact", "\x03ab", func(r *Reader) { r.String(true) }, true},
		{"compact null", "\x00", func(r *Reader) { r.String(true) }, false},
		{"compact nullable null", "\x00", func(r *Reader) { r.NullableString(true) }, true},
		{"compact 32,768", "\x81\x80\x02" + long, func(r *Reader) { r.String(true) }, false},
		{"compact 32,767", "\x80\x80\x02" + long[1:], func(r *Reader) { r.String(true) }, true},
		{"compact view 32,768", "\x81\x80\x02" + long, func(r *Reader) { r.StringView(true, false) }, false},
		{"compact bytes 32,768", "\x81\x80\x02" + long, func(r *Reader) { r.BytesView(true, false) }, true},
		{"bytes null", "\xff\xff\xff\xff", func(r *Reader) { r.BytesView(false, false) }, false},
		{"bytes nullable null", "\xff\xff\xff\xff", func(r *Reader) { r.BytesView(false, true) }, true},
		{"bytes -2", "\xff\xff\xff\xfe", func(r *Reader) { r.BytesView(false, true) }, false},
		{"bytes min int", "\x80\x00\x00\x00", func(r *Reader) { r.BytesView(false, true) }, false},
		{"array of 2 x 2 in 4", "\x00\x00\x00\x02abcd", func(r *Reader) { r.Span(2 * r.ArrayLen(false, false, 2)) }, true},
		{"array of 2 x 2 in 3", "\x00\x00\x00\x02abc", func(r *Reader) { r.ArrayLen(false, false, 2) }, false},
		{"compact array of 2 x 2 in 4", "\x03abcd", func(r *Reader) { r.Span(2 * r.ArrayLen(true, false, 2)) }, true},
		{"compact array of 2 x 2 in 3", "\x03abc", func(r *Reader) { r.ArrayLen(true, false, 2) }, false},
		{"compact array huge", "\xff\xff\xff\xff\x0fabc", func(r *Reader) { r.ArrayLen(true, false, 1<<30) }, false},
		{"array null", "\xff\xff\xff\xff", func(r *Reader) { r.ArrayLen(false, false, 1) }, false},
	}
	for _, c := range cases {
		r := NewReader([]byte(c.in))
		c.read(&r)
		if !c.ok && !r.Failed() {
			t.Errorf("%s: not refused by the read itself", c.name)
		}
		if err := r.End(); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ok %v", c.name, err, c.ok)
		}
	}
	r := NewReader([]byte("\x00\x01ab"))
	if r.String(false); r.Failed() || r.End() == nil {
		t.Errorf("a byte left over: %v", r.Err())
	}
}

// TestViewLengths: a view with each width of length is what was appended, with no
// capacity past it; cut short anywhere it is refused.
func TestViewLengths(t *testing.T) {
	check := func(name string, body, want []byte, read func(r *Reader) []byte) {
		r := NewReader(append(body[:len(body):len(body)], 7))
		got := read(&r)
		if got == nil || !bytes.Equal(got, want) || cap(got) != len(got) || r.Int8() != 7 || r.End() != nil {
			t.Errorf("%s of %d: %d bytes, capacity %d, %v", name, len(want), len(got), cap(got), r.End())
		}
		for n := range body {
			if n > 10 && n < len(body)-10 {
				continue
			}
			r := NewReader(body[:n])
			if got := read(&r); got != nil || !errors.Is(r.Err(), ErrMalformed) {
				t.Errorf("%s of %d cut to %d: %d bytes, %v", name, len(want), n, len(got), r.Err())
			}
		}
	}
	for _, n := range []int{0, 1, 126, 127, 128, 16382, 16383, MaxStringBytes, 1<<21 - 2, 1<<21 - 1} {
		x := bytes.Repeat([]byte{'x'}, n)
		for _, compact := range []bool{false, true} {
			check("bytes", AppendBytes(nil, x, compact), x, func(r *Reader) []byte { return r.BytesView(compact, true) })
			if n <= MaxStringBytes {
				check("string", AppendString(nil, x, compact), x, func(r *Reader) []byte { return r.StringView(compact, true) })
			}
		}
	}
}

// TestFailedReaderReadsNothing: after the first error everything is zero and
// the error stays.
func TestFailedReaderReadsNothing(t *testing.T) {
	body := bytes.Repeat([]byte{1}, 64)
	for _, fail := range []func(r *Reader){
		func(r *Reader) { r.Span(65) },
		func(r *Reader) { r.Span(-1) },
		func(r *Reader) { r.Span(60); r.Int64() },
		func(r *Reader) { r.Charge(1 << 30) },
	} {
		r := NewReader(body)
		fail(&r)
		first := r.Err()
		if first == nil || !r.Failed() {
			t.Fatal("no error")
		}
		sum := int(r.Int8()) + int(r.Int16()) + int(r.Int32()) + int(r.Int64()) + int(r.Uvarint()) +
			len(r.String(true)) + len(r.StringView(true, true)) + len(r.BytesView(false, true)) +
			r.ArrayLen(true, true, 1) + r.TagCount() + len(r.Span(0)) + r.Len()
		if id := r.UUID(); sum != 0 || r.Bool() || id != [16]byte{} || r.NullableString(true) != nil || r.Charge(0) {
			t.Errorf("read something after %v", first)
		}
		if r.Err() != first || r.End() != first {
			t.Errorf("error %v became %v, %v", first, r.Err(), r.End())
		}
	}
}

// TestTags: skipping, the cap, the sizes.
func TestTags(t *testing.T) {
	tag := "\x05\x03abc" // tag 5, 3 bytes
	cases := []struct {
		in string
		ok bool
	}{
		{"\x00", true},
		{"\x01" + tag, true},
		{"\x03" + tag + tag + tag, true},
		{"\x40" + strings.Repeat("\x07\x00", 64), true},
		{"\x41" + strings.Repeat("\x07\x00", 65), false}, // past MaxTags
		{"\x02" + tag, false},
		{"\x01\x05\x04abc", false},
		{"\xff\xff\xff\xff\x0f" + tag, false},
		{"\x01\x05\xff\xff\xff\xff\x0fabc", false},
		{"", false},
	}
	for _, c := range cases {
		r := NewReader([]byte(c.in))
		r.SkipTags()
		if err := r.End(); (err == nil) != c.ok {
			t.Errorf("%x: %v, want ok %v", c.in, err, c.ok)
		}
	}
}

// TestEnter: a tagged field must use its size exactly and cannot see past it.
func TestEnter(t *testing.T) {
	for size, ok := range map[int]bool{3: false, 4: true, 5: false} {
		r := NewReader([]byte("abcdefgh"))
		outer := r.Enter(size)
		r.Int32()
		r.Leave(outer)
		if ok != (r.Err() == nil) {
			t.Errorf("4 bytes read of %d: %v", size, r.Err())
		}
		if ok && (r.Len() != 4 || string(r.Span(4)) != "efgh") {
			t.Error("not the bytes that follow")
		}
	}
}

// TestRounded holds the charge to what the allocator really takes, for every
// size class, with and without pointers.
func TestRounded(t *testing.T) {
	if testing.Short() {
		t.Skip("allocates many sizes")
	}
	for n := 1; n < 80<<10; n += max(1, n/64) {
		bytesPer := allocatedPer(func() { plain = make([]byte, n) })
		if c := float64(rounded(n)); bytesPer > c {
			t.Errorf("%d bytes: charged %v, took %v", n, c, bytesPer)
		}
		if n%8 == 0 {
			bytesPer = allocatedPer(func() { pointers = make([]*byte, n/8) })
			if c := float64(rounded(n)); bytesPer > c {
				t.Errorf("%d bytes of pointers: charged %v, took %v", n, c, bytesPer)
			}
		}
	}
}

var (
	plain    []byte
	pointers []*byte
)

func allocatedPer(f func()) float64 {
	const rounds = 32
	best := math.Inf(1)
	for range 3 { // others of the process may allocate meanwhile
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			f()
		}
		runtime.ReadMemStats(&after)
		best = min(best, float64(after.TotalAlloc-before.TotalAlloc)/rounds)
	}
	return best
}

// TestBudgetRunsOut: charges add up to no more than the budget.
func TestBudgetRunsOut(t *testing.T) {
	r := NewReader(make([]byte, 1000))
	sum := 0
	for r.Charge(100) {
		sum += rounded(100)
	}
	if !errors.Is(r.Err(), ErrBudget) {
		t.Error(r.Err())
	}
	if limit := BudgetFactor*1000 + BudgetFloor; sum > limit || sum < limit-2*reserve {
		t.Errorf("charged %d of %d", sum, limit)
	}
}

// TestStringsAreCharged: copies come off the budget, views and null do not.
func TestStringsAreCharged(t *testing.T) {
	for _, c := range []struct {
		name string
		read func(r *Reader)
		cost int
	}{
		{"string", func(r *Reader) { r.String(true) }, 16},
		{"nullable", func(r *Reader) { r.NullableString(true) }, 16 + 16},
		{"view", func(r *Reader) { r.StringView(true, true) }, 0},
		{"bytes", func(r *Reader) { r.BytesView(true, true) }, 0},
	} {
		r := NewReader([]byte("\x03ab"))
		before := r.budget
		if c.read(&r); before-r.budget != c.cost || r.End() != nil {
			t.Errorf("%s cost %d, want %d (%v)", c.name, before-r.budget, c.cost, r.End())
		}
	}
	r := NewReader(bytes.Repeat([]byte("\x02a"), 1<<20))
	for !r.Failed() {
		r.NullableString(true)
	}
	if !errors.Is(r.Err(), ErrBudget) {
		t.Errorf("a million tiny strings: %v", r.Err())
	}
}

// TestStringsAreCopies and views are views.
func TestStringsAreCopies(t *testing.T) {
	body := []byte("\x03ab\x03cd\x03ef")
	r := NewReader(body)
	s, p, v := r.String(true), r.NullableString(true), r.StringView(true, false)
	clear(body)
	if s != "ab" || *p != "cd" || string(v) != "\x00\x00" || cap(v) != 2 {
		t.Errorf("%q %q %q (cap %d)", s, *p, v, cap(v))
	}
}

// TestAppendLimits: what cannot be said panics.
func TestAppendLimits(t *testing.T) {
	for _, compact := range []bool{false, true} {
		AppendString(nil, strings.Repeat("x", MaxStringBytes), compact)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic for a string of 32,768 bytes")
				}
			}()
			AppendString(nil, strings.Repeat("x", MaxStringBytes+1), compact)
		}()
	}
}
