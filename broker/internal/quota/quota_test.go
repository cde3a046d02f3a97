package quota

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var t0 = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return t0.Add(time.Duration(seconds * float64(time.Second))) }

// quotas is KEY=RATE for entities in words: "u:ann c:* …"; * is the default.
func quotas(t *testing.T, key string, rates map[string]float64) map[Entity]map[string]float64 {
	t.Helper()
	out := map[Entity]map[string]float64{}
	for words, rate := range rates {
		var e Entity
		for w := range strings.FieldsSeq(words) {
			p := Named(w[2:])
			if p.Name == "*" {
				p = TheDefault
			}
			*e.Of(map[byte]string{'u': TypeUser, 'c': TypeClientID, 'i': TypeIP}[w[0]]) = p
		}
		if err := CheckValue(e, key, rate); err != nil {
			t.Fatal(err)
		}
		out[e] = map[string]float64{key: rate}
	}
	return out
}

func TestPrecedence(t *testing.T) {
	order := []string{"u:ann c:app", "u:ann c:*", "u:ann", "u:* c:app", "u:* c:*", "u:*", "c:app", "c:*"}
	for n := range order {
		rates := map[string]float64{"u:bob": 1, "u:bob c:app": 1, "c:other": 1}
		for i, words := range order[n:] {
			rates[words] = float64(1000 * (n + i + 1))
		}
		m := New(Windows{Num: 1})
		m.Set(quotas(t, ProducerByteRate, rates))
		rate := float64(1000 * (n + 1))
		if wait := m.Record(t0, Produce, "ann", "app", 2*rate); wait != time.Second {
			t.Errorf("%s should count: waits %v", order[n], wait)
		}
		if wait := m.Record(t0, Fetch, "ann", "app", 1e9); wait != 0 {
			t.Errorf("another kind waits %v", wait)
		}
	}
}

func TestWhoSharesABucket(t *testing.T) {
	for words, shares := range map[string]struct{ otherClient, otherUser bool }{
		"u:ann c:app": {false, false}, "u:*": {true, false}, "u:* c:*": {false, false}, "c:*": {false, true}, "c:app": {false, true}, "u:ann": {true, false},
	} {
		m := New(Windows{Num: 1})
		m.Set(quotas(t, ConsumerByteRate, map[string]float64{words: 100}))
		m.Record(t0, Fetch, "ann", "app", 200)
		if got := m.Debt(t0, Fetch, "ann", "other") > 0; got != shares.otherClient {
			t.Errorf("%s: another client of the user has the debt: %t", words, got)
		}
		if got := m.Debt(t0, Fetch, "bob", "app") > 0; got != shares.otherUser {
			t.Errorf("%s: another user of the client id has the debt: %t", words, got)
		}
		if m.Debt(t0, Fetch, "ann", "app") != time.Second {
			t.Errorf("%s: the client has no debt", words)
		}
	}
}

func TestBucket(t *testing.T) {
	m := New(Windows{Num: 10})
	m.Set(quotas(t, ProducerByteRate, map[string]float64{"u:*": 100}))
	for i, c := range []struct {
		at, n float64
		want  time.Duration
	}{
		{0, 1000, 0},                  // the burst
		{0, 1, 10 * time.Millisecond}, // a debt of 1
		{0.01, 0, 0},                  // is paid
		{1, 99, 0},                    // what flowed in
		{1, 100, time.Second},         // nothing is left
		{0.5, 100, 2 * time.Second},   // the clock goes back: nothing flows in
		{1000, 1000, 0},               // no more than the burst has gathered
		{1000, 1e12, maxThrottle},
	} {
		if got := m.Record(at(c.at), Produce, "ann", "x", c.n); got.Round(time.Millisecond) != c.want {
			t.Errorf("step %d: waits %v, want %v", i, got, c.want)
		}
	}
}

func TestChangedQuotas(t *testing.T) {
	m := New(Windows{Num: 1})
	set := func(rate float64) { m.Set(quotas(t, ProducerByteRate, map[string]float64{"u:ann": rate})) }
	set(100)
	m.Record(t0, Produce, "ann", "", 1100)
	set(1000)
	if got := m.Debt(t0, Produce, "ann", ""); got != time.Second {
		t.Errorf("Q3: a debt of 1000 at 1000 a second is of %v", got)
	}
	m.Set(nil)
	if got := m.Record(t0, Produce, "ann", "", 1e9); got != 0 {
		t.Errorf("without a quota it waits %v", got)
	}
	set(100)
	if got := m.Record(t0, Produce, "ann", "", 100); got != 0 {
		t.Errorf("a new quota begins with a debt: %v", got)
	}
}

