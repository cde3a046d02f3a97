package drive

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/streambus/streambus/loadscript/internal/pace"
	"github.com/streambus/streambus/loadscript/internal/plan"
)

// shape is what a moment is worth: the part of the schedule that consumers, too, must know while it changes.
type shape struct {
	stages []plan.Stage
	warmup time.Duration
}

// openEnd is the length of a stage whose end nobody knows.
const openEnd = plan.MaxDuration

// always is a warm-up that has not ended yet.
const always = time.Duration(1<<63 - 1)

// reshape sets the stages and the warm-up. The meter and the pacers must not be running; consumers may.
func (s *scenario) reshape(stages []plan.Stage, warmup time.Duration) {
	s.plan.Stages, s.plan.Warmup = stages, warmup
	s.shape.Store(&shape{stages, warmup})
}

// lay gives stages to what has none: one named after the executor, and one for a warm-up of unknown length.
func (s *scenario) lay() {
	sc := s.plan
	stages, warmup := sc.Stages, sc.Warmup
	if e := sc.Executor; e != nil {
		stage := plan.Stage{Kind: "hold", Name: e.Kind, Pos: e.Pos, Duration: e.Duration}
		if e.Kind == recordsKind {
			stage.Duration = openEnd
		}
		if e.Kind == findMaxRate {
			stage.Duration, stage.From, stage.To = e.Hold, e.StartRate, e.StartRate
			sc.Thresholds = slices.Concat(e.SLO, sc.Thresholds)
		}
		stages = []plan.Stage{stage}
	}
	if sc.Steady != nil && len(stages) > 0 {
		first := plan.RateAt(stages, 0)
		stages = slices.Concat([]plan.Stage{{Kind: "hold", Name: "warm-up", Pos: sc.Steady.Pos, Duration: sc.Steady.Timeout, From: first, To: first}}, stages)
		warmup = always
	}
	s.reshape(stages, warmup)
}

// closed says whether load follows the answers instead of a schedule.
func (s *scenario) closed() bool {
	return s.plan.Executor != nil && s.plan.Executor.Kind != findMaxRate
}

// The kinds of executor.
const (
	clientsKind = "clients"
	recordsKind = "records"
	findMaxRate = "find_max_rate"
)

// defaultWindow is the number of records on their way at full speed where the script does not say: enough to fill batches of
// a few dozen partitions, and a latency of some hundredths of a second at a million records a second.
const defaultWindow = 20_000

// window is how many records of a closed model are on their way at most.
func (s *scenario) window() int {
	e := s.plan.Executor
	switch {
	case !s.closed():
		return 0
	case e.Kind == clientsKind:
		return max(e.Clients, 1)
	case e.InFlight > 0:
		return e.InFlight
	case s.plan.MaxInFlight > 0:
		return s.plan.MaxInFlight
	default:
		return defaultWindow
	}
}

// deal is worker i's part of n things for of workers.
func deal(n int64, i, of int) int64 { return n*int64(i+1)/int64(of) - n*int64(i)/int64(of) }

// phases runs everything from the first record to the last answer. An error means that it could not begin.
func (s *scenario) phases(ctx context.Context) error {
	work := context.WithoutCancel(ctx)
	s.zero()
	for _, sh := range s.shards {
		for _, p := range sh.clients {
			if p.txn != nil {
				p.txn.start()
			}
		}
	}
	if s.plan.Executor != nil && s.plan.Executor.Kind == findMaxRate {
		s.search(ctx) // a plan has no faults then
		return nil
	}
	s.meter.rebase()
	s.timeline.begin(s.plan.Name, time.Now())
	stages, begin := s.plan.Stages, time.Duration(0)
	if s.plan.Steady != nil {
		stages = stages[1:]
		begin = s.warmUp(ctx, s.plan.Stages[:1])
	}
	heal, err := s.strike(ctx)
	if err != nil {
		return err
	}
	stop := s.meter.start(work)
	if s.closed() {
		s.offerClosed(ctx, begin)
		heal()
		if s.plan.Executor.Kind == recordsKind { // they have been sent when the last one is answered
			s.answered(ctx)
		}
		stop()
		s.measured(begin)
		stop = s.meter.start(work)
	} else {
		s.offer(ctx, stages, begin)
		s.cut(ctx)
		heal()
	}
	s.settle(ctx)
	s.converge(ctx)
	stop()
	return nil
}

// zero starts the clock.
func (s *scenario) zero() {
	s.clock = s.epoch.Restart()
	s.zeroNs.Store(s.clock.Unix(0))
}

