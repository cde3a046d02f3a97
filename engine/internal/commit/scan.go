package commit

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/streambus/streambus/engine/disk"
)

// Recovered is what Replay found.
type Recovered struct {
	End    LSN // every frame below is whole
	Frames int
	Torn   bool // the log ended in a frame that was being written when the program or the machine stopped

	replayed bool
	last     uint64 // sequence of the last file looked into
	goesOn   bool   // it says that another one follows
}

// Replay reads the frames from the checkpoint's LSN on and calls apply for the entries of each, in order; they are views that do
// not outlive the call. What is applied is durable: a crash that follows finds it again.
// Errors: ErrCorrupt (C2), those of apply, and I/O errors.
func Replay(fs disk.FS, dir string, c *Checkpoint, apply func(LSN, []Entry) error) (Recovered, error) {
	r := Recovered{End: c.LSN}
	l, err := list(fs, dir)
	if err == nil && !c.Clean {
		err = l.whole(dir, c.File)
	}
	if err != nil {
		return r, err
	}
	for _, seq := range l.files {
		if err := replayFile(fs, fileName(dir, seq), seq, c.Clean, &r, apply); err != nil {
			return r, err
		}
	}
	if r.goesOn {
		return r, fmt.Errorf("%w: %s is missing, and the file before it says that the log goes on there; restore it from a copy", ErrCorrupt, fileName(dir, r.last+1))
	}
	return r, nil
}

// whole says whether the file that the checkpoint names is there.
func (l *listed) whole(dir string, file uint32) error {
	if file == 0 || slices.ContainsFunc(l.files, func(seq uint64) bool { return uint32(seq+1) == file }) {
		return nil
	}
	return fmt.Errorf("%w: the newest file of %s is missing, number %d; restore it from a copy", ErrCorrupt, dir, file-1)
}

// follows says whether a file goes on where the one before it ended: those that a checkpoint does not cover must all be there.
func (r *Recovered) follows(h header, dir string) error {
	missing := r.replayed && h.sequence != r.last+1
	r.replayed, r.last, r.goesOn = true, h.sequence, false
	if missing {
		return fmt.Errorf("%w: %s is missing; restore it from a copy", ErrCorrupt, fileName(dir, h.sequence-1))
	}
	return nil
}

func replayFile(fs disk.FS, name string, seq uint64, clean bool, r *Recovered, apply func(LSN, []Entry) error) error {
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	var page [fileHeader]byte
	if err := disk.ReadFull(f, page[:], 0); isShort(err) {
		return fmt.Errorf("%s: %w: it ends in its header; restore it from a copy", name, ErrCorrupt)
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	h, err := parseHeader(page[:])
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if h.sequence != seq {
		return fmt.Errorf("%s: %w: header belongs to file %d", name, ErrCorrupt, h.sequence)
	}
	if h.end() <= r.End {
		return nil // a checkpoint covers all of it
	}
	if err := r.follows(h, path.Dir(name)); err != nil {
		return err
	}
	if size, err := f.Size(); err != nil {
		return err
	} else if size != h.size {
		return fmt.Errorf("%s: %w: it has %d bytes, its header says %d; restore it from a copy", name, ErrCorrupt, size, h.size)
	}
	if !clean { // what a process wrote before it was killed may be in the page cache only
		if err := f.Sync(); err != nil {
			return err
		}
	}
	s := scanner{f: f, h: h, name: name, r: r}
	if err := s.frames(apply); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if clean {
		return nil
	}
	return s.lookAhead()
}

type scanner struct {
	f    disk.File
	h    header
	name string
	r    *Recovered
	at   LSN // of the first frame that is not whole
	buf  []byte
	tab  []Entry
}

// frames applies whole frames until the first that is not, or a mark: behind that there is none in this file.
func (s *scanner) frames(apply func(LSN, []Entry) error) error {
	s.at = max(s.r.End, s.h.start)
	for s.at < s.h.end() {
		f, entries, ok, err := s.frame()
		if err != nil || !ok {
			return err
		}
		if f.durable > s.r.End {
			return fmt.Errorf("%w: the frame or mark at LSN %d was written when everything below LSN %d was flushed, but the log before it can be read only to LSN %d", ErrCorrupt, f.lsn, f.durable, s.r.End)
		}
		if f.mark() {
			s.r.goesOn = f.turn
			return nil
		}
		if err := apply(f.lsn, entries); err != nil {
			return err
		}
		s.r.Frames++
		s.at = f.end()
		s.r.End = s.at
	}
	return nil
}

// frame reads the frame at s.at. ok is false when there is no whole one.
func (s *scanner) frame() (f frame, entries []Entry, ok bool, err error) {
	pos := s.h.position(s.at)
	if err := s.read(pos, frameHeader); err != nil {
		return f, nil, false, endOfFile(err)
	}
	f, ok = parseFrame(s.buf, s.h.generation, s.at)
	switch {
	case !ok || pos+f.size() > s.h.size:
		return f, nil, false, nil
	case f.mark():
		return f, nil, true, nil
	}
	if err := s.read(pos, int(f.size())); err != nil {
		return f, nil, false, endOfFile(err)
	}
	s.tab, ok = parseEntries(s.tab[:0], s.buf, f)
	return f, s.tab, ok, nil
}

func (s *scanner) read(pos int64, n int) error {
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	s.buf = s.buf[:n]
	return disk.ReadFull(s.f, s.buf, pos)
}

// endOfFile turns a file that is too short into "no frame here".
func endOfFile(err error) error {
	if isShort(err) {
		return nil
	}
	return err
}

// lookAhead searches the rest of the file for a whole frame header of this use, or a mark. Since neither is written before the frame
// below it is flushed (C1, C6), finding one behind a bad frame means that flushed bytes were damaged (C2).
func (s *scanner) lookAhead() error {
	const step = 1 << 20
	torn := false
	for pos := s.h.position(s.at); pos < s.h.size; pos += step {
		n := int(min(step, s.h.size-pos))
		if err := s.read(pos, n); err != nil {
			return endOfFile(err)
		}
		for i := 0; i+frameHeader <= n; i += disk.PageSize {
			at := s.at + LSN(pos-s.h.position(s.at)) + LSN(i)
			f, ok := parseFrame(s.buf[i:], s.h.generation, at)
			if !ok {
				continue
			}
			if at == s.at {
				torn = !f.mark()
				continue
			}
			if f.durable > s.at {
				return fmt.Errorf("%s: %w: the frame at LSN %d (byte %d) is damaged, but the one at LSN %d says that it was flushed; restore the file or the data directory from a copy", s.name, ErrCorrupt, s.at, s.h.position(s.at), at)
			}
		}
	}
	s.r.Torn = s.r.Torn || torn
	return nil
}

func isShort(err error) bool { return errors.Is(err, errUnexpectedEOF) }
