//go:build clients

package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is the row of franz-go; the programs of the other rows do the same in their languages.
type franz struct {
	*run
	adm *kadm.Client
}

func runFranz(r *run) error {
	r.version = moduleVersion("github.com/twmb/franz-go")
	c, err := kgo.NewClient(kgo.SeedBrokers(r.peer.addr))
	if err != nil {
		return err
	}
	defer c.Close()
	f := &franz{r, kadm.NewClient(c)}
	r.try("produce", f.produce)
	r.try("consume", f.consume)
	r.try("headers", f.headers)
	for _, c := range []struct {
		name  string
		codec kgo.CompressionCodec
	}{{"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()}, {"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()}} {
		r.try(c.name, func() error { return f.codec(c.name, c.codec) })
	}
	r.try("idempotent", f.idempotent)
	r.try("group", func() error { return f.group(f.ctx, "group") })
	r.try("group-848", func() error {
		//lint:ignore SA1029 franz-go looks for this very string
		return f.group(context.WithValue(f.ctx, "opt_in_kafka_next_gen_balancer_beta", true), "group-848")
	})
	r.try("txn-commit", f.txnCommit)
	r.try("txn-abort", f.txnAbort)
	r.try("txn-offsets", f.txnOffsets)
	f.admin()
	return nil
}

// moduleVersion is what go.mod says.
func moduleVersion(path string) string {
	out, _ := exec.Command("go", "list", "-m", "-f", "{{.Version}}", path).Output()
	return strings.TrimSpace(string(out))
}

// client is closed by its user.
func (r *run) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(r.peer.addr), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RetryTimeout(10 * time.Second), kgo.ProducerLinger(0)}, opts...)...)
}

func (f *franz) create(topic string, partitions int32) error {
	_, err := f.adm.CreateTopic(f.ctx, partitions, 1, nil, topic)
	return err
}

// send produces values round robin and waits for them.
func (f *franz) send(topic string, partitions int32, values []string, opts ...kgo.Opt) error {
	c, err := f.client(opts...)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.ProduceSync(f.ctx, records(topic, partitions, values)...).FirstErr()
}

func records(topic string, partitions int32, values []string) (recs []*kgo.Record) {
	for i, v := range values {
		recs = append(recs, &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Value: []byte(v)})
	}
	return recs
}

func numbered(from, to int) (values []string) {
	for i := from; i < to; i++ {
		values = append(values, fmt.Sprintf("value-%d", i))
	}
	return values
}

