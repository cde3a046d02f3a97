// Package commit is the write-ahead log of one disk and its group commit: one contiguous write and one fdatasync make the
// batches of all partitions durable together. It knows frames, files and groups; what a batch means, which segment it also
// lies in, and when a segment is durable, it leaves to the engine, which it calls by the Target interface.
//
// It is not a queue between producers and segments (those are written from memory, when the batches are durable here) and nothing
// reads it but recovery.
//
// # Files
//
// DIR/commit/%020d.commit, numbered by sequence. A file is written with zeros once, and recycled by renaming it to a later
// sequence when a checkpoint has made it useless. The first page is the file's header:
//
//	 0  8  magic       "SBCOMMIT"
//	 8  4  version     2
//	12  4  crc         CRC-32C of bytes [16, 48), then of [0, 12)
//	16  8  sequence
//	24  8  generation  random: drawn anew whenever the file is taken into use, so that no older frame, and no bytes a client
//	                   chose, can pass for a frame of this use
//	32  8  start       LSN of byte PageSize of this file
//	40  8  size        bytes of the file
//
// Frames follow, one for each group, each beginning on a page (so no later write touches a page that holds durable bytes):
//
//	 0  4  magic       "SBFR"
//	 4  4  crc         CRC-32C of bytes [8, 48 + 48 x entries): the header and the table, not the payload
//	 8  8  generation  the file's
//	16  8  lsn         of this frame's first byte
//	24  8  durable     every frame below this LSN was flushed before this one was written
//	32  8  payload     bytes after the table
//	40  4  entries     0: this is a mark
//	44  4  turn        of a mark: 1 when the log goes on in the next file; else 0
//	48  …  the table, 48 bytes an entry:
//	           0  1  kind      1 batch, 2 drop, 3 trim
//	           1  3  zero
//	           4  4  epoch     leader epoch    ┐
//	           8  8  base      base offset     │ together with crc these pin every byte of the batch (trim: the new start):
//	          16  4  size      bytes of batch  │ the first 21 here, the rest by the batch's own CRC
//	          20  4  crc       the batch's     ┘
//	          24  8  log       log id
//	          32  8  segment   base offset of the segment it also lies in
//	          40  8  position  of its first byte there
//	 …  …  the batches, back to back
//
// A mark is a frame without entries and payload, its header and nothing else. It stands where the next frame will go, and is overwritten by
// that: it holds no place. It is written, unsynced, when there is nothing to do, and says that all frames below durable were flushed: so a
// bad last frame is not taken for a torn write. It ends the log. No crash of it matters: its 48 bytes lie in one sector, which a disk writes
// whole or not at all (disk.D2), so what stands there is what was before, the mark, or the frame that overwrote it, in part or whole; and
// nobody was promised that frame before it was flushed, with all sectors of it, over the mark.
//
// Before the first frame is written to the next file, a mark that says so (turn) is flushed in this one: so that a start misses the next
// file when it is gone. There is room for it, since no frame takes the last page.
//
// All integers are little-endian (batches keep their own order). LSN is a byte address that grows over all files for ever:
// a file of size s covers [start, start + s - PageSize).
//
// # Invariants
//
//	C1  Never two flushes in flight: when a frame is written, all below it are durable, and it says so (durable).
//	C2  So a bad frame with a good one after it, or below the durable of a later frame or mark, is corruption; a bad frame that ends
//	    the log is a torn write that nobody was promised. The two are never confused.
//	C3  An entry is reported flushed only when its frame is flushed; of an unlogged Committer, when Target.Write has written it.
//	C4  The first error is final: nothing is flushed, retried or reported flushed after it.
//	C5  A file is recycled only when a checkpoint that covers all of it is durable.
//	C6  A mark is true for ever: it is written at an LSN at which no frame of this use was written yet, when all below its durable is
//	    flushed; and LSNs only rise while a file is in use.
package commit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

// LSN is a place in the commit log of a disk.
type LSN uint64

// Frozen sizes and marks: they are on disks.
const (
	fileMagic    = "SBCOMMIT"
	fileVersion  = 2
	fileHeader   = 48
	frameMagic   = "SBFR"
	frameHeader  = 48
	entrySize    = 48
	maxEntries   = 1 << 16
	maxFramePay  = 1 << 31
	minFileBytes = 64 << 10
)

// Kind says what an entry does.
type Kind uint8

// The kinds of entries.
const (
	Append Kind = 1 // a batch was appended to a log
	Drop   Kind = 2 // a log was removed
	Trim   Kind = 3 // a log's start was moved to Offset
)

