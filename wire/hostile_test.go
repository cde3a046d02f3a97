package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/streambus/streambus/wire/prim"
)

// allocLimit is W2.
func allocLimit(n int) uint64 { return 8*uint64(n) + 64<<10 }

// allocated returns how many bytes f allocates. Other goroutines of the test
// process may allocate meanwhile, so a surprising figure is measured again.
func allocated(limit uint64, f func()) (n uint64) {
	for range 4 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		n = after.TotalAlloc - before.TotalAlloc
		if n <= limit {
			break
		}
	}
	return n
}

// maxSteps is W1 counted: no array element is nested deeper than four arrays,
// and its count is backed by bytes on each level.
func maxSteps(n int) int { return 4*n + 4*prim.MaxTags }

// decodeBounded decodes into a fresh message and fails the test if that takes
// more memory or steps than the body entitles it to.
func decodeBounded(t testing.TB, s side, k Key, version int16, body []byte) (m Message, err error) {
	t.Helper()
	limit := allocLimit(len(body))
	if n := allocated(limit, func() {
		m = s.ours(k)
		err = Decode(m, version, body)
	}); n > limit {
		t.Fatalf("%s: %d bytes allocated %d, limit %d (%v)\n%x", label(s, k, version), len(body), n, limit, err, clip(body))
	}
	checkSteps(t, s, k, version, body)
	return m, err
}

func checkSteps(t testing.TB, s side, k Key, version int16, body []byte) {
	t.Helper()
	if steps := countSteps(s, k, version, body); steps > maxSteps(len(body)) {
		t.Fatalf("%s: %d bytes took %d steps\n%x", label(s, k, version), len(body), steps, clip(body))
	}
}

// allBounded is decodeBounded for many small bodies. Measuring costs more than
// decoding them, so they are measured together: if all of them stay below the
// limit of the smallest then each does, else each is measured.
func allBounded(t testing.TB, s side, k Key, version int16, bodies [][]byte) {
	t.Helper()
	limit := allocLimit(0)
	together := allocated(limit, func() {
		for _, body := range bodies {
			_ = Decode(s.ours(k), version, body)
		}
	})
	for _, body := range bodies {
		checkSteps(t, s, k, version, body)
		if together > limit {
			decodeBounded(t, s, k, version, body)
		}
	}
}

func countSteps(s side, k Key, version int16, body []byte) int {
	v := visitor{version: version, flexible: k.flexible(version), decoding: true, r: prim.NewReader(body)}
	s.ours(k).visit(&v)
	return v.r.Steps()
}

func clip(b []byte) []byte { return b[:min(len(b), 512)] }

// smallBody returns a random body, not too long to be tried at every byte.
func smallBody(rng *rand.Rand, s side, k Key, version int16) []byte {
	for {
		if body := Append(nil, randomOurs(rng, s, k, version), version); len(body) < 160 {
			return body
		}
	}
}

// TestTruncated: every body cut at every byte is malformed, and cheap.
func TestTruncated(t *testing.T) {
	rng := newRand(t)
	forEach(func(s side, k Key, version int16) {
		body := smallBody(rng, s, k, version)
		bodies := [][]byte{append(slices.Clone(body), 0)}
		for n := range body {
			bodies = append(bodies, body[:n:n])
		}
		for _, b := range bodies {
			if err := Decode(s.ours(k), version, b); !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s of %d bytes as %d: %v\n%x", label(s, k, version), len(body), len(b), err, body)
			}
		}
		for few := range slices.Chunk(bodies, 16) {
			allBounded(t, s, k, version, few)
		}
	})
}

// lies are what a length or a count can claim, in both forms.
var lies = []string{
	"\x7f\xff\xff\xff", "\xff\xff\xff\xff", "\x80\x00\x00\x00", "\x00\x01\x00\x00", "\x00\x00\x40\x00",
	"\x7f\xff", "\x80\x00",
	"\xff\xff\xff\xff\x0f", "\xff\xff\xff\xff\xff\xff", "\xff\xff\x7f", "\x80\x80\x02", "\xff\x01",
}

