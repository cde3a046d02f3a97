package record

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	topicA = ID{1, 2, 3}
	// One of each, with every field set.
	values = map[Kind]Value{
		Offset: &OffsetValue{Offset: 9, Epoch: 2, Metadata: "m", CommitMs: 5},
		Classic: &ClassicValue{ProtocolType: "consumer", Generation: 7, Protocol: "range", Leader: "a", StateMs: 11, Members: []ClassicMember{
			{"a", "i", "client", "/127.0.0.1", 30000, 10000, []byte("sub"), []byte("assigned")}, {ID: "b"}}},
		Consumer: &ConsumerValue{Epoch: 3, MetadataHash: -4},
		Member: &MemberValue{"i", "r", "client", "/::1", []string{"t", "u"}, "t.*", 300000, "uniform",
			&ClassicInfo{10000, []ClassicProtocol{{"range", []byte("meta")}}}},
		Target:   &TargetValue{Epoch: 4, MadeMs: 5},
		TargetOf: &TargetOfValue{[]TopicPartitions{{topicA, []int32{0, 1}}}},
		Current:  &CurrentValue{5, 4, 1, []TopicPartitions{{topicA, []int32{2}}}, []TopicPartitions{{topicA, []int32{3}}}},
		Regex:    &RegexValue{[]string{"t1", "t2"}, 6, 7},
	}
)

func TestValuesSurvive(t *testing.T) {
	for kind, v := range values {
		b, err := Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		got := New(kind)
		if err := Decode(b, got); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("R1: %d: %v: %s", kind, err, cmp.Diff(v, got))
		}
		for n := range b {
			if err := Decode(b[:n], New(kind)); !errors.Is(err, ErrRecord) {
				t.Errorf("%d: %d of %d bytes: %v", kind, n, len(b), err)
			}
		}
		if err := Decode(append(b, 0), New(kind)); !errors.Is(err, ErrRecord) {
			t.Errorf("%d: a byte too many: %v", kind, err)
		}
		if err := Decode([]byte{0, 99}, New(kind)); !errors.Is(err, ErrRecord) {
			t.Errorf("R3: version 99: %v", err)
		}
	}
}

func TestKeysSurvive(t *testing.T) {
	for _, k := range []Key{
		{Kind: Offset, Group: "g", Name: "t1", Partition: 3}, {Kind: Classic, Group: "g"}, {Kind: Consumer, Group: "g"}, {Kind: Partitions, Group: "g"},
		{Kind: Member, Group: "g", Name: "m"}, {Kind: Target, Group: "g"}, {Kind: TargetOf, Group: "g", Name: "m"},
		{Kind: Current, Group: "g", Name: "m"}, {Kind: Regex, Group: "g", Name: "a.*"},
	} {
		b, err := k.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, known, err := DecodeKey(b); got != k || !known || err != nil {
			t.Errorf("%+v: %+v %t %v", k, got, known, err)
		}
		if _, _, err := DecodeKey(append(b, 0)); !errors.Is(err, ErrRecord) {
			t.Errorf("%+v and a byte: %v", k, err)
		}
	}
	if _, known, err := DecodeKey([]byte{0, 11, 1}); known || err != nil {
		t.Errorf("R3: a share group's key: %t %v", known, err)
	}
	if _, err := (Key{Kind: Classic, Group: strings.Repeat("x", 1<<15)}).Append(nil); !errors.Is(err, ErrRecord) {
		t.Errorf("a name that no int16 can count: %v", err)
	}
	if _, err := Append(nil, &MemberValue{Classic: &ClassicInfo{Protocols: []ClassicProtocol{{Name: strings.Repeat("x", 1<<15)}}}}); !errors.Is(err, ErrRecord) {
		t.Errorf("a name that is too long in a tagged field: %v", err)
	}
}

