package admit

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/codec"
)

const now = int64(1_700_000_000_000)

// rec is a record of a test batch.
type rec struct {
	ms  int64
	key string
}

func build(t *testing.T, c batch.Codec, recs ...rec) batch.Batch {
	t.Helper()
	b := batch.Builder{ProducerID: 5, ProducerEpoch: 2, BaseSequence: 9, Sequenced: true}
	for i, r := range recs {
		var key []byte
		if r.key != "" {
			key = []byte(r.key)
		}
		b.Add(time.UnixMilli(r.ms), key, fmt.Appendf(nil, "value %d %s", i, strings.Repeat("x", 50)), batch.Header{Key: []byte("h"), Value: []byte("w")})
	}
	out := b.Batch()
	if c == batch.None {
		return out
	}
	packed, err := codec.Encode(make([]byte, batch.HeaderSize), c, out.Records())
	if err != nil {
		t.Fatal(err)
	}
	return out.Recoded(packed, c)
}

// text is all records of a batch in words.
func text(t *testing.T, b batch.Batch) string {
	t.Helper()
	if b.Codec() != batch.None {
		records, err := codec.Decode(nil, b.Codec(), b.Records(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		b = b.Plain(nil, records)
	}
	var out strings.Builder
	if err := b.Each(func(r batch.Record) bool {
		fmt.Fprintf(&out, "%d %d %s %s %s\n", r.Offset, r.Timestamp, r.Key, r.Value, r.Headers()[0].Value)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func rules(change func(*Rules)) *Rules {
	r := Any
	if change != nil {
		change(&r)
	}
	return &r
}

func TestRefusals(t *testing.T) {
	keys := rules(func(r *Rules) { r.RequiresKey = true })
	times := rules(func(r *Rules) { r.BeforeMs, r.AfterMs = 1000, 100 })
	after := rules(func(r *Rules) { r.AfterMs = 100 })
	stamped := rules(func(r *Rules) { r.BeforeMs, r.AfterMs, r.AppendTime = 0, 0, true })
	both := rules(func(r *Rules) { r.BeforeMs, r.RequiresKey = 1000, true })
	late, old := rec{now + 101, "k"}, rec{now - 1001, "k"}
	fine := rec{now, "k"}
	for name, c := range map[string]struct {
		r       *Rules
		recs    []rec
		want    error
		indexes string
	}{
		"all keys":            {keys, []rec{fine, fine}, nil, ""},
		"keys are missing":    {keys, []rec{fine, {now, ""}, fine, {now, ""}}, ErrRecord, "1 3"},
		"no keys are needed":  {rules(nil), []rec{{now, ""}}, nil, ""},
		"limits of time":      {times, []rec{{now - 1000, ""}, {now + 100, ""}}, nil, ""},
		"too old and too new": {times, []rec{fine, old, late}, ErrTimestamp, "1 2"},
		"header says late":    {after, []rec{fine, late}, ErrTimestamp, "1"},
		"header says fine":    {after, []rec{old, fine}, nil, ""},
		"no clock":            {times, []rec{{-1, ""}}, nil, ""},
		"time is not looked at where the broker stamps": {stamped, []rec{old, late}, nil, ""},
		"both":         {both, []rec{{now, ""}, old}, ErrTimestamp, "0 1"},
		"far future":   {rules(nil), []rec{{math.MaxInt64 / 2, ""}}, nil, ""},
		"distant past": {rules(func(r *Rules) { r.BeforeMs = math.MaxInt64 - 1 }), []rec{{0, ""}}, nil, ""},
	} {
		for _, codec := range []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd} {
			b := build(t, codec, c.recs...)
			before := bytes.Clone(b)
			_, err := c.r.Admit(b, now)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%s, codec %d: %v, want %v", name, codec, err, c.want)
				continue
			}
			if err != nil && !bytes.Equal(b, before) {
				t.Errorf("A3: %s, codec %d: the batch has changed", name, codec)
			}
			var indexes []string
			if bad := (*Refusal)(nil); errors.As(err, &bad) {
				for _, f := range bad.Faults {
					indexes = append(indexes, fmt.Sprint(f.Index))
				}
			}
			if got := strings.Join(indexes, " "); got != c.indexes {
				t.Errorf("%s, codec %d: records %s, want %s", name, codec, got, c.indexes)
			}
		}
	}
}

func TestProducerMustNotStamp(t *testing.T) {
	b := build(t, batch.None, rec{now, "k"})
	b.StampTime(1)
	if _, err := rules(nil).Admit(b, now); !errors.Is(err, ErrTimestamp) {
		t.Error(err)
	}
}

func TestRecodingAndStampingKeepTheRecords(t *testing.T) {
	all := []batch.Codec{batch.None, batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd}
	for _, from := range all {
		for _, to := range all {
			for _, stamp := range []bool{false, true} {
				b := build(t, from, rec{now, "a"}, rec{now - 5, ""}, rec{now + 5, "c"})
				want := text(t, b)
				out, err := rules(func(r *Rules) { r.Recode, r.Codec, r.AppendTime = true, to, stamp }).Admit(b, now+1000)
				if err != nil {
					t.Fatal(err)
				}
				if err := out.CheckFresh(); err != nil || out.Codec() != to || out.ProducerID() != 5 || out.BaseSequence() != 9 || out.LogAppendTime() != stamp {
					t.Errorf("%d to %d: %v", from, to, err)
				}
				if !stamp && text(t, out) != want {
					t.Errorf("%d to %d:\n%s, want\n%s", from, to, text(t, out), want)
				}
				if stamp && (out.MaxTimestamp() != now+1000 || strings.Count(text(t, out), fmt.Sprint(now+1000)) != 3) {
					t.Errorf("%d to %d is stamped:\n%s", from, to, text(t, out))
				}
				if from == to && &out[0] != &b[0] {
					t.Errorf("A1: %d to %d was copied", from, to)
				}
			}
		}
	}
}

func TestHostileRecords(t *testing.T) {
	good := build(t, batch.None, rec{now, "k"})
	pack := func(c batch.Codec, plain []byte) batch.Batch {
		packed, err := codec.Encode(make([]byte, batch.HeaderSize), c, plain)
		if err != nil {
			t.Fatal(err)
		}
		return good.Recoded(packed, c)
	}
	r := rules(func(r *Rules) { r.Recode, r.Codec = true, batch.LZ4 })
	for name, c := range map[string]struct {
		b    batch.Batch
		want error
	}{
		"a bomb":          {pack(batch.Zstd, make([]byte, PlainBytes+1)), ErrPlain},
		"not zstd":        {good.Recoded(append(make([]byte, batch.HeaderSize), "junk"...), batch.Zstd), ErrRecord},
		"no records":      {pack(batch.Gzip, nil), ErrRecord},
		"junk in it":      {pack(batch.Gzip, []byte("junk")), ErrRecord},
		"one byte behind": {pack(batch.Gzip, append(bytes.Clone(good.Records()), 0)), ErrRecord},
	} {
		if _, err := r.Admit(c.b, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	recs := make([]rec, 5000)
	_, err := rules(func(r *Rules) { r.RequiresKey = true }).Admit(build(t, batch.None, recs...), now)
	bad := (*Refusal)(nil)
	if !errors.As(err, &bad) || len(bad.Faults) != maxFaults || bad.Total != 5000 {
		t.Errorf("%v", err)
	}
}

func TestNothingAskedAllocatesNothing(t *testing.T) {
	b := build(t, batch.Zstd, rec{now, "k"})
	r := rules(func(r *Rules) { r.AfterMs = 1000 })
	if n := testing.AllocsPerRun(100, func() {
		if _, err := r.Admit(b, now); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("A1: %v allocations", n)
	}
}

func TestAcks(t *testing.T) {
	two := rules(func(r *Rules) { r.MinInsync = 2 })
	if err := two.Acks(true); !errors.Is(err, ErrReplicas) {
		t.Error(err)
	}
	if two.Acks(false) != nil || rules(nil).Acks(true) != nil {
		t.Error("refused without a reason")
	}
}

// FuzzAdmit: whatever a compressed batch holds, Admit ends, and what it takes is a batch that CheckFresh takes.
func FuzzAdmit(f *testing.F) {
	var b batch.Builder
	b.Add(time.UnixMilli(now), []byte("k"), []byte("v"))
	good := b.Batch()
	for _, c := range []batch.Codec{batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd} {
		packed, _ := codec.Encode(nil, c, good.Records())
		f.Add(packed, uint8(c), uint8(batch.None))
	}
	f.Fuzz(func(t *testing.T, records []byte, from, to uint8) {
		in := good.Recoded(append(make([]byte, batch.HeaderSize), records...), batch.Codec(from%5))
		if in.CheckFresh() != nil {
			return
		}
		r := Rules{Recode: true, Codec: batch.Codec(to % 5), BeforeMs: 1000, AfterMs: 1000, RequiresKey: true}
		out, err := r.Admit(in, now)
		if err != nil {
			return
		}
		if err := out.CheckFresh(); err != nil {
			t.Fatal(err)
		}
	})
}
