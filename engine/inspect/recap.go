package inspect

import (
	"bytes"
	"errors"
	"io"

	"github.com/streambus/streambus/engine/disk"
)

// The recap: drawn in engine/internal/recap/recap.go, the index in it in internal/index/heapfile.go, the prefix sums in
// internal/segment/sums.go, the producers in internal/producer/snapshot.go, the transactions in
// internal/txn/snapshot.go and engine/transactions.go.
const (
	recapMagic    = "SBRECAP3"
	recapHeader   = 64
	recapEpoch    = 12
	heapHeader    = 60
	heapRun       = 127
	groupSize     = 12
	producerSize  = 12
	sentSize      = 16
	sentMost      = 5
	markerSize    = 8
	producersMost = 1 << 16
	openSize      = 18
	endedSize     = 16
	unsealedSize  = 24 // with the number of entries
)

// cursor reads a file front to back.
type cursor struct {
	*window
	pos int64
}

func (c *cursor) take(n int) ([]byte, error) {
	b, err := c.bytes(c.pos, n)
	c.pos += int64(n)
	return b, err
}

// recap shows and checks a recap.
func (r *run) recap(name string) error {
	w, err := r.open(name)
	if err != nil {
		return err
	}
	defer w.close()
	torn, err := w.torn()
	if err != nil {
		return r.unreadable(w, 0, err)
	}
	bad := func(p place, format string, args ...any) error {
		return r.report(!torn, p, format+"; the next start ignores it and reads the log instead", args...)
	}
	h, err := w.bytes(0, int(min(w.size, recapHeader)))
	if err != nil {
		return r.unreadable(w, 0, err)
	}
	if len(h) < recapHeader || string(h[:8]) != recapMagic {
		return bad(at(name, 0, w.size), "not a recap: want %d bytes at least that begin with %q", recapHeader, recapMagic)
	}
	crc, cuts, epochs := le.Uint32(h[8:]), le.Uint32(h[12:]), int64(le.Uint32(h[60:]))
	fields := []Field{
		{"at", int64(0)}, {"log", le.Uint64(h[16:])}, {"cuts", int64(cuts)}, {"segment", int64(le.Uint64(h[24:]))}, {"position", int64(le.Uint64(h[32:]))},
		{"next", int64(le.Uint64(h[40:]))}, {"lastPosition", int64(le.Uint64(h[48:]))}, {"lastCRC", hex32(le.Uint32(h[56:]))}, {"epochs", epochs}, {"crc", hex32(crc)},
	}
	got, err := w.crc(12, w.size)
	if err != nil {
		return r.unreadable(w, 0, err)
	}
	if got != crc {
		if err := bad(at(name, 0, w.size), "the checksum is %s, the file says %s", hex32(got), hex32(crc)); err != nil {
			return err
		}
	}
	if r.show() {
		if err := r.row(name, "recap", append(fields, Field{"state", state(got == crc)})...); err != nil {
			return err
		}
	}
	c := &cursor{w, recapHeader}
	for _, part := range []func() error{
		func() error { return r.recapEpochs(c, epochs) }, func() error { return r.recapIndex(c) }, func() error { return r.recapSums(c, int64(le.Uint64(h[24:]))) },
		func() error { return r.recapProducers(c) }, func() error { return r.recapTransactions(c) }, func() error { return r.recapAborted(c) },
	} {
		if err := part(); errors.Is(err, io.ErrUnexpectedEOF) {
			if got != crc {
				return nil // told already
			}
			return bad(at(name, c.pos, w.size), "the file ends in the middle of what it should hold")
		} else if err != nil {
			return err
		}
	}
	if c.pos < w.size && got == crc {
		return bad(at(name, c.pos, w.size), "%d bytes after the last segment", w.size-c.pos)
	}
	return nil
}

// torn says whether the file is as a power cut may leave one that was not synced: whole sectors of zeros, or cut off at a sector.
func (w *window) torn() (bool, error) {
	if w.size%disk.SectorSize == 0 {
		return true, nil
	}
	zeros := make([]byte, disk.SectorSize)
	for pos := int64(0); pos < w.size; pos += disk.SectorSize {
		b, err := w.bytes(pos, int(min(disk.SectorSize, w.size-pos)))
		if err != nil {
			return false, err
		}
		if bytes.Equal(b, zeros[:len(b)]) {
			return true, nil
		}
	}
	return false, nil
}