// The old kinds against another implementation of the same schemas, in each version that both have.
func TestKmsgAgrees(t *testing.T) {
	for version := range int16(4) {
		k := kmsg.OffsetCommitValue{Version: version, Offset: 9, LeaderEpoch: 2, Metadata: "m", CommitTimestamp: 5, ExpireTimestamp: 8}
		got := new(OffsetValue)
		err := Decode(k.AppendTo(nil), got)
		if err != nil || got.Offset != 9 || got.Metadata != "m" || got.CommitMs != 5 || got.HasExpiry != (version == 1) || (got.Epoch == 2) != (version == 3) {
			t.Errorf("offset %d: %+v %v", version, got, err)
		}
		g := kmsg.GroupMetadataValue{Version: version, ProtocolType: "consumer", Generation: 7, CurrentStateTimestamp: 11, Members: []kmsg.GroupMetadataValueMember{
			{MemberID: "a", ClientID: "c", ClientHost: "h", RebalanceTimeoutMillis: 3, SessionTimeoutMillis: 4, Subscription: []byte("s"), Assignment: []byte("x")}}}
		gv := new(ClassicValue)
		err = Decode(g.AppendTo(nil), gv)
		want := ClassicMember{"a", "", "c", "h", 3, 4, []byte("s"), []byte("x")}
		if version == 0 {
			want.RebalanceMs = 4
		}
		if err != nil || gv.Generation != 7 || len(gv.Members) != 1 || !reflect.DeepEqual(gv.Members[0], want) {
			t.Errorf("group %d: %+v %v", version, gv, err)
		}
	}
	for kind, k := range map[Kind]interface{ ReadFrom([]byte) error }{Offset: new(kmsg.OffsetCommitValue), Classic: new(kmsg.GroupMetadataValue)} {
		ours, err := Append(nil, values[kind])
		if err != nil {
			t.Fatal(err)
		}
		if err := k.ReadFrom(ours); err != nil {
			t.Errorf("%T: %v", k, err)
		}
		if theirs := k.(interface{ AppendTo([]byte) []byte }).AppendTo(nil); !bytes.Equal(ours, theirs) {
			t.Errorf("%T: % x, want % x", k, ours, theirs)
		}
	}
}

// The flexible kinds, by hand from the schemas.
func TestBytesAreKafkas(t *testing.T) {
	for kind, want := range map[Kind]string{
		Consumer: "\x00\x00" + "\x00\x00\x00\x03" + "\x01\x00\x08\xff\xff\xff\xff\xff\xff\xff\xfc",
		Target:   "\x00\x00" + "\x00\x00\x00\x04" + "\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x05",
		TargetOf: "\x00\x00" + "\x02" + string(topicA[:]) + "\x03\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00" + "\x00",
		Regex:    "\x00\x00" + "\x03\x03t1\x03t2" + "\x00\x00\x00\x00\x00\x00\x00\x06" + "\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00",
		Member: "\x00\x00" + "\x02i\x02r\x07client\x05/::1\x03\x02t\x02u\x04t.*" + "\x00\x04\x93\xe0" + "\x08uniform" +
			"\x01\x00\x13" + "\x01\x00\x00\x27\x10\x02\x06range\x05meta\x00\x00",
	} {
		if got, err := Append(nil, values[kind]); err != nil || string(got) != want {
			t.Errorf("%d: % x\nwant % x, %v", kind, got, want, err)
		}
	}
}

func TestLyingCountsAllocateNothing(t *testing.T) {
	for _, b := range [][]byte{
		{0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, {0, 0, 0xff, 0xff, 0xff, 0x7f},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := Decode(b, new(TargetOfValue))
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 64<<10 {
			t.Errorf("% x: %v, %d bytes allocated", b, err, n)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for kind, v := range values {
		b, _ := Append(nil, v)
		key, _ := Key{Kind: kind, Group: "g", Name: "n"}.Append(nil)
		f.Add(key, b)
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		k, known, err := DecodeKey(key)
		if err != nil || !known {
			return
		}
		again, err := k.Append(nil)
		if back, _, e := DecodeKey(again); err != nil || e != nil || back != k {
			t.Errorf("%+v became %+v: %v %v", k, back, err, e)
		}
		v := New(k.Kind)
		if v == nil {
			return
		}
		if err := Decode(value, v); err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Errorf("%v is not ErrRecord", err)
			}
			return
		}
		if o, ok := v.(*OffsetValue); ok && !o.HasExpiry {
			o.ExpireMs = 0 // not written
		}
		b, err := Append(nil, v)
		if err != nil {
			return // a flexible length allows longer names
		}
		back := New(k.Kind)
		if err := Decode(b, back); err != nil || !cmp.Equal(back, v) {
			t.Errorf("R1: %v %s", err, cmp.Diff(v, back))
		}
	})
}
