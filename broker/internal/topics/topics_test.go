package topics

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/streambus/streambus/broker/internal/config"
	"github.com/streambus/streambus/broker/internal/meta"
	"github.com/streambus/streambus/broker/internal/partition"
	"github.com/streambus/streambus/engine"
	"github.com/streambus/streambus/engine/batch"
	"github.com/streambus/streambus/engine/disk"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// live is the settings of a test's broker.
func live(t *testing.T) *config.Live {
	t.Helper()
	c, err := config.Load(config.Sources{Set: []string{"num.partitions=2", "log.segment.bytes=1048576", "message.max.bytes=65536"}})
	if err != nil {
		t.Fatal(err)
	}
	return config.NewLive(c)
}

// room is a catalog and all under it.
type room struct {
	*Catalog
	t      *testing.T
	engine *engine.Engine
	logs   *bytes.Buffer
}

func open(t *testing.T, fs disk.FS) *room {
	t.Helper()
	r := &room{t: t, logs: new(bytes.Buffer)}
	c, err := load(fs, r.logs)
	if err != nil {
		t.Fatal(err)
	}
	r.Catalog, r.engine = c, c.engine
	t.Cleanup(r.close)
	return r
}

// load opens a catalog and all under it. On an error all is closed.
func load(fs disk.FS, logs io.Writer) (*Catalog, error) {
	ctx := context.Background()
	e, err := engine.Open(ctx, engine.Options{Dir: "/d", FS: fs, CommitFileBytes: 1 << 20, CommitFiles: 2, ReserveBytes: -1})
	if err != nil {
		return nil, err
	}
	c, err := loadOn(ctx, e, logs)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return c, nil
}

func loadOn(ctx context.Context, e *engine.Engine, logs io.Writer) (*Catalog, error) {
	journal, err := partition.Open(e, MetadataTopic+"-0", 0, meta.LogOptions())
	if err != nil {
		return nil, err
	}
	store, err := meta.Open(ctx, journal)
	if err != nil {
		return nil, err
	}
	cfg, err := config.Load(config.Sources{Set: []string{"num.partitions=2", "log.segment.bytes=1048576", "message.max.bytes=65536"}})
	if err != nil {
		return nil, err
	}
	return Open(ctx, e, store, config.NewLive(cfg), slog.New(slog.NewTextHandler(logs, nil)))
}

// openQuietly is load for who expects it to fail.
func openQuietly(fs disk.FS) (c *Catalog, done func()) {
	c, err := load(fs, io.Discard)
	if err != nil {
		return nil, func() {}
	}
	return c, func() {
		c.Close()
		_ = c.engine.Close()
	}
}

func (r *room) close() {
	r.Close()
	if err := r.engine.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *room) create(name string, partitions int) *Topic {
	r.t.Helper()
	topic, err := r.Create(r.t.Context(), Spec{Name: name, Partitions: partitions})
	if err != nil {
		r.t.Fatal(err)
	}
	return topic
}

// names are the logs that there are, but for the metadata's.
func (r *room) names() []string {
	return slices.DeleteFunc(r.engine.Names(), func(n string) bool { return n == "__cluster_metadata-0" })
}

func (r *room) wantNames(want ...string) {
	r.t.Helper()
	if got := r.names(); !slices.Equal(got, want) {
		r.t.Errorf("logs %q, want %q", got, want)
	}
}

func write(t *testing.T, topic *Topic) {
	t.Helper()
	p, err := topic.Partition(0)
	if err != nil {
		t.Fatal(err)
	}
	var b batch.Builder
	b.Add(time.UnixMilli(1), nil, []byte("v"))
	if err := p.Write(t.Context(), b.Batch()); err != nil {
		t.Fatal(err)
	}
}

func TestLifeOfATopic(t *testing.T) {
	fs := disk.NewMem()
	r := open(t, fs)
	a := r.create("a", 0)
	r.create("b", 1)
	r.wantNames("a-0", "a-1", "b-0")
	write(t, a)
	if _, err := r.Create(t.Context(), Spec{Name: "a"}); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	for i, want := range map[int32]error{-1: ErrPartition, 0: nil, 1: nil, 2: ErrPartition} {
		if _, err := a.Partition(i); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("partition %d: %v, want %v", i, err, want)
		}
	}
	p, _ := a.Partition(0)
	if err := r.Delete(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if r.Topic("a") != nil || r.ByID(a.ID) != nil || !errors.Is(p.Err(), partition.ErrClosed) {
		t.Error("the topic is still there")
	}
	r.wantNames("b-0")
	if err := r.Delete(t.Context(), a.ID); !errors.Is(err, ErrNoTopic) {
		t.Error(err)
	}
	again := r.create("a", 1)
	if p, _ := again.Partition(0); p.HighWatermark() != 0 || again.ID == a.ID {
		t.Error("T3: the new topic begins with the old one's data")
	}
	write(t, again)
	r.close()
	r = open(t, fs)
	if p, err := r.Topic("a").Partition(0); err != nil || p.HighWatermark() != 1 || p.Epoch() != 1 || len(r.All()) != 2 {
		t.Errorf("after a restart: %v, %d topics", err, len(r.All()))
	}
}

