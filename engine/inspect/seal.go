package inspect

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/seal"
)

// The seal: drawn in engine/internal/seal/doc.go.
const (
	sealSuffix  = ".seal"
	sealMagic   = "SBSEALED"
	sealVersion = 2
	sealHeader  = disk.PageSize
	blockCRC    = 4
	sealPin     = 4096
)

// sealHead is what other files are held against.
type sealHead struct {
	base, next, end batch.Offset
	size            int64
	log             uint64
	first, last     uint32 // pins
	prefixes        uint32
	aborted         int64 // entries of the .txnindex
	abortedCRC      uint32
}

// seal shows a seal, and checks it and everything that it seals and that is there.
func (r *run) seal(name string) error {
	w, err := r.open(name)
	if err != nil {
		return err
	}
	defer w.close()
	h, ok, err := r.sealHeader(w)
	if err != nil || !ok {
		return err
	}
	log := strings.TrimSuffix(name, sealSuffix) + logSuffix
	_, named := baseOf(name, sealSuffix)
	if r.show() && r.o.Records {
		if err := r.blocks(w, log, h.size); err != nil {
			return err
		}
	}
	if f, err := r.d.Open(log); isMissing(err) || !named {
		return r.note(at(name, 0, w.size), "its .log is not beside it: only the seal itself was checked")
	} else if err != nil {
		return err
	} else {
		_ = f.Close() // only read
	}
	if err := r.pins(log, h); err != nil && !isMissing(err) {
		return err
	}
	return r.sealed(path.Dir(name), h.base)
}

// pins checks the first and last bytes of the .log, by which an opening engine knows it.
func (r *run) pins(log string, h sealHead) error {
	w, err := r.open(log)
	if err != nil {
		return err
	}
	defer w.close()
	n := min(sealPin, h.size)
	if w.size != h.size { // told with the blocks
		return nil
	}
	first, err := w.crc(0, n)
	if err != nil {
		return r.unreadable(w, 0, err)
	}
	last, err := w.crc(h.size-n, h.size)
	switch {
	case err != nil:
		return r.unreadable(w, h.size-n, err)
	case first != h.first && last != h.last:
		return r.damage(at(log, 0, h.size).offsets(h.base, h.next), "neither its first nor its last %d bytes are those that were sealed: it is another file, or damaged; restore it from a copy", n)
	}
	return nil // a single one is told with its block
}

