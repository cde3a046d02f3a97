package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/streambus/streambus/engine/batch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var codecs = []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd}

var oracles = map[batch.Codec]kgo.CompressionCodec{
	batch.Gzip: kgo.GzipCompression(), batch.Snappy: kgo.SnappyCompression(), batch.LZ4: kgo.Lz4Compression(), batch.Zstd: kgo.ZstdCompression(),
}

// payloads are inputs of the shapes that matter: none, tiny, below and above every block size, compressible or not.
func payloads() [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		return p
	}
	text := func(n int) []byte {
		var p []byte
		for i := 0; len(p) < n; i++ {
			p = fmt.Appendf(p, "{\"id\":%d,\"user\":\"u%d\",\"state\":\"open\"}", i, r.IntN(1000))
		}
		return p[:n]
	}
	out := [][]byte{{}, {7}, bytes.Repeat([]byte{0}, 1<<20)}
	for _, n := range []int{15, 16, 100, 32<<10 - 1, 32 << 10, 64<<10 + 1, 300_000} {
		out = append(out, noise(n), text(n))
	}
	return out
}

func oracleEncode(t testing.TB, c batch.Codec, plain []byte) []byte {
	if c == batch.None {
		return plain
	}
	k, err := kgo.DefaultCompressor(oracles[c])
	if err != nil {
		t.Fatal(err)
	}
	out, used := k.Compress(new(bytes.Buffer), plain)
	if batch.Codec(used) != c {
		t.Fatalf("the oracle used codec %d", used)
	}
	return bytes.Clone(out)
}

func encode(t testing.TB, c batch.Codec, plain []byte) []byte {
	out, err := Encode(nil, c, plain)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAgreesWithOracle exchanges every payload with franz-go, both ways, and with itself.
func TestAgreesWithOracle(t *testing.T) {
	d := kgo.DefaultDecompressor()
	for _, c := range codecs {
		for i, plain := range payloads() {
			mine := encode(t, c, plain)
			if len(plain) > 0 { // franz-go takes the bare header of an empty snappy stream for a raw block
				if got, err := d.Decompress(mine, kgo.CompressionCodecType(c)); err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("codec %d payload %d: the oracle reads %d of %d bytes, %v", c, i, len(got), len(plain), err)
				}
			}
			for what, packed := range map[string][]byte{"own": mine, "oracle's": oracleEncode(t, c, plain)} {
				got, err := Decode([]byte("before"), c, packed, len(plain))
				if err != nil || !bytes.Equal(got, append([]byte("before"), plain...)) {
					t.Fatalf("codec %d payload %d, %s: %d of %d bytes, %v", c, i, what, len(got)-6, len(plain), err)
				}
			}
			if got, err := Encode([]byte("before"), c, plain); err != nil || !bytes.Equal(got, append([]byte("before"), mine...)) {
				t.Fatalf("codec %d payload %d: appending gives other bytes, %v", c, i, err)
			}
		}
	}
}

// TestLimitIsExact: C1 and C2 at the limit and one below it, with and without room in dst.
func TestLimitIsExact(t *testing.T) {
	for _, c := range codecs {
		for i, plain := range payloads() {
			for _, packed := range [][]byte{encode(t, c, plain), oracleEncode(t, c, plain)} {
				for _, room := range []int{0, 10, 2 << 20} {
					dst := append(make([]byte, 0, 3+room), "abc"...)
					if got, err := Decode(dst, c, packed, len(plain)); err != nil || len(got) != 3+len(plain) {
						t.Fatalf("codec %d payload %d room %d: %d bytes, %v", c, i, room, len(got), err)
					}
					if len(plain) == 0 {
						continue
					}
					got, err := Decode(dst, c, packed, len(plain)-1)
					if !errors.Is(err, ErrTooLarge) || string(got) != "abc" {
						t.Fatalf("codec %d payload %d room %d, limit one short: %q…, %v", c, i, room, got[:3], err)
					}
				}
			}
		}
	}
}

// handMadeStream is snappy-java's stream of 100 times 'a', written by hand from the two formats: header, block length 9, then
// the length 100, the literal 'a', copies of 64 and 35 bytes at distance 1.
const handMadeStream = "82534e415050590000000001000000010000000964" + "0061" + "fe0100" + "8a0100"