func TestTimeMutationsAndConnections(t *testing.T) {
	m := New(Windows{Num: 2, ControllerNum: 5})
	all := quotas(t, RequestPercentage, map[string]float64{"u:*": 50})
	for e, q := range quotas(t, ControllerMutationRate, map[string]float64{"u:*": 2}) {
		all[e][ControllerMutationRate] = q[ControllerMutationRate]
	}
	for e, q := range quotas(t, ConnectionRate, map[string]float64{"i:10.0.0.1": 1, "i:*": 10}) {
		all[e] = q
	}
	m.Set(all)
	if got := m.RecordTime(t0, "ann", "x", time.Second); got != 0 { // 100 percent of a second: as much as two windows at 50
		t.Errorf("time within the burst waits %v", got)
	}
	if got := m.RecordTime(t0, "ann", "x", 250*time.Millisecond); got != 500*time.Millisecond {
		t.Errorf("25 percent of a second at 50 waits %v", got)
	}
	if got := m.RecordTime(t0, "ann", "x", time.Hour); got != time.Second {
		t.Errorf("an hour waits %v, want a window", got)
	}
	for i, c := range []struct {
		n      int
		strict bool
		wait   time.Duration
		ok     bool
	}{{8, true, 0, true}, {4, true, time.Second, true}, {1, true, time.Second, false}, {1, false, 1500 * time.Millisecond, true}} {
		if wait, ok := m.Mutate(t0, "ann", "x", c.n, c.strict); wait != c.wait || ok != c.ok {
			t.Errorf("mutation %d: %v, %t", i, wait, ok)
		}
	}
	if wait, ok := m.Mutate(at(1.5), "ann", "x", 1, true); !ok || wait != 500*time.Millisecond {
		t.Errorf("when the debt is paid: %v, %t", wait, ok)
	}
	for range 2 {
		if wait := m.Connect(t0, "10.0.0.1"); wait != 0 {
			t.Error(wait)
		}
	}
	if wait := m.Connect(t0, "10.0.0.1"); wait != time.Second {
		t.Errorf("the third connection waits %v", wait)
	}
	if wait := m.Connect(t0, "10.0.0.2"); wait != 0 {
		t.Errorf("another address waits %v", wait)
	}
	m.SetConnections(1)
	m.Connect(t0, "10.0.0.3")
	m.Connect(t0, "10.0.0.4")
	if wait := m.Connect(t0, "10.0.0.5"); wait != time.Second {
		t.Errorf("beyond the rate of all it waits %v", wait)
	}
	m.SetConnections(math.MaxInt32)
	if wait := m.Connect(t0, "10.0.0.6"); wait != 0 {
		t.Errorf("without a limit it waits %v", wait)
	}
}

// A rate of 0 lets no connection in once the burst, which is nothing, is used.
func TestConnectionRateOfNothing(t *testing.T) {
	m := New(Windows{})
	m.Set(quotas(t, ConnectionRate, map[string]float64{"i:*": 0}))
	if wait := m.Connect(t0, "10.0.0.1"); wait != maxThrottle {
		t.Errorf("waits %v", wait)
	}
}

