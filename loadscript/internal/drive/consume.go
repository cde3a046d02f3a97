package drive

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/loadscript/internal/gen"
	"github.com/streambus/streambus/loadscript/internal/hist"
	"github.com/streambus/streambus/loadscript/internal/ledger"
	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// consumeFlow is one consume flow: the members of a group, or one direct reader.
type consumeFlow struct {
	scenario  *scenario
	plan      *plan.Consume
	field     *field
	reader    *ledger.Reader
	recorders []*hist.Recorder // shared by the members
	limiter   *limiter         // nil: no rate
	work      context.Context  // of the members
	cancel    context.CancelFunc
	delivered atomic.Int64
	started   atomic.Bool // the preparation is over

	membership sync.Mutex
	members    []*member // guarded by membership, as joined
	joined     int       // members so far

	mu         sync.Mutex
	assigned   map[int32]int // guarded by mu, as below: partition -> members that hold it
	held       map[int]int   // member -> partitions it holds
	probed     map[int32]bool
	seen       map[int32]bool // partitions that have shown any record
	running    bool
	rebalances []rebalance
	over       func(detail string) // ends the event of the open rebalance; nil when there is none
	moving     int                 // partitions given up in it
	lastErr    error
}

func (f *consumeFlow) name() string {
	if f.plan.Group != "" {
		return "group " + f.plan.Group
	}
	return "direct reader"
}

// openConsumers starts the members of all consume flows; they read from now on.
func (s *scenario) openConsumers(ctx context.Context) error {
	for i := range s.plan.Consume {
		flow := &s.plan.Consume[i]
		field := s.fields[flow.Topic.Name]
		f := &consumeFlow{scenario: s, plan: flow, field: field, assigned: map[int32]int{}, held: map[int]int{}, probed: map[int32]bool{}, seen: map[int32]bool{}}
		if flow.Isolation == "read_committed" {
			f.reader = field.ledger.CommittedReader(f.name())
		} else {
			f.reader = field.ledger.Reader(f.name())
		}
		if flow.Rate > 0 {
			f.limiter = &limiter{every: float64(time.Second) / flow.Rate}
		}
		s.readers = append(s.readers, f)
		members := 1
		if flow.Group != "" {
			members = max(flow.Members, 1)
			s.house.group(ctx, flow.Group, flow.Topic.Name, field.partitions, field.ours)
		}
		f.work, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		for range 2 * runtime.GOMAXPROCS(0) {
			f.recorders = append(f.recorders, s.meter.e2e.Recorder())
		}
		f.membership.Lock()
		for range members {
			if err := f.join(); err != nil {
				f.membership.Unlock()
				return err
			}
		}
		f.membership.Unlock()
	}
	return nil
}

func (f *consumeFlow) clientOpts(m *member) []kgo.Opt {
	start := kgo.NewOffset().AtStart()
	if f.plan.Start == "latest" {
		start = kgo.NewOffset().AtEnd()
	}
	isolation := kgo.ReadUncommitted()
	if f.plan.Isolation == "read_committed" {
		isolation = kgo.ReadCommitted()
	}
	opts := append(f.scenario.flowOpts(fmt.Sprintf("consume-%d", m.number), "consume", f.plan.Topic.Name, f.plan.Group),
		kgo.FetchMaxWait(500*time.Millisecond), // Kafka's default; franz-go's is 5 s
		kgo.FetchIsolationLevel(isolation),
		kgo.KeepControlRecords(), // they take up offsets: without them every transaction would leave a gap
	)
	if f.plan.Group == "" {
		partitions := map[int32]kgo.Offset{}
		for p := range f.field.partitions {
			partitions[p] = start
			f.assigned[p] = 1
		}
		return append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.field.plan.Name: partitions}))
	}
	opts = append(opts,
		kgo.ConsumerGroup(f.plan.Group),
		kgo.ConsumeTopics(f.field.plan.Name),
		kgo.ConsumeResetOffset(start),
		kgo.DisableAutoCommit(), // the members commit what they have taken, when the plan says so
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { m.assigned(got) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { m.revoked(gone) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { m.lost(gone) }),
	)
	if f.plan.Protocol == "consumer" {
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	}
	return opts
}

