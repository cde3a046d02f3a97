package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"path"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/index"
	"github.com/streambus/streambus/engine/internal/txn"
)

// Suffix ends the name of the file, after the base offset.
const Suffix = ".seal"

// BlockSize is how many bytes of the .log one checksum covers. Frozen: it is in every file.
const BlockSize = 64 << 10

const (
	magic      = "SBSEALED"
	version    = 2
	headerSize = disk.PageSize
	headerUsed = 136
	pinSize    = 4096
	blockCRC   = 4
)

// ErrCorrupt: a .seal, or the .log to be sealed, does not hold what it should.
var ErrCorrupt = errors.New("seal or segment is corrupt")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is what a seal says of its segment.
type Header struct {
	Base, Next batch.Offset // the segment holds records of [Base, Next)
	Size       int64        // bytes of the .log
	Newest     index.Stamp
	Batches    int64
	Index      index.Sums
	Prefix     uint32       // batch.PrefixSum over all batches
	End        batch.Offset // first offset of the segment that followed
	Log        uint64       // id of the log
	Aborted    txn.Sum      // of the .txnindex; zero: there is none

	tableCRC          uint32
	firstCRC, lastCRC uint32 // pins
}

// blocks is how many checksums the table has.
func (h *Header) blocks() int64 { return (h.Size + BlockSize - 1) / BlockSize }

// Name is the path of the seal of the segment that begins at base.
func Name(dir string, base batch.Offset) string { return file(dir, base, Suffix) }

func file(dir string, base batch.Offset, suffix string) string {
	return path.Join(dir, fmt.Sprintf("%020d%s", base, suffix))
}

// append encodes the header's page.
func (h *Header) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, headerSize)...)
	b, le := dst[at:], binary.LittleEndian
	copy(b, magic)
	le.PutUint32(b[12:], version)
	le.PutUint64(b[16:], uint64(h.Base))
	le.PutUint64(b[24:], uint64(h.Next))
	le.PutUint64(b[32:], uint64(h.Size))
	le.PutUint64(b[40:], uint64(h.Newest.Time))
	le.PutUint64(b[48:], uint64(h.Newest.Base))
	le.PutUint64(b[56:], uint64(h.Newest.Pos))
	le.PutUint64(b[64:], uint64(h.Batches))
	le.PutUint32(b[72:], BlockSize)
	le.PutUint32(b[76:], uint32(h.blocks()))
	le.PutUint32(b[80:], h.tableCRC)
	le.PutUint32(b[84:], h.Index.Offsets)
	le.PutUint32(b[88:], h.Index.OffsetsCRC)
	le.PutUint32(b[92:], h.Index.Times)
	le.PutUint32(b[96:], h.Index.TimesCRC)
	le.PutUint32(b[100:], h.Prefix)
	le.PutUint64(b[104:], uint64(h.End))
	le.PutUint64(b[112:], h.Log)
	le.PutUint32(b[120:], h.firstCRC)
	le.PutUint32(b[124:], h.lastCRC)
	le.PutUint32(b[128:], h.Aborted.Entries)
	le.PutUint32(b[132:], h.Aborted.CRC)
	le.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	return dst
}

// parse decodes the page of the segment that begins at base. Error: ErrCorrupt.
func parse(b []byte, base batch.Offset) (Header, error) {
	le := binary.LittleEndian
	if len(b) != headerSize || string(b[:8]) != magic {
		return Header{}, fmt.Errorf("%w: not a seal", ErrCorrupt)
	}
	if got, want := crc32.Checksum(b[12:], castagnoli), le.Uint32(b[8:]); got != want {
		return Header{}, fmt.Errorf("%w: the CRC of the header is %08x, it says %08x", ErrCorrupt, got, want)
	}
	if v, size := le.Uint32(b[12:]), le.Uint32(b[72:]); v != version || size != BlockSize {
		return Header{}, fmt.Errorf("%w: version %d with blocks of %d bytes, this program knows version %d with %d; another one may have written it",
			ErrCorrupt, v, size, version, BlockSize)
	}
	h := Header{
		Base: batch.Offset(le.Uint64(b[16:])), Next: batch.Offset(le.Uint64(b[24:])), Size: int64(le.Uint64(b[32:])),
		Newest:   index.Stamp{Time: int64(le.Uint64(b[40:])), Base: batch.Offset(le.Uint64(b[48:])), Pos: int64(le.Uint64(b[56:]))},
		Batches:  int64(le.Uint64(b[64:])),
		Prefix:   le.Uint32(b[100:]),
		End:      batch.Offset(le.Uint64(b[104:])),
		Log:      le.Uint64(b[112:]),
		tableCRC: le.Uint32(b[80:]), firstCRC: le.Uint32(b[120:]), lastCRC: le.Uint32(b[124:]),
		Index:   index.Sums{Offsets: le.Uint32(b[84:]), OffsetsCRC: le.Uint32(b[88:]), Times: le.Uint32(b[92:]), TimesCRC: le.Uint32(b[96:])},
		Aborted: txn.Sum{Entries: le.Uint32(b[128:]), CRC: le.Uint32(b[132:])},
	}
	switch {
	case h.Base != base:
		return Header{}, fmt.Errorf("%w: it seals segment %d, not %d", ErrCorrupt, h.Base, base)
	case h.Size < 0 || h.Size > math.MaxInt32 || h.Next < h.Base || h.Next-h.Base > math.MaxInt32+1 || h.End < h.Next || int64(le.Uint32(b[76:])) != h.blocks(),
		h.Batches < 0 || h.Batches > h.Size/batch.HeaderSize, int64(h.Aborted.Entries) > h.Batches, h.Aborted.Entries == 0 && h.Aborted.CRC != 0, h.Newest.Pos < 0 || h.Newest.Pos > h.Size:
		return Header{}, fmt.Errorf("%w: impossible values %+v", ErrCorrupt, h)
	}
	return h, nil
}