// measured gives the stage of a closed model the length and the rate that came out of it.
func (s *scenario) measured(begin time.Duration) {
	stages := slices.Clone(s.plan.Stages)
	last := &stages[len(stages)-1]
	last.Duration = max((s.clock.Now() - begin).Round(time.Millisecond), time.Millisecond)
	if s.plan.Executor.Duration > 0 {
		last.Duration = min(last.Duration, s.plan.Executor.Duration)
	}
	handed := int64(0)
	for i := range s.meter.slots {
		handed += s.meter.slots[i].handed.Load()
	}
	if s.plan.Steady != nil { // what was sent before counts for the warm-up
		handed -= s.meter.slots[0].handed.Load()
	}
	last.From = float64(handed) / last.Duration.Seconds()
	last.To = last.From
	s.reshape(stages, s.plan.Warmup)
}

// cut notes when the stages were left before their end.
func (s *scenario) cut(ctx context.Context) {
	if now := s.clock.Now(); (ctx.Err() != nil || s.stopped() || died(s.opts.Dead)) && now < s.plan.Duration() {
		s.cutAt = max(now.Round(time.Millisecond), time.Millisecond)
	}
}

// offer runs the stages to their end, or to the end of ctx; they start at begin.
func (s *scenario) offer(ctx context.Context, stages []plan.Stage, begin time.Duration) {
	sc := &plan.Scenario{Stages: stages, Arrivals: s.plan.Arrivals, Seed: s.plan.Seed}
	end := begin + sc.Duration()
	s.each(ctx, end, func(ctx context.Context, sh *shard) pace.Counts {
		clock, done := s.pacerClock()
		defer done()
		p := pace.Pacer{
			Clock: clock, Schedule: pace.NewSchedule(sc, sh.share), Begin: begin, LateLimit: s.opts.LateLimit,
			Deadline: end + s.plan.Drain,
		}
		return p.Run(ctx, sh)
	})
}

// pacerClock is a clock for one pacer; done frees it.
func (s *scenario) pacerClock() (clock pace.Clock, done func()) {
	if s.opts.Virtual {
		return s.clock, func() {}
	}
	fine, err := pace.NewFine(s.clock)
	if err != nil {
		s.meter.fault(err) // the coarse clock will do; the lag shows it
		return s.clock, func() {}
	}
	return fine, func() { _ = fine.Close() }
}

// offerClosed runs the executor, which starts at begin.
func (s *scenario) offerClosed(ctx context.Context, begin time.Duration) {
	e := s.plan.Executor
	until := time.Duration(0)
	if e.Duration > 0 {
		until = begin + e.Duration
	}
	s.each(ctx, until, func(ctx context.Context, sh *shard) pace.Counts {
		p := pace.Closed{Clock: s.clock, Clients: sh.window, Think: e.Think, Until: until, Records: deal(e.Records, sh.index, len(s.shards))}
		if sh.window == 0 || e.Kind == recordsKind && p.Records == 0 {
			return pace.Counts{} // more workers than clients, or records
		}
		sh.answers = pace.NewAnswers()
		return p.Run(ctx, windowed{sh}, sh.answers)
	})
}

// each runs load on every shard at the same time and adds up what they did. Without shards (a scenario that only consumes) the
// stages are a stretch of time that ends at end.
func (s *scenario) each(ctx context.Context, end time.Duration, load func(context.Context, *shard) pace.Counts) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with each: cancel is deferred
		select {
		case <-s.opts.Dead: // never, when nobody watches
		case <-s.aborted:
		case <-ctx.Done():
		}
		cancel()
	}()
	counts := make([]pace.Counts, len(s.shards))
	var wg sync.WaitGroup
	for i, sh := range s.shards {
		wg.Go(func() { counts[i] = load(ctx, sh) })
	}
	if len(s.shards) == 0 {
		_ = s.clock.Sleep(ctx, end-s.clock.Now())
	}
	wg.Wait()
	for _, c := range counts {
		s.counts.Offered += c.Offered
		s.counts.Handed += c.Handed
		s.counts.Dropped += c.Dropped
		s.counts.Pressed += c.Pressed
	}
	for _, sh := range s.shards {
		for _, p := range sh.clients {
			if p.txn != nil {
				p.txn.flush()
			}
		}
	}
}

// windowed is a shard as the sender of a closed model.
type windowed struct{ *shard }

// Send implements pace.Sender.
func (w windowed) Send(h pace.Handover) {
	w.scenario.inFlight.Add(1)
	w.shard.Send(h)
}

// modelNotes says what latencies mean where that is not plain.
func (s *scenario) modelNotes() {
	if slices.ContainsFunc(s.plan.Produce, func(f plan.Produce) bool { return f.Transaction != nil }) {
		s.notes = append(s.notes, "a record in a transaction is acknowledged when its transaction is committed: its latency goes until then")
	}
	if s.closed() {
		s.notes = append(s.notes, fmt.Sprintf(
			"%s is a closed model: the next record waits for an answer, so latency counts from the real send and a slow moment slows the load down with it", s.plan.Executor.Kind))
	}
}

// stopped says whether a threshold has stopped the offering.
func (s *scenario) stopped() bool {
	select {
	case <-s.aborted:
		return true
	default:
		return false
	}
}
