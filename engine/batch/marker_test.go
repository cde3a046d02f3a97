package batch

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func abortOf7() Batch { return EndTxnMarker(Abort, 7, 2, 300, time.UnixMilli(1000)) }

// TestMarkerIsFrozen: the bytes are on disks and on the wire.
func TestMarkerIsFrozen(t *testing.T) {
	const want = "" +
		"0000000000000000" + "00000042" + "ffffffff" + "02" + "59c79d70" + // base offset, length, leader epoch, magic, crc
		"0030" + "00000000" + "00000000000003e8" + "00000000000003e8" + // transactional and control, last delta, times
		"0000000000000007" + "0002" + "ffffffff" + "00000001" + // producer, epoch, no sequence, one record
		"20" + "000000" + "08" + "00000000" + "0c" + "00000000012c" + "00"
	if got := hex.EncodeToString(abortOf7()); got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
}

// TestMarkerAgreesWithOracle has franz-go's kmsg read the record of a marker, and the batch read what kmsg wrote.
func TestMarkerAgreesWithOracle(t *testing.T) {
	for _, c := range []ControlType{Abort, Commit} {
		b := EndTxnMarker(c, 9, 32767, 5, time.UnixMilli(77))
		if err := b.CheckFresh(); err != nil {
			t.Fatal(err)
		}
		if !b.Control() || !b.Transactional() || b.ProducerID() != 9 || b.ProducerEpoch() != 32767 || b.BaseSequence() != NoSequence || b.MaxTimestamp() != 77 {
			t.Errorf("marker %x", []byte(b))
		}
		var key kmsg.ControlRecordKey
		var value kmsg.EndTxnMarker
		err := b.Each(func(r Record) bool {
			if err := key.ReadFrom(r.Key); err != nil {
				t.Error(err)
			}
			if err := value.ReadFrom(r.Value); err != nil {
				t.Error(err)
			}
			return true
		})
		if err != nil || int16(key.Type) != int16(c) || value.CoordinatorEpoch != 5 || value.Version != 0 || key.Version != 0 {
			t.Errorf("the oracle reads %+v %+v, %v", key, value, err)
		}
		key, value = kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyType(c)}, kmsg.EndTxnMarker{CoordinatorEpoch: -3}
		if got, epoch, ok := control(key.AppendTo(nil), value.AppendTo(nil)).ControlType(); got != c || epoch != -3 || !ok {
			t.Errorf("of the oracle's marker %d: type %d, epoch %d, %t", c, got, epoch, ok)
		}
	}
}

// control is a control batch with this record.
func control(key, value []byte) Batch {
	b := Builder{ProducerID: 7, ProducerEpoch: 2, BaseSequence: NoSequence, Sequenced: true}
	b.Add(time.UnixMilli(1), key, value)
	out := b.Batch()
	binary.BigEndian.PutUint16(out[atAttributes:], transactionalBit|controlBit)
	return seal(out)
}

func TestControlType(t *testing.T) {
	type (
		key   = []byte
		value = []byte
	)
	commit, epoch := key{0, 0, 0, 1}, value{0, 0, 0, 0, 0, 9}
	with := func(b Batch, change func(Batch)) Batch { change(b); return b }
	for name, c := range map[string]struct {
		b     Batch
		t     ControlType
		epoch int32
		ok    bool
	}{
		"commit":                       {control(commit, epoch), Commit, 9, true},
		"abort":                        {control(key{0, 0, 0, 0}, epoch), Abort, 9, true},
		"later versions add":           {control(key{0, 1, 0, 1, 5}, value{0, 1, 0, 0, 0, 9, 8, 8}), Commit, 9, true},
		"a type of the metadata log":   {control(key{0, 0, 0, 2}, nil), 2, NoCoordinatorEpoch, true},
		"a type nobody knows":          {control(key{0, 0, 0xff, 0xff}, nil), -1, NoCoordinatorEpoch, true},
		"negative version of the key":  {control(key{0xff, 0xff, 0, 1}, epoch), 0, 0, false},
		"negative version, value":      {control(commit, value{0x80, 0, 0, 0, 0, 9}), 0, 0, false},
		"a key cut off":                {control(commit[:3], epoch), 0, 0, false},
		"no key":                       {control(nil, epoch), 0, 0, false},
		"a value cut off":              {control(commit, epoch[:5]), 0, 0, false},
		"no value":                     {control(commit, nil), 0, 0, false},
		"not a control batch":          {build(1), 0, 0, false},
		"compressed":                   {with(control(commit, epoch), func(b Batch) { b[22] |= byte(Zstd) }), 0, 0, false},
		"emptied by a cleaner":         {with(control(commit, epoch)[:HeaderSize], func(b Batch) { b[60] = 0 }), 0, 0, false},
		"negative count":               {with(control(commit, epoch), func(b Batch) { b[57] = 0xff }), 0, 0, false},
		"the header alone":             {control(commit, epoch)[:HeaderSize], 0, 0, false},
		"cut off in the record":        {control(commit, epoch)[:77], 0, 0, false},
		"a record longer than it is":   {with(control(commit, epoch), func(b Batch) { b[HeaderSize] = 0x7e }), 0, 0, false},
		"what follows need not be had": {append(control(commit, epoch), 1, 2, 3), Commit, 9, true},
	} {
		if got, e, ok := c.b.ControlType(); got != c.t || e != c.epoch || ok != c.ok {
			t.Errorf("%s: type %d, coordinator epoch %d, %t; want %d, %d, %t", name, got, e, ok, c.t, c.epoch, c.ok)
		}
	}
}

func TestOnlyAbortAndCommitEnd(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("type 2 was built")
		}
	}()
	EndTxnMarker(2, 7, 2, 0, time.UnixMilli(1))
}

func TestControlTypeAllocatesNothing(t *testing.T) {
	b := abortOf7()
	if n := testing.AllocsPerRun(100, func() { _, _, _ = b.ControlType() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzControlType(f *testing.F) {
	f.Add([]byte(abortOf7()))
	f.Add([]byte(control([]byte{0, 0, 0, 2}, nil)))
	f.Add([]byte(build(1)))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) < HeaderSize { // B1: accessors need a header
			return
		}
		b := Batch(in)
		c, epoch, ok := b.ControlType()
		if !ok || c != Abort && c != Commit {
			return
		}
		again := EndTxnMarker(c, b.ProducerID(), b.ProducerEpoch(), epoch, time.UnixMilli(1))
		if c2, epoch2, ok := again.ControlType(); c2 != c || epoch2 != epoch || !ok || again.Check() != nil && b.ProducerID() >= NoProducerID {
			t.Errorf("%d of epoch %d became %d of %d, %t: %v", c, epoch, c2, epoch2, ok, again.Check())
		}
		if whole, err := First(in); err == nil && !bytes.Equal(whole, in) {
			if c2, epoch2, ok := whole.ControlType(); ok && (c2 != c || epoch2 != epoch) {
				t.Error("what follows the batch changed what it says")
			}
		}
	})
}
