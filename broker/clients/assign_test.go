//go:build clients

package clients

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/broker/internal/group/assign"
)

var groupSeed = flag.Uint64("groups.seed", 0, "the seed of TestRangeIsKafkas; 0: by the clock")

// TestRangeIsKafkas gives random groups to our server-side range assignor and to the one of Kafka's jars: the assignments are the same,
// whatever the members had before, which neither looks at.
func TestRangeIsKafkas(t *testing.T) {
	seed := cmp.Or(*groupSeed, uint64(time.Now().UnixNano()))
	t.Logf("again with: go test -tags clients ./broker/clients -run TestRangeIsKafkas -args -groups.seed=%d", seed)
	jars := requireJars(t, "kafka-4")
	classes, err := compileJava(t.Context(), jars, "Assign.java")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	var groups, ours []string
	for range 20_000 {
		members, partitions := randomGroup(r)
		groups = append(groups, groupText(members, partitions))
		ours = append(ours, assignmentText(assign.Range(members, partitions)))
	}
	args := jvm(jars, "Assign")
	args[1] += ":" + classes
	cmd := exec.CommandContext(t.Context(), "java", args...)
	cmd.Stdin = strings.NewReader(strings.Join(groups, ""))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	kafkas := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(kafkas) != len(ours) {
		t.Fatalf("%d answers to %d groups", len(kafkas), len(ours))
	}
	for i, want := range kafkas {
		if ours[i] != want {
			t.Fatalf("%sours:    %s\nKafka's: %s", groups[i], ours[i], want)
		}
	}
}

func randomGroup(r *rand.Rand) (members []assign.Member, partitions map[assign.ID]int32) {
	partitions = map[assign.ID]int32{}
	topics := 1 + r.IntN(5)
	for n := range topics {
		partitions[numberedTopic(n)] = 1 + r.Int32N(12)
	}
	same := r.IntN(2) == 0
	owned := map[assign.TopicPartition]bool{}
	for i := range 1 + r.IntN(7) {
		m := assign.Member{ID: fmt.Sprintf("m%d", i)}
		if r.IntN(3) == 0 {
			m.Instance = fmt.Sprintf("i%d", 9-i)
		}
		for n := range topics {
			if same || r.IntN(2) == 0 {
				m.Topics = append(m.Topics, numberedTopic(n))
			}
		}
		for _, topic := range m.Topics {
			for p := range partitions[topic] {
				if tp := (assign.TopicPartition{Topic: topic, Partition: p}); !owned[tp] && r.IntN(3) == 0 {
					owned[tp] = true
					m.Has = append(m.Has, tp)
				}
			}
		}
		members = append(members, m)
	}
	return members, partitions
}

// numberedTopic is the id of a topic for which Assign.java has a number.
func numberedTopic(n int) assign.ID { return assign.ID{7: byte(n), 15: 1} }

func groupText(members []assign.Member, partitions map[assign.ID]int32) string {
	var b strings.Builder
	for topic, n := range partitions {
		fmt.Fprintf(&b, "topic %d %d\n", topic[7], n)
	}
	for _, m := range members {
		topics := make([]string, len(m.Topics))
		for i, topic := range m.Topics {
			topics[i] = fmt.Sprint(topic[7])
		}
		fmt.Fprintf(&b, "member %s %s %s %s\n", m.ID, cmp.Or(m.Instance, "-"), cmp.Or(strings.Join(topics, ","), "-"), cmp.Or(partitionsText(m.Has), "-"))
	}
	return b.String() + "assign\n"
}

func assignmentText(all map[string][]assign.TopicPartition) string {
	var words []string
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if len(all[id]) > 0 {
			words = append(words, id+"="+partitionsText(all[id]))
		}
	}
	return strings.Join(words, " ")
}

func partitionsText(all []assign.TopicPartition) string {
	words := make([]string, len(all))
	for i, tp := range all {
		words[i] = fmt.Sprintf("%d:%d", tp.Topic[7], tp.Partition)
	}
	return strings.Join(words, ",")
}
