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
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// consumeFlow is one consume flow: the members of a group, or one direct reader.
type consumeFlow struct {
	scenario  *scenario
	plan      *plan.Consume
	field     *field
	reader    *ledger.Reader
	clients   []*kgo.Client
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	delivered atomic.Int64

	mu         sync.Mutex
	assigned   map[int32]int // guarded by mu, as below: partition -> members that hold it
	held       map[int]int   // member -> partitions it holds
	probed     map[int32]bool
	rebalances int
	running    bool
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
		f := &consumeFlow{scenario: s, plan: flow, field: field, assigned: map[int32]int{}, held: map[int]int{}, probed: map[int32]bool{}}
		f.reader = field.ledger.Reader(f.name())
		s.readers = append(s.readers, f)
		members := 1
		if flow.Group != "" {
			members = max(flow.Members, 1)
			s.house.group(ctx, flow.Group, flow.Topic.Name, field.partitions, field.ours)
		}
		work, cancel := context.WithCancel(context.WithoutCancel(ctx))
		f.cancel = cancel
		recorders := make([]*hist.Recorder, min(members, 2*runtime.GOMAXPROCS(0)))
		for r := range recorders {
			recorders[r] = s.meter.e2e.Recorder()
		}
		for m := range members {
			client, err := kgo.NewClient(f.clientOpts(m)...)
			if err != nil {
				return fmt.Errorf("consumer of %s: %w", flow.Topic.Name, err)
			}
			f.clients = append(f.clients, client)
			recorder := recorders[m%len(recorders)]
			f.wg.Go(func() { f.poll(work, client, recorder) })
		}
	}
	return nil
}

func (f *consumeFlow) clientOpts(member int) []kgo.Opt {
	start := kgo.NewOffset().AtStart()
	if f.plan.Start == "latest" {
		start = kgo.NewOffset().AtEnd()
	}
	isolation := kgo.ReadUncommitted()
	if f.plan.Isolation == "read_committed" {
		isolation = kgo.ReadCommitted()
	}
	opts := append(clientOpts(f.scenario.opts, fmt.Sprintf("consume-%d", member)),
		kgo.FetchMaxWait(500*time.Millisecond), // Kafka's default; franz-go's is 5 s
		kgo.FetchIsolationLevel(isolation),
	)
	if f.plan.Group == "" {
		partitions := map[int32]kgo.Offset{}
		for p := range f.field.partitions {
			partitions[p] = start
			f.assigned[p] = 1
		}
		return append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.field.plan.Name: partitions}))
	}
	return append(opts,
		kgo.ConsumerGroup(f.plan.Group),
		kgo.ConsumeTopics(f.field.plan.Name),
		kgo.ConsumeResetOffset(start),
		kgo.AutoCommitInterval(time.Second),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { f.reassign(member, got, 1) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { f.reassign(member, gone, -1) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { f.reassign(member, gone, -1) }),
	)
}

func (f *consumeFlow) reassign(member int, changed map[string][]int32, by int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range changed[f.field.plan.Name] {
		f.held[member] += by
		if f.assigned[p] += by; f.assigned[p] <= 0 {
			delete(f.assigned, p)
		}
	}
	if f.running && len(changed) > 0 && by > 0 {
		f.rebalances++
	}
}

// ready says whether every partition is held by exactly one member and every member that can hold one does, and whether every
// partition has shown a probe. A member that joins later would cost a rebalance under load.
func (f *consumeFlow) ready() (assigned, probed bool) {
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
	return all, len(f.probed) >= partitions
}

// maxPoll bounds what one poll returns, so that a slow consumer commits at a fine grain; it is Kafka's max.poll.records.
const maxPoll = 500