// Read reads the header of a seal, and nothing else of it. Errors: fs.ErrNotExist, ErrCorrupt, I/O errors, all naming the file.
func Read(d disk.FS, dir string, base batch.Offset) (Header, error) {
	f, h, err := open(d, Name(dir, base), base)
	if err != nil {
		return h, err
	}
	return h, f.Close()
}

func open(d disk.FS, name string, base batch.Offset) (f disk.File, h Header, err error) {
	if f, err = d.Open(name); err != nil {
		return nil, h, err
	}
	size, err := f.Size()
	page := make([]byte, headerSize)
	if err == nil {
		err = readFull(f, page, 0)
	}
	if err == nil {
		h, err = parse(page, base)
	}
	if want := headerSize + blockCRC*h.blocks(); err == nil && size != want {
		err = fmt.Errorf("%w: %d bytes, want %d", ErrCorrupt, size, want)
	}
	if err != nil {
		_ = f.Close() // only read
		return nil, Header{}, fmt.Errorf("%s: %w", name, err)
	}
	return f, h, nil
}

// readFull is disk.ReadFull, with a file that is too short being a corrupt one.
func readFull(f disk.File, p []byte, off int64) error {
	err := disk.ReadFull(f, p, off)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends before byte %d", ErrCorrupt, off+int64(len(p)))
	}
	return err
}

// CheckPins says whether the .log begins and ends as it did when it was sealed. It reads 8 KiB of it. Errors: ErrCorrupt, I/O errors.
func (h *Header) CheckPins(log io.ReaderAt) error {
	b := make([]byte, min(pinSize, h.Size))
	for _, pin := range []struct {
		at   int64
		want uint32
	}{{0, h.firstCRC}, {h.Size - int64(len(b)), h.lastCRC}} {
		if n, err := log.ReadAt(b, pin.at); n < len(b) {
			if err == nil || errors.Is(err, io.EOF) {
				return fmt.Errorf("%w: it ends at byte %d, not %d", ErrCorrupt, pin.at+int64(n), h.Size)
			}
			return err
		}
		if got := crc32.Checksum(b, castagnoli); got != pin.want {
			return fmt.Errorf("%w: the CRC of bytes [%d, %d) is %08x, it was sealed with %08x", ErrCorrupt, pin.at, pin.at+int64(len(b)), got, pin.want)
		}
		if h.Size <= pinSize {
			break // both pins are the whole of it
		}
	}
	return nil
}

// Table is the checksums of a .log's blocks as the .seal holds them, 4 bytes each.
type Table []byte

// ReadTable reads the table of a segment whose header was read before: it must stand in the file still. Errors: as Read.
func ReadTable(d disk.FS, dir string, h Header) (Table, error) {
	name := Name(dir, h.Base)
	f, now, err := open(d, name, h.Base)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	if now != h {
		return nil, fmt.Errorf("%s: %w: it was replaced by that of another .log", name, ErrCorrupt)
	}
	t, err := readTable(f, h)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// Sum is the checksum of the i-th block.
func (t Table) Sum(i int64) uint32 { return binary.LittleEndian.Uint32(t[i*blockCRC:]) }

// Holds says whether b is the i-th block as it was sealed.
func (t Table) Holds(i int64, b []byte) bool { return crc32.Checksum(b, castagnoli) == t.Sum(i) }

// readTable reads and checks the checksums of the blocks.
func readTable(f disk.File, h Header) (Table, error) {
	table := make(Table, blockCRC*h.blocks()) // at most 128 KiB: Size is below 2^31
	if err := readFull(f, table, headerSize); err != nil {
		return nil, err
	}
	if got := crc32.Checksum(table, castagnoli); got != h.tableCRC {
		return nil, fmt.Errorf("%w: the CRC of the table is %08x, the header says %08x", ErrCorrupt, got, h.tableCRC)
	}
	return table, nil
}
