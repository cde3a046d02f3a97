package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/streambus/streambus/engine/batch"
)

// BenchmarkCodec_Bomb is what a megabyte costs that holds a gigabyte, and lies about it where it can, until it is refused at 16 MiB.
func BenchmarkCodec_Bomb(b *testing.B) {
	const limit = 16 << 20
	zeros := make([]byte, 256<<20)
	lying := encode(b, batch.Gzip, zeros)
	binary.LittleEndian.PutUint32(lying[len(lying)-4:], 100)
	for _, bomb := range []struct {
		name string
		c    batch.Codec
		in   []byte
	}{
		{"gzip", batch.Gzip, encode(b, batch.Gzip, zeros)},
		{"gzip-lies", batch.Gzip, lying},
		{"snappy", batch.Snappy, encode(b, batch.Snappy, zeros[:64<<20])},
		{"lz4", batch.LZ4, encode(b, batch.LZ4, zeros)},
		{"zstd", batch.Zstd, encode(b, batch.Zstd, zeros)},
		{"zstd-lies", batch.Zstd, bytes.Repeat(encode(b, batch.Zstd, zeros[:100_000]), 1000)},
	} {
		b.Run("codec="+bomb.name, func(b *testing.B) {
			b.ReportAllocs()
			room := make([]byte, 0, limit+128<<10)
			for b.Loop() {
				if _, err := Decode(room, bomb.c, bomb.in, limit); !errors.Is(err, ErrTooLarge) {
					b.Fatal(err)
				}
			}
		})
	}
}
