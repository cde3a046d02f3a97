package group

import (
	"fmt"
	"slices"
	"time"

	"github.com/streambus/streambus/broker/internal/group/consumer"
)

// State is where a group is in its life.
type State uint8

// The states, named as Kafka names them.
const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
	Dead
)

func (s State) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}[s]
}

// Limits bound what members may ask for. Zero values mean the defaults given.
type Limits struct {
	MinSession   time.Duration // default 6 s
	MaxSession   time.Duration // default 30 min
	MaxSize      int           // default 2^31-1
	InitialDelay time.Duration // how long the first rebalance waits for more members; 0 is not at all

	// Of consumer groups (KIP-848).
	ConsumerMaxSize int                         // group.consumer.max.size; default 2^31-1
	Assignors       []string                    // group.consumer.assignors: the first is the default; default uniform, range
	Migration       Migration                   // group.consumer.migration.policy
	Settings        func(group string) Settings // a group's own settings; nil: the defaults. It must not block
	Topics          func() *consumer.Image      // the topics that there are now, all of them; nil: none. It must not block

	Retention     time.Duration // offsets.retention.minutes: how long offsets outlive their group; default 7 days, negative is for ever
	CheckInterval time.Duration // offsets.retention.check.interval.ms; default 10 min

	// Now is the wall clock, for when a group came into its state; nil: the time of the step. Sessions and rebalances do not follow it.
	// Steady is the time by which offsets expire, and should not jump as Now may; default Now.
	Now, Steady func() time.Time
}

func (l *Limits) defaults() {
	if l.MinSession == 0 {
		l.MinSession = 6 * time.Second
	}
	if l.MaxSession == 0 {
		l.MaxSession = 30 * time.Minute
	}
	if l.MaxSize == 0 {
		l.MaxSize = 1<<31 - 1
	}
	if l.Retention == 0 {
		l.Retention = 7 * 24 * time.Hour
	}
	if l.CheckInterval == 0 {
		l.CheckInterval = 10 * time.Minute
	}
	if l.Steady == nil {
		l.Steady = func() time.Time { return l.wall(time.Now()) }
	}
}

// Group is the state machine of one group. The zero value is not ready: use New. It is not safe for concurrent use.
type Group struct {
	limits       Limits
	state        State
	since        time.Time // when it came into the state, by the wall clock
	generation   Generation
	protocolType string
	protocol     string
	leader       string
	members      map[string]*member
	order        []string             // ids of members in the order they came, so that equal inputs give equal outputs
	static       map[string]string    // group.instance.id to member id
	pending      map[string]time.Time // ids given out under KIP-394 and not seen since, until when they count
	phaseEnd     time.Time            // end of the join or of the sync phase; zero when there is none

	initial     bool          // this join phase is the first: it ends by time only
	initialLeft time.Duration // how much longer it may be drawn out
	newcomer    bool          // somebody joined since it was last drawn out

	now     time.Time // of this step
	effects []Effect  // of this step
}

// New gives an empty group.
func New(l Limits) *Group {
	l.defaults()
	return &Group{limits: l, members: map[string]*member{}, static: map[string]string{}, pending: map[string]time.Time{}}
}

// State is the state that the group is in.
func (g *Group) State() State { return g.state }

// Step takes one event at the time now, which must not go back, and gives what is to be done. The effects are the caller's.
func (g *Group) Step(now time.Time, e Event) []Effect {
	g.now, g.effects = now, nil
	switch e := e.(type) {
	case Join:
		g.onJoin(e)
	case Sync:
		g.onSync(e)
	case Heartbeat:
		g.answer(e.Ticket, ErrAnswer{g.onHeartbeat(e)})
	case Leave:
		g.onLeave(e)
	case Commit:
		g.answer(e.Ticket, ErrAnswer{g.onCommit(e)})
	case Tick:
		g.onTick()
	case Forget:
		if g.state == Empty && len(g.pending) == 0 {
			g.enter(Dead)
		}
	default:
		panic(fmt.Sprintf("group: unknown event %T", e))
	}
	return g.effects
}

// Deadline is when the group next wants a Tick; ok is false when only a request can change it.
func (g *Group) Deadline() (at time.Time, ok bool) {
	sooner := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if !g.phaseEnd.IsZero() {
		sooner(g.phaseEnd)
	}
	for _, t := range g.pending {
		sooner(t)
	}
	for _, m := range g.members {
		if t, counts := m.due(); counts {
			sooner(t)
		}
	}
	return at, ok
}

func (g *Group) enter(s State) { g.state, g.since = s, g.limits.wall(g.now) }

// wall is the wall clock's time at a step.
func (l *Limits) wall(step time.Time) time.Time {
	if l.Now == nil {
		return step
	}
	return l.Now()
}

