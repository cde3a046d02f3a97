package gen

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Values fills record values. It is not safe for concurrent use: one per worker.
type Values struct {
	size   int
	random int    // bytes of the value that are random; the rest is text that compresses to almost nothing
	pool   []byte // random bytes, a multiple of 8
	rng    *rand.Rand
}

// poolBytes is the size of the random pool. Slices of it repeat within a batch, so each value is also combined with its own
// random word: a compressor sees no match, which a test checks.
const poolBytes = 256 << 10

// filler is what the compressible part repeats.
const filler = "the quick brown fox jumps over the lazy dog; "

// NewValues returns a source for values as the plan says.
func NewValues(v plan.Value, seed uint64) *Values {
	random := int(float64(v.Size)*(1-v.Compressible) + 0.5)
	g := &Values{size: v.Size, random: random, rng: rand.New(rand.NewPCG(seed, 0xda3e39cb94b95bdb))}
	g.pool = make([]byte, poolBytes)
	for i := 0; i < len(g.pool); i += 8 {
		binary.LittleEndian.PutUint64(g.pool[i:], g.rng.Uint64())
	}
	return g
}

// Size is the size of every value in bytes.
func (g *Values) Size() int { return g.size }

// Fill writes one value into dst, which is Size bytes long. The stamp is put over its head later.
func (g *Values) Fill(dst []byte) {
	random := dst[:g.random]
	nonce := g.rng.Uint64()
	at := int(g.rng.Uint64N(poolBytes/8)) * 8
	for len(random) >= 8 {
		binary.LittleEndian.PutUint64(random, binary.LittleEndian.Uint64(g.pool[at:])^nonce)
		random = random[8:]
		if at += 8; at == poolBytes {
			at, nonce = 0, g.rng.Uint64()
		}
	}
	for i := range random {
		random[i] = byte(nonce >> (8 * i))
	}
	for rest := dst[g.random:]; len(rest) > 0; {
		rest = rest[copy(rest, filler):]
	}
}
