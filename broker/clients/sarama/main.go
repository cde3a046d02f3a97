// Command sarama runs the cells of Sarama: sarama ADDRESS PREFIX default|max, the last one being the protocol version it is told to
// assume, which Sarama does not find out. It is a module of its own so that StreamBus does not depend on Sarama.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

type row struct {
	addr    []string
	prefix  string
	version sarama.KafkaVersion
	admin   sarama.ClusterAdmin
}

func main() {
	w := &row{addr: os.Args[1:2], prefix: os.Args[2], version: sarama.DefaultVersion}
	if os.Args[3] == "max" {
		w.version = sarama.MaxVersion
	}
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == "github.com/IBM/sarama" {
			fmt.Printf("version\t%s, as Kafka %s\n", m.Version, w.version)
		}
	}
	var err error
	if w.admin, err = sarama.NewClusterAdmin(w.addr, w.config()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	w.data()
	w.administer()
}

func cell(name string, do func() error) {
	done := make(chan error, 1)
	go func() { done <- do() }()
	var err error
	select {
	case err = <-done:
	case <-time.After(40 * time.Second):
		err = errors.New("nothing after 40 s")
	}
	if err != nil {
		fmt.Printf("%s\tfail\t%s\n", name, strings.Join(strings.Fields(err.Error()), " "))
	} else {
		fmt.Printf("%s\tpass\t\n", name)
	}
}

func (w *row) config(change ...func(*sarama.Config)) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = w.version
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	c.Consumer.MaxWaitTime = 200 * time.Millisecond
	for _, f := range change {
		f(c)
	}
	return c
}

func (w *row) create(topic string, partitions int32) error {
	return w.admin.CreateTopic(w.prefix+topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false)
}

func numbered(from, to int) (values []string) {
	for i := from; i < to; i++ {
		values = append(values, fmt.Sprintf("value-%d", i))
	}
	return values
}

func large() (values []string) {
	for i := range 100 {
		values = append(values, strings.Repeat(fmt.Sprintf("%08d", i), 128))
	}
	return values
}

func (w *row) messages(topic string, partitions int32, values []string) (all []*sarama.ProducerMessage) {
	for i, v := range values {
		all = append(all, &sarama.ProducerMessage{Topic: w.prefix + topic, Partition: int32(i) % partitions, Value: sarama.StringEncoder(v)})
	}
	return all
}

func (w *row) send(topic string, partitions int32, values []string, change ...func(*sarama.Config)) error {
	p, err := sarama.NewSyncProducer(w.addr, w.config(change...))
	if err != nil {
		return err
	}
	return errors.Join(p.SendMessages(w.messages(topic, partitions, values)), p.Close())
}

// read reads each partition from its start until n records came, and a moment longer to see whether there are more.
func (w *row) read(topic string, partitions int32, n int, change ...func(*sarama.Config)) ([]*sarama.ConsumerMessage, error) {
	c, err := sarama.NewConsumer(w.addr, w.config(change...))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	in := make(chan *sarama.ConsumerMessage)
	stop := make(chan struct{})
	defer close(stop)
	for p := range partitions {
		pc, err := c.ConsumePartition(w.prefix+topic, p, sarama.OffsetOldest)
		if err != nil {
			return nil, err
		}
		defer pc.Close()
		go func() {
			for m := range pc.Messages() {
				select {
				case in <- m:
				case <-stop:
				}
			}
		}()
	}
	var got []*sarama.ConsumerMessage
	for {
		wait := 15 * time.Second
		if len(got) >= n {
			wait = 500 * time.Millisecond
		}
		select {
		case m := <-in:
			got = append(got, m)
			continue
		case <-time.After(wait):
		}
		if len(got) != n {
			return nil, fmt.Errorf("read %d records of %s, want %d", len(got), topic, n)
		}
		return got, nil
	}
}

func (w *row) same(topic string, partitions int32, want []string, change ...func(*sarama.Config)) error {
	got, err := w.read(topic, partitions, len(want), change...)
	if err != nil {
		return err
	}
	for p := range partitions {
		var values, sent []string
		for _, m := range got {
			if m.Partition == p {
				values = append(values, string(m.Value))
			}
		}
		for i := int(p); i < len(want); i += int(partitions) {
			sent = append(sent, want[i])
		}
		if !slices.Equal(values, sent) {
			return fmt.Errorf("partition %d: %d values that are not the %d sent", p, len(values), len(sent))
		}
	}
	return nil
}