// ready says whether every partition is held by exactly one member and every member that can hold one does, and whether every
// partition has shown a probe, or at least some record. A member that joins later would cost a rebalance under load.
func (f *consumeFlow) ready() (assigned, probed, alive bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	partitions := int(f.field.partitions)
	holders, parts := 0, 0
	for _, n := range f.held {
		if n > 0 {
			holders, parts = holders+1, parts+n
		}
	}
	all := len(f.assigned) >= partitions
	if f.plan.Group != "" {
		all = all && parts == partitions && holders >= min(max(f.plan.Members, 1), partitions)
	}
	return all, len(f.probed) >= partitions, len(f.seen) >= partitions
}

// nowNs is the time by the run's one clock, as it stands in stamps.
func (s *scenario) nowNs() int64 { return s.epoch.Unix(s.epoch.Now()) }

// take accounts for one record delivered at nowNs.
func (f *consumeFlow) take(r *kgo.Record, nowNs int64, e2e *hist.Recorder) {
	stamp, first := read(f.reader, r)
	if !f.started.Load() {
		f.mu.Lock()
		f.seen[r.Partition] = true
		f.mu.Unlock()
	}
	if stamp.RunID == f.scenario.probeID {
		f.mu.Lock()
		f.probed[r.Partition] = true
		f.mu.Unlock()
		return
	}
	f.delivered.Add(1)
	if first && f.limiter == nil { // a reader that is slow on purpose says nothing about the cluster
		m := f.scenario.meter
		e2e.Record(m.slot(time.Duration(stamp.IntendedNs-f.scenario.zeroNs.Load())), time.Duration(nowNs-stamp.IntendedNs))
	}
}

// read hands a record to the ledger.
func read(reader *ledger.Reader, r *kgo.Record) (gen.Stamp, bool) {
	var header []byte
	for _, h := range r.Headers {
		if h.Key == gen.StampHeader {
			header = h.Value
			if header == nil {
				header = []byte{}
			}
		}
	}
	return reader.Read(r.Partition, r.Offset, r.Key, r.Value, header)
}

// trouble notes a fetch error. A batch whose checksum does not match is corruption; the rest is weather, as the client retries.
func (f *consumeFlow) trouble(partition int32, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	if unreadable(err) && partition >= 0 && partition < f.field.partitions {
		f.reader.Unreadable(partition, err.Error())
	}
	f.mu.Lock()
	f.lastErr = err
	f.mu.Unlock()
	f.scenario.meter.fault(err)
}

// unreadable says whether the client could not make sense of a batch. franz-go has no error value for it.
func unreadable(err error) bool {
	text := err.Error()
	return strings.Contains(text, "encoded crc") || strings.Contains(text, "too short to allow for a crc")
}

// stop ends the members. Stopping twice does no harm.
func (f *consumeFlow) stop() {
	if f.cancel == nil {
		return
	}
	f.mu.Lock()
	ran := f.running
	f.running = false
	f.mu.Unlock()
	f.cancel() // nobody joins any more
	f.membership.Lock()
	defer f.membership.Unlock()
	leaveAll(f.members)
	f.members = nil
	if ran {
		f.checkCommits(context.Background())
	}
}

// behind is the number of acknowledged records that the flow still has to see before the run is over. A flow with a rate is slow
// on purpose: nobody waits for it.
func (f *consumeFlow) behind() int64 {
	if f.limiter != nil {
		return 0
	}
	return f.reader.Behind()
}

