package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"github.com/streambus/streambus/engine/internal/index"
	"github.com/streambus/streambus/engine/internal/seal"
	"github.com/streambus/streambus/engine/internal/txn"
)

// ErrUnsealed: a side file is missing, damaged, or not of this segment. The .log may be as good as ever: Open and Scan it, fill Aborted,
// then Seal.
var ErrUnsealed = errors.New("segment has no valid side files")

// Sealed says that the segment will never change again and its index is mapped. Needs no lock.
func (s *Segment) Sealed() bool { return s.mapped.Load() != nil }

// End is the first offset of the segment that followed when this one was sealed; NoOffset when it is not sealed. If another one follows,
// or none, a segment is missing. Under the log's lock, or when Sealed.
func (s *Segment) End() batch.Offset {
	if !s.Sealed() {
		return batch.NoOffset
	}
	return s.head.End
}

// Seal makes a rolled segment a sealed one: it syncs the .log, gives back room reserved behind its end, reads it once while checking
// every batch, writes .index, .timeindex, .txnindex and .seal durably, maps the index, and puts it in the place of the heap's, which is freed.
// log is the id of the log, and end the first offset of the segment that follows, at or above Next: its name must have been made before.
//
// mu is the log's lock. Seal holds it only to copy a few fields, and to switch; it must not be held by the caller, who only makes sure
// that the segment is held when Seal begins. Readers go on meanwhile, through the heap index. Of everything that writes, nothing may
// run for this segment: it was rolled, and all batches queued for it are written and Appended. limit bounds the reading and may be nil.
//
// Errors: ErrCorrupt when the .log is not what was written (S7), whole good batches, or is longer than Size: a *Damage where it can be told
// which bytes, to be quarantined; else all of it; the limit's; I/O errors, of which the caller treats that of a failed sync as it does
// everywhere (disk.D3). The segment stays as it was. Seal may be called again.
func (s *Segment) Seal(d disk.FS, mu sync.Locker, log uint64, end batch.Offset, limit seal.Limiter) error {
	mu.Lock()
	if s.Sealed() {
		mu.Unlock()
		return nil
	}
	sums, aborted := s.Sums(), s.aborted.Entries()
	s.Acquire()
	mu.Unlock()
	if end < sums.next {
		panic(fmt.Sprintf("segment %s ends at offset %d and is to be sealed with %d", s.Path, sums.next, end))
	}
	h, x, err := s.writeSideFiles(d, sums, seal.Source{LogID: log, End: end, Aborted: aborted, Limit: limit})
	if err == nil {
		looked := new(trust) // Build has just looked at every bit
		looked.set(0, int((h.Size+blockSize-1)/blockSize))
		mu.Lock()
		s.adopt(h, x, looked)
		mu.Unlock()
	}
	return errors.Join(err, s.Release())
}

// adopt switches to the mapped index. Under the log's lock.
func (s *Segment) adopt(h seal.Header, x *index.Files, t *trust) {
	s.size, s.next, s.head, s.allocated, s.trust = h.Size, h.Next, h, h.Size, t
	if !s.mapped.CompareAndSwap(nil, x) {
		panic(fmt.Sprintf("segment %s was sealed twice at the same time", s.Path))
	}
	s.heap, s.prefixes = index.Heap{}, prefixes{}
}

// writeSideFiles is the part of Seal that does I/O.
func (s *Segment) writeSideFiles(d disk.FS, sums Sums, of seal.Source) (h seal.Header, x *index.Files, err error) {
	if err := s.settle(sums.size); err != nil {
		return h, nil, err
	}
	dir := path.Dir(s.Path)
	of.Dir, of.Base, of.Log, of.Size, of.Interval, of.Accept = dir, s.Base, s.file, sums.size, s.interval, sums.accept
	h, err = seal.Build(d, of)
	if errors.Is(err, seal.ErrCorrupt) {
		err = sums.pinpoint(err)
	}
	if err == nil {
		err = d.SyncDir(dir)
	}
	if err != nil {
		return h, nil, fmt.Errorf("seal: %w", err)
	}
	x, err = index.Open(d, dir, s.Base, index.Bounds{Size: h.Size, Next: h.Next, Sums: &h.Index})
	if err != nil {
		return h, nil, fmt.Errorf("seal: read back: %w", err)
	}
	return h, x, nil
}

// accept says whether what is to be sealed is what was written (S7).
func (x *Sums) accept(h seal.Header) error {
	switch {
	case h.Next != x.next:
		return fmt.Errorf("%w: it ends at offset %d, but %d was readable", seal.ErrCorrupt, h.Next, x.next)
	case h.Prefix != x.sum:
		return fmt.Errorf("%w: the headers of the batches add up to %08x, when they were written it was %08x", seal.ErrCorrupt, h.Prefix, x.sum)
	}
	return nil
}

