package gen

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// The vectors of Kafka's UtilsTest.testMurmur2.
func TestMurmur2(t *testing.T) {
	for in, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(in))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestPartitionIsNeverNegative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int32Range(1, 1000).Draw(t, "partitions")
		if p := Partition(rapid.SliceOf(rapid.Byte()).Draw(t, "key"), n); p < 0 || p >= n {
			t.Fatalf("partition %d of %d", p, n)
		}
	})
}

// record is a stamped record as it goes over the wire.
type record struct {
	stamp              Stamp
	key, value, header []byte
}

func drawRecord(t *rapid.T) record {
	r := record{
		stamp: Stamp{
			RunID: rapid.Uint64().Draw(t, "run"), IntendedNs: rapid.Int64().Draw(t, "intended"), Sequence: rapid.Int64Min(0).Draw(t, "sequence"),
			Producer: rapid.Uint32().Draw(t, "producer"), Partition: rapid.Int32Min(0).Draw(t, "partition"),
		},
		value: rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "value"),
	}
	if rapid.Bool().Draw(t, "keyed") {
		r.key = rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "key")
	}
	if len(r.value) < StampSize || rapid.Bool().Draw(t, "in header") {
		r.header = make([]byte, StampSize)
	}
	Encode(r.stamp, r.key, r.value, r.header)
	return r
}

func TestStampRoundTrip(t *testing.T) { // G2
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		got, condition := Decode(r.key, r.value, r.header)
		if condition != Intact {
			t.Fatalf("condition %d, want intact", condition)
		}
		if diff := cmp.Diff(r.stamp, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestStampSeesEveryChange(t *testing.T) { // G2
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		part, at := []byte(nil), rapid.IntRange(0, len(r.key)+len(r.value)+len(r.header)-1).Draw(t, "byte")
		for _, part = range [][]byte{r.key, r.value, r.header} {
			if at < len(part) {
				break
			}
			at -= len(part)
		}
		part[at] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
		if _, condition := Decode(r.key, r.value, r.header); condition == Intact {
			t.Fatalf("a flipped bit in byte %d of part %v was not seen", at, part)
		}
	})
}

func TestStampSeesCutAndSwappedParts(t *testing.T) {
	value, other := bytes.Repeat([]byte("v"), 100), bytes.Repeat([]byte("w"), 100)
	Encode(Stamp{RunID: 1, Sequence: 1}, []byte("key-1"), value, nil)
	Encode(Stamp{RunID: 1, Sequence: 2}, []byte("key-2"), other, nil)
	for name, r := range map[string]record{
		"cut value":   {key: []byte("key-1"), value: value[:90]},
		"longer":      {key: []byte("key-1"), value: append(bytes.Clone(value), 0)},
		"key gone":    {value: value},
		"other key":   {key: []byte("key-2"), value: value},
		"other value": {key: []byte("key-2"), value: append(bytes.Clone(other[:StampSize]), value[StampSize:]...)},
	} {
		if _, condition := Decode(r.key, r.value, nil); condition != Damaged {
			t.Errorf("%s: condition %d, want damaged", name, condition)
		}
	}
	for name, r := range map[string]record{
		"somebody's value":  {value: []byte("hello")},
		"somebody's header": {value: []byte("hello"), header: []byte{}},
	} {
		if _, condition := Decode(r.key, r.value, r.header); condition != Unknown {
			t.Errorf("%s: condition %d, want unknown", name, condition)
		}
	}
}

func FuzzDecode(f *testing.F) {
	value := make([]byte, 64)
	Encode(Stamp{RunID: 7, Sequence: 9, Producer: 3}, []byte("k"), value, nil)
	f.Add([]byte("k"), value, []byte(nil), true)
	f.Add([]byte(nil), []byte("x"), value[:StampSize], false)
	f.Fuzz(func(t *testing.T, key, value, header []byte, inValue bool) {
		if inValue {
			header = nil
		}
		s, condition := Decode(key, value, header)
		if condition != Intact {
			return
		}
		// Whatever decodes as intact is what Encode writes for that stamp; an empty key and none are the same on the wire.
		again, head := bytes.Clone(value), bytes.Clone(header)
		Encode(s, key, again, head)
		if len(key) > 0 && !(bytes.Equal(again, value) && bytes.Equal(head, header)) {
			t.Fatalf("decoded %+v from %x %x, which encodes as %x %x", s, value, header, again, head)
		}
	})
}

