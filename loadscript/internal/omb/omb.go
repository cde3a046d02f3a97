package omb

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/script"
)

// Limits of a workload.
const (
	maxFile   = 1 << 20
	maxTopics = 1_000
	maxFlows  = 10_000 // topics times subscriptions
	maxSteps  = 10_000 // of a rate that rises
)

// What the benchmark's Kafka driver uses unless its file says otherwise.
const (
	driverLinger = time.Millisecond
	driverBatch  = 1 << 20
	drain        = time.Minute
	drainBacklog = 24 * time.Hour // the benchmark goes on until a backlog is gone
)

// distributedKeys is how many different keys the benchmark's key distributors deal out.
const distributedKeys = 10_000

// workload is the file, with the place of each key.
type workload struct {
	Name                    string
	Topics                  int
	PartitionsPerTopic      int
	KeyDistributor          string
	MessageSize             int
	UseRandomizedPayloads   bool
	RandomBytesRatio        float64
	PayloadFile             string
	SubscriptionsPerTopic   int
	ProducersPerTopic       int
	ConsumerPerSubscription int
	ProducerRate            float64
	ConsumerBacklogSizeGB   float64
	TestDurationMinutes     float64
	WarmupDurationMinutes   float64

	// Of some of its branches.
	ProducerStartRate        float64
	ProducerIncrementRate    float64
	ProducerIncrementSeconds float64
}

// key is one setting of the file.
type key struct {
	name    string
	doc     string
	example string
	set     func(w *workload, v *yaml.Node) error
}

var keys = []key{
	{"name", "name of the workload", `name: 1 topic 16 partitions 1kb`, text(func(w *workload) *string { return &w.Name })},
	{"topics", "number of topics", "topics: 1", whole(1, maxTopics, func(w *workload) *int { return &w.Topics })},
	{"partitionsPerTopic", "partitions of each topic", "partitionsPerTopic: 16", whole(1, plan.MaxPartitions, func(w *workload) *int { return &w.PartitionsPerTopic })},
	{"keyDistributor", "how keys are chosen: NO_KEY, KEY_ROUND_ROBIN, RANDOM_NANO", `keyDistributor: "NO_KEY"`, distributor},
	{"messageSize", "bytes of each value", "messageSize: 1024", whole(1, plan.MaxValueBytes, func(w *workload) *int { return &w.MessageSize })},
	{"useRandomizedPayloads", "random values instead of a payload file", "useRandomizedPayloads: true", boolean(func(w *workload) *bool { return &w.UseRandomizedPayloads })},
	{"randomBytesRatio", "part of a random value that does not compress", "randomBytesRatio: 0.5", number(0, 1, func(w *workload) *float64 { return &w.RandomBytesRatio })},
	{"randomizedPayloadPoolSize", "how many random values there are; here each is new", "randomizedPayloadPoolSize: 1000", ignored(1, math.MaxInt32)},
	{"payloadFile", "file that holds the value", `payloadFile: "payload/payload-1Kb.data"`, text(func(w *workload) *string { return &w.PayloadFile })},
	{"subscriptionsPerTopic", "consumer groups of each topic", "subscriptionsPerTopic: 1", whole(0, 10_000, func(w *workload) *int { return &w.SubscriptionsPerTopic })},
	{"producersPerTopic", "producers of each topic", "producersPerTopic: 1", whole(1, plan.MaxClients, func(w *workload) *int { return &w.ProducersPerTopic })},
	{"consumerPerSubscription", "members of each consumer group", "consumerPerSubscription: 1", whole(1, plan.MaxClients, func(w *workload) *int { return &w.ConsumerPerSubscription })},
	{"producerRate", "records per second of all producers together; 0: find the highest", "producerRate: 50000", number(0, plan.MaxRate, func(w *workload) *float64 { return &w.ProducerRate })},
	{"consumerBacklogSizeGB", "how much piles up before the consumers start", "consumerBacklogSizeGB: 0", number(0, 1<<20, func(w *workload) *float64 { return &w.ConsumerBacklogSizeGB })},
	{"backlogDrainRatio", "when a backlog counts as drained; here it is drained to the end", "backlogDrainRatio: 1.0", ignored(0, 1)},
	{"testDurationMinutes", "how long is measured", "testDurationMinutes: 15", number(0, 366*24*60, func(w *workload) *float64 { return &w.TestDurationMinutes })},
	{"producerStartRate", "the first rate, where it rises or the highest is looked for", "producerStartRate: 10000", number(1, plan.MaxRate, func(w *workload) *float64 { return &w.ProducerStartRate })},
	{"producerIncrementRate", "by how much the rate rises from producerStartRate to producerRate; 0: it does not", "producerIncrementRate: 100", number(0, plan.MaxRate, func(w *workload) *float64 { return &w.ProducerIncrementRate })},
	{"producerIncrementSeconds", "how long each rate lasts where it rises", "producerIncrementSeconds: 60", number(1, 366*24*3600, func(w *workload) *float64 { return &w.ProducerIncrementSeconds })},
	{"acceptableBacklog", "what the benchmark's search lets pile up; here a rate must be kept up with", "acceptableBacklog: 10000", ignored(0, math.MaxInt32)},
	{"messageRateReceivedForSubscription", "percent that a filter lets through; Kafka has none", "messageRateReceivedForSubscription: 100", ignored(0, 100)},
	{"producerPauseBeforeDrain", "seconds without load before a backlog is drained; only 0", "producerPauseBeforeDrain: 0", never},
	{"producerPauseDuringDrain", "whether nothing is sent while a backlog is drained; only 0", "producerPauseDuringDrain: 0", never},
	{"warmupDurationMinutes", "how long before is not measured", "warmupDurationMinutes: 1", number(0, 366*24*60, func(w *workload) *float64 { return &w.WarmupDurationMinutes })},
}

