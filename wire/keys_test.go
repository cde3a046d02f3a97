package wire

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestProbedVersions is W5: the exact versions that librdkafka up to 2.10
// probes for (src/rdkafka_feature.c), and the Metadata 0 of old Python clients,
// lie within what is advertised.
func TestProbedVersions(t *testing.T) {
	probes := []struct {
		key      Key
		versions []int16
		lost     string
	}{
		{KeyProduce, []int16{0, 3, 7}, "compression, idempotence, zstd"},
		{KeyFetch, []int16{4, 10}, "message format 2, zstd"},
		{KeyListOffsets, []int16{1}, "offsets by timestamp"},
		{KeyMetadata, []int16{0, 1}, "kafka-python and aiokafka, KAFKA-18648"},
		{KeyOffsetFetch, []int16{1}, "broker-based offsets"},
		{KeyFindCoordinator, []int16{0}, "LZ4, groups"},
		{KeyJoinGroup, []int16{0}, "groups, KAFKA-19444"},
		{KeySyncGroup, []int16{0}, "groups"},
		{KeyHeartbeat, []int16{0}, "groups"},
		{KeyLeaveGroup, []int16{0}, "groups"},
		{KeyInitProducerID, []int16{0}, "idempotence"},
		{KeyAPIVersions, []int16{0}, "everything"},
	}
	served := Served()
	for _, p := range probes {
		i := slices.IndexFunc(served, func(r Range) bool { return r.Key == p.key })
		if i < 0 {
			t.Errorf("%s is not advertised: %s lost", p.key, p.lost)
			continue
		}
		for _, v := range p.versions {
			if v < served[i].Min || v > served[i].Max {
				t.Errorf("%s %d is not in %+v: %s lost", p.key, v, served[i], p.lost)
			}
		}
	}
	// OffsetCommit 1 to 2 must overlap what is served.
	if a := apis[KeyOffsetCommit]; a.min > 2 || a.max < 1 {
		t.Errorf("OffsetCommit %d to %d does not overlap 1 to 2", a.min, a.max)
	}
}

// TestServed freezes what this stage advertises.
func TestServed(t *testing.T) {
	want := []Range{
		{KeyProduce, 0, 11}, {KeyFetch, 4, 12}, {KeyListOffsets, 1, 10}, {KeyMetadata, 0, 13},
		{KeyOffsetCommit, 2, 8}, {KeyOffsetFetch, 1, 8}, {KeyFindCoordinator, 0, 5}, {KeyJoinGroup, 0, 9},
		{KeyHeartbeat, 0, 4}, {KeyLeaveGroup, 0, 5}, {KeySyncGroup, 0, 5}, {KeyAPIVersions, 0, 4},
		{KeyCreateTopics, 2, 7}, {KeyDeleteTopics, 1, 6}, {KeyInitProducerID, 0, 5}, {KeyDescribeCluster, 0, 2},
	}
	if got := Served(); !slices.Equal(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	Served()[0].Max = 99
	if Served()[0].Max == 99 {
		t.Error("callers can change what is served")
	}
}

// TestSupported: every version of every key, known or not.
func TestSupported(t *testing.T) {
	supported := map[Key]Range{}
	for _, r := range Served() {
		if r.Key == KeyProduce {
			r.Min = 3 // 0 to 2 are advertised only
		}
		supported[r.Key] = r
	}
	for k := Key(-200); k < 200; k++ {
		r, known := supported[k]
		for version := int16(-3); version < 30; version++ {
			err := Supported(k, version)
			switch {
			case !known && !errors.Is(err, ErrUnknownKey),
				known && (version < r.Min || version > r.Max) && !errors.Is(err, ErrUnsupportedVersion),
				known && version >= r.Min && version <= r.Max && err != nil:
				t.Errorf("%s %d: %v", k, version, err)
			}
		}
		if m := NewRequest(k); (m != nil) != known || known && m.Key() != k {
			t.Errorf("NewRequest(%s) is %T", k, m)
		}
		if m := NewResponse(k); (m != nil) != known || known && m.Key() != k {
			t.Errorf("NewResponse(%s) is %T", k, m)
		}
	}
	for _, k := range []Key{-32768, 32767} {
		if err := Supported(k, 0); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%s: %v", k, err)
		}
	}
}

// TestFlexible holds the flexible versions and names to kmsg's.
func TestFlexible(t *testing.T) {
	forEach(func(s side, k Key, version int16) {
		m := s.kmsg(k, version).(interface{ IsFlexible() bool })
		if k.flexible(version) != m.IsFlexible() {
			t.Errorf("%s: flexible %v", label(s, k, version), k.flexible(version))
		}
		if want := kmsg.NameForKey(int16(k)); k.String() != want && k.String() != "InitProducerId" {
			t.Errorf("%d is %s, kmsg says %s", k, k, want)
		}
	})
	if got := Key(99).String(); got != "key 99" {
		t.Error(got)
	}
}
