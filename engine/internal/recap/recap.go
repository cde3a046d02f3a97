// Package recap is what a log keeps in memory, written down now and then, so that opening it reads only the batch headers that
// came since: the index and the prefix sums of the segment that is appended to, the producers, the transactions, the leader epochs.
//
// It is a shortcut and never the truth: a recap that is missing, damaged, or not of this log as it is now, is ignored and
// everything is read. So it is written without a sync.
//
// The file LOG/recap, little-endian, replaced as a whole:
//
//	 0  8  magic     "SBRECAP3"
//	 8  4  crc       CRC-32C of bytes [12, end)
//	12  4  cuts      how often the log's end had been cut back
//	16  8  log       id
//	24  8  segment   base offset of the segment that was appended to
//	32  8  position  bytes of it that are taken into account
//	40  8  next      offset after the last record in them
//	48  8  lastPos   where their last batch begins, -1: there is none
//	56  4  lastCRC   the CRC that stands in that batch: it must stand there still
//	60  4  epochs    how many follow
//	64  …  an epoch, 12 bytes:  0 4 epoch · 4 8 first offset
//	 …  …  the index (internal/index, Heap) and the prefix sums (internal/segment, prefixes)
//	 …  …  the producers (internal/producer)
//	 …  …  the transactions (engine/transactions.go)
package recap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/epochs"
)

// ErrCorrupt: the bytes are no recap.
var ErrCorrupt = errors.New("bad recap")

const (
	magic     = "SBRECAP3"
	header    = 64
	epochSize = 12
	maxBytes  = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Recap is what a log was when it was written down.
type Recap struct {
	Log      uint64
	Cuts     uint32
	Segment  batch.Offset
	Position int64
	Next     batch.Offset
	LastPos  int64
	LastCRC  uint32
	Epochs   []epochs.Entry
	Rest     []byte // the index, the prefix sums, the producers and the transactions, encoded
}

// Append encodes a recap all but for Rest, which the caller appends before it calls Seal.
func (r *Recap) Append(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, r.Cuts)
	dst = binary.LittleEndian.AppendUint64(dst, r.Log)
	for _, v := range []int64{int64(r.Segment), r.Position, int64(r.Next), r.LastPos} {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
	}
	dst = binary.LittleEndian.AppendUint32(dst, r.LastCRC)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(r.Epochs)))
	for _, e := range r.Epochs {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(e.Epoch))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Start))
	}
	return dst
}

// Seal writes the CRC into a whole recap.
func Seal(b []byte) { binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli)) }

// Parse decodes a recap; Rest is a view of b. Error: ErrCorrupt.
func Parse(b []byte) (*Recap, error) {
	if len(b) < header || string(b[:8]) != magic || crc32.Checksum(b[12:], castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return nil, fmt.Errorf("%w: no header, or a wrong checksum, in %d bytes", ErrCorrupt, len(b))
	}
	r := &Recap{
		Cuts: binary.LittleEndian.Uint32(b[12:]), Log: binary.LittleEndian.Uint64(b[16:]),
		Segment: batch.Offset(binary.LittleEndian.Uint64(b[24:])), Position: int64(binary.LittleEndian.Uint64(b[32:])),
		Next: batch.Offset(binary.LittleEndian.Uint64(b[40:])), LastPos: int64(binary.LittleEndian.Uint64(b[48:])),
		LastCRC: binary.LittleEndian.Uint32(b[56:]),
	}
	n := int(binary.LittleEndian.Uint32(b[60:]))
	b = b[header:]
	if n > len(b)/epochSize || r.Position < 0 || r.LastPos < -1 || r.LastPos >= max(r.Position, 1) {
		return nil, fmt.Errorf("%w: %d epochs in %d bytes, position %d, last batch at %d", ErrCorrupt, n, len(b), r.Position, r.LastPos)
	}
	for range n {
		r.Epochs = append(r.Epochs, epochs.Entry{Epoch: batch.Epoch(binary.LittleEndian.Uint32(b)), Start: batch.Offset(binary.LittleEndian.Uint64(b[4:]))})
		b = b[epochSize:]
	}
	r.Rest = b
	return r, nil
}

// Read loads the file of that name. Errors: ErrCorrupt, fs.ErrNotExist, I/O errors.
func Read(d disk.FS, name string) (*Recap, error) {
	b, err := disk.ReadFile(d, name, maxBytes)
	if errors.Is(err, disk.ErrOversized) {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	} else if err != nil {
		return nil, err
	}
	r, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// Write replaces the file, unsynced: after a crash it may be old, new, or nothing that Parse takes.
func Write(d disk.FS, name string, b []byte) error {
	tmp := name + ".tmp"
	if err := d.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.Create(tmp)
	if err != nil {
		return err
	}
	err = f.WriteVec([][]byte{b}, 0)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, d.Remove(tmp))
	}
	return d.Rename(tmp, name)
}