// A change stops after its record is durable, as a crash would stop it.
func TestCrashInTheMiddleIsCompletedByTheNextStart(t *testing.T) {
	fs := disk.NewMem()
	r := open(t, fs)
	gone := r.create("gone", 2)
	ctx := context.Background()
	if _, err := r.store.CreateTopic(ctx, "begun", 2, nil); err != nil { // and no logs
		t.Fatal(err)
	}
	if err := r.store.DeleteTopic(ctx, gone.ID); err != nil { // and the logs are still there
		t.Fatal(err)
	}
	if err := r.engine.Drop("gone-0"); err != nil { // but for one
		t.Fatal(err)
	}
	r.close()
	r = open(t, fs)
	r.wantNames("begun-0", "begun-1")
	if r.Topic("begun") == nil || r.Topic("gone") != nil || len(r.store.Image().Deleted) != 0 {
		t.Error("a half change is still half")
	}
	r.close()
	r = open(t, fs)
	r.wantNames("begun-0", "begun-1")
}

func TestStrangersAreLeftAlone(t *testing.T) {
	fs := disk.NewMem()
	r := open(t, fs)
	if _, err := r.engine.OpenLog("stranger-0", engine.LogOptions{}); err != nil {
		t.Fatal(err)
	}
	r.close()
	r = open(t, fs)
	r.wantNames("stranger-0")
	if !strings.Contains(r.logs.String(), "stranger-0") {
		t.Errorf("T2: nobody is told:\n%s", r.logs)
	}
	if _, err := r.Create(t.Context(), Spec{Name: "stranger", Partitions: 1}); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "stranger-0") {
		t.Errorf("T3: %v", err)
	}
}

func TestTopicThatCannotBeOpenedIsTakenBack(t *testing.T) {
	var full atomic.Bool // asked by the engine's own goroutines too
	mem := disk.NewMem()
	fs := disk.Inject(mem, func(op disk.Op, name string) error {
		if full.Load() && strings.HasSuffix(name, ".log") && op == "create" {
			return syscall.ENOSPC
		}
		return nil
	})
	r := open(t, fs)
	full.Store(true)
	_, err := r.Create(t.Context(), Spec{Name: "a", Partitions: 3})
	full.Store(false)
	if !errors.Is(err, engine.ErrFull) {
		t.Fatalf("%v, want ErrFull", err)
	}
	if r.Topic("a") != nil || len(r.store.Image().Topics) != 0 || len(r.store.Image().Deleted) != 0 {
		t.Error("half a topic is left")
	}
	r.wantNames()
	r.create("a", 1)
}

func TestNamesAndSettings(t *testing.T) {
	r := open(t, disk.NewMem())
	r.create("with.dot", 1)
	r.create("plain", 1)
	cases := map[string]struct {
		spec Spec
		want error
	}{
		"fine":              {Spec{Name: "A-z.0_9"}, nil},
		"longest":           {Spec{Name: strings.Repeat("x", 249)}, nil},
		"empty":             {Spec{}, ErrName},
		"dot":               {Spec{Name: "."}, ErrName},
		"dots":              {Spec{Name: ".."}, ErrName},
		"slash":             {Spec{Name: "a/b"}, ErrName},
		"umlaut":            {Spec{Name: "ä"}, ErrName},
		"zero byte":         {Spec{Name: "a\x00"}, ErrName},
		"too long":          {Spec{Name: strings.Repeat("x", 250)}, ErrName},
		"metadata":          {Spec{Name: MetadataTopic}, ErrName},
		"offsets":           {Spec{Name: OffsetsTopic}, ErrName},
		"offsets, by us":    {Spec{Name: OffsetsTopic, Internal: true}, nil},
		"metrics":           {Spec{Name: "with_dot"}, ErrName},
		"exists":            {Spec{Name: "plain"}, ErrExists},
		"negative":          {Spec{Name: "x", Partitions: -1}, ErrPartitions},
		"too many":          {Spec{Name: "x", Partitions: meta.MaxPartitions + 1}, ErrPartitions},
		"good settings":     {Spec{Name: "x", Settings: map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "-1", "segment.bytes": "65536", "min.cleanable.dirty.ratio": "0.1", "preallocate": "true"}}, nil},
		"policy":            {Spec{Name: "x", Settings: map[string]string{"cleanup.policy": "shred"}}, ErrSetting},
		"number":            {Spec{Name: "x", Settings: map[string]string{"retention.ms": "-2"}}, ErrSetting},
		"ratio":             {Spec{Name: "x", Settings: map[string]string{"min.cleanable.dirty.ratio": "2"}}, ErrSetting},
		"switch":            {Spec{Name: "x", Settings: map[string]string{"preallocate": "yes"}}, ErrSetting},
		"what is not done":  {Spec{Name: "x", Settings: map[string]string{"compression.zstd.level": "9"}}, ErrSetting},
		"unknown to anyone": {Spec{Name: "x", Settings: map[string]string{"a.b": "1"}}, ErrSetting},
	}
	for name, c := range cases {
		if err := r.Check(&c.spec); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	e := r.Effective(map[string]string{"segment.bytes": "65536"})
	i := slices.IndexFunc(e, func(s config.Entry) bool { return s.Name == "segment.bytes" })
	j := slices.IndexFunc(e, func(s config.Entry) bool { return s.Name == "max.message.bytes" })
	if *e[i].Value != "65536" || e[i].Origin != config.FromTopic || *e[j].Value != "65536" || e[j].Origin != config.FromStatic {
		t.Errorf("%+v, %+v", e[i], e[j])
	}
}

