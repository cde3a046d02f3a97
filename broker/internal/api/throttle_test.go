package api

import (
	"math"
	"testing"
	"time"

	"github.com/streambus/streambus/broker/internal/quota"
	"github.com/streambus/streambus/wire"
)

// TestThrottledResponsesSaySo: every response that is served has a place for it, but those to which the protocol gives none.
func TestThrottledResponsesSaySo(t *testing.T) {
	without := map[wire.Key]bool{wire.KeySASLHandshake: true, wire.KeySASLAuthenticate: true, wire.KeyWriteTxnMarkers: true, wire.KeyDescribeQuorum: true}
	for _, r := range Served() {
		m := wire.NewResponse(r.Key)
		at := throttleOf(m)
		if (at == nil) != without[r.Key] {
			t.Errorf("%v: a place for the throttle time: %v", r.Key, at != nil)
		}
		if at == nil {
			continue
		}
		*at = 4711
		back := wire.NewResponse(r.Key)
		frame := wire.AppendResponseFrame(nil, 7, m, r.Max)
		_, body, err := wire.DecodeResponseHeader(frame[wire.SizePrefixBytes:], r.Key, r.Max)
		if err == nil {
			err = wire.Decode(back, r.Max, body)
		}
		if r.Key == wire.KeyFetch || r.Key == wire.KeyProduce {
			continue // encoded by hand, which wire tests
		}
		if err != nil || *throttleOf(back) != 4711 {
			t.Errorf("%v: %d ms, %v", r.Key, *throttleOf(back), err)
		}
	}
}

// limit gives every client a quota.
func (f *fixture) limit(key string, rate float64) {
	f.Quotas.Set(map[quota.Entity]map[string]float64{{ClientID: quota.TheDefault}: {key: rate}})
}

// TestRequestTimeIsCharged: with next to no time allowed, every request is answered, says so, and mutes its connection alone.
func TestRequestTimeIsCharged(t *testing.T) {
	f := newFixture(t)
	f.limit(quota.RequestPercentage, 1e-9)
	ask := func() int32 {
		out, ok := f.do(t.Context(), frameOf(4, &wire.HeartbeatRequest{GroupID: "g"}))
		_, body, err := wire.DecodeResponseHeader(out[wire.SizePrefixBytes:], wire.KeyHeartbeat, 4)
		var resp wire.HeartbeatResponse
		if err == nil {
			err = wire.Decode(&resp, 4, body)
		}
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		return resp.ThrottleTimeMs
	}
	if ms := ask(); ms <= 0 || f.session.(*session).Muted() <= 0 {
		t.Errorf("throttled for %d ms, muted for %v", ms, f.session.(*session).Muted())
	}
	if other := f.Session(nil).(*session); other.Muted() != 0 {
		t.Errorf("another connection is muted for %v", other.Muted())
	}
	f.Quotas.Set(nil)
	if ms := ask(); ms != 0 {
		t.Errorf("throttled for %d ms without a quota", ms)
	}
}

// TestChargedBytesMute is what produce and fetch rely on.
func TestChargedBytesMute(t *testing.T) {
	f := newFixture(t)
	f.Quotas.Set(map[quota.Entity]map[string]float64{{ClientID: quota.Named("c")}: {quota.ProducerByteRate: 10}})
	s := f.Session(nil).(*session)
	s.header.ClientID = "c"
	p := (&request{session: s}).payer()
	s.header.ClientID = "the next request's"
	if d := p.charge(quota.Produce, 50); d != 0 || s.Muted() != 0 {
		t.Errorf("held up for %v, muted for %v, within the quota", d, s.Muted())
	}
	if d := p.charge(quota.Fetch, 1<<30); d != 0 {
		t.Errorf("held up for %v, without a quota of that kind", d)
	}
	d := p.charge(quota.Produce, 10_000)
	if d <= 0 || s.Muted() <= 0 || s.Muted() > d || p.debt(quota.Produce) <= 0 {
		t.Errorf("held up for %v, muted for %v, debt %v", d, s.Muted(), p.debt(quota.Produce))
	}
	before := s.muted.Load()
	s.mute(time.Nanosecond)
	if s.muted.Load() != before {
		t.Error("a short mute ends a long one")
	}
}

func TestThrottleMs(t *testing.T) {
	for d, want := range map[time.Duration]int32{0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Duration(math.MaxInt32) * time.Second: math.MaxInt32} {
		if got := throttleMs(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}
