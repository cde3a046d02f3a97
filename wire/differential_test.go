package wire

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const differentialRounds = 40 / slowdown

// TestDifferentialFromKmsg: what kmsg encodes, we decode to the same values,
// and encode to the same bytes.
func TestDifferentialFromKmsg(t *testing.T) {
	rng := newRand(t)
	forEach(func(s side, k Key, version int16) {
		for range differentialRounds {
			in := s.kmsg(k, version)
			fill(rng, reflect.ValueOf(in).Elem())
			tame(in, version)
			encoded := in.AppendTo(nil)
			ours := decodeLikeKmsg(t, s, k, version, encoded)
			if again := Append(nil, ours, version); !bytes.Equal(again, encoded) {
				t.Fatalf("%s: encoded again differs\nkmsg %x\nours %x", label(s, k, version), encoded, again)
			}
		}
	})
}

// TestDifferentialFromOurs: what we encode, kmsg decodes to the same values,
// and encodes to the same bytes.
func TestDifferentialFromOurs(t *testing.T) {
	rng := newRand(t)
	forEach(func(s side, k Key, version int16) {
		for range differentialRounds {
			in := randomOurs(rng, s, k, version)
			encoded := Append(nil, in, version)
			decodeLikeKmsg(t, s, k, version, encoded)
			theirs := s.kmsg(k, version)
			if err := theirs.ReadFrom(encoded); err != nil {
				t.Fatalf("%s: kmsg refuses %x: %v", label(s, k, version), encoded, err)
			}
			if again := theirs.AppendTo(nil); !bytes.Equal(again, encoded) {
				t.Fatalf("%s: kmsg encodes differently\nours %x\nkmsg %x", label(s, k, version), encoded, again)
			}
		}
	})
}

// TestDifferentialUnknownTags: tags that nobody knows change nothing.
func TestDifferentialUnknownTags(t *testing.T) {
	rng := newRand(t)
	forEach(func(s side, k Key, version int16) {
		for range differentialRounds / 4 {
			in := s.kmsg(k, version)
			fill(rng, reflect.ValueOf(in).Elem())
			tame(in, version)
			editTags(reflect.ValueOf(in).Elem(), func(tags *kmsg.Tags) {
				for _, tag := range []uint32{60, 127, 128, 1 << 20, 1<<32 - 1}[:rng.IntN(6)] {
					tags.Set(tag, randBytes(rng))
				}
			})
			decodeLikeKmsg(t, s, k, version, in.AppendTo(nil))
		}
	})
}

// decodeLikeKmsg decodes with both and compares. It decodes ours a second time
// into a struct full of other values, which must not show through.
func decodeLikeKmsg(t *testing.T, s side, k Key, version int16, encoded []byte) Message {
	t.Helper()
	theirs := s.kmsg(k, version)
	if err := theirs.ReadFrom(encoded); err != nil {
		t.Fatalf("%s: kmsg refuses %x: %v", label(s, k, version), encoded, err)
	}
	ours := s.ours(k)
	if err := Decode(ours, version, encoded); err != nil {
		t.Fatalf("%s: %v\n%x", label(s, k, version), err, encoded)
	}
	alignDefaults(theirs, version)
	editTags(reflect.ValueOf(theirs).Elem(), func(tags *kmsg.Tags) { *tags = kmsg.Tags{} })
	if d := differ("", reflect.ValueOf(ours).Elem(), reflect.ValueOf(theirs).Elem()); d != "" {
		t.Fatalf("%s: %s\n%x", label(s, k, version), d, encoded)
	}
	dirty := s.ours(k)
	fill(newRandQuiet(uint64(len(encoded))), reflect.ValueOf(dirty).Elem())
	if err := Decode(dirty, version, encoded); err != nil {
		t.Fatalf("%s: into a used struct: %v", label(s, k, version), err)
	}
	if d := differ("", reflect.ValueOf(dirty).Elem(), reflect.ValueOf(theirs).Elem()); d != "" {
		t.Fatalf("%s: into a used struct: %s", label(s, k, version), d)
	}
	return ours
}

// alignDefaults corrects kmsg where its default for a field that the version
// does not carry is kmsg's own and not Kafka's.
func alignDefaults(m kmsgMessage, version int16) {
	switch m := m.(type) {
	case *kmsg.MetadataRequest:
		if version < 4 {
			m.AllowAutoTopicCreation = true
		}
	case *kmsg.ListOffsetsRequest:
		if version < 10 {
			m.TimeoutMillis = 0
		}
	case *kmsg.UpdateFeaturesRequest:
		if version < 1 { // Kafka: "default": "1"
			for i := range m.FeatureUpdates {
				m.FeatureUpdates[i].UpgradeType = FeatureUpgrade
			}
		}
	case *kmsg.FetchRequest:
		if version >= 15 { // one field says it in all versions of ours
			m.ReplicaID = m.ReplicaState.ID
		}
	}
}
