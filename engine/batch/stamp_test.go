package batch

import (
	"testing"
	"time"
)

func TestStampTime(t *testing.T) {
	b := Builder{ProducerID: 7, ProducerEpoch: 1, BaseSequence: 3, Sequenced: true}
	for i := range 3 {
		b.Add(time.UnixMilli(int64(1000+i)), nil, []byte("v"))
	}
	x := b.Batch()
	x.StampTime(5555)
	if err := x.CheckFresh(); err != nil {
		t.Fatal(err)
	}
	if !x.LogAppendTime() || x.MaxTimestamp() != 5555 || x.BaseTimestamp() != 1000 || x.ProducerID() != 7 || x.BaseSequence() != 3 {
		t.Errorf("%v %d %d", x.LogAppendTime(), x.MaxTimestamp(), x.BaseTimestamp())
	}
	n := 0
	_ = x.Each(func(r Record) bool {
		if n++; r.Timestamp != 5555 {
			t.Errorf("record %d is of %d", r.Offset, r.Timestamp)
		}
		return true
	})
	if n != 3 {
		t.Errorf("%d records", n)
	}
}

func TestRecoded(t *testing.T) {
	var b Builder
	b.Add(time.UnixMilli(1), []byte("k"), []byte("v"))
	x := b.Batch()
	x.Stamp(9, 4)
	packed := append(make([]byte, HeaderSize), "not really zstd"...)
	y := x.Recoded(packed, Zstd)
	if err := y.Check(); err != nil || y.Codec() != Zstd || y.BaseOffset() != 9 || y.LeaderEpoch() != 4 || string(y.Records()) != "not really zstd" {
		t.Fatalf("%v: codec %d, offset %d", err, y.Codec(), y.BaseOffset())
	}
	z := y.Recoded(append(make([]byte, HeaderSize), x.Records()...), None)
	if err := z.Check(); err != nil || string(z) != string(x) {
		t.Errorf("%v: there and back is not the same", err)
	}
	if err := z.CheckRecords(); err != nil {
		t.Error(err)
	}
}
