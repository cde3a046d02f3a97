package txn

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine/batch"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func someMeta() Meta {
	return Meta{
		Producer: Producer{7, 3}, LastEpoch: NoEpoch, Previous: 7, Next: batch.NoProducerID, TimeoutMs: 60000, State: PrepareCommit, Version: 2,
		Parts:     []TopicPartition{{"__consumer_offsets", 12}, {"orders", 0}, {"orders", 5}},
		UpdatedMs: 1700000000123, StartedMs: 1700000000000,
	}
}

// TestRecordsAreFrozen: the bytes are on disks, and Kafka's tools read them.
func TestRecordsAreFrozen(t *testing.T) {
	m := someMeta()
	overflow := m
	overflow.Next = 99
	empty := m
	empty.State, empty.Parts, empty.Version, empty.StartedMs, empty.Previous = Empty, nil, 0, NoTime, batch.NoProducerID
	offsets, orders := hex.EncodeToString([]byte("__consumer_offsets")), hex.EncodeToString([]byte("orders"))
	for _, c := range []struct {
		name, want string
		got        []byte
	}{
		{"key", "0000" + "0002" + "6162", appendKey(nil, "ab")},
		{"value 0", "0000" + "0000000000000007" + "0003" + "0000ea60" + "02" +
			"00000002" + "0012" + offsets + "00000001" + "0000000c" + "0006" + orders + "00000002" + "00000000" + "00000005" +
			"0000018bcfe5687b" + "0000018bcfe56800", appendValue(nil, &m, 0)},
		{"value 1", "0001" + "0000000000000007" + "0003" + "0000ea60" + "02" +
			"03" + "13" + offsets + "02" + "0000000c" + "00" + "07" + orders + "03" + "00000000" + "00000005" + "00" +
			"0000018bcfe5687b" + "0000018bcfe56800" + "02" + "0008" + "0000000000000007" + "0202" + "0002", appendValue(nil, &m, 2)},
		{"value 1, all tags", "0001" + "0000000000000007" + "0003" + "0000ea60" + "02" +
			"03" + "13" + offsets + "02" + "0000000c" + "00" + "07" + orders + "03" + "00000000" + "00000005" + "00" +
			"0000018bcfe5687b" + "0000018bcfe56800" +
			"03" + "0008" + "0000000000000007" + "0108" + "0000000000000063" + "0202" + "0002", appendValue(nil, &overflow, 1)},
		{"value 0, empty", "0000" + "0000000000000007" + "0003" + "0000ea60" + "00" + "ffffffff" +
			"0000018bcfe5687b" + "ffffffffffffffff", appendValue(nil, &empty, 0)},
		{"value 1, empty", "0001" + "0000000000000007" + "0003" + "0000ea60" + "00" + "00" +
			"0000018bcfe5687b" + "ffffffffffffffff" + "00", appendValue(nil, &empty, 2)},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.want)
		}
	}
}

// TestRecordsAgreeWithOracle has franz-go's kmsg read what is written, and reads what it writes.
func TestRecordsAgreeWithOracle(t *testing.T) {
	var k kmsg.TxnMetadataKey
	if err := k.ReadFrom(appendKey(nil, "id")); err != nil || k.TransactionalID != "id" {
		t.Errorf("the oracle reads %+v, %v", k, err)
	}
	for feature := range int16(3) {
		m := someMeta()
		m.Next = 44
		want := kmsg.TxnMetadataValue{
			Version: min(feature, 1), ProducerID: 7, ProducerEpoch: 3, TimeoutMillis: 60000, State: 2,
			Topics:              []kmsg.TxnMetadataValueTopic{{Topic: "__consumer_offsets", Partitions: []int32{12}}, {Topic: "orders", Partitions: []int32{0, 5}}},
			LastUpdateTimestamp: m.UpdatedMs, StartTimestamp: m.StartedMs,
			PreviousProducerID: 7, NextProducerID: 44, ClientTransactionVersion: 2, NextProducerEpoch: -1,
		}
		if feature == 0 {
			want.PreviousProducerID, want.NextProducerID, want.ClientTransactionVersion = -1, -1, 0
			m.Previous, m.Next, m.Version = batch.NoProducerID, batch.NoProducerID, 0
		}
		var v kmsg.TxnMetadataValue
		if err := v.ReadFrom(appendValue(nil, &m, feature)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, v, cmpopts.IgnoreTypes(kmsg.Tags{})); diff != "" {
			t.Errorf("feature %d: the oracle reads\n%s", feature, diff)
		}
		got, err := decodeValue(want.AppendTo(nil))
		if diff := cmp.Diff(m, got); err != nil || diff != "" {
			t.Errorf("feature %d: what the oracle writes is read with %v\n%s", feature, err, diff)
		}
	}
}

