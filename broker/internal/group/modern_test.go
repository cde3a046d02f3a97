package group

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/streambus/streambus/broker/internal/group/consumer"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
)

// world is topics that change.
type world struct {
	image atomic.Pointer[consumer.Image]
}

func newWorld(topics map[string]consumer.Topic) *world {
	w := new(world)
	w.image.Store(consumer.NewImage(1, topics))
	return w
}

var fourPartitions = map[string]consumer.Topic{"t": {ID: consumer.ID{1}, Partitions: 4}, "u": {ID: consumer.ID{2}, Partitions: 1}}

func (w *world) limits() Limits { return Limits{Topics: w.image.Load} }

// full is a heartbeat that tells all.
func full(member string, epoch int32, owned ...consumer.TopicPartition) consumer.Heartbeat {
	return consumer.Heartbeat{Member: member, Epoch: epoch, RebalanceMs: 60000, Topics: []string{"t"}, TopicsTold: true, Owned: owned, OwnedTold: true, ClientID: "c"}
}

func brief(member string, epoch int32) consumer.Heartbeat {
	return consumer.Heartbeat{Member: member, Epoch: epoch, RebalanceMs: -1}
}

func beat(t *testing.T, c *Coordinator, group string, h consumer.Heartbeat) HeartbeatAnswer {
	t.Helper()
	a := wait(t, c.ConsumerHeartbeat(group, h))
	if a.Err != nil {
		t.Fatalf("%+v: %v", h, a.Err)
	}
	return a
}

func TestConsumerGroupOutlivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := &shelf{}, newWorld(fourPartitions)
		c := startOn(t, w.limits(), s)
		a := beat(t, c, "g", full("m1", 0))
		if a.Epoch != 1 || len(a.Assigned) != 4 || a.Interval != 5*time.Second {
			t.Fatalf("%+v", a)
		}
		beat(t, c, "g", full("m2", 0))
		commit := func(c *Coordinator, r CommitRequest) error {
			f := partition.NewFuture()
			r.Group, r.Offsets = "g", []Committed{at("t", 0, 5)}
			if err := c.CommitOffsets(t.Context(), r, f); err != nil {
				return err
			}
			return f.Wait(t.Context())
		}
		for i, x := range []struct {
			r    CommitRequest
			want error
		}{
			{CommitRequest{Who: Identity{Member: "m1"}, Generation: 1, Epochs: true}, nil},
			{CommitRequest{Who: Identity{Member: "m1"}, Generation: 0, Epochs: true}, ErrStaleEpoch},
			{CommitRequest{Who: Identity{Member: "m1"}, Generation: 1}, ErrUnsupportedVersion},
			{CommitRequest{Who: Identity{Member: "m9"}, Generation: 1, Epochs: true}, ErrUnknownMember},
			{CommitRequest{Generation: -1, Epochs: true}, ErrUnknownMember},
			{CommitRequest{Generation: -1, Producer: &Producer{1, 0}}, nil},
			{CommitRequest{Who: Identity{Member: "m1"}, Generation: 0, Producer: &Producer{1, 0}}, ErrStaleEpoch},
		} {
			if err := commit(c, x.r); !errors.Is(err, x.want) {
				t.Errorf("%d: %v, want %v", i, err, x.want)
			}
		}
		c.Close()
		c = startOn(t, w.limits(), s)
		defer c.Close()
		d, err := c.ConsumerDescribe("g")
		if err != nil || len(d.Members) != 2 || d.State != consumer.Reconciling || d.Epoch != 2 {
			t.Fatalf("%+v %v", d, err)
		}
		if a := beat(t, c, "g", brief("m1", 1)); len(a.Assigned) != 2 {
			t.Errorf("%+v: two must go to m2", a)
		}
		if got, err := c.FetchOffsets(FetchRequest{Group: "g", Member: "m1", Epoch: 1, Partitions: []TopicPartition{{"t", 0}, {"t", 1}}}); err != nil || got[0].Offset != 5 || got[1].Offset != -1 {
			t.Errorf("%+v %v", got, err)
		}
		if _, err := c.FetchOffsets(FetchRequest{Group: "g", Member: "m1", Epoch: 7}); !errors.Is(err, ErrStaleEpoch) {
			t.Error(err)
		}
		if l, _ := c.List([]string{"reconciling"}, []string{"consumer"}); fmt.Sprint(l) != "[{g consumer Reconciling consumer}]" {
			t.Error(l)
		}
		if d, err := c.Describe("g"); d.State != "Dead" || !errors.Is(err, ErrNotFound) {
			t.Errorf("%+v %v", d, err)
		}
		if err := c.Delete(t.Context(), "g", partition.NewFuture()); !errors.Is(err, ErrNotEmpty) {
			t.Error(err)
		}
		time.Sleep(46 * time.Second)
		synctest.Wait()
		if l, _ := c.List([]string{"Empty"}, nil); len(l) != 1 {
			t.Errorf("%+v after all sessions", l)
		}
		f := partition.NewFuture()
		if err := errors.Join(c.Delete(t.Context(), "g", f), f.Wait(t.Context())); err != nil {
			t.Error(err)
		}
		third := startOn(t, w.limits(), s)
		defer third.Close()
		if l, _ := third.List(nil, nil); len(l) != 0 {
			t.Errorf("back after a restart: %v", l)
		}
	})
}

func TestConsumerAnswersWhenItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := &shelf{manual: true}, newWorld(fourPartitions)
		c := startOn(t, w.limits(), s)
		defer c.Close()
		r := c.ConsumerHeartbeat("g", full("m", 0))
		synctest.Wait()
		if r.Ready() {
			t.Error("G7")
		}
		s.flush(nil)
		if a := wait(t, r); a.Err != nil || a.Epoch != 1 {
			t.Errorf("%+v", a)
		}
		s.mu.Lock()
		s.refuse = engine.ErrFull
		s.mu.Unlock()
		if a := wait(t, c.ConsumerHeartbeat("g", full("n", 0))); !errors.Is(a.Err, ErrNotAvailable) {
			t.Errorf("%+v", a)
		}
		s.mu.Lock()
		s.refuse, s.manual = nil, false
		s.mu.Unlock()
		beat(t, c, "g", full("n", 0))
		if a := wait(t, c.ConsumerHeartbeat("none", brief("m", 4))); !errors.Is(a.Err, ErrNotFound) {
			t.Errorf("%+v", a)
		}
		if a := wait(t, c.ConsumerHeartbeat("none", consumer.Heartbeat{})); !errors.Is(a.Err, ErrInvalidRequest) || c.groups["none"] != nil {
			t.Errorf("%+v, and it left a group", a)
		}
	})
}

// assignment is what a consumer of the classic protocol is given.
func assignment(t *testing.T, a SyncAnswer) (out []TopicPartition) {
	t.Helper()
	out, err := parseAssignment(a.Assignment)
	if a.Err != nil || err != nil {
		t.Fatalf("%v %v", a.Err, err)
	}
	return out
}

func classicJoin(member string) Join {
	return Join{Who: Identity{Member: member}, ProtocolType: ConsumerType, Protocols: []Protocol{{"range", subscribing("t")}}, SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute}
}