func (w *row) data() {
	cell("produce", func() error {
		if err := w.create("data", 3); err != nil {
			return err
		}
		p, err := sarama.NewSyncProducer(w.addr, w.config())
		if err != nil {
			return err
		}
		defer p.Close()
		all := w.messages("data", 3, numbered(0, 1000))
		if err := p.SendMessages(all); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, m := range all {
			seen[fmt.Sprint(m.Partition, "@", m.Offset)] = true
		}
		if len(seen) != 1000 {
			return fmt.Errorf("%d offsets for 1,000 records", len(seen))
		}
		return nil
	})
	cell("consume", func() error { return w.same("data", 3, numbered(0, 1000)) })
	cell("headers", w.headers)
	for name, codec := range map[string]sarama.CompressionCodec{"gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD} {
		cell(name, func() error {
			if err := w.create(name, 1); err != nil {
				return err
			}
			if err := w.send(name, 1, large(), func(c *sarama.Config) { c.Producer.Compression = codec }); err != nil {
				return err
			}
			return w.same(name, 1, large())
		})
	}
	cell("idempotent", func() error {
		if err := w.create("idempotent", 1); err != nil {
			return err
		}
		if err := w.send("idempotent", 1, numbered(0, 500), idempotent); err != nil {
			return err
		}
		return w.same("idempotent", 1, numbered(0, 500))
	})
	cell("group", w.group)
	fmt.Println("group-848\tn.a.\tSarama has no KIP-848")
	cell("txn-commit", w.txnCommit)
	cell("txn-abort", w.txnAbort)
	cell("txn-offsets", w.txnOffsets)
}

func idempotent(c *sarama.Config) {
	c.Producer.Idempotent = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Net.MaxOpenRequests = 1
}

func committed(c *sarama.Config) { c.Consumer.IsolationLevel = sarama.ReadCommitted }

func (w *row) headers() error {
	if err := w.create("headers", 1); err != nil {
		return err
	}
	p, err := sarama.NewSyncProducer(w.addr, w.config())
	if err != nil {
		return err
	}
	defer p.Close()
	binary := []byte{0, 255, 10}
	m := w.messages("headers", 1, []string{"v"})[0]
	m.Headers = []sarama.RecordHeader{{Key: []byte("h"), Value: []byte{}}, {Key: []byte("h"), Value: binary}}
	if _, _, err := p.SendMessage(m); err != nil {
		return err
	}
	got, err := w.read("headers", 1, 1)
	if err != nil {
		return err
	}
	h := got[0].Headers
	if len(h) != 2 || string(h[0].Key) != "h" || len(h[0].Value) != 0 || string(h[1].Key) != "h" || !bytes.Equal(h[1].Value, binary) {
		return fmt.Errorf("headers %v", h)
	}
	return nil
}

// ledger counts what members of a group have consumed: a record counts when its commit has succeeded.
type ledger struct {
	mu       sync.Mutex
	times    map[string]int
	byMember map[string]int
}

func (l *ledger) counts(member string) (values, had int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.times), l.byMember[member]
}

func (l *ledger) wait(n int) error {
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		values, _ := l.counts("")
		if values >= n {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("%d of %d values consumed", values, n)
		}
	}
}

// member is a consumer in a group.
type member struct {
	*ledger
	name   string
	group  sarama.ConsumerGroup
	cancel func()
	done   chan struct{}

	commits sync.Mutex // one at a time, so that an error is that of the commit under way
}

func (*member) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim commits what has come so far: a commit waits behind a fetch. Sarama tells of a failed commit by the channel of errors, before Commit returns.
func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case msg, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			msgs := []*sarama.ConsumerMessage{msg}
			for len(claim.Messages()) > 0 {
				msgs = append(msgs, <-claim.Messages())
			}
			if err := m.commit(s, msgs[len(msgs)-1]); err != nil {
				return err // the session ends, and what was not committed comes again
			}
			m.mu.Lock()
			for _, msg := range msgs {
				m.times[string(msg.Value)]++
			}
			m.byMember[m.name] += len(msgs)
			m.mu.Unlock()
		case <-s.Context().Done():
			return nil
		}
	}
}

