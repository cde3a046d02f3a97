package gen

import (
	"encoding/binary"
	"hash/crc32"
)

// Stamp identifies a record. It stands at the head of the value, or, when the value is shorter than StampSize or not ours to
// write over (JSON, text, lines of a file), in a record header named StampHeader.
//
//	 0   4  magic "LSb1"
//	 4   4  CRC-32C of [8, 48), then the key, then the rest of the value (all of it when the stamp is in a header)
//	 8   8  run id (one per scenario of a run)
//	16   8  intended send time, nanoseconds since 1970
//	24   8  sequence, per (producer, partition), from 0
//	32   4  producer id, unique in the run
//	36   4  partition
//	40   4  key length; 0xffffffff = no key
//	44   4  value length, stamp included when it is in the value
//	48
//
// All integers are big endian. Why CRC-32C: it is in the standard library with the processor's own instruction (17 to 27
// GB/s), finds every burst of up to 32 bits, and with length and position inside the checked bytes a whole stray batch cannot
// pass for another. xxh3 would be no faster at these sizes and needs a dependency. It is computed here over the record alone,
// before the client builds its batch, so a broker that recomputes batch checksums cannot launder a change.
type Stamp struct {
	RunID      uint64
	IntendedNs int64 // nanoseconds since 1970
	Sequence   int64
	Producer   uint32
	Partition  int32
}

// StampSize is the size of an encoded stamp in bytes. Records on disk carry it: never change it without a new magic.
const StampSize = 48

// StampHeader is the name of the record header that carries the stamp that the value cannot.
const StampHeader = "loadscript"

const (
	stampMagic = 0x4c536231 // "LSb1"
	noKey      = 0xffffffff
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode stamps a record: into header (StampSize bytes), or, where that is nil, over the head of the value, which then must
// have room for it. The checksum covers key and value in both cases. Other headers are not covered.
func Encode(s Stamp, key, value, header []byte) {
	dst, rest := header, value
	if header == nil {
		dst, rest = value[:StampSize], value[StampSize:]
	}
	keyLen := uint32(len(key))
	if key == nil {
		keyLen = noKey
	}
	binary.BigEndian.PutUint32(dst[0:], stampMagic)
	binary.BigEndian.PutUint64(dst[8:], s.RunID)
	binary.BigEndian.PutUint64(dst[16:], uint64(s.IntendedNs))
	binary.BigEndian.PutUint64(dst[24:], uint64(s.Sequence))
	binary.BigEndian.PutUint32(dst[32:], s.Producer)
	binary.BigEndian.PutUint32(dst[36:], uint32(s.Partition))
	binary.BigEndian.PutUint32(dst[40:], keyLen)
	binary.BigEndian.PutUint32(dst[44:], uint32(len(value)))
	binary.BigEndian.PutUint32(dst[4:], checksum(dst, key, rest))
}

func checksum(stamp, key, rest []byte) uint32 {
	sum := crc32.Update(0, castagnoli, stamp[8:StampSize])
	sum = crc32.Update(sum, castagnoli, key)
	return crc32.Update(sum, castagnoli, rest)
}

// Condition is what Decode found.
type Condition int

// The conditions of a record read back.
const (
	Intact  Condition = iota // a stamp, and all of the record is as it was sent
	Damaged                  // a stamp, but key, value or stamp were changed
	Unknown                  // no stamp: not a record of loadscript, or its magic is gone
)

// Decode reads a record's stamp. header is the value of the header named StampHeader, nil without one. It reads nothing
// beyond the slices and keeps none of them. For Damaged the stamp is what the bytes say: it may be wrong.
func Decode(key, value, header []byte) (Stamp, Condition) {
	src, rest := header, value
	if header == nil {
		if len(value) < StampSize {
			return Stamp{}, Unknown
		}
		src, rest = value[:StampSize], value[StampSize:]
	}
	if len(src) != StampSize || binary.BigEndian.Uint32(src) != stampMagic {
		return Stamp{}, Unknown
	}
	s := Stamp{
		RunID:      binary.BigEndian.Uint64(src[8:]),
		IntendedNs: int64(binary.BigEndian.Uint64(src[16:])),
		Sequence:   int64(binary.BigEndian.Uint64(src[24:])),
		Producer:   binary.BigEndian.Uint32(src[32:]),
		Partition:  int32(binary.BigEndian.Uint32(src[36:])),
	}
	keyLen := binary.BigEndian.Uint32(src[40:])
	sameKey := keyLen == uint32(len(key)) || (keyLen == noKey && len(key) == 0)
	sameSize := binary.BigEndian.Uint32(src[44:]) == uint32(len(value))
	if !sameKey || !sameSize || binary.BigEndian.Uint32(src[4:]) != checksum(src, key, rest) {
		return s, Damaged
	}
	return s, Intact
}