// Load reads a workload file. The error is a script.Errors with every mistake, or an *fs.PathError.
func Load(path string) (*script.Script, error) {
	f, err := os.Open(path)
	if err != nil {
		return &script.Script{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return &script.Script{}, err
	case len(text) > maxFile:
		return &script.Script{}, &fs.PathError{Op: "read", Path: path, Err: errors.New("is larger than 1MiB")}
	}
	return Parse(path, text)
}

// Parse reads a workload from its text; a payload file is looked for beside path.
func Parse(path string, text []byte) (*script.Script, error) {
	r := &reading{path: path, lines: strings.Split(string(text), "\n"), at: map[string]*yaml.Node{}}
	w := &workload{KeyDistributor: "NO_KEY", WarmupDurationMinutes: 1, ProducerStartRate: 10_000, ProducerIncrementSeconds: 60}
	r.read(w, text)
	if len(r.errors) == 0 {
		r.whole(w)
	}
	var p *plan.Plan
	if len(r.errors) == 0 {
		p = r.plan(w)
		for _, pr := range p.Check() {
			r.bad(pr.Pos, pr.Message, "", pr.Example)
		}
	}
	if len(r.errors) > 0 {
		return &script.Script{}, r.errors
	}
	return &script.Script{Plan: p, Doc: p.Title}, nil
}

// reading is one file.
type reading struct {
	path   string
	lines  []string
	at     map[string]*yaml.Node // the keys that are there
	errors script.Errors
}

func (r *reading) pos(n *yaml.Node) plan.Pos {
	if n == nil {
		return plan.Pos{File: r.path, Line: 1, Column: 1}
	}
	return plan.Pos{File: r.path, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

func (r *reading) bad(pos plan.Pos, msg, suggest, example string) {
	d := script.Diagnostic{Pos: pos, Width: 1, Message: msg, Suggest: suggest, Example: example}
	if pos.Line <= len(r.lines) {
		d.Source = strings.TrimRight(r.lines[pos.Line-1], "\r")
		rest := d.Source[min(pos.Column-1, len(d.Source)):]
		d.Width = max(len(strings.TrimRight(regexp.MustCompile(`^[^:#]*`).FindString(rest), " ")), 1)
	}
	r.errors = append(r.errors, d)
}

// placeholder is a value that the benchmark takes from its environment, with what it is if that has none: nothing of a load comes
// from the environment here.
var placeholder = regexp.MustCompile(`^\$\{\w+:-([^}]*)\}$`)

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

// read takes the keys one by one, so that each mistake has its line.
func (r *reading) read(w *workload, text []byte) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		pos, msg := r.pos(nil), strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlLine.FindStringSubmatch(msg); m != nil {
			pos.Line, _ = strconv.Atoi(m[1])
			pos.Line = max(pos.Line, 1)
			msg = m[2]
		}
		r.bad(pos, "this is not YAML: "+msg, "", "")
		return
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		r.bad(r.pos(nil), "this is no workload: it must be a list of settings", "", "topics: 1\nmessageSize: 1024")
		return
	}
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		j := slices.IndexFunc(keys, func(k key) bool { return k.name == name.Value })
		if j < 0 {
			r.unknown(name)
			continue
		}
		if r.at[name.Value] != nil {
			r.bad(r.pos(name), fmt.Sprintf("%s stands twice", name.Value), "", "")
			continue
		}
		r.at[name.Value] = name
		if m := placeholder.FindStringSubmatch(value.Value); m != nil {
			value.Value = m[1]
		}
		if err := keys[j].set(w, value); err != nil {
			r.bad(r.pos(value), fmt.Sprintf("%s: %v", name.Value, err), "", keys[j].example)
		}
	}
}

