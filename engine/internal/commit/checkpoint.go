package commit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

var errUnexpectedEOF = io.ErrUnexpectedEOF

// Checkpoint says from where the commit log must be replayed, and how far each log is durable in its segments without it.
//
// The file DIR/checkpoint, little-endian, replaced as a whole (written beside, synced, renamed, folder synced):
//
//	 0  8  magic    "SBCHKPT3"
//	 8  4  crc      CRC-32C of bytes [12, end), then of [0, 8)
//	12  4  logs     how many follow
//	16  8  lsn      replay begins here
//	24  8  nextLog  log ids from here on are unused
//	32  4  flags    bit 0: the engine was closed, nothing follows lsn
//	36  4  file     sequence of the newest commit-log file in use, plus 1; 0: none yet
//	40  …  a log, 72 bytes, its name, and its rolled segments:
//	           0  8  id
//	           8  8  start     first offset kept
//	          16  8  end       offset after the last durable record
//	          24  8  segment   base offset of the segment that end lies in
//	          32  4  position  bytes of that segment below end
//	          36  4  name      length of the name that follows
//	          40  8  lsn       frames below it are in what stands here; later ones may be
//	          48  4  cuts      how often the log's end was cut back
//	          52  4  flags     bit 0: unlogged, so whole batches may lie beyond end that the commit log does not know
//	                           bit 2: compacted, so offsets may be missing between segments
//	                           bit 1: cutting, so what lies beyond end was cut off and is to go
//	          56  8  cleaned   where the last compaction ended
//	          64  4  prefixes  batch.PrefixSum over the batches of that segment below position
//	          68  4  rolled    how many segments below that one have no seal yet
//	          72  …  name
//	           …  …  rolled segments, 12 bytes each:  0 8 base offset · 8 4 batch.PrefixSum over all of its batches
type Checkpoint struct {
	LSN     LSN
	NextLog uint64
	Clean   bool
	File    uint32 // sequence of the newest commit-log file in use, plus 1 (wrapping); 0: none yet
	Logs    []LogState
}

// LogState is one log as of a checkpoint.
type LogState struct {
	ID         uint64
	Name       string
	Start, End batch.Offset
	Segment    batch.Offset
	Position   int64  // < 2^31
	Prefix     uint32 // batch.PrefixSum over the batches of Segment below Position
	Rolled     []Chain
	LSN        LSN
	Cuts       uint32
	Unlogged   bool
	Cutting    bool
	Compacted  bool
	Cleaned    batch.Offset
}

// Chain is what the headers of all batches of a segment add up to, which nothing else says until it is sealed.
type Chain struct {
	Base   batch.Offset // of the segment
	Prefix uint32       // batch.PrefixSum
}

const (
	checkpointMagic  = "SBCHKPT3"
	olderCheckpoint  = "SBCHKPT2"
	checkpointHeader = 40
	logStateSize     = 72
	chainSize        = 12
	maxName          = 255
	maxCheckpoint    = 1 << 30
)

// Append encodes the checkpoint.
func (c *Checkpoint) Append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, checkpointMagic...)
	dst = append(dst, 0, 0, 0, 0) // crc
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(c.Logs)))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.LSN))
	dst = binary.LittleEndian.AppendUint64(dst, c.NextLog)
	dst = binary.LittleEndian.AppendUint32(dst, asBit(c.Clean))
	dst = binary.LittleEndian.AppendUint32(dst, c.File)
	for _, l := range c.Logs {
		dst = binary.LittleEndian.AppendUint64(dst, l.ID)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(l.Start))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(l.End))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(l.Segment))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(l.Position))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(l.Name)))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(l.LSN))
		dst = binary.LittleEndian.AppendUint32(dst, l.Cuts)
		dst = binary.LittleEndian.AppendUint32(dst, asBit(l.Unlogged)|asBit(l.Cutting)<<1|asBit(l.Compacted)<<2)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(l.Cleaned))
		dst = binary.LittleEndian.AppendUint32(dst, l.Prefix)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(l.Rolled)))
		dst = append(dst, l.Name...)
		for _, r := range l.Rolled {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Base))
			dst = binary.LittleEndian.AppendUint32(dst, r.Prefix)
		}
	}
	binary.LittleEndian.PutUint32(dst[at+8:], checkpointCRC(dst[at:]))
	return dst
}

// checkpointCRC covers everything but itself.
func checkpointCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[12:], castagnoli), castagnoli, b[:8])
}

