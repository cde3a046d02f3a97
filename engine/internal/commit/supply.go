package commit

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/streambus/streambus/engine/disk"
)

// supply prepares commit-log files ahead of need and recycles old ones.
type supply struct {
	o     Options
	mu    sync.Mutex
	cond  sync.Cond
	used  []*usedFile // in order of sequence; the last is the current one, or the one prepared
	ready *file       // prepared and not yet taken
	spare []string    // paths of files of zeros or old frames
	begun *begun      // the next spare, of which there is nothing but its room; owned by who prepares
	seq   uint64      // of the next file
	base  LSN         // of the next file
	names int         // the highest number that a spare has, or had
	rests bool        // no file is prepared for now: there was no room, or no descriptor
	again *time.Timer // ends the rest
	done  bool
	err   error
}

// rest is how long the supply waits before it asks for room again, unless a file is recycled meanwhile.
const rest = time.Second

// begun is a file of beginSpare.
type begun struct {
	disk.File
	name string
}

type usedFile struct {
	name     string
	sequence uint64
	end      LSN
}

// openSupply turns every file that the folder holds into a spare: all are covered by a checkpoint when it is called.
func openSupply(o Options, at LSN) (*supply, error) {
	s := &supply{o: o, base: pageUp(at)}
	s.cond.L = &s.mu
	l, err := list(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	s.names = l.highest
	for _, name := range l.spares {
		if err := s.adopt(name); err != nil {
			return nil, err
		}
	}
	for _, seq := range l.files {
		name := s.spareName()
		if err := o.FS.Rename(fileName(o.Dir, seq), name); err != nil {
			return nil, err
		}
		if err := s.adopt(name); err != nil {
			return nil, err
		}
		s.seq = seq + 1
	}
	if err := s.checkRoom(); err != nil {
		return nil, err
	}
	return s, o.FS.SyncDir(o.Dir)
}

// checkRoom refuses to begin where the files that must exist would not fit, and says how much they need.
func (s *supply) checkRoom() error {
	need := int64(minFiles-len(s.spare)) * s.o.FileBytes
	if need <= 0 {
		return nil
	}
	free, err := s.o.FS.Free(s.o.Dir)
	if err != nil {
		return err
	}
	if free < need {
		return fmt.Errorf("%s: %w: the commit log needs %d MiB, %d MiB are free; free some space, or make its files smaller (commit.log.file.bytes)", s.o.Dir, syscall.ENOSPC, need>>20, free>>20)
	}
	return nil
}

// minFiles must exist for the log to circulate: one in use and one to go on in, for which room is reserved before the first entry is
// taken. Further ones are a convenience, so a full disk does not stop the log when it finds no room for them.
const minFiles = 2

// spareName is one that no file has.
func (s *supply) spareName() string {
	s.names++
	return path.Join(s.o.Dir, strconv.Itoa(s.names)+spareSuffix)
}

// adopt keeps a spare of the right size, and removes another.
func (s *supply) adopt(name string) error {
	f, err := s.o.FS.Open(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if size != s.o.FileBytes || len(s.spare) >= s.o.Files {
		return s.o.FS.Remove(name)
	}
	s.spare = append(s.spare, name)
	return nil
}

// first prepares and takes the file to begin with, and makes sure of room for the one to go on in (minFiles).
func (s *supply) first() (*file, error) {
	f, err := s.prepare(false) // nobody waits for the disk yet
	if err != nil {
		return nil, err
	}
	if len(s.spare) == 0 {
		if s.begun, err = s.begin(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	s.used = append(s.used, &usedFile{name: f.name, sequence: f.sequence, end: f.end()})
	return f, nil
}

// prepare makes the next file of a spare, or of a new one. Called by one goroutine at a time; does I/O without the lock. When it fails, the
// spare is still there.
func (s *supply) prepare(gently bool) (*file, error) {
	s.mu.Lock()
	var name string
	if n := len(s.spare); n > 0 {
		name, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	h := header{sequence: s.seq, generation: newGeneration(), start: s.base, size: s.o.FileBytes}
	s.mu.Unlock()
	name, err := s.asSpare(name, gently)
	var f *file
	if err == nil {
		f, name, err = takeSpare(s.o.FS, s.o.Dir, name, h)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if name != "" {
			s.spare = append(s.spare, name)
		}
		return nil, err
	}
	s.seq, s.base = h.sequence+1, h.end()
	return f, nil
}

// asSpare makes a new spare when name is empty, and gives a used file the name of one: a crash while its header is written
// anew must not leave a file whose name and header disagree. So the name is made durable also when it is that of a spare: an earlier
// attempt may have failed to. Beside an error it gives the name that the file has now, if there is one.
func (s *supply) asSpare(name string, gently bool) (string, error) {
	switch {
	case name == "":
		return s.newSpare(gently)
	case strings.HasSuffix(name, spareSuffix):
		return name, s.o.FS.SyncDir(s.o.Dir)
	}
	spare := s.spareName()
	if err := s.o.FS.Rename(name, spare); err != nil {
		return name, err
	}
	return spare, s.o.FS.SyncDir(s.o.Dir)
}

// newSpare makes one of the file that is begun, or from nothing.
func (s *supply) newSpare(gently bool) (string, error) {
	b := s.begun
	if b == nil {
		var err error
		if b, err = s.begin(); err != nil {
			return "", err
		}
	}
	s.begun = nil
	if err := fillSpare(s.o.FS, b.File, b.name, s.o.FileBytes, gently); err != nil {
		return "", err
	}
	return b.name, nil
}

func (s *supply) begin() (*begun, error) {
	name := s.spareName()
	f, err := beginSpare(s.o.FS, name, s.o.FileBytes)
	if err != nil {
		return nil, err
	}
	return &begun{f, name}, nil
}

// run keeps one file prepared ahead, as long as the number of files allows, until stop. Where there is no room for one more, the log goes
// round with those that there are.
func (s *supply) run(fail func(error)) {
	for s.wantsFile() {
		f, err := s.prepare(true)
		if (disk.NoRoom(err) || disk.NoMeans(err)) && s.takeRest() {
			continue
		}
		s.mu.Lock()
		if err != nil {
			s.err = err
		} else {
			s.ready = f
			s.used = append(s.used, &usedFile{name: f.name, sequence: f.sequence, end: f.end()})
		}
		s.mu.Unlock()
		s.cond.Broadcast()
		if err != nil {
			fail(err)
			return
		}
	}
}

// takeRest lets the supply rest if the log can go round meanwhile.
func (s *supply) takeRest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.used)+len(s.spare) < minFiles {
		return false
	}
	s.rests = true
	if s.done {
		return true // for good
	}
	if s.again != nil {
		s.again.Stop()
	}
	s.again = time.AfterFunc(rest, func() {
		s.mu.Lock()
		s.rests = false
		s.mu.Unlock()
		s.cond.Broadcast()
	})
	return true
}

// wantsFile waits until a file should be prepared; false when the supply is stopped.
func (s *supply) wantsFile() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.done && (s.rests || s.ready != nil || (len(s.spare) == 0 && len(s.used) >= s.o.Files)) {
		s.cond.Wait()
	}
	return !s.done
}

// hasNext says that a file is prepared.
func (s *supply) hasNext() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready != nil
}

// next takes the prepared file, waiting for it.
func (s *supply) next() (*file, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.ready == nil && s.err == nil && !s.done {
		s.cond.Wait()
	}
	if s.ready == nil {
		if s.err != nil {
			return nil, s.err
		}
		return nil, ErrClosed
	}
	f := s.ready
	s.ready = nil
	s.cond.Broadcast()
	return f, nil
}

// recycle turns the files that end at or below at into spares, up to the one that the checkpoint names.
func (s *supply) recycle(at LSN, named uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.used) > 1 && s.used[0].end <= at && uint32(s.used[0].sequence+1) != named {
		// At the front: the last may be one that failed to become the next file, and has its name. Another must not take that before it is gone.
		s.spare = slices.Insert(s.spare, 0, s.used[0].name)
		s.used = s.used[1:]
		s.rests = false // there is one to go on in
	}
	s.cond.Broadcast()
}

// stop ends the goroutine and wakes whoever waits.
func (s *supply) stop() {
	s.mu.Lock()
	s.done = true
	if s.again != nil {
		s.again.Stop()
	}
	s.mu.Unlock()
	s.cond.Broadcast()
}

// close lets go of files that were prepared, or begun, and not taken. Call it when run has returned.
func (s *supply) close() (err error) {
	if s.ready != nil {
		err = s.ready.Close()
	}
	if s.begun != nil {
		err = errors.Join(err, s.begun.Close())
		_ = s.o.FS.Remove(s.begun.name) // room and nothing else; if this fails, Open removes it
	}
	return err
}