// read reads a topic from the start until n records came, and a moment longer to see whether there are more.
func (r *run) read(topic string, n int, opts ...kgo.Opt) ([]*kgo.Record, error) {
	c, err := r.client(append(opts, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var got []*kgo.Record
	wait := 15 * time.Second
	for len(got) <= n {
		if len(got) == n {
			wait = 300 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(r.ctx, wait)
		fetches := c.PollFetches(ctx)
		cancel()
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return got, err
		}
		if len(fetches.Records()) == 0 {
			break
		}
		got = append(got, fetches.Records()...)
	}
	if len(got) != n {
		return got, fmt.Errorf("read %d records of %s, want %d", len(got), topic, n)
	}
	return got, nil
}

// same compares the values read with those sent: each partition must have its values in order.
func same(got []*kgo.Record, partitions int32, want []string) error {
	byPartition := map[int32][]string{}
	for _, rec := range got {
		byPartition[rec.Partition] = append(byPartition[rec.Partition], string(rec.Value))
	}
	for p := range partitions {
		var values []string
		for i, v := range want {
			if int32(i)%partitions == p {
				values = append(values, v)
			}
		}
		if !slices.Equal(byPartition[p], values) {
			return fmt.Errorf("partition %d: %d values that are not the %d sent", p, len(byPartition[p]), len(values))
		}
	}
	return nil
}

func (f *franz) produce() error {
	if err := f.create(f.prefix+"data", 3); err != nil {
		return err
	}
	c, err := f.client()
	if err != nil {
		return err
	}
	defer c.Close()
	seen := map[string]bool{}
	for _, res := range c.ProduceSync(f.ctx, records(f.prefix+"data", 3, numbered(0, 1000))...) {
		if res.Err != nil {
			return res.Err
		}
		seen[fmt.Sprint(res.Record.Partition, "@", res.Record.Offset)] = true
	}
	if len(seen) != 1000 {
		return fmt.Errorf("%d offsets for 1,000 records", len(seen))
	}
	return nil
}

func (f *franz) consume() error {
	got, err := f.read(f.prefix+"data", 1000)
	if err != nil {
		return err
	}
	return same(got, 3, numbered(0, 1000))
}

func (f *franz) headers() error {
	topic := f.prefix + "headers"
	if err := f.create(topic, 1); err != nil {
		return err
	}
	c, err := f.client()
	if err != nil {
		return err
	}
	defer c.Close()
	want := []kgo.RecordHeader{{Key: "h", Value: []byte{}}, {Key: "h", Value: []byte{0, 255, 10}}}
	if err := c.ProduceSync(f.ctx, &kgo.Record{Topic: topic, Value: []byte("v"), Headers: want}).FirstErr(); err != nil {
		return err
	}
	got, err := f.read(topic, 1)
	if err != nil {
		return err
	}
	h := got[0].Headers
	if len(h) != 2 || h[0].Key != "h" || len(h[0].Value) != 0 || h[1].Key != "h" || !bytes.Equal(h[1].Value, want[1].Value) {
		return fmt.Errorf("headers %v", h)
	}
	return nil
}

// large are 100 values of 1 KiB that can be compressed.
func large() (values []string) {
	for i := range 100 {
		values = append(values, strings.Repeat(fmt.Sprintf("%08d", i), 128))
	}
	return values
}

func (f *franz) codec(name string, codec kgo.CompressionCodec) error {
	topic := f.prefix + name
	if err := f.create(topic, 1); err != nil {
		return err
	}
	if err := f.send(topic, 1, large(), kgo.ProducerBatchCompression(codec)); err != nil {
		return err
	}
	got, err := f.read(topic, 100)
	if err != nil {
		return err
	}
	return same(got, 1, large())
}

func (f *franz) idempotent() error {
	topic := f.prefix + "idempotent"
	if err := f.create(topic, 1); err != nil {
		return err
	}
	if err := f.send(topic, 1, numbered(0, 500)); err != nil { // it is the default
		return err
	}
	got, err := f.read(topic, 500)
	if err != nil {
		return err
	}
	return same(got, 1, numbered(0, 500))
}

// ledger counts what members of a group have consumed: records whose commit succeeded.
type ledger struct {
	mu       sync.Mutex
	times    map[string][]string // who consumed it, and where it was
	byMember map[string]int
}

func (l *ledger) add(member string, recs []*kgo.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, rec := range recs {
		l.times[string(rec.Value)] = append(l.times[string(rec.Value)], fmt.Sprintf("%s at %d/%d", member, rec.Partition, rec.Offset))
	}
	l.byMember[member] += len(recs)
}

// wait waits for n different values, and for the members to have had some.
func (l *ledger) wait(ctx context.Context, n int, members ...string) error {
	for {
		l.mu.Lock()
		values, had := len(l.times), maps.Clone(l.byMember)
		l.mu.Unlock()
		if values >= n && !slices.ContainsFunc(members, func(m string) bool { return had[m] == 0 }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d values consumed, by member: %v", values, n, had)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// once says that nothing was consumed twice.
func (l *ledger) once() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for v, by := range l.times {
		if len(by) != 1 {
			return fmt.Errorf("%s was consumed and committed %d times: %v", v, len(by), by)
		}
	}
	return nil
}

// member is a consumer in a group, in a goroutine of its own.
type member struct {
	c    *kgo.Client
	done chan struct{}
}

func (f *franz) join(ctx context.Context, l *ledger, name, group, topic string) (*member, error) {
	c, err := f.client(kgo.WithContext(ctx), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll(),
		kgo.HeartbeatInterval(200*time.Millisecond), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return nil, err
	}
	m := &member{c, make(chan struct{})}
	go func() { // ends with the client
		defer close(m.done)
		for {
			fetches := c.PollRecords(ctx, 20)
			if fetches.IsClientClosed() || ctx.Err() != nil {
				c.AllowRebalance()
				return
			}
			if recs := fetches.Records(); len(recs) > 0 && c.CommitRecords(ctx, recs...) == nil {
				l.add(name, recs)
			}
			c.AllowRebalance()
		}
	}()
	return m, nil
}

func (m *member) leave() {
	m.c.CloseAllowingRebalance()
	<-m.done
}

func (f *franz) group(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	topic := f.prefix + name
	if err := f.create(topic, 4); err != nil {
		return err
	}
	if err := f.send(topic, 4, numbered(0, 200)); err != nil {
		return err
	}
	l := &ledger{times: map[string][]string{}, byMember: map[string]int{}}
	a, err := f.join(ctx, l, "a", topic, topic)
	if err != nil {
		return err
	}
	defer a.leave()
	if err := l.wait(ctx, 200, "a"); err != nil {
		return err
	}
	b, err := f.join(ctx, l, "b", topic, topic)
	if err != nil {
		return err
	}
	defer b.leave()
	n := 200
	for had := false; !had; n += 40 { // until the newcomer has its share
		if err := f.send(topic, 4, numbered(n, n+40)); err != nil {
			return err
		}
		if err := l.wait(ctx, n+40); err != nil {
			return err
		}
		l.mu.Lock()
		had = l.byMember["b"] > 0
		l.mu.Unlock()
	}
	a.leave()
	if err := f.send(topic, 4, numbered(n, n+200)); err != nil {
		return err
	}
	if err := l.wait(ctx, n+200, "a", "b"); err != nil {
		return err
	}
	return l.once()
}

// txn runs one transaction.
func (f *franz) txn(c *kgo.Client, topic string, values []string, end kgo.TransactionEndTry) error {
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	if err := c.ProduceSync(f.ctx, records(topic, 1, values)...).FirstErr(); err != nil {
		return errors.Join(err, c.EndTransaction(f.ctx, kgo.TryAbort))
	}
	return c.EndTransaction(f.ctx, end)
}

func (f *franz) txnCommit() error {
	topic := f.prefix + "txn"
	if err := f.create(topic, 1); err != nil {
		return err
	}
	c, err := f.client(kgo.TransactionalID(topic))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := f.txn(c, topic, numbered(0, 10), kgo.TryCommit); err != nil {
		return err
	}
	got, err := f.read(topic, 10, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	return same(got, 1, numbered(0, 10))
}

func (f *franz) txnAbort() error {
	topic := f.prefix + "txn-abort"
	if err := f.create(topic, 1); err != nil {
		return err
	}
	c, err := f.client(kgo.TransactionalID(topic))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := f.txn(c, topic, numbered(0, 10), kgo.TryAbort); err != nil {
		return err
	}
	if err := f.txn(c, topic, numbered(10, 15), kgo.TryCommit); err != nil {
		return err
	}
	got, err := f.read(topic, 5, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	if err := same(got, 1, numbered(10, 15)); err != nil {
		return err
	}
	_, err = f.read(topic, 15)
	return err
}

func (f *franz) txnOffsets() error {
	in, out := f.prefix+"txn-in", f.prefix+"txn-out"
	if err := errors.Join(f.create(in, 1), f.create(out, 1)); err != nil {
		return err
	}
	if err := f.send(in, 1, numbered(0, 10)); err != nil {
		return err
	}
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(f.peer.addr), kgo.TransactionalID(in), kgo.ConsumerGroup(in), kgo.ConsumeTopics(in),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RetryTimeout(10*time.Second))
	if err != nil {
		return err
	}
	defer s.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		ctx, cancel := context.WithTimeout(f.ctx, 15*time.Second)
		defer cancel()
		var recs []*kgo.Record
		for len(recs) < 10 {
			fetches := s.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				return err
			}
			recs = append(recs, fetches.Records()...)
		}
		if err := s.Begin(); err != nil {
			return err
		}
		for _, rec := range recs {
			s.Produce(f.ctx, &kgo.Record{Topic: out, Value: rec.Value}, nil)
		}
		if committed, err := s.End(ctx, end); err != nil || committed != bool(end) {
			return fmt.Errorf("end: committed %t, %w", committed, err)
		}
	}
	got, err := f.read(out, 10, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	offsets, err := f.adm.FetchOffsets(f.ctx, in)
	if o, _ := offsets.Lookup(in, 0); err != nil || o.At != 10 {
		return fmt.Errorf("the group's offset is %d, want 10: %w", o.At, err)
	}
	return same(got, 1, numbered(0, 10))
}

// admin runs the cells of administration; they use one topic and one group.
func (f *franz) admin() {
	topic, group := f.prefix+"admin", f.prefix+"admin-group"
	f.try("create-topic", func() error {
		retention := "3600000"
		if _, err := f.adm.CreateTopic(f.ctx, 3, 1, map[string]*string{"retention.ms": &retention}, topic); err != nil {
			return err
		}
		if _, err := f.adm.CreateTopic(f.ctx, 3, 1, nil, topic); !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("a second time: %v", err)
		}
		return nil
	})
	f.try("describe-topic", func() error {
		details, err := f.adm.ListTopics(f.ctx, topic)
		if err != nil {
			return err
		}
		d := details[topic]
		if len(d.Partitions) != 3 || d.Partitions[2].Leader < 0 {
			return fmt.Errorf("described as %+v", d)
		}
		return d.Err
	})
	f.try("add-partitions", func() error {
		res, err := f.adm.UpdatePartitions(f.ctx, 5, topic)
		if err != nil {
			return err
		}
		if err := res.Error(); err != nil {
			return err
		}
		return f.send(topic, 5, numbered(0, 50))
	})
	f.try("configs", func() error {
		v := "7200000"
		res, err := f.adm.AlterTopicConfigs(f.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &v}}, topic)
		if err != nil {
			return err
		}
		if r, err := res.On(topic, nil); err != nil || r.Err != nil {
			return errors.Join(err, r.Err)
		}
		described, err := f.adm.DescribeTopicConfigs(f.ctx, topic)
		if err != nil {
			return err
		}
		rc, err := described.On(topic, nil)
		for _, c := range rc.Configs {
			if c.Key == "retention.ms" && c.MaybeValue() == v {
				return nil
			}
		}
		return fmt.Errorf("retention.ms is not described as %s: %w", v, err)
	})
	f.try("delete-records", func() error { return f.deleteRecords() })
	f.try("offsets", func() error {
		for _, at := range []int64{7, 3} {
			var o kadm.Offsets
			o.AddOffset(topic, 0, at, -1)
			if err := f.adm.CommitAllOffsets(f.ctx, group, o); err != nil {
				return err
			}
			offsets, err := f.adm.FetchOffsets(f.ctx, group)
			if o, _ := offsets.Lookup(topic, 0); err != nil || o.At != at {
				return fmt.Errorf("the offset is %d, want %d: %w", o.At, at, err)
			}
		}
		return nil
	})
	f.try("groups", func() error {
		listed, err := f.adm.ListGroups(f.ctx)
		if err != nil {
			return err
		}
		described, err := f.adm.DescribeGroups(f.ctx, group)
		if _, ok := listed[group]; !ok || err != nil || described[group].State != "Empty" || len(described[group].Members) != 0 {
			return fmt.Errorf("listed %t, described as %+v: %w", ok, described[group], err)
		}
		return nil
	})
	f.try("delete-group", func() error {
		if res, err := f.adm.DeleteGroups(f.ctx, group); err != nil || res.Error() != nil {
			return errors.Join(err, res.Error())
		}
		listed, err := f.adm.ListGroups(f.ctx)
		if _, ok := listed[group]; ok {
			return errors.New("still listed")
		}
		return err
	})
	f.try("delete-topic", func() error {
		if res, err := f.adm.DeleteTopics(f.ctx, topic); err != nil || res.Error() != nil {
			return errors.Join(err, res.Error())
		}
		names, err := f.adm.ListTopics(f.ctx)
		if names.Has(topic) {
			return errors.New("still listed")
		}
		return err
	})
}

func (f *franz) deleteRecords() error {
	topic := f.prefix + "delete-records"
	if err := f.create(topic, 1); err != nil {
		return err
	}
	if err := f.send(topic, 1, numbered(0, 10)); err != nil {
		return err
	}
	var o kadm.Offsets
	o.AddOffset(topic, 0, 5, -1)
	if res, err := f.adm.DeleteRecords(f.ctx, o); err != nil || res.Error() != nil {
		return errors.Join(err, res.Error())
	}
	starts, err := f.adm.ListStartOffsets(f.ctx, topic)
	if s, _ := starts.Lookup(topic, 0); err != nil || s.Offset != 5 {
		return fmt.Errorf("the earliest offset is %d, want 5: %w", s.Offset, err)
	}
	got, err := f.read(topic, 5)
	if err != nil {
		return err
	}
	return same(got, 1, numbered(5, 10))
}

// createWith creates a topic for a client that cannot.
func (f *franz) createWith(topic string, partitions int32) error {
	c, err := f.client()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = kadm.NewClient(c).CreateTopic(f.ctx, partitions, 1, nil, topic)
	return err
}