// TestLyingCounts: a lie at every offset of every body, with nothing behind it
// and with many plausible bytes behind it, is bounded in memory and steps.
func TestLyingCounts(t *testing.T) {
	rng := newRand(t)
	paddings := make([][]byte, 3)
	for i := range paddings {
		paddings[i] = make([]byte, 24<<10)
		for j := range paddings[i] {
			paddings[i][j] = byte(i) // 0: empty, 1: compact empty, 2: compact one byte
		}
	}
	forEach(func(s side, k Key, version int16) {
		body := smallBody(rng, s, k, version)
		for at := range body {
			var lying [][]byte
			for _, lie := range lies {
				rest := body[min(at+len(lie), len(body)):]
				lying = append(lying, slices.Concat(body[:at], []byte(lie), rest))
			}
			allBounded(t, s, k, version, lying)
			if rng.IntN(12) == 0 { // these cost more
				lie := lies[rng.IntN(len(lies))]
				padding := paddings[rng.IntN(len(paddings))]
				decodeBounded(t, s, k, version, slices.Concat(body[:at], []byte(lie), padding))
			}
		}
	})
}

// TestDensestArrays: bodies of nothing but the smallest elements, which is where
// decoded memory is largest against encoded. Refused or not, it is bounded.
func TestDensestArrays(t *testing.T) {
	rng := newRand(t)
	forEach(func(s side, k Key, version int16) {
		for head := range 8 {
			head = 3*head + rng.IntN(3)
			size := []int{1 << 10, 1 << 10, 96 << 10}[rng.IntN(3)]
			body := make([]byte, head, size+8)
			if k.flexible(version) {
				body = prim.AppendUvarint(body, uint32(size/(2+rng.IntN(20))))
			} else {
				body = binary.BigEndian.AppendUint32(body, uint32(size/(5+rng.IntN(30))))
			}
			fill := []byte{byte(rng.IntN(3))}
			body = append(body, bytes.Repeat(fill, max(size-len(body), 0))...)
			decodeBounded(t, s, k, version, body)
		}
	})
}

// TestDensestMessages: well-formed messages of very many empty elements, on each
// level of nesting. They decode or run out of budget.
func TestDensestMessages(t *testing.T) {
	const many = max(5000/slowdown, 2000)
	refused := 0
	forEach(func(s side, k Key, version int16) {
		if a := apis[k]; version != a.min && version != a.flexible && version != a.max {
			return // the others are no denser
		}
		for _, widths := range [][]int{{many, 0, 0}, {1, many, 0}, {many / 3, 1, 0}, {1, 1, many}, {1, many / 3, 1}, {many / 6, 1, 1}} {
			m := s.ours(k)
			widen(reflect.ValueOf(m).Elem(), widths)
			body := Append(nil, m, version)
			switch _, err := decodeBounded(t, s, k, version, body); {
			case errors.Is(err, ErrBudget):
				refused++
			case err != nil:
				t.Errorf("%s: %v: %v", label(s, k, version), widths, err)
			}
		}
	})
	if refused == 0 {
		t.Error("no message was dense enough to be refused: this tests nothing")
	}
}

// widen gives every array of structs or numbers below v as many zero elements
// as widths says for its depth.
func widen(v reflect.Value, widths []int) {
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct {
			f.Set(reflect.New(f.Type().Elem()))
			widen(f.Elem(), widths)
		}
		if f.Kind() != reflect.Slice || f.Type().Elem().Kind() == reflect.Uint8 || len(widths) == 0 {
			continue
		}
		f.Set(reflect.MakeSlice(f.Type(), widths[0], widths[0]))
		for j := range f.Len() {
			if f.Type().Elem().Kind() == reflect.Struct {
				widen(f.Index(j), widths[1:])
			}
		}
	}
}

// TestMinSizes holds the minimum size that each array's description claims to
// the bytes that its elements take: never less, and exactly that much for some
// empty element of some version, so that the claim is as tight as one number
// for all versions can be. (The hand-coded ones are the reader's business:
// TestTruncated and the differential tests would refuse too large a claim.)
func TestMinSizes(t *testing.T) {
	rng := newRand(t)
	least := map[string]int{} // smallest element seen, by message and claim
	forEach(func(s side, k Key, version int16) {
		v := visitor{version: version, flexible: k.flexible(version)}
		v.audit = func(minSize, n, size int) {
			if size < n*minSize {
				t.Errorf("%s: %d elements in %d bytes, claimed to be %d each", label(s, k, version), n, size, minSize)
			}
			if n > 0 {
				at := fmt.Sprintf("%s%s claim %d", k, s.name, minSize)
				if was, ok := least[at]; !ok || size/n < was {
					least[at] = size / n
				}
			}
		}
		for range 300 {
			m := s.ours(k)
			fillSparse(rng, m)
			m.visit(&v)
			v.dst = v.dst[:0]
		}
	})
	for at, size := range least {
		var claim int
		if _, err := fmt.Sscanf(at[strings.LastIndex(at, " ")+1:], "%d", &claim); err != nil || size != claim {
			t.Errorf("%s: the smallest element is %d", at, size)
		}
	}
}
