package broker_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/engine/batch"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestProduceAndConsume(t *testing.T) {
	b := start(t, t.TempDir())
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			c := b.client(kgo.DefaultProduceTopic("t-"+name), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(codec), kgo.ConsumeTopics("t-"+name))
			var want []string
			for i := range 500 {
				want = append(want, fmt.Sprintf("value %d %s", i, strings.Repeat("x", i)))
				c.Produce(t.Context(), &kgo.Record{Key: []byte("k"), Value: []byte(want[i]), Headers: []kgo.RecordHeader{{Key: "h", Value: nil}}}, func(r *kgo.Record, err error) {
					if err != nil {
						t.Errorf("record: %v", err)
					}
				})
			}
			if err := c.Flush(within(t, 20*time.Second)); err != nil {
				t.Fatal(err)
			}
			if got := values(t, c, len(want)); !slices.Equal(got, want) {
				t.Errorf("%d records came back, not the %d sent in order", len(got), len(want))
			}
		})
	}
}

// values reads n records.
func values(t *testing.T, c *kgo.Client, n int) (out []string) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	for len(out) < n {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(out), n, err)
		}
		f.EachRecord(func(r *kgo.Record) { out = append(out, string(r.Value)) })
	}
	return out
}

func TestAcks(t *testing.T) {
	b := start(t, t.TempDir())
	for name, acks := range map[string]kgo.Acks{"none": kgo.NoAck(), "leader": kgo.LeaderAck(), "all": kgo.AllISRAcks()} {
		c := b.client(kgo.DefaultProduceTopic("acks-"+name), kgo.AllowAutoTopicCreation(), kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite(), kgo.ConsumeTopics("acks-"+name))
		if err := c.ProduceSync(t.Context(), kgo.StringRecord(name)).FirstErr(); err != nil {
			t.Fatal(name, err)
		}
		if got := values(t, c, 1); got[0] != name {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestTopicsByAdmin(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	ctx := within(t, 20*time.Second)
	adm := b.admin()
	compact := "compact"
	created, err := adm.CreateTopic(ctx, 3, -1, map[string]*string{"cleanup.policy": &compact}, "a.b")
	if err != nil || created.NumPartitions != 3 || created.ReplicationFactor != 1 || *created.Configs["cleanup.policy"].Value != "compact" {
		t.Fatalf("%+v, %v", created, err)
	}
	unknown := "1"
	for name, c := range map[string]struct {
		topic      string
		partitions int32
		replicas   int16
		configs    map[string]*string
		want       error
	}{
		"again":           {"a.b", 1, 1, nil, kerr.TopicAlreadyExists},
		"same in metrics": {"a_b", 1, 1, nil, kerr.InvalidTopicException},
		"bad name":        {"a b", 1, 1, nil, kerr.InvalidTopicException},
		"long name":       {strings.Repeat("x", 250), 1, 1, nil, kerr.InvalidTopicException},
		"the broker's":    {"__consumer_offsets", 1, 1, nil, kerr.InvalidTopicException},
		"three replicas":  {"c", 1, 3, nil, kerr.InvalidReplicationFactor},
		"no partitions":   {"c", 0, 1, nil, kerr.InvalidPartitions},
		"too many":        {"c", 10001, 1, nil, kerr.InvalidPartitions},
		"unknown setting": {"c", 1, 1, map[string]*string{"segment.byte": &unknown}, kerr.InvalidConfig},
		"bad setting":     {"c", 1, 1, map[string]*string{"segment.bytes": &unknown}, kerr.InvalidConfig},
		"null setting":    {"c", 1, 1, map[string]*string{"segment.bytes": nil}, kerr.InvalidConfig},
		"not to be done":  {"c", 1, 1, map[string]*string{"compression.zstd.level": ptr("9")}, kerr.InvalidConfig},
	} {
		if _, err := adm.CreateTopic(ctx, c.partitions, c.replicas, c.configs, c.topic); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if v, err := adm.ValidateCreateTopics(ctx, 2, 1, nil, "only-asked"); err != nil || v.Error() != nil {
		t.Errorf("validate: %v, %v", v, err)
	}

	b.stop()
	b = start(t, dir)
	adm = b.admin()
	topics, err := adm.ListTopics(ctx)
	if err != nil || len(topics) != 1 || topics["a.b"].ID != created.ID || len(topics["a.b"].Partitions) != 3 || topics["a.b"].Partitions[2].LeaderEpoch != 1 {
		t.Fatalf("after a restart: %+v, %v", topics, err)
	}
	if _, err := adm.DeleteTopic(ctx, "a.b"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.DeleteTopic(ctx, "a.b"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("delete again: %v", err)
	}
	again, err := adm.CreateTopic(ctx, 1, 1, nil, "a.b")
	if err != nil || again.ID == created.ID {
		t.Errorf("created anew: %+v, %v", again, err)
	}
	deleteByID := kmsg.NewPtrDeleteTopicsRequest()
	deleteByID.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: again.ID}, {TopicID: [16]byte{9}}}
	resp, err := deleteByID.RequestWith(ctx, b.client())
	if err != nil || resp.Topics[0].ErrorCode != 0 || resp.Topics[1].ErrorCode != kerr.UnknownTopicID.Code {
		t.Errorf("delete by id: %+v, %v", resp, err)
	}
}

// A compacted topic keeps the last value of each key, and a consumer from its start sees them all.
func TestCompactedTopic(t *testing.T) {
	b := start(t, t.TempDir(), "log.retention.check.interval.ms=10")
	ctx := within(t, 60*time.Second)
	adm := b.admin()
	configs := map[string]*string{"segment.bytes": ptr("65536"), "cleanup.policy": ptr("compact"), "min.cleanable.dirty.ratio": ptr("0.01")}
	if _, err := adm.CreateTopic(ctx, 1, 1, configs, "t"); err != nil {
		t.Fatal(err)
	}
	for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.Lz4Compression()} {
		c := b.client(kgo.DefaultProduceTopic("t"), kgo.ProducerBatchMaxBytes(20_000), kgo.ProducerBatchCompression(codec))
		for i := range 200 {
			value := make([]byte, 4000)
			_, _ = rand.Read(value) // so that it does not shrink
			r := &kgo.Record{Key: []byte(fmt.Sprint("key", i%5)), Value: append(fmt.Appendf(nil, "%dx", i), value...)}
			if err := c.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for {
		last, n := map[string]string{}, 0
		c := b.client(kgo.ConsumeTopics("t"))
		for seen := int64(-1); seen < 399; {
			f := c.PollFetches(ctx)
			if err := f.Err(); err != nil {
				t.Fatal(err)
			}
			f.EachRecord(func(r *kgo.Record) {
				last[string(r.Key)] = string(r.Value)
				seen = r.Offset
				n++
			})
		}
		c.Close()
		if len(last) != 5 {
			t.Fatalf("%d keys are left", len(last))
		}
		for i := 195; i < 200; i++ {
			if v := last[fmt.Sprint("key", i%5)]; !strings.HasPrefix(v, fmt.Sprint(i, "x")) {
				t.Fatalf("key%d is %.10q, want %d", i%5, v, i)
			}
		}
		if n < 150 {
			return
		}
	}
}

// Retention deletes the oldest segments, in all durabilities, and what it deleted stays deleted.
func TestRetentionDeletes(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, "log.retention.check.interval.ms=10")
	ctx := within(t, 60*time.Second)
	adm := b.admin()
	for _, flush := range []string{"1", "9223372036854775807"} {
		topic := "t-" + flush
		configs := map[string]*string{"segment.bytes": ptr("65536"), "retention.bytes": ptr("150000"), "flush.messages": &flush}
		if _, err := adm.CreateTopic(ctx, 1, 1, configs, topic); err != nil {
			t.Fatal(err)
		}
		c := b.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(20_000))
		for range 200 {
			if err := c.ProduceSync(ctx, kgo.StringRecord(strings.Repeat("x", 4000))).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		begins := func() int64 {
			listed, err := adm.ListStartOffsets(ctx, topic)
			if err != nil {
				t.Fatal(err)
			}
			o, _ := listed.Lookup(topic, 0)
			return o.Offset
		}
		for begins() < 150 { // 16 records a segment: when it has done its work 40 are left
			if ctx.Err() != nil {
				t.Fatalf("%s: the log still begins at %d", topic, begins())
			}
		}
		from := begins()
		got := values(t, b.client(kgo.ConsumeTopics(topic)), int(200-from))
		if len(got) < 30 || begins() > from {
			t.Errorf("%s: %d records are left from %d on, then from %d", topic, len(got), from, begins())
		}
	}
	b.stop()
	again := start(t, dir)
	listed, err := again.admin().ListStartOffsets(ctx, "t-1")
	if o, _ := listed.Lookup("t-1", 0); err != nil || o.Offset < 100 {
		t.Errorf("after a restart the log begins at %d, %v", o.Offset, err)
	}
}

func ptr[T any](v T) *T { return &v }

func TestOffsetsByTimeAndEnd(t *testing.T) {
	b := start(t, t.TempDir())
	ctx := within(t, 20*time.Second)
	c := b.client(kgo.DefaultProduceTopic("t"), kgo.AllowAutoTopicCreation())
	for i := range 10 {
		r := &kgo.Record{Value: []byte("v"), Timestamp: time.UnixMilli(int64(1000 + 100*i))}
		if err := c.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	adm := b.admin()
	for name, c := range map[string]struct {
		list func() (kadm.ListedOffsets, error)
		want int64
	}{
		"start":   {func() (kadm.ListedOffsets, error) { return adm.ListStartOffsets(ctx, "t") }, 0},
		"end":     {func() (kadm.ListedOffsets, error) { return adm.ListEndOffsets(ctx, "t") }, 10},
		"by time": {func() (kadm.ListedOffsets, error) { return adm.ListOffsetsAfterMilli(ctx, 1250, "t") }, 3},
		"max":     {func() (kadm.ListedOffsets, error) { return adm.ListMaxTimestampOffsets(ctx, "t") }, 9},
		"local":   {func() (kadm.ListedOffsets, error) { return adm.ListLocalLogStartOffsets(ctx, "t") }, 0},
	} {
		got, err := c.list()
		if o, ok := got.Lookup("t", 0); err != nil || !ok || o.Err != nil || o.Offset != c.want {
			t.Errorf("%s: %+v, %v; want %d", name, got, err, c.want)
		}
	}
	req := kmsg.NewPtrListOffsetsRequest()
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.CurrentLeaderEpoch, part.Timestamp = 5, -1
	req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{part}}}
	resp, err := req.RequestWith(ctx, c)
	if err != nil || resp.Topics[0].Partitions[0].ErrorCode != kerr.UnknownLeaderEpoch.Code {
		t.Errorf("%+v, %v", resp, err)
	}
}

func TestGroupSharesPartitionsAndKeepsOffsets(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	ctx := within(t, 60*time.Second)
	if _, err := b.admin().CreateTopic(ctx, 4, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	p := b.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	produce := func(n int) {
		for i := range n {
			if err := p.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: int32(i % 4), Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	produce(40)
	seen := map[string]int{}
	members := []*kgo.Client{b.member("a"), b.member("b")}
	for total := 0; total < 40; {
		for _, m := range members {
			f := m.PollFetches(within(t, 100*time.Millisecond))
			f.EachRecord(func(r *kgo.Record) { seen[fmt.Sprint(r.Partition, r.Offset)]++; total++ })
			if err := m.CommitUncommittedOffsets(ctx); err != nil {
				t.Fatalf("commit: %v", err)
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("%d of 40 records", total)
		}
	}
	for _, m := range members {
		m.Close()
	}
	got, err := b.admin().FetchOffsets(ctx, "g")
	if o, ok := got.Lookup("t", 3); err != nil || !ok || o.At != 10 {
		t.Fatalf("committed: %+v, %v; want 10", got, err)
	}
	if resp, err := b.admin().FetchOffsets(ctx, "nobody"); err != nil || len(resp) != 0 {
		t.Errorf("an unknown group: %+v, %v; want nothing, without an error", resp, err)
	}

	b.stop()
	b = start(t, dir)
	got, err = b.admin().FetchOffsets(ctx, "g")
	if o, ok := got.Lookup("t", 3); err != nil || !ok || o.At != 10 {
		t.Fatalf("committed, after a restart: %+v, %v; want 10", got, err)
	}
	m := b.member("c")
	p = b.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	produce(4)
	if got := values(t, m, 4); len(got) != 4 {
		t.Errorf("the group goes on with %d records, want the 4 new ones", len(got))
	}
}

func (b *inProcess) member(id string, opts ...kgo.Opt) *kgo.Client {
	return b.client(append([]kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(), kgo.ClientID(id),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(50 * time.Millisecond), kgo.FetchMaxWait(100 * time.Millisecond)}, opts...)...)
}

func TestMembersOutliveABrokerRestart(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	listener := fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", port)
	p := spawnBroker(t, dir, listener)
	p.waitReady()
	addr := p.addr
	producer := client(t, addr, kgo.DefaultProduceTopic("t"), kgo.AllowAutoTopicCreation())
	if err := producer.ProduceSync(t.Context(), kgo.StringRecord("one")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	m := (&inProcess{t: t, addr: addr}).member("m")
	if got := values(t, m, 1); got[0] != "one" {
		t.Fatal(got)
	}
	if err := m.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.kill()
	p = spawnBroker(t, dir, listener)
	p.waitReady()
	if err := producer.ProduceSync(t.Context(), kgo.StringRecord("two")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for { // it is a member still, in its generation
		f := m.PollFetches(within(t, 20*time.Second))
		if recs := f.Records(); len(recs) > 0 {
			if len(recs) > 1 || string(recs[0].Value) != "two" {
				t.Errorf("%d records, the first %q; want two and nothing again", len(recs), recs[0].Value)
			}
			return
		}
		if err := f.Err(); errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) {
			t.Fatalf("nothing more comes: %v", err)
		}
	}
}

func TestStaticMemberRestartsWithoutRebalance(t *testing.T) {
	b := start(t, t.TempDir())
	if _, err := b.admin().CreateTopic(t.Context(), 2, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	assigned := make(chan int, 10)
	opts := func(name string) []kgo.Opt {
		return []kgo.Opt{kgo.InstanceID(name), kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { assigned <- len(m["t"]) })}
	}
	one := b.member("x", opts("one")...)
	if n := <-assigned; n != 2 {
		t.Fatalf("one member has %d of 2 partitions", n)
	}
	one.Close() // a static member does not leave
	b.member("x", opts("one")...)
	select {
	case n := <-assigned:
		if n != 2 {
			t.Errorf("after its restart it has %d of 2 partitions", n)
		}
	case <-within(t, 10*time.Second).Done():
		t.Error("the restarted member waits for its old self")
	}
}

// produceRaw sends one batch in a Produce 9 of its own.
func produceRaw(t *testing.T, c *kgo.Client, topic string, records []byte) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 5000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = records
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{part}}}
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Topics[0].Partitions[0]
}

func built(id batch.ProducerID, epoch batch.ProducerEpoch, seq batch.Sequence, values ...string) batch.Batch {
	b := batch.Builder{ProducerID: id, ProducerEpoch: epoch, BaseSequence: seq, Sequenced: id >= 0}
	for _, v := range values {
		b.Add(time.UnixMilli(1000), nil, []byte(v))
	}
	return b.Batch()
}

func TestIdempotence(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	if _, err := b.admin().CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	c := b.client(kgo.MaxVersions(maxProduce(9)))
	init, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(t.Context(), c)
	if err != nil || init.ErrorCode != 0 {
		t.Fatal(init, err)
	}
	id := batch.ProducerID(init.ProducerID)
	other, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(t.Context(), c)
	if err != nil || other.ProducerID == init.ProducerID {
		t.Fatalf("id %d again, %v", other.ProducerID, err)
	}
	check := func(name string, got kmsg.ProduceResponseTopicPartition, code *kerr.Error, base int64) {
		t.Helper()
		if want := codeOf(code); got.ErrorCode != want || got.BaseOffset != base {
			t.Errorf("%s: %v at %d (%v), want %d at %d", name, kerr.ErrorForCode(got.ErrorCode), got.BaseOffset, deref(got.ErrorMessage), want, base)
		}
	}
	check("first", produceRaw(t, c, "t", built(id, 0, 0, "a", "b")), nil, 0)
	check("second", produceRaw(t, c, "t", built(id, 0, 2, "c")), nil, 2)
	check("first again", produceRaw(t, c, "t", built(id, 0, 0, "a", "b")), nil, 0)
	check("a gap", produceRaw(t, c, "t", built(id, 0, 9, "x")), kerr.OutOfOrderSequenceNumber, -1)
	check("new epoch", produceRaw(t, c, "t", built(id, 1, 0, "d")), nil, 3)
	check("old epoch", produceRaw(t, c, "t", built(id, 0, 3, "x")), kerr.InvalidProducerEpoch, -1)

	b.stop()
	b = start(t, dir)
	c = b.client(kgo.MaxVersions(maxProduce(9)))
	check("duplicate over a restart", produceRaw(t, c, "t", built(id, 1, 0, "d")), nil, 3)
	check("goes on over a restart", produceRaw(t, c, "t", built(id, 1, 1, "e")), nil, 4)
	init, err = kmsg.NewPtrInitProducerIDRequest().RequestWith(t.Context(), c)
	if err != nil || init.ProducerID < 1000 {
		t.Errorf("producer id %d after a restart, %v: the block before was not all given out, but must not be given twice", init.ProducerID, err)
	}
	got := values(t, b.client(kgo.ConsumeTopics("t")), 5)
	if want := []string{"a", "b", "c", "d", "e"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func codeOf(e *kerr.Error) int16 {
	if e == nil {
		return 0
	}
	return e.Code
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func TestProduceErrors(t *testing.T) {
	b := start(t, t.TempDir(), "message.max.bytes=2000")
	if _, err := b.admin().CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	if err := b.admin().FindGroupCoordinators(t.Context(), "g").Error(); err != nil { // makes __consumer_offsets
		t.Fatal(err)
	}
	c := b.client(kgo.MaxVersions(maxProduce(9)))
	damaged := func(at int) batch.Batch { v := built(-1, 0, 0, "value"); v[at] ^= 1; return v }
	with := func(at int, x byte) batch.Batch {
		v := built(-1, 0, 0, "value")
		v[at] = x
		crc := v.ComputeCRC()
		v[17], v[18], v[19], v[20] = byte(crc>>24), byte(crc>>16), byte(crc>>8), byte(crc)
		return v
	}
	good := built(-1, 0, 0, "value")
	for name, c2 := range map[string]struct {
		topic   string
		records []byte
		want    *kerr.Error
	}{
		"damaged record": {"t", damaged(len(good) - 2), kerr.CorruptMessage},
		"damaged header": {"t", damaged(30), kerr.CorruptMessage},
		"magic 1":        {"t", damaged(16), kerr.InvalidRecord},
		"no batch":       {"t", []byte{}, kerr.InvalidRecord},
		"cut off":        {"t", good[:len(good)-1], kerr.InvalidRecord},
		"two batches":    {"t", append(slices.Clone(good), good...), kerr.InvalidRecord},
		"wrong count":    {"t", with(60, 2), kerr.InvalidRecord},
		"control batch":  {"t", with(22, 0x20), kerr.InvalidRecord},
		"transactional":  {"t", with(22, 0x10), kerr.TransactionalIDAuthorizationFailed},
		"too large":      {"t", built(-1, 0, 0, strings.Repeat("x", 2000)), kerr.MessageTooLarge},
		"unknown topic":  {"u", good, kerr.UnknownTopicOrPartition},
		"the broker's":   {"__consumer_offsets", good, kerr.InvalidTopicException},
	} {
		got := produceRaw(t, c, c2.topic, c2.records)
		if got.ErrorCode != c2.want.Code || got.BaseOffset != -1 {
			t.Errorf("%s: %v (%s), want %v", name, kerr.ErrorForCode(got.ErrorCode), deref(got.ErrorMessage), c2.want)
		}
	}
	if got := produceRaw(t, c, "t", good); got.ErrorCode != 0 || got.BaseOffset != 0 {
		t.Errorf("a good one after all that: %+v; want offset 0", got)
	}
}

func TestDescribeCluster(t *testing.T) {
	b := start(t, t.TempDir())
	req := kmsg.NewPtrDescribeClusterRequest()
	req.EndpointType, req.IncludeClusterAuthorizedOperations = 1, true
	resp, err := req.RequestWith(t.Context(), b.client())
	if err != nil || resp.ErrorCode != 0 || len(resp.Brokers) != 1 || resp.ControllerID != 1 || resp.ClusterAuthorizedOperations != 8096 {
		t.Errorf("%+v, %v", resp, err)
	}
	req.EndpointType = 2
	if resp, err := req.RequestWith(t.Context(), b.client()); err != nil || resp.ErrorCode != 114 {
		t.Errorf("controllers: %+v, %v", resp, err)
	}
}
