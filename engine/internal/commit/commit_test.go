package commit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// one makes an entry for a batch of n bytes of value at an offset.
func one(log uint64, base batch.Offset, n int) Entry {
	var b batch.Builder
	b.Add(time.UnixMilli(5), []byte("k"), bytes.Repeat([]byte{'v'}, n))
	x := b.Batch()
	x.Stamp(base, 4)
	return Entry{Kind: Append, Log: log, Segment: 0, Position: int64(base) * 100, Batch: x}
}

// recorder is a Target that keeps what it is told, and asks for nothing.
type recorder struct {
	mu      sync.Mutex
	cond    sync.Cond
	c       *Committer
	gate    chan struct{}
	flushed []string
	groups  int
	err     error
}

func newRecorder() *recorder {
	r := &recorder{}
	r.cond.L = &r.mu
	return r
}

func (r *recorder) Write([]Entry) error { panic("a group of a commit log is not written") }

// Flushed waits for the gate twice, where there is one, so that a test knows that the next group is held up.
func (r *recorder) Flushed(_ LSN, group []Entry) error {
	if r.gate != nil {
		<-r.gate
		<-r.gate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups++
	for _, e := range group {
		r.flushed = append(r.flushed, describe(e))
	}
	r.cond.Broadcast()
	return nil
}

func (r *recorder) Full() {}

func (r *recorder) Failed(err error, _ []Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	r.cond.Broadcast()
}

func (r *recorder) waitFor(n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.flushed) < n && r.err == nil {
		r.cond.Wait()
	}
	return r.err
}

// told is how many entries were flushed so far.
func (r *recorder) told() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.flushed)
}

func describe(e Entry) string {
	if e.Kind == Drop {
		return fmt.Sprintf("drop %d", e.Log)
	}
	return fmt.Sprintf("%d@%d+%d %d/%d", e.Log, e.Batch.BaseOffset(), len(e.Batch), e.Segment, e.Position)
}

const testDir = "/d/commit"

func newDisk(t *testing.T) *disk.Mem {
	t.Helper()
	m := disk.NewMem()
	if err := errors.Join(m.MkdirAll(testDir), m.SyncDir("/"), m.SyncDir("/d")); err != nil {
		t.Fatal(err)
	}
	return m
}

func start(t *testing.T, fs disk.FS, r *recorder, at LSN) *Committer {
	t.Helper()
	c, err := Start(Options{FS: fs, Dir: testDir, FileBytes: 64 << 10, Files: 3, GroupBytes: 8 << 10, QueueBytes: 1 << 20, Target: r}, at)
	if err != nil {
		t.Fatal(err)
	}
	r.c = c
	return c
}

func put(t *testing.T, c *Committer, e Entry) {
	t.Helper()
	if err := c.Admit(len(e.Batch)); err != nil {
		t.Fatal(err)
	}
	if err := c.Enqueue(e); err != nil {
		t.Fatal(err)
	}
}

func replay(fs disk.FS, from LSN, clean bool) (out []string, rec Recovered, err error) {
	rec, err = Replay(fs, testDir, &Checkpoint{LSN: from, Clean: clean}, func(_ LSN, entries []Entry) error {
		for _, e := range entries {
			out = append(out, describe(e))
		}
		return nil
	})
	return out, rec, err
}