// ErrCorrupt: the commit log is damaged below what was flushed.
var ErrCorrupt = errors.New("commit log is corrupt")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Entry is one thing to make durable. The commit log borrows Batch until Target.Flushed or Target.Failed.
type Entry struct {
	Kind     Kind
	Log      uint64
	Segment  batch.Offset // base offset of the segment that the batch also lies in
	Position int64        // of the batch there
	Batch    batch.Batch  // stamped; only of an Append
	Offset   batch.Offset // only of a Trim
	Ref      any          // the caller's, not stored
	Owner    Owner        // of Batch's memory; the caller's too
}

// Owner is who lent a batch; the commit log only carries it.
type Owner interface{ Release() }

// header is a file's first page.
type header struct {
	sequence, generation uint64
	start                LSN
	size                 int64
}

func (h header) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, fileHeader)...)
	b := dst[at:]
	copy(b, fileMagic)
	binary.LittleEndian.PutUint32(b[8:], fileVersion)
	binary.LittleEndian.PutUint64(b[16:], h.sequence)
	binary.LittleEndian.PutUint64(b[24:], h.generation)
	binary.LittleEndian.PutUint64(b[32:], uint64(h.start))
	binary.LittleEndian.PutUint64(b[40:], uint64(h.size))
	binary.LittleEndian.PutUint32(b[12:], headerCRC(b))
	return dst
}

// headerCRC covers everything but itself.
func headerCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[16:fileHeader], castagnoli), castagnoli, b[:12])
}

// parseHeader decodes a file's header. Errors: ErrCorrupt; one that is not, for the whole header of another program.

func parseHeader(b []byte) (h header, err error) {
	if len(b) < fileHeader || string(b[:8]) != fileMagic {
		return h, fmt.Errorf("%w: no file header", ErrCorrupt)
	}
	v, crc := binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
	older := v == 1 && crc32.Checksum(b[16:fileHeader], castagnoli) == crc // that version's checksum left it out
	switch good := headerCRC(b) == crc; {
	case older, good && v != fileVersion:
		return h, fmt.Errorf("commit log file has version %d, this program reads %d: another one wrote it", v, fileVersion)
	case !good:
		return h, fmt.Errorf("%w: file header has a wrong checksum", ErrCorrupt)
	}
	h.sequence = binary.LittleEndian.Uint64(b[16:])
	h.generation = binary.LittleEndian.Uint64(b[24:])
	h.start = LSN(binary.LittleEndian.Uint64(b[32:]))
	h.size = int64(binary.LittleEndian.Uint64(b[40:]))
	if h.size < minFileBytes || h.size%disk.PageSize != 0 {
		return h, fmt.Errorf("%w: file header claims a size of %d", ErrCorrupt, h.size)
	}
	return h, nil
}

// end is the LSN after the file's last byte.
func (h header) end() LSN { return h.start + LSN(h.size-disk.PageSize) }

// position is where in the file an LSN lies.
func (h header) position(at LSN) int64 { return int64(at-h.start) + disk.PageSize }

// frame is a parsed frame header.
type frame struct {
	lsn, durable LSN
	payload      int64
	entries      int
	turn         bool
}

// mark says that it is one.
func (f frame) mark() bool { return f.entries == 0 }

// size is the length of the whole frame in bytes.
func (f frame) size() int64 { return frameHeader + int64(f.entries)*entrySize + f.payload }

// end is the LSN at which the next frame begins.
func (f frame) end() LSN { return pageUp(f.lsn + LSN(f.size())) }

func pageUp(at LSN) LSN { return (at + disk.PageSize - 1) &^ (disk.PageSize - 1) }

// frameSize is the length of a frame for the group, before padding.
func frameSize(group []Entry) int64 {
	f := frame{entries: len(group)}
	for i := range group {
		f.payload += int64(len(group[i].Batch))
	}
	return f.size()
}

// appendMark appends a mark for LSN lsn, where the next frame will go: everything below durable, at most lsn, is flushed. turn says that
// the next frame goes to the next file instead.
func appendMark(dst []byte, generation uint64, lsn, durable LSN, turn bool) []byte {
	at := len(dst)
	dst = appendFrame(dst, nil, generation, lsn, durable)
	if turn {
		binary.LittleEndian.PutUint32(dst[at+44:], 1)
		binary.LittleEndian.PutUint32(dst[at+4:], crc32.Checksum(dst[at+8:], castagnoli))
	}
	return dst
}

