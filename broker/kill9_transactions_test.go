package broker_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKill9Transactions kills the broker again and again while transactions run. What was told to be committed is seen whole and once by a
// consumer of committed records, what was told to be aborted never, and what nobody was told of whole or not at all.
func TestKill9Transactions(t *testing.T) {
	kills := 25
	if testing.Short() || raceEnabled {
		kills = 5
	}
	r := newKillRun(t)
	r.spawn()
	r.proc.waitReady()
	addr := r.proc.addr
	if _, err := kadm.NewClient(client(t, addr)).CreateTopic(t.Context(), killPartitions, 1, nil, killTopic); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	tellers := make([]*teller, 4)
	for i := range tellers {
		tellers[i] = &teller{t: t, addr: addr, id: i}
		running.Go(func() { tellers[i].run(ctx) })
	}
	recovering := r.kill(kills)
	wait(500)
	stop()
	running.Wait()
	for _, w := range tellers { // each begins once more, which ends what was left open
		w.heir()
	}
	seen := map[account]int{}
	for _, v := range readAll(t, &inProcess{t: t, addr: addr}, killTopic, kgo.ReadCommitted()) {
		var a account
		var j int
		if _, err := fmt.Sscanf(v, "%d %d %d", &a.teller, &a.n, &j); err != nil {
			t.Fatalf("a record %.40q, which nobody wrote", v)
		}
		if j != seen[a] { // they are sorted
			t.Fatalf("transaction %d of %d: record %d where %d was due", a.n, a.teller, j, seen[a])
		}
		seen[a]++
	}
	count := map[outcome]int{}
	for _, w := range tellers {
		for n, was := range w.told {
			got := seen[account{w.id, n}]
			count[was]++
			if was == committed && got != perTransaction || was == aborted && got != 0 || was == unknown && got != 0 && got != perTransaction {
				t.Errorf("transaction %d of %d was %s, and %d of its %d records are seen", n, w.id, was, got, perTransaction)
			}
			delete(seen, account{w.id, n})
		}
	}
	if len(seen) > 0 {
		t.Errorf("%d transactions are seen that nobody wrote", len(seen))
	}
	if count[committed] < kills || count[aborted] == 0 {
		t.Errorf("%v: next to nothing was tried", count)
	}
	t.Logf("%d kills, %d of them during recovery; transactions: %v", kills, recovering, count)
	r.proc.signal(os.Interrupt)
	if code := r.proc.wait(); code != 0 {
		t.Errorf("exit code %d after SIGINT:\n%s", code, r.proc.stderr)
	}
}

const perTransaction = 7

// account is a transaction.
type account struct{ teller, n int }

type outcome string

const (
	committed outcome = "committed"
	aborted   outcome = "aborted"
	unknown   outcome = "unknown"
)

// teller runs one transaction after the other under one transactional id.
type teller struct {
	t    *testing.T
	addr string
	id   int
	c    *kgo.Client
	told []outcome // of each transaction
}

func (w *teller) run(ctx context.Context) {
	for ctx.Err() == nil {
		if w.c == nil {
			w.c = client(w.t, w.addr, kgo.TransactionalID(fmt.Sprint("teller-", w.id)), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.AlwaysRetryEOF(), kgo.UnknownTopicRetries(-1))
		}
		was := w.one(ctx, len(w.told))
		w.told = append(w.told, was)
		if was == unknown { // who does not know begins anew
			w.c.Close()
			w.c = nil
		}
	}
}

func (w *teller) one(ctx context.Context, n int) outcome {
	if err := w.c.BeginTransaction(); err != nil {
		return unknown
	}
	var batch []*kgo.Record
	for j := range perTransaction {
		batch = append(batch, &kgo.Record{Topic: killTopic, Partition: int32((n + j) % killPartitions), Value: fmt.Appendf(nil, "%d %06d %d", w.id, n, j)})
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if err := w.c.ProduceSync(bounded, batch...).FirstErr(); err != nil {
		return unknown
	}
	end := kgo.TransactionEndTry(n%5 != 3)
	if err := w.c.EndTransaction(bounded, end); err != nil {
		return unknown
	}
	if end {
		return committed
	}
	return aborted
}

// heir takes the transactional id over, so that what was open is aborted.
func (w *teller) heir() {
	c := client(w.t, w.addr, kgo.TransactionalID(fmt.Sprint("teller-", w.id)))
	if err := c.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	if _, _, err := c.ProducerID(within(w.t, 20*time.Second)); err != nil {
		w.t.Fatal(err)
	}
}
