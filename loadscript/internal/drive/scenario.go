package drive

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/streambus/streambus/loadscript/internal/ledger"
	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/proxy"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// scenario drives one scenario of a plan.
type scenario struct {
	plan  *plan.Scenario // its stages and warm-up follow what the run does: see reshape
	asked *plan.Scenario // as the script wrote it
	shape atomic.Pointer[shape]
	index int
	count int
	opts  Options
	house *house
	admin *kadm.Client

	runID   uint64 // of this scenario's records: scenarios of a run may share topics
	probeID uint64
	epoch   *pace.Wall   // from before the first client
	clock   *pace.Wall   // zero is when the first stage begins; set before shards run
	zeroNs  atomic.Int64 // clock's zero, nanoseconds since 1970, for consumers, which run earlier
	fields  map[string]*field
	shards  []*shard
	readers []*consumeFlow
	meter   *meter

	links  *proxy.Net // of the clients; nil: they connect directly
	fronts map[string]*proxy.Front

	limit    int64        // of in-flight records
	inFlight atomic.Int64 // handed over and without an outcome

	timeline  timeline
	aborted   chan struct{} // closed when a threshold stops the offering
	abortOnce sync.Once
	cutAt     time.Duration // when the stages were left before their end; 0: they were not

	counts     pace.Counts
	findings   []report.Finding // about validity, by whoever found out
	probes     []report.Probe
	maxRate    float64
	firstEvent int // of the probe that goes on
	drain      report.Drain
	notes      []string
	verdict    []ledger.Verdict
}

// field is one topic of the scenario.
type field struct {
	plan       plan.Topic
	partitions int32
	ours       bool // created by this run
	begin      []int64
	ledger     *ledger.Topic
	silence    []silence // by partition
}

func newScenario(p *plan.Plan, index int, admin *kadm.Client, h *house, opts Options) *scenario {
	sc := p.Scenarios[index]
	s := &scenario{
		plan: &sc, asked: &p.Scenarios[index], index: index, count: len(p.Scenarios), opts: opts, house: h, admin: admin,
		runID:    opts.RunID + uint64(index)*2,
		probeID:  opts.RunID + uint64(index)*2 + 1,
		epoch:    pace.NewWall(),
		fields:   map[string]*field{},
		limit:    int64(sc.MaxInFlight),
		timeline: timeline{sink: opts.Sink}, aborted: make(chan struct{}),
	}
	if s.limit <= 0 {
		s.limit = DefaultMaxInFlight
	}
	s.limit = max(s.limit, int64(s.window()))
	for _, f := range sc.Produce {
		if f.Transaction != nil { // fewer could leave every producer with a transaction that never fills
			s.limit = max(s.limit, int64(2*max(f.Producers, 1)*f.Transaction.Records))
		}
	}
	s.lay()
	s.meter = newMeter(s)
	return s
}

// run goes through the phases. An error means that the cluster could not be used; the result is there all the same.
func (s *scenario) run(ctx context.Context) (report.Scenario, error) {
	result := s.describe()
	defer s.close()
	if err := s.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			result.Error = "interrupted before the first record"
			return result, nil
		}
		result.Error = err.Error()
		result.ExitCode = int(plan.ExitUnreachable)
		return result, err
	}
	_ = pace.Sleep(ctx, s.plan.Start) // an end of ctx is seen by the phases
	result.Started, result.Ran = time.Now(), true
	if err := s.phases(ctx); err != nil {
		return result, err
	}
	s.stopClients(context.WithoutCancel(ctx))
	err := s.verify(ctx)
	s.modelNotes()
	final := s.describe() // the stages may have changed
	result.Stages, result.WarmupNs, result.Probes, result.MaxRate = final.Stages, final.WarmupNs, s.probes, s.maxRate
	s.judge(ctx, &result, err)
	if died(s.opts.Dead) {
		return result, nil // runAll says so
	}
	return result, err
}

// prepare creates topics and clients and waits until load can flow, so that the clock does not start on a cold cluster.
func (s *scenario) prepare(ctx context.Context) error {
	s.opts.Progress(s.snapshot("preparing"))
	ctx, cancel := context.WithTimeout(ctx, s.opts.Prepare)
	defer cancel()
	for _, t := range topics(s.plan) {
		partitions, ours, err := s.house.ensure(ctx, t)
		if err != nil {
			return err
		}
		begin, err := s.house.ends(ctx, t.Name, partitions)
		if err != nil {
			return fmt.Errorf("%w: listing the offsets of %s: %w", ErrUnreachable, t.Name, err)
		}
		s.fields[t.Name] = &field{
			plan: t, partitions: partitions, ours: ours, begin: begin, silence: make([]silence, partitions),
			ledger: ledger.NewTopic(t.Name, partitions, s.runID, ledger.Options{Exclusive: ours, ProbeID: s.probeID}),
		}
	}
	if err := s.openLinks(); err != nil {
		return err
	}
	if err := s.openProducers(); err != nil {
		return err
	}
	if err := s.openConsumers(ctx); err != nil {
		return err
	}
	if err := s.awaitAssignment(ctx); err != nil {
		return err
	}
	return s.probe(ctx)
}

// grace is how long a phase after the last stage may take.
func (s *scenario) grace(ctx context.Context) time.Duration {
	if ctx.Err() != nil || died(s.opts.Dead) {
		return min(s.opts.Brief, s.plan.Drain)
	}
	return s.plan.Drain
}

