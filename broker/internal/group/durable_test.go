package group

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
)

// formed makes a group of one member in generation 1, and gives the member.
func formed(t *testing.T, c *Coordinator, group string, topics ...string) string {
	t.Helper()
	j := anyJoin("")
	j.RequireKnownID, j.Protocols = false, []Protocol{{"range", subscribing(topics...)}}
	a := wait(t, c.Join(group, "client", j))
	s := wait(t, c.Sync(group, Sync{Who: Identity{Member: a.Member}, Generation: a.Generation, Assignments: map[string][]byte{a.Member: []byte("mine")}}))
	if a.Err != nil || s.Err != nil || string(s.Assignment) != "mine" {
		t.Fatalf("%+v %+v", a, s)
	}
	return a.Member
}

// subscribing is what a consumer sends in its metadata.
func subscribing(topics ...string) []byte {
	b := []byte{0, 0, 0, 0, 0, byte(len(topics))}
	for _, name := range topics {
		b = append(append(b, 0, byte(len(name))), name...)
	}
	return append(b, 255, 255, 255, 255)
}

func TestMembersGoOnAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		c := startOn(t, Limits{}, s)
		member := formed(t, c, "g", "t")
		c.Close() // what is on the shelf is all that is left, as after kill -9
		again := startOn(t, Limits{}, s)
		defer again.Close()
		if err := again.Heartbeat("g", Identity{Member: member}, 1); err != nil {
			t.Errorf("the next heartbeat: %v", err)
		}
		d, err := again.Describe("g")
		if err != nil || d.State != "Stable" || len(d.Members) != 1 || d.Members[0].ClientID != "client" || string(d.Members[0].Assignment) != "mine" {
			t.Errorf("%+v %v", d, err)
		}
		time.Sleep(10*time.Second + time.Millisecond) // its session counts from the start
		if err := again.Heartbeat("g", Identity{Member: member}, 1); !errors.Is(err, ErrUnknownMember) {
			t.Errorf("after its session: %v", err)
		}
		third := startOn(t, Limits{}, s) // and that it left is durable, too
		defer third.Close()
		if d, _ := third.Describe("g"); d.State != "Empty" || third.groups["g"].g.generation != 2 {
			t.Errorf("%+v", d)
		}
	})
}

func TestAGenerationIsToldWhenItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{manual: true}
		c := startOn(t, Limits{}, s)
		defer c.Close()
		j := anyJoin("")
		j.RequireKnownID = false
		a := wait(t, c.Join("g", "client", j))
		sync := c.Sync("g", Sync{Who: Identity{Member: a.Member}, Generation: 1, Assignments: map[string][]byte{a.Member: []byte("mine")}})
		again := c.Sync("g", Sync{Who: Identity{Member: a.Member}, Generation: 1})
		synctest.Wait()
		if sync.Ready() || again.Ready() {
			t.Error("G7: an assignment was told before it was durable")
		}
		s.flush(nil)
		if x, y := wait(t, sync), wait(t, again); string(x.Assignment) != "mine" || string(y.Assignment) != "mine" {
			t.Errorf("%+v %+v", x, y)
		}
		lost := c.Leave // the record that the group is empty does not reach the disk
		left := make(chan []error, 1)
		go func() { left <- lost("g", []Identity{{Member: a.Member}}) }()
		synctest.Wait()
		s.flush(errors.New("disk"))
		if errs := <-left; !errors.Is(errs[0], ErrNotAvailable) {
			t.Errorf("G7: told although the disk has failed: %v", errs)
		}
	})
}

func TestWhatWasRefusedGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{refuse: engine.ErrFull}
		c := startOn(t, Limits{}, s)
		j := anyJoin("")
		j.RequireKnownID = false
		a := wait(t, c.Join("g", "client", j))
		sync := Sync{Who: Identity{Member: a.Member}, Generation: 1, Assignments: map[string][]byte{a.Member: []byte("mine")}}
		for range 2 {
			if got := wait(t, c.Sync("g", sync)); !errors.Is(got.Err, ErrNotAvailable) {
				t.Errorf("the disk is full: %+v", got)
			}
		}
		if err := c.Heartbeat("g", sync.Who, 1); !errors.Is(err, ErrNotAvailable) {
			t.Errorf("G7: %v of a generation that is not durable", err)
		}
		s.mu.Lock()
		s.refuse = nil
		s.mu.Unlock()
		if err := c.Heartbeat("g", sync.Who, 1); err != nil || len(s.written()) != 1 {
			t.Errorf("%v, %d batches", err, len(s.written()))
		}
		c.Close()
		again := startOn(t, Limits{}, s)
		defer again.Close()
		if got := wait(t, again.Sync("g", Sync{Who: sync.Who, Generation: 1})); string(got.Assignment) != "mine" {
			t.Errorf("%+v", got)
		}
	})
}