func TestRecordsComeBack(t *testing.T) {
	for s := Empty; s <= CompleteAbort; s++ {
		for feature := range int16(3) {
			m := someMeta()
			m.State = s
			if s == Empty {
				m.Parts = nil
			}
			if s.ends() && feature > 0 {
				m.Next = 123
			}
			if feature == 0 {
				m.Previous, m.Version = batch.NoProducerID, 0
			}
			b := appendValue(nil, &m, feature)
			got, err := decodeValue(b)
			if diff := cmp.Diff(m, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("%v, feature %d: %v\n%s", s, feature, err, diff)
			}
			if len(b) > sizeOf(&m) {
				t.Errorf("%v, feature %d: %d bytes, sizeOf says %d", s, feature, len(b), sizeOf(&m))
			}
		}
	}
}

func TestUnknownTagsArePassedOver(t *testing.T) {
	m := someMeta()
	b := appendValue(nil, &m, 2)
	at := len(b) - 1 - 10 - 4
	if b[at] != 2 {
		t.Fatal("the count of tags is elsewhere")
	}
	b[at] = 3
	b = append(b, 3, 2, 0, 9) // Kafka 4.1's nextProducerEpoch
	if got, err := decodeValue(b); err != nil || !cmp.Equal(got, m) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, ok, err := decodeKey([]byte{0, 1, 2}); ok || err != nil {
		t.Errorf("a key of a later version: %t, %v; want it passed over", ok, err)
	}
}

func TestBadRecords(t *testing.T) {
	m := someMeta()
	for _, feature := range []int16{0, 2} {
		good := appendValue(nil, &m, feature)
		for n := range good {
			if _, err := decodeValue(good[:n]); !errors.Is(err, errRecord) {
				t.Errorf("feature %d, %d of %d bytes: %v", feature, n, len(good), err)
			}
		}
		if _, err := decodeValue(append(bytes.Clone(good), 0)); !errors.Is(err, errRecord) {
			t.Errorf("feature %d, a byte too many: %v", feature, err)
		}
	}
	for name, change := range map[string]func(*Meta){
		"dead": func(m *Meta) { m.State = Dead }, "state": func(m *Meta) { m.State = -1 }, "id": func(m *Meta) { m.ID = -1 },
		"epoch": func(m *Meta) { m.Epoch = -1 }, "next": func(m *Meta) { m.State, m.Next = Ongoing, 5 },
	} {
		m := someMeta()
		change(&m)
		if _, err := decodeValue(appendValue(nil, &m, 2)); !errors.Is(err, errRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := decodeValue([]byte{0, 2}); !errors.Is(err, errRecord) {
		t.Errorf("version 2: %v", err)
	}
	if _, _, err := decodeKey([]byte{0, 0, 0, 5, 'a'}); !errors.Is(err, errRecord) {
		t.Errorf("short key: %v", err)
	}
}

// FuzzRecords: no bytes make the decoders panic, or allocate much more than they are; what is read can be written and read again.
func FuzzRecords(f *testing.F) {
	m := someMeta()
	f.Add(appendKey(nil, "id"), appendValue(nil, &m, 0))
	m.Next = 5
	f.Add(appendKey(nil, ""), appendValue(nil, &m, 2))
	f.Add([]byte{0, 0, 0x7f, 0xff}, append(appendValue(nil, &Meta{}, 2)[:17], 0xff, 0xff, 0xff, 0xff, 7))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if id, ok, err := decodeKey(key); ok && err == nil {
			if again := appendKey(nil, id); !bytes.Equal(again, key) {
				t.Fatalf("key %x is written as %x", key, again)
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := decodeValue(value)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 32*uint64(len(value))+64<<10 {
			t.Fatalf("%d bytes are allocated for %d", n, len(value))
		}
		if err != nil {
			if !errors.Is(err, errRecord) {
				t.Fatal(err)
			}
			return
		}
		got, err := decodeValue(appendValue(nil, &m, 2))
		if err != nil || !cmp.Equal(m, got, cmpopts.EquateEmpty()) {
			t.Fatalf("%v\n%s", err, cmp.Diff(m, got))
		}
	})
}

// TestPartitionFor: values of Java's String.hashCode.
func TestPartitionFor(t *testing.T) {
	for _, c := range []struct {
		id   string
		n    int
		want int
	}{
		{"hello", 50, 99162322 % 50},
		{"", 50, 0},
		{"polygenelubricants", 50, 0}, // hashes to the smallest int
		{"\U0001F600", 1 << 30, 1772899},
	} {
		if got := partition.ForKey(c.id, c.n); got != c.want {
			t.Errorf("%q among %d: %d, want %d", c.id, c.n, got, c.want)
		}
	}
	seen := map[int]bool{}
	for i := range 500 {
		seen[partition.ForKey(fmt.Sprint("id-", i), 50)] = true
	}
	if len(seen) < 40 {
		t.Errorf("500 ids fall on %d of 50 partitions", len(seen))
	}
}