// pinpoint says more exactly what is wrong with a .log that cannot be sealed.
func (x *Sums) pinpoint(err error) error {
	var d *Damage
	if errors.As(x.Check(0, x.size), &d) {
		return d
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// settle makes the .log exactly size bytes of file and of disk, and durable before anything speaks for it (seal.L1).
func (s *Segment) settle(size int64) error {
	has, err := s.file.Size()
	if err != nil {
		return err
	}
	if has != size {
		return fmt.Errorf("%w: %s has %d bytes, of which %d are readable: not fit to be sealed", ErrCorrupt, s.Path, has, size)
	}
	if err := s.file.Truncate(size); err != nil { // cuts nothing: it frees what Allocate reserved behind the end
		return err
	}
	return s.file.Sync()
}

// OpenSealed opens a segment of the log with this id that was sealed: it reads the header of the .seal, the first and last 4 KiB of the
// .log, maps the indexes, and reads the .txnindex when the seal says that there is one. The segment is readable at once; Size, Next, Newest, End and PrefixSum are the seal's.
//
// Errors: ErrUnsealed when a side file is missing or damaged; ErrCorrupt when they are those of another log, or when the
// .log is not as long, or does not begin and end, as it did when it was sealed (it was swapped, bytes are lost, or were added: restore or
// quarantine it); fs.ErrNotExist, as such and not as ErrUnsealed, when the .log is gone; I/O errors.
func OpenSealed(d disk.FS, dir string, base batch.Offset, log uint64) (*Segment, error) {
	name := path.Join(dir, Name(base))
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	s := open(d, f, name, base, 0)
	if err := s.openSideFiles(dir, log); err != nil {
		return nil, errors.Join(err, s.Release())
	}
	return s, nil
}

func (s *Segment) openSideFiles(dir string, log uint64) error {
	d := s.fs
	h, err := seal.Read(d, dir, s.Base)
	if err != nil {
		return unsealed(err)
	}
	if h.Log != log {
		return fmt.Errorf("%w: %s is of log %d, and lies in the folder of log %d: files were mixed up; restore them from a copy", ErrCorrupt, seal.Name(dir, s.Base), h.Log, log)
	}
	size, err := s.file.Size()
	if err != nil {
		return err
	}
	if size != h.Size {
		return fmt.Errorf("%w: %s has %d bytes, but was sealed with %d", ErrCorrupt, s.Path, size, h.Size)
	}
	if err := h.CheckPins(s.file); errors.Is(err, seal.ErrCorrupt) {
		return fmt.Errorf("%w: %s is not the file that was sealed, or is damaged: %w", ErrCorrupt, s.Path, err)
	} else if err != nil {
		return fmt.Errorf("%s: %w", s.Path, err)
	}
	if h.Aborted.Entries > 0 {
		if s.aborted, err = txn.ReadFile(d, dir, s.Base, txn.Bounds{Size: h.Size, Next: h.Next, Sum: &h.Aborted}); err != nil {
			return unsealed(err)
		}
	}
	x, err := index.Open(d, dir, s.Base, index.Bounds{Size: h.Size, Next: h.Next, Sums: &h.Index})
	if err != nil {
		return unsealed(err)
	}
	s.adopt(h, x, s.trust)
	return nil
}

// unsealed sorts the errors that the side files of a good .log can have from those of a disk. A missing side file is not passed on as
// fs.ErrNotExist, which is said of the .log alone; a damaged one is, as what it is.
func unsealed(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %v", ErrUnsealed, err)
	case errors.Is(err, seal.ErrCorrupt), errors.Is(err, index.ErrCorrupt), errors.Is(err, txn.ErrCorrupt):
		return fmt.Errorf("%w: %w", ErrUnsealed, err)
	}
	return err
}

// Unseal removes the side files of a segment, durably, so that its .log may be changed: a seal must never outlive what it speaks for.
// Segments that have them mapped are not harmed. Nothing is wrong when there are none.
func Unseal(d disk.FS, dir string, base batch.Offset) error {
	if err := removeSideFiles(d, dir, base); err != nil {
		return err
	}
	return d.SyncDir(dir)
}

// sideSuffixes end the names of the side files; the one that speaks for the others comes first.
var sideSuffixes = []string{seal.Suffix, index.OffsetSuffix, index.TimeSuffix, txn.Suffix}

// removeSeal makes the other side files worthless.
func removeSeal(d disk.FS, dir string, base batch.Offset) error {
	if err := d.Remove(seal.Name(dir, base)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeSideFiles takes the seal first: without it nobody believes the others.
func removeSideFiles(d disk.FS, dir string, base batch.Offset) error {
	for _, suffix := range sideSuffixes {
		name := path.Join(dir, fmt.Sprintf("%020d%s", base, suffix))
		for _, n := range []string{name, name + index.TmpSuffix} {
			if err := d.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
