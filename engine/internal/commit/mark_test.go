package commit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 draws one")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./engine/internal/commit -run '^%s$' -seed=%d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// scribe writes a commit log as the committer would, but with marks, one step at a time so that a test can cut the power between any two.
type scribe struct {
	t       testing.TB
	fs      *disk.Mem
	f       *file
	at      LSN
	durable LSN
	next    batch.Offset
	flushed []string // what was flushed, and may be told
	written []string // the entry that was written after it, unsynced
	frames  []int64  // where those that were flushed lie in their file, and end
}

const scribeBytes = 64 << 10

func newScribe(t testing.TB, stale bool) *scribe {
	s := &scribe{t: t, fs: disk.NewMem()}
	if err := errors.Join(s.fs.MkdirAll(testDir), s.fs.SyncDir("/"), s.fs.SyncDir("/d")); err != nil {
		t.Fatal(err)
	}
	s.open(0, 0, stale)
	return s
}

// open takes a spare into use. A stale one is full of frames and marks of an earlier use.
func (s *scribe) open(sequence uint64, start LSN, stale bool) {
	s.t.Helper()
	spare := fmt.Sprintf("%s/%d.spare", testDir, sequence)
	if err := createSpare(s.fs, spare, scribeBytes, false); err != nil {
		s.t.Fatal(err)
	}
	if stale {
		f, err := s.fs.Open(spare)
		for at := LSN(0); at < scribeBytes-disk.PageSize && err == nil; at += disk.PageSize {
			old := appendMark(nil, 99, start+at, start+at, at%(2*disk.PageSize) == 0)
			if at%(3*disk.PageSize) == 0 {
				e := []Entry{one(9, 0, 300)}
				old = append(appendFrame(nil, e, 99, start+at, start+at), e[0].Batch...)
			}
			err = f.WriteVec([][]byte{old}, int64(at)+disk.PageSize)
		}
		if err := errors.Join(err, f.Sync()); err != nil {
			s.t.Fatal(err)
		}
	}
	f, _, err := takeSpare(s.fs, testDir, spare, header{sequence: sequence, generation: 7 + sequence, start: start, size: scribeBytes})
	if err != nil {
		s.t.Fatal(err)
	}
	s.f, s.at = f, start
}

// mark is what the committer does when it has nothing to do.
func (s *scribe) mark() {
	if s.at+disk.PageSize > s.f.end() {
		return
	}
	s.write(appendMark(nil, s.f.generation, s.at, s.durable, false))
}

func (s *scribe) write(b []byte) {
	s.t.Helper()
	if err := s.f.WriteVec([][]byte{b}, s.f.position(s.at)); err != nil {
		s.t.Fatal(err)
	}
}

// frame writes one, which sync makes durable. It goes on in the next file where this one is full.
func (s *scribe) frame(record int) (size int64) {
	e := []Entry{one(5, s.next, record)}
	size = frameSize(e)
	if s.at+LSN(size) > s.f.end() {
		s.open(s.f.sequence+1, s.f.end(), s.next%2 == 0)
	}
	s.write(append(appendFrame(nil, e, s.f.generation, s.at, s.durable), e[0].Batch...))
	s.written = []string{describe(e[0])}
	return size
}

func (s *scribe) sync(size int64) {
	if err := s.f.Sync(); err != nil {
		s.t.Fatal(err)
	}
	s.frames = append(s.frames, int64(s.f.sequence), s.f.position(s.at), s.f.position(s.at)+size)
	s.at = pageUp(s.at + LSN(size))
	s.durable = s.at
	s.flushed, s.written = append(s.flushed, s.written...), nil
	s.next++
}

// check cuts the power, or ends the process (keep 1), and replays: everything flushed is there, and at most the frame under way more.
func (s *scribe) check(rng *rand.Rand, keep float64) *disk.Mem {
	s.t.Helper()
	after := s.fs.Crash(rng, keep)
	got, rec, err := replay(after, 0, false)
	if err != nil {
		s.t.Fatalf("nothing that was flushed is lost, and it is refused: %v", err)
	}
	if !slices.Equal(got, s.flushed) && !slices.Equal(got, append(slices.Clone(s.flushed), s.written...)) {
		s.t.Fatalf("%d entries were flushed, %v was under way, and there are %v", len(s.flushed), s.written, got)
	}
	if rec.Torn && len(got) > len(s.flushed) || len(s.written) == 0 && rec.Torn {
		s.t.Fatalf("torn, with %d of %d and %v", len(got), len(s.flushed), s.written)
	}
	return after
}

