package consumer

import (
	"fmt"
	"slices"
	"time"

	"github.com/streambus/streambus/broker/internal/group/assign"
	"github.com/streambus/streambus/broker/internal/group/record"
)

// memberState is where a member is on its way to the target. The numbers are Kafka's, and stored.
type memberState int8

const (
	stable     memberState = 0
	unrevoked  memberState = 1
	unreleased memberState = 2
)

func (s memberState) String() string { return [...]string{"STABLE", "UNREVOKED", "UNRELEASED"}[s] }

// reconcile moves a member on towards its target, after a heartbeat in which it told what it owns, if told.
func (g *Group) reconcile(m *member, owned []TopicPartition, told bool) {
	switch {
	case m.state == stable && m.epoch == g.targetEpoch:
		return
	case m.state == unrevoked && (!told || intersects(owned, m.revoking)):
		return
	}
	target := g.target[m.id]
	kept, taken := split(m.assigned, target)
	if len(taken) > 0 && (!told || intersects(owned, taken)) {
		g.settle(m, unrevoked, m.epoch, kept, taken)
		m.revokeBy = g.now.Add(m.rebalance)
		return
	}
	m.revokeBy = time.Time{}
	state, assigned := stable, slices.Clone(kept)
	for _, tp := range target {
		if _, has := slices.BinarySearchFunc(kept, tp, assign.Compare); has {
			continue
		}
		if owner, owns := g.owners[tp]; owns && owner != m.id {
			state = unreleased
			continue
		}
		assigned = append(assigned, tp)
	}
	slices.SortFunc(assigned, assign.Compare)
	g.settle(m, state, g.targetEpoch, assigned, nil)
}

// settle gives a member what it has from now on.
func (g *Group) settle(m *member, state memberState, epoch int32, assigned, revoking []TopicPartition) {
	if m.state == state && m.epoch == epoch && slices.Equal(m.assigned, assigned) && slices.Equal(m.revoking, revoking) {
		return
	}
	g.disown(m)
	if m.epoch != epoch {
		m.previous, m.epoch = m.epoch, epoch
	}
	m.state, m.assigned, m.revoking = state, assigned, revoking
	g.own(m)
	g.emit(record.Current, m.id, m.current())
}

// own notes what a member has (C1).
func (g *Group) own(m *member) {
	for _, all := range [][]TopicPartition{m.assigned, m.revoking} {
		for _, tp := range all {
			if other, owned := g.owners[tp]; owned {
				panic(fmt.Sprintf("consumer group: C1: %x-%d of %q is given to %q", tp.Topic, tp.Partition, other, m.id))
			}
			g.owners[tp] = m.id
		}
	}
}

func (g *Group) disown(m *member) {
	for _, all := range [][]TopicPartition{m.assigned, m.revoking} {
		for _, tp := range all {
			delete(g.owners, tp)
		}
	}
}

func (m *member) current() *record.CurrentValue {
	return &record.CurrentValue{Epoch: m.epoch, Previous: m.previous, State: int8(m.state), Assigned: byTopic(m.assigned), Revoking: byTopic(m.revoking)}
}

// byTopic is partitions, in order, as records have them.
func byTopic(all []TopicPartition) (out []record.TopicPartitions) {
	for _, tp := range all {
		if n := len(out); n == 0 || out[n-1].Topic != tp.Topic {
			out = append(out, record.TopicPartitions{Topic: tp.Topic})
		}
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, tp.Partition)
	}
	return out
}

// flat is the reverse of byTopic; the result is in order, each once.
func flat(all []record.TopicPartitions) (out []TopicPartition) {
	for _, t := range all {
		for _, p := range t.Partitions {
			out = append(out, TopicPartition{Topic: t.Topic, Partition: p})
		}
	}
	slices.SortFunc(out, assign.Compare)
	return slices.Compact(out)
}

// split parts what is had, in order, into what a target, in order, has too, and the rest.
func split(had, target []TopicPartition) (kept, rest []TopicPartition) {
	for _, tp := range had {
		if _, found := slices.BinarySearchFunc(target, tp, assign.Compare); found {
			kept = append(kept, tp)
		} else {
			rest = append(rest, tp)
		}
	}
	return kept, rest
}

// intersects says whether a list has anything of a sorted one.
func intersects(list, sorted []TopicPartition) bool {
	return slices.ContainsFunc(list, func(tp TopicPartition) bool {
		_, found := slices.BinarySearchFunc(sorted, tp, assign.Compare)
		return found
	})
}

// subset says whether a sorted list has all of another.
func subset(list, sorted []TopicPartition) bool {
	for _, tp := range list {
		if _, found := slices.BinarySearchFunc(sorted, tp, assign.Compare); !found {
			return false
		}
	}
	return true
}
