package victim

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/streambus/streambus/engine/batch"
)

// Epoch is the leader epoch with which every batch is appended.
const Epoch batch.Epoch = 7

// ID names a batch. No two that are appended anywhere in one test are equal, and Make gives the same bytes for it every time.
type ID struct {
	Log    string
	Life   uint32 // of the process
	Inc    uint32 // of the log within the life: counts how often it was dropped
	Writer uint32
	Seq    uint32 // counts the batches of this writer, in this incarnation of the log, in this life
}

// keySize is the length of a record's key: hash of the log's name, life, inc, writer, seq, largest size.
const keySize = 8 + 5*4

func hashOf(log string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(log)) // never fails
	return h.Sum64()
}

// Make builds the batch of an ID: 1 to 3 records of random bytes, up to size bytes in all, each with the ID in its key.
func Make(id ID, size int) batch.Batch {
	key := make([]byte, 0, keySize)
	key = binary.BigEndian.AppendUint64(key, hashOf(id.Log))
	for _, v := range []uint32{id.Life, id.Inc, id.Writer, id.Seq, uint32(size)} {
		key = binary.BigEndian.AppendUint32(key, v)
	}
	rng := rand.New(rand.NewPCG(binary.BigEndian.Uint64(key)^uint64(id.Life)<<32^uint64(id.Inc), uint64(id.Writer)<<32|uint64(id.Seq)))
	n := 1 + rng.IntN(3)
	var b batch.Builder
	for i := range n {
		value := make([]byte, rng.IntN(size/n+1))
		for j := 0; j < len(value); j += 8 {
			var word [8]byte
			binary.LittleEndian.PutUint64(word[:], rng.Uint64())
			copy(value[j:], word[:])
		}
		b.Add(time.UnixMilli(1_700_000_000_000+int64(id.Seq)+int64(i)), key, value)
	}
	return b.Batch()
}

// Check says which ID a stored batch has, and whether it is that batch byte for byte, as appended at its offset.
func Check(log string, b batch.Batch) (id ID, err error) {
	if err := b.Check(); err != nil {
		return id, err
	}
	var key []byte
	_ = b.Each(func(r batch.Record) bool { key = r.Key; return false }) // Check has looked at the records
	if len(key) != keySize || binary.BigEndian.Uint64(key) != hashOf(log) {
		return id, fmt.Errorf("batch at offset %d was never appended to %s (key %x)", b.BaseOffset(), log, key)
	}
	field := func(i int) uint32 { return binary.BigEndian.Uint32(key[8+4*i:]) }
	id = ID{Log: log, Life: field(0), Inc: field(1), Writer: field(2), Seq: field(3)}
	size := field(4)
	if size > 1<<20 {
		return id, fmt.Errorf("batch at offset %d claims a size of %d", b.BaseOffset(), size)
	}
	want := Make(id, int(size))
	want.Stamp(b.BaseOffset(), Epoch)
	if string(want) != string(b) {
		return id, fmt.Errorf("batch %v at offset %d differs from what was appended", id, b.BaseOffset())
	}
	return id, nil
}
