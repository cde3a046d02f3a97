package inspect

import (
	"encoding/binary"
	"strings"

	"github.com/streambus/streambus/engine/batch"
)

// Transactions: the .txnindex is drawn in engine/internal/txn/index.go, what a recap says of them in internal/txn/snapshot.go and
// engine/transactions.go.
const (
	txnSuffix    = ".txnindex"
	abortedEntry = 34
)

// recapTransactions shows the transactions that are open, and those that have ended and are not settled.
func (r *run) recapTransactions(c *cursor) error {
	b, err := c.take(8)
	if err != nil {
		return err
	}
	open, ended := int64(le.Uint32(b)), int64(le.Uint32(b[4:]))
	for range open {
		at := c.pos
		if b, err = c.take(openSize); err != nil {
			return err
		}
		if !r.show() {
			continue
		}
		err = r.row(c.name, "open", Field{"at", at}, Field{"producer", int64(le.Uint64(b))}, Field{"producerEpoch", int64(int16(le.Uint16(b[16:])))}, Field{"first", int64(le.Uint64(b[8:]))})
		if err != nil {
			return err
		}
	}
	for range ended {
		at := c.pos
		if b, err = c.take(endedSize); err != nil {
			return err
		}
		if !r.show() {
			continue
		}
		if err = r.row(c.name, "ended", Field{"at", at}, Field{"first", int64(le.Uint64(b))}, Field{"marker", int64(le.Uint64(b[8:]))}); err != nil {
			return err
		}
	}
	return nil
}

// recapAborted shows the aborted transactions of the segments that are not sealed.
func (r *run) recapAborted(c *cursor) error {
	b, err := c.take(4)
	if err != nil {
		return err
	}
	for range le.Uint32(b) {
		at := c.pos
		if b, err = c.take(unsealedSize); err != nil {
			return err
		}
		n := int64(le.Uint32(b[20:]))
		if r.show() {
			err = r.row(c.name, "unsealed", Field{"at", at}, Field{"base", int64(le.Uint64(b))}, Field{"bytes", int64(le.Uint64(b[8:]))}, Field{"prefixes", hex32(le.Uint32(b[16:]))}, Field{"aborted", n})
		}
		for i := int64(0); i < n && err == nil; i++ {
			at := c.pos
			if b, err = c.take(abortedEntry); err == nil {
				_, err = r.aborted(c.name, at, b)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var be = binary.BigEndian // Kafka's files

// abortedTxn is an entry.
type abortedTxn struct{ first, last, stable batch.Offset }

// aborted shows an entry.
func (r *run) aborted(name string, at int64, b []byte) (a abortedTxn, err error) {
	a = abortedTxn{batch.Offset(be.Uint64(b[10:])), batch.Offset(be.Uint64(b[18:])), batch.Offset(be.Uint64(b[26:]))}
	if r.show() && a.last >= r.o.From {
		err = r.row(name, "aborted", Field{"at", at}, Field{"version", int64(be.Uint16(b))}, Field{"producer", int64(be.Uint64(b[2:]))}, Field{"first", int64(a.first)},
			Field{"marker", int64(a.last)}, Field{"stable", int64(a.stable)})
	}
	return a, err
}

// txnIndex shows a .txnindex and checks the order of its entries, and against its seal, when that is beside it.
func (r *run) txnIndex(name string) error {
	w, err := r.open(name)
	if err != nil {
		return err
	}
	defer w.close()
	if _, ok := baseOf(name, txnSuffix); !ok {
		if err := r.damage(at(name, 0, 0), "the name is not that of an index: 20 digits and %s", txnSuffix); err != nil {
			return err
		}
	}
	if w.size%abortedEntry != 0 {
		if err := r.damage(at(name, 0, w.size), "%d bytes, not a multiple of %d; %s", w.size, abortedEntry, remakeTxn); err != nil {
			return err
		}
	}
	c, before := &cursor{w, 0}, abortedTxn{-1, -1, -1}
	for c.pos+abortedEntry <= w.size {
		pos := c.pos
		b, err := c.take(abortedEntry)
		if err != nil {
			return r.unreadable(w, pos, err)
		}
		a, err := r.aborted(name, pos, b)
		if err != nil {
			return err
		}
		if be.Uint16(b) != 0 || a.first < 0 || a.first >= a.last || a.last <= before.last || a.stable < before.stable || a.stable > a.last+1 {
			if err := r.damage(at(name, pos, pos+abortedEntry), "the entry does not follow the one before it, or cannot be; %s", remakeTxn); err != nil {
				return err
			}
		}
		before = a
	}
	return r.txnSealed(w)
}

const remakeTxn = "remove the .seal and the .txnindex of the segment while the broker is stopped; the next start makes them anew"

func (r *run) txnSealed(w *window) error {
	s, err := r.open(strings.TrimSuffix(w.name, txnSuffix) + sealSuffix)
	if isMissing(err) {
		return r.note(at(w.name, 0, w.size), "its .seal is not beside it: only the order of the entries was checked")
	} else if err != nil {
		return err
	}
	defer s.close()
	h, ok, err := r.quietly().sealHeader(s)
	if err != nil || !ok {
		return err
	}
	got, err := w.crc(0, w.size)
	if err != nil {
		return r.unreadable(w, 0, err)
	}
	if w.size != h.aborted*abortedEntry || got != h.abortedCRC {
		return r.damage(at(w.name, 0, w.size), "it has %d bytes with the checksum %s, the seal says %d entries and %s; %s", w.size, hex32(got), h.aborted, hex32(h.abortedCRC), remakeTxn)
	}
	return nil
}