func (r *run) recapEpochs(c *cursor, n int64) error {
	for range n {
		at := c.pos
		b, err := c.take(recapEpoch)
		if err != nil {
			return err
		}
		if !r.show() {
			continue
		}
		if err := r.row(c.name, "epoch", Field{"at", at}, Field{"epoch", int64(int32(le.Uint32(b)))}, Field{"start", int64(le.Uint64(b[4:]))}); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) recapIndex(c *cursor) error {
	at := c.pos
	b, err := c.take(heapHeader)
	if err != nil {
		return err
	}
	base, n := int64(le.Uint64(b)), int64(le.Uint32(b[56:]))
	if r.show() {
		err = r.row(c.name, "heap", Field{"at", at}, Field{"base", base}, Field{"interval", int64(le.Uint64(b[8:]))}, Field{"indexed", int64(le.Uint64(b[16:]))},
			Field{"newest", Millis(le.Uint64(b[24:]))}, Field{"newestAt", int64(le.Uint64(b[32:]))}, Field{"newestPosition", int64(le.Uint64(b[40:]))}, Field{"entries", n})
	}
	for i := int64(0); i < n && err == nil; i++ {
		if i%heapRun == 0 {
			if _, err := c.take(8); err != nil {
				return err
			}
		}
		at := c.pos
		if b, err = c.take(8); err != nil {
			return err
		}
		if offset := base + int64(le.Uint32(b)); r.show() && offset >= int64(r.o.From) {
			err = r.row(c.name, "point", Field{"at", at}, Field{"offset", offset}, Field{"position", int64(le.Uint32(b[4:]))}, Field{"state", "ok"})
		}
	}
	return err
}

// recapSums shows the chain over the prefixes of the batches, and where it stood at each 64 KiB.
func (r *run) recapSums(c *cursor, base int64) error {
	at := c.pos
	b, err := c.take(8)
	if err != nil {
		return err
	}
	n := int64(le.Uint32(b[4:]))
	if r.show() {
		err = r.row(c.name, "sums", Field{"at", at}, Field{"prefixes", hex32(le.Uint32(b))}, Field{"groups", n})
	}
	for i := int64(0); i < n && err == nil; i++ {
		at := c.pos
		if b, err = c.take(groupSize); err != nil {
			return err
		}
		if r.show() {
			err = r.row(c.name, "group", Field{"at", at}, Field{"position", int64(le.Uint32(b))}, Field{"offset", base + int64(le.Uint32(b[8:]))}, Field{"before", hex32(le.Uint32(b[4:]))})
		}
	}
	return err
}

func (r *run) recapProducers(c *cursor) error {
	b, err := c.take(4)
	if err != nil {
		return err
	}
	n := int64(le.Uint32(b))
	if n > producersMost {
		return io.ErrUnexpectedEOF // more than there can be
	}
	for range n {
		at := c.pos
		if b, err = c.take(producerSize); err != nil {
			return err
		}
		id, epoch, sent := int64(le.Uint64(b)), int16(le.Uint16(b[8:])), int64(le.Uint16(b[10:]))
		if sent > sentMost {
			return io.ErrUnexpectedEOF
		}
		show := func(first, last int32, base uint64) error {
			if !r.show() {
				return nil
			}
			return r.row(c.name, "producer", Field{"at", at}, Field{"producer", id}, Field{"producerEpoch", int64(epoch)}, Field{"first", int64(first)},
				Field{"last", int64(last)}, Field{"base", int64(base)})
		}
		if sent == 0 { // a marker began the epoch
			if b, err = c.take(markerSize); err == nil {
				err = show(-1, -1, le.Uint64(b))
			}
		}
		for i := int64(0); i < sent && err == nil; i++ {
			if b, err = c.take(sentSize); err == nil {
				err = show(int32(le.Uint32(b)), int32(le.Uint32(b[4:])), le.Uint64(b[8:]))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
