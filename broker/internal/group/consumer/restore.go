package consumer

import (
	"slices"
	"time"

	"github.com/streambus/streambus/broker/internal/group/record"
)

// Stored gathers the records of a group: the last of each key counts, in whatever order the keys come. The zero value is ready.
type Stored struct {
	consumer *record.ConsumerValue
	target   *record.TargetValue
	members  map[string]*record.MemberValue
	targets  map[string]*record.TargetOfValue
	currents map[string]*record.CurrentValue
	regexes  map[string]*record.RegexValue
}

// Apply takes a record in; a nil value is a tombstone. Kinds that are not of a consumer group are passed over. Errors: record.ErrRecord.
func (s *Stored) Apply(k record.Key, value []byte) error {
	switch k.Kind {
	case record.Consumer:
		return one(&s.consumer, value)
	case record.Target:
		return one(&s.target, value)
	case record.Member:
		return keyed(&s.members, k.Name, value)
	case record.TargetOf:
		return keyed(&s.targets, k.Name, value)
	case record.Current:
		return keyed(&s.currents, k.Name, value)
	case record.Regex:
		return keyed(&s.regexes, k.Name, value)
	}
	return nil
}

// value is a pointer to a record's value.
type value[T any] interface {
	*T
	record.Value
}

func one[T any, P value[T]](at *P, b []byte) error {
	if b == nil {
		*at = nil
		return nil
	}
	*at = new(T)
	return record.Decode(b, *at)
}

func keyed[T any, P value[T]](at *map[string]P, name string, b []byte) error {
	if b == nil {
		delete(*at, name)
		return nil
	}
	if *at == nil {
		*at = map[string]P{}
	}
	v := P(new(T))
	(*at)[name] = v
	return record.Decode(b, v)
}

// Exists says whether the records are of a group that was not deleted.
func (s *Stored) Exists() bool { return s.consumer != nil }

// Restore gives the group that records tell of. Its members have as long as session says to be heard of.
func (s *Stored) Restore(l Limits, now time.Time, session time.Duration) *Group {
	g := New(l)
	g.epoch, g.hash = s.consumer.Epoch, s.consumer.MetadataHash
	if s.target != nil {
		g.targetEpoch = min(s.target.Epoch, g.epoch)
	}
	for id, v := range s.members {
		m := &member{
			id: id, instance: v.Instance, rack: v.Rack, clientID: v.ClientID, clientHost: v.ClientHost,
			topics: slices.Compact(slices.Sorted(slices.Values(v.Topics))), regex: v.Regex, assignor: v.Assignor,
			rebalance: time.Duration(v.RebalanceMs) * time.Millisecond, session: session, deadline: now.Add(session),
			classic: v.Classic,
		}
		if m.classic != nil {
			m.session = time.Duration(m.classic.SessionMs) * time.Millisecond
			m.deadline = now.Add(m.session)
			m.classic = usable(m.classic)
		}
		g.members[id] = m
		if m.instance != "" {
			g.static[m.instance] = id
		}
	}
	for id, v := range s.targets {
		if g.members[id] != nil {
			g.target[id] = flat(v.Topics)
		}
	}
	for text, v := range s.regexes {
		if re, err := compileRegex(text); err == nil {
			re.topics, re.at = slices.Compact(slices.Sorted(slices.Values(v.Topics))), -1 // to be held against the topics again
			g.regexes[text] = re
		}
	}
	for _, id := range g.order() {
		if v := s.currents[id]; v != nil {
			g.restoreCurrent(g.members[id], v, now)
		}
	}
	return g
}

// usable is what a member of the classic protocol says of itself, nil where it has no assignor, which no step here writes.
func usable(c *record.ClassicInfo) *record.ClassicInfo {
	if len(c.Protocols) == 0 {
		return nil
	}
	return c
}

// restoreCurrent gives a member what it had. Of a partition that two claim, which no step here writes (C1), the first keeps it.
func (g *Group) restoreCurrent(m *member, v *record.CurrentValue, now time.Time) {
	free := func(all []TopicPartition) []TopicPartition {
		return slices.DeleteFunc(all, func(tp TopicPartition) bool { _, owned := g.owners[tp]; return owned })
	}
	m.epoch, m.previous = v.Epoch, v.Previous
	if v.State >= int8(stable) && v.State <= int8(unreleased) {
		m.state = memberState(v.State)
	}
	m.assigned = free(flat(v.Assigned))
	_, m.revoking = split(free(flat(v.Revoking)), m.assigned)
	g.own(m)
	if m.state == unrevoked {
		m.revokeBy = now.Add(m.rebalance)
	}
}
