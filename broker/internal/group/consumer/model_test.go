package consumer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/streambus/streambus/broker/internal/group/record"
	"pgregory.net/rapid"
)

const session = 45 * time.Second

// fatal is what rapid.T and testing.T share here.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// client is a consumer as the Java client behaves: it takes what it is assigned some time after it was told, gives back before it tells, and
// tells what it has when that has changed, or when an answer may have been lost.
type client struct {
	id, instance string
	epoch        int32
	topics       []string
	regex        string
	assignor     string
	owned        []TopicPartition
	goal         []TopicPartition // told, not yet taken
	hasGoal      bool
	sent         []TopicPartition // what it told last
	full         bool             // the next heartbeat tells all
	last         time.Time        // when it was heard of last
	classic      bool             // it speaks the classic protocol
	eager        bool             // such a one that gives back all before it joins; else it keeps what it can (KIP-429)
	mustJoin     bool
}

// model drives a group with clients and holds it to C1 to C5.
type model struct {
	g       *Group
	now     time.Time
	image   *Image
	topics  map[string]Topic
	clients []*client
	ids     int
	stored  Stored
	epoch   int32
	target  int32
	epochs  map[string]int32
	steps   int
	every   int // so many steps lie between two restarts
}

func newModel() *model {
	m := &model{g: New(Limits{MaxSize: 200}), now: time.Unix(100, 0), topics: map[string]Topic{}, epochs: map[string]int32{}, every: 7}
	m.alter("t0", 3)
	return m
}

// alter makes, grows or (with 0) deletes a topic.
func (m *model) alter(name string, partitions int32) {
	m.ids++
	t := m.topics[name]
	switch {
	case partitions == 0:
		delete(m.topics, name)
	case t.Partitions == 0:
		m.topics[name] = Topic{ID{byte(m.ids >> 8), byte(m.ids)}, partitions}
	case partitions > t.Partitions:
		t.Partitions = partitions
		m.topics[name] = t
	}
	m.image = NewImage(int64(m.ids), maps.Clone(m.topics))
}

// keep writes records as the log would, and reads them.
func (m *model) keep(t fatal, records []Record) {
	t.Helper()
	for _, r := range records {
		var b []byte
		if r.Value != nil {
			var err error
			if b, err = record.Append(nil, r.Value); err != nil {
				t.Fatalf("%+v: %v", r, err)
			}
		}
		if err := m.stored.Apply(r.Key, b); err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
	}
}

// check holds the group to the invariants after a step.
func (m *model) check(t fatal) {
	t.Helper()
	owner := map[TopicPartition]string{}
	for _, c := range m.clients {
		mem := m.g.members[c.id]
		for _, tp := range c.owned {
			if owner[tp] != "" {
				t.Fatalf("C1: %v is consumed by %q and %q", tp, owner[tp], c.id)
			}
			owner[tp] = c.id
			if mem != nil && m.g.owners[tp] != c.id {
				t.Fatalf("C1: %q consumes %v, which the group thinks %q's", c.id, tp, m.g.owners[tp])
			}
		}
	}
	if m.g.epoch < m.epoch || m.g.targetEpoch < m.target || m.g.targetEpoch > m.g.epoch {
		t.Fatalf("C2: epochs went from %d, %d to %d, %d", m.epoch, m.target, m.g.epoch, m.g.targetEpoch)
	}
	m.epoch, m.target = m.g.epoch, m.g.targetEpoch
	had := 0
	for id, mem := range m.g.members {
		if mem.epoch < m.epochs[id] && mem.epoch != LeaveStaticEpoch {
			t.Fatalf("C2: the epoch of %q went from %d to %d", id, m.epochs[id], mem.epoch)
		}
		m.epochs[id] = mem.epoch
		had += len(mem.assigned) + len(mem.revoking)
	}
	if m.steps++; m.steps%m.every == 0 {
		m.survives(t)
	}
	maps.DeleteFunc(m.epochs, func(id string, _ int32) bool { return m.g.members[id] == nil })
	if had != len(m.g.owners) {
		t.Fatalf("C1: members have %d partitions, %d have owners", had, len(m.g.owners))
	}
}

