package group

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/streambus/streambus/broker/internal/group/record"
	"pgregory.net/rapid"
)

// model drives a group with random events and holds it to G1 to G4. It knows members only by what they were answered.
type model struct {
	g          *Group
	now        time.Time
	tickets    Ticket
	saved      *record.ClassicValue // the newest
	asked      map[Ticket]Event     // not answered yet
	ids        []string             // every member id ever given out
	generation Generation
	leaders    map[Generation]map[string]bool   // who was told it leads, static ones by instance
	formed     map[Generation]map[string]bool   // who was told the generation
	sent       map[Generation]map[string]string // what the leader sent
}

func newModel(delay time.Duration) *model {
	return &model{
		g: New(Limits{InitialDelay: delay, MaxSize: 5}), now: time.Unix(0, 0), asked: map[Ticket]Event{},
		leaders: map[Generation]map[string]bool{}, formed: map[Generation]map[string]bool{}, sent: map[Generation]map[string]string{},
	}
}

func put[V any](m map[Generation]map[string]V, g Generation, k string, v V) {
	if m[g] == nil {
		m[g] = map[string]V{}
	}
	m[g][k] = v
}

func (m *model) step(t *rapid.T, e Event) {
	for _, f := range m.g.Step(m.now, e) {
		if s, save := f.Answer.(Save); save && f.Ticket == 0 {
			m.saved = s.Value
			continue
		}
		asked, ok := m.asked[f.Ticket]
		if !ok {
			t.Fatalf("G4: ticket %d answered, nobody waits for it", f.Ticket)
		}
		delete(m.asked, f.Ticket)
		switch a := f.Answer.(type) {
		case JoinAnswer:
			m.joined(t, a)
		case SyncAnswer:
			m.synced(t, asked.(Sync), a)
		}
	}
	if m.g.generation < m.generation {
		t.Fatalf("G2: generation went from %d to %d", m.generation, m.g.generation)
	}
	m.generation = m.g.generation
	m.parked(t)
	m.survives(t)
}

// survives replays what was saved, as after a crash at this moment: the group with its members, or an earlier generation (G8).
func (m *model) survives(t *rapid.T) {
	if m.saved == nil {
		if m.g.state == Stable {
			t.Fatal("G8: stable, and never saved")
		}
		return
	}
	b, err := record.Append(nil, m.saved)
	read := new(record.ClassicValue)
	if err := errors.Join(err, record.Decode(b, read)); err != nil {
		t.Fatal(err)
	}
	again := Restore(m.g.limits, m.now, read)
	if again.generation > m.g.generation || (len(again.members) == 0) != (again.state == Empty) {
		t.Fatalf("G8: generation %d with %d members in state %v after a restart, %d before", again.generation, len(again.members), again.state, m.g.generation)
	}
	if m.g.state != Stable {
		return
	}
	if want, got := m.g.value(), again.value(); !cmp.Equal(want, got, cmpopts.EquateEmpty()) {
		t.Fatalf("G8: %s", cmp.Diff(want, got))
	}
	for _, id := range again.order {
		fx := again.Step(m.now, Heartbeat{1, again.members[id].Identity, again.generation})
		if err := fx[0].Answer.(ErrAnswer).Err; err != nil {
			t.Fatalf("G8: %q's next heartbeat after a restart: %v", id, err)
		}
	}
}

func (m *model) joined(t *rapid.T, a JoinAnswer) {
	if a.Member != "" && !slices.Contains(m.ids, a.Member) {
		m.ids = append(m.ids, a.Member)
	}
	if a.Err != nil {
		return
	}
	who := a.Member
	if mem := m.g.members[a.Member]; mem != nil && mem.Instance != "" {
		who = "static " + mem.Instance
	}
	put(m.formed, a.Generation, a.Member, true)
	if a.Leader == a.Member {
		put(m.leaders, a.Generation, who, true)
		if len(m.leaders[a.Generation]) > 1 {
			t.Fatalf("G1: generation %d has leaders %v", a.Generation, m.leaders[a.Generation])
		}
	}
}

