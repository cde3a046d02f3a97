package assign

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
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
		got := uniformly(t, members, partitions)
		for i := range members {
			members[i].Has = got[members[i].ID]
		}
		slices.Reverse(members)
		if again := Uniform(members, partitions); !reflect.DeepEqual(again, got) {
			t.Fatalf("A3: %v became %v", got, again)
		}
	})
}

// TestUniformGoesOn: a group lives on, each time with what it was given before, while members come, go and change what they read.
func TestUniformGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions := map[ID]int32{}
		for i := range rapid.IntRange(1, 6).Draw(t, "topics") {
			partitions[topic(i)] = rapid.Int32Range(0, 12).Draw(t, "partitions")
		}
		reads := func() (all []ID) {
			for n := range len(partitions) {
				if rapid.Bool().Draw(t, "reads") {
					all = append(all, topic(n))
				}
			}
			return all
		}
		var members []Member
		for n := range 12 {
			at := rapid.IntRange(0, len(members)).Draw(t, "at")
			switch what := rapid.IntRange(0, 3).Draw(t, "what"); {
			case what == 0 && at < len(members):
				members = slices.Delete(members, at, at+1)
			case what == 1 && at < len(members):
				members[at].Topics = reads()
			case what == 2 && at < len(partitions):
				partitions[topic(at)] += rapid.Int32Range(0, 5).Draw(t, "more")
			default:
				members = append(members, Member{ID: fmt.Sprintf("m%d-%d", 9-n%10, n), Topics: reads()})
			}
			got := uniformly(t, members, partitions)
			for i := range members {
				members[i].Has = got[members[i].ID]
			}
			if again := Uniform(members, partitions); !reflect.DeepEqual(again, got) {
				t.Fatalf("A3: %v became %v", got, again)
			}
		}
	})
}

// uniformly assigns, and holds the assignment to A1, A2 and A4.
func uniformly(t *rapid.T, members []Member, partitions map[ID]int32) map[string][]TopicPartition {
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
	keepsOrWins(t, members, partitions, got)
	return got
}

// keepsOrWins holds an assignment to A4. What two claim to have had is the first one's, by id.
func keepsOrWins(t *rapid.T, members []Member, partitions map[ID]int32, got map[string][]TopicPartition) {
	had := map[TopicPartition]string{}
	for _, m := range slices.SortedFunc(slices.Values(members), func(a, b Member) int { return strings.Compare(a.ID, b.ID) }) {
		for _, tp := range m.Has {
			if had[tp] == "" && slices.Contains(m.Topics, tp.Topic) && tp.Partition >= 0 && tp.Partition < partitions[tp.Topic] {
				had[tp] = m.ID
			}
		}
	}
	for id, all := range got {
		for _, tp := range all {
			if old := had[tp]; old != "" && old != id && len(got[old]) < len(all) {
				t.Fatalf("A4: %v went from %q, which has %d now, to %q, which has %d", tp, old, len(got[old]), id, len(all))
			}
		}
	}
}

func TestRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, partitions := drawn(t)
		got := Range(members, partitions)
		whole(t, members, partitions, got)
		ranges(t, members, partitions, got)
		for i := range members {
			members[i].Has = got[members[i].ID]
		}
		slices.Reverse(members)
		if again := Range(members, partitions); !reflect.DeepEqual(again, got) {
			t.Fatalf("A5: the order of members, or what they had, matters: %v, %v", got, again)
		}
		was := map[string]string{}
		for i, m := range members { // all static ones come back under other ids, in another order
			if m.Instance != "" {
				members[i].ID = fmt.Sprint("again", i)
			}
			was[members[i].ID] = m.ID
		}
		for id, old := range was {
			if again := Range(members, partitions)[id]; !slices.Equal(got[old], again) {
				t.Fatalf("%q had %v, and has %v as %q", old, got[old], again, id)
			}
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

// ranges holds an assignment to A5. numbersOf is what a member has of a topic.
func ranges(t *rapid.T, members []Member, partitions map[ID]int32, got map[string][]TopicPartition) {
	numbersOf := func(id string, topic ID) (all []int32) {
		for _, tp := range got[id] {
			if tp.Topic == topic {
				all = append(all, tp.Partition)
			}
		}
		return all
	}
	for a, n := range partitions {
		var of []string
		for _, m := range members {
			if slices.Contains(m.Topics, a) {
				of = append(of, m.ID)
			}
		}
		for _, id := range of {
			has := numbersOf(id, a)
			if share := int(n) / len(of); len(has) < share || len(has) > share+1 || len(has) > share && int(n)%len(of) == 0 {
				t.Fatalf("A5: %q has %d of the %d partitions of %v, which %d share", id, len(has), n, a[0], len(of))
			}
			if len(has) > 0 && int(has[len(has)-1]-has[0]) != len(has)-1 { // they are sorted
				t.Fatalf("A5: %v of topic %v is no range", has, a[0])
			}
		}
		for b, m := range partitions {
			same := !slices.ContainsFunc(members, func(m Member) bool { return slices.Contains(m.Topics, a) != slices.Contains(m.Topics, b) })
			for _, id := range of {
				if same && n == m && !slices.Equal(numbersOf(id, a), numbersOf(id, b)) {
					t.Fatalf("A5: %q has %v of topic %v and %v of topic %v", id, numbersOf(id, a), a[0], numbersOf(id, b), b[0])
				}
			}
		}
	}
}

// TestUniformMovesLittle: one member comes to a group that was evenly served, takes its share and nothing else moves; when it goes, only
// what it had moves (A4).
func TestUniformMovesLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions, total := map[ID]int32{}, 0
		var topics []ID
		for i := range rapid.IntRange(1, 4).Draw(t, "topics") {
			n := rapid.Int32Range(0, 20).Draw(t, "partitions")
			partitions[topic(i)], topics, total = n, append(topics, topic(i)), total+int(n)
		}
		var old []Member
		for i := range rapid.IntRange(1, 8).Draw(t, "members") {
			m := Member{ID: fmt.Sprint("m", i), Topics: topics}
			for range rapid.IntRange(0, 6).Draw(t, "has") { // so that the even start is not always the same
				tp := TopicPartition{rapid.SampledFrom(topics).Draw(t, "t"), rapid.Int32Range(0, 19).Draw(t, "p")}
				if !slices.Contains(m.Has, tp) {
					m.Has = append(m.Has, tp)
				}
			}
			old = append(old, m)
		}
		give := func(all map[string][]TopicPartition) {
			for i := range old {
				old[i].Has = all[old[i].ID]
			}
		}
		before := Uniform(old, partitions)
		give(before)
		id := rapid.SampledFrom([]string{"a", "m35", "z"}).Draw(t, "who comes") // the first, in the middle, the last
		with := Uniform(append(slices.Clone(old), Member{ID: id, Topics: topics}), partitions)
		for _, m := range old {
			for _, tp := range with[m.ID] {
				if !slices.Contains(before[m.ID], tp) {
					t.Fatalf("A4: %v moved to %q, when another came", tp, m.ID)
				}
			}
		}
		if share := total / (len(old) + 1); len(with[id]) != share {
			t.Fatalf("A4: who comes has %d partitions, want %d", len(with[id]), share)
		}
		give(with)
		without := Uniform(old, partitions)
		for _, m := range old {
			for _, tp := range with[m.ID] {
				if !slices.Contains(without[m.ID], tp) {
					t.Fatalf("A4: %q has lost %v to one who stays, when another went", m.ID, tp)
				}
			}
		}
	})
}

func TestByName(t *testing.T) {
	if ByName(Default) == nil || ByName("range") == nil || ByName("cooperative-sticky") != nil {
		t.Error("the names are Kafka's")
	}
}