// TestMarksLoseNothing cuts the power at every moment of a log with marks, torn in every way: of a mark, of the frame that overwrites it,
// of both. What was flushed is there, and no start is refused.
func TestMarksLoseNothing(t *testing.T) {
	rng := newRand(t)
	states, rounds := 0, 15
	if testing.Short() {
		rounds = 6
	}
	for range rounds {
		s := newScribe(t, rng.IntN(2) == 0)
		cut := func() {
			for _, keep := range []float64{0, 0.1, 0.5, 0.9, 1} {
				for range 3 {
					s.check(rng, keep)
					states++
				}
			}
		}
		for range 25 {
			if rng.IntN(3) > 0 {
				for range rng.IntN(2) + 1 { // idle, and idle again after something that came to nothing
					s.mark()
				}
				cut()
			}
			size := s.frame([]int{100, 400, 3000, 9000, 20_000}[rng.IntN(5)])
			cut()
			s.sync(size)
			cut()
		}
	}
	t.Logf("%d states", states)
}

// TestEverySectorOfAMarkAndItsFrame is the above for one frame over one mark, with every combination of the sectors that survive, and of
// what they hold: what was there before, the mark, the frame.
func TestEverySectorOfAMarkAndItsFrame(t *testing.T) {
	for _, stale := range []bool{false, true} {
		s := newScribe(t, stale)
		s.sync(s.frame(300))
		old := make([]byte, 2*disk.PageSize)
		pos := s.f.position(s.at)
		read := func(to []byte) {
			if err := disk.ReadFull(s.f, to, pos); err != nil {
				t.Fatal(err)
			}
		}
		read(old)
		s.mark()
		marked := slices.Clone(old)
		read(marked)
		s.frame(2500) // 6 sectors
		framed := slices.Clone(old)
		read(framed)
		const sectors = 6
		for first, head := range [][]byte{old, marked, framed} {
			for kept := range 1 << (sectors - 1) {
				b := slices.Clone(old)
				copy(b, head[:disk.SectorSize])
				for i := 1; i < sectors; i++ {
					if kept&(1<<(i-1)) != 0 {
						copy(b[i*disk.SectorSize:][:disk.SectorSize], framed[i*disk.SectorSize:])
					}
				}
				if err := s.f.WriteVec([][]byte{b}, pos); err != nil {
					t.Fatal(err)
				}
				got, _, err := replay(s.fs, 0, false)
				want := s.flushed
				if first == 2 && kept == 1<<(sectors-1)-1 {
					want = append(slices.Clone(want), s.written...)
				}
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("stale %t, first sector %d, the others %05b: %v, %v; want %v", stale, first, kept, got, err, want)
				}
			}
		}
	}
}

// TestAMarkProvesWhatIsBelow flips every bit of the last frame, or wipes its sectors: with a mark behind it that is corruption, in this
// file or, when the log went on in another, in that one. A flip in the mark harms nothing.
func TestAMarkProvesWhatIsBelow(t *testing.T) {
	for _, frames := range []int{1, 3} {
		s := newScribe(t, true)
		for range frames {
			s.sync(s.frame(700))
		}
		lo, hi := s.frames[len(s.frames)-2], s.frames[len(s.frames)-1]
		s.mark()
		harmed := func(what string, b []byte, pos int64, good bool) {
			t.Helper()
			was := make([]byte, len(b))
			if err := errors.Join(disk.ReadFull(s.f, was, pos), s.f.WriteVec([][]byte{b}, pos)); err != nil {
				t.Fatal(err)
			}
			got, _, err := replay(s.fs, 0, false)
			if good && (err != nil || !slices.Equal(got, s.flushed)) || !good && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), s.f.name)) {
				t.Fatalf("%s: %d entries, %v", what, len(got), err)
			}
			if err := s.f.WriteVec([][]byte{was}, pos); err != nil {
				t.Fatal(err)
			}
		}
		flips := func(lo, hi int64, good bool) {
			t.Helper()
			b := make([]byte, 1)
			for bit := lo * 8; bit < hi*8; bit++ {
				if err := disk.ReadFull(s.f, b, bit/8); err != nil {
					t.Fatal(err)
				}
				b[0] ^= 1 << (bit % 8)
				harmed(fmt.Sprintf("bit %d of the file", bit), b, bit/8, good)
			}
		}
		flips(lo, hi, false)
		flips(s.f.position(s.at), s.f.position(s.at)+frameHeader, true)
		for at := lo; at < hi; at += disk.SectorSize {
			harmed(fmt.Sprintf("sector at %d", at), make([]byte, min(disk.SectorSize, hi-at)), at, false)
		}
		// Without the mark it cannot be told from a torn write.
		if err := s.f.WriteVec([][]byte{make([]byte, frameHeader)}, s.f.position(s.at)); err != nil {
			t.Fatal(err)
		}
		flipBit(t, s.f, hi-1, 3)
		if got, rec, err := replay(s.fs, 0, false); err != nil || len(got) != frames-1 || !rec.Torn {
			t.Errorf("%v, %+v, %v", got, rec, err)
		}
	}
}

