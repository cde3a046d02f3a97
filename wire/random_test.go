package wire

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func newRandQuiet(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// randomOurs returns a random message that encodes the same way with kmsg.
func randomOurs(rng *rand.Rand, s side, k Key, version int16) Message {
	m := s.ours(k)
	fill(rng, reflect.ValueOf(m).Elem())
	switch m := m.(type) {
	case *APIVersionsResponse:
		for i := range m.SupportedFeatures {
			if version <= 3 && m.SupportedFeatures[i].MinVersion == 0 {
				m.SupportedFeatures[i].MinVersion = 1
			}
		}
	case *FetchResponse:
		for i := range m.Topics {
			for j := range m.Topics[i].Partitions {
				tameTags(&m.Topics[i].Partitions[j])
			}
		}
	case *ProduceResponse:
		for i := range m.Topics {
			for j := range m.Topics[i].Partitions {
				tameLeader(&m.Topics[i].Partitions[j].CurrentLeader)
			}
		}
	}
	return m
}

// tameTags drops tags that equal their default: we send what is set, kmsg what
// differs from the default.
func tameTags(p *FetchResponsePartition) {
	if p.Tags == nil {
		return
	}
	tameLeader(&p.Tags.CurrentLeader)
	for _, e := range []**EpochEndOffset{&p.Tags.DivergingEpoch, &p.Tags.SnapshotID} {
		if *e != nil && **e == (EpochEndOffset{-1, -1}) {
			*e = nil
		}
	}
}

func tameLeader(l **LeaderIDAndEpoch) {
	if *l != nil && **l == (LeaderIDAndEpoch{-1, -1}) {
		*l = nil
	}
}

// tame takes out of a random kmsg message what Kafka would not send in this
// version, or what we encode in another way on purpose.
func tame(m kmsgMessage, version int16) {
	switch m := m.(type) {
	case *kmsg.ApiVersionsResponse:
		for i := range m.SupportedFeatures {
			if f := &m.SupportedFeatures[i]; version <= 3 && f.MinVersion == 0 {
				f.MinVersion = 1 // KAFKA-17011
			}
		}
	case *kmsg.FetchRequest:
		tameFetch(m, version)
	case *kmsg.FetchResponse:
		if version < 16 {
			m.Brokers = nil
		}
	case *kmsg.ProduceResponse:
		if version >= 10 {
			return
		}
		m.Brokers = nil // kmsg sends the two tags in 9 already
		for i := range m.Topics {
			for j := range m.Topics[i].Partitions {
				m.Topics[i].Partitions[j].CurrentLeader = kmsg.NewProduceResponseTopicPartitionCurrentLeader()
			}
		}
	}
}

// tameFetch takes out the tags that kmsg sends in every flexible version, though
// only later ones have them.
func tameFetch(m *kmsg.FetchRequest, version int16) {
	if version < 15 {
		m.ReplicaState = kmsg.NewFetchRequestReplicaState()
	}
	for i := range m.Topics {
		for j := range m.Topics[i].Partitions {
			p := &m.Topics[i].Partitions[j]
			if version < 17 {
				p.ReplicaDirectoryID = [16]byte{}
			}
			if version < 18 {
				p.HighWatermark = math.MaxInt64
			}
		}
	}
}

// editTags applies edit to every set of unknown tags below v.
func editTags(v reflect.Value, edit func(*kmsg.Tags)) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			editTags(v.Index(i), edit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "UnknownTags" {
				edit(v.Field(i).Addr().Interface().(*kmsg.Tags))
				continue
			}
			editTags(v.Field(i), edit)
		}
	}
}

// fillSparse makes arrays of elements that are mostly empty.
func fillSparse(rng *rand.Rand, m Message) {
	var sparse func(v reflect.Value, depth int)
	sparse = func(v reflect.Value, depth int) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				f := v.Field(i)
				if f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct && rng.IntN(2) == 0 {
					f.Set(reflect.New(f.Type().Elem()))
					sparse(f.Elem(), depth)
				}
				if f.Kind() == reflect.Struct {
					sparse(f, depth)
				}
				if f.Kind() == reflect.Slice && f.Type().Elem().Kind() != reflect.Uint8 {
					sparse(f, depth)
				}
			}
		case reflect.Slice:
			n := rng.IntN(3 - min(depth, 2))
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				if v.Type().Elem().Kind() == reflect.Struct {
					sparse(v.Index(i), depth+1)
				}
			}
		}
	}
	sparse(reflect.ValueOf(m).Elem(), 0)
}

// dump renders a message in full: pointers followed, nil told from empty only
// where the protocol does.
func dump(m any) string {
	var b strings.Builder
	dumpValue(&b, reflect.ValueOf(m))
	return b.String()
}

func dumpValue(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			b.WriteString("null")
			return
		}
		dumpValue(b, v.Elem())
	case reflect.Struct:
		b.WriteByte('{')
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "held" {
				continue
			}
			fmt.Fprintf(b, " %s:", v.Type().Field(i).Name)
			dumpValue(b, v.Field(i))
		}
		b.WriteByte('}')
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(b, "%q", v.Bytes())
			return
		}
		b.WriteByte('[')
		for i := range v.Len() {
			dumpValue(b, v.Index(i))
		}
		b.WriteByte(']')
	default:
		fmt.Fprintf(b, "%v", v.Interface())
	}
}