func (m *member) commit(s sarama.ConsumerGroupSession, msg *sarama.ConsumerMessage) error {
	m.commits.Lock()
	defer m.commits.Unlock()
	for len(m.group.Errors()) > 0 {
		<-m.group.Errors()
	}
	s.MarkMessage(msg, "")
	s.Commit()
	select {
	case err := <-m.group.Errors():
		return err
	default:
		return nil
	}
}

func (w *row) join(l *ledger, name, topic string) (*member, error) {
	g, err := sarama.NewConsumerGroup(w.addr, w.prefix+topic, w.config(func(c *sarama.Config) { c.Consumer.Return.Errors = true }))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{ledger: l, name: name, group: g, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			if err := g.Consume(ctx, []string{w.prefix + topic}, m); errors.Is(err, sarama.ErrClosedConsumerGroup) {
				return
			}
		}
	}()
	return m, nil
}

func (m *member) leave() {
	m.cancel()
	<-m.done
	m.group.Close()
}

func (w *row) group() error {
	if err := errors.Join(w.create("group", 4), w.send("group", 4, numbered(0, 200))); err != nil {
		return err
	}
	l := &ledger{times: map[string]int{}, byMember: map[string]int{}}
	a, err := w.join(l, "a", "group")
	if err != nil {
		return err
	}
	defer a.leave()
	if err := l.wait(200); err != nil {
		return err
	}
	b, err := w.join(l, "b", "group")
	if err != nil {
		return err
	}
	defer b.leave()
	n := 200
	for had := 0; had == 0; _, had = l.counts("b") { // until the newcomer has its share
		if err := w.send("group", 4, numbered(n, n+40)); err != nil {
			return err
		}
		if n += 40; n > 4000 {
			return errors.New("the second member gets nothing")
		}
		if err := l.wait(n); err != nil {
			return err
		}
	}
	a.leave()
	if err := errors.Join(w.send("group", 4, numbered(n, n+200)), l.wait(n+200)); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for v, times := range l.times {
		if times != 1 {
			return fmt.Errorf("%s was consumed and committed %d times", v, times)
		}
	}
	return nil
}

func (w *row) transactional(id string) (sarama.SyncProducer, error) {
	return sarama.NewSyncProducer(w.addr, w.config(idempotent, func(c *sarama.Config) { c.Producer.Transaction.ID = w.prefix + id }))
}

func (w *row) txn(p sarama.SyncProducer, topic string, values []string, end func() error) error {
	if err := p.BeginTxn(); err != nil {
		return err
	}
	if err := p.SendMessages(w.messages(topic, 1, values)); err != nil {
		return err
	}
	return end()
}

func (w *row) txnCommit() error {
	if err := w.create("txn", 1); err != nil {
		return err
	}
	p, err := w.transactional("txn")
	if err != nil {
		return err
	}
	defer p.Close()
	if err := w.txn(p, "txn", numbered(0, 10), p.CommitTxn); err != nil {
		return err
	}
	return w.same("txn", 1, numbered(0, 10), committed)
}

func (w *row) txnAbort() error {
	if err := w.create("txn-abort", 1); err != nil {
		return err
	}
	p, err := w.transactional("txn-abort")
	if err != nil {
		return err
	}
	defer p.Close()
	if err := w.txn(p, "txn-abort", numbered(0, 10), p.AbortTxn); err != nil {
		return err
	}
	if err := w.txn(p, "txn-abort", numbered(10, 15), p.CommitTxn); err != nil {
		return err
	}
	if err := w.same("txn-abort", 1, numbered(10, 15), committed); err != nil {
		return err
	}
	_, err = w.read("txn-abort", 1, 15)
	return err
}

// txnOffsets sends offsets of a group that has no members, as Sarama does without ConsumerGroupMetadata.
func (w *row) txnOffsets() error {
	if err := errors.Join(w.create("txn-in", 1), w.create("txn-out", 1), w.send("txn-in", 1, numbered(0, 10))); err != nil {
		return err
	}
	p, err := w.transactional("txn-offsets")
	if err != nil {
		return err
	}
	defer p.Close()
	in, group := w.prefix+"txn-in", w.prefix+"txn-group"
	for _, commit := range []bool{false, true} {
		got, err := w.read("txn-in", 1, 10)
		if err != nil {
			return err
		}
		var values []string
		for _, m := range got {
			values = append(values, string(m.Value))
		}
		end, want := p.AbortTxn, int64(-1)
		if commit {
			end, want = p.CommitTxn, 10
		}
		err = w.txn(p, "txn-out", values, func() error {
			offsets := map[string][]*sarama.PartitionOffsetMetadata{in: {{Partition: 0, Offset: 10}}}
			return errors.Join(p.AddOffsetsToTxn(offsets, group), end())
		})
		if err != nil {
			return err
		}
		if err := eventually(func() error { return w.hasOffset(group, in, want) }); err != nil {
			return err
		}
	}
	return w.same("txn-out", 1, numbered(0, 10), committed)
}

