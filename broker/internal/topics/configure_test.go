package topics

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/broker/internal/topics/admit"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
)

func ptr(s string) *string { return &s }

// set makes changes KEY=VALUE to a resource; KEY alone takes it back.
func (r *room) set(res Resource, changes ...string) error {
	var out []config.Change
	for _, c := range changes {
		if key, value, ok := strings.Cut(c, "="); ok {
			out = append(out, config.Change{Name: key, Op: config.OpSet, Value: &value})
		} else {
			out = append(out, config.Change{Name: key, Op: config.OpDelete})
		}
	}
	return r.IncrementalAlterConfigs(r.t.Context(), res, out, false)
}

func (r *room) mustSet(res Resource, changes ...string) {
	r.t.Helper()
	if err := r.set(res, changes...); err != nil {
		r.t.Fatal(err)
	}
}

// value is how a setting is described, and where it comes from.
func (r *room) value(res Resource, name string) string {
	r.t.Helper()
	e, err := r.DescribeConfigs(res, []string{name})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(e) == 0 {
		return "none"
	}
	return fmt.Sprintf("%s@%d", *e[0].Value, e[0].Origin)
}

func big(n int) batch.Batch {
	var b batch.Builder
	b.Add(time.UnixMilli(1), nil, make([]byte, n))
	return b.Batch()
}

func put(t *testing.T, topic *Topic, b batch.Batch) error {
	t.Helper()
	p, err := topic.Partition(0)
	if err != nil {
		t.Fatal(err)
	}
	return p.Write(t.Context(), b)
}

func TestSettingsOfATopicChangeWhileItIsOpen(t *testing.T) {
	fs := disk.NewMem()
	r := open(t, fs)
	first := r.create("a", 2)
	res := Resource{TopicResource, "a"}
	r.mustSet(res, "max.message.bytes=1000", "cleanup.policy=compact", "message.timestamp.type=LogAppendTime", "min.insync.replicas=2", "compression.type=zstd")
	a := r.Topic("a")
	want := admit.Rules{RequiresKey: true, AppendTime: true, BeforeMs: 1<<63 - 1, AfterMs: 3600000, Recode: true, Codec: batch.Zstd, MinInsync: 2}
	if a.Rules != want || first.Rules == want {
		t.Errorf("%+v, want %+v; and the old Topic must stay as it was", a.Rules, want)
	}
	if err := put(t, first, big(1000)); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("%v: the open log takes what is too large", err)
	}
	if r.ByID(a.ID) != a || a.slots[1].p != first.slots[1].p {
		t.Error("the topic has other partitions, or is another by its id")
	}
	r.mustSet(res, "max.message.bytes", "cleanup.policy=delete")
	if err := put(t, r.Topic("a"), big(1000)); err != nil {
		t.Error(err)
	}
	if got := r.value(res, "max.message.bytes"); got != "65536@4" {
		t.Errorf("max.message.bytes is %s", got)
	}
	r.close()
	r = open(t, fs)
	if got := r.value(res, "compression.type"); got != "zstd@1" || r.Topic("a").Rules.RequiresKey {
		t.Errorf("after a restart compression.type is %s", got)
	}
}

func TestAlterConfigsReplacesAll(t *testing.T) {
	r := open(t, disk.NewMem())
	r.create("a", 1)
	res := Resource{TopicResource, "a"}
	r.mustSet(res, "retention.ms=5", "segment.ms=6")
	next := map[string]*string{"segment.ms": ptr("7"), "flush.ms": ptr("8")}
	if err := r.AlterConfigs(t.Context(), res, next, true); err != nil || r.value(res, "segment.ms") != "6@1" {
		t.Errorf("only asked: %v, %s", err, r.value(res, "segment.ms"))
	}
	if err := r.AlterConfigs(t.Context(), res, next, false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"segment.ms": "7", "flush.ms": "8"}, r.Topic("a").Settings); diff != "" {
		t.Error(diff)
	}
}

