package consumer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/streambus/streambus/broker/internal/group/assign"
	"github.com/streambus/streambus/broker/internal/group/record"
)

// State is where a group is, as Kafka names it.
type State string

// The states.
const (
	Empty       State = "Empty"
	Assigning   State = "Assigning"   // the target is not made yet
	Reconciling State = "Reconciling" // some members are not there yet
	Stable      State = "Stable"
)

// Limits bound a group. Zero values mean the defaults given.
type Limits struct {
	MaxSize   int      // default 2^31-1
	Assignors []string // that members may name, the first being the default; default all, assign.Default first
}

// Group is the state machine of one group. It is not safe for concurrent use.
type Group struct {
	maxSize     int
	assignors   []string
	epoch       int32
	targetEpoch int32
	hash        int64 // of the topics subscribed to when the epoch was bumped last
	seen        int64 // version of the image that the hash and the regexes were held against; 0 is none
	members     map[string]*member
	static      map[string]string // instance to member
	target      map[string][]TopicPartition
	owners      map[TopicPartition]string // C1
	regexes     map[string]*regex

	now     time.Time // of this step
	image   *Image
	records []Record
}

// New gives an empty group.
func New(l Limits) *Group {
	if l.MaxSize == 0 {
		l.MaxSize = 1<<31 - 1
	}
	if len(l.Assignors) == 0 {
		l.Assignors = assign.Names()
	}
	return &Group{
		maxSize: l.MaxSize, assignors: l.Assignors, members: map[string]*member{}, static: map[string]string{}, target: map[string][]TopicPartition{},
		owners: map[TopicPartition]string{}, regexes: map[string]*regex{},
	}
}

// State is the state that the group is in.
func (g *Group) State() State {
	switch {
	case len(g.members) == 0:
		return Empty
	case g.epoch > g.targetEpoch:
		return Assigning
	}
	for _, m := range g.members {
		if m.state != stable || m.epoch != g.targetEpoch {
			return Reconciling
		}
	}
	return Stable
}

// Len is how many members there are.
func (g *Group) Len() int { return len(g.members) }

// Epoch is the group epoch.
func (g *Group) Epoch() int32 { return g.epoch }

func (g *Group) begin(now time.Time, image *Image) { g.now, g.image, g.records = now, image, nil }

// Heartbeat takes a heartbeat at the time now, which must not go back. The records are the caller's, to be durable before anybody is told
// anything. On an error there are none, and nothing has changed (C3), but that the answer's epoch and member are to be told.
func (g *Group) Heartbeat(now time.Time, image *Image, e Heartbeat) (Answer, []Record, error) {
	g.begin(now, image)
	if err := g.check(e); err != nil {
		return Answer{}, nil, err
	}
	if e.Epoch == LeaveEpoch || e.Epoch == LeaveStaticEpoch {
		err := g.onLeave(e)
		return Answer{Member: e.Member, Epoch: e.Epoch}, g.records, err
	}
	compiled, err := g.compile(e)
	if err != nil {
		return Answer{}, nil, err
	}
	m, changed, err := g.enter(e)
	if err != nil {
		return Answer{}, nil, err
	}
	before := m.assigned
	changed = g.update(m, e, compiled) || changed
	g.refresh(changed)
	g.retarget()
	g.reconcile(m, e.Owned, e.OwnedTold || e.Epoch == JoinEpoch) // who joins has nothing
	m.session = e.Session
	m.deadline = now.Add(m.session)
	a := Answer{Member: m.id, Epoch: m.epoch, Assigned: m.assigned}
	full := e.RebalanceMs >= 0 && (e.TopicsTold || e.Regex != nil) && e.OwnedTold
	a.Told = e.Epoch == JoinEpoch || full || !slices.Equal(before, m.assigned)
	return a, g.records, nil
}