func asBit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// ParseCheckpoint decodes what Append wrote. Errors: ErrCorrupt; one that is not, for the whole checkpoint of an older program.
func ParseCheckpoint(b []byte) (*Checkpoint, error) {
	if len(b) < checkpointHeader {
		return nil, fmt.Errorf("%w: not a checkpoint", ErrCorrupt)
	}
	crc := binary.LittleEndian.Uint32(b[8:])
	switch magic := string(b[:8]); {
	case magic == olderCheckpoint && crc32.Checksum(b[12:], castagnoli) == crc: // its checksum left the magic out, so this is no flip
		return nil, fmt.Errorf("checkpoint has format %s, this program reads %s: an older one wrote it", olderCheckpoint, checkpointMagic)
	case magic != checkpointMagic:
		return nil, fmt.Errorf("%w: not a checkpoint", ErrCorrupt)
	case checkpointCRC(b) != crc:
		return nil, fmt.Errorf("%w: checkpoint has a wrong checksum", ErrCorrupt)
	}
	n := int(binary.LittleEndian.Uint32(b[12:]))
	c := &Checkpoint{
		LSN:     LSN(binary.LittleEndian.Uint64(b[16:])),
		NextLog: binary.LittleEndian.Uint64(b[24:]),
		Clean:   binary.LittleEndian.Uint32(b[32:])&1 != 0,
		File:    binary.LittleEndian.Uint32(b[36:]),
	}
	b = b[checkpointHeader:]
	if n > len(b)/logStateSize {
		return nil, fmt.Errorf("%w: checkpoint claims %d logs in %d bytes", ErrCorrupt, n, len(b))
	}
	c.Logs = make([]LogState, 0, n)
	for range n {
		l, rest, ok := parseLogState(b)
		if !ok {
			return nil, fmt.Errorf("%w: checkpoint ends in the middle of a log", ErrCorrupt)
		}
		c.Logs, b = append(c.Logs, l), rest
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the checkpoint's last log", ErrCorrupt, len(b))
	}
	return c, nil
}

func parseLogState(b []byte) (l LogState, rest []byte, ok bool) {
	if len(b) < logStateSize {
		return l, nil, false
	}
	l = LogState{
		ID:        binary.LittleEndian.Uint64(b),
		Start:     batch.Offset(binary.LittleEndian.Uint64(b[8:])),
		End:       batch.Offset(binary.LittleEndian.Uint64(b[16:])),
		Segment:   batch.Offset(binary.LittleEndian.Uint64(b[24:])),
		Position:  int64(binary.LittleEndian.Uint32(b[32:])),
		LSN:       LSN(binary.LittleEndian.Uint64(b[40:])),
		Cuts:      binary.LittleEndian.Uint32(b[48:]),
		Unlogged:  binary.LittleEndian.Uint32(b[52:])&1 != 0,
		Cutting:   binary.LittleEndian.Uint32(b[52:])&2 != 0,
		Compacted: binary.LittleEndian.Uint32(b[52:])&4 != 0,
		Cleaned:   batch.Offset(binary.LittleEndian.Uint64(b[56:])),
		Prefix:    binary.LittleEndian.Uint32(b[64:]),
	}
	n, rolled := int64(binary.LittleEndian.Uint32(b[36:])), int64(binary.LittleEndian.Uint32(b[68:]))
	if b = b[logStateSize:]; n > maxName || n+rolled*chainSize > int64(len(b)) {
		return l, nil, false
	}
	l.Name = string(b[:n])
	b = b[n:]
	for range rolled {
		l.Rolled = append(l.Rolled, Chain{batch.Offset(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint32(b[8:])})
		b = b[chainSize:]
	}
	return l, b, true
}

// ReadCheckpoint loads the file; fs.ErrNotExist when there is none. Errors: ErrCorrupt, I/O errors.
func ReadCheckpoint(d disk.FS, name string) (*Checkpoint, error) {
	b, err := disk.ReadFile(d, name, maxCheckpoint)
	if errors.Is(err, disk.ErrOversized) {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	} else if err != nil {
		return nil, err
	}
	c, err := ParseCheckpoint(b)
	if err != nil {
		if errors.Is(err, ErrCorrupt) {
			err = fmt.Errorf("%w; restore it or the data directory from a copy", err)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// WriteCheckpoint replaces the file durably.
func WriteCheckpoint(d disk.FS, name string, c *Checkpoint) error {
	return ReplaceFile(d, name, c.Append(nil))
}

// ReplaceFile replaces a small file durably: after it returns, and after a crash at any moment, the file is the old or the
// new one, whole.
func ReplaceFile(d disk.FS, name string, content []byte) error {
	if err := disk.ReplaceFile(d, name, content); err != nil {
		return err
	}
	return d.SyncDir(path.Dir(name))
}