func (g *Group) answer(t Ticket, a any) {
	if t != 0 {
		g.effects = append(g.effects, Effect{t, a})
	}
}

// know says whether who is a member, and the one it says it is.
func (g *Group) know(who Identity) (*member, error) {
	if who.Instance != "" {
		id, ok := g.static[who.Instance]
		if !ok {
			return nil, fmt.Errorf("%w: no static member %q", ErrUnknownMember, who.Instance)
		}
		if id != who.Member {
			return nil, fmt.Errorf("%w: %q is now %q, not %q", ErrFencedInstance, who.Instance, id, who.Member)
		}
	}
	m, ok := g.members[who.Member]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownMember, who.Member)
	}
	return m, nil
}

func (g *Group) touch(m *member) { m.deadline = g.now.Add(m.sessionTimeout) }

func (g *Group) onHeartbeat(e Heartbeat) error {
	if g.state == Dead {
		return ErrNotAvailable
	}
	m, err := g.know(e.Who)
	if err != nil {
		return err
	}
	if e.Generation != g.generation {
		return fmt.Errorf("%w: %d, the group is at %d", ErrIllegalGeneration, e.Generation, g.generation)
	}
	g.touch(m)
	if g.state == PreparingRebalance {
		return ErrRebalanceInProgress
	}
	return nil
}

// onCommit follows Kafka's validateOffsetCommit: a simple consumer may commit while nobody is in the group.
func (g *Group) onCommit(e Commit) error {
	switch {
	case g.state == Dead:
		return ErrNotAvailable
	case e.Generation < 0 && (g.state == Empty || e.Transactional && e.Who == Identity{}):
		return nil
	case e.Generation < 0 && e.Who == Identity{}:
		return fmt.Errorf("%w: the group has members, and the commit comes from none", ErrUnknownMember)
	}
	m, err := g.know(e.Who)
	if err != nil {
		return err
	}
	if e.Generation != g.generation {
		return fmt.Errorf("%w: %d, the group is at %d", ErrIllegalGeneration, e.Generation, g.generation)
	}
	if g.state == CompletingRebalance && !e.Transactional {
		return ErrRebalanceInProgress
	}
	g.touch(m)
	return nil
}

// onTick fires what is due: ids never used, sessions, then the phase.
func (g *Group) onTick() {
	for id, t := range g.pending {
		if !t.After(g.now) {
			delete(g.pending, id)
		}
	}
	for _, id := range slices.Clone(g.order) {
		m := g.members[id]
		if m == nil {
			continue
		}
		if t, counts := m.due(); counts && !t.After(g.now) {
			g.remove(m, ErrUnknownMember)
			g.changed()
		}
	}
	if g.state == PreparingRebalance {
		g.maybeCompleteJoin()
	}
	if !g.phaseEnd.IsZero() && !g.phaseEnd.After(g.now) {
		g.onPhaseEnd()
	}
}

func (g *Group) onPhaseEnd() {
	switch {
	case g.state == PreparingRebalance && g.initial && g.newcomer && g.initialLeft > 0:
		d := min(g.limits.InitialDelay, g.initialLeft)
		g.newcomer = false
		g.initialLeft -= d
		g.phaseEnd = g.now.Add(d)
	case g.state == PreparingRebalance:
		g.completeJoin()
	default: // the sync phase: those who never asked for their assignment are gone
		g.phaseEnd = time.Time{}
		before := len(g.members)
		for _, id := range slices.Clone(g.order) {
			if m := g.members[id]; !m.synced {
				g.remove(m, ErrUnknownMember)
			}
		}
		if len(g.members) < before {
			g.changed()
		}
	}
}

// changed starts a rebalance after the set of members has become smaller, or lets one go on.
func (g *Group) changed() {
	switch g.state {
	case Stable, CompletingRebalance:
		g.prepare()
	case PreparingRebalance:
		g.maybeCompleteJoin()
	}
}

// remove takes a member out; its parked requests are answered with err.
func (g *Group) remove(m *member, err error) {
	g.failJoin(m, err)
	g.failSync(m, err)
	delete(g.members, m.Member)
	g.order = slices.DeleteFunc(g.order, func(id string) bool { return id == m.Member })
	if m.Instance != "" && g.static[m.Instance] == m.Member {
		delete(g.static, m.Instance)
	}
	if g.leader == m.Member {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0]
		}
	}
}

func (g *Group) failJoin(m *member, err error) {
	g.answer(m.join, JoinAnswer{Err: err, Generation: NoGeneration, Member: m.Member})
	m.join = 0
}

func (g *Group) failSync(m *member, err error) {
	g.answer(m.sync, SyncAnswer{Err: err})
	m.sync = 0
}
