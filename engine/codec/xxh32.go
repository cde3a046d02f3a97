package codec

import (
	"encoding/binary"
	"math/bits"
)

// The primes of XXH32 (xxhash_spec.md 0.1.1), the checksum of LZ4 frames.
const (
	prime1 uint32 = 2654435761
	prime2 uint32 = 2246822519
	prime3 uint32 = 3266489917
	prime4 uint32 = 668265263
	prime5 uint32 = 374761393
)

// xxh32 is XXH32 with seed 0.
func xxh32(p []byte) uint32 {
	n := uint32(len(p))
	h := prime5
	if len(p) >= 16 {
		h, p = xxhStripes(p)
	}
	h += n
	for ; len(p) >= 4; p = p[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(p)*prime3, 17) * prime4
	}
	for _, c := range p {
		h = bits.RotateLeft32(h+uint32(c)*prime5, 11) * prime1
	}
	h = (h ^ h>>15) * prime2
	h = (h ^ h>>13) * prime3
	return h ^ h>>16
}

// xxhStripes takes all whole stripes of 16 bytes off p.
func xxhStripes(p []byte) (uint32, []byte) {
	var seed uint32 // 0; a variable, so that the sums below may wrap
	a, b, c, d := seed+prime1+prime2, seed+prime2, seed, seed-prime1
	for ; len(p) >= 16; p = p[16:] {
		a = bits.RotateLeft32(a+binary.LittleEndian.Uint32(p)*prime2, 13) * prime1
		b = bits.RotateLeft32(b+binary.LittleEndian.Uint32(p[4:])*prime2, 13) * prime1
		c = bits.RotateLeft32(c+binary.LittleEndian.Uint32(p[8:])*prime2, 13) * prime1
		d = bits.RotateLeft32(d+binary.LittleEndian.Uint32(p[12:])*prime2, 13) * prime1
	}
	return bits.RotateLeft32(a, 1) + bits.RotateLeft32(b, 7) + bits.RotateLeft32(c, 12) + bits.RotateLeft32(d, 18), p
}
