package assign

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func topic(n int) ID { return ID{byte(n)} }

// drawn is a random group with what its members had before.
func drawn(t *rapid.T) (members []Member, partitions map[ID]int32) {
	partitions = map[ID]int32{}
	for i := range rapid.IntRange(0, 5).Draw(t, "topics") {
		partitions[topic(i)] = rapid.Int32Range(0, 7).Draw(t, "partitions")
	}
	same := rapid.Bool().Draw(t, "same")
	for i := range rapid.IntRange(0, 8).Draw(t, "members") {
		m := Member{ID: fmt.Sprint("m", i)}
		if rapid.IntRange(0, 3).Draw(t, "static") == 0 {
			m.Instance = fmt.Sprint("i", 9-i)
		}
		for n := range len(partitions) {
			if same || rapid.Bool().Draw(t, "reads") {
				m.Topics = append(m.Topics, topic(n))
			}
		}
		for range rapid.IntRange(0, 6).Draw(t, "has") { // some of it nonsense
			m.Has = append(m.Has, TopicPartition{topic(rapid.IntRange(0, 5).Draw(t, "t")), rapid.Int32Range(-1, 7).Draw(t, "p")})
		}
		members = append(members, m)
	}
	return members, partitions
}

// whole holds an assignment to A1.
func whole(t *rapid.T, members []Member, partitions map[ID]int32, got map[string][]TopicPartition) {
	owner := map[TopicPartition]string{}
	for _, m := range members {
		if !slices.IsSortedFunc(got[m.ID], Compare) {
			t.Fatalf("%q has %v, out of order", m.ID, got[m.ID])
		}
		for _, tp := range got[m.ID] {
			if owner[tp] != "" || !slices.Contains(m.Topics, tp.Topic) || tp.Partition < 0 || tp.Partition >= partitions[tp.Topic] {
				t.Fatalf("A1: %v of %q: owner %q", tp, m.ID, owner[tp])
			}
			owner[tp] = m.ID
		}
	}
	want := 0
	for id, n := range partitions {
		if slices.ContainsFunc(members, func(m Member) bool { return slices.Contains(m.Topics, id) }) {
			want += int(n)
		}
	}
	if len(owner) != want {
		t.Fatalf("A1: %d of %d partitions are given out", len(owner), want)
	}
}

func TestUniform(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, partitions := drawn(t)
		got := Uniform(members, partitions)
		whole(t, members, partitions, got)
		for _, m := range members {
			for _, other := range members {
				for _, tp := range got[m.ID] {
					if slices.Contains(other.Topics, tp.Topic) && len(got[other.ID])+1 < len(got[m.ID]) {
						t.Fatalf("A2: %v would be better with %q, which has %d, than with %q, which has %d", tp, other.ID, len(got[other.ID]), m.ID, len(got[m.ID]))
					}
				}
			}
		}
		for i := range members {
			members[i].Has = got[members[i].ID]
		}
		slices.Reverse(members)
		if again := Uniform(members, partitions); !reflect.DeepEqual(again, got) {
			t.Fatalf("A3: %v became %v", got, again)
		}
	})
}

func TestRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, partitions := drawn(t)
		got := Range(members, partitions)
		whole(t, members, partitions, got)
		slices.Reverse(members)
		if again := Range(members, partitions); !reflect.DeepEqual(again, got) {
			t.Fatalf("the order of members matters: %v, %v", got, again)
		}
	})
	members := []Member{{ID: "a", Topics: []ID{topic(1), topic(2)}}, {ID: "z", Instance: "first", Topics: []ID{topic(1), topic(2)}}}
	got := Range(members, map[ID]int32{topic(1): 3, topic(2): 3})
	want := map[string][]TopicPartition{
		"z": {{topic(1), 0}, {topic(1), 1}, {topic(2), 0}, {topic(2), 1}}, "a": {{topic(1), 2}, {topic(2), 2}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What one member brings or takes moves no more than it must.
func TestUniformMovesLittle(t *testing.T) {
	partitions := map[ID]int32{topic(1): 60}
	var members []Member
	for i := range 5 {
		members = append(members, Member{ID: fmt.Sprint("m", i), Topics: []ID{topic(1)}})
	}
	before := Uniform(members, partitions)
	for i := range members {
		members[i].Has = before[members[i].ID]
	}
	after := Uniform(append(members, Member{ID: "new", Topics: []ID{topic(1)}}), partitions)
	moved := 0
	for _, m := range members {
		for _, tp := range after[m.ID] {
			if !slices.Contains(before[m.ID], tp) {
				moved++
			}
		}
	}
	if moved != 0 || len(after["new"]) != 10 {
		t.Errorf("%d partitions moved between old members, the new one has %d", moved, len(after["new"]))
	}
}

func TestByName(t *testing.T) {
	if ByName(Default) == nil || ByName("range") == nil || ByName("cooperative-sticky") != nil {
		t.Error("the names are Kafka's")
	}
}
