package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/broker"
)

// skew moves the broker's clock and waits until the broker has looked at it often: retention and the expiry of offsets have done their
// work by the new time then.
func (b *breaker) skew(d time.Duration) {
	b.t.Helper()
	misled := func() (n int) {
		b.t.Helper()
		b.say(fmt.Sprintf("delay=0s full=false skew=%s", d))
		answer := b.hear()
		if _, err := fmt.Sscanf(answer, "1 ok slowed=0 refused=0 misled=%d", &n); err != nil {
			b.t.Fatalf("%q: %v", answer, err)
		}
		return n
	}
	begin := misled()
	for end := time.Now().Add(30 * time.Second); d != 0 && misled() < begin+20; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatal("nothing looks at the clock")
		}
	}
}

const year = 365 * 24 * time.Hour

// clocked starts a broker that looks often for what is too old.
func clocked(t *testing.T, dir string) (*breaker, *inProcess) {
	b, own := failpoints(t, healthy)
	br := startWith(t, broker.Options{Failpoints: own}, dir, "log.retention.check.interval.ms=10", "offsets.retention.check.interval.ms=10")
	b.hear()
	return b, br
}

// topic makes a topic of one partition.
func (b *inProcess) topic(name string, settings ...string) {
	b.t.Helper()
	set := map[string]*string{}
	for _, s := range settings {
		k, v, _ := strings.Cut(s, "=")
		set[k] = &v
	}
	if _, err := b.admin().CreateTopic(within(b.t, 30*time.Second), 1, 1, set, name); err != nil {
		b.t.Fatal(err)
	}
}

