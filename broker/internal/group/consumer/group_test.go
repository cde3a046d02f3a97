package consumer

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// bench is a group with one topic of four partitions, and its time.
type bench struct {
	t     *testing.T
	g     *Group
	now   time.Time
	image *Image
}

func newBench(t *testing.T) *bench {
	return &bench{t, New(Limits{MaxSize: 3}), time.Unix(100, 0), NewImage(1, map[string]Topic{"t": {ID{1}, 4}, "u": {ID{2}, 1}})}
}

// full is a heartbeat that tells all.
func full(id string, epoch int32, owned ...TopicPartition) Heartbeat {
	return Heartbeat{Member: id, Epoch: epoch, RebalanceMs: 60000, Topics: []string{"t"}, TopicsTold: true, Owned: owned, OwnedTold: true, Session: session}
}

// beat is one that tells nothing new.
func beat(id string, epoch int32) Heartbeat {
	return Heartbeat{Member: id, Epoch: epoch, RebalanceMs: -1, Session: session}
}

func (b *bench) send(e Heartbeat) (Answer, error) {
	a, _, err := b.g.Heartbeat(b.now, b.image, e)
	return a, err
}

func (b *bench) ok(e Heartbeat) Answer {
	b.t.Helper()
	a, err := b.send(e)
	if err != nil {
		b.t.Fatalf("%+v: %v", e, err)
	}
	return a
}

func (b *bench) refused(e Heartbeat, want error) {
	b.t.Helper()
	before := dump(b.g)
	if _, err := b.send(e); !errors.Is(err, want) {
		b.t.Errorf("%+v: %v, want %v", e, err, want)
	}
	if after := dump(b.g); after != before {
		b.t.Errorf("C3: %v changed %s to %s", want, before, after)
	}
}

func parts(n ...int32) (out []TopicPartition) {
	for _, p := range n {
		out = append(out, TopicPartition{Topic: ID{1}, Partition: p})
	}
	return out
}