// poll is the life of one member.
func (f *consumeFlow) poll(ctx context.Context, client *kgo.Client, e2e *hist.Recorder) {
	var owed time.Duration // think time not yet slept: sleeping less than a millisecond is not to be had
	limit := 0
	if f.plan.ThinkTime > 0 {
		limit = maxPoll
	}
	for {
		fetches := client.PollRecords(ctx, limit)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(_ string, p int32, err error) { f.trouble(p, err) })
		now := f.scenario.nowNs()
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if f.plan.ThinkTime > 0 {
				if owed += f.plan.ThinkTime; owed >= time.Millisecond {
					if sleep(ctx, owed) != nil {
						return
					}
					owed = 0
					now = f.scenario.nowNs()
				}
			}
			f.take(r, now, e2e)
		}
	}
}

// nowNs is the time by the run's one clock, as it stands in stamps.
func (s *scenario) nowNs() int64 { return s.epoch.Unix(s.epoch.Now()) }

// take accounts for one record delivered at nowNs.
func (f *consumeFlow) take(r *kgo.Record, nowNs int64, e2e *hist.Recorder) {
	stamp, first := read(f.reader, r)
	if stamp.RunID == f.scenario.probeID {
		f.mu.Lock()
		f.probed[r.Partition] = true
		f.mu.Unlock()
		return
	}
	f.delivered.Add(1)
	if first {
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

// stop ends the members: they leave their group, so that it can be deleted.
func (f *consumeFlow) stop() {
	if f.cancel == nil {
		return
	}
	f.mu.Lock()
	f.running = false
	f.mu.Unlock()
	f.cancel()
	f.wg.Wait()
	var wg sync.WaitGroup
	for _, c := range f.clients {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			if f.plan.Group != "" {
				_ = c.LeaveGroupContext(ctx) // a dead broker expires the member by itself
			}
			c.CloseAllowingRebalance()
		})
	}
	wg.Wait()
	f.clients, f.cancel = nil, nil
}

// awaitAssignment waits until every partition is assigned in every group.
func (s *scenario) awaitAssignment(ctx context.Context) error {
	for _, f := range s.readers {
		for {
			if assigned, _ := f.ready(); assigned {
				break
			}
			if sleep(ctx, 10*time.Millisecond) != nil {
				f.mu.Lock()
				held, last := len(f.assigned), f.lastErr
				f.mu.Unlock()
				return fmt.Errorf("%w: %s holds %d of the %d partitions of %s after %s (%w)",
					ErrUnreachable, f.name(), held, f.field.partitions, f.field.plan.Name, s.opts.Prepare, errors.Join(last, ctx.Err()))
			}
		}
	}
	return nil
}

// warmProbes bounds the probes that warm up connections: producers times partitions.
const warmProbes = 256

// probe sends a marked record to partitions until every consumer has seen one on each: connections are open, producer ids are
// given out and positions are fixed before the clock starts. (A group that is assigned may still be looking up its offsets.)
func (s *scenario) probe(ctx context.Context) error {
	for round := 0; ; round++ {
		if err := s.sendProbes(ctx, round > 0); err != nil {
			return err
		}
		for range 50 {
			ready := true
			for _, f := range s.readers {
				_, probed := f.ready()
				ready = ready && (probed || !s.produces(f.field))
			}
			if ready {
				for _, f := range s.readers {
					f.mu.Lock()
					f.running = true
					f.mu.Unlock()
				}
				return nil
			}
			if sleep(ctx, 20*time.Millisecond) != nil {
				return fmt.Errorf("%w: a probe record was not seen by every consumer within %s", ErrUnreachable, s.opts.Prepare)
			}
		}
	}
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
	reader := f.ledger.Reader("reading back")
	starts, err := s.house.starts(ctx, f.plan.Name, f.partitions)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	next, left := map[int32]kgo.Offset{}, 0
	position := make([]int64, f.partitions)
	for p := range f.partitions {
		position[p] = max(starts[p], f.begin[p])
		if position[p] >= ends[p] {
			reader.Complete(p)
			continue
		}
		next[p] = kgo.NewOffset().At(position[p])
		left++
	}
	if left == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(clientOpts(s.opts, "verify"),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{f.plan.Name: next}),
		kgo.FetchMaxWait(100*time.Millisecond),
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