// TestNoClientThatWaitsUsesMore: as long as the protocol can say how long to wait, whatever requests a client makes, waiting as it is told,
// over any time it uses no more than the burst, the rate times that time, and one request.
func TestNoClientThatWaitsUsesMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := float64(rapid.IntRange(100, 1e6).Draw(rt, "rate"))
		num := rapid.IntRange(1, 20).Draw(rt, "windows")
		m := New(Windows{Num: num})
		m.Set(quotas(t, ProducerByteRate, map[string]float64{"c:*": rate}))
		now, used, largest := t0, 0.0, 0.0
		for range rapid.IntRange(1, 50).Draw(rt, "requests") {
			n := float64(rapid.IntRange(0, 1e7).Draw(rt, "bytes"))
			wait := m.Record(now, Produce, "", "c", n)
			used += n
			largest = max(largest, n)
			if most := rate*float64(num) + now.Sub(t0).Seconds()*rate + largest; used > most*(1+1e-9)+1 {
				rt.Fatalf("used %v at %v, at most %v", used, now.Sub(t0), most)
			}
			now = now.Add(wait + time.Duration(rapid.IntRange(0, 2000).Draw(rt, "pause"))*time.Millisecond)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m := New(Windows{Num: 1})
	m.Set(quotas(t, ProducerByteRate, map[string]float64{"c:*": 10}))
	for i := range 3 * maxBuckets {
		m.Record(t0, Produce, "", fmt.Sprint("c", i), 1e6)
	}
	l := &m.limiters[Produce]
	if n := len(l.buckets); n > maxBuckets+1 {
		t.Errorf("Q2: %d buckets", n)
	}
	if m.Debt(t0, Produce, "", "never seen") == 0 {
		t.Error("Q2: a client beyond the limit is free")
	}
	if m.Debt(t0, Produce, "", "c0") == 0 {
		t.Error("Q3: a debt was forgotten")
	}
	later := at(1e9)
	m.Record(later, Produce, "", "new", 1)
	if n := len(l.buckets); n > 10 {
		t.Errorf("%d buckets are kept though all but one are full", n)
	}
}

func TestAllocations(t *testing.T) {
	m := New(Windows{})
	ask := func() {
		m.Record(t0, Produce, "ann", "app", 100)
		m.Record(t0, Fetch, "ann", "app", 100)
		m.RecordTime(t0, "ann", "app", time.Millisecond)
		m.Connect(t0, "10.0.0.1")
	}
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("Q1: %v allocations without a quota", n)
	}
	m.Set(quotas(t, ProducerByteRate, map[string]float64{"u:ann c:*": 10, "u:*": 1}))
	ask()
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("Q1: %v allocations with one", n)
	}
}

func TestManyAtOnce(t *testing.T) {
	m := New(Windows{Num: 1})
	on := quotas(t, ProducerByteRate, map[string]float64{"u:*": 1})
	m.Set(on)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 500 {
				m.Record(t0, Produce, fmt.Sprint("u", (i+n)%7), "x", 1)
			}
		})
	}
	wg.Wait()
	total := 0.0
	for _, b := range m.limiters[Produce].buckets {
		total += 1 - b.tokens
	}
	if total != 2000 {
		t.Errorf("%v were counted, want 2000", total)
	}
	for i := range 4 {
		wg.Go(func() {
			for range 200 {
				if i == 0 {
					m.Set(nil)
					m.Set(on)
				}
				m.Record(t0, Produce, "u", "x", 1)
			}
		})
	}
	wg.Wait()
}

func named(kind, name string) NamedPart { return NamedPart{kind, &name} }

