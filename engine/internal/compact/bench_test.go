package compact

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/streambus/streambus/engine/batch"
)

// benchLog makes a log of size bytes, before compression, of 16 records a batch; half of the records are replaced by later ones.
func benchLog(t testing.TB, cd batch.Codec, size, recordSize int) (log []byte, end batch.Offset) {
	r := rand.New(rand.NewPCG(7, 7))
	n := size / recordSize
	keys := r.Perm(n) // every key twice, in random order
	for i := 0; i < n; i += 16 {
		s := spec{base: end, codec: cd}
		for _, k := range keys[i:min(i+16, n)] {
			var v bytes.Buffer
			for v.Len() < recordSize-30 {
				fmt.Fprintf(&v, `{"field%d":"%x"},`, v.Len(), r.Uint32())
			}
			s.records = append(s.records, rec{ms: 1000 + int64(i), key: fmt.Appendf(nil, "user-%012d", k/2), value: v.Bytes()[:recordSize-30]})
		}
		b := pack(t, s)
		log, end = append(log, b...), b.NextOffset()
	}
	return log, end
}

// BenchmarkClean is a whole round, both passes, in memory, on one core. MB/s are of records before compression.
func BenchmarkClean(b *testing.B) {
	const size = 32 << 20
	for _, recordSize := range []int{1024, 100} {
		for _, cd := range codecs {
			b.Run(fmt.Sprintf("record=%d/codec=%d", recordSize, cd), func(b *testing.B) {
				log, end := benchLog(b, cd, size, recordSize)
				bs := split(b, log)
				c := newCleaner(b, 32<<20, 16<<20)
				out := make([]byte, 0, 2*len(log))
				b.SetBytes(size)
				for b.Loop() {
					if err := c.Begin(Round{End: end}); err != nil {
						b.Fatal(err)
					}
					out = roundOver(b, c, bs, out[:0])
				}
				b.ReportMetric(float64(len(out))/float64(len(log)), "kept/in")
			})
		}
	}
}
