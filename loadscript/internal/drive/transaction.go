package drive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/loadscript/internal/ledger"
)

// transactor is the transactional side of a producer. A client has one transaction at a time and nothing may be produced while
// it ends, so records wait in a queue meanwhile; the wait is part of their delay and latency.
//
//	shard --queue--> transactor: begin, Records records, flush, commit or abort --> outcome of every record
//
// A record's outcome, and its latency, is that of its transaction: before the commit nobody who reads committed records sees it.
//
//	committed   the commit was acknowledged                               acked
//	aborted     on purpose, after an error, or by the broker (a fenced    aborted: a read_committed consumer must not see it
//	            producer, a transaction that took too long); also when
//	            the client ended before it had asked for a commit
//	undecided   a commit was asked for and nobody knows the answer        unknown: all of its records are there or none
type transactor struct {
	shard    *shard
	producer *producer
	reopen   func() (*kgo.Client, error)
	records  int // of one transaction
	abort    float64
	rng      *rand.Rand
	queue    chan *item
	finish   chan struct{}
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	once     sync.Once

	open    []*item        // of the transaction that is open; nil between two
	begun   time.Time      // of that transaction
	pending sync.WaitGroup // records whose promise has not been called
	asked   atomic.Int64   // requests to end the transaction that were written
}

const (
	// longestTransaction bounds how long a transaction waits for its next record: at a low rate it ends with fewer than asked
	// for, rather than by the broker's transaction timeout.
	longestTransaction = 10 * time.Second
	transactionTimeout = time.Minute
	// endLimit bounds a flush or the request to end a transaction.
	endLimit = 45 * time.Second
	// queueLeast is the least number of records that may wait for a producer.
	queueLeast = 1024
)

// endTxn is the key of the EndTxn request.
const endTxn = 26

// OnBrokerWrite implements kgo.HookBrokerWrite: a commit that was never written was never asked for, and one that was written
// twice may have been answered twice.
func (x *transactor) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == endTxn {
		x.asked.Add(1)
	}
}

func newTransactor(sh *shard, p *producer) *transactor {
	t := sh.flow.Transaction
	x := &transactor{
		shard: sh, producer: p, records: max(t.Records, 1), abort: t.Abort,
		rng:    rand.New(rand.NewPCG(sh.scenario.plan.Seed, 0x94d049bb133111eb^uint64(p.id))),
		finish: make(chan struct{}, 1),
	}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	return x
}

// start begins to take records. The client of the producer belongs to the transactor from now on, until stop.
func (x *transactor) start() {
	w := x.shard.window
	if w > 0 { // of a closed model: more than its clients never come
		x.records = min(x.records, max(w/len(x.shard.clients), 1))
	}
	x.queue = make(chan *item, max(2*x.records, queueLeast, w))
	x.wg.Go(x.run)
}

// room says whether the queue takes one more; only the shard's goroutine puts records in.
func (x *transactor) room() bool { return len(x.queue) < cap(x.queue) }

// flush asks to end the open transaction when the queue is empty.
func (x *transactor) flush() {
	select {
	case x.finish <- struct{}{}:
	default: // asked already
	}
}

// stop ends the transactor, and with it an open transaction; records that never went to the client have failed.
func (x *transactor) stop() {
	x.once.Do(func() {
		x.cancel()
		x.wg.Wait()
	})
}

func (x *transactor) run() {
	timer := time.NewTimer(longestTransaction)
	defer timer.Stop()
	for {
		var late <-chan time.Time
		if len(x.open) > 0 {
			timer.Reset(time.Until(x.begun.Add(longestTransaction)))
			late = timer.C
		}
		select {
		case <-x.ctx.Done():
			x.end()
			x.refuse()
			return
		case it := <-x.queue:
			x.take(it)
		case <-late:
			x.end()
		case <-x.finish:
			for range len(x.queue) {
				x.take(<-x.queue)
			}
			x.end()
		}
	}
}

// refuse answers what is left in the queue: it never left this process.
func (x *transactor) refuse() {
	for {
		select {
		case it := <-x.queue:
			it.failed(kgo.ErrClientClosed)
		default:
			return
		}
	}
}

// take hands one record to the client and ends the transaction when it is full.
func (x *transactor) take(it *item) {
	if len(x.open) == 0 {
		if err := x.begin(); err != nil {
			it.failed(err)
			return
		}
	}
	it.hand(x.shard.scenario.clock.Now())
	x.pending.Add(1)
	x.open = append(x.open, it)
	x.producer.client.TryProduce(context.Background(), &it.record, it.done)
	if len(x.open) >= x.records {
		x.end()
	}
}

func (x *transactor) begin() error {
	x.begun = time.Now()
	x.asked.Store(0)
	err := x.producer.client.BeginTransaction()
	if err != nil { // the last transaction left the client in a state that only a new one gets out of
		x.renew()
		err = x.producer.client.BeginTransaction()
	}
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	return nil
}

// renew replaces the client; the new one's InitProducerId ends whatever the old one left open.
func (x *transactor) renew() {
	if client, err := x.reopen(); err == nil { // the same options were good before
		x.producer.client.Close()
		x.producer.client = client
	}
}

// end ends the open transaction and tells every record its outcome.
func (x *transactor) end() {
	if len(x.open) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(x.ctx, endLimit)
	defer cancel()
	stopped := x.ctx.Err() != nil
	if stopped { // the end of the run: one last try, as an abort asks for little
		ctx, cancel = context.WithTimeout(context.Background(), time.Second)
		defer cancel()
	}
	client := x.producer.client
	commit := !stopped && x.rng.Float64() >= x.abort
	err := client.Flush(ctx)
	if err == nil {
		x.pending.Wait()
		for _, it := range x.open {
			commit = commit && it.err == nil
		}
		err = client.EndTransaction(ctx, kgo.TransactionEndTry(commit))
	}
	if err != nil {
		x.shard.scenario.meter.fault(fmt.Errorf("ending a transaction: %w", err))
		x.renew() // closing the old client calls the promises that are left
		x.pending.Wait()
	}
	x.conclude(commit, err)
	x.open = x.open[:0]
}

// conclude tells the records of the open transaction what became of it. commit says whether a commit was wanted, err what came
// of asking.
func (x *transactor) conclude(commit bool, err error) {
	aborted := !commit || err != nil && (x.asked.Load() == 0 || x.asked.Load() == 1 && ended(err))
	undecided := err != nil && !aborted
	now := x.shard.scenario.clock.Now()
	if undecided {
		x.shard.field.ledger.Undecided(parts(x.open))
	}
	for _, it := range x.open {
		switch {
		case undecided:
			it.unknown(err)
		case !aborted:
			it.acked(it.offset, now)
		case it.err != nil && refused(it.err):
			it.failed(it.err)
		default:
			it.aborted()
		}
	}
}

// ended says whether the error proves that the broker aborted the transaction in place of committing it.
func ended(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.TransactionAbortable)
}

// parts is what the records of a transaction are to the ledger: a row of sequences in each lane.
func parts(items []*item) (list []ledger.Part) {
	for _, it := range items {
		known := false
		for i := range list {
			if list[i].Lane == it.lane {
				list[i].Hi, known = it.seq+1, true
			}
		}
		if !known {
			list = append(list, ledger.Part{Lane: it.lane, Lo: it.seq, Hi: it.seq + 1})
		}
	}
	return list
}
