package commit

import (
	"errors"
	"fmt"

	"github.com/streambus/streambus/engine/disk"
)

// Recovered is what Replay found.
type Recovered struct {
	End    LSN // every frame below is whole
	Frames int
	Torn   bool // the log ended in a frame that was being written when the program or the machine stopped
}

// Replay reads the frames from LSN from on and calls apply for the entries of each, in order; they are views that do not
// outlive the call. clean says that the writer closed the log at from, so that nothing can follow.
// Errors: ErrCorrupt (C2), those of apply, and I/O errors.
func Replay(fs disk.FS, dir string, from LSN, clean bool, apply func(LSN, []Entry) error) (Recovered, error) {
	r := Recovered{End: from}
	l, err := list(fs, dir)
	if err != nil {
		return r, err
	}
	for _, seq := range l.files {
		if err := replayFile(fs, fileName(dir, seq), seq, clean, &r, apply); err != nil {
			return r, err
		}
	}
	return r, nil
}

func replayFile(fs disk.FS, name string, seq uint64, clean bool, r *Recovered, apply func(LSN, []Entry) error) error {
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	var page [fileHeader]byte
	if err := disk.ReadFull(f, page[:], 0); err != nil {
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

// frames applies whole frames until the first that is not.
func (s *scanner) frames(apply func(LSN, []Entry) error) error {
	s.at = max(s.r.End, s.h.start)
	for s.at < s.h.end() {
		f, entries, ok, err := s.frame()
		if err != nil || !ok {
			return err
		}
		if f.durable > s.r.End {
			return fmt.Errorf("%w: frame at LSN %d was written when everything below LSN %d was flushed, but the log before it can be read only to LSN %d", ErrCorrupt, f.lsn, f.durable, s.r.End)
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
	if f, ok = parseFrame(s.buf, s.h.generation, s.at); !ok || pos+f.size() > s.h.size {
		return f, nil, false, nil
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

// lookAhead searches the rest of the file for a whole frame header of this use. Since no frame is written before the one
// below it is flushed (C1), finding one behind a bad frame means that flushed bytes were damaged (C2).
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
				torn = true
				continue
			}
			if f.durable > s.at {
				return fmt.Errorf("%s: %w: the frame at LSN %d (byte %d) is damaged, but one at LSN %d says that it was flushed; restore the file or the data directory from a copy", s.name, ErrCorrupt, s.at, s.h.position(s.at), at)
			}
		}
	}
	s.r.Torn = s.r.Torn || torn
	return nil
}

func isShort(err error) bool { return errors.Is(err, errUnexpectedEOF) }