func (w *row) hasOffset(group, topic string, want int64) error {
	r, err := w.admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
	if err != nil {
		return err
	}
	if b := r.GetBlock(topic, 0); b == nil || b.Err != sarama.ErrNoError || b.Offset != want {
		return fmt.Errorf("offsets: %+v, want %d", b, want)
	}
	return nil
}

// eventually gives what a broker does after its answer some time: settings, new partitions and transactions come into effect later.
func eventually(do func() error) error {
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err := do(); err == nil || time.Now().After(until) {
			return err
		}
	}
}

func (w *row) administer() {
	topic, group := w.prefix+"admin", w.prefix+"admin-group"
	cell("create-topic", func() error {
		retention := "3600000"
		d := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &retention}}
		if err := w.admin.CreateTopic(topic, d, false); err != nil {
			return err
		}
		if err := w.admin.CreateTopic(topic, d, false); !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return fmt.Errorf("a second time: %v", err)
		}
		return nil
	})
	cell("describe-topic", func() error {
		d, err := w.admin.DescribeTopics([]string{topic})
		if err == nil && (len(d) != 1 || len(d[0].Partitions) != 3 || d[0].Partitions[2].Leader < 0) {
			err = fmt.Errorf("described as %+v", d)
		}
		return err
	})
	cell("add-partitions", func() error {
		if err := w.admin.CreatePartitions(topic, 5, nil, false); err != nil {
			return err
		}
		return eventually(func() error { return w.send("admin", 5, numbered(0, 50)) })
	})
	cell("configs", func() error {
		v := "7200000"
		err := w.admin.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
			"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &v}}, false)
		if err != nil {
			return err
		}
		return eventually(func() error {
			resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}}
			entries, err := w.admin.DescribeConfig(resource)
			if err == nil && (len(entries) != 1 || entries[0].Value != v) {
				err = fmt.Errorf("described as %+v", entries)
			}
			return err
		})
	})
	cell("delete-records", func() error {
		if err := errors.Join(w.create("delete-records", 1), w.send("delete-records", 1, numbered(0, 10))); err != nil {
			return err
		}
		if err := w.admin.DeleteRecords(w.prefix+"delete-records", map[int32]int64{0: 5}); err != nil {
			return err
		}
		return w.same("delete-records", 1, numbered(5, 10))
	})
	cell("offsets", func() error {
		for _, at := range []int64{7, 3} {
			r, err := w.admin.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{topic: {0: {Offset: at, LeaderEpoch: -1}}}, nil)
			if err != nil || r.Errors[topic][0] != sarama.ErrNoError {
				return fmt.Errorf("%+v: %w", r, err)
			}
			if err := w.hasOffset(group, topic, at); err != nil {
				return err
			}
		}
		return nil
	})
	listed := func() (bool, error) {
		all, err := w.admin.ListConsumerGroups()
		_, ok := all[group]
		return ok, err
	}
	cell("groups", func() error {
		if ok, err := listed(); err != nil || !ok {
			return fmt.Errorf("listed: %t, %w", ok, err)
		}
		d, err := w.admin.DescribeConsumerGroups([]string{group})
		if err == nil && (d[0].State != "Empty" || len(d[0].Members) != 0) {
			err = fmt.Errorf("described as %+v", d[0])
		}
		return err
	})
	cell("delete-group", func() error {
		if err := w.admin.DeleteConsumerGroup(group); err != nil {
			return err
		}
		if ok, err := listed(); err != nil || ok {
			return fmt.Errorf("listed: %t, %w", ok, err)
		}
		return nil
	})
	cell("delete-topic", func() error {
		if err := w.admin.DeleteTopic(topic); err != nil {
			return err
		}
		all, err := w.admin.ListTopics()
		if _, ok := all[topic]; ok {
			return errors.New("still listed")
		}
		return err
	})
}