// TestReplayGivesWhatWasFlushed writes over several files, with checkpoints in between, and replays from each.
func TestReplayGivesWhatWasFlushed(t *testing.T) {
	fs, r := newDisk(t), newRecorder()
	c := start(t, fs, r, 0)
	type mark struct {
		at LSN
		n  int
	}
	var marks []mark
	for i := range 150 {
		e := one(uint64(i%3), batch.Offset(i), 100*(i%20))
		if i%17 == 0 {
			e = Entry{Kind: Drop, Log: uint64(i)}
		}
		put(t, c, e)
		if i%5 == 0 {
			if err := r.waitFor(i + 1); err != nil {
				t.Fatal(err)
			}
			marks = append(marks, mark{c.Durable(), i + 1}) // may still be the LSN before the last group
		}
		if i%40 == 39 {
			c.Recycle(&Checkpoint{LSN: marks[len(marks)-2].at})
			marks = marks[len(marks)-2:]
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, m := range marks {
		got, rec, err := replay(fs, m.at, false)
		if err != nil {
			t.Fatal(err)
		}
		if want := len(r.flushed) - m.n; len(got) < want || strings.Join(got, "\n") != strings.Join(r.flushed[len(r.flushed)-len(got):], "\n") || rec.End != c.Durable() {
			t.Fatalf("from LSN %d: %d entries up to %d, want at least the last %d up to %d", m.at, len(got), rec.End, want, c.Durable())
		}
	}
	names, err := fs.ReadDir(testDir)
	if err != nil || len(names) > 3 {
		t.Fatalf("%d files for a limit of 3 (%v)", len(names), err)
	}
}

// TestGroupsGather checks that entries which come while a group is in flight are made durable together.
func TestGroupsGather(t *testing.T) {
	r := newRecorder()
	r.gate = make(chan struct{})
	c := start(t, newDisk(t), r, 0)
	put(t, c, one(1, 0, 10))
	r.gate <- struct{}{} // the first group is on its way: what follows gathers behind it
	for i := range 31 {
		put(t, c, one(1, batch.Offset(i+1), 10))
	}
	close(r.gate)
	if err := r.waitFor(32); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if r.groups > 3 { // the first, one that may have begun while the others were put, and the rest
		t.Fatalf("32 entries took %d flushes", r.groups)
	}
}

// TestRoomIsGivenBackOnce: an entry that is refused leaves its room to who asked for it.
func TestRoomIsGivenBackOnce(t *testing.T) {
	c := start(t, newDisk(t), newRecorder(), 0)
	e := one(1, 0, 10)
	if err := c.Admit(len(e.Batch)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Enqueue(e); !errors.Is(err, ErrClosed) {
		t.Fatalf("%v, want ErrClosed", err)
	}
	c.Dismiss(len(e.Batch))
	if got := c.Counts().Queued; got != 0 {
		t.Errorf("%d bytes are queued", got)
	}
}

// TestEveryBitOfAFrameIsChecked flips each bit of a log of two frames. That is corruption: it may never be served, and never be taken for
// a torn write (C2); but in the last frame, when the mark behind it is lost, there is nothing else to take it for.
func TestEveryBitOfAFrameIsChecked(t *testing.T) {
	fs, r := newDisk(t), newRecorder()
	c := start(t, fs, r, 0)
	for i := range 2 {
		put(t, c, one(7, batch.Offset(i), 300))
		if err := r.waitFor(i + 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open(fileName(testDir, 0))
	if err != nil {
		t.Fatal(err)
	}
	size := frameSize([]Entry{one(7, 0, 300)})
	flips := func(frame int, want int, wantErr error) {
		t.Helper()
		for bit := range size * 8 {
			pos := int64(frame+1)*disk.PageSize + bit/8
			flipBit(t, f, pos, bit%8)
			got, _, err := replay(fs, 0, false)
			flipBit(t, f, pos, bit%8)
			if len(got) != want || !errors.Is(err, wantErr) {
				t.Fatalf("bit %d of frame %d: %d entries, %v; want %d, %v", bit, frame, len(got), err, want, wantErr)
			}
		}
	}
	flips(0, 0, ErrCorrupt)
	flips(1, 1, ErrCorrupt)
	if err := f.WriteVec([][]byte{make([]byte, fileHeader)}, 3*disk.PageSize); err != nil { // over the mark
		t.Fatal(err)
	}
	flips(0, 0, ErrCorrupt)
	flips(1, 1, nil)
	for bit := range int64(fileHeader * 8) {
		flipBit(t, f, bit/8, int64(bit%8))
		if _, _, err := replay(fs, 0, false); err == nil {
			t.Fatalf("bit %d of the file header was not noticed", bit)
		}
		flipBit(t, f, bit/8, int64(bit%8))
	}
}

func flipBit(t *testing.T, f disk.File, pos, bit int64) {
	t.Helper()
	var b [1]byte
	if err := disk.ReadFull(f, b[:], pos); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << bit
	if err := f.WriteVec([][]byte{b[:]}, pos); err != nil {
		t.Fatal(err)
	}
}

func TestLostFileIsCorruption(t *testing.T) {
	fs, r := newDisk(t), newRecorder()
	c := start(t, fs, r, 0)
	for i := range 40 {
		put(t, c, one(7, batch.Offset(i), 3000))
		if err := r.waitFor(i + 1); err != nil {
			t.Fatal(err)
		}
		if i == 30 {
			c.Recycle(&Checkpoint{LSN: 0}) // nothing may go
		}
		if c.files.waiting() {
			break
		}
	}
	c.Fail(errors.New("stop")) // as a crash would
	_ = c.Close()
	if err := fs.Remove(fileName(testDir, 0)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := replay(fs, 0, false); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("the first file is gone: %v", err)
	}
}

// TestLostLastFileIsCorruption: the file in use is gone, and no checkpoint has named it. The one before says that it was there.
func TestLostLastFileIsCorruption(t *testing.T) {
	fs, r := newDisk(t), newRecorder()
	c := start(t, fs, r, 0)
	for i := 0; c.File() < 2; i++ {
		put(t, c, one(7, batch.Offset(i), 3000))
		if err := r.waitFor(i + 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := replay(fs, 0, false); err != nil {
		t.Fatal(err)
	}
	l, err := list(fs, testDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range l.files[1:] { // the one prepared ahead, too
		if err := fs.Remove(fileName(testDir, seq)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := replay(fs, 0, false); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("the file in use is gone: %v", err)
	}
}

// waiting says that all files are in use, so the committer may be waiting for one.
func (s *supply) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready == nil && len(s.spare) == 0 && len(s.used) >= s.o.Files
}

// TestStaleFramesAreRefused recycles a file full of good frames and checks that none of them is read as part of its new use.
func TestStaleFramesAreRefused(t *testing.T) {
	fs := newDisk(t)
	at := LSN(0)
	for life := range 6 {
		r := newRecorder()
		c := start(t, fs, r, at)
		for i := range 3 {
			put(t, c, one(uint64(life), batch.Offset(i), 500))
			if err := r.waitFor(i + 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		got, rec, err := replay(fs, at, false)
		if err != nil || len(got) != 3 || rec.End != c.Durable() {
			t.Fatalf("life %d: %v %+v %v", life, got, rec, err)
		}
		at = rec.End
	}
}

func TestCheckpointRoundTripAndDamage(t *testing.T) {
	c := Checkpoint{LSN: 1 << 40, NextLog: 9, Clean: true, Logs: []LogState{
		{ID: 3, Name: "orders-0", Start: 5, End: 1 << 50, Segment: 77, Position: 1<<31 - 1, Prefix: 0xfedcba98, Rolled: []Chain{{5, 6}, {1 << 60, 1<<32 - 1}}}, {ID: 8, Name: "x"},
	}}
	b := c.Append(nil)
	got, err := ParseCheckpoint(b)
	if err != nil || fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", c) {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if _, err := ParseCheckpoint(b); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("bit %d of byte %d was not noticed: %v", bit, i, err)
			}
			b[i] ^= 1 << bit
		}
		if _, err := ParseCheckpoint(b[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at byte %d: %v", i, err)
		}
	}
}

// TestOlderCheckpointIsNotCorrupt: one that an older program wrote is refused, and as what it is.
func TestOlderCheckpointIsNotCorrupt(t *testing.T) {
	c := Checkpoint{LSN: 7, Logs: []LogState{{ID: 3, Name: "orders-0"}}}
	b := c.Append(nil)
	copy(b, olderCheckpoint)
	if _, err := ParseCheckpoint(b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another magic, and the checksum is of this one: %v", err)
	}
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	if _, err := ParseCheckpoint(b); err == nil || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), olderCheckpoint) {
		t.Error(err)
	}
	b[20] ^= 1
	if _, err := ParseCheckpoint(b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an older one that is damaged: %v", err)
	}
}

func TestReplaceFileIsOldOrNew(t *testing.T) {
	old, content := strings.Repeat("old", 500), strings.Repeat("new!", 700)
	for n := range 20 {
		for seed := range uint64(20) {
			mem := newDisk(t)
			if err := ReplaceFile(mem, "/d/f", []byte(old)); err != nil {
				t.Fatal(err)
			}
			left := n
			_ = ReplaceFile(disk.Inject(mem, func(disk.Op, string) error {
				if left--; left < 0 {
					return errors.New("cut")
				}
				return nil
			}), "/d/f", []byte(content))
			f, err := mem.Crash(rand.New(rand.NewPCG(seed, 0)), 0.5).Open("/d/f")
			if err != nil {
				t.Fatal(err)
			}
			size, _ := f.Size()
			b := make([]byte, size)
			if err := disk.ReadFull(f, b, 0); err != nil || (string(b) != old && string(b) != content) {
				t.Fatalf("cut after %d operations: %d bytes, neither old nor new (%v)", n, size, err)
			}
		}
	}
}

// FuzzFrame feeds the frame parser, with the right generation, bytes that a disk might hold.
func FuzzFrame(f *testing.F) {
	group := []Entry{one(1, 5, 20), {Kind: Drop, Log: 3}}
	b := appendFrame(nil, group, 0, 0, 0)
	for _, e := range group {
		b = append(b, e.Batch...)
	}
	f.Add(b)
	f.Add(b[:70])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseFrame(b, 0, 0)
		if !ok {
			return
		}
		if h.size() > int64(len(b)) {
			return
		}
		entries, ok := parseEntries(nil, b, h)
		if !ok {
			return
		}
		again := appendFrame(nil, entries, 0, h.lsn, h.durable)
		for _, e := range entries {
			again = append(again, e.Batch...)
		}
		if got, ok := parseEntries(nil, again, h); !ok || len(got) != len(entries) {
			t.Fatalf("a frame that parses does not survive being written again")
		}
	})
}

// FuzzCheckpoint feeds the checkpoint loader.
func FuzzCheckpoint(f *testing.F) {
	c := Checkpoint{LSN: 5, NextLog: 2, Logs: []LogState{{ID: 1, Name: "a-0", End: 3}}}
	f.Add(c.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= checkpointHeader && string(b[:8]) == checkpointMagic { // let the fuzzer past the CRC
			b = bytes.Clone(b)
			binary.LittleEndian.PutUint32(b[8:], checkpointCRC(b))
		}
		c, err := ParseCheckpoint(b)
		if err == nil && len(c.Append(nil)) != len(b) {
			t.Fatalf("parsed %d bytes, writes %d", len(b), len(c.Append(nil)))
		}
	})
}

// FuzzFileHeader feeds the file header parser.
func FuzzFileHeader(f *testing.F) {
	f.Add(header{sequence: 1, generation: 2, start: 4096, size: 1 << 20}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= fileHeader { // let the fuzzer past the CRC
			b = bytes.Clone(b)
			binary.LittleEndian.PutUint32(b[12:], headerCRC(b))
		}
		if h, err := parseHeader(b); err == nil && !bytes.Equal(h.append(nil)[16:], b[16:fileHeader]) {
			t.Fatalf("parsed %+v from other bytes", h)
		}
	})
}