// A group of two consumers of the classic protocol is upgraded one by one, and downgraded again, with the offsets kept and no partition in
// two hands.
func TestOnlineMigration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, w := &shelf{}, newWorld(fourPartitions)
		c := startOn(t, w.limits(), s)
		first := wait(t, c.Join("g", "old", classicJoin("")))
		all := []consumer.TopicPartition{{Topic: consumer.ID{1}, Partition: 0}, {Topic: consumer.ID{1}, Partition: 1}, {Topic: consumer.ID{1}, Partition: 2}, {Topic: consumer.ID{1}, Partition: 3}}
		who := Identity{Member: first.Member}
		wait(t, c.Sync("g", Sync{Who: who, Generation: 1, Assignments: map[string][]byte{who.Member: embed(w.image.Load(), all, nil)}}))
		commitOf(t, c, "g", "t", 7)

		n := beat(t, c, "g", full("new", 0)) // the upgrade
		if n.Epoch != 2 || len(n.Assigned) != 0 {
			t.Fatalf("%+v: all is the old member's", n)
		}
		if err := c.Heartbeat("g", who, 1); !errors.Is(err, ErrRebalanceInProgress) {
			t.Errorf("the old member must join again: %v", err)
		}
		c.Close() // and a crash in between changes nothing
		c = startOn(t, w.limits(), s)
		defer c.Close()
		j := wait(t, c.Join("g", "old", classicJoin(who.Member)))
		if j.Err != nil || j.Generation != 2 || j.Protocol != "range" || j.Leader != "" || len(j.Members) != 0 {
			t.Fatalf("%+v", j)
		}
		if got := assignment(t, wait(t, c.Sync("g", Sync{Who: who, Generation: 2, ProtocolType: "consumer", Protocol: "range"}))); len(got) != 2 {
			t.Errorf("%v", got)
		}
		if err := c.Heartbeat("g", who, 2); err != nil {
			t.Error(err)
		}
		if a := beat(t, c, "g", brief("new", 2)); len(a.Assigned) != 2 {
			t.Errorf("%+v", a)
		}
		d, err := c.ConsumerDescribe("g")
		if err != nil || d.State != consumer.Stable || !slices.ContainsFunc(d.Members, func(m consumer.MemberDescription) bool { return m.Classic }) {
			t.Errorf("%+v %v", d, err)
		}
		for i, err := range []error{
			wait(t, c.Sync("g", Sync{Who: who, Generation: 1})).Err, c.Heartbeat("g", who, 1), c.Heartbeat("g", Identity{Member: "new"}, 2),
			wait(t, c.Join("g", "", anyTyped("connect"))).Err, wait(t, c.Join("g", "", anyTyped("consumer"))).Err,
		} {
			want := []error{ErrIllegalGeneration, ErrIllegalGeneration, ErrUnknownMember, ErrInconsistentProtocol, ErrInconsistentProtocol}[i]
			if !errors.Is(err, want) {
				t.Errorf("%d: %v, want %v", i, err, want)
			}
		}
		f := partition.NewFuture()
		if err := errors.Join(c.Commit(t.Context(), "g", who, 2, []Committed{at("t", 1, 8)}, f), f.Wait(t.Context())); err != nil {
			t.Errorf("a member of the classic protocol commits by its generation: %v", err)
		}

		beat(t, c, "g", brief("new", consumer.LeaveEpoch)) // the downgrade
		if err := c.Heartbeat("g", who, 2); !errors.Is(err, ErrRebalanceInProgress) && !errors.Is(err, ErrIllegalGeneration) {
			t.Errorf("%v", err)
		}
		j = wait(t, c.Join("g", "old", classicJoin(who.Member)))
		if j.Err != nil || j.Leader != who.Member || j.Generation <= 3 {
			t.Fatalf("%+v", j)
		}
		if got := c.Offsets.All("g"); len(got) != 2 || got[0].Offset != 7 {
			t.Errorf("%+v", got)
		}
		if l, _ := c.List(nil, nil); len(l) != 1 || l[0].Type != "classic" {
			t.Errorf("%+v", l)
		}
	})
}

// anyTyped is a join whose metadata no consumer sends.
func anyTyped(protocolType string) Join {
	j := classicJoin("")
	j.ProtocolType, j.Protocols = protocolType, []Protocol{{"range", []byte{1}}}
	return j
}

func TestMigrationPolicies(t *testing.T) {
	w := newWorld(fourPartitions)
	for _, policy := range []Migration{OnlyDowngrade, Disabled} {
		l := w.limits()
		l.Migration = policy
		c := startOn(t, l, &shelf{})
		member := formed(t, c, "g", "t")
		if a := wait(t, c.ConsumerHeartbeat("g", full("new", 0))); !errors.Is(a.Err, ErrNotFound) {
			t.Errorf("%d: %+v", policy, a)
		}
		c.Leave("g", []Identity{{Member: member}})
		if a := wait(t, c.ConsumerHeartbeat("g", full("new", 0))); a.Err != nil || a.Epoch <= 2 {
			t.Errorf("%d: an empty group: %+v", policy, a)
		}
		beat(t, c, "g", brief("new", consumer.LeaveEpoch))
		if a := wait(t, c.Join("g", "", classicJoin(""))); a.Err != nil || a.Generation <= 3 {
			t.Errorf("%d: and back: %+v", policy, a)
		}
		c.Close()
	}
	c := startOn(t, w.limits(), &shelf{})
	defer c.Close()
	formed(t, c, "odd", "t") // its assignment is no consumer's
	if a := wait(t, c.ConsumerHeartbeat("odd", full("new", 0))); !errors.Is(a.Err, ErrNotFound) {
		t.Errorf("%+v", a)
	}
	wait(t, c.Join("busy", "", classicJoin(""))) // nobody has synced
	if a := wait(t, c.ConsumerHeartbeat("busy", full("new", 0))); !errors.Is(a.Err, ErrNotAvailable) {
		t.Errorf("in a rebalance: %+v", a)
	}
}

func TestOffsetsOfMissingTopicsGoAtStart(t *testing.T) {
	s, w := &shelf{}, newWorld(fourPartitions)
	c := startOn(t, w.limits(), s)
	commitOf(t, c, "g", "t", 1)
	commitOf(t, c, "g", "gone", 1)
	c.Close()
	c = startOn(t, w.limits(), s)
	defer c.Close()
	if got := c.Offsets.All("g"); len(got) != 1 || got[0].Topic != "t" {
		t.Errorf("%+v", got)
	}
}