// survives restores the group from its records, as after a crash at this moment (C4).
func (m *model) survives(t fatal) {
	t.Helper()
	if !m.stored.Exists() {
		if m.g.epoch != 0 {
			t.Fatalf("C4: nothing was written at epoch %d", m.g.epoch)
		}
		return
	}
	again := m.stored.Restore(Limits{MaxSize: 200}, m.now, session)
	if want, got := dump(m.g), dump(again); want != got {
		t.Fatalf("C4: after a restart:\n%s", cmp.Diff(want, got))
	}
}

// dump is all that must survive.
func dump(g *Group) string {
	s := fmt.Sprintln(g.epoch, g.targetEpoch, g.hash, slices.Sorted(maps.Keys(g.regexes)), g.static, len(g.owners))
	for _, id := range g.order() {
		m := g.members[id]
		v := m.value()
		if v.Classic != nil {
			s += fmt.Sprint(*v.Classic, " ")
			v.Classic = nil
		}
		s += fmt.Sprintln(id, *v, m.epoch, m.previous, m.state, m.assigned, m.revoking, g.target[id], g.subscribed(m))
	}
	return s
}

func (m *model) join(c *client) Heartbeat {
	return Heartbeat{Member: c.id, Instance: c.instance, RebalanceMs: 60000, Topics: c.topics, TopicsTold: true, Regex: &c.regex,
		Assignor: &c.assignor, OwnedTold: true, ClientID: "c", ClientHost: "h", Session: session, MustNameSelf: true}
}

// beat sends a heartbeat of a client; a lost one is processed, but not answered.
func (m *model) beat(t fatal, c *client, lost bool) {
	t.Helper()
	if c.classic {
		m.classicBeat(t, c, lost)
		return
	}
	e := m.join(c)
	e.Epoch = c.epoch
	if c.epoch != JoinEpoch {
		changed := !slices.Equal(c.sent, c.owned)
		if e.OwnedTold = changed || c.full; e.OwnedTold {
			e.Owned = c.owned
		}
		if !c.full {
			e.RebalanceMs, e.Topics, e.TopicsTold, e.Regex, e.Assignor = -1, nil, false, nil, nil
		}
	}
	a, records, err := m.g.Heartbeat(m.now, m.image, e)
	m.keep(t, records)
	if err == nil {
		c.last = m.now
	}
	switch {
	case lost:
		c.full, c.hasGoal = true, false // what it was about to take it asks for again
	case errors.Is(err, ErrFencedEpoch), errors.Is(err, ErrUnknownMember):
		if c.epoch == JoinEpoch {
			m.ids++
			c.id = fmt.Sprint("m", m.ids) // a new process
		}
		c.epoch, c.owned, c.sent, c.hasGoal = JoinEpoch, nil, nil, false
	case errors.Is(err, ErrUnreleasedInstance): // the client gives up
		m.clients = slices.DeleteFunc(m.clients, func(other *client) bool { return other == c })
	case err != nil:
		t.Fatalf("%+v: %v", e, err)
	default:
		if e.OwnedTold {
			c.sent = slices.Clone(c.owned)
		}
		c.epoch, c.full = a.Epoch, false
		if a.Told {
			c.goal, c.hasGoal = a.Assigned, true
		}
	}
	m.check(t)
}

// classicBeat has a client of the classic protocol do what it would do next: join, sync or send a heartbeat.
func (m *model) classicBeat(t fatal, c *client, lost bool) {
	t.Helper()
	if c.epoch != JoinEpoch && !c.mustJoin {
		records, err := m.g.Beat(m.now, m.image, c.id, "", c.epoch)
		m.keep(t, records)
		m.classicTold(t, c, err)
		return
	}
	if c.eager {
		c.owned = nil
	}
	a, records, err := m.g.Join(m.now, m.image, ClassicJoin{
		Member: c.id, ClientID: "c", ClientHost: "h", Topics: c.topics, Owned: c.owned, Session: session, Rebalance: time.Minute,
		Protocols: []record.ClassicProtocol{{Name: "range", Metadata: []byte("x")}},
	})
	m.keep(t, records)
	if err == nil && !lost {
		c.epoch, c.mustJoin = a.Epoch, false
		m.check(t)
		var assigned []TopicPartition
		if assigned, _, _, err = m.g.Sync(m.now, c.id, "", c.epoch, "consumer", "range"); err == nil {
			c.mustJoin = !c.eager && !subset(c.owned, assigned) // it has given something back
			c.owned = slices.Clone(assigned)
		}
	}
	m.classicTold(t, c, err)
}