func TestValuesHaveTheirSizeAndCompressibility(t *testing.T) { // G1
	for _, c := range []float64{0, 0.25, 0.5, 0.9, 1} {
		v := values(t, plan.Value{Size: 1000, Compressible: c}, 1)
		var out bytes.Buffer
		w, err := flate.NewWriter(&out, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		const n = 2000 // 2 MB: several times the pool
		var buf []byte
		for range n {
			if buf = v.Append(buf[:0], 0); len(buf) != 1000 {
				t.Fatalf("a value of %d bytes, want 1000", len(buf))
			}
			if _, err := w.Write(buf); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		ratio := float64(out.Len()) / (n * 1000)
		if want := 1 - c; math.Abs(ratio-want) > 0.03 {
			t.Errorf("compressible %v: compressed to %.3f of the size, want %.2f", c, ratio, want)
		}
	}
}

func TestValuesAreReproducible(t *testing.T) {
	v := plan.Value{Size: 77}
	x, y, z := values(t, v, 5).Append(nil, 0), values(t, v, 5).Append(nil, 0), values(t, v, 6).Append(nil, 0)
	if !bytes.Equal(x, y) || bytes.Equal(x, z) {
		t.Error("values follow the seed: same seed must give the same, another seed another value")
	}
}

// histogram draws keys and counts them by number.
func histogram(t *testing.T, k plan.Key, draws int) map[string]int {
	t.Helper()
	g, err := NewKeys(k, 42, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for range draws {
		key, ok := g.Append(nil)
		if !ok {
			t.Fatal("no key")
		}
		seen[string(key)]++
	}
	return seen
}

func TestZipfFollowsItsLaw(t *testing.T) {
	for _, s := range []float64{0.5, 0.99, 1, 1.5} {
		const n, draws = 1000, 400_000
		z, norm := newZipf(n, s), 0.0
		for r := 1; r <= n; r++ {
			norm += math.Pow(float64(r), -s)
		}
		g, err := NewKeys(plan.Key{Kind: "uniform", N: n}, 7, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		counts := make([]int, n)
		for range draws {
			counts[z.draw(g.rng)]++
		}
		for _, rank := range []int{0, 1, 2, 9, 99} {
			want := draws * math.Pow(float64(rank+1), -s) / norm
			if got := float64(counts[rank]); math.Abs(got-want) > 6*math.Sqrt(want) {
				t.Errorf("s=%v: rank %d drawn %v times, want %.0f within six standard deviations", s, rank, got, want)
			}
		}
	}
}

func TestScrambleIsAPermutation(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 7, 64, 1000, 4097} {
		s, seen := newScramble(n), map[uint64]bool{}
		for x := range n {
			y := s.of(x)
			if y >= n || seen[y] {
				t.Fatalf("n=%d: %d -> %d is out of range or taken", n, x, y)
			}
			seen[y] = true
		}
	}
}

func TestHotKeysGetTheirShare(t *testing.T) {
	seen := histogram(t, plan.Key{Kind: "hot", N: 1000, Hot: 0.01, Share: 0.8}, 100_000)
	mix, hot := newScramble(1000), 0
	for rank := range uint64(10) {
		hot += seen[fmt.Sprintf("key-%d", mix.of(rank))]
	}
	if hot < 79_000 || hot > 81_000 {
		t.Errorf("ten hot keys got %d of 100,000 records, want 80,000 within 1 %%", hot)
	}
}

func TestKeysInTurn(t *testing.T) {
	for _, kind := range []string{"sequential", "round_robin"} {
		seen := map[string]int{}
		for worker := range 3 { // three workers together walk through all keys
			g, err := NewKeys(plan.Key{Kind: kind, N: 9}, 1, worker, 3)
			if err != nil {
				t.Fatal(err)
			}
			for range 6 {
				key, _ := g.Append(nil)
				seen[string(key)]++
			}
		}
		for i := range 9 {
			if n := seen[fmt.Sprintf("key-%d", i)]; n != 2 {
				t.Errorf("%s: key %d used %d times, want 2", kind, i, n)
			}
		}
	}
	if _, err := NewKeys(plan.Key{Kind: "magic"}, 1, 0, 1); err == nil {
		t.Error("an unknown kind of key was accepted")
	}
	if g, err := NewKeys(plan.Key{Kind: "none"}, 1, 0, 1); err != nil {
		t.Error(err)
	} else if _, ok := g.Append(nil); ok {
		t.Error("kind none made a key")
	}
}

func BenchmarkRecord(b *testing.B) {
	v := values(b, plan.Value{Size: 1024, Compressible: 0.5}, 1)
	k, err := NewKeys(plan.Key{Kind: "zipf", N: 100_000, S: 0.99}, 1, 0, 1)
	if err != nil {
		b.Fatal(err)
	}
	buf, key := make([]byte, 0, 1024), make([]byte, 0, MaxKeySize)
	b.SetBytes(1024)
	for b.Loop() {
		buf = v.Append(buf[:0], 0)
		got, _ := k.Append(key)
		Encode(Stamp{Sequence: 1}, got, buf, nil)
	}
}
