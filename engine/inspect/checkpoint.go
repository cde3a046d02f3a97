package inspect

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/streambus/streambus/engine/batch"
)

var le = binary.LittleEndian

// The checkpoint: drawn in engine/internal/commit/checkpoint.go.
const (
	checkpointMagic  = "SBCHKPT3"
	checkpointHeader = 40
	logStateSize     = 72
	chainSize        = 12
	maxName          = 255
)

// known is what a checkpoint says.
type known struct {
	lsn   uint64
	next  uint64 // log id
	clean bool
	file  uint32 // sequence of the newest commit-log file in use, plus 1; 0: none
	logs  map[uint64]*logState
}

// logState is one log as of the checkpoint.
type logState struct {
	id         uint64
	name       string
	start, end batch.Offset
	segment    batch.Offset
	position   int64
	lsn        uint64
	cuts       uint32
	unlogged   bool
	cutting    bool
	compacted  bool
	cleaned    batch.Offset
	prefixes   uint32
	rolled     int64 // segments below that one without a seal
}

// checkpoint reads the file. k is nil when it cannot be believed.
func (r *run) checkpoint(name string, keep bool) (k *known, err error) {
	w, err := r.open(name)
	if err != nil {
		return nil, err
	}
	defer w.close()
	k = &known{logs: map[uint64]*logState{}}
	good, n, err := r.checkpointHeader(w, k)
	if err != nil || n < 0 {
		return nil, err
	}
	pos := int64(checkpointHeader)
	for i := range n {
		s, size, bad, err := r.checkpointLog(w, pos)
		if err != nil {
			return nil, err
		}
		if bad != "" {
			return nil, r.damage(at(name, pos, w.size), "log %d of %d: %s; restore the file from a copy", i, n, bad)
		}
		if keep && len(k.logs) >= MaxLogs {
			return nil, fmt.Errorf("%s names more than %d logs: too many to be compared with their folders; verify the folders one by one", name, MaxLogs)
		}
		if keep {
			k.logs[s.id] = s
		}
		if r.show() {
			if err := r.row(name, "log", s.fields(pos)...); err != nil {
				return nil, err
			}
		}
		pos += size
	}
	if pos != w.size {
		good = false
		err = r.damage(at(name, pos, w.size), "%d bytes after the last of %d logs", w.size-pos, n)
	}
	if !good {
		return nil, err
	}
	return k, err
}

// checkpointHeader reads and shows the header; n is below 0 when nothing that follows can be read.
func (r *run) checkpointHeader(w *window, k *known) (good bool, n int64, err error) {
	h, err := w.bytes(0, int(min(checkpointHeader, w.size)))
	if err != nil {
		return false, -1, r.unreadable(w, 0, err)
	}
	if len(h) < checkpointHeader || string(h[:8]) != checkpointMagic {
		return false, -1, r.damage(at(w.name, 0, w.size), "not a checkpoint: it does not begin with %q; restore it or the data directory from a copy", checkpointMagic)
	}
	crc := le.Uint32(h[8:])
	n = int64(le.Uint32(h[12:]))
	k.lsn, k.next, k.clean, k.file = le.Uint64(h[16:]), le.Uint64(h[24:]), le.Uint32(h[32:])&1 != 0, le.Uint32(h[36:])
	rest, err := w.crc(12, w.size)
	if err != nil {
		return false, -1, r.unreadable(w, 0, err)
	}
	got := crc32.Update(rest, castagnoli, []byte(checkpointMagic))
	good = got == crc
	if !good {
		if err := r.damage(at(w.name, 0, w.size), "the checksum is %s, the header says %s; restore it or the data directory from a copy", hex32(got), hex32(crc)); err != nil {
			return false, -1, err
		}
	}
	if r.show() {
		err = r.row(w.name, "checkpoint", Field{"at", int64(0)}, Field{"size", w.size}, Field{"crc", hex32(crc)}, Field{"state", state(good)},
			Field{"logs", n}, Field{"lsn", k.lsn}, Field{"nextLog", k.next}, Field{"clean", k.clean}, Field{"file", int64(k.file)})
	}
	return good, n, err
}