func (m *model) classicTold(t fatal, c *client, err error) {
	t.Helper()
	switch {
	case errors.Is(err, ErrRebalanceInProgress):
		c.mustJoin = true
	case errors.Is(err, ErrUnknownMember), errors.Is(err, ErrIllegalGeneration):
		c.epoch, c.owned = JoinEpoch, nil
	case err != nil:
		t.Fatalf("%q: %v", c.id, err)
	}
	m.check(t)
}

// take has a client come to what it was told.
func (m *model) take(t fatal, c *client) {
	if c.hasGoal {
		c.owned, c.hasGoal = slices.Clone(c.goal), false
	}
	m.check(t)
}

func (m *model) newClient(topics []string, regex, instance string) *client {
	m.ids++
	c := &client{id: fmt.Sprint("m", m.ids), topics: topics, regex: regex, instance: instance, last: m.now}
	m.clients = append(m.clients, c)
	return c
}

// leave takes a client out.
func (m *model) leave(t fatal, i int, epoch int32) {
	c := m.clients[i]
	m.clients = slices.Delete(m.clients, i, i+1)
	_, records, err := m.g.Heartbeat(m.now, m.image, Heartbeat{Member: c.id, Instance: c.instance, Epoch: epoch, RebalanceMs: -1})
	if err != nil && !errors.Is(err, ErrUnknownMember) && !errors.Is(err, ErrFencedInstance) {
		t.Fatalf("%v", err)
	}
	m.keep(t, records)
	m.check(t)
}

// wait lets time pass. Clients that were silent for too long do not know that they were taken out; they are gone.
func (m *model) wait(t fatal, d time.Duration) {
	m.now = m.now.Add(d)
	m.clients = slices.DeleteFunc(m.clients, func(c *client) bool {
		mem := m.g.members[c.id]
		return mem != nil && slices.ContainsFunc(mem.deadlines(), func(d time.Time) bool { return !d.IsZero() && !d.After(m.now) })
	})
	m.keep(t, m.g.Tick(m.now))
	m.check(t)
}

// settle lets everybody go on until nothing changes (C5).
func (m *model) settle(t fatal) {
	t.Helper()
	for round := 0; ; round++ {
		for _, c := range slices.Clone(m.clients) {
			m.beat(t, c, false)
			m.take(t, c)
		}
		m.wait(t, time.Second)
		done := m.g.State() == Stable || m.g.State() == Empty
		for _, c := range m.clients {
			mem := m.g.members[c.id]
			done = done && mem != nil && slices.Equal(mem.assigned, m.g.target[c.id]) && slices.Equal(mem.assigned, c.owned)
		}
		if done {
			break
		}
		if round > 200 {
			t.Fatalf("C5: state %v after %d rounds of heartbeats:\n%s", m.g.State(), round, dump(m.g))
		}
	}
	want := map[TopicPartition]bool{}
	for _, mem := range m.g.members {
		for _, name := range m.g.subscribed(mem) {
			for p := range m.topics[name].Partitions {
				want[TopicPartition{Topic: m.topics[name].ID, Partition: p}] = true
			}
		}
	}
	if len(want) != len(m.g.owners) {
		t.Fatalf("C5: %d of %d partitions have owners", len(m.g.owners), len(want))
	}
}

func TestGroupInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		pick := func(t *rapid.T) *client {
			if len(m.clients) == 0 {
				t.Skip("nobody")
			}
			return m.clients[rapid.IntRange(0, len(m.clients)-1).Draw(t, "client")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				if len(m.clients) > 6 {
					t.Skip("enough")
				}
				instance := rapid.SampledFrom([]string{"", "", "i1", "i2"}).Draw(t, "instance")
				topics := rapid.SampledFrom([][]string{{"t0"}, {"t0", "t1"}, {"t1", "nothing"}, {}}).Draw(t, "topics")
				regex := ""
				if len(topics) == 0 || rapid.Bool().Draw(t, "both") {
					regex = rapid.SampledFrom([]string{"t.", "t1|t2", "none"}).Draw(t, "regex")
				}
				m.beat(t, m.newClient(topics, regex, instance), rapid.IntRange(0, 5).Draw(t, "lost") == 0)
			},
			"join classic": func(t *rapid.T) {
				if len(m.clients) > 6 {
					t.Skip("enough")
				}
				c := m.newClient(rapid.SampledFrom([][]string{{"t0"}, {"t0", "t1"}}).Draw(t, "topics"), "", "")
				c.classic, c.eager = true, rapid.Bool().Draw(t, "eager")
				m.beat(t, c, rapid.IntRange(0, 5).Draw(t, "lost") == 0)
			},
			"beat": func(t *rapid.T) { m.beat(t, pick(t), rapid.IntRange(0, 5).Draw(t, "lost") == 0) },
			"take": func(t *rapid.T) { m.take(t, pick(t)) },
			"round": func(t *rapid.T) {
				for _, c := range slices.Clone(m.clients) {
					m.beat(t, c, false)
				}
			},
			"all take": func(t *rapid.T) {
				for _, c := range m.clients {
					m.take(t, c)
				}
			},
			"resubscribe": func(t *rapid.T) {
				c := pick(t)
				c.mustJoin = true
				c.topics, c.full = rapid.SampledFrom([][]string{{"t0"}, {"t0", "t1"}, {"t2"}}).Draw(t, "topics"), true
				if c.classic {
					return
				}
				c.regex = rapid.SampledFrom([]string{"", "", "t[12]"}).Draw(t, "regex")
				c.assignor = rapid.SampledFrom([]string{"", "range", "uniform"}).Draw(t, "assignor")
			},
			"leave": func(t *rapid.T) {
				c := pick(t)
				epoch := LeaveEpoch
				if c.instance != "" && rapid.Bool().Draw(t, "for a while") {
					epoch = LeaveStaticEpoch
				}
				m.leave(t, slices.Index(m.clients, c), epoch)
			},
			"topic": func(t *rapid.T) {
				m.alter(rapid.SampledFrom([]string{"t0", "t1", "t2"}).Draw(t, "topic"), rapid.SampledFrom([]int32{0, 1, 4, 6}).Draw(t, "partitions"))
			},
			"time":   func(t *rapid.T) { m.wait(t, time.Duration(rapid.IntRange(0, 20000).Draw(t, "ms"))*time.Millisecond) },
			"settle": func(t *rapid.T) { m.settle(t) },
		})
		m.settle(t)
	})
}

// A hundred members come and go, and no partition has two owners; in the end all is even.
func TestAHundredMembers(t *testing.T) {
	m := newModel()
	m.alter("t0", 150)
	m.every = 101
	for i := range 100 {
		m.beat(t, m.newClient([]string{"t0"}, "", ""), false)
		if i%3 == 0 {
			for _, c := range m.clients {
				m.beat(t, c, i%7 == 0)
				m.take(t, c)
			}
		}
	}
	for len(m.clients) > 50 {
		m.leave(t, (len(m.clients)*7)%len(m.clients), LeaveEpoch)
		m.beat(t, m.clients[0], false)
	}
	m.settle(t)
	for id, mem := range m.g.members {
		if len(mem.assigned) != 3 {
			t.Errorf("%q has %d partitions, want 3", id, len(mem.assigned))
		}
	}
}

// Bytes that are no records, and records that contradict each other, do not bring the group down.
func FuzzRestore(f *testing.F) {
	m := newModel()
	c := m.newClient([]string{"t0"}, "t.*", "i")
	_, records, err := m.g.Heartbeat(m.now, m.image, m.join(c))
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range records {
		b, _ := record.Append(nil, r.Value)
		f.Add(int16(r.Key.Kind), r.Key.Name, b, b)
	}
	f.Fuzz(func(t *testing.T, kind int16, name string, a, b []byte) {
		s := Stored{consumer: &record.ConsumerValue{Epoch: 3}, members: map[string]*record.MemberValue{"x": {Topics: []string{"t0"}}, name: {}}}
		for i, v := range [][]byte{a, b} {
			err := s.Apply(record.Key{Kind: record.Kind(kind), Name: []string{name, "x"}[i]}, v)
			if err != nil {
				if !errors.Is(err, record.ErrRecord) {
					t.Errorf("%v is not ErrRecord", err)
				}
				return
			}
		}
		if !s.Exists() {
			return
		}
		g := s.Restore(Limits{}, time.Unix(0, 0), session)
		image := NewImage(1, map[string]Topic{"t0": {ID{1}, 2}})
		none := ""
		for range 3 {
			_, _, _ = g.Heartbeat(time.Unix(1, 0), image, Heartbeat{Member: "y", RebalanceMs: 1, Topics: []string{"t0"}, TopicsTold: true, Regex: &none, Session: session})
		}
		g.Tick(time.Unix(1<<40, 0))
	})
}
