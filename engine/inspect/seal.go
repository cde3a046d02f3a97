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
	sealVersion = 1
	sealHeader  = disk.PageSize
	blockCRC    = 4
)

// seal shows a seal, and checks it and everything that it seals and that is there.
func (r *run) seal(name string) error {
	w, err := r.open(name)
	if err != nil {
		return err
	}
	defer w.close()
	base, size, ok, err := r.sealHeader(w)
	if err != nil || !ok {
		return err
	}
	log := strings.TrimSuffix(name, sealSuffix) + logSuffix
	_, named := baseOf(name, sealSuffix)
	if r.show() && r.o.Records {
		if err := r.blocks(w, log, size); err != nil {
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
	return r.sealed(path.Dir(name), base)
}

// sealHeader shows and checks the header and the table's checksum.
func (r *run) sealHeader(w *window) (base batch.Offset, size int64, ok bool, err error) {
	if w.size < sealHeader {
		return 0, 0, false, r.damage(at(w.name, 0, w.size), "%d bytes, a seal has %d at least; %s", w.size, sealHeader, remake)
	}
	b, err := w.bytes(0, sealHeader)
	if err != nil {
		return 0, 0, false, r.unreadable(w, 0, err)
	}
	base, size = batch.Offset(le.Uint64(b[16:])), int64(le.Uint64(b[32:]))
	crc, got, blocks, tableCRC := le.Uint32(b[8:]), crcOf(b[12:]), int64(le.Uint32(b[76:])), le.Uint32(b[80:])
	fields := []Field{
		{"at", int64(0)}, {"base", int64(base)}, {"next", int64(le.Uint64(b[24:]))}, {"bytes", size}, {"batches", int64(le.Uint64(b[64:]))},
		{"newest", Millis(le.Uint64(b[40:]))}, {"newestAt", int64(le.Uint64(b[48:]))}, {"newestPosition", int64(le.Uint64(b[56:]))},
		{"blocks", blocks}, {"offsets", int64(le.Uint32(b[84:]))}, {"times", int64(le.Uint32(b[92:]))}, {"crc", hex32(crc)},
	}
	named, isNamed := baseOf(w.name, sealSuffix)
	head := at(w.name, 0, sealHeader)
	switch {
	case string(b[:8]) != sealMagic:
		return 0, 0, false, r.damage(head, "not a seal: it does not begin with %q; %s", sealMagic, remake)
	case got != crc:
		err = r.damage(head, "the checksum of the header is %s, it says %s; %s", hex32(got), hex32(crc), remake)
	case le.Uint32(b[12:]) != sealVersion || le.Uint32(b[72:]) != seal.BlockSize:
		err = r.damage(head, "version %d with blocks of %d bytes, this program reads version %d with %d: a newer one may have written it",
			le.Uint32(b[12:]), le.Uint32(b[72:]), sealVersion, seal.BlockSize)
	case isNamed && base != named:
		err = r.damage(head, "it seals segment %d, not %d: the files were mixed up; %s", base, named, remake)
	case size < 0 || size > 1<<31 || blocks != (size+seal.BlockSize-1)/seal.BlockSize || w.size != sealHeader+blockCRC*blocks:
		err = r.damage(head, "the file has %d bytes, the header says %d blocks of a .log of %d bytes; %s", w.size, blocks, size, remake)
	default:
		ok = true
	}
	if err == nil && ok {
		ok, err = r.sealTable(w, tableCRC)
	}
	if err == nil && r.show() {
		err = r.row(w.name, "seal", append(fields, Field{"state", state(ok)})...)
	}
	return base, size, ok, err
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