func (m *model) synced(t *rapid.T, e Sync, a SyncAnswer) {
	if a.Err != nil {
		return
	}
	if !m.formed[e.Generation][e.Who.Member] {
		t.Fatalf("G3: %q was assigned in generation %d and never told that it is in it", e.Who.Member, e.Generation)
	}
	mem := m.g.members[e.Who.Member]
	static := mem != nil && mem.Instance != "" // it may have been assigned to the id that it had before
	if !static && string(a.Assignment) != m.sent[e.Generation][e.Who.Member] {
		t.Fatalf("G3: %q was assigned %q, the leader sent %q", e.Who.Member, a.Assignment, m.sent[e.Generation][e.Who.Member])
	}
}

// parked holds G4's other half: a ticket is either parked with a member or answered.
func (m *model) parked(t *rapid.T) {
	held := map[Ticket]bool{}
	for id, mem := range m.g.members {
		held[mem.join], held[mem.sync] = true, true
		if id != mem.Member || mem.Instance != "" && m.g.static[mem.Instance] != id {
			t.Fatalf("member %q is filed under %q, instance %q under %q", mem.Member, id, mem.Instance, m.g.static[mem.Instance])
		}
	}
	for ticket, e := range m.asked {
		if !held[ticket] {
			t.Fatalf("G4: ticket %d (%T) is neither answered nor parked; state %v", ticket, e, m.g.state)
		}
	}
	if (len(m.g.members) == 0) != (m.g.state == Empty || m.g.state == Dead) && m.g.state != PreparingRebalance {
		t.Fatalf("%d members in state %v", len(m.g.members), m.g.state)
	}
	if len(m.g.members) > 0 && m.g.members[m.g.leader] == nil {
		t.Fatalf("leader %q is no member", m.g.leader)
	}
}

func (m *model) ask(t *rapid.T, make func(Ticket) Event) {
	m.tickets++
	e := make(m.tickets)
	m.asked[m.tickets] = e
	m.step(t, e)
}

func (m *model) who(t *rapid.T) Identity {
	ids := append([]string{""}, m.ids...)
	return Identity{rapid.SampledFrom(ids).Draw(t, "id"), rapid.SampledFrom([]string{"", "", "s1", "s2"}).Draw(t, "instance")}
}

func (m *model) gen(t *rapid.T) Generation {
	return max(m.generation-Generation(rapid.IntRange(0, 4).Draw(t, "behind")/4), NoGeneration)
}

// sync brings the leader's assignments only from the leader, as clients do; each is marked with its generation.
func (m *model) syncEvent(t *rapid.T, ticket Ticket) Event {
	e := Sync{Ticket: ticket, Who: m.who(t), Generation: m.gen(t), Assignments: map[string][]byte{}}
	if e.Who.Member != m.g.leader || m.g.state != CompletingRebalance || e.Generation != m.generation {
		return e
	}
	if _, err := m.g.know(e.Who); err != nil {
		return e
	}
	for id := range m.g.members {
		e.Assignments[id] = fmt.Appendf(nil, "%d/%d/%s", e.Generation, ticket, id)
		put(m.sent, e.Generation, id, string(e.Assignments[id]))
	}
	return e
}

func TestGroupInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(time.Duration(rapid.IntRange(0, 1).Draw(t, "delay")) * time.Second)
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				who := m.who(t)
				protocols := rapid.SampledFrom([][]Protocol{ranged, ranged, {{"range", nil}, {"sticky", nil}}, {{"odd", nil}}}).Draw(t, "protocols")
				known, skip := rapid.Bool().Draw(t, "required"), rapid.Bool().Draw(t, "skip")
				m.ask(t, func(ticket Ticket) Event {
					return Join{Ticket: ticket, Who: who, NewID: fmt.Sprint("m", ticket), ProtocolType: "consumer", Protocols: protocols,
						SessionTimeout: 10 * time.Second, RebalanceTimeout: 30 * time.Second, RequireKnownID: known, CanSkip: skip}
				})
			},
			"sync": func(t *rapid.T) { m.ask(t, func(ticket Ticket) Event { return m.syncEvent(t, ticket) }) },
			"beat": func(t *rapid.T) {
				m.ask(t, func(ticket Ticket) Event { return Heartbeat{ticket, m.who(t), m.gen(t)} })
			},
			"commit": func(t *rapid.T) {
				m.ask(t, func(ticket Ticket) Event { return Commit{ticket, m.who(t), m.gen(t), false} })
			},
			"leave": func(t *rapid.T) {
				m.ask(t, func(ticket Ticket) Event { return Leave{ticket, []Identity{m.who(t)}} })
			},
			"time": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 20000).Draw(t, "ms")) * time.Millisecond)
				m.step(t, Tick{})
			},
			"settle": func(t *rapid.T) { m.settle(t) },
		})
	})
}

