package group

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bench drives one group by hand: a clock that stands until moved, tickets counted, answers by ticket.
type bench struct {
	t       *testing.T
	g       *Group
	now     time.Time
	tickets Ticket
	answers map[Ticket]any
}

func newBench(t *testing.T, l Limits) *bench {
	return &bench{t: t, g: New(l), now: time.Unix(1000, 0), answers: map[Ticket]any{}}
}

func (b *bench) step(e Event) {
	b.t.Helper()
	for _, f := range b.g.Step(b.now, e) {
		if _, save := f.Answer.(Save); save && f.Ticket == 0 {
			continue
		}
		if _, twice := b.answers[f.Ticket]; twice || f.Ticket == 0 {
			b.t.Fatalf("ticket %d answered twice, or 0", f.Ticket)
		}
		b.answers[f.Ticket] = f.Answer
	}
}

func (b *bench) ticket() Ticket { b.tickets++; return b.tickets }

// pass moves the clock on, ticking at every deadline on the way.
func (b *bench) pass(d time.Duration) {
	end := b.now.Add(d)
	for {
		at, ok := b.g.Deadline()
		if !ok || at.After(end) {
			break
		}
		b.now = at
		b.step(Tick{})
	}
	b.now = end
}

var ranged = []Protocol{{"range", []byte("m")}}

func (b *bench) join(id, instance string, protocols ...Protocol) Ticket {
	b.t.Helper()
	if protocols == nil {
		protocols = ranged
	}
	t := b.ticket()
	b.step(Join{Ticket: t, Who: Identity{id, instance}, NewID: fmt.Sprintf("new-%d", t), ProtocolType: "consumer",
		Protocols: protocols, SessionTimeout: 10 * time.Second, RebalanceTimeout: 60 * time.Second, RequireKnownID: instance == "", CanSkip: true})
	return t
}

// known gives an id under KIP-394 and joins with it.
func (b *bench) known(protocols ...Protocol) (id string, t Ticket) {
	b.t.Helper()
	first := b.join("", "", protocols...)
	a := b.joinAnswer(first)
	if !errors.Is(a.Err, ErrMemberIDRequired) || a.Member == "" {
		b.t.Fatalf("first join: %+v, want ErrMemberIDRequired", a)
	}
	return a.Member, b.join(a.Member, "", protocols...)
}

func (b *bench) joinAnswer(t Ticket) JoinAnswer {
	b.t.Helper()
	a, ok := b.answers[t].(JoinAnswer)
	if !ok {
		b.t.Fatalf("ticket %d: %#v, want a JoinAnswer", t, b.answers[t])
	}
	return a
}

func (b *bench) sync(id, instance string, g Generation, all map[string][]byte) Ticket {
	b.t.Helper()
	t := b.ticket()
	b.step(Sync{Ticket: t, Who: Identity{id, instance}, Generation: g, Assignments: all})
	return t
}

func (b *bench) beat(id, instance string, g Generation) error {
	b.t.Helper()
	t := b.ticket()
	b.step(Heartbeat{Ticket: t, Who: Identity{id, instance}, Generation: g})
	return b.answers[t].(ErrAnswer).Err
}

func (b *bench) commit(id, instance string, g Generation) error {
	b.t.Helper()
	t := b.ticket()
	b.step(Commit{Ticket: t, Who: Identity{id, instance}, Generation: g})
	return b.answers[t].(ErrAnswer).Err
}

func (b *bench) wantState(s State) {
	b.t.Helper()
	if b.g.State() != s {
		b.t.Fatalf("state %v, want %v", b.g.State(), s)
	}
}

func (b *bench) wantErr(got, want error) {
	b.t.Helper()
	if !errors.Is(got, want) || (want == nil && got != nil) {
		b.t.Fatalf("error %v, want %v", got, want)
	}
}

// stable makes a stable group of n dynamic members; the first leads.
func (b *bench) stable(n int) (ids []string, g Generation) {
	b.t.Helper()
	tickets := map[string]Ticket{}
	for range n {
		id, t := b.known()
		ids = append(ids, id)
		tickets[id] = t
	}
	b.pass(2 * time.Second)
	all := map[string][]byte{}
	for _, id := range ids {
		all[id] = []byte("for " + id)
	}
	g = b.joinAnswer(tickets[ids[0]]).Generation
	for _, id := range ids {
		tickets[id] = b.sync(id, "", g, all)
	}
	for _, id := range ids {
		if a := b.answers[tickets[id]].(SyncAnswer); a.Err != nil || string(a.Assignment) != "for "+id {
			b.t.Fatalf("%s was assigned %+v", id, a)
		}
	}
	b.wantState(Stable)
	return ids, g
}

