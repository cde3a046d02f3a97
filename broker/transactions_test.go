package broker_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// transact runs one transaction of n records and ends it.
func transact(t *testing.T, c *kgo.Client, topic, value string, n int, end kgo.TransactionEndTry) {
	t.Helper()
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		c.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: int32(i % 3), Value: fmt.Appendf(nil, "%s %d", value, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("%s: %v", value, err)
			}
		})
	}
	if err := c.Flush(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := c.EndTransaction(within(t, 20*time.Second), end); err != nil {
		t.Fatal(value, err)
	}
}

// readAll reads each partition from its start to the end that a consumer of that isolation sees.
func readAll(t *testing.T, b *inProcess, topic string, level kgo.IsolationLevel) (out []string) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	adm := b.admin()
	ends, err := adm.ListEndOffsets(ctx, topic)
	for err == nil && level == kgo.ReadCommitted() { // markers come after the answer
		var stable kadm.ListedOffsets
		if stable, err = adm.ListCommittedOffsets(ctx, topic); err != nil || reflect.DeepEqual(stable, ends) {
			break
		}
		time.Sleep(time.Millisecond)
		ends, err = adm.ListEndOffsets(ctx, topic)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Positions move past markers and aborted records without a record, so that what is read ends with the next one that is there.
	c := b.client(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())
	at := map[int32]int64{}
	done := func() bool {
		ok := true
		ends.Each(func(o kadm.ListedOffset) { ok = ok && at[o.Partition] >= o.Offset })
		return ok
	}
	for !done() {
		f := c.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("at %v of %v: %v", at, ends, err)
		}
		f.EachRecord(func(r *kgo.Record) {
			at[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				out = append(out, string(r.Value))
			}
		})
	}
	slices.Sort(out)
	return out
}

// TestTransactions: what commits is seen whole, what aborts never by a consumer of committed records, and so it is after a restart.
func TestTransactions(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	if _, err := b.admin().CreateTopic(within(t, 20*time.Second), 3, 1, nil, "ledger"); err != nil {
		t.Fatal(err)
	}
	c := b.client(kgo.TransactionalID("teller"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var want, all []string
	for i := range 12 {
		end, value := kgo.TryCommit, fmt.Sprintf("kept %02d", i)
		if i%3 == 1 {
			end, value = kgo.TryAbort, fmt.Sprintf("gone %02d", i)
		}
		transact(t, c, "ledger", value, 5, end)
		for j := range 5 {
			v := fmt.Sprintf("%s %d", value, j)
			if all = append(all, v); end {
				want = append(want, v)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(all)
	check := func(when string) {
		t.Helper()
		if got := readAll(t, b, "ledger", kgo.ReadCommitted()); !slices.Equal(got, want) {
			t.Errorf("%s: a consumer of committed records sees %d of %d: %v", when, len(got), len(want), got)
		}
		if got := readAll(t, b, "ledger", kgo.ReadUncommitted()); !slices.Equal(got, all) {
			t.Errorf("%s: a consumer of all records sees %d of %d", when, len(got), len(all))
		}
	}
	check("at once")

	// A second producer with the id fences the first, and its open transaction is aborted.
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "ledger", Value: []byte("gone 98")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	adm := b.admin()
	described, err := adm.DescribeTransactions(within(t, 20*time.Second), "teller")
	if err != nil || described["teller"].State != "Ongoing" || len(described["teller"].Topics["ledger"]) != 1 {
		t.Errorf("described as %+v, %v", described, err)
	}
	listed, err := adm.ListTransactions(within(t, 20*time.Second), nil, []string{"Ongoing"})
	if err != nil || len(listed) != 1 || listed["teller"].ProducerID != described["teller"].ProducerID {
		t.Errorf("listed as %+v, %v", listed, err)
	}
	writers, err := adm.DescribeProducers(within(t, 20*time.Second), kadm.TopicsSet{"ledger": {0: {}}})
	if err != nil || len(writers.SortedProducers()) != 1 {
		t.Fatalf("producers are %+v, %v", writers, err)
	}
	if p := writers.SortedProducers()[0]; p.ProducerID != described["teller"].ProducerID || p.CurrentTxnStartOffset < 0 || p.LastTimestamp < time.Now().Add(-time.Minute).UnixMilli() {
		t.Errorf("the producer is %+v", p)
	}
	heir := b.client(kgo.TransactionalID("teller"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	transact(t, heir, "ledger", "kept 99", 1, kgo.TryCommit)
	err = c.ProduceSync(t.Context(), &kgo.Record{Topic: "ledger", Value: []byte("never")}).FirstErr()
	if err == nil {
		err = c.EndTransaction(within(t, 20*time.Second), kgo.TryCommit)
	}
	if !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Errorf("the first producer goes on: %v", err)
	}
	want, all = append(want, "kept 99 0"), append(all, "gone 98", "kept 99 0")
	slices.Sort(want)
	slices.Sort(all)
	check("after a fence")
	b.stop()
	b = start(t, dir)
	check("after a restart")
}

// TestExactlyOnce: a group's offsets and its records commit together, while members come and go in the middle.
func TestExactlyOnce(t *testing.T) {
	b := start(t, t.TempDir())
	ctx := within(t, 60*time.Second)
	if _, err := b.admin().CreateTopics(ctx, 3, 1, nil, "in", "out"); err != nil {
		t.Fatal(err)
	}
	const n = 600
	feeder := b.client(kgo.DefaultProduceTopic("in"))
	for i := range n {
		feeder.Produce(ctx, kgo.StringRecord(fmt.Sprintf("%04d", i)), nil)
	}
	if err := feeder.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var copied atomic.Int64 // by transactions that are known to have committed
	work := func(id string, least int) {
		s, err := kgo.NewGroupTransactSession(
			kgo.SeedBrokers(b.addr), kgo.TransactionalID(id), kgo.ConsumerGroup("copiers"), kgo.ConsumeTopics("in"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.DefaultProduceTopic("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ProducerLinger(0),
		)
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		for round := 0; copied.Load() < int64(least) && ctx.Err() == nil; round++ {
			poll, cancel := context.WithTimeout(ctx, time.Second) // it may be that all is done
			f := s.PollRecords(poll, 40)
			cancel()
			if err := s.Begin(); err != nil {
				t.Error(id, err)
				return
			}
			f.EachRecord(func(r *kgo.Record) { s.Produce(ctx, &kgo.Record{Value: r.Value}, nil) })
			committed, err := s.End(ctx, kgo.TransactionEndTry(round%4 != 2))
			if err != nil && ctx.Err() == nil {
				t.Error(id, err)
				return
			}
			if committed {
				copied.Add(int64(f.NumRecords()))
			}
		}
	}
	work("a", n/3) // alone, and gone
	both := make(chan bool)
	for _, id := range []string{"b", "c"} {
		go func() { work(id, n); both <- true }()
	}
	<-both
	<-both
	got := readAll(t, b, "out", kgo.ReadCommitted())
	for i := range n {
		if i >= len(got) || got[i] != fmt.Sprintf("%04d", i) {
			t.Fatalf("%d records, want each of %d once; the first that is wrong is %d", len(got), n, i)
		}
	}
	if len(got) != n {
		t.Errorf("%d records, want %d", len(got), n)
	}
}