// check holds a heartbeat to what the protocol says. Errors: ErrInvalidRequest, ErrUnsupportedAssignor.
func (g *Group) check(e Heartbeat) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalidRequest, fmt.Sprintf(format, args...))
	}
	switch {
	case e.Epoch < LeaveStaticEpoch:
		return bad("MemberEpoch %d", e.Epoch)
	case e.Member == "" && (e.MustNameSelf || e.Epoch != JoinEpoch):
		return bad("MemberId must not be empty")
	case e.Epoch == LeaveStaticEpoch && e.Instance == "":
		return bad("InstanceId must be given by a member that leaves for a while")
	case e.Epoch == JoinEpoch && e.RebalanceMs < 0:
		return bad("RebalanceTimeoutMs must be given when joining")
	case e.Epoch == JoinEpoch && len(e.Owned) > 0:
		return bad("TopicPartitions must be empty when joining")
	case e.Epoch == JoinEpoch && !e.TopicsTold && e.Regex == nil: // told of none is a member that waits for its first topic
		return bad("SubscribedTopicNames or SubscribedTopicRegex must be given when joining")
	case e.Assignor != nil && *e.Assignor != "" && !slices.Contains(g.assignors, *e.Assignor):
		return fmt.Errorf("%w: %q; there are %s", ErrUnsupportedAssignor, *e.Assignor, strings.Join(g.assignors, ", "))
	}
	return nil
}

// Tick takes out the members that are due. The records are the caller's.
func (g *Group) Tick(now time.Time) []Record {
	g.begin(now, nil)
	for _, id := range g.order() {
		m := g.members[id]
		if slices.ContainsFunc(m.deadlines(), func(t time.Time) bool { return !t.IsZero() && !t.After(now) }) {
			g.remove(m)
		}
	}
	return g.records
}

// Deadline is when the group next wants a Tick; ok is false when only a heartbeat can change it.
func (g *Group) Deadline() (at time.Time, ok bool) {
	for _, m := range g.members {
		for _, t := range m.deadlines() {
			if !t.IsZero() && (!ok || t.Before(at)) {
				at, ok = t, true
			}
		}
	}
	return at, ok
}

func (m *member) deadlines() []time.Time { return []time.Time{m.deadline, m.revokeBy, m.classicBy} }

// SpeaksClassic says that a member speaks the classic protocol.
func (g *Group) SpeaksClassic(id string) bool {
	return g.members[id] != nil && g.members[id].classic != nil
}

// MayCommit says whether a member may commit, or fetch, offsets at an epoch, or a generation. Errors: ErrUnknownMember, ErrStaleEpoch,
// ErrIllegalGeneration.
func (g *Group) MayCommit(id string, epoch int32) error {
	m := g.members[id]
	if m == nil {
		return fmt.Errorf("%w: %q", ErrUnknownMember, id)
	}
	if epoch != m.epoch && m.classic != nil {
		return fmt.Errorf("%w: %d, the member is at %d", ErrIllegalGeneration, epoch, m.epoch)
	}
	if epoch != m.epoch {
		return fmt.Errorf("%w: %d, the member is at %d", ErrStaleEpoch, epoch, m.epoch)
	}
	return nil
}

// Reads says whether a member subscribes to a topic.
func (g *Group) Reads(topic string) bool {
	for _, m := range g.members {
		if _, found := slices.BinarySearch(g.subscribed(m), topic); found {
			return true
		}
	}
	return false
}

// order lists the members by id, so that equal inputs give equal outputs.
func (g *Group) order() []string { return slices.Sorted(maps.Keys(g.members)) }

// emit notes a record.
func (g *Group) emit(kind record.Kind, name string, v record.Value) {
	g.records = append(g.records, Record{record.Key{Kind: kind, Name: name}, v})
}

func (g *Group) bump() {
	g.epoch++
	g.emit(record.Consumer, "", &record.ConsumerValue{Epoch: g.epoch, MetadataHash: g.hash})
}

// Tombstones are the records that take the group out.
func (g *Group) Tombstones() (out []Record) {
	add := func(kind record.Kind, name string) {
		out = append(out, Record{Key: record.Key{Kind: kind, Name: name}})
	}
	for _, id := range g.order() {
		add(record.Current, id)
		add(record.TargetOf, id)
		add(record.Member, id)
	}
	for _, re := range slices.Sorted(maps.Keys(g.regexes)) {
		add(record.Regex, re)
	}
	add(record.Target, "")
	add(record.Partitions, "") // of a Kafka 4.0 that may have written here
	add(record.Consumer, "")
	return out
}