func (r *reading) unknown(name *yaml.Node) {
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	suggest := script.Nearest(name.Value, names)
	example := ""
	for _, k := range keys {
		if k.name == suggest {
			example = k.example
		}
	}
	r.bad(r.pos(name), fmt.Sprintf("a workload has no setting %q", name.Value), suggest, example)
}

// whole checks what concerns more than one key.
func (r *reading) whole(w *workload) {
	for _, name := range []string{"topics", "partitionsPerTopic", "messageSize", "subscriptionsPerTopic", "producersPerTopic", "producerRate", "testDurationMinutes"} {
		if r.at[name] != nil {
			continue
		}
		for _, k := range keys {
			if k.name == name {
				r.bad(r.pos(nil), fmt.Sprintf("%s is missing: %s", name, k.doc), "", k.example)
			}
		}
	}
	if w.SubscriptionsPerTopic > 0 && r.at["consumerPerSubscription"] == nil {
		r.bad(r.pos(r.at["subscriptionsPerTopic"]), "consumerPerSubscription is missing: members of each consumer group", "", "consumerPerSubscription: 1")
	}
	if r.at["testDurationMinutes"] != nil && w.TestDurationMinutes == 0 {
		r.bad(r.pos(r.at["testDurationMinutes"]), "testDurationMinutes must be above 0", "", "testDurationMinutes: 15")
	}
	if w.Topics*max(w.SubscriptionsPerTopic, 1) > maxFlows {
		r.bad(r.pos(r.at["topics"]), fmt.Sprintf("%d topics with %d subscriptions each are more than %s", w.Topics, w.SubscriptionsPerTopic, plan.FormatCount(maxFlows)), "", "topics: 100")
	}
	if w.ConsumerBacklogSizeGB > 0 && w.SubscriptionsPerTopic == 0 {
		r.bad(r.pos(r.at["consumerBacklogSizeGB"]), "a backlog needs consumers that drain it", "", "subscriptionsPerTopic: 1")
	}
	if !w.UseRandomizedPayloads && w.PayloadFile == "" {
		r.bad(r.pos(r.at["messageSize"]), "there is neither a payloadFile nor useRandomizedPayloads: what are the values?", "", "useRandomizedPayloads: true\nrandomBytesRatio: 0.5")
	}
}

// payload reads the payload file: beside the workload, in the folder above (the benchmark keeps payload/ beside workloads/), or
// from where the program was started.
func (r *reading) payload(w *workload) []byte {
	dir := filepath.Dir(r.path)
	for _, place := range []string{dir, filepath.Dir(filepath.Clean(dir)), "."} {
		path := w.PayloadFile
		if !filepath.IsAbs(path) {
			path = filepath.Join(place, path)
		}
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(f, plan.MaxValueBytes+1))
		f.Close()
		if err != nil {
			continue
		}
		if len(text) != w.MessageSize {
			r.bad(r.pos(r.at["payloadFile"]), fmt.Sprintf("%s has %d bytes, but messageSize is %d", path, len(text), w.MessageSize), "", fmt.Sprintf("messageSize: %d", len(text)))
		}
		return text
	}
	r.bad(r.pos(r.at["payloadFile"]), fmt.Sprintf("there is no file %s beside the workload, in the folder above, or here", w.PayloadFile), "", "useRandomizedPayloads: true\nrandomBytesRatio: 0.5")
	return nil
}

var unfitForTopics = regexp.MustCompile(`[^a-zA-Z0-9._-]+`)