func TestTwoMembersShare(t *testing.T) {
	b := newBench(t)
	a := b.ok(full("a", 0))
	if a.Epoch != 1 || len(a.Assigned) != 4 || !a.Told || b.g.State() != Stable {
		t.Fatalf("%+v %v", a, b.g.State())
	}
	if again := b.ok(beat("a", 1)); again.Told {
		t.Errorf("nothing new was told: %+v", again)
	}
	x := b.ok(full("b", 0))
	if x.Epoch != 2 || len(x.Assigned) != 0 || b.g.members["b"].state != unreleased || b.g.State() != Reconciling {
		t.Fatalf("%+v %v: what a has not given back went to b", x, b.g.members["b"].state)
	}
	a = b.ok(beat("a", 1))
	if a.Epoch != 1 || !a.Told || len(a.Assigned) != 2 {
		t.Fatalf("%+v: a must give back two and stay in its epoch", a)
	}
	if x = b.ok(beat("b", 2)); len(x.Assigned) != 0 {
		t.Fatalf("C1: %+v", x)
	}
	e := beat("a", 1)
	e.Owned, e.OwnedTold = a.Assigned, true
	if a = b.ok(e); a.Epoch != 2 {
		t.Errorf("%+v: a has given back", a)
	}
	if x = b.ok(beat("b", 2)); len(x.Assigned) != 2 || b.g.State() != Stable {
		t.Errorf("%+v %v", x, b.g.State())
	}
	if err := errors.Join(b.g.MayCommit("a", 2), b.g.MayCommit("b", 2)); err != nil {
		t.Error(err)
	}
	if err := b.g.MayCommit("a", 1); !errors.Is(err, ErrStaleEpoch) {
		t.Error(err)
	}
	if err := b.g.MayCommit("z", 1); !errors.Is(err, ErrUnknownMember) {
		t.Error(err)
	}
	if d := b.g.Describe(); d.Epoch != 2 || d.AssignmentEpoch != 2 || d.Assignor != "uniform" || len(d.Members) != 2 || len(d.Members[1].Target) != 2 {
		t.Errorf("%+v", d)
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	with := func(e Heartbeat, f func(*Heartbeat)) Heartbeat { f(&e); return e }
	name := func(s string) *string { return &s }
	for why, e := range map[string]Heartbeat{
		"no rebalance timeout": with(full("a", 0), func(e *Heartbeat) { e.RebalanceMs = -1 }),
		"owns when joining":    full("a", 0, parts(1)...),
		"no subscription":      with(full("a", 0), func(e *Heartbeat) { e.Topics, e.TopicsTold = nil, false }),
		"no name in version 1": with(full("", 0), func(e *Heartbeat) { e.MustNameSelf = true }),
		"no name":              beat("", 4),
		"leaves for a while":   beat("a", LeaveStaticEpoch),
		"an odd epoch":         beat("a", -3),
	} {
		t.Run(why, func(*testing.T) { b.refused(e, ErrInvalidRequest) })
	}
	b.refused(beat("a", 1), ErrUnknownMember)
	b.refused(beat("a", LeaveEpoch), ErrUnknownMember)
	b.refused(with(full("a", 0), func(e *Heartbeat) { e.Assignor = name("sticky") }), ErrUnsupportedAssignor)
	for _, bad := range []string{"(", "a)(b", strings.Repeat("x", maxRegex+1), `(?=x)`} {
		b.refused(with(full("a", 0), func(e *Heartbeat) { e.Regex = name(bad) }), ErrInvalidRegex)
	}
	first := b.ok(with(full("", 0), func(e *Heartbeat) { e.NewID = "made" }))
	if first.Member != "made" || first.Epoch != 1 {
		t.Errorf("%+v", first)
	}
	b.ok(full("b", 0))
	b.ok(full("c", 0))
	b.refused(full("d", 0), ErrMaxSize)
	b.refused(beat("made", 2), ErrFencedEpoch)
	if a := b.ok(full("made", 0)); a.Epoch < 1 || !a.Told { // its first answer was lost
		t.Errorf("%+v", a)
	}
	b.refused(full("made", 0, parts(0)...), ErrInvalidRequest)
}

// A consumer that matches names itself joins with none as long as no topic has such a name.
func TestAMemberMayWaitForItsFirstTopic(t *testing.T) {
	for why, change := range map[string]func(*Heartbeat){
		"no topic":         func(e *Heartbeat) { e.Topics = nil },
		"no expression":    func(e *Heartbeat) { e.Topics, e.TopicsTold, e.Regex = nil, false, new(string) },
		"neither of them":  func(e *Heartbeat) { e.Topics, e.Regex = nil, new(string) },
		"one that is gone": func(e *Heartbeat) { e.Topics = []string{"gone"} },
	} {
		b := newBench(t)
		e := full("a", 0)
		change(&e)
		if a := b.ok(e); a.Epoch != 1 || !a.Told || len(a.Assigned) != 0 || b.g.State() != Stable {
			t.Errorf("%s: %+v %v", why, a, b.g.State())
		}
		if a := b.ok(full("a", 1)); a.Epoch != 2 || len(a.Assigned) != 4 {
			t.Errorf("%s, then one: %+v", why, a)
		}
	}
}

func TestALostEpochIsToldAgain(t *testing.T) {
	b := newBench(t)
	b.ok(full("a", 0))
	e := full("a", 1, parts(0, 1, 2, 3)...)
	e.Topics = []string{"t", "u"}
	if a := b.ok(e); a.Epoch != 2 {
		t.Fatalf("%+v", a)
	}
	if a := b.ok(e); a.Epoch != 2 || len(a.Assigned) != 5 {
		t.Errorf("%+v: epoch 1 comes again, since the answer was lost", a)
	}
	e.Owned = append(parts(0), TopicPartition{Topic: ID{9}})
	b.refused(e, ErrFencedEpoch)
	b.refused(beat("a", 3), ErrFencedEpoch)
}

// Kafka's Admin removes static members with the old LeaveGroup, whatever they speak; nobody but the operator knows that they will not return.
func TestAnOperatorRemovesAStaticMember(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"a", "b"} {
		e := full(id, 0)
		e.Instance = "instance of " + id
		b.ok(e)
	}
	e := beat("b", LeaveStaticEpoch)
	e.Instance = "instance of b"
	b.ok(e) // its place is kept
	for _, who := range [][2]string{{"a", "instance of a"}, {"a", ""}, {"", "instance of c"}, {"", ""}} {
		if _, err := b.g.Leave(b.now, who[0], who[1]); !errors.Is(err, ErrUnknownMember) || len(b.g.members) != 2 {
			t.Errorf("%q: %v", who, err)
		}
	}
	for _, instance := range []string{"instance of b", "instance of a"} {
		if records, err := b.g.Leave(b.now, "", instance); err != nil || len(records) == 0 {
			t.Errorf("%s: %v, %v", instance, records, err)
		}
	}
	if b.g.State() != Empty || len(b.g.owners) != 0 {
		t.Errorf("%v, owners %v", b.g.State(), b.g.owners)
	}
}