func TestFirstRebalanceWaitsForMore(t *testing.T) {
	b := newBench(t, Limits{InitialDelay: time.Second})
	id1, t1 := b.known()
	b.pass(900 * time.Millisecond)
	id2, t2 := b.known() // drawn out once more
	b.pass(200 * time.Millisecond)
	if b.answers[t1] != nil {
		t.Fatal("answered before the drawn-out delay was over")
	}
	b.pass(time.Second)
	want := JoinAnswer{Generation: 1, ProtocolType: "consumer", Protocol: "range", Leader: id1, Member: id1,
		Members: []MemberInfo{{Identity{id1, ""}, []byte("m")}, {Identity{id2, ""}, []byte("m")}}}
	if diff := cmp.Diff(want, b.joinAnswer(t1)); diff != "" {
		t.Errorf("leader's answer (-want +got):\n%s", diff)
	}
	want.Member, want.Members = id2, nil
	if diff := cmp.Diff(want, b.joinAnswer(t2)); diff != "" {
		t.Errorf("follower's answer (-want +got):\n%s", diff)
	}
}

func TestFollowerWaitsForLeadersAssignment(t *testing.T) {
	b := newBench(t, Limits{})
	id1, _ := b.known()
	id2, _ := b.known() // rebalance: id1 must join again
	b.wantErr(b.beat(id1, "", 1), ErrRebalanceInProgress)
	b.join(id1, "")
	b.wantState(CompletingRebalance)
	follower := b.sync(id2, "", 2, nil)
	if b.answers[follower] != nil {
		t.Fatal("follower answered before the leader")
	}
	b.wantErr(b.commit(id2, "", 2), ErrRebalanceInProgress)
	b.sync(id1, "", 2, map[string][]byte{id2: []byte("x")})
	if a := b.answers[follower].(SyncAnswer); string(a.Assignment) != "x" || a.Protocol != "range" {
		t.Fatalf("follower: %+v", a)
	}
	b.wantErr(b.commit(id2, "", 2), nil)
}

func TestHeartbeatErrors(t *testing.T) {
	b := newBench(t, Limits{InitialDelay: time.Second})
	ids, g := b.stable(2)
	b.wantErr(b.beat(ids[0], "", g), nil)
	b.wantErr(b.beat(ids[0], "", g+1), ErrIllegalGeneration)
	b.wantErr(b.beat(ids[0], "", g-1), ErrIllegalGeneration)
	b.wantErr(b.beat("nobody", "", g), ErrUnknownMember)
	b.wantErr(b.beat(ids[0], "no-instance", g), ErrUnknownMember)
	b.known()
	b.wantErr(b.beat(ids[0], "", g), ErrRebalanceInProgress)
}

func TestCommitRules(t *testing.T) {
	b := newBench(t, Limits{})
	b.wantErr(b.commit("", "", NoGeneration), nil) // a simple consumer, nobody in the group
	b.wantErr(b.commit("m", "", 3), ErrUnknownMember)
	ids, g := b.stable(1)
	b.wantErr(b.commit("", "", NoGeneration), ErrUnknownMember)
	b.wantErr(b.commit(ids[0], "", NoGeneration), ErrIllegalGeneration)
	b.wantErr(b.commit(ids[0], "", g-1), ErrIllegalGeneration)
	b.wantErr(b.commit(ids[0], "", g), nil)
	b.known()
	b.wantErr(b.commit(ids[0], "", g), nil) // before rejoining, what was read may still be committed
}

func TestSessionExpiryRebalances(t *testing.T) {
	b := newBench(t, Limits{InitialDelay: time.Second})
	ids, g := b.stable(2)
	b.pass(6 * time.Second)
	b.wantErr(b.beat(ids[0], "", g), nil)
	b.pass(6 * time.Second) // ids[1] is 12 s silent
	b.wantErr(b.beat(ids[0], "", g), ErrRebalanceInProgress)
	a := b.joinAnswer(b.join(ids[0], ""))
	if a.Generation != g+1 || len(a.Members) != 1 {
		t.Fatalf("%+v, want generation %d of one", a, g+1)
	}
	b.wantErr(b.beat(ids[1], "", g), ErrUnknownMember)
}

func TestRebalanceTimeoutDropsTheSilent(t *testing.T) {
	b := newBench(t, Limits{InitialDelay: time.Second})
	ids, g := b.stable(2)
	third, ticket := b.known()
	for range 11 { // ids[1] lives on but never rejoins
		b.wantErr(b.beat(ids[1], "", g), ErrRebalanceInProgress)
		b.pass(5 * time.Second)
	}
	b.wantErr(b.joinAnswer(b.join(ids[0], "")).Err, ErrUnknownMember) // it was silent for longer than its session
	b.wantErr(b.beat(ids[1], "", g), ErrRebalanceInProgress)
	b.pass(6 * time.Second) // the rebalance is over, without it
	b.wantErr(b.beat(ids[1], "", g), ErrUnknownMember)
	a := b.joinAnswer(ticket)
	if a.Err != nil || a.Member != third || len(a.Members) != 1 {
		t.Fatalf("%+v", a)
	}
}