// plan is the workload as scenarios: one, or with a backlog first one without consumers.
func (r *reading) plan(w *workload) *plan.Plan {
	name := firstNonEmpty(w.Name, strings.TrimSuffix(filepath.Base(r.path), filepath.Ext(r.path)))
	p := &plan.Plan{Script: r.path, Title: "workload of the Open Messaging Benchmark: " + name}
	value := plan.Value{Kind: "bytes", Size: w.MessageSize, Compressible: 1 - w.RandomBytesRatio}
	if !w.UseRandomizedPayloads {
		if value = (plan.Value{Kind: "pool", Size: w.MessageSize, Path: w.PayloadFile}); len(r.errors) == 0 {
			value.Pool = [][]byte{r.payload(w)}
		}
	}
	s := plan.Scenario{Name: name, Pos: r.pos(r.at["name"]), Arrivals: plan.Uniform, Drain: drain, Seed: 1, Stages: []plan.Stage{},
		Verify: []plan.Invariant{plan.NoLoss, plan.NoDuplicates, plan.InOrder, plan.NoCorruption}}
	base := strings.Trim(unfitForTopics.ReplaceAllString(name, "-"), "-.")
	base = firstNonEmpty(base[:min(len(base), 200)], "omb")
	for i := range w.Topics {
		t := plan.Topic{Name: fmt.Sprintf("%s-%d", base, i), Pos: r.pos(r.at["topics"]), Partitions: w.PartitionsPerTopic}
		s.Produce = append(s.Produce, plan.Produce{Topic: t, Pos: r.pos(r.at["producersPerTopic"]), Producers: w.ProducersPerTopic, Value: value, Key: w.key(),
			Acks: "all", Idempotent: true, Compression: "none", Linger: driverLinger, BatchBytes: max(driverBatch, 2*w.MessageSize+plan.BatchOverhead)})
		for j := range w.SubscriptionsPerTopic {
			s.Consume = append(s.Consume, plan.Consume{Topic: t, Pos: r.pos(r.at["subscriptionsPerTopic"]), Group: fmt.Sprintf("%s-sub-%d", t.Name, j), Members: w.ConsumerPerSubscription,
				Isolation: "read_uncommitted", Start: "earliest", Commit: plan.Commit{Kind: "auto"}, Protocol: "classic"})
		}
	}
	if w.ConsumerBacklogSizeGB > 0 {
		p.Scenarios = append(p.Scenarios, r.backlog(w, s))
	}
	test, warmup := minutes(w.TestDurationMinutes), minutes(w.WarmupDurationMinutes)
	if w.ProducerRate > 0 {
		if w.ConsumerBacklogSizeGB > 0 {
			s.Backlog, s.Drain = true, drainBacklog
		}
		s.Warmup = warmup
		s.Stages = r.stages(w, warmup, test)
	} else {
		s.Executor = r.highest(s, test)
		s.Executor.StartRate = w.ProducerStartRate
	}
	p.Scenarios = append(p.Scenarios, s)
	return p
}

// stages is one steady load, or one that rises from the first rate to the last, which is held to the end.
func (r *reading) stages(w *workload, warmup, test time.Duration) (list []plan.Stage) {
	hold := func(name string, d time.Duration, rate float64) {
		list = append(list, plan.Stage{Kind: "hold", Name: name, Pos: r.pos(r.at["producerRate"]), Duration: d, From: rate, To: rate})
	}
	if w.ProducerIncrementRate == 0 || w.ProducerStartRate >= w.ProducerRate {
		hold("test", warmup+test, w.ProducerRate)
		return list
	}
	left, each, rate := test, time.Duration(w.ProducerIncrementSeconds*float64(time.Second)), w.ProducerStartRate
	for rate < w.ProducerRate && left > each && len(list) < maxSteps {
		hold(fmt.Sprintf("step-%d", len(list)+1), each, rate)
		left, rate = left-each, rate+w.ProducerIncrementRate
	}
	hold(fmt.Sprintf("step-%d", len(list)+1), left, min(rate, w.ProducerRate))
	list[0].Duration += warmup
	return list
}

