package mock

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestUnknownMisdeed(t *testing.T) {
	if b, err := Start(Options{Misdeed: "sulk"}); err == nil {
		b.Close()
		t.Error("a misdeed that nobody knows was accepted")
	}
}

// A reader with read_committed sees what a transaction wrote that was aborted: from this broker, and from no honest one.
func TestShowAborted(t *testing.T) {
	for misdeed, want := range map[Misdeed][]string{
		Honest:      {"committed"},
		ShowAborted: {"aborted", "committed"},
	} {
		b, err := Start(Options{Misdeed: misdeed})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		if err := b.CreateTopic("payments", 1, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		producer := client(t, b, kgo.TransactionalID("t"), kgo.DefaultProduceTopic("payments"))
		for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
			value := map[kgo.TransactionEndTry]string{kgo.TryAbort: "aborted", kgo.TryCommit: "committed"}[end]
			if err := producer.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := producer.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := producer.EndTransaction(ctx, end); err != nil {
				t.Fatal(err)
			}
		}
		reader := client(t, b, kgo.ConsumeTopics("payments"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		var got []string
		for len(got) == 0 || got[len(got)-1] != "committed" {
			fetches := reader.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
		}
		if len(got) != len(want) || got[0] != want[0] {
			t.Errorf("misdeed %q: read %v, want %v", misdeed, got, want)
		}
		if (b.Done() > 0) != (misdeed != Honest) {
			t.Errorf("misdeed %q: done %d times", misdeed, b.Done())
		}
	}
}

func client(t *testing.T, b *Broker, opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(b.ListenAddrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
