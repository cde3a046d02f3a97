package seal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
	"syscall"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/index"
	"github.com/streambus/streambus/engine/internal/txn"
)

// Damage is one range of one file that does not hold what was sealed, or cannot be read.
type Damage struct {
	Path   string
	Lo, Hi int64 // bytes [Lo, Hi); of a .log whole blocks
	// First and Next: only records of [First, Next) lie in batches that the range touches. Wider than need be, by an index interval at
	// most, where the headers that would tell are damaged too. Both NoOffset when the file is not the .log: no record is harmed.
	First, Next batch.Offset
	Err         error // why: ErrCorrupt or the read error, wrapped
}

// Verify reads a sealed segment's files against its seal, in steps of 1 MiB, and reports every damaged range, in order for each file.
// It changes nothing and believes no byte that a checksum does not cover. If the seal itself is damaged, that is all it reports: Build
// checks the .log by its batches and makes a new one. Bytes are asked of the Limiter before they are read.
//
// Errors: fs.ErrNotExist when there is no seal, the Limiter's, and I/O errors but EIO, which is damage.
func Verify(d disk.FS, dir string, base batch.Offset, limit Limiter, report func(Damage)) error {
	v := verifier{d: d, dir: dir, base: base, limit: limit, report: report}
	f, h, err := open(d, Name(dir, base), base)
	if err == nil {
		v.h = h
		v.table, err = readTable(f, h)
		_ = f.Close() // only read
	}
	if err != nil {
		return v.file(Name(dir, base), 0, err)
	}
	whole, err := v.indexes()
	if err != nil {
		return err
	}
	return v.log(whole)
}

type verifier struct {
	d      disk.FS
	dir    string
	base   batch.Offset
	limit  Limiter
	report func(Damage)
	h      Header
	table  Table
	bad    []error // of each block; nil: good
}

// damaged says whether an error is damage, and not a reason to stop.
func damaged(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, index.ErrCorrupt) || errors.Is(err, syscall.EIO)
}

// file reports a whole file other than the .log, or returns an error that is not damage.
func (v *verifier) file(name string, size int64, err error) error {
	if !damaged(err) {
		return err
	}
	v.report(Damage{Path: name, Lo: 0, Hi: size, First: batch.NoOffset, Next: batch.NoOffset, Err: err})
	return nil
}

// indexes checks the index files; whole says that those by which batches are found are good.
func (v *verifier) indexes() (whole bool, err error) {
	whole = true
	for _, x := range []struct {
		suffix string
		size   int64
		want   uint32
	}{
		{txn.Suffix, v.h.Aborted.Size(), v.h.Aborted.CRC},
		{index.OffsetSuffix, 8 * int64(v.h.Index.Offsets), v.h.Index.OffsetsCRC},
		{index.TimeSuffix, 12 * int64(v.h.Index.Times), v.h.Index.TimesCRC},
	} {
		if x.suffix == txn.Suffix && x.size == 0 {
			continue // there is none, and nobody would read it
		}
		name := file(v.dir, v.base, x.suffix)
		if err := v.sum(name, x.size, x.want); err != nil {
			whole = whole && x.suffix == txn.Suffix
			if err := v.file(name, x.size, err); err != nil {
				return false, err
			}
		}
	}
	return whole, nil
}

// sum checks the length and checksum of a whole file.
func (v *verifier) sum(name string, want int64, crc uint32) error {
	f, err := v.d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	} else if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size != want {
		return fmt.Errorf("%w: %s has %d bytes, was sealed with %d", ErrCorrupt, name, size, want)
	}
	pool := buffers.Get().(*[]byte)
	defer buffers.Put(pool)
	var got uint32
	for at := int64(0); at < size; {
		p := (*pool)[:min(step, size-at)]
		if err := v.limit.ask(len(p)); err != nil {
			return err
		}
		if err := readFull(f, p, at); err != nil {
			return err
		}
		got = crc32.Update(got, castagnoli, p)
		at += int64(len(p))
	}
	if got != crc {
		return fmt.Errorf("%w: the CRC of %s is %08x, it was sealed with %08x", ErrCorrupt, name, got, crc)
	}
	return nil
}

// log checks every block of the .log, and reports.
func (v *verifier) log(indexed bool) error {
	name := file(v.dir, v.base, ".log")
	f, err := v.d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		v.report(Damage{Path: name, Hi: v.h.Size, First: v.base, Next: v.h.Next, Err: fmt.Errorf("%w: %w", ErrCorrupt, err)})
		return nil
	} else if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	size, err := f.Size()
	if err != nil {
		return err
	}
	v.bad = make([]error, v.h.blocks())
	if err := v.blocks(f); err != nil {
		return err
	}
	if slices.ContainsFunc(v.bad, func(err error) bool { return err != nil }) {
		v.ranges(name, f, indexed)
	}
	if size > v.h.Size {
		v.report(Damage{Path: name, Lo: v.h.Size, Hi: size, First: v.h.Next, Next: v.h.Next,
			Err: fmt.Errorf("%w: %d bytes after the last batch", ErrCorrupt, size-v.h.Size)})
	}
	return nil
}

// blocks fills bad.
func (v *verifier) blocks(f disk.File) error {
	pool := buffers.Get().(*[]byte)
	defer buffers.Put(pool)
	for at := int64(0); at < v.h.Size; at += step {
		p := (*pool)[:min(step, v.h.Size-at)]
		if err := v.limit.ask(len(p)); err != nil {
			return err
		}
		err := readFull(f, p, at)
		if err != nil && !damaged(err) {
			return err
		}
		for i := 0; i < len(p); i += BlockSize {
			block, pos := p[i:min(i+BlockSize, len(p))], at+int64(i)
			if err != nil { // one block cannot be read, or is not there: which?
				if one := readFull(f, block, pos); one != nil {
					if !damaged(one) {
						return one
					}
					v.bad[pos/BlockSize] = one
					continue
				}
			}
			if want, got := v.table.Sum(pos/BlockSize), crc32.Checksum(block, castagnoli); got != want {
				v.bad[pos/BlockSize] = fmt.Errorf("%w: the CRC of the block is %08x, it was sealed with %08x", ErrCorrupt, got, want)
			}
		}
	}
	return nil
}

// ranges reports the runs of bad blocks.
func (v *verifier) ranges(name string, f disk.File, indexed bool) {
	var x *index.Files
	if indexed {
		var err error
		x, err = index.Open(v.d, v.dir, v.base, index.Bounds{Size: v.h.Size, Next: v.h.Next, Sums: &v.h.Index})
		if err != nil {
			x = nil // without it the offsets named are only wider
		}
	}
	l := locator{f: f, h: v.h, x: x, good: func(block int64) bool { return v.bad[block] == nil }}
	for i := 0; i < len(v.bad); i++ {
		if v.bad[i] == nil {
			continue
		}
		from := i
		for i+1 < len(v.bad) && v.bad[i+1] != nil {
			i++
		}
		lo, hi := int64(from)*BlockSize, min(int64(i+1)*BlockSize, v.h.Size)
		first, next := l.touched(lo, hi)
		v.report(Damage{Path: name, Lo: lo, Hi: hi, First: first, Next: next, Err: fmt.Errorf("%s at byte %d: %w", name, lo, v.bad[from])})
	}
	if x != nil {
		_ = x.Close() // only read
	}
}