// awaitAssignment waits until every partition is assigned in every group.
func (s *scenario) awaitAssignment(ctx context.Context) error {
	for _, f := range s.readers {
		for {
			if assigned, _, _ := f.ready(); assigned {
				break
			}
			if pace.Sleep(ctx, 10*time.Millisecond) != nil {
				f.mu.Lock()
				held, last := len(f.assigned), f.lastErr
				f.mu.Unlock()
				return fmt.Errorf("%w: %s holds %d of the %d partitions of %s after %s (%w)",
					ErrUnreachable, f.name(), held, f.field.partitions, f.field.plan.Name, s.opts.Prepare, errors.Join(last, ctx.Err()))
			}
		}
		if err := f.checkProtocol(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkProtocol makes sure that a group runs by the protocol that the script asks for: the client falls back without a word.
func (f *consumeFlow) checkProtocol(ctx context.Context) error {
	if f.plan.Group == "" || f.plan.Protocol != "consumer" {
		return nil
	}
	described, err := f.scenario.admin.DescribeConsumerGroups(ctx, f.plan.Group)
	if err == nil {
		err = described[f.plan.Group].Err
	}
	if err != nil {
		return fmt.Errorf(`%w: the cluster runs %s by the classic protocol, not by KIP-848 (%w): use a cluster that knows it, or protocol = "classic"`,
			ErrUnreachable, f.name(), err)
	}
	return nil
}

// warmProbes bounds the probes that warm up connections: producers times partitions.
const warmProbes = 256

// probe sends a marked record to partitions until every consumer has seen one on each: connections are open, producer ids are
// given out and positions are fixed before the clock starts. (A group that is assigned may still be looking up its offsets.)
// Readers that have to read first what the topic held before may take longer than there is time: it is enough then that they do
// read, and at once where that is what the scenario is about.
func (s *scenario) probe(ctx context.Context) error {
	for round := 0; ; round++ {
		if err := s.sendProbes(ctx, round > 0); err != nil && (round == 0 || ctx.Err() == nil) {
			return err
		}
		for range 50 {
			late, silent := s.notReady()
			if len(silent) > 0 || len(late) > 0 && !s.plan.Backlog {
				if pace.Sleep(ctx, 20*time.Millisecond) == nil {
					continue
				}
				if len(silent) > 0 {
					return fmt.Errorf("%w: a probe record was not seen by %s within %s", ErrUnreachable, strings.Join(silent, ", "), s.opts.Prepare)
				}
			}
			for _, name := range late {
				s.notes = append(s.notes, name+" was still at what the topic held before when the load began: its lag and latencies have that in them")
			}
			for _, f := range s.readers {
				f.started.Store(true)
				f.mu.Lock()
				f.running = true
				f.mu.Unlock()
			}
			return nil
		}
	}
}

// notReady names the consumers that have not seen a probe on every partition: late are those that read, silent those that do not
// on some partition.
func (s *scenario) notReady() (late, silent []string) {
	for _, f := range s.readers {
		switch _, probed, alive := f.ready(); {
		case probed || !s.produces(f.field):
		case alive && f.limiter != nil: // slow on purpose: nobody waits for it
		case alive:
			late = append(late, f.name())
		default:
			silent = append(silent, f.name())
		}
	}
	return late, silent
}

// transactional says whether the scenario writes to the topic in transactions.
func (s *scenario) transactional(f *field) bool {
	for _, p := range s.plan.Produce {
		if p.Transaction != nil && p.Topic.Name == f.plan.Name {
			return true
		}
	}
	return false
}

// produces says whether the scenario writes to the topic.
func (s *scenario) produces(f *field) bool {
	for _, sh := range s.shards {
		if sh.field == f {
			return true
		}
	}
	return false
}

// sendProbes lets every producer send a probe: to all partitions as long as that is not much, else to one. again is for
// consumers that missed the first ones: then one producer per topic sends to all partitions.
func (s *scenario) sendProbes(ctx context.Context, again bool) error {
	done := map[*field]bool{}
	var wg sync.WaitGroup
	errs := make(chan error, 1)
	for _, sh := range s.shards {
		for _, p := range sh.clients {
			n := sh.field.partitions
			all := !done[sh.field] || len(sh.scenario.plan.Produce)*max(sh.flow.Producers, 1)*int(n) <= warmProbes
			if again && done[sh.field] {
				continue
			}
			done[sh.field] = true
			if p.txn != nil {
				if err := p.client.BeginTransaction(); err != nil {
					return fmt.Errorf("%w: beginning a transaction: %w", ErrUnreachable, err)
				}
			}
			for part := range n {
				if !all && part != int32(p.id)%n {
					continue
				}
				wg.Add(1)
				p.client.Produce(ctx, s.probeRecord(sh, part), func(_ *kgo.Record, err error) {
					defer wg.Done()
					if err != nil {
						select {
						case errs <- fmt.Errorf("%w: a probe record to %s/%d failed: %w", ErrUnreachable, sh.field.plan.Name, part, err):
						default: // one is enough
						}
					}
				})
			}
		}
	}
	wg.Wait()
	for _, sh := range s.shards {
		for _, p := range sh.clients {
			if p.txn == nil {
				continue
			}
			if err := p.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
				return fmt.Errorf("%w: a transaction with a probe could not be committed: %w", ErrUnreachable, err)
			}
		}
	}
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func (s *scenario) probeRecord(sh *shard, partition int32) *kgo.Record {
	value := make([]byte, max(sh.values.Size(), gen.StampSize))
	gen.Encode(gen.Stamp{RunID: s.probeID, IntendedNs: s.nowNs(), Partition: partition}, nil, value, nil)
	return &kgo.Record{Topic: sh.field.plan.Name, Partition: partition, Value: value}
}

// readBack reads a topic from where the scenario began to its present end, with a reader of its own.
func (s *scenario) readBack(ctx context.Context, f *field, ends []int64) error {
	var reader *ledger.Reader
	isolation := kgo.ReadUncommitted()
	if s.transactional(f) {
		reader, isolation = f.ledger.CommittedReader("reading back"), kgo.ReadCommitted()
	} else {
		reader = f.ledger.Reader("reading back")
	}
	starts, err := s.house.starts(ctx, f.plan.Name, f.partitions)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	next, position := unread(f, reader, starts, ends)
	left := len(next)
	if left == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(clientOpts(s.opts, "verify"),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.plan.Name: next}),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.FetchIsolationLevel(isolation),
		kgo.KeepControlRecords(),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	var last error
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("reading back: %d partitions were not read to their end in time (%w)", left, errors.Join(last, ctx.Err()))
		}
		stuck := false
		fetches.EachError(func(_ string, p int32, err error) {
			last = err
			if unreadable(err) && p >= 0 && p < f.partitions {
				reader.Unreadable(p, err.Error())
				stuck = true
			}
		})
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Attrs.IsControl() {
				reader.Skip(r.Partition, r.Offset)
			} else {
				read(reader, r)
			}
			if p := r.Partition; position[p] < ends[p] && r.Offset+1 >= ends[p] {
				reader.Complete(p)
				left--
			}
			position[r.Partition] = r.Offset + 1
		})
		if stuck {
			return nil // what lies behind a broken batch cannot be read: the verdict says corrupt, and the rest is unseen
		}
	}
	return nil
}

// unread is where each partition is to be read from that is not at its end there: as an offset for the client, and as a number, which the
// others have too. Those are complete.
func unread(f *field, reader *ledger.Reader, starts, ends []int64) (next map[int32]kgo.Offset, position []int64) {
	next, position = map[int32]kgo.Offset{}, make([]int64, f.partitions)
	for p := range f.partitions {
		position[p] = max(starts[p], f.begin[p])
		if position[p] >= ends[p] {
			reader.Complete(p)
			continue
		}
		next[p] = kgo.NewOffset().At(position[p])
	}
	return next, position
}