// settle ends the offering and waits until every record handed over has an outcome.
func (s *scenario) settle(ctx context.Context) {
	s.meter.phase.Store("draining")
	s.answered(ctx)
}

// answered waits until every record handed over has an outcome.
func (s *scenario) answered(ctx context.Context) {
	end := time.Now().Add(s.grace(ctx))
	for s.inFlight.Load() > 0 && time.Now().Before(end) && !died(s.opts.Dead) {
		_ = pace.Sleep(context.WithoutCancel(ctx), 5*time.Millisecond)
		if ctx.Err() != nil && time.Until(end) > s.opts.Brief {
			end = time.Now().Add(s.opts.Brief)
		}
	}
}

// converge waits until every reader has seen every acknowledged record and is at the end of the log.
func (s *scenario) converge(ctx context.Context) {
	begun := time.Now()
	limit := s.grace(ctx)
	if s.inFlight.Load() > 0 { // settle has waited that long already
		limit = min(limit, s.opts.Brief)
	}
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if ctx.Err() == nil {
		defer context.AfterFunc(ctx, func() { time.AfterFunc(s.opts.Brief, cancel) })()
	}
	var behind int64
	for {
		behind = 0
		for _, f := range s.readers {
			behind += f.behind()
		}
		if behind == 0 && s.inFlight.Load() == 0 {
			break
		}
		if died(s.opts.Dead) || pace.Sleep(work, 20*time.Millisecond) != nil {
			break
		}
	}
	s.drain.TookNs = int64(s.clock.Now() - s.plan.Duration())
	if d := int64(time.Since(begun)); s.drain.TookNs < d { // interrupted: the stages were cut short
		s.drain.TookNs = d
	}
	s.drain.Converged = behind == 0 && s.inFlight.Load() == 0
	switch {
	case s.inFlight.Load() > 0:
		s.drain.Detail = fmt.Sprintf("%d records had no answer after %s", s.inFlight.Load(), round(time.Duration(s.drain.TookNs)))
	case behind > 0:
		s.drain.Detail = fmt.Sprintf("readers were still %d records behind after %s", behind, round(time.Duration(s.drain.TookNs)))
	}
}

// stopClients ends producers first, so that every outcome is final, then consumers.
func (s *scenario) stopClients(ctx context.Context) {
	for _, sh := range s.shards {
		sh.close()
	}
	for _, f := range s.readers {
		f.stop()
	}
	for range 200 { // a closed client calls its promises from another goroutine
		if s.inFlight.Load() == 0 {
			return
		}
		_ = pace.Sleep(ctx, 5*time.Millisecond)
	}
}

// close frees what a phase that failed left behind; stopping twice does no harm.
func (s *scenario) close() {
	s.stopClients(context.Background())
	if s.links != nil {
		s.links.Close()
	}
}

// verify makes sure that each topic was read to its end by somebody, and closes the accounts.
func (s *scenario) verify(ctx context.Context) error {
	s.meter.phase.Store("verifying")
	s.opts.Progress(s.snapshot("verifying"))
	limit := max(s.grace(ctx), s.opts.Brief)
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	var errs []error
	for _, t := range topics(s.plan) {
		f := s.fields[t.Name]
		if err := s.account(work, f); err != nil {
			errs = append(errs, fmt.Errorf("topic %s could not be verified: %w", t.Name, err))
		}
		var starts []int64
		if expires(t) {
			starts, _ = s.house.starts(work, t.Name, f.partitions) // without them nothing counts as expired: the strict side
		}
		s.verdict = append(s.verdict, f.ledger.Judge(starts))
	}
	return errors.Join(errs...)
}

// expires says whether the script gave the topic a retention: only then may acknowledged records be gone.
func expires(t plan.Topic) bool {
	for _, c := range t.Config {
		switch c.Name {
		case "retention.ms", "retention.bytes", "cleanup.policy":
			return true
		}
	}
	return false
}

// account finds a reader that saw everything, or reads the topic back.
func (s *scenario) account(ctx context.Context, f *field) error {
	if died(s.opts.Dead) {
		return fmt.Errorf("%w: the broker is gone", ErrUnreachable)
	}
	ends, err := s.house.ends(ctx, f.plan.Name, f.partitions)
	if err != nil {
		return refusal(s.opts, s.plan.Drain, err)
	}
	complete := false
	for _, flow := range s.readers {
		if flow.field != f {
			continue
		}
		all := flow.reader.Behind() == 0
		for p, end := range ends {
			// A reader that saw nothing of an old topic because nothing was written is at its end, too.
			if flow.reader.Position(int32(p)) >= end || end == f.begin[p] {
				flow.reader.Complete(int32(p))
			} else {
				all = false
			}
		}
		// Only a reader of committed records can tell what became of transactions.
		complete = complete || all && (flow.plan.Isolation == "read_committed" || !s.transactional(f))
	}
	if len(s.plan.Verify) == 0 {
		return nil // nobody asks what became of the records: reading them back would only cost
	}
	if complete || f.ledger.Acked() == 0 && len(s.readersOf(f)) > 0 && !s.transactional(f) {
		return nil
	}
	return s.readBack(ctx, f, ends)
}

func (s *scenario) readersOf(f *field) (flows []*consumeFlow) {
	for _, flow := range s.readers {
		if flow.field == f {
			flows = append(flows, flow)
		}
	}
	return flows
}

// shardCount is how many goroutines pace a flow: enough to use the cores, not one per client, which would wake up a thousand
// times a second each.
func shardCount(clients int) int { return min(clients, 2*runtime.GOMAXPROCS(0)) }

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
