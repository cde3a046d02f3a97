package assign

import (
	"cmp"
	"slices"
	"strings"
)

// Uniform gives the members as even a share as their subscriptions allow, and leaves them what they have as far as that allows.
func Uniform(members []Member, partitions map[ID]int32) map[string][]TopicPartition {
	u := newUniform(members, partitions)
	u.keep()
	if u.homogeneous() {
		u.shed()
	}
	u.fill()
	u.balance()
	out := map[string][]TopicPartition{}
	for i, m := range u.members {
		if len(u.given[i]) > 0 {
			slices.SortFunc(u.given[i], Compare)
			out[m.ID] = u.given[i]
		}
	}
	return out
}

// uniform is one assignment in the making. Members are known by their place in members, which is by id.
type uniform struct {
	members    []Member
	partitions map[ID]int32
	readers    map[ID][]int
	given      [][]TopicPartition
	taken      map[TopicPartition]bool
	had        map[TopicPartition]int // who had it, of those that it could be left to
	total      int
}

func newUniform(members []Member, partitions map[ID]int32) *uniform {
	u := &uniform{
		members: slices.Clone(members), partitions: partitions, given: make([][]TopicPartition, len(members)),
		taken: map[TopicPartition]bool{}, had: map[TopicPartition]int{},
	}
	slices.SortFunc(u.members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	u.readers = readers(u.members, partitions)
	for t := range u.readers {
		u.total += int(partitions[t])
	}
	return u
}

// keep gives everybody what it has, if it may still have it.
func (u *uniform) keep() {
	for i, m := range u.members {
		for _, tp := range m.Has {
			if tp.Partition >= 0 && tp.Partition < u.partitions[tp.Topic] && !u.taken[tp] && slices.Contains(u.readers[tp.Topic], i) {
				u.taken[tp] = true
				u.had[tp] = i
				u.given[i] = append(u.given[i], tp)
			}
		}
	}
}

func (u *uniform) homogeneous() bool {
	for _, of := range u.readers {
		if len(of) != len(u.members) {
			return false
		}
	}
	return true
}

// shed takes from members what is over their share, where all subscribe to the same: the share is known, so there is no need to search.
func (u *uniform) shed() {
	if len(u.members) == 0 {
		return
	}
	share, extra := u.total/len(u.members), u.total%len(u.members)
	for i, has := range u.given {
		limit := share
		if len(has) > share && extra > 0 {
			limit++
			extra--
		}
		for len(has) > limit {
			delete(u.taken, has[len(has)-1])
			has = has[:len(has)-1]
		}
		u.given[i] = has
	}
}

// fill gives what nobody has to who has least of those who may have it; topics that few subscribe to come first.
func (u *uniform) fill() {
	topics := sortedTopics(u.readers)
	slices.SortStableFunc(topics, func(a, b ID) int { return cmp.Compare(len(u.readers[a]), len(u.readers[b])) })
	for _, t := range topics {
		for p := range u.partitions[t] {
			tp := TopicPartition{t, p}
			if u.taken[tp] {
				continue
			}
			u.taken[tp] = true
			to := u.poorest(t)
			u.given[to] = append(u.given[to], tp)
		}
	}
}

// poorest is who has least of those who subscribe to a topic; the first of several.
func (u *uniform) poorest(t ID) int {
	return slices.MinFunc(u.readers[t], func(a, b int) int { return cmp.Compare(len(u.given[a]), len(u.given[b])) })
}

// balance moves single partitions until there is none to move (A2, A4), those first that came last. Each move makes the sum of the squares
// of what members have smaller, or leaves it and brings a partition back to who had it, so it ends.
func (u *uniform) balance() {
	for moved := true; moved; {
		moved = false
		for i := range u.given {
			for at := len(u.given[i]) - 1; at >= 0; at-- {
				tp := u.given[i][at]
				if to, ok := u.better(i, tp); ok {
					u.given[i] = slices.Delete(u.given[i], at, at+1)
					u.given[to] = append(u.given[to], tp)
					moved = true
				}
			}
		}
	}
}

// better is where a partition of i's should be instead: with who had it, if that one has less than i, or with one who has two or more less.
func (u *uniform) better(i int, tp TopicPartition) (to int, ok bool) {
	if had, ok := u.had[tp]; ok && len(u.given[had]) < len(u.given[i]) {
		return had, true
	}
	to = u.poorest(tp.Topic)
	return to, len(u.given[to])+1 < len(u.given[i])
}
