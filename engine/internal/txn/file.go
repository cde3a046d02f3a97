package txn

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// The file of a sealed segment, %020d.txnindex with the segment's base offset, is its entries and nothing else: Kafka's layout, so that
// kafka-dump-log reads it. There is none where there are no entries. What it must hold is pinned by a Sum elsewhere, since an entry that is
// wrong hides records or shows them.

// Suffix ends the name of the file, after the base offset.
const Suffix = ".txnindex"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum pins the content of a file. The zero Sum is that of no entries.
type Sum struct {
	Entries uint32
	CRC     uint32 // CRC-32C of the whole file
}

// Size is the length of the file, in bytes; at 0 there is none.
func (s Sum) Size() int64 { return int64(s.Entries) * entrySize }

// Bounds are what a sealed segment says of itself; a file that does not fit them is corrupt.
type Bounds struct {
	Size int64        // bytes of the .log
	Next batch.Offset // offset after the last record
	Sum  *Sum         // what the file holds; nil: unknown, so that only its shape is checked
}

// Name is the path of the file of the segment that begins at base.
func Name(dir string, base batch.Offset) string {
	return path.Join(dir, fmt.Sprintf("%020d%s", base, Suffix))
}

// WriteFile puts the file of a segment in place, whole and synced, or sees to it that there is none when there are no entries. The name, or
// that there is none, is durable after SyncDir of the folder, which is the caller's. Errors are I/O errors.
func WriteFile(d disk.FS, dir string, base batch.Offset, entries []Aborted) (Sum, error) {
	name := Name(dir, base)
	if len(entries) == 0 {
		for _, n := range []string{name, name + disk.TmpSuffix} {
			if err := d.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return Sum{}, err
			}
		}
		return Sum{}, nil
	}
	b := appendEntries(make([]byte, 0, len(entries)*entrySize), entries)
	if err := disk.ReplaceFile(d, name, b); err != nil {
		return Sum{}, err
	}
	return sumOf(b), nil
}

func sumOf(b []byte) Sum {
	return Sum{Entries: uint32(len(b) / entrySize), CRC: crc32.Checksum(b, castagnoli)}
}

// ReadFile reads the file of the segment that begins at base into the heap, 32 bytes an entry. No file is no entries, but when b.Sum says
// that there are some. Errors: ErrCorrupt (rebuild from the batches), I/O errors.
func ReadFile(d disk.FS, dir string, base batch.Offset, b Bounds) (Index, error) {
	name := Name(dir, base)
	raw, err := disk.ReadFile(d, name, b.Size/batch.HeaderSize*entrySize) // each entry has its marker, a batch of its own, in the .log
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, disk.ErrOversized), errors.Is(err, io.ErrUnexpectedEOF):
		return Index{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case err != nil:
		return Index{}, err
	}
	if got := sumOf(raw); b.Sum != nil && got != *b.Sum {
		return Index{}, fmt.Errorf("%w: %s does not hold what the segment was sealed with: %+v, want %+v", ErrCorrupt, name, got, *b.Sum)
	}
	x, err := parseEntries(raw, base, b.Next)
	if err != nil {
		return Index{}, fmt.Errorf("%s: %w", name, err)
	}
	return x, nil
}
