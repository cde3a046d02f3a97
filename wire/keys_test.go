package wire

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestCodecs: the list of what is coded agrees with Supported and is the
// caller's.
func TestCodecs(t *testing.T) {
	codecs := Codecs()
	if !slices.IsSortedFunc(codecs, func(a, b Range) int { return int(a.Key) - int(b.Key) }) {
		t.Error("not sorted")
	}
	for _, r := range codecs {
		if Supported(r.Key, r.Min) != nil || Supported(r.Key, r.Max) != nil || r.Min > r.Max {
			t.Errorf("%s %d to %d: not all supported", r.Key, r.Min, r.Max)
		}
		if Supported(r.Key, r.Min-1) == nil || Supported(r.Key, r.Max+1) == nil {
			t.Errorf("%s %d to %d: more is supported", r.Key, r.Min, r.Max)
		}
	}
	codecs[0].Max = 99
	if Codecs()[0].Max == 99 {
		t.Error("callers can change what is coded")
	}
}

// TestSupported: every version of every key, known or not.
func TestSupported(t *testing.T) {
	supported := map[Key]Range{}
	for _, r := range Codecs() {
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
		want := kmsg.NameForKey(int16(k))
		if k == KeyAlterPartitionReassignments { // Kafka's name; kmsg has its own
			want = "AlterPartitionReassignments"
		}
		if !strings.EqualFold(k.String(), want) { // kmsg: InitProducerID, DescribeACLs
			t.Errorf("%d is %s, kmsg says %s", k, k, want)
		}
	})
	if got := Key(99).String(); got != "key 99" {
		t.Error(got)
	}
}
