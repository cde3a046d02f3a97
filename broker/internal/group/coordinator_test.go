package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streambus/streambus/broker/internal/group/record"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a Log in memory. Flushes happen when told, or at once.
type shelf struct {
	manual  bool
	refuse  error
	mu      sync.Mutex
	batches []batch.Batch
	end     batch.Offset
	waiting []partition.Waiter
}

func (s *shelf) Append(b batch.Batch, _ engine.Owner, w partition.Waiter) (engine.Appended, error) {
	s.mu.Lock()
	if s.refuse != nil {
		s.mu.Unlock()
		return engine.Appended{}, s.refuse
	}
	b.Stamp(s.end, 0)
	s.end = b.NextOffset()
	s.batches = append(s.batches, b)
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	if !s.manual {
		s.flush(nil)
	}
	return engine.Appended{Base: b.BaseOffset(), Last: b.LastOffset()}, nil
}

// written is what was appended so far.
func (s *shelf) written() []batch.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.batches)
}

func (s *shelf) flush(err error) {
	s.mu.Lock()
	ws := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, w := range ws {
		w.Done(err)
	}
}

func (s *shelf) Replay(f func(batch.Batch) error) error {
	for _, b := range s.batches {
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

func logsOf(made *bool, shelves ...*shelf) Logs {
	return func(_ context.Context, create bool) ([]Log, error) {
		if *made = *made || create; !*made {
			return nil, nil
		}
		var out []Log
		for _, s := range shelves {
			out = append(out, s)
		}
		return out, nil
	}
}

func startOn(t *testing.T, l Limits, shelves ...*shelf) *Coordinator {
	t.Helper()
	made := slices.ContainsFunc(shelves, func(s *shelf) bool { return len(s.batches) > 0 })
	o, err := OpenOffsets(t.Context(), logsOf(&made, shelves...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return Start(l, o)
}

func anyJoin(member string) Join {
	return Join{Who: Identity{Member: member}, ProtocolType: "consumer", Protocols: ranged, SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute, RequireKnownID: true}
}

func wait[T any](t *testing.T, r *Reply[T]) T {
	t.Helper()
	a, err := r.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestCoordinatorByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startOn(t, Limits{InitialDelay: time.Second}, &shelf{})
		defer c.Close()
		began := time.Now()
		first := wait(t, c.Join("g", "client", anyJoin("")))
		if !errors.Is(first.Err, ErrMemberIDRequired) || len(first.Member) < len("client-")+20 {
			t.Fatalf("%+v", first)
		}
		joined := wait(t, c.Join("g", "client", anyJoin(first.Member)))
		if joined.Err != nil || time.Since(began) != time.Second {
			t.Errorf("after %v: %+v; want to be joined when the first delay is over", time.Since(began), joined)
		}
		synced := wait(t, c.Sync("g", Sync{Who: Identity{Member: first.Member}, Generation: 1, Assignments: map[string][]byte{first.Member: []byte("all")}}))
		if string(synced.Assignment) != "all" {
			t.Errorf("%+v", synced)
		}
		for range 5 { // each heartbeat moves the deadline on
			time.Sleep(9 * time.Second)
			if err := c.Heartbeat("g", Identity{Member: first.Member}, 1); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10*time.Second + time.Millisecond)
		if err := c.Heartbeat("g", Identity{Member: first.Member}, 1); !errors.Is(err, ErrUnknownMember) {
			t.Errorf("after its session: %v", err)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(c.groups) != 0 {
			t.Error("a group of nobody, with nothing committed, is kept after the check for such")
		}
		if n := len(c.clock.due); n > 3 {
			t.Errorf("%d alarms are left over", n)
		}
	})
}

func TestNamesMadeUpAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startOn(t, Limits{}, &shelf{})
		defer c.Close()
		for i := range 1000 {
			wait(t, c.Join(fmt.Sprint("g", i), "", anyJoin("")))
			wait(t, c.Join(fmt.Sprint("u", i), "", anyJoin("stranger")))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(c.groups) != 0 || len(c.clock.due) != 0 {
			t.Errorf("%d groups, %d alarms are kept", len(c.groups), len(c.clock.due))
		}
	})
}

func TestCloseAnswersTheParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startOn(t, Limits{InitialDelay: time.Hour}, &shelf{})
		j := anyJoin("")
		j.RequireKnownID, j.RebalanceTimeout = false, 2*time.Hour
		parked := c.Join("g", "", j)
		synctest.Wait()
		if parked.Ready() {
			t.Fatal("not parked")
		}
		c.Close()
		for name, err := range map[string]error{
			"parked": wait(t, parked).Err, "join": wait(t, c.Join("g", "", j)).Err, "sync": wait(t, c.Sync("g", Sync{})).Err,
			"heartbeat": c.Heartbeat("g", Identity{}, 0), "leave": c.Leave("g", []Identity{{}})[0],
			"commit": c.Commit(t.Context(), "g", Identity{}, -1, nil, partition.NewFuture()),
		} {
			if !errors.Is(err, ErrNotAvailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestManyClientsAtOnce(t *testing.T) {
	c := startOn(t, Limits{InitialDelay: time.Millisecond, MinSession: time.Millisecond}, &shelf{})
	defer c.Close()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			id := ""
			for range 50 {
				j := anyJoin(id)
				j.SessionTimeout, j.RebalanceTimeout = 50*time.Millisecond, 20*time.Millisecond
				a := wait(t, c.Join("g", "m", j))
				if id = a.Member; a.Err != nil {
					if errors.Is(a.Err, ErrUnknownMember) {
						id = ""
					}
					continue
				}
				all := map[string][]byte{}
				for _, m := range a.Members {
					all[m.Member] = []byte(m.Member)
				}
				s := wait(t, c.Sync("g", Sync{Who: Identity{Member: id}, Generation: a.Generation, Assignments: all}))
				if s.Err == nil && string(s.Assignment) != id {
					t.Errorf("G3: %q was assigned what %q was to have", id, s.Assignment)
				}
			}
			c.Leave("g", []Identity{{Member: id}})
		})
	}
	wg.Wait()
}