// sealHeader shows and checks the header and the table's checksum.
func (r *run) sealHeader(w *window) (h sealHead, ok bool, err error) {
	if w.size < sealHeader {
		return h, false, r.damage(at(w.name, 0, w.size), "%d bytes, a seal has %d at least; %s", w.size, sealHeader, remake)
	}
	b, err := w.bytes(0, sealHeader)
	if err != nil {
		return h, false, r.unreadable(w, 0, err)
	}
	h = sealHead{
		base: batch.Offset(le.Uint64(b[16:])), next: batch.Offset(le.Uint64(b[24:])), end: batch.Offset(le.Uint64(b[104:])), size: int64(le.Uint64(b[32:])),
		log: le.Uint64(b[112:]), first: le.Uint32(b[120:]), last: le.Uint32(b[124:]), prefixes: le.Uint32(b[100:]),
		aborted: int64(le.Uint32(b[128:])), abortedCRC: le.Uint32(b[132:]),
	}
	crc, got, blocks, tableCRC := le.Uint32(b[8:]), crcOf(b[12:]), int64(le.Uint32(b[76:])), le.Uint32(b[80:])
	fields := []Field{
		{"at", int64(0)}, {"log", h.log}, {"base", int64(h.base)}, {"next", int64(h.next)}, {"end", int64(h.end)}, {"bytes", h.size}, {"batches", int64(le.Uint64(b[64:]))},
		{"newest", Millis(le.Uint64(b[40:]))}, {"newestAt", int64(le.Uint64(b[48:]))}, {"newestPosition", int64(le.Uint64(b[56:]))},
		{"blocks", blocks}, {"offsets", int64(le.Uint32(b[84:]))}, {"times", int64(le.Uint32(b[92:]))},
		{"prefixes", hex32(h.prefixes)}, {"aborted", h.aborted}, {"crc", hex32(crc)},
	}
	named, isNamed := baseOf(w.name, sealSuffix)
	head := at(w.name, 0, sealHeader)
	switch {
	case string(b[:8]) != sealMagic:
		return h, false, r.damage(head, "not a seal: it does not begin with %q; %s", sealMagic, remake)
	case got != crc:
		err = r.damage(head, "the checksum of the header is %s, it says %s; %s", hex32(got), hex32(crc), remake)
	case le.Uint32(b[12:]) != sealVersion || le.Uint32(b[72:]) != seal.BlockSize:
		err = r.damage(head, "version %d with blocks of %d bytes, this program reads version %d with %d: another one may have written it",
			le.Uint32(b[12:]), le.Uint32(b[72:]), sealVersion, seal.BlockSize)
	case isNamed && h.base != named:
		err = r.damage(head, "it seals segment %d, not %d: the files were mixed up; %s", h.base, named, remake)
	case h.next < h.base || h.end < h.next:
		err = r.damage(head, "impossible values: records of [%d, %d), and the next segment begins at %d; %s", h.base, h.next, h.end, remake)
	case h.size < 0 || h.size > 1<<31 || blocks != (h.size+seal.BlockSize-1)/seal.BlockSize || w.size != sealHeader+blockCRC*blocks:
		err = r.damage(head, "the file has %d bytes, the header says %d blocks of a .log of %d bytes; %s", w.size, blocks, h.size, remake)
	default:
		ok = true
	}
	if err == nil && ok {
		ok, err = r.sealTable(w, tableCRC)
	}
	if err == nil && r.show() {
		err = r.row(w.name, "seal", append(fields, Field{"state", state(ok)})...)
	}
	return h, ok, err
}

func (r *run) sealTable(w *window, want uint32) (ok bool, err error) {
	got, err := w.crc(sealHeader, w.size)
	if err != nil {
		return false, r.unreadable(w, sealHeader, err)
	}
	if got != want {
		return false, r.damage(at(w.name, sealHeader, w.size), "the checksum of the table is %s, the header says %s; %s", hex32(got), hex32(want), remake)
	}
	return true, nil
}

// blocks shows the checksum of each block, and whether the .log has it.
func (r *run) blocks(w *window, log string, size int64) error {
	l, err := r.open(log)
	if err != nil && !isMissing(err) {
		return err
	}
	if l != nil {
		defer l.close()
	}
	for lo := int64(0); lo < size; lo += seal.BlockSize {
		hi := min(lo+seal.BlockSize, size)
		b, err := w.bytes(sealHeader+lo/seal.BlockSize*blockCRC, blockCRC)
		if err != nil {
			return r.unreadable(w, sealHeader, err)
		}
		want, is := le.Uint32(b), "unknown"
		if l != nil {
			got, err := l.crc(lo, hi)
			is = state(err == nil && got == want)
		}
		if err := r.row(w.name, "block", Field{"at", lo}, Field{"size", hi - lo}, Field{"crc", hex32(want)}, Field{"state", is}); err != nil {
			return err
		}
	}
	return nil
}

// sealed checks the .log and the indexes against the seal, block by block.
func (r *run) sealed(dir string, base batch.Offset) error {
	var stop error
	err := seal.Verify(r.d, dir, base, nil, func(d seal.Damage) {
		if stop == nil {
			p := at(d.Path, d.Lo, d.Hi).offsets(d.First, d.Next)
			if d.First == batch.NoOffset {
				stop = r.damage(p, "%v; %s", d.Err, remake)
			} else {
				stop = r.damage(p, "%v; restore the file from a copy, or delete the records", d.Err)
			}
		}
	})
	if stop != nil {
		return stop
	}
	if errors.Is(err, fs.ErrNotExist) { // gone meanwhile
		return nil
	}
	return err
}