func TestRefusedChangesChangeNothing(t *testing.T) {
	r := open(t, disk.NewMem())
	r.create("a", 1)
	if _, err := r.EnsureInternal(t.Context(), OffsetsTopic); err != nil {
		t.Fatal(err)
	}
	topic := Resource{TopicResource, "a"}
	before := r.store.Image()
	for name, c := range map[string]struct {
		res     Resource
		changes []string
		want    error
	}{
		"no such topic":         {Resource{TopicResource, "b"}, []string{"segment.ms=1"}, ErrNoTopic},
		"no name":               {Resource{TopicResource, ""}, []string{"segment.ms=1"}, ErrName},
		"unknown key":           {topic, []string{"segment.ms=1", "x=1"}, ErrSetting},
		"bad value":             {topic, []string{"segment.ms=0"}, ErrSetting},
		"cannot be honoured":    {topic, []string{"file.delete.delay.ms=1"}, ErrSetting},
		"two that contradict":   {topic, []string{"min.compaction.lag.ms=2", "max.compaction.lag.ms=1"}, ErrSetting},
		"offsets would go":      {Resource{TopicResource, OffsetsTopic}, []string{"cleanup.policy=compact,delete"}, ErrSetting},
		"another broker":        {Resource{BrokerResource, "2"}, []string{"max.connections=5"}, ErrResource},
		"a broker of words":     {Resource{BrokerResource, "x"}, []string{"max.connections=5"}, ErrResource},
		"needs a restart":       {Resource{BrokerResource, "1"}, []string{"num.partitions=5"}, ErrSetting},
		"needs a restart, all":  {Resource{BrokerResource, ""}, []string{"listeners=PLAINTEXT://:1"}, ErrSetting},
		"no group":              {Resource{GroupResource, ""}, []string{"consumer.session.timeout.ms=45000"}, ErrResource},
		"beyond the broker's":   {Resource{GroupResource, "g"}, []string{"consumer.session.timeout.ms=99999"}, ErrSetting},
		"loggers":               {Resource{8, "1"}, []string{"x=DEBUG"}, ErrResource},
		"topic key of a broker": {Resource{BrokerResource, "1"}, []string{"retention.ms=5"}, ErrSetting},
	} {
		if err := r.set(c.res, c.changes...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := r.AlterConfigs(t.Context(), topic, map[string]*string{"segment.ms": nil}, false); !errors.Is(err, ErrChange) {
		t.Errorf("nil: %v", err)
	}
	if r.store.Image() != before {
		t.Error("a refused change was written")
	}
	if err := r.set(Resource{8, "1"}, "x=DEBUG"); !strings.Contains(fmt.Sprint(err), "broker-logger") {
		t.Errorf("%v does not say what is not served", err)
	}
	for _, res := range []Resource{{TopicResource, "b"}, {BrokerResource, "2"}, {8, "1"}} {
		if _, err := r.DescribeConfigs(res, nil); err == nil {
			t.Errorf("%v is described", res)
		}
	}
}

func TestBrokerSettingsReachAllTopicsThatFollow(t *testing.T) {
	fs := disk.NewMem()
	r := open(t, fs)
	r.create("follows", 1)
	r.create("own", 1)
	r.mustSet(Resource{TopicResource, "own"}, "max.message.bytes=50000")
	var seen []int
	cancel := r.Live().Watch(func(v *config.View) { seen = append(seen, v.Int("message.max.bytes")) })
	defer cancel()
	r.mustSet(Resource{BrokerResource, ""}, "message.max.bytes=1000", "log.cleanup.policy=compact")
	r.mustSet(Resource{BrokerResource, "1"}, "message.max.bytes=2000")
	if err := put(t, r.Topic("follows"), big(2000)); !errors.Is(err, engine.ErrTooLarge) || !r.Topic("follows").Rules.RequiresKey {
		t.Errorf("%v: the broker's setting does not count", err)
	}
	if err := put(t, r.Topic("own"), big(2000)); err != nil {
		t.Errorf("%v: the topic's own does not count", err)
	}
	if got := r.value(Resource{TopicResource, "follows"}, "max.message.bytes"); got != "2000@2" {
		t.Error(got)
	}
	if got := r.value(Resource{BrokerResource, ""}, "message.max.bytes"); got != "1000@3" {
		t.Error(got)
	}
	if got := r.value(Resource{BrokerResource, ""}, "num.partitions"); got != "none" {
		t.Error(got)
	}
	r.close()
	r = open(t, fs)
	if err := put(t, r.Topic("follows"), big(2000)); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("after a restart: %v", err)
	}
	r.mustSet(Resource{BrokerResource, "1"}, "message.max.bytes")
	if got := r.value(Resource{TopicResource, "follows"}, "max.message.bytes"); got != "1000@3" {
		t.Error(got)
	}
	if !slices.Equal(seen, []int{65536, 1000, 2000}) {
		t.Errorf("the watcher saw %v", seen)
	}
}

func TestGroupSettingsAndResources(t *testing.T) {
	fs := disk.NewMem()
	r := open(t, fs)
	r.create("a", 1)
	g := Resource{GroupResource, "g"}
	r.mustSet(g, "consumer.session.timeout.ms=50000")
	r.close()
	r = open(t, fs)
	if got := r.value(g, "consumer.session.timeout.ms"); got != "50000@8" {
		t.Error(got)
	}
	if got := r.value(Resource{GroupResource, "other"}, "consumer.session.timeout.ms"); got != "45000@5" {
		t.Error(got)
	}
	want := []Resource{{TopicResource, "a"}, {BrokerResource, "1"}, g}
	if got := r.Resources(nil); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := r.Resources([]ResourceKind{GroupResource}); !slices.Equal(got, want[2:]) {
		t.Errorf("%v", got)
	}
	r.mustSet(g, "consumer.session.timeout.ms")
	if got := r.Resources([]ResourceKind{GroupResource}); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestDurabilityChangesWithTheSetting(t *testing.T) {
	fs := disk.NewMem()
	r := open(t, fs)
	r.create("a", 20)
	r.mustSet(Resource{TopicResource, "a"}, "flush.messages=1000")
	write(t, r.Topic("a"))
	r.mustSet(Resource{TopicResource, "a"}, "flush.messages=1")
	write(t, r.Topic("a"))
	after := open(t, fs.Crash(rand.New(rand.NewPCG(1, 1)), 0)) // all that was not flushed is gone
	if p, err := after.Topic("a").Partition(0); err != nil || p.HighWatermark() != 2 {
		t.Errorf("%v: ends at %d, want both records: the second change has flushed the first", err, p.HighWatermark())
	}
}

func TestAddPartitions(t *testing.T) {
	fs := disk.NewMem()
	r := open(t, fs)
	a := r.create("a", 2)
	write(t, a)
	if _, err := r.EnsureInternal(t.Context(), TransactionsTopic); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		topic       string
		total       int
		assignments [][]int32
		want        error
	}{
		"no such topic":    {"b", 3, nil, ErrNoTopic},
		"as many":          {"a", 2, nil, ErrPartitions},
		"fewer":            {"a", 1, nil, ErrPartitions},
		"negative":         {"a", -1, nil, ErrPartitions},
		"too many":         {"a", meta.MaxPartitions + 1, nil, ErrPartitions},
		"the broker's":     {TransactionsTopic, 100, nil, ErrInternal},
		"too few assigned": {"a", 4, [][]int32{{1}}, ErrAssignment},
		"another broker":   {"a", 3, [][]int32{{2}}, ErrAssignment},
		"two replicas":     {"a", 3, [][]int32{{1, 2}}, ErrAssignment},
	} {
		if _, err := r.AddPartitions(t.Context(), c.topic, c.total, c.assignments); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	grown, err := r.AddPartitions(t.Context(), "a", 4, [][]int32{{1}, {1}})
	if err != nil || grown.Partitions != 4 || r.Topic("a") != grown || grown.slots[0].p != a.slots[0].p {
		t.Fatalf("%+v, %v", grown, err)
	}
	if _, err := grown.Partition(3); err != nil {
		t.Error(err)
	}
	r.close()
	r = open(t, fs)
	if got := r.Topic("a"); got.Partitions != 4 || len(got.slots) != 4 {
		t.Errorf("after a restart: %d partitions", got.Partitions)
	}
	if err := r.Delete(t.Context(), grown.ID); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(r.names(), func(n string) bool { return strings.HasPrefix(n, "a-") }) {
		t.Errorf("logs are left: %q", r.names())
	}
}

func TestAddPartitionsIsNotInTheWayOfAStranger(t *testing.T) {
	r := open(t, disk.NewMem())
	r.create("a", 1)
	if _, err := r.engine.OpenLog("a-1", engine.LogOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddPartitions(t.Context(), "a", 2, nil); !errors.Is(err, ErrExists) || r.store.Image().Topics["a"].Partitions != 1 {
		t.Errorf("T3: %v", err)
	}
}

func TestDeleteRecords(t *testing.T) {
	r := open(t, disk.NewMem())
	a := r.create("a", 1)
	for range 5 {
		write(t, a)
	}
	if _, err := r.EnsureInternal(t.Context(), OffsetsTopic); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		topic     string
		partition int32
		before    int64
		low       int64
		want      error
	}{
		{"a", 0, 2, 2, nil}, {"a", 0, 1, 2, nil}, {"a", 0, 6, -1, ErrOffset}, {"a", 0, -2, -1, ErrOffset}, {"a", 0, 1 << 62, -1, ErrOffset},
		{"a", 1, 0, -1, ErrPartition}, {"b", 0, 0, -1, ErrNoTopic}, {OffsetsTopic, 0, 0, -1, ErrInternal}, {"a", 0, -1, 5, nil},
	} {
		low, err := r.DeleteRecords(c.topic, c.partition, c.before)
		if low != c.low || !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s-%d before %d: %d, %v; want %d, %v", c.topic, c.partition, c.before, low, err, c.low, c.want)
		}
	}
	r.mustSet(Resource{TopicResource, "a"}, "cleanup.policy=compact")
	if _, err := r.DeleteRecords("a", 0, -1); !errors.Is(err, ErrPolicy) {
		t.Error(err)
	}
}

func TestWatch(t *testing.T) {
	r := open(t, disk.NewMem())
	r.create("a", 1)
	var seen []string
	cancel, err := r.Watch(t.Context(), func(e Event) {
		seen = append(seen, fmt.Sprint(e.Topic.Name, " ", []string{"created", "deleted", "grown", "changed"}[e.Kind], " ", e.Topic.Partitions))
		if visible := r.Topic(e.Topic.Name); (visible == nil) != (e.Kind == Deleted) {
			t.Errorf("%s is told of before it is visible", e.Topic.Name)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b := r.create("b", 1)
	if _, err := r.AddPartitions(t.Context(), "b", 3, nil); err != nil {
		t.Fatal(err)
	}
	r.mustSet(Resource{TopicResource, "b"}, "segment.ms=5")
	r.mustSet(Resource{TopicResource, "b"}, "segment.ms=5") // no change
	if err := r.Delete(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	cancel()
	r.create("c", 1)
	if diff := cmp.Diff([]string{"a created 1", "b created 1", "b grown 3", "b changed 3", "b deleted 3"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestInternalTopicsAreMadeAsTheBrokerSays(t *testing.T) {
	r := open(t, disk.NewMem())
	for name, segment := range map[string]string{OffsetsTopic: "104857600", TransactionsTopic: "104857600"} {
		topic, err := r.EnsureInternal(t.Context(), name)
		if err != nil || !topic.Internal || topic.Partitions != 8 || topic.Settings["segment.bytes"] != segment || !topic.options.Compact {
			t.Errorf("%+v, %v", topic, err)
		}
		if again, err := r.EnsureInternal(t.Context(), name); again != topic || err != nil {
			t.Errorf("again: %v", err)
		}
		if _, err := r.Create(t.Context(), Spec{Name: name}); !errors.Is(err, ErrName) {
			t.Errorf("a client made %s: %v", name, err)
		}
	}
}

// TestChangesCutAnywhere cuts the power at each operation of a history of changes: what returned is there after recovery, what was not
// asked for is not, and every topic has its partitions.
func TestChangesCutAnywhere(t *testing.T) {
	for n := 0; ; n++ {
		var left atomic.Int64 // asked by the engine's own goroutines too
		left.Store(int64(n))
		var cut atomic.Bool
		mem := disk.NewMem()
		fs := disk.Inject(mem, func(op disk.Op, _ string) error {
			switch op {
			case "read", "readdir", "size", "open", "free", "lock":
			default:
				if left.Add(-1) < 0 {
					cut.Store(true)
				}
			}
			if cut.Load() {
				return errCut
			}
			return nil
		})
		returned, begun := changes(fs)
		rng := rand.New(rand.NewPCG(uint64(n), 3))
		r := open(t, mem.Crash(rng, []float64{0, 0.5, 1}[n%3]))
		got := stateOf(r)
		if got != states[returned] && got != states[begun] {
			t.Fatalf("cut at operation %d: %q; returned had %q, begun %q", n, got, states[returned], states[begun])
		}
		for _, topic := range r.All() {
			for i := range topic.Partitions {
				if _, err := topic.Partition(int32(i)); err != nil {
					t.Fatalf("cut at operation %d: %s-%d: %v", n, topic.Name, i, err)
				}
			}
		}
		if strings.Contains(r.logs.String(), "belongs to no topic") {
			t.Fatalf("cut at operation %d: %s", n, r.logs)
		}
		r.close()
		if !cut.Load() {
			t.Logf("%d operations", n)
			return
		}
	}
}

var errCut = errors.New("power cut")

// states are what there is after each step of changes.
var states = []string{"", "a 1", "a 3", "a 3 segment.ms=5", "a 3 segment.ms=5 broker", "broker"}

func stateOf(r *room) string {
	var out []string
	if t := r.Topic("a"); t != nil {
		out = append(out, fmt.Sprint("a ", t.Partitions))
		if v, ok := t.Settings["segment.ms"]; ok {
			out = append(out, "segment.ms="+v)
		}
	}
	if r.Live().View().Int("max.connections") == 77 {
		out = append(out, "broker")
	}
	return strings.Join(out, " ")
}

// changes goes through states until the power goes, and gives the last that was reached, and the last that was begun.
func changes(fs disk.FS) (returned, begun int) {
	c, close := openQuietly(fs)
	if c == nil {
		return 0, 0
	}
	defer close()
	ctx := context.Background()
	for i, step := range []func() error{
		func() error { _, err := c.Create(ctx, Spec{Name: "a", Partitions: 1}); return err },
		func() error { _, err := c.AddPartitions(ctx, "a", 3, nil); return err },
		func() error {
			return c.AlterConfigs(ctx, Resource{TopicResource, "a"}, map[string]*string{"segment.ms": ptr("5")}, false)
		},
		func() error {
			return c.AlterConfigs(ctx, Resource{BrokerResource, ""}, map[string]*string{"max.connections": ptr("77")}, false)
		},
		func() error { return c.Delete(ctx, c.Topic("a").ID) },
	} {
		begun = i + 1
		if step() != nil {
			return returned, begun
		}
		returned = begun
	}
	return returned, begun
}

func TestPartitionsThatCannotBeOpenedAreTakenBack(t *testing.T) {
	var full atomic.Bool // asked by the engine's own goroutines too
	var made atomic.Int64
	fs := disk.Inject(disk.NewMem(), func(op disk.Op, name string) error {
		if full.Load() && strings.HasSuffix(name, ".log") && op == "create" && made.Add(1) > 1 {
			return syscall.ENOSPC
		}
		return nil
	})
	r := open(t, fs)
	a := r.create("a", 1)
	full.Store(true)
	_, err := r.AddPartitions(t.Context(), "a", 4, nil)
	full.Store(false)
	if !errors.Is(err, engine.ErrFull) {
		t.Fatalf("%v, want ErrFull", err)
	}
	if r.Topic("a") != a || r.store.Image().Topics["a"].Partitions != 1 {
		t.Error("half of the partitions are left")
	}
	r.wantNames("a-0")
	if _, err := r.AddPartitions(t.Context(), "a", 4, nil); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// The metadata's log is begun anew by a snapshot while the broker runs; what is left of it is read by the next start, after a crash
// too.
func TestMetadataLogStaysShort(t *testing.T) {
	fs := disk.NewMem()
	r := open(t, fs)
	r.create("a", 1)
	const changes = 2500
	for i := range changes {
		r.mustSet(Resource{TopicResource, "a"}, fmt.Sprintf("segment.ms=%d", i+1))
	}
	after := disk.FS(fs.Crash(rand.New(rand.NewPCG(1, 1)), 0))
	again := open(t, after)
	if got := again.Topic("a").Settings["segment.ms"]; got != fmt.Sprint(changes) {
		t.Errorf("segment.ms = %s", got)
	}
	again.close()
	e, err := engine.Open(t.Context(), engine.Options{Dir: "/d", FS: after, CommitFileBytes: 1 << 20, CommitFiles: 2, ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	journal, err := partition.Open(e, MetadataTopic+"-0", 0, meta.LogOptions())
	if err != nil {
		t.Fatal(err)
	}
	if n := journal.HighWatermark() - journal.Start(); n > 1100 {
		t.Errorf("M6: the log holds %d records after %d changes", n, changes)
	}
}