// TestClockJumps: a broker whose clock jumps by seconds to a year, there and back, loses nothing: offsets go on in order, retention and the
// expiry of offsets take nothing that is young, members stay in their group, a transaction that was under way commits, and records have
// the times that Kafka would give them: the producer's, or what the broker's clock says, even if it has gone back.
func TestClockJumps(t *testing.T) {
	dir := t.TempDir()
	b, br := clocked(t, dir)
	br.topic("sent", "retention.ms=7200000", "message.timestamp.after.max.ms=9223372036854775807")
	br.topic("appended", "retention.ms=7200000", "message.timestamp.type=LogAppendTime")
	br.topic("aside", "message.timestamp.after.max.ms=9223372036854775807")
	ctx := within(t, 2*time.Minute)
	adm := br.admin()
	var simple kadm.Offsets
	simple.Add(kadm.Offset{Topic: "aside", Partition: 0, At: 7, LeaderEpoch: -1})
	if err := adm.CommitAllOffsets(ctx, "simple", simple); err != nil {
		t.Fatal(err)
	}
	var lost atomic.Int64
	out := func(context.Context, *kgo.Client, map[string][]int32) { lost.Add(1) }
	member := br.client(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("sent"), kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(50*time.Millisecond),
		kgo.OnPartitionsLost(out), kgo.OnPartitionsRevoked(out), kgo.DisableAutoCommit())
	writer := br.client(kgo.TransactionalID("t"), kgo.DefaultProduceTopic("aside"), kgo.TransactionTimeout(time.Minute))
	plain := br.client(kgo.ConsumeTopics("sent", "appended"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))

	var want []time.Time // by the broker's clock, when a record was appended
	write := func(skew time.Duration) {
		t.Helper()
		for _, topic := range []string{"sent", "appended"} {
			r := kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%d ", len(want)), Timestamp: time.Now()}
			if err := plain.ProduceSync(ctx, &r).FirstErr(); err != nil || r.Offset != int64(len(want)) {
				t.Fatalf("%s, %v ahead: offset %d, want %d; %v", topic, skew, r.Offset, len(want), err)
			}
		}
		want = append(want, time.Now().Add(skew))
	}
	write(0)
	if member.PollFetches(ctx).NumRecords() == 0 {
		t.Fatal("the member reads nothing")
	}
	for _, skew := range []time.Duration{5 * time.Second, -5 * time.Second, 3 * time.Hour, -3 * time.Hour, year, -year} {
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := writer.ProduceSync(ctx, &kgo.Record{Value: []byte("in")}).FirstErr(); err != nil {
			t.Fatalf("before the clock is %v ahead: %v", skew, err)
		}
		b.skew(skew)
		for range 3 {
			write(skew)
		}
		if err := writer.ProduceSync(ctx, &kgo.Record{Value: []byte("in")}).FirstErr(); err != nil {
			t.Errorf("with the clock %v ahead, in a transaction: %v", skew, err)
		}
		if err := writer.EndTransaction(ctx, kgo.TryCommit); err != nil {
			t.Errorf("with the clock %v ahead the transaction does not commit: %v", skew, err)
		}
		b.skew(skew) // looks at what was written meanwhile
		b.skew(0)
		write(0)
		offsets, err := adm.FetchOffsets(ctx, "simple")
		if o, ok := offsets.Lookup("aside", 0); err != nil || !ok || o.At != 7 {
			t.Errorf("after the clock was %v ahead: what was committed is %+v, %v", skew, o, err)
		}
	}
	if n := lost.Load(); n > 0 {
		t.Errorf("the member lost its partitions %d times", n)
	}
	if got := readAll(t, br, "aside", kgo.ReadCommitted()); len(got) != 12 {
		t.Errorf("%d records are committed, want 12", len(got))
	}

	seen := map[string]int{}
	for seen["sent"] < len(want) || seen["appended"] < len(want) {
		f := plain.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatalf("%v of %d records: %v", seen, len(want), err)
		}
		f.EachRecord(func(r *kgo.Record) {
			i := seen[r.Topic]
			if seen[r.Topic]++; r.Offset != int64(i) || !strings.HasPrefix(string(r.Value), fmt.Sprint(i, " ")) {
				t.Errorf("%s: record %d is at %d: %.10s", r.Topic, i, r.Offset, r.Value)
				return
			}
			at := want[i]
			if r.Topic == "sent" && i > 0 && time.Since(r.Timestamp) > 2*time.Minute || r.Topic == "appended" && at.Sub(r.Timestamp).Abs() > time.Minute {
				t.Errorf("%s: record %d has the time %v, when the clock said %v", r.Topic, i, r.Timestamp, at)
			}
		})
	}
	// By time the first record is found that is not older, however the times go up and down.
	for _, ago := range []time.Duration{2 * year, 4 * time.Hour, time.Hour, -time.Hour, -4 * time.Hour, -2 * year} {
		at := time.Now().Add(-ago)
		first := int64(slices.IndexFunc(want, func(w time.Time) bool { return !w.Before(at) }))
		if first < 0 {
			first = int64(len(want))
		}
		if got, err := adm.ListOffsetsAfterMilli(ctx, at.UnixMilli(), "appended"); err != nil {
			t.Error(err)
		} else if o, _ := got.Lookup("appended", 0); o.Offset != first {
			t.Errorf("the first record of the time %v is at %d, want %d", at, o.Offset, first)
		}
	}
}

// TestClockIsBehindAProducer: by more than the topic lets records come from the future they are refused, as Kafka does, and are taken when
// the clock is right. A clock that was wrong when the broker was started is nothing that it can know; what is young by it stays all the same.
func TestClockIsBehindAProducer(t *testing.T) {
	dir := t.TempDir()
	b, br := clocked(t, dir)
	br.topic("t")
	c := br.client()
	produce := func() error {
		return c.ProduceSync(within(t, 30*time.Second), &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr()
	}
	b.skew(-50 * time.Minute)
	if err := produce(); err != nil {
		t.Errorf("within the hour: %v", err)
	}
	b.skew(-2 * time.Hour)
	if err := produce(); err != kerr.InvalidTimestamp {
		t.Errorf("%v, want INVALID_TIMESTAMP", err)
	}
	b.skew(0)
	if err := produce(); err != nil {
		t.Error(err)
	}
	br.stop()
	b, own := failpoints(t, fmt.Sprintf("delay=0s full=false skew=-%s", year))
	br = startWith(t, broker.Options{Failpoints: own}, dir, "log.retention.check.interval.ms=10")
	b.hear()
	b.skew(-year)
	if got := readAll(t, br, "t", kgo.ReadUncommitted()); len(got) != 2 {
		t.Errorf("%d records after a start with the clock a year behind, want 2", len(got))
	}
	b.skew(0)
	if got := readAll(t, br, "t", kgo.ReadUncommitted()); len(got) != 2 {
		t.Errorf("%d records when the clock was put right, want 2", len(got))
	}
}
