package stat

import (
	"testing"
	"time"

	"github.com/streambus/streambus/wire"
)

func TestErrorCodesAreFoundWhereverTheyAre(t *testing.T) {
	r := &Requests{}
	const n, u, big = wire.CodeNone, wire.CodeUnknownTopicOrPartition, wire.ErrorCode(30000)
	for _, c := range []struct {
		m    wire.Message
		want map[wire.ErrorCode]uint64
	}{
		{&wire.HeartbeatResponse{ErrorCode: wire.CodeUnknownMemberID}, map[wire.ErrorCode]uint64{wire.CodeUnknownMemberID: 1}},
		{&wire.ProduceResponse{Topics: []wire.ProduceResponseTopic{
			{Partitions: []wire.ProduceResponsePartition{{ErrorCode: n}, {ErrorCode: u}}}, {Partitions: []wire.ProduceResponsePartition{{ErrorCode: u}}},
		}}, map[wire.ErrorCode]uint64{n: 1, u: 2}},
		{&wire.FetchResponse{ErrorCode: n, Topics: []wire.FetchResponseTopic{{Partitions: []wire.FetchResponsePartition{{ErrorCode: big}}}}},
			map[wire.ErrorCode]uint64{n: 1, wire.CodeUnknownServerError: 1}},
		{&wire.MetadataResponse{Topics: []wire.MetadataResponseTopic{{ErrorCode: u}, {Partitions: []wire.MetadataResponsePartition{{}, {}}}}},
			map[wire.ErrorCode]uint64{n: 4, u: 1}},
	} {
		r.Begin(c.m.Key(), 0)
		r.Response(c.m.Key(), c.m)
		counted := r.of(c.m.Key())
		for i := range counted.codes {
			code := wire.ErrorCode(i + minCode)
			if got := counted.codes[i].Load(); got != c.want[code] {
				t.Errorf("%T: %d times %v, want %d", c.m, got, code, c.want[code])
			}
		}
	}
}

// TestEveryResponseHasItsCodesFound: no served response says how it went in a way that the counters do not see.
func TestEveryResponseHasItsCodesFound(t *testing.T) {
	r := &Requests{}
	for k := range wire.Key(maxKey) {
		if !spoken(k) {
			continue
		}
		m := wire.NewResponse(k)
		if v, ok := m.(*wire.ProduceResponse); ok {
			v.Topics = []wire.ProduceResponseTopic{{Partitions: make([]wire.ProduceResponsePartition, 1)}}
		}
		r.Begin(k, 0)
		r.Response(k, m)
		p, ok := r.plans.Load(typeOf(m))
		if !ok || len(p.(*plan).codes)+len(p.(*plan).sub) == 0 {
			t.Errorf("%v: no error code is found in %T", k, m)
		}
	}
}

func spoken(k wire.Key) bool {
	for v := range int16(maxVersions) {
		if wire.Supported(k, v) == nil {
			return true
		}
	}
	return false
}

func TestCountingAllocatesNothing(t *testing.T) {
	r := &Requests{}
	m := &wire.ProduceResponse{Topics: []wire.ProduceResponseTopic{{Partitions: make([]wire.ProduceResponsePartition, 10)}}}
	r.Begin(wire.KeyProduce, 9)
	r.Response(wire.KeyProduce, m)
	if n := testing.AllocsPerRun(100, func() {
		r.Begin(wire.KeyProduce, 9)
		r.Response(wire.KeyProduce, m)
		r.End(wire.KeyProduce, time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestKeysAndVersionsOutOfBoundsAreHarmless(t *testing.T) {
	r := &Requests{}
	for _, k := range []wire.Key{-1, 127, 128, 32767} {
		r.Begin(k, 0)
		r.End(k, 0)
	}
	r.Begin(wire.KeyFetch, 32767)
	r.Begin(wire.KeyFetch, -5)
	if n := r.Of(wire.KeyFetch).Total; n != 2 {
		t.Errorf("%d requests", n)
	}
	if n := r.of(wire.KeyFetch).inFlight.Load(); n != 2 {
		t.Errorf("%d in flight", n)
	}
}