// backlog fills the topics before anybody reads them. The benchmark counts every subscription's backlog.
func (r *reading) backlog(w *workload, s plan.Scenario) plan.Scenario {
	s.Name += ", backlog"
	s.Consume = nil
	records := int64(math.Ceil(w.ConsumerBacklogSizeGB * (1 << 30) / float64(w.MessageSize) / float64(w.SubscriptionsPerTopic)))
	if w.ProducerRate == 0 {
		s.Executor = &plan.Executor{Kind: "records", Pos: r.pos(r.at["consumerBacklogSizeGB"]), Records: records}
		return s
	}
	length := time.Duration(math.Ceil(float64(records) / w.ProducerRate * 1e9))
	s.Stages = []plan.Stage{{Kind: "hold", Name: "backlog", Pos: r.pos(r.at["consumerBacklogSizeGB"]), Duration: length, From: w.ProducerRate, To: w.ProducerRate}}
	return s
}

// highest looks for the highest rate that is kept up with: where it is not, latency counted from the intended time grows
// without bound. A test is some ten tries long.
func (r *reading) highest(s plan.Scenario, test time.Duration) *plan.Executor {
	e := &plan.Executor{Kind: "find_max_rate", Pos: r.pos(r.at["producerRate"]), StartRate: 10_000, Tolerance: 0.05, Hold: min(max(test/10, 10*time.Second), time.Minute)}
	metrics := []string{"produce.latency"}
	if len(s.Consume) > 0 {
		metrics = append(metrics, "e2e.latency")
	}
	for _, m := range metrics {
		e.SLO = append(e.SLO, plan.Threshold{Expr: m + ".p99 < 1s", Pos: e.Pos, Metric: m, Stat: "p99", Op: "<", Value: 1e9})
	}
	return e
}

func (w *workload) key() plan.Key {
	switch w.KeyDistributor {
	case "KEY_ROUND_ROBIN":
		return plan.Key{Kind: "round_robin", N: distributedKeys}
	case "RANDOM_NANO":
		return plan.Key{Kind: "uniform", N: distributedKeys}
	}
	return plan.Key{Kind: "none"}
}

func minutes(m float64) time.Duration { return time.Duration(math.Round(m * float64(time.Minute))) }

func firstNonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func text(field func(*workload) *string) func(*workload, *yaml.Node) error {
	return func(w *workload, v *yaml.Node) error {
		if v.Kind != yaml.ScalarNode || len(v.Value) > 200 || strings.ContainsFunc(v.Value, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xFFFD }) {
			return errors.New("must be one short line of text")
		}
		*field(w) = v.Value
		return nil
	}
}

func whole(lo, hi int, field func(*workload) *int) func(*workload, *yaml.Node) error {
	return func(w *workload, v *yaml.Node) error {
		n, err := strconv.ParseInt(v.Value, 10, 64)
		if v.Kind != yaml.ScalarNode || err != nil || n < int64(lo) || n > int64(hi) {
			return fmt.Errorf("must be a whole number from %d to %s, not %q", lo, plan.FormatCount(int64(hi)), v.Value)
		}
		*field(w) = int(n)
		return nil
	}
}

func number(lo, hi float64, field func(*workload) *float64) func(*workload, *yaml.Node) error {
	return func(w *workload, v *yaml.Node) error {
		f, err := strconv.ParseFloat(v.Value, 64)
		if v.Kind != yaml.ScalarNode || err != nil || !(f >= lo && f <= hi) {
			return fmt.Errorf("must be a number from %v to %s, not %q", lo, strconv.FormatFloat(hi, 'f', -1, 64), v.Value)
		}
		*field(w) = f
		return nil
	}
}

func ignored(lo, hi float64) func(*workload, *yaml.Node) error {
	return number(lo, hi, func(*workload) *float64 { return new(float64) })
}

// never takes a setting that would change the load in a way that is not there.
func never(_ *workload, v *yaml.Node) error {
	if v.Value != "0" {
		return errors.New("is not there: producers go on while a backlog is drained")
	}
	return nil
}

func boolean(field func(*workload) *bool) func(*workload, *yaml.Node) error {
	return func(w *workload, v *yaml.Node) error {
		if v.Kind != yaml.ScalarNode || v.Value != "true" && v.Value != "false" {
			return fmt.Errorf("must be true or false, not %q", v.Value)
		}
		*field(w) = v.Value == "true"
		return nil
	}
}

func distributor(w *workload, v *yaml.Node) error {
	known := []string{"NO_KEY", "KEY_ROUND_ROBIN", "RANDOM_NANO"}
	if v.Kind != yaml.ScalarNode || !slices.Contains(known, v.Value) {
		return fmt.Errorf("must be one of %s, not %q", strings.Join(known, ", "), v.Value)
	}
	w.KeyDistributor = v.Value
	return nil
}