// commitOf commits one offset by a client outside of the group.
func commitOf(t *testing.T, c *Coordinator, group, topic string, o batch.Offset) {
	t.Helper()
	f := partition.NewFuture()
	if err := errors.Join(c.Offsets.Commit(t.Context(), group, []Committed{at(topic, 0, o)}, f), f.Wait(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func TestTransactionalOffsets(t *testing.T) {
	shelves := []*shelf{{}, {}, {}}
	c := startOn(t, Limits{}, shelves...)
	g := "group"
	commitOf(t, c, g, "t", 1)
	send := func(p Producer, all ...Committed) {
		t.Helper()
		f := partition.NewFuture()
		r := CommitRequest{Group: g, Generation: NoGeneration, Producer: &p, Offsets: all}
		if err := errors.Join(c.CommitOffsets(t.Context(), r, f), f.Wait(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	end := func(c *Coordinator, p Producer, commit bool) {
		t.Helper()
		f := partition.NewFuture()
		if err := errors.Join(c.Offsets.Marker(t.Context(), partition.ForKey(g, 3), p, 0, commit, f), f.Wait(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	look := func(c *Coordinator, stable bool, want ...any) {
		t.Helper()
		got, err := c.FetchOffsets(FetchRequest{Group: g, Epoch: -1, All: true, StableFirst: stable})
		if err != nil || len(got) != len(want) {
			t.Fatalf("%+v, %v; want %v", got, err, want)
		}
		for i, w := range want {
			if e, isErr := w.(error); isErr && !errors.Is(got[i].Err, e) || !isErr && got[i].Offset != batch.Offset(w.(int)) {
				t.Errorf("%d: %+v, want %v", i, got[i], w)
			}
		}
	}
	one, two := Producer{7, 0}, Producer{8, 3}
	send(one, at("t", 0, 10), at("u", 0, 11))
	send(two, at("v", 0, 20))
	look(c, false, 1)
	look(c, true, ErrUnstable, ErrUnstable, ErrUnstable)
	restarted := startOn(t, Limits{}, shelves...)
	look(restarted, false, 1)
	look(restarted, true, ErrUnstable, ErrUnstable, ErrUnstable)
	restarted.Close()
	end(c, one, true)
	look(c, true, 10, 11, ErrUnstable)
	end(c, two, false)
	look(c, true, 10, 11)
	end(c, two, false) // nothing to end
	send(two, at("t", 0, 30))
	commitOf(t, c, g, "t", 31)
	end(c, two, true) // what ends later counts
	look(c, true, 30, 11)
	c.Close()
	restarted = startOn(t, Limits{}, shelves...)
	defer restarted.Close()
	look(restarted, true, 30, 11)
	if n := len(restarted.Offsets.open); n != 0 {
		t.Errorf("%d transactions are open after all ended", n)
	}
	if err := restarted.Offsets.Marker(t.Context(), 3, one, 0, true, partition.NewFuture()); !errors.Is(err, ErrNotAvailable) {
		t.Errorf("a partition that is not there: %v", err)
	}
}

func TestTransactionsOfMembers(t *testing.T) {
	c := startOn(t, Limits{}, &shelf{})
	defer c.Close()
	member := formed(t, c, "g", "t")
	for _, x := range []struct {
		who  Identity
		g    Generation
		want error
	}{
		{Identity{}, -1, nil}, {Identity{Member: member}, 1, nil}, {Identity{Member: member}, 0, ErrIllegalGeneration},
		{Identity{Member: "stranger"}, 1, ErrUnknownMember}, {Identity{Member: member, Instance: "i"}, 1, ErrUnknownMember},
	} {
		f := partition.NewFuture()
		r := CommitRequest{Group: "g", Who: x.who, Generation: x.g, Producer: &Producer{1, 0}, Offsets: []Committed{at("t", 0, 1)}}
		if err := c.CommitOffsets(t.Context(), r, f); !errors.Is(err, x.want) {
			t.Errorf("%+v %d: %v, want %v", x.who, x.g, err, x.want)
		}
	}
	if err := c.CommitOffsets(t.Context(), CommitRequest{Group: "none", Generation: 3, Epochs: true}, partition.NewFuture()); !errors.Is(err, ErrNotFound) {
		t.Errorf("version 9, no group: %v", err)
	}
	if err := c.CommitOffsets(t.Context(), CommitRequest{Group: "g", Generation: -1}, partition.NewFuture()); !errors.Is(err, ErrUnknownMember) {
		t.Errorf("no member, not transactional: %v", err)
	}
}

func TestListAndDelete(t *testing.T) {
	s := &shelf{}
	c := startOn(t, Limits{}, s)
	member := formed(t, c, "full", "t")
	commitOf(t, c, "simple", "t", 1)
	list := func(states, types []string) string {
		all, err := c.List(states, types)
		return fmt.Sprint(all, err)
	}
	if got := list(nil, nil); got != "[{full consumer Stable classic} {simple  Empty classic}] <nil>" {
		t.Error(got)
	}
	if got := list([]string{"stable"}, []string{"Classic"}); got != "[{full consumer Stable classic}] <nil>" {
		t.Error(got)
	}
	if got := list(nil, []string{"consumer"}); got != "[] <nil>" {
		t.Error(got)
	}
	del := func(id string) error {
		f := partition.NewFuture()
		if err := c.Delete(t.Context(), id, f); err != nil {
			return err
		}
		return f.Wait(t.Context())
	}
	for id, want := range map[string]error{"full": ErrNotEmpty, "none": ErrNotFound, "simple": nil} {
		if err := del(id); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
	commitOf(t, c, "full", "t", 1)
	c.Leave("full", []Identity{{Member: member}})
	if err := del("full"); err != nil {
		t.Error(err)
	}
	if got := list(nil, nil); got != "[] <nil>" {
		t.Error(got)
	}
	if d, err := c.Describe("full"); d.State != "Dead" || !errors.Is(err, ErrNotFound) {
		t.Errorf("%+v %v", d, err)
	}
	c.Close()
	again := startOn(t, Limits{}, s)
	defer again.Close()
	if all, _ := again.List(nil, nil); len(all) != 0 {
		t.Errorf("back after a restart: %v", all)
	}
}

func TestOffsetDelete(t *testing.T) {
	c := startOn(t, Limits{}, &shelf{})
	defer c.Close()
	formed(t, c, "g", "read")
	commitOf(t, c, "g", "read", 1)
	commitOf(t, c, "g", "old", 1)
	f := partition.NewFuture()
	errs, err := c.OffsetDelete(t.Context(), "g", []TopicPartition{{"read", 0}, {"old", 0}, {"old", 9}}, f)
	if err := errors.Join(err, f.Wait(t.Context())); err != nil || !errors.Is(errs[0], ErrSubscribed) || errs[1] != nil || errs[2] != nil {
		t.Errorf("%v %v", errs, err)
	}
	if got := c.Offsets.All("g"); len(got) != 1 || got[0].Topic != "read" {
		t.Errorf("%+v", got)
	}
	if _, err := c.OffsetDelete(t.Context(), "none", nil, f); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	j := anyJoin("")
	j.RequireKnownID, j.ProtocolType = false, "connect"
	wait(t, c.Join("workers", "", j))
	if _, err := c.OffsetDelete(t.Context(), "workers", []TopicPartition{{"t", 0}}, f); !errors.Is(err, ErrNotEmpty) {
		t.Error(err)
	}
}

func TestOffsetsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		c := startOn(t, Limits{Retention: time.Hour, CheckInterval: time.Minute, MaxSession: 10 * time.Hour}, s)
		defer c.Close()
		j := anyJoin("")
		j.RequireKnownID, j.SessionTimeout, j.Protocols = false, 10*time.Hour, []Protocol{{"range", subscribing("read")}}
		a := wait(t, c.Join("g", "client", j))
		wait(t, c.Sync("g", Sync{Who: Identity{Member: a.Member}, Generation: 1}))
		for _, id := range []string{"g", "simple"} {
			commitOf(t, c, id, "read", 1)
			commitOf(t, c, id, "old", 1)
		}
		topics := func() string {
			synctest.Wait()
			var out []string
			for _, id := range []string{"g", "simple"} {
				for _, o := range c.Offsets.All(id) {
					out = append(out, id+"/"+o.Topic)
				}
			}
			return fmt.Sprint(out)
		}
		time.Sleep(59 * time.Minute)
		if got := topics(); got != "[g/old g/read simple/old simple/read]" {
			t.Error(got)
		}
		time.Sleep(2 * time.Minute) // a stable consumer group keeps what it reads; a simple one has only the commit's time
		if got := topics(); got != "[g/read]" {
			t.Error(got)
		}
		time.Sleep(time.Hour)
		c.Leave("g", []Identity{{Member: a.Member}})
		time.Sleep(59 * time.Minute) // counts from when it became empty
		if got := topics(); got != "[g/read]" {
			t.Error(got)
		}
		time.Sleep(2 * time.Minute)
		if got := topics(); got != "[]" || len(c.groups) != 0 {
			t.Errorf("%s, %d groups", got, len(c.groups))
		}
		again := startOn(t, Limits{}, s)
		defer again.Close()
		if all, _ := again.List(nil, nil); len(all) != 0 {
			t.Errorf("back after a restart: %v", all)
		}
	})
}

// TestTheWallClockJumps: commits are stamped by it, members and offsets do not expire by it.
func TestTheWallClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const year = 365 * 24 * time.Hour
		var skew atomic.Int64
		now := func() time.Time { return time.Now().Round(0).Add(time.Duration(skew.Load())) }
		var made bool
		s := &shelf{}
		o, err := OpenOffsets(t.Context(), logsOf(&made, s), now)
		if err != nil {
			t.Fatal(err)
		}
		c := Start(Limits{Now: now, Steady: time.Now, Retention: time.Hour, CheckInterval: time.Minute}, o)
		defer c.Close()
		j := anyJoin("")
		j.RequireKnownID = false
		a := wait(t, c.Join("g", "client", j))
		wait(t, c.Sync("g", Sync{Who: Identity{Member: a.Member}, Generation: 1}))
		commitOf(t, c, "simple", "t", 1)
		for _, by := range []time.Duration{year, -year, 0} {
			skew.Store(int64(by))
			for range 15 {
				time.Sleep(9 * time.Second)
				if err := c.Heartbeat("g", Identity{Member: a.Member}, 1); err != nil {
					t.Fatalf("with the clock %v ahead: %v", by, err)
				}
			}
			if len(c.Offsets.All("simple")) != 1 {
				t.Errorf("with the clock %v ahead what was committed has expired", by)
			}
		}
		skew.Store(int64(year))
		commitOf(t, c, "ahead", "t", 1)
		written := s.written()
		if got := written[len(written)-1].MaxTimestamp(); got != now().UnixMilli() {
			t.Errorf("a commit has the time %d by a clock that says %v", got, now())
		}
		time.Sleep(11 * time.Second)
		if err := c.Heartbeat("g", Identity{Member: a.Member}, 1); !errors.Is(err, ErrUnknownMember) {
			t.Errorf("when its session is over: %v", err)
		}
		time.Sleep(time.Hour)
		if len(c.Offsets.All("simple")) != 0 {
			t.Error("what was committed does not expire when it is old")
		}
	})
}

// TestOffsetsThatBringTheirRetention: OffsetCommit 2 to 4 may say how long offsets last, which outlives a restart, and counts however long
// the broker's retention is.
func TestOffsetsThatBringTheirRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		c := startOn(t, Limits{Retention: -1, CheckInterval: time.Minute}, s)
		for topic, retention := range map[string]time.Duration{"short": time.Hour, "long": 3 * time.Hour, "kept": 0} {
			w := partition.NewFuture()
			r := CommitRequest{Group: "g", Generation: NoGeneration, Retention: retention, Offsets: []Committed{{TopicPartition: TopicPartition{topic, 0}, Offset: 7}}}
			if err := errors.Join(c.CommitOffsets(t.Context(), r, w), w.Wait(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		left := func() (topics []string) {
			synctest.Wait()
			for _, o := range c.Offsets.All("g") {
				topics = append(topics, o.Topic)
			}
			return topics
		}
		time.Sleep(59 * time.Minute)
		if got := left(); len(got) != 3 {
			t.Error(got)
		}
		time.Sleep(2 * time.Minute)
		if got := left(); !slices.Equal(got, []string{"kept", "long"}) {
			t.Error(got)
		}
		c.Close()
		c = startOn(t, Limits{Retention: -1, CheckInterval: time.Minute}, s)
		defer c.Close()
		if got := left(); !slices.Equal(got, []string{"kept", "long"}) {
			t.Errorf("after a restart: %v", got)
		}
		time.Sleep(2 * time.Hour)
		if got := left(); !slices.Equal(got, []string{"kept"}) {
			t.Error(got)
		}
	})
}

func TestOffsetsGoWithTheirTopic(t *testing.T) {
	s := &shelf{}
	c := startOn(t, Limits{}, s)
	defer c.Close()
	for i := range 5 {
		commitOf(t, c, fmt.Sprint("g", i), "gone", 1)
	}
	commitOf(t, c, "g0", "kept", 1)
	c.TopicsDeleted("gone")
	if names := c.Offsets.names(); len(names) != 1 || len(c.Offsets.All("g0")) != 1 {
		t.Errorf("%v", names)
	}
}