func TestEntitiesAndValues(t *testing.T) {
	for name, c := range map[string]struct {
		parts []NamedPart
		key   string
		value float64
		ok    bool
	}{
		"user":                 {[]NamedPart{named("user", "ann")}, ProducerByteRate, 1, true},
		"user and client":      {[]NamedPart{named("user", "ann"), {"client-id", nil}}, RequestPercentage, 0.5, true},
		"address":              {[]NamedPart{named("ip", "::1")}, ConnectionRate, 0, true},
		"nobody":               {nil, ProducerByteRate, 1, false},
		"unknown type":         {[]NamedPart{named("group", "g")}, ProducerByteRate, 1, false},
		"twice":                {[]NamedPart{named("user", "a"), named("user", "b")}, ProducerByteRate, 1, false},
		"no name":              {[]NamedPart{named("user", "")}, ProducerByteRate, 1, false},
		"address and user":     {[]NamedPart{named("user", "a"), {"ip", nil}}, ProducerByteRate, 1, false},
		"no address":           {[]NamedPart{named("ip", "localhost")}, ConnectionRate, 1, false},
		"bytes of an address":  {[]NamedPart{{"ip", nil}}, ProducerByteRate, 1, false},
		"connections of users": {[]NamedPart{{"user", nil}}, ConnectionRate, 1, false},
		"unknown key":          {[]NamedPart{{"user", nil}}, "x", 1, false},
		"nothing":              {[]NamedPart{{"user", nil}}, ConsumerByteRate, 0, false},
		"half a byte":          {[]NamedPart{{"user", nil}}, ConsumerByteRate, 0.5, false},
		"not a number":         {[]NamedPart{{"user", nil}}, ControllerMutationRate, math.NaN(), false},
		"without end":          {[]NamedPart{{"user", nil}}, ControllerMutationRate, math.Inf(1), false},
	} {
		e, err := ParseEntity(c.parts)
		if err == nil {
			err = CheckValue(e, c.key, c.value)
		}
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			if diff := cmp.Diff(len(c.parts), len(e.Parts())); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
	e, _ := ParseEntity([]NamedPart{named("ip", "0:0:0:0:0:0:0:1")})
	if e.IP.Name != "::1" {
		t.Errorf("%q", e.IP.Name)
	}
	user := Entity{User: TheDefault}
	if _, err := Alter(user, nil, []Change{{Key: ProducerByteRate, Value: 1}, {Key: ProducerByteRate, Remove: true}}); !errors.Is(err, ErrRequest) {
		t.Errorf("changed twice: %v", err)
	}
	if _, err := Alter(user, nil, []Change{{Key: "x", Remove: true}}); !errors.Is(err, ErrRequest) {
		t.Errorf("unknown is removed: %v", err)
	}
}

func TestDescribe(t *testing.T) {
	all := quotas(t, ProducerByteRate, map[string]float64{"u:ann": 1, "u:bob": 1, "u:*": 1, "u:ann c:app": 1, "u:ann c:*": 1, "c:app": 1, "c:*": 1})
	for e, q := range quotas(t, ConnectionRate, map[string]float64{"i:10.0.0.1": 1}) {
		all[e] = q
	}
	ann, app := "ann", "app"
	for name, c := range map[string]struct {
		f    Filter
		want int
		err  error
	}{
		"all":                    {Filter{}, 8, nil},
		"strict, of nothing":     {Filter{Strict: true}, 0, nil},
		"ann":                    {Filter{Components: []Component{{TypeUser, Exact, &ann}}}, 3, nil},
		"ann alone":              {Filter{Components: []Component{{TypeUser, Exact, &ann}}, Strict: true}, 1, nil},
		"the default user":       {Filter{Components: []Component{{TypeUser, DefaultOnly, nil}}}, 1, nil},
		"any user":               {Filter{Components: []Component{{TypeUser, AnyGiven, nil}}}, 5, nil},
		"any user alone":         {Filter{Components: []Component{{TypeUser, AnyGiven, nil}}, Strict: true}, 3, nil},
		"any user, app":          {Filter{Components: []Component{{TypeUser, AnyGiven, nil}, {TypeClientID, Exact, &app}}}, 1, nil},
		"any address":            {Filter{Components: []Component{{TypeIP, AnyGiven, nil}}}, 1, nil},
		"type without name":      {Filter{Components: []Component{{"", AnyGiven, nil}}}, 0, ErrRequest},
		"type that there is not": {Filter{Components: []Component{{"group", AnyGiven, nil}}}, 0, ErrUnsupported},
		"twice":                  {Filter{Components: []Component{{TypeUser, AnyGiven, nil}, {TypeUser, AnyGiven, nil}}}, 0, ErrRequest},
		"exact without name":     {Filter{Components: []Component{{TypeUser, Exact, nil}}}, 0, ErrRequest},
		"default with name":      {Filter{Components: []Component{{TypeUser, DefaultOnly, &ann}}}, 0, ErrRequest},
		"unknown match":          {Filter{Components: []Component{{TypeUser, 3, nil}}}, 0, ErrRequest},
		"address and user":       {Filter{Components: []Component{{TypeUser, AnyGiven, nil}, {TypeIP, AnyGiven, nil}}}, 0, ErrRequest},
	} {
		got, err := Describe(all, c.f)
		if len(got) != c.want || !errors.Is(err, c.err) || c.err == nil && err != nil {
			t.Errorf("%s: %d entries, %v; want %d, %v", name, len(got), err, c.want, c.err)
		}
	}
	once, _ := Describe(all, Filter{})
	for range 5 {
		again, _ := Describe(all, Filter{})
		if diff := cmp.Diff(once, again); diff != "" {
			t.Fatalf("the order changes: %s", diff)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	m := New(Windows{})
	b.Run("no quota", func(b *testing.B) {
		for b.Loop() {
			m.Record(t0, Produce, "ann", "app", 100)
		}
	})
	m.Set(map[Entity]map[string]float64{{User: TheDefault}: {ProducerByteRate: 1e9}})
	now := t0.Add(time.Duration(rand.IntN(100)))
	b.Run("default user", func(b *testing.B) {
		for b.Loop() {
			m.Record(now, Produce, "ann", "app", 100)
		}
	})
}