// appendFrame appends a frame's header and table; the batches follow them as they are.
func appendFrame(dst []byte, group []Entry, generation uint64, lsn, durable LSN) []byte {
	at := len(dst)
	dst = append(dst, frameMagic...)
	dst = append(dst, 0, 0, 0, 0) // crc
	dst = binary.LittleEndian.AppendUint64(dst, generation)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(lsn))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(durable))
	var payload int64
	for i := range group {
		payload += int64(len(group[i].Batch))
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(payload))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(group)))
	dst = append(dst, 0, 0, 0, 0)
	for i := range group {
		dst = group[i].append(dst)
	}
	binary.LittleEndian.PutUint32(dst[at+4:], crc32.Checksum(dst[at+8:], castagnoli))
	return dst
}

func (e *Entry) append(dst []byte) []byte {
	base := e.Offset
	var epoch batch.Epoch
	var crc uint32
	if len(e.Batch) > 0 {
		base, epoch, crc = e.Batch.BaseOffset(), e.Batch.LeaderEpoch(), e.Batch.CRC()
	}
	dst = append(dst, byte(e.Kind), 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(epoch))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(base))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(e.Batch)))
	dst = binary.LittleEndian.AppendUint32(dst, crc)
	dst = binary.LittleEndian.AppendUint64(dst, e.Log)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Segment))
	return binary.LittleEndian.AppendUint64(dst, uint64(e.Position))
}

// parseFrame reads a frame header from b, which begins where the frame should. ok is false for anything that is not a frame
// of this generation at this LSN. Of a mark every bit is checked, of a frame the rest is for parseEntries.
func parseFrame(b []byte, generation uint64, at LSN) (f frame, ok bool) {
	if len(b) < frameHeader || string(b[:4]) != frameMagic || binary.LittleEndian.Uint64(b[8:]) != generation {
		return f, false
	}
	f.lsn = LSN(binary.LittleEndian.Uint64(b[16:]))
	f.durable = LSN(binary.LittleEndian.Uint64(b[24:]))
	pay := binary.LittleEndian.Uint64(b[32:])
	n := binary.LittleEndian.Uint32(b[40:])
	if f.lsn != at || f.durable > at || pay > maxFramePay || n > maxEntries {
		return f, false
	}
	f.payload, f.entries = int64(pay), int(n)
	if f.mark() {
		turn := binary.LittleEndian.Uint32(b[44:])
		f.turn = turn == 1
		return f, pay == 0 && turn <= 1 && crc32.Checksum(b[8:frameHeader], castagnoli) == binary.LittleEndian.Uint32(b[4:])
	}
	return f, true
}

// parseEntries reads the table and payload of a whole frame, appending to dst views into b. ok is false when any byte is not what was
// written: the table by the frame's CRC, each batch by its own and by what the table pins.
func parseEntries(dst []Entry, b []byte, f frame) (entries []Entry, ok bool) {
	if int64(len(b)) < f.size() {
		return dst, false
	}
	table := frameHeader + f.entries*entrySize
	if crc32.Checksum(b[8:table], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return dst, false
	}
	rest := b[table:f.size()]
	for i := range f.entries {
		var e Entry
		if e, rest, ok = parseEntry(b[frameHeader+i*entrySize:][:entrySize], rest); !ok {
			return dst, false
		}
		dst = append(dst, e)
	}
	return dst, len(rest) == 0
}

func parseEntry(t, payload []byte) (e Entry, rest []byte, ok bool) {
	size := int64(binary.LittleEndian.Uint32(t[16:]))
	if size > int64(len(payload)) {
		return e, nil, false
	}
	e = Entry{
		Kind:     Kind(t[0]),
		Log:      binary.LittleEndian.Uint64(t[24:]),
		Segment:  batch.Offset(binary.LittleEndian.Uint64(t[32:])),
		Position: int64(binary.LittleEndian.Uint64(t[40:])),
	}
	if size == 0 && (e.Kind == Drop || e.Kind == Trim) {
		e.Offset = batch.Offset(binary.LittleEndian.Uint64(t[8:]))
		return e, payload, e.Offset >= 0
	}
	b, err := batch.First(payload[:size])
	if e.Kind != Append || err != nil || int64(len(b)) != size {
		return e, nil, false
	}
	e.Batch = b
	pinned := b.BaseOffset() == batch.Offset(binary.LittleEndian.Uint64(t[8:])) &&
		b.LeaderEpoch() == batch.Epoch(binary.LittleEndian.Uint32(t[4:])) &&
		b.CRC() == binary.LittleEndian.Uint32(t[20:])
	return e, payload[size:], pinned && b.ComputeCRC() == b.CRC() && e.Position >= 0
}