func TestWhoNeverSyncsIsDropped(t *testing.T) {
	b := newBench(t, Limits{})
	_, t1 := b.known()
	leader := b.joinAnswer(t1).Member
	b.wantState(CompletingRebalance)
	for range 11 {
		b.wantErr(b.beat(leader, "", 1), nil) // beats, yet does not sync
		b.pass(5500 * time.Millisecond)
	}
	b.wantErr(b.beat(leader, "", 1), ErrUnknownMember)
	b.wantState(Empty)
}

func TestUnusedIDsAreForgotten(t *testing.T) {
	b := newBench(t, Limits{})
	a := b.joinAnswer(b.join("", ""))
	b.step(Forget{})
	b.wantState(Empty) // the id given out still counts
	b.pass(11 * time.Second)
	late := b.joinAnswer(b.join(a.Member, ""))
	b.wantErr(late.Err, ErrUnknownMember)
	b.step(Forget{})
	b.wantState(Dead)
	b.wantErr(b.joinAnswer(b.join("", "")).Err, ErrNotAvailable)
}

func TestProtocolByVotes(t *testing.T) {
	p := func(names ...string) (out []Protocol) {
		for _, n := range names {
			out = append(out, Protocol{n, []byte(n)})
		}
		return out
	}
	b := newBench(t, Limits{InitialDelay: time.Second})
	_, t1 := b.known(p("sticky", "range")...)
	b.known(p("range", "sticky")...)
	b.known(p("odd", "range", "sticky")...)
	if a := b.joinAnswer(b.join("", "", p("other")...)); !errors.Is(a.Err, ErrInconsistentProtocol) {
		t.Fatalf("a member without a common protocol: %+v", a)
	}
	b.pass(5 * time.Second)
	a := b.joinAnswer(t1)
	if a.Protocol != "range" || string(a.Members[1].Metadata) != "range" {
		t.Fatalf("%+v, want range by two votes to one", a)
	}
	other := b.ticket()
	b.step(Join{Ticket: other, ProtocolType: "connect", Protocols: ranged, SessionTimeout: 10 * time.Second})
	b.wantErr(b.joinAnswer(other).Err, ErrInconsistentProtocol)
}

func TestSessionTimeoutLimits(t *testing.T) {
	b := newBench(t, Limits{MinSession: time.Second, MaxSession: 2 * time.Second})
	b.wantErr(b.joinAnswer(b.join("", "")).Err, ErrInvalidSession)
}

func TestMaxSize(t *testing.T) {
	b := newBench(t, Limits{MaxSize: 1})
	ids, g := b.stable(1)
	b.wantErr(b.joinAnswer(b.join("", "")).Err, ErrMaxSize)
	b.wantErr(b.beat(ids[0], "", g), nil)
}

func TestLeave(t *testing.T) {
	b := newBench(t, Limits{InitialDelay: time.Second})
	ids, _ := b.stable(3)
	pending := b.joinAnswer(b.join("", "")).Member
	leave := b.ticket()
	b.step(Leave{Ticket: leave, Members: []Identity{{ids[1], ""}, {"nobody", ""}, {pending, ""}, {"", "no-instance"}}})
	errs := b.answers[leave].(LeaveAnswer).Errs
	for i, want := range []error{nil, ErrUnknownMember, nil, ErrUnknownMember} {
		b.wantErr(errs[i], want)
	}
	b.wantState(PreparingRebalance)
	t1, t3 := b.join(ids[0], ""), b.join(ids[2], "")
	if a := b.joinAnswer(t1); len(a.Members) != 2 || b.joinAnswer(t3).Generation != a.Generation {
		t.Fatalf("%+v", a)
	}
	last := b.ticket()
	b.step(Leave{Ticket: last, Members: []Identity{{ids[0], ""}, {ids[2], ""}}})
	b.wantState(Empty)
}

func TestPendingLeaveDoesNotDisturbAStableGroup(t *testing.T) {
	b := newBench(t, Limits{})
	ids, g := b.stable(1)
	pending := b.joinAnswer(b.join("", "")).Member
	b.step(Leave{Ticket: b.ticket(), Members: []Identity{{pending, ""}}})
	b.wantErr(b.beat(ids[0], "", g), nil)
}