// TestAMarkInTheNextFile: the last frame of a full file is damaged; a mark at the beginning of the next one says so.
func TestAMarkInTheNextFile(t *testing.T) {
	s := newScribe(t, false)
	for s.at+5*disk.PageSize < s.f.end() {
		s.sync(s.frame(3000))
	}
	hi, full := s.frames[len(s.frames)-1], s.f
	s.open(1, s.f.end(), true)
	s.mark()
	s.check(rand.New(rand.NewPCG(1, 1)), 1)
	flipBit(t, full, hi-1, 3)
	if _, _, err := replay(s.fs, 0, false); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

// TestRefusalsAreCorruption: a header that is cut off or has any bit flipped is ErrCorrupt; a whole one of another version is not.
func TestRefusalsAreCorruption(t *testing.T) {
	s := newScribe(t, false)
	s.sync(s.frame(100))
	for bit := range int64(fileHeader * 8) {
		flipBit(t, s.f, bit/8, bit%8)
		if _, _, err := replay(s.fs, 0, false); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d of the header: %v", bit, err)
		}
		flipBit(t, s.f, bit/8, bit%8)
	}
	for version := range uint32(5) {
		h := s.f.header.append(nil)
		binary.LittleEndian.PutUint32(h[8:], version)
		binary.LittleEndian.PutUint32(h[12:], headerCRC(h))
		if version == 1 {
			binary.LittleEndian.PutUint32(h[12:], crc32.Checksum(h[16:], castagnoli))
		}
		_, err := parseHeader(h)
		if good := version == fileVersion; good != (err == nil) || errors.Is(err, ErrCorrupt) || !good && !strings.Contains(err.Error(), "version") {
			t.Errorf("version %d: %v", version, err)
		}
	}
	for _, size := range []int64{0, 1, fileHeader - 1, fileHeader, 5000, scribeBytes - 1} {
		if err := s.f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if _, _, err := replay(s.fs, 0, false); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a file of %d bytes: %v", size, err)
		}
	}
}

// FuzzMark: of a mark, every bit counts.
func FuzzMark(f *testing.F) {
	f.Add(appendMark(nil, 7, 1<<40, 1<<40, true))
	f.Add(appendMark(nil, 7, 1<<40, 5, false))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= frameHeader { // let the fuzzer past the CRC
			b = bytes.Clone(b)
			binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:frameHeader], castagnoli))
		}
		m, ok := parseFrame(b, 7, 1<<40)
		if !ok || !m.mark() {
			return
		}
		if m.size() != frameHeader || m.end() != m.lsn+disk.PageSize || m.durable > m.lsn {
			t.Fatalf("%+v", m)
		}
		if again := appendMark(nil, 7, m.lsn, m.durable, m.turn); !bytes.Equal(again, b[:frameHeader]) {
			t.Fatalf("parsed %+v from other bytes", m)
		}
	})
}

// createSpare makes a spare at once.
func createSpare(fs disk.FS, name string, size int64, gently bool) error {
	f, err := beginSpare(fs, name, size)
	if err != nil {
		return err
	}
	return fillSpare(fs, f, name, size, gently)
}

// backed counts the pieces that are brought to the disk before the next is written.
type backed struct {
	disk.FS
	pieces *int
}

type backedFile struct {
	disk.File
	pieces *int
}

func (b backed) Create(name string) (disk.File, error) {
	f, err := b.FS.Create(name)
	return backedFile{f, b.pieces}, err
}

func (f backedFile) WriteBack(off, n int64) error {
	if off != int64(*f.pieces)*int64(len(zeros)) {
		return fmt.Errorf("piece %d at %d", *f.pieces, off)
	}
	*f.pieces++
	return nil
}

// TestSparesAreMadeGently: in pieces, so that flushes beside it wait for one of them at the most; and at once when nobody waits.
func TestSparesAreMadeGently(t *testing.T) {
	const size = 1 << 20
	for gently, want := range map[bool]int{true: size / len(zeros), false: 0} {
		pieces := 0
		if err := createSpare(backed{disk.NewMem(), &pieces}, "1.spare", size, gently); err != nil || pieces != want {
			t.Errorf("gently %v: %d pieces, want %d; %v", gently, pieces, want, err)
		}
	}
}
