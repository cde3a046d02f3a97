package gen

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"strconv"

	"github.com/streambus/streambus/loadscript/internal/plan"
)

// Keys chooses record keys. It is not safe for concurrent use: one per worker.
type Keys struct {
	kind    string
	n       uint64
	counter uint64
	step    uint64
	hot     uint64 // number of hot keys
	share   float64
	pool    [][]byte
	zipf    *zipf
	mix     scramble
	rng     *rand.Rand
}

// NewKeys returns the keys of one worker out of workers; round_robin and sequential keys are dealt out so that the workers
// together walk through all of them.
func NewKeys(k plan.Key, seed uint64, worker, workers int) (*Keys, error) {
	g := &Keys{
		kind:    k.Kind,
		n:       uint64(max(k.N, 0)),
		counter: uint64(worker),
		step:    uint64(max(workers, 1)),
		rng:     rand.New(rand.NewPCG(seed, 0xa0761d6478bd642f^uint64(worker))),
	}
	if k.Kind != "sequential" {
		g.n = max(g.n, 1)
	}
	switch k.Kind {
	case "", "none", "sequential", "round_robin", "uniform":
	case "zipf":
		if k.S <= 0 || math.IsNaN(k.S) {
			return nil, fmt.Errorf("gen: zipf exponent %v is not above 0", k.S)
		}
		g.zipf, g.mix = newZipf(g.n, k.S), newScramble(g.n)
	case "hot":
		g.hot = min(max(uint64(float64(g.n)*k.Hot+0.5), 1), g.n)
		g.share, g.mix = k.Share, newScramble(g.n)
	case "file":
		if len(k.Pool) == 0 {
			return nil, fmt.Errorf("gen: %q holds no keys", k.Path)
		}
		g.pool, g.n = k.Pool, uint64(len(k.Pool))
	default:
		return nil, fmt.Errorf("gen: unknown kind of key %q", k.Kind)
	}
	return g, nil
}

// MaxKeySize is the longest numbered key that Append writes, in bytes; those of a file are as long as its lines.
const MaxKeySize = 24

// Append appends the next key to dst ("key-" and a decimal number, or a line of the file) and returns it; ok is false for
// records without key.
func (g *Keys) Append(dst []byte) (key []byte, ok bool) {
	if g.kind == "" || g.kind == "none" {
		return dst, false
	}
	if g.pool != nil {
		return append(dst, g.pool[g.next()]...), true
	}
	return strconv.AppendUint(append(dst, "key-"...), g.next(), 10), true
}

// next is the number of the next key, in [0, n); sequential counts on for ever when n is 0.
func (g *Keys) next() uint64 {
	switch g.kind {
	case "sequential", "round_robin", "file":
		i := g.counter
		g.counter += g.step
		if g.n > 0 {
			i %= g.n
		}
		return i
	case "uniform":
		return g.rng.Uint64N(g.n)
	case "zipf":
		return g.mix.of(g.zipf.draw(g.rng))
	default: // hot
		if g.hot == g.n || g.rng.Float64() < g.share {
			return g.mix.of(g.rng.Uint64N(g.hot))
		}
		return g.mix.of(g.hot + g.rng.Uint64N(g.n-g.hot))
	}
}

// zipf draws ranks in [0, n) with P(rank r) proportional to (r+1)^-s, for any s > 0, in constant time and without a table:
// rejection-inversion after Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
// distributions" (1996). math/rand's Zipf needs s > 1, and YCSB's customary 0.99 is below that.
type zipf struct {
	n, s           float64
	hX1, hN, limit float64
}

func newZipf(n uint64, s float64) *zipf {
	z := &zipf{n: float64(n), s: s}
	z.hX1 = z.integral(1.5) - 1
	z.hN = z.integral(z.n + 0.5)
	z.limit = 2 - z.inverse(z.integral(2.5)-z.density(2))
	return z
}

func (z *zipf) draw(rng *rand.Rand) uint64 {
	for {
		u := z.hN + rng.Float64()*(z.hX1-z.hN)
		x := z.inverse(u)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.limit || u >= z.integral(k+0.5)-z.density(k) {
			return uint64(k) - 1
		}
	}
}

func (z *zipf) density(x float64) float64 { return math.Exp(-z.s * math.Log(x)) }

// integral is the antiderivative of density: (x^(1-s) - 1) / (1-s), or log x for s = 1, computed without cancellation.
func (z *zipf) integral(x float64) float64 {
	logX := math.Log(x)
	return expm1Over((1-z.s)*logX) * logX
}

func (z *zipf) inverse(x float64) float64 {
	t := max(x*(1-z.s), -1)
	return math.Exp(log1pOver(t) * x)
}

// log1pOver is log(1+x)/x, and its limit at 0.
func log1pOver(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Log1p(x) / x
	}
	return 1 - x*(0.5-x*(1.0/3-0.25*x))
}

// expm1Over is (e^x - 1)/x, and its limit at 0.
func expm1Over(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Expm1(x) / x
	}
	return 1 + x*0.5*(1+x/3*(1+0.25*x))
}

// scramble is a fixed permutation of [0, n), so that popular ranks are not neighbouring keys. It walks cycles of a
// permutation of the next power of two, at most a few steps on average.
type scramble struct {
	n, mask uint64
	shift   int
}

func newScramble(n uint64) scramble {
	width := max(bits.Len64(n-1), 1)
	return scramble{n: n, mask: 1<<width - 1, shift: max(width/2, 1)}
}

func (s scramble) of(x uint64) uint64 {
	for {
		// Each line is a bijection on [0, 2^width): odd multiplication, and xor with a right shift.
		x = (x*0x9e3779b97f4a7c15 + 0x5851f42d4c957f2d) & s.mask
		x ^= x >> s.shift
		x = (x * 0xd6e8feb86659fd93) & s.mask
		x ^= x >> s.shift
		if x < s.n {
			return x
		}
	}
}