func TestSettingsReachTheLog(t *testing.T) {
	r := open(t, disk.NewMem())
	topic, err := r.Create(t.Context(), Spec{Name: "a", Partitions: 1, Settings: map[string]string{"max.message.bytes": "100"}})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := topic.Partition(0)
	var b batch.Builder
	b.Add(time.UnixMilli(1), nil, make([]byte, 100))
	if err := p.Write(t.Context(), b.Batch()); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
}

func TestSettingsReachTheEngine(t *testing.T) {
	week := 7 * 24 * time.Hour
	for name, c := range map[string]struct {
		given    map[string]string
		internal bool
		want     engine.LogOptions // beside the sizes
	}{
		"nothing set":          {nil, false, engine.LogOptions{RetentionTime: week}},
		"flushed now and then": {map[string]string{"flush.messages": "1000", "flush.ms": "50"}, false, engine.LogOptions{Durability: engine.Interval, FlushInterval: 50 * time.Millisecond, RetentionTime: week}},
		"never flushed":        {map[string]string{"flush.messages": "9223372036854775807"}, false, engine.LogOptions{Durability: engine.PageCache, RetentionTime: week}},
		"each flushed":         {map[string]string{"flush.messages": "1", "flush.ms": "50"}, false, engine.LogOptions{RetentionTime: week}},
		"at once is each":      {map[string]string{"flush.messages": "1000", "flush.ms": "0"}, false, engine.LogOptions{RetentionTime: week}},
		"kept for ever":        {map[string]string{"retention.ms": "-1"}, false, engine.LogOptions{}},
		"hardly kept":          {map[string]string{"retention.ms": "0", "retention.bytes": "77"}, false, engine.LogOptions{RetentionTime: time.Millisecond, RetentionBytes: 77}},
		"compacted":            {map[string]string{"cleanup.policy": "compact", "retention.bytes": "77"}, false, engine.LogOptions{Compact: true, MinDirtyRatio: 0.5, DeleteRetention: 24 * time.Hour}},
		"both":                 {map[string]string{"cleanup.policy": "compact,delete", "retention.bytes": "77"}, false, engine.LogOptions{Compact: true, MinDirtyRatio: 0.5, DeleteRetention: 24 * time.Hour, RetentionTime: week, RetentionBytes: 77}},
		"compacted its way": {map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "min.compaction.lag.ms": "1000", "max.compaction.lag.ms": "2000", "delete.retention.ms": "5"}, false,
			engine.LogOptions{Compact: true, MinDirtyRatio: 1e-9, MinCompactionLag: time.Second, MaxCompactionLag: 2 * time.Second, SegmentAge: 2 * time.Second, DeleteRetention: 5 * time.Millisecond}},
		"compacted late":    {map[string]string{"cleanup.policy": "compact", "max.compaction.lag.ms": "7200000", "segment.ms": "3600000"}, false, engine.LogOptions{Compact: true, MinDirtyRatio: 0.5, MaxCompactionLag: 2 * time.Hour, SegmentAge: time.Hour, DeleteRetention: 24 * time.Hour}},
		"not compacted":     {map[string]string{"max.compaction.lag.ms": "1000", "segment.ms": "3600000"}, false, engine.LogOptions{RetentionTime: week, SegmentAge: time.Hour}},
		"rolled every hour": {map[string]string{"segment.ms": "3600000"}, false, engine.LogOptions{RetentionTime: week, SegmentAge: time.Hour}},
		"small index":       {map[string]string{"segment.index.bytes": "80"}, false, engine.LogOptions{RetentionTime: week, SegmentBytes: 40960}},
		"preallocated":      {map[string]string{"preallocate": "true", "segment.jitter.ms": "5"}, false, engine.LogOptions{RetentionTime: week, Preallocate: true, SegmentJitter: 5 * time.Millisecond}},
		"the broker's own":  {map[string]string{"flush.messages": "1000"}, true, engine.LogOptions{Reserve: true}},
	} {
		t.Run(name, func(t *testing.T) {
			got := logOptions(live(t).View(), c.given, c.internal)
			want := c.want
			if want.SegmentBytes == 0 {
				want.SegmentBytes = 1 << 20
			}
			want.IndexIntervalBytes, want.MaxBatchBytes = 4096, 1<<16
			if c.internal {
				want.MaxBatchBytes = leastInternalBatch
			}
			if want.SegmentAge == 0 {
				want.SegmentAge = week
			}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}