// settle lets time pass until nothing is due: every ticket must be answered by then, and nobody be left.
func (m *model) settle(t *rapid.T) {
	for range 1000 {
		at, ok := m.g.Deadline()
		if !ok {
			break
		}
		if at.After(m.now) {
			m.now = at
		}
		m.step(t, Tick{})
	}
	if len(m.asked) != 0 || m.g.state != Empty || len(m.g.pending) != 0 {
		t.Fatalf("silence for ever leaves %d tickets, %d ids, state %v", len(m.asked), len(m.g.pending), m.g.state)
	}
}

// A group whose clients behave comes to rest: all in one generation, all with an assignment.
func TestGroupComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(time.Second)
		n := rapid.IntRange(1, 5).Draw(t, "members")
		clients := make([]string, n)
		for round := range 40 {
			for i := range clients {
				m.client(t, &clients[i], rapid.IntRange(0, 3).Draw(t, "mood"), round > 20)
			}
			m.now = m.now.Add(time.Second)
			m.step(t, Tick{})
		}
		if m.g.state != Stable || len(m.g.members) != n {
			t.Fatalf("state %v with %d of %d members", m.g.state, len(m.g.members), n)
		}
		for id, mem := range m.g.members {
			if !mem.synced || string(mem.assignment) != m.sent[m.generation][id] {
				t.Fatalf("%q: synced %t, assigned %q", id, mem.synced, mem.assignment)
			}
		}
	})
}

// client does what a consumer would do next; while calm is false it is at times idle.
func (m *model) client(t *rapid.T, id *string, mood int, calm bool) {
	if mood == 0 && !calm {
		return
	}
	mem := m.g.members[*id]
	join := func(id string) {
		m.ask(t, func(ticket Ticket) Event {
			return Join{Ticket: ticket, Who: Identity{id, ""}, NewID: fmt.Sprint("m", ticket), ProtocolType: "consumer", Protocols: ranged,
				SessionTimeout: 10 * time.Second, RebalanceTimeout: 30 * time.Second, RequireKnownID: true}
		})
	}
	switch {
	case mem == nil:
		join("")
		*id = m.ids[len(m.ids)-1]
		join(*id)
	case mem.join != 0 || mem.sync != 0:
	case m.g.state == PreparingRebalance:
		join(*id)
	case !mem.synced:
		m.ask(t, func(ticket Ticket) Event {
			all := map[string][]byte{}
			for other := range m.g.members {
				all[other] = fmt.Appendf(nil, "%d/%s", m.generation, other)
				if *id == m.g.leader && m.g.state == CompletingRebalance {
					put(m.sent, m.generation, other, string(all[other]))
				}
			}
			return Sync{Ticket: ticket, Who: Identity{*id, ""}, Generation: m.generation, Assignments: all}
		})
	default:
		m.ask(t, func(ticket Ticket) Event { return Heartbeat{ticket, Identity{*id, ""}, m.generation} })
	}
}

func TestRefusalsNameThemselves(t *testing.T) {
	g := New(Limits{})
	for _, e := range []Event{Heartbeat{1, Identity{"x", ""}, 0}, Commit{1, Identity{"x", ""}, 0, false}} {
		fx := g.Step(time.Unix(0, 0), e)
		if len(fx) != 1 || !errors.Is(fx[0].Answer.(ErrAnswer).Err, ErrUnknownMember) {
			t.Errorf("%T in an empty group: %+v", e, fx)
		}
	}
}
