package assign

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// ID is the id of a topic.
type ID = [16]byte

// TopicPartition is a partition.
type TopicPartition struct {
	Topic     ID
	Partition int32
}

// Compare orders partitions by topic, then number.
func Compare(a, b TopicPartition) int {
	return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Partition, b.Partition))
}

// Member is who is to be given partitions.
type Member struct {
	ID       string
	Instance string // of a static member, else ""
	Topics   []ID   // that exist and it subscribes to, each once
	Has      []TopicPartition
}

// Assignor gives each member, by id, its partitions in order (those without any may be missing). partitions is how many each topic has.
// The arguments are not changed.
type Assignor func(members []Member, partitions map[ID]int32) map[string][]TopicPartition

// Default is the assignor of members who name none.
const Default = "uniform"

// Names lists the assignors that there are, Default first.
func Names() []string { return []string{Default, "range"} }

// ByName finds an assignor, nil when there is none.
func ByName(name string) Assignor {
	switch name {
	case "uniform":
		return Uniform
	case "range":
		return Range
	}
	return nil
}

// readers lists for each topic who subscribes to it, in the order of members.
func readers(members []Member, partitions map[ID]int32) map[ID][]int {
	out := map[ID][]int{}
	for i, m := range members {
		for _, t := range m.Topics {
			if partitions[t] > 0 {
				out[t] = append(out[t], i)
			}
		}
	}
	return out
}

func sortedTopics(of map[ID][]int) []ID {
	out := make([]ID, 0, len(of))
	for t := range of {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return out
}

// Range gives the members of each topic contiguous ranges, the first ones one more when it does not come out even (A5). Static members come
// first, by instance, so that one who comes back under another id keeps its place. It is not sticky, as Kafka's is not (see the package):
// Member.Has is not looked at.
func Range(members []Member, partitions map[ID]int32) map[string][]TopicPartition {
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, func(a, b Member) int {
		if (a.Instance == "") != (b.Instance == "") {
			return cmp.Compare(b.Instance, a.Instance) // "" last
		}
		return cmp.Or(strings.Compare(a.Instance, b.Instance), strings.Compare(a.ID, b.ID))
	})
	out := map[string][]TopicPartition{}
	of := readers(sorted, partitions)
	for _, t := range sortedTopics(of) {
		n, all := int32(len(of[t])), partitions[t]
		next := int32(0)
		for i, m := range of[t] {
			count := all / n
			if int32(i) < all%n {
				count++
			}
			for range count {
				out[sorted[m].ID] = append(out[sorted[m].ID], TopicPartition{t, next})
				next++
			}
		}
	}
	return out
}
