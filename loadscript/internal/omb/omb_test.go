package omb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/script"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const usual = `
name: 1-topic-16-partitions-1kb   # as the benchmark writes it

topics: 1
partitionsPerTopic: 16
keyDistributor: "NO_KEY"
messageSize: 1024
payloadFile: "payload/payload-1Kb.data"
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 50000
consumerBacklogSizeGB: 0
testDurationMinutes: 15
`

// layout makes workloads/ and payload/ beside each other, as the benchmark has them.
func layout(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"workloads/w.yaml": text, "payload/payload-1Kb.data": strings.Repeat("x", 1024)} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "workloads", "w.yaml")
}

func load(t *testing.T, text string) *plan.Plan {
	t.Helper()
	s, err := Load(layout(t, text))
	if err != nil {
		var out strings.Builder
		var e script.Errors
		if errors.As(err, &e) {
			e.Print(&out)
		}
		t.Fatalf("%v\n%s", err, out.String())
	}
	return s.Plan
}

func TestUsualWorkload(t *testing.T) {
	s := load(t, usual).Scenarios[0]
	p, c := s.Produce[0], s.Consume[0]
	if s.Name != "1-topic-16-partitions-1kb" || s.Duration() != 16*time.Minute || s.Warmup != time.Minute || s.PeakRate() != 50_000 || s.Stages[0].Pos.Line != 12 {
		t.Errorf("scenario %+v", s)
	}
	if p.Topic.Name != "1-topic-16-partitions-1kb-0" || p.Topic.Partitions != 16 || p.Value.Kind != "pool" || len(p.Value.Pool[0]) != 1024 || p.Key.Kind != "none" || p.Acks != "all" {
		t.Errorf("produce %+v", p)
	}
	if c.Group != "1-topic-16-partitions-1kb-0-sub-0" || c.Members != 1 || c.Topic.Name != p.Topic.Name {
		t.Errorf("consume %+v", c)
	}
}

func TestOtherWorkloads(t *testing.T) {
	random := strings.NewReplacer(`payloadFile: "payload/payload-1Kb.data"`, "useRandomizedPayloads: true\nrandomBytesRatio: 0.25\nrandomizedPayloadPoolSize: 100",
		"NO_KEY", "KEY_ROUND_ROBIN", "topics: 1", "topics: 3", "subscriptionsPerTopic: 1", "subscriptionsPerTopic: 2").Replace(usual)
	s := load(t, random).Scenarios[0]
	if len(s.Produce) != 3 || len(s.Consume) != 6 || s.Produce[2].Value.Compressible != 0.75 || s.Produce[0].Key.Kind != "round_robin" || s.Produce[0].Key.N != 10_000 {
		t.Errorf("%+v", s)
	}

	most := load(t, strings.Replace(usual, "producerRate: 50000", "producerRate: 0", 1)).Scenarios[0]
	if e := most.Executor; e == nil || e.Kind != "find_max_rate" || e.Hold != time.Minute || len(e.SLO) != 2 || len(most.Stages) != 0 || most.Warmup != 0 {
		t.Errorf("%+v", most)
	}

	piled := load(t, strings.Replace(usual, "consumerBacklogSizeGB: 0", "consumerBacklogSizeGB: 2", 1))
	if len(piled.Scenarios) != 2 {
		t.Fatalf("%d scenarios", len(piled.Scenarios))
	}
	first := piled.Scenarios[0]
	if got := first.Records(); got != 2<<20 || len(first.Consume) != 0 || first.Produce[0].Topic.Name != piled.Scenarios[1].Consume[0].Topic.Name { // 2 GiB of 1 KiB
		t.Errorf("%d records, %+v", got, first)
	}
	if second := piled.Scenarios[1]; !second.Backlog || first.Backlog || second.Drain < time.Hour {
		t.Errorf("the backlog is not part of the load: %+v", second)
	}
	both := load(t, strings.NewReplacer("consumerBacklogSizeGB: 0", "consumerBacklogSizeGB: 1", "producerRate: 50000", "producerRate: 0").Replace(usual))
	if e := both.Scenarios[0].Executor; e == nil || e.Records != 1<<20 {
		t.Errorf("%+v", e)
	}
}

// Some of the benchmark's files have a rate that rises, and durations that its environment may change.
func TestRisingRate(t *testing.T) {
	text := strings.NewReplacer("producerRate: 50000", "producerStartRate: 100\nproducerRate: 350\nproducerIncrementRate: 100\nproducerIncrementSeconds: 30\nacceptableBacklog: 1",
		"testDurationMinutes: 15", "testDurationMinutes: ${ombTestDuration:-4}\nproducerPauseDuringDrain: 0\nmessageRateReceivedForSubscription: 50").Replace(usual)
	s := load(t, text).Scenarios[0]
	var got []string
	for _, st := range s.Stages {
		got = append(got, fmt.Sprintf("%s %s %v", st.Name, st.Duration, st.To))
	}
	want := "step-1 1m30s 100, step-2 30s 200, step-3 30s 300, step-4 2m30s 350"
	if strings.Join(got, ", ") != want || s.Warmup != time.Minute || s.Duration() != 5*time.Minute {
		t.Errorf("%q, warm-up %s: want %s", got, s.Warmup, want)
	}
	flat := load(t, strings.Replace(text, "producerIncrementRate: 100", "producerIncrementRate: 0", 1)).Scenarios[0]
	if len(flat.Stages) != 1 || flat.Stages[0].To != 350 {
		t.Errorf("%+v", flat.Stages)
	}
	search := load(t, strings.Replace(text, "producerRate: 350", "producerRate: 0", 1)).Scenarios[0]
	if search.Executor == nil || search.Executor.StartRate != 100 {
		t.Errorf("%+v", search.Executor)
	}
}

func TestMistakes(t *testing.T) {
	for _, tc := range []struct {
		old, new string
		line     int
		want     string
		suggest  string
	}{
		{"producerRate:", "producrRate:", 12, `a workload has no setting "producrRate"`, "producerRate"},
		{"topics: 1", "topics: one", 4, `topics: must be a whole number from 1 to 1,000, not "one"`, ""},
		{"topics: 1", "topics: [1, 2]", 4, "topics: must be a whole number", ""},
		{"topics: 1", "topics: 1\ntopics: 2", 5, "topics stands twice", ""},
		{"topics: 1\n", "", 1, "topics is missing: number of topics", ""},
		{"NO_KEY", "SOME_KEY", 6, "must be one of NO_KEY, KEY_ROUND_ROBIN, RANDOM_NANO", ""},
		{"1Kb.data", "2Kb.data", 8, "there is no file payload/payload-2Kb.data", ""},
		{"messageSize: 1024", "messageSize: 1000", 8, "has 1024 bytes, but messageSize is 1000", ""},
		{`payloadFile: "payload/payload-1Kb.data"`, "", 7, "neither a payloadFile nor useRandomizedPayloads", ""},
		{`payloadFile: "payload/payload-1Kb.data"`, "useRandomizedPayloads: yes", 8, "must be true or false", ""},
		{"producerRate: 50000", "producerRate: -1", 12, "must be a number from 0", ""},
		{"testDurationMinutes: 15", "testDurationMinutes: 0", 14, "must be above 0", ""},
		{"consumerPerSubscription: 1\n", "", 9, "consumerPerSubscription is missing", ""},
		{"subscriptionsPerTopic: 1\nconsumerPerSubscription: 1", "subscriptionsPerTopic: 0\nconsumerPerSubscription: 1\n#", 13, "", ""},
		{"name: 1-topic", "name: [", 2, "not YAML", ""},
		{"name: 1-topic", "\x00", 1, "not YAML", ""},
	} {
		_, err := Load(layout(t, strings.Replace(usual, tc.old, tc.new, 1)))
		var mistakes script.Errors
		switch {
		case tc.want == "" && err == nil:
			continue
		case !errors.As(err, &mistakes):
			t.Errorf("%q: %T %v", tc.new, err, err)
		case mistakes[0].Pos.Line != tc.line && tc.want != "not YAML" || !strings.Contains(mistakes[0].Message, tc.want) || mistakes[0].Suggest != tc.suggest:
			t.Errorf("%q: line %d %s | %s, want line %d %s | %s", tc.new, mistakes[0].Pos.Line, mistakes[0].Message, mistakes[0].Suggest, tc.line, tc.want, tc.suggest)
		}
	}
	if _, err := Load("testdata/none.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	for _, text := range []string{"", "5", "- a\n- b", "a: &a [*a]"} {
		var mistakes script.Errors
		if _, err := Parse("w.yaml", []byte(text)); !errors.As(err, &mistakes) {
			t.Errorf("%q: %v", text, err)
		}
	}
	// All at once.
	_, err := Load(layout(t, strings.NewReplacer("topics: 1", "topics: 0", "messageSize: 1024", "messageSize: big", "producerRate", "rate").Replace(usual)))
	var mistakes script.Errors
	if !errors.As(err, &mistakes) || len(mistakes) != 3 {
		t.Errorf("%v", err)
	}
}

func FuzzWorkload(f *testing.F) {
	f.Add(usual)
	f.Add("topics: &a 1\nmessageSize: *a")
	f.Add("name: \"\\x00\"\n? [a]\n: b")
	f.Add("topics: 10000\nsubscriptionsPerTopic: 10000")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("no-such-folder/w.yaml", []byte(text))
		var mistakes script.Errors
		switch {
		case err == nil:
			if s.Plan == nil || len(s.Plan.Check()) > 0 {
				t.Errorf("a plan with problems was let through: %+v", s.Plan)
			}
		case !errors.As(err, &mistakes):
			t.Errorf("%T %v", err, err)
		default:
			var out strings.Builder
			mistakes.Print(&out)
		}
	})
}