func TestStaticMemberComesBackWithoutRebalance(t *testing.T) {
	b := newBench(t, Limits{InitialDelay: time.Second})
	t1, t2 := b.join("", "one"), b.join("", "two")
	b.pass(5 * time.Second)
	old1, old2 := b.joinAnswer(t1).Member, b.joinAnswer(t2).Member
	b.sync(old2, "two", 1, nil)
	b.sync(old1, "one", 1, map[string][]byte{old1: []byte("1"), old2: []byte("2")})
	b.wantState(Stable)

	a2 := b.joinAnswer(b.join("", "two")) // a follower restarts
	if a2.Err != nil || a2.Generation != 1 || a2.Leader != old1 || a2.Skip || a2.Members != nil || a2.Member == old2 {
		t.Fatalf("follower: %+v", a2)
	}
	s := b.answers[b.sync(a2.Member, "two", 1, nil)].(SyncAnswer)
	if string(s.Assignment) != "2" {
		t.Fatalf("follower's assignment: %+v", s)
	}
	b.wantErr(b.beat(old2, "two", 1), ErrFencedInstance)
	b.wantErr(b.commit(old2, "two", 1), ErrFencedInstance)

	a1 := b.joinAnswer(b.join("", "one")) // the leader restarts: told that it leads and must not assign
	if a1.Generation != 1 || a1.Leader != a1.Member || !a1.Skip || len(a1.Members) != 2 {
		t.Fatalf("leader: %+v", a1)
	}
	b.wantState(Stable)

	v8 := b.ticket() // before v9: told the old leader's id, so that it does not assign
	b.step(Join{Ticket: v8, Who: Identity{"", "one"}, NewID: "v8", ProtocolType: "consumer", Protocols: ranged,
		SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute})
	if a := b.joinAnswer(v8); a.Leader != a1.Member || a.Skip || a.Members != nil {
		t.Fatalf("v8 leader: %+v", a)
	}
}

func TestStaticMemberIsFencedWhileParked(t *testing.T) {
	b := newBench(t, Limits{InitialDelay: time.Second})
	t1 := b.join("", "one")
	t2 := b.join("", "one")
	b.wantErr(b.joinAnswer(t1).Err, ErrFencedInstance)
	b.pass(3 * time.Second)
	b.wantErr(b.joinAnswer(t2).Err, nil)
}

func TestStaticMemberOutlivesARebalance(t *testing.T) {
	b := newBench(t, Limits{InitialDelay: time.Second})
	t1, t2 := b.join("", "one"), b.join("", "two")
	b.pass(5 * time.Second)
	one, two := b.joinAnswer(t1).Member, b.joinAnswer(t2).Member
	b.sync(two, "two", 1, nil)
	b.sync(one, "one", 1, nil)
	again := b.join(one, "one") // the leader starts a rebalance; two says nothing until its session ends
	b.pass(9 * time.Second)
	if b.answers[again] != nil {
		t.Fatal("the rebalance did not wait for a static member that may be restarting")
	}
	b.pass(2 * time.Second)
	if a := b.joinAnswer(again); a.Err != nil || len(a.Members) != 1 {
		t.Fatalf("%+v", a)
	}
}

func TestLostAnswersAreGivenAgain(t *testing.T) {
	b := newBench(t, Limits{InitialDelay: time.Second})
	ids, g := b.stable(2)
	if a := b.joinAnswer(b.join(ids[1], "")); a.Generation != g || a.Members != nil {
		t.Fatalf("follower joins again with nothing new: %+v", a)
	}
	if s := b.answers[b.sync(ids[1], "", g, nil)].(SyncAnswer); string(s.Assignment) != "for "+ids[1] {
		t.Fatalf("sync again: %+v", s)
	}
	b.join(ids[0], "") // the leader means it
	b.wantState(PreparingRebalance)
}

func TestOlderTryOfTheSameClientIsAnswered(t *testing.T) {
	b := newBench(t, Limits{InitialDelay: time.Second})
	id, t1 := b.known()
	t2 := b.join(id, "")
	b.wantErr(b.joinAnswer(t1).Err, ErrRebalanceInProgress)
	b.pass(3 * time.Second)
	b.wantErr(b.joinAnswer(t2).Err, nil)
}

func TestSyncErrors(t *testing.T) {
	b := newBench(t, Limits{})
	ids, g := b.stable(1)
	try := func(e Sync) error {
		e.Ticket = b.ticket()
		b.step(e)
		return b.answers[e.Ticket].(SyncAnswer).Err
	}
	who := Identity{ids[0], ""}
	b.wantErr(try(Sync{Who: who, Generation: g + 1}), ErrIllegalGeneration)
	b.wantErr(try(Sync{Who: Identity{"x", ""}, Generation: g}), ErrUnknownMember)
	b.wantErr(try(Sync{Who: who, Generation: g, ProtocolType: "connect"}), ErrInconsistentProtocol)
	b.wantErr(try(Sync{Who: who, Generation: g, Protocol: "sticky"}), ErrInconsistentProtocol)
	b.wantErr(try(Sync{Who: who, Generation: g, Protocol: "range", ProtocolType: "consumer"}), nil)
}