func TestStaticMembers(t *testing.T) {
	b := newBench(t)
	static := func(id string, epoch int32) Heartbeat {
		e := full(id, epoch)
		if epoch != 0 {
			e = beat(id, epoch)
		}
		e.Instance = "i"
		return e
	}
	b.ok(static("a", 0))
	b.ok(full("other", 0))
	b.refused(static("b", 0), ErrUnreleasedInstance)
	b.refused(static("b", 1), ErrFencedInstance)
	b.refused(static("b", LeaveEpoch), ErrFencedInstance)
	b.ok(static("a", LeaveStaticEpoch))
	b.refused(static("a", 1), ErrFencedEpoch)
	had, epoch := slices.Clone(b.g.members["a"].assigned), b.g.epoch
	b.refused(static("other", 0), ErrUnreleasedInstance)
	back := b.ok(static("b", 0))
	kept, _ := split(had, b.g.target["b"])
	if b.g.epoch != epoch || back.Epoch != b.g.targetEpoch || !slices.Equal(back.Assigned, kept) || b.g.members["a"] != nil {
		t.Errorf("%+v at group epoch %d; had %v at %d", back, b.g.epoch, had, epoch)
	}
	b.ok(static("b", LeaveStaticEpoch))
	b.now = b.now.Add(session)
	b.g.Tick(b.now)
	if b.g.Len() != 0 || b.g.State() != Empty {
		t.Errorf("%d members after the session", b.g.Len())
	}
	b.refused(static("b", 3), ErrUnknownMember)
}

func TestWhoDoesNotGiveBackIsTakenOut(t *testing.T) {
	b := newBench(t)
	b.ok(full("a", 0))
	b.ok(full("b", 0))
	b.ok(beat("a", 1)) // must revoke within 60 s
	for range 3 {
		b.now = b.now.Add(25 * time.Second)
		b.g.Tick(b.now)
		if b.g.members["a"] != nil {
			b.ok(beat("a", 1))
		}
		b.ok(beat("b", b.g.members["b"].epoch))
	}
	if b.g.members["a"] != nil || len(b.g.members["b"].assigned) != 4 {
		t.Errorf("a: %v, b has %v", b.g.members["a"], b.g.members["b"].assigned)
	}
}

func TestOnlyWhatIsOnOfferAssigns(t *testing.T) {
	b := newBench(t)
	b.g = New(Limits{Assignors: []string{"range"}})
	e := full("a", 0)
	uniform := "uniform"
	e.Assignor = &uniform
	b.refused(e, ErrUnsupportedAssignor)
	b.ok(full("a", 0))
	b.g.members["a"].assignor = uniform // from before a restart
	if got := b.g.Assignor(); got != "range" {
		t.Errorf("%s assigns", got)
	}
}

func TestTopicsChange(t *testing.T) {
	b := newBench(t)
	re := "u|w.*"
	e := full("a", 0)
	e.Regex = &re
	if a := b.ok(e); len(a.Assigned) != 5 || !b.g.Reads("u") || b.g.Reads("w1") {
		t.Fatalf("%+v", a)
	}
	b.image = NewImage(2, map[string]Topic{"t": {ID{1}, 6}, "u": {ID{2}, 1}, "w1": {ID{3}, 2}, "uu": {ID{4}, 1}})
	if a := b.ok(beat("a", 1)); len(a.Assigned) != 9 || a.Epoch != 2 {
		t.Errorf("grown, and a new topic: %+v", a)
	}
	b.image = NewImage(3, map[string]Topic{"t": {ID{1}, 6}, "u": {ID{2}, 1}, "other": {ID{5}, 1}, "w1": {ID{3}, 2}})
	if a := b.ok(beat("a", 2)); a.Told || a.Epoch != 2 {
		t.Errorf("what the group does not read has changed: %+v", a)
	}
	b.image = NewImage(4, map[string]Topic{"t": {ID{7}, 1}}) // deleted and made again
	a := b.ok(beat("a", 2))
	if len(a.Assigned) != 0 || a.Epoch != 2 {
		t.Errorf("%+v", a)
	}
	told := beat("a", 2)
	told.OwnedTold = true
	if a = b.ok(told); a.Epoch != 3 || len(a.Assigned) != 1 || a.Assigned[0].Topic != (ID{7}) {
		t.Errorf("%+v", a)
	}
}