func at(topic string, p int32, o batch.Offset) Committed {
	return Committed{TopicPartition{topic, p}, o, batch.NoEpoch, ""}
}

func TestCommitCountsWhenItIsFlushed(t *testing.T) {
	s := &shelf{manual: true}
	c := startOn(t, Limits{}, s)
	defer c.Close()
	commit := func(o batch.Offset) *partition.Future {
		f := partition.NewFuture()
		if err := c.Commit(t.Context(), "g", Identity{}, NoGeneration, []Committed{at("t", 0, o), at("t", 1, o+1)}, f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	one := commit(5)
	if _, ok := c.Offsets.Get("g", TopicPartition{"t", 0}); ok || one.Ready() {
		t.Error("G5: it counts before it is flushed")
	}
	two := commit(7)
	s.mu.Lock()
	s.waiting[0], s.waiting[1] = s.waiting[1], s.waiting[0] // whatever order they are told in, the later record wins
	s.mu.Unlock()
	s.flush(nil)
	if err := errors.Join(one.Wait(t.Context()), two.Wait(t.Context())); err != nil {
		t.Error(err)
	}
	if got, _ := c.Offsets.Get("g", TopicPartition{"t", 1}); got.Offset != 8 {
		t.Errorf("%+v, want 8", got)
	}
	lost := commit(9)
	s.flush(errors.New("disk"))
	if err := lost.Wait(t.Context()); err == nil {
		t.Error("a lost commit was acknowledged")
	}
	if got := c.Offsets.All("g"); len(got) != 2 || got[0].Offset != 7 || got[1].Offset != 8 {
		t.Errorf("%+v", got)
	}
	s.refuse = engine.ErrFull
	if err := c.Commit(t.Context(), "g", Identity{}, NoGeneration, []Committed{at("t", 0, 1)}, partition.NewFuture()); !errors.Is(err, engine.ErrFull) {
		t.Error(err)
	}
	if err := c.Commit(t.Context(), "g2", Identity{}, 4, nil, partition.NewFuture()); !errors.Is(err, ErrIllegalGeneration) {
		t.Error(err)
	}
}

func TestOffsetsAreLoaded(t *testing.T) {
	shelves := []*shelf{{}, {}, {}}
	c := startOn(t, Limits{}, shelves...)
	for i := range 50 {
		f := partition.NewFuture()
		all := []Committed{{TopicPartition{"t", int32(i % 3)}, batch.Offset(i), 4, fmt.Sprint("meta ", i)}}
		if err := errors.Join(c.Commit(t.Context(), fmt.Sprint("group ", i%7), Identity{}, NoGeneration, all, f), f.Wait(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	var b batch.Builder
	key, err := offsetKey("group 0", TopicPartition{"t", 0}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Add(time.Now(), key, nil) // a tombstone
	b.Add(time.Now(), []byte{0, 11, 0, 1, 'g'}, []byte("a share group of a real Kafka"))
	if _, err := shelves[partition.ForKey("group 0", 3)].Append(b.Batch(), nil, partition.NewFuture()); err != nil {
		t.Fatal(err)
	}
	again := startOn(t, Limits{}, shelves...)
	defer again.Close()
	for g := range 7 {
		for p := range int32(3) {
			name, tp := fmt.Sprint("group ", g), TopicPartition{"t", p}
			want, had := c.Offsets.Get(name, tp)
			if g == 0 && p == 0 {
				had = false
			}
			if got, ok := again.Offsets.Get(name, tp); ok != had || had && got != want {
				t.Errorf("G6: %s %v: %+v %t, want %+v %t", name, tp, got, ok, want, had)
			}
		}
	}
}

// Java: Math.abs("…".hashCode()) % n.
func TestPartitionForIsKafkas(t *testing.T) {
	for group, want := range map[string]int{"": 0, "a": 47, "console-consumer-1": 24, "hello": 22, "ä": 28, "polygenelubricants": 0, "😀group": 32} {
		if got := partition.ForKey(group, 50); got != want {
			t.Errorf("%q: %d, want %d", group, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, p := range []pair{
		{offsetKey("g", TopicPartition{"t", 1}), &record.OffsetValue{Offset: 5, Metadata: "m", CommitMs: 7}},
		{record.Key{Kind: record.Classic, Group: "g"}, &record.ClassicValue{Generation: 1, Members: []record.ClassicMember{{ID: "m"}, {ID: "m"}}}},
	} {
		key, _ := p.key.Append(nil)
		value, _ := record.Append(nil, p.value)
		f.Add(key, value)
	}
	f.Add([]byte{0, 2}, []byte{})
	f.Add([]byte{0, 1, 255, 255}, []byte{0, 1})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		var b batch.Builder
		b.Add(time.UnixMilli(1), key, value)
		o := newOffsets(nil, nil)
		if err := o.load(&lane{}, b.Batch()); err != nil {
			if !errors.Is(err, record.ErrRecord) {
				t.Errorf("%v is not ErrRecord", err)
			}
			return
		}
		for _, found := range o.found {
			if found.classic != nil {
				g := Restore(Limits{}, time.Unix(0, 0), found.classic)
				g.Step(time.Unix(1<<40, 0), Tick{})
			}
		}
	})
}

func FuzzEmbedded(f *testing.F) {
	f.Add([]byte{0, 3, 0, 0, 0, 1, 0, 1, 't', 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255})
	f.Add([]byte{0, 1, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 5, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSubscription(b); err == nil && len(s.topics) > len(b) {
			t.Errorf("%d topics in %d bytes", len(s.topics), len(b))
		}
		if all, err := parseAssignment(b); err == nil && len(all) > len(b) {
			t.Errorf("%d partitions in %d bytes", len(all), len(b))
		}
	})
}