// checkpointLog reads one log. bad says why it cannot be.
func (r *run) checkpointLog(w *window, pos int64) (s *logState, size int64, bad string, err error) {
	if w.size-pos < logStateSize {
		return nil, 0, fmt.Sprintf("%d bytes are left, it needs %d at least", w.size-pos, logStateSize), nil
	}
	b, err := w.bytes(pos, logStateSize)
	if err != nil {
		return nil, 0, "", err
	}
	flags := le.Uint32(b[52:])
	s = &logState{
		id: le.Uint64(b), start: batch.Offset(le.Uint64(b[8:])), end: batch.Offset(le.Uint64(b[16:])), segment: batch.Offset(le.Uint64(b[24:])),
		position: int64(le.Uint32(b[32:])), lsn: le.Uint64(b[40:]), cuts: le.Uint32(b[48:]), unlogged: flags&1 != 0, cutting: flags&2 != 0, compacted: flags&4 != 0,
		cleaned: batch.Offset(le.Uint64(b[56:])), prefixes: le.Uint32(b[64:]),
	}
	n, rolled := int64(le.Uint32(b[36:])), int64(le.Uint32(b[68:]))
	if n > maxName || n+rolled*chainSize > w.size-pos-logStateSize {
		return nil, 0, fmt.Sprintf("its name has %d bytes (%d are allowed) and %d rolled segments follow, %d bytes are left", n, maxName, rolled, w.size-pos-logStateSize), nil
	}
	s.rolled = rolled
	if b, err = w.bytes(pos+logStateSize, int(n)); err != nil {
		return nil, 0, "", err
	}
	s.name = string(b)
	return s, logStateSize + n + rolled*chainSize, "", nil
}

func (s *logState) fields(pos int64) []Field {
	return []Field{
		{"at", pos}, {"id", s.id}, {"start", int64(s.start)}, {"end", int64(s.end)}, {"segment", int64(s.segment)}, {"position", s.position},
		{"lsn", s.lsn}, {"cuts", int64(s.cuts)}, {"unlogged", s.unlogged}, {"cutting", s.cutting}, {"compacted", s.compacted},
		{"cleaned", int64(s.cleaned)}, {"prefixes", hex32(s.prefixes)}, {"rolled", s.rolled}, {"name", s.name},
	}
}

// log.meta: drawn in engine/recover.go.
const (
	metaMagic = "SBLOG001"
	metaSize  = 24
)

// meta reads a log's id; ok is false when it cannot be believed.
func (r *run) meta(name string) (id uint64, ok bool, err error) {
	w, err := r.open(name)
	if err != nil {
		return 0, false, err
	}
	defer w.close()
	b, err := w.bytes(0, int(min(w.size, metaSize)))
	if err != nil {
		return 0, false, r.unreadable(w, 0, err)
	}
	if w.size != metaSize || string(b[:8]) != metaMagic {
		return 0, false, r.damage(at(name, 0, w.size), "not a log.meta: want %d bytes that begin with %q; restore it from a copy", metaSize, metaMagic)
	}
	got, want := crcOf(b[12:]), le.Uint32(b[8:])
	id = le.Uint64(b[16:])
	if got != want {
		if err := r.damage(at(name, 0, w.size), "the checksum is %s, the file says %s; restore it from a copy", hex32(got), hex32(want)); err != nil {
			return 0, false, err
		}
	}
	if r.show() {
		err = r.row(name, "meta", Field{"at", int64(0)}, Field{"id", id}, Field{"crc", hex32(want)}, Field{"state", state(got == want)})
	}
	return id, got == want, err
}

// lock shows who holds, or held, the data directory.
func (r *run) lock(name string) error {
	w, err := r.open(name)
	if err != nil {
		return err
	}
	defer w.close()
	b, err := w.bytes(0, int(min(w.size, 64)))
	if err != nil || !r.show() {
		return r.unreadable(w, 0, err)
	}
	holder := string(b)
	for len(holder) > 0 && holder[len(holder)-1] == '\n' {
		holder = holder[:len(holder)-1]
	}
	return r.row(name, "lock", Field{"at", int64(0)}, Field{"size", w.size}, Field{"process", holder})
}