func TestSnappyForms(t *testing.T) {
	a := bytes.Repeat([]byte("a"), 100)
	raw := s2.EncodeSnappy(nil, a)
	stream := encode(t, batch.Snappy, a)
	byHand, err := hex.DecodeString(handMadeStream)
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]struct {
		packed []byte
		plain  []byte
	}{
		"raw":          {raw, a},
		"by hand":      {byHand, a},
		"stream":       {stream, a},
		"two streams":  {append(bytes.Clone(stream), stream...), append(bytes.Clone(a), a...)},
		"only headers": {append(bytes.Clone(xerialHeader), xerialHeader...), nil},
	} {
		if got, err := Decode(nil, batch.Snappy, in.packed, 200); err != nil || !bytes.Equal(got, in.plain) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for name, in := range map[string][]byte{
		"nothing":           {},
		"header cut":        stream[:15],
		"length cut":        stream[:18],
		"block cut":         stream[:len(stream)-1],
		"claims 21 MB":      {0x80, 0x80, 0x80, 0x0a, 0},
		"length goes past":  append(bytes.Clone(xerialHeader), 0xff, 0xff, 0xff, 0xff, 1),
		"block claims more": append(bytes.Clone(xerialHeader), 0, 0, 0, 2, 0xff, 0x7f),
	} {
		if got, err := Decode(nil, batch.Snappy, in, 100<<20); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// TestLZ4Frames reads what the library's frame writer can write, and refuses what Kafka refuses.
func TestLZ4Frames(t *testing.T) {
	plain := payloads()[len(payloads())-1]
	frame := func(opts ...lz4.Option) []byte {
		var out bytes.Buffer
		w := lz4.NewWriter(&out)
		if err := w.Apply(append(opts, lz4.ConcurrencyOption(1))...); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for _, size := range []lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb} {
		for flags := range 8 {
			n := uint64(0)
			if flags&4 != 0 {
				n = uint64(len(plain))
			}
			f := frame(lz4.BlockSizeOption(size), lz4.BlockChecksumOption(flags&1 != 0), lz4.ChecksumOption(flags&2 != 0), lz4.SizeOption(n))
			two := append(bytes.Clone(f), f...)
			if got, err := Decode(nil, batch.LZ4, two, 2*len(plain)); err != nil || !bytes.Equal(got, append(bytes.Clone(plain), plain...)) {
				t.Fatalf("block size %d flags %d: %d bytes, %v", size, flags, len(got), err)
			}
		}
	}
	good := frame(lz4.BlockChecksumOption(true), lz4.ChecksumOption(true), lz4.SizeOption(uint64(len(plain))))
	for i := range good { // every byte is under some checksum
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(good)
			bad[i] ^= bit
			if i > 100 && i < len(good)-8 && i%97 != 0 {
				continue
			}
			if _, err := Decode(nil, batch.LZ4, bad, len(plain)); err == nil {
				t.Fatalf("byte %d flipped by %02x: accepted", i, bit)
			}
		}
	}
	linked := bytes.Clone(encode(t, batch.LZ4, plain))
	linked[4] &^= lz4Independent
	linked[6] = byte(xxh32(linked[4:6]) >> 8)
	for name, in := range map[string][]byte{"linked blocks": linked, "legacy": frame(lz4.LegacyOption(true)), "no end mark": good[:len(good)-8]} {
		if _, err := Decode(nil, batch.LZ4, in, len(plain)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestXXH32 has the values of xxhash_spec.md's reference and of the library, whose checksums TestLZ4Frames compares too.
func TestXXH32(t *testing.T) {
	for in, want := range map[string]uint32{"": 0x02cc5d05, "a": 0x550d7456, "abc": 0x32d153ff, "Nobody inspects the spammish repetition": 0xe2293b2f} {
		if got := xxh32([]byte(in)); got != want {
			t.Errorf("%q: %08x, want %08x", in, got, want)
		}
	}
}

// TestZstdForms: frames as Java's producer streams them (window of 2 MiB, no content size), a large window, several frames.
func TestZstdForms(t *testing.T) {
	plain := payloads()[len(payloads())-1]
	stream := func(window int, p []byte) []byte {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		for len(p) > 0 { // in parts, so that the content size is not known
			n := min(len(p), 100_000)
			if _, err := w.Write(p[:n]); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			p = p[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for _, window := range []int{2 << 20, 8 << 20, zstdWindow} {
		f := stream(window, plain)
		for i, n := range []int{len(plain), len(plain) + 1, 10 * len(plain)} {
			if got, err := Decode(nil, batch.Zstd, f, n); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("window %d, limit %d: %d bytes, %v", window, i, len(got), err)
			}
		}
		small := stream(window, []byte("small"))
		if got, err := Decode(nil, batch.Zstd, small, 5); err != nil || string(got) != "small" {
			t.Fatalf("window %d, 5 bytes with a limit of 5: %q, %v", window, got, err)
		}
		two := append(bytes.Clone(f), small...)
		if got, err := Decode(nil, batch.Zstd, two, len(plain)+5); err != nil || len(got) != len(plain)+5 {
			t.Fatalf("two frames: %d bytes, %v", len(got), err)
		}
	}
	if _, err := Decode(nil, batch.Zstd, stream(256<<20, plain), 1<<20); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("a window of 256 MiB: %v", err)
	}
}

func TestGzipForms(t *testing.T) {
	one := encode(t, batch.Gzip, []byte("one"))
	var named bytes.Buffer
	w := gzip.NewWriter(&named)
	w.Name, w.Comment, w.Extra = "name", "comment", make([]byte, 60_000)
	if _, err := w.Write([]byte("two")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := Decode(nil, batch.Gzip, append(one, named.Bytes()...), 6); err != nil || string(got) != "onetwo" {
		t.Fatalf("two members: %q, %v", got, err)
	}
	bad := encode(t, batch.Gzip, []byte("checked"))
	bad[len(bad)-6] ^= 1
	for _, limit := range []int{7, 8} { // the checksum counts also when the output ends at the limit
		if _, err := Decode(nil, batch.Gzip, bad, limit); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("limit %d, wrong checksum: %v", limit, err)
		}
	}
}

func TestUnknownCodec(t *testing.T) {
	for _, c := range []batch.Codec{5, 6, 7} {
		if _, err := Decode(nil, c, []byte{1}, 10); !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
		if _, err := Encode(nil, c, []byte{1}); err == nil {
			t.Error("encoded with an unknown codec")
		}
	}
}

// allocated is how many bytes f allocates, live or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestBombsStayWithinMemory: C1 for inputs that claim or hold far more than the limit.
func TestBombsStayWithinMemory(t *testing.T) {
	zeros := make([]byte, 64<<20)
	claim := func(b ...byte) []byte { return b }
	const limit = 1 << 20
	for name, in := range map[string]struct {
		c      batch.Codec
		packed []byte
	}{
		"gzip bomb":    {batch.Gzip, encode(t, batch.Gzip, zeros)},
		"snappy bomb":  {batch.Snappy, s2.EncodeSnappy(nil, zeros)},
		"stream bomb":  {batch.Snappy, encode(t, batch.Snappy, zeros)},
		"lz4 bomb":     {batch.LZ4, encode(t, batch.LZ4, zeros)},
		"lz4 4 MiB":    {batch.LZ4, oracleEncode(t, batch.LZ4, zeros)},
		"zstd bomb":    {batch.Zstd, encode(t, batch.Zstd, zeros)},
		"zstd no size": {batch.Zstd, bytes.Repeat(encode(t, batch.Zstd, zeros[:100_000]), 1000)},
		"snappy claim": {batch.Snappy, claim(0xff, 0xff, 0xff, 0xff, 0x0f, 0)},
		"zstd claim":   {batch.Zstd, claim(0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0)},
	} {
		if n := allocated(func() {
			if got, err := Decode(nil, in.c, in.packed, limit); !errors.Is(err, ErrTooLarge) || got != nil {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
		}); n > MemoryFactor*limit+Overhead {
			t.Errorf("%s: %d bytes allocated for a limit of %d", name, n, limit)
		}
	}
}

// TestSteadyStateAllocates counts the allocations of a coder that is used again and again with buffers of the right size.
func TestSteadyStateAllocates(t *testing.T) {
	plain := payloads()[10]
	for _, c := range codecs {
		packed := encode(t, c, plain)
		out, back := make([]byte, 0, len(plain)+zstdSlack), make([]byte, 0, 2*len(plain))
		most := 0.0
		if c == batch.Gzip || raceEnabled { // flate builds Huffman link tables; under -race pools drop at random
			most = 100
		}
		if n := testing.AllocsPerRun(50, func() {
			if _, err := Decode(out, c, packed, len(plain)); err != nil {
				t.Fatal(err)
			}
		}); n > most {
			t.Errorf("codec %d: %v allocations to decode", c, n)
		}
		if n := testing.AllocsPerRun(50, func() {
			if _, err := Encode(back, c, plain); err != nil {
				t.Fatal(err)
			}
		}); n > most {
			t.Errorf("codec %d: %v allocations to encode", c, n)
		}
	}
}

// TestConcurrentUse: the pools hand no coder to two goroutines, and damaged input leaves none in a bad state (C3).
func TestConcurrentUse(t *testing.T) {
	all := payloads()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(3, uint64(g)))
			for range 100 {
				plain, c := all[r.IntN(len(all))], codecs[r.IntN(len(codecs))]
				packed, err := Encode(nil, c, plain)
				if err != nil {
					t.Error(err)
					return
				}
				if bad := bytes.Clone(packed); len(bad) > 0 {
					bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
					_, _ = Decode(nil, c, bad[:r.IntN(len(bad)+1)], 1<<20) // only what it leaves behind matters here
				}
				if got, err := Decode(nil, c, packed, len(plain)); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("codec %d: %d of %d bytes, %v", c, len(got), len(plain), err)
				}
			}
		})
	}
	wg.Wait()
}

// fuzzDecode: no panic, bounded output and memory, what is read can be written and read again, and the oracle reads the same
// (not asked about snappy: franz-go takes only the first header of a stream for one).
func fuzzDecode(f *testing.F, c batch.Codec) {
	for _, p := range payloads()[:8] {
		f.Add(encode(f, c, p), 1<<16)
		f.Add(oracleEncode(f, c, p), len(p))
	}
	f.Fuzz(func(t *testing.T, in []byte, limit int) {
		limit = int(uint(limit) % (4 << 20))
		var got []byte
		var err error
		used := allocated(func() { got, err = Decode(nil, c, in, limit) })
		if len(got) > limit || used > uint64(MemoryFactor*limit+Overhead+len(in)) {
			t.Fatalf("limit %d: %d bytes, %d allocated", limit, len(got), used)
		}
		if err != nil {
			if got != nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			return
		}
		if c != batch.Snappy {
			if want, err := kgo.DefaultDecompressor().Decompress(in, kgo.CompressionCodecType(c)); err != nil || !bytes.Equal(want, got) {
				t.Fatalf("the oracle reads %d bytes, not %d, %v", len(want), len(got), err)
			}
		}
		if again, err := Decode(nil, c, encode(t, c, got), limit); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("read %d bytes, after a round trip %d, %v", len(got), len(again), err)
		}
	})
}

func FuzzGzip(f *testing.F)   { fuzzDecode(f, batch.Gzip) }
func FuzzSnappy(f *testing.F) { fuzzDecode(f, batch.Snappy) }
func FuzzLZ4(f *testing.F)    { fuzzDecode(f, batch.LZ4) }
func FuzzZstd(f *testing.F)   { fuzzDecode(f, batch.Zstd) }

func BenchmarkCodec(b *testing.B) {
	plain := payloads()[len(payloads())-1]
	for _, c := range codecs[1:] {
		packed := encode(b, c, plain)
		out := make([]byte, 0, 2*len(plain)+zstdSlack)
		b.Run(fmt.Sprint("decode/", c), func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(out, c, packed, len(plain)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprint("encode/", c), func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Encode(out, c, plain); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
