package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/loadscript/internal/drive"
	"github.com/streambus/streambus/loadscript/internal/mock"
	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

const selftestLong = `Tries loadscript itself, on a broker in this process that misbehaves on purpose: it loses a confirmed record, repeats
one, swaps their order, changes a byte, and so on. Each invariant must fire on its misdeed, and on nothing else. Then the
broker answers after delays whose distribution is known, and the percentiles that loadscript measures must be within 1 % of
it; and it freezes for 2 s, which must show in the percentiles. Takes about 20 seconds; exit code 0 if all of it held, 1 if not.`

func newSelftest(stdout io.Writer) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "selftest", Short: "Does loadscript notice a broker that misbehaves?", Long: selftestLong,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			res := selftest(cmd.Context())
			var err error
			if asJSON {
				err = writeJSON(stdout, res)
			} else {
				err = res.write(stdout)
			}
			if err != nil {
				return err
			}
			if len(res.Failures) > 0 {
				return &exit{code: plan.ExitInternal}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

// trial is one run against a broker with one misdeed.
type trial struct {
	misdeed mock.Misdeed
	how     string // for people: of two trials with one misdeed
	fires   string // the invariant that must fire, no other may; empty: none
	change  func(*plan.Scenario)
}

// trials names for each invariant the misdeeds that break it and nothing else.
var trials = []trial{
	{mock.Honest, "", "", withReader},
	{mock.Lose, "", "no_loss", nil},
	{mock.Repeat, "", "no_duplicates", withReader},
	{mock.Reorder, "", "in_order", nil},
	{mock.Corrupt, "", "no_corruption", withReader},
	{mock.Garble, "", "no_corruption", withReader},
	{mock.KeepRefused, "", "no_phantoms", nil},
	{mock.Misplace, "", "consistent_offsets", withReader},
	{mock.Forget, "", "committed_offsets", withReader},
	{mock.Honest, "in transactions", "", withTransactions},
	{mock.ShowAborted, "", "read_committed", withTransactions},
	{mock.UndoAbort, "", "read_committed", withTransactions},
	{mock.UndoCommit, "", "no_loss", withTransactions},
}

// selftestPlan is 1,000 records a second for 1.5 s, verified in every way.
func selftestPlan(change func(*plan.Scenario)) *plan.Plan {
	sc := plan.Scenario{
		Name: "selftest",
		Produce: []plan.Produce{{
			Topic: plan.Topic{Name: "orders", Partitions: 3, Replication: 1}, Producers: 2,
			Value: plan.Value{Kind: "bytes", Size: 200}, Key: plan.Key{Kind: "none"},
			Acks: "all", Compression: "none", BatchBytes: 1 << 20,
		}},
		Stages:   []plan.Stage{{Kind: "hold", Name: "steady", Duration: 1500 * time.Millisecond, From: 1000, To: 1000}},
		Arrivals: plan.Uniform, Drain: 5 * time.Second, Seed: 1,
		Verify: []plan.Invariant{plan.NoLoss, plan.NoDuplicates, plan.InOrder, plan.NoCorruption, plan.CommittedOffsets},
	}
	if change != nil {
		change(&sc)
	}
	return &plan.Plan{Script: "selftest", Scenarios: []plan.Scenario{sc}}
}

func withReader(sc *plan.Scenario) {
	sc.Consume = []plan.Consume{{
		Topic: sc.Produce[0].Topic, Group: "readers", Members: 2, Isolation: "read_uncommitted", Start: "earliest",
		Commit: plan.Commit{Kind: "every", Every: 200 * time.Millisecond},
	}}
}

// withTransactions sends in transactions, a quarter of which is aborted, to a group that must not see those.
func withTransactions(sc *plan.Scenario) {
	withReader(sc)
	sc.Produce[0].Idempotent, sc.Produce[0].Transaction = true, &plan.Txn{Records: 20, Abort: 0.25}
	sc.Consume[0].Isolation = "read_committed"
	sc.Verify = append(sc.Verify, plan.ReadCommitted)
}

// selftestResult is what `loadscript selftest --json` prints.
type selftestResult struct {
	Pass       bool          `json:"pass"`
	Failures   []string      `json:"failures"`
	Invariants []string      `json:"invariants"`
	Trials     []trialResult `json:"trials"`
	Latency    latencyResult `json:"latency"`
	Freeze     freezeResult  `json:"freeze"`
	ElapsedNs  int64         `json:"elapsed_ns"`
}

// trialResult is a row of the table: the misdeed and what fired.
type trialResult struct {
	Misdeed string           `json:"misdeed"`
	Done    int              `json:"done"`  // how often the broker did it
	Fires   string           `json:"fires"` // the invariant that had to fire
	Counts  map[string]int64 `json:"counts"`
	Failure string           `json:"failure,omitempty"`
}

// selftest runs all trials, at once, and then measures, alone: that is about single milliseconds.
func selftest(ctx context.Context) *selftestResult {
	begun := time.Now()
	res := &selftestResult{Failures: []string{}, Trials: make([]trialResult, len(trials))}
	var wg sync.WaitGroup
	for i, t := range trials {
		wg.Go(func() { res.Trials[i] = t.run(ctx) })
	}
	wg.Go(func() { res.Freeze = tryFreeze(ctx, nil) })
	wg.Wait()
	res.Latency = tryLatency(ctx)
	for _, t := range res.Trials {
		for name := range t.Counts {
			if !slices.Contains(res.Invariants, name) {
				res.Invariants = append(res.Invariants, name)
			}
		}
		res.fail(t.Misdeed, t.Failure)
	}
	slices.Sort(res.Invariants)
	res.fail("freeze", res.Freeze.Failure)
	res.fail("latency", res.Latency.Failure)
	res.fail("invariants", unfired(res))
	res.Pass = len(res.Failures) == 0
	res.ElapsedNs = int64(time.Since(begun))
	return res
}

func (r *selftestResult) fail(what, why string) {
	if why != "" {
		r.Failures = append(r.Failures, what+": "+why)
	}
}

// unfired names the invariants that no trial is about: a new one needs its misdeed here.
func unfired(r *selftestResult) string {
	var names []string
	for _, name := range r.Invariants {
		if !slices.ContainsFunc(r.Trials, func(t trialResult) bool { return t.Fires == name }) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "no misdeed tries " + strings.Join(names, ", ")
}

// drivePlan runs a plan against a mock broker, on the loopback or on a network in memory. The machine's load is no matter here: verdicts about the generator are off.
func drivePlan(ctx context.Context, p *plan.Plan, b *mock.Broker, network *mock.Network) (report.Scenario, error) {
	opts := drive.Options{Brokers: b.ListenAddrs(), RunID: selftestRun, LagFloor: time.Hour, CPUShare: 1000, LateLimit: time.Minute}
	if network != nil {
		opts.Dial, opts.Virtual = network.DialContext, true
	}
	res := drive.Run(ctx, p, opts)
	switch {
	case ctx.Err() != nil:
		return report.Scenario{}, errors.New("stopped by a signal")
	case len(res.Scenarios) != 1 || !res.Scenarios[0].Ran:
		return report.Scenario{}, fmt.Errorf("the run did not begin: %s", strings.Join(res.Verdict.Reasons, "; "))
	}
	return res.Scenarios[0], b.Err()
}

// selftestRun is the id in the stamps of our records.
const selftestRun = 0x5e1f7e57

func (t trial) name() string {
	name := string(t.misdeed)
	if t.misdeed == mock.Honest {
		name = "none"
	}
	if t.how != "" {
		name += ", " + t.how
	}
	return name
}

func (t trial) run(ctx context.Context) trialResult {
	r := trialResult{Misdeed: t.name(), Fires: t.fires, Counts: map[string]int64{}}
	b, err := mock.Start(mock.Options{Misdeed: t.misdeed})
	if err != nil {
		r.Failure = err.Error()
		return r
	}
	defer b.Close()
	sc, err := drivePlan(ctx, selftestPlan(t.change), b, nil)
	if err != nil {
		r.Failure = err.Error()
		return r
	}
	r.Done = b.Done()
	r.Failure = t.judge(&r, sc)
	return r
}

// judge says what is wrong with a trial, "" if nothing is.
func (t trial) judge(r *trialResult, sc report.Scenario) string {
	var wrong []string
	for _, v := range sc.Invariants {
		r.Counts[v.Name] = v.Count
		switch fired := v.Count > 0; {
		case !v.Judged:
			wrong = append(wrong, v.Name+" was not judged")
		case fired && v.Name != t.fires:
			wrong = append(wrong, fmt.Sprintf("%s fired, and should not have: %s", v.Name, strings.Join(v.Examples, "; ")))
		case !fired && v.Name == t.fires:
			wrong = append(wrong, v.Name+" did not fire")
		case fired && len(v.Examples) == 0:
			wrong = append(wrong, v.Name+" fired without an example that proves it")
		case !fired && !v.Pass:
			wrong = append(wrong, v.Name+" was not verified: "+v.Detail)
		}
	}
	if t.misdeed != mock.Honest && r.Done == 0 {
		wrong = append(wrong, "the broker did not get to its misdeed")
	}
	return strings.Join(wrong, "; ")
}

// The known distribution: large beside what a busy machine adds, and with enough records for its p99.9.
var selftestDelay = mock.Lognormal{Median: 250 * time.Millisecond, Sigma: 0.3}

const (
	delayRecords   = 12_000
	delayRate      = 1_500
	delayProducers = 200
	tolerance      = 0.01
	delayTries     = 3
)

// latencyResult compares percentiles.
type latencyResult struct {
	Records int64       `json:"records"`
	Tries   int         `json:"tries"` // more than one: the machine was too busy before
	Rows    []latencyAt `json:"percentiles"`
	Failure string      `json:"failure,omitempty"`
}

// latencyAt is one percentile.
type latencyAt struct {
	Name       string  `json:"name"`
	KnownNs    int64   `json:"known_ns"`    // of the distribution
	BrokerNs   int64   `json:"broker_ns"`   // of what the broker did: from when a record was due until it wrote the answer
	MeasuredNs int64   `json:"measured_ns"` // by loadscript: produce.latency
	Off        float64 `json:"off"`         // measured beside known, a fraction
}

// tryLatency measures a known distribution. A machine that is busy with something else adds milliseconds of its own now and
// then, to the broker's timers and to our reading of answers alike; so there are a few tries, and each must have every record.
func tryLatency(ctx context.Context) (r latencyResult) {
	for try := 1; try <= delayTries && ctx.Err() == nil; try++ {
		r = measureDelays(ctx, uint64(try), nil)
		r.Tries = try
		if r.Failure == "" {
			break
		}
	}
	return r
}

func measureDelays(ctx context.Context, seed uint64, network *mock.Network) (r latencyResult) {
	delays := mock.NewDelays(selftestRun, delayRecords, selftestDelay, seed)
	b, err := mock.Start(mock.Options{Delays: delays, Network: network})
	if err != nil {
		r.Failure = err.Error()
		return r
	}
	defer b.Close()
	sc, err := drivePlan(ctx, selftestPlan(func(sc *plan.Scenario) {
		sc.Produce[0].Producers = delayProducers
		sc.Stages[0].Duration = time.Second * delayRecords / delayRate
		sc.Stages[0].From, sc.Stages[0].To = delayRate, delayRate
	}), b, network)
	if err != nil {
		r.Failure = err.Error()
		return r
	}
	actual := delays.Actual()
	r.Records = sc.Totals.Acked
	if r.Records != delayRecords || len(actual) != delayRecords {
		r.Failure = fmt.Sprintf("%d records acknowledged and %d delayed, want %d", r.Records, len(actual), delayRecords)
		return r
	}
	m := sc.Metrics[slices.IndexFunc(sc.Metrics, func(m report.Metric) bool { return m.Name == "produce.latency" })].Whole
	var wrong []string
	busy := false
	for _, p := range []struct {
		name     string
		q        float64
		measured int64
	}{{"p50", .5, m.P50Ns}, {"p90", .9, m.P90Ns}, {"p99", .99, m.P99Ns}, {"p99.9", .999, m.P999Ns}} {
		row := latencyAt{
			Name: p.name, KnownNs: int64(selftestDelay.Quantile(p.q)), MeasuredNs: p.measured,
			BrokerNs: int64(actual[int(math.Ceil(p.q*float64(len(actual))))-1]),
		}
		row.Off = float64(row.MeasuredNs)/float64(row.KnownNs) - 1
		r.Rows = append(r.Rows, row)
		if math.Abs(row.Off) > tolerance {
			wrong = append(wrong, fmt.Sprintf("%s is off by %.2f %%", p.name, 100*row.Off))
			busy = busy || math.Abs(float64(row.BrokerNs)/float64(row.KnownNs)-1) > tolerance/2
		}
	}
	r.Failure = strings.Join(wrong, "; ")
	if busy {
		r.Failure += ": the broker's answers came late, too, so the machine is busy with something else; try again when it is not"
	}
	return r
}

// freezeResult is what a freeze of 2 s looks like.
type freezeResult struct {
	PauseNs    int64  `json:"pause_ns"`
	IntendedNs int64  `json:"p99_intended_ns"` // p99 from when records were due: produce.latency
	SentNs     int64  `json:"p99_sent_ns"`     // p99 from when they were really sent: produce.service_time
	Failure    string `json:"failure,omitempty"`
}

// tryFreeze lets the broker freeze for a third of the run. Records due evenly in the freeze wait from 2 s down to nothing, so
// the hundredth of all records that waited longest waited more than 1.94 s; but with 8 records in flight only 8 of 2,400 were
// sent into it, and a p99 counted from the real send does not know.
func tryFreeze(ctx context.Context, network *mock.Network) (r freezeResult) {
	const pause = 2 * time.Second
	r.PauseNs = int64(pause)
	b, err := mock.Start(mock.Options{Misdeed: mock.Freeze, Pause: pause, Network: network})
	if err != nil {
		r.Failure = err.Error()
		return r
	}
	defer b.Close()
	sc, err := drivePlan(ctx, selftestPlan(func(sc *plan.Scenario) {
		sc.MaxInFlight = 8
		sc.Produce[0].Producers, sc.Produce[0].Topic.Partitions = 1, 1
		sc.Stages[0].Duration = 3 * pause
		sc.Stages[0].From, sc.Stages[0].To = 400, 400
	}), b, network)
	if err != nil {
		r.Failure = err.Error()
		return r
	}
	for _, m := range sc.Metrics {
		switch m.Name {
		case "produce.latency":
			r.IntendedNs = m.Whole.P99Ns
		case "produce.service_time":
			r.SentNs = m.Whole.P99Ns
		}
	}
	switch {
	case b.Done() == 0:
		r.Failure = "the broker did not freeze"
	case r.IntendedNs < int64(pause)*95/100:
		r.Failure = "a freeze of 2 s does not show in the p99: " + report.FormatLatency(r.IntendedNs)
	case r.SentNs > r.IntendedNs/2:
		r.Failure = "the time from the real send shows it too: the in-flight limit did not hold"
	}
	return r
}

// write prints the result for people.
func (r *selftestResult) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "misdeed\t%s\n", strings.Join(r.Invariants, "\t"))
	for _, t := range r.Trials {
		fmt.Fprintf(tw, "%s", t.Misdeed)
		for _, name := range r.Invariants {
			cell := "."
			switch fired := t.Counts[name] > 0; {
			case fired && name == t.Fires:
				cell = "fired"
			case fired:
				cell = "FALSE ALARM"
			case name == t.Fires:
				cell = "MISSED"
			}
			fmt.Fprintf(tw, "\t%s", cell)
		}
		fmt.Fprintln(tw)
	}
	tw.Flush()
	fmt.Fprintf(w, "\nlatency of %d records, delayed by a lognormal distribution\n\n", r.Latency.Records)
	fmt.Fprintf(tw, "\tknown\tbroker\tmeasured\toff\n")
	for _, p := range r.Latency.Rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%+.2f %%\n", p.Name, report.FormatLatency(p.KnownNs), report.FormatLatency(p.BrokerNs),
			report.FormatLatency(p.MeasuredNs), 100*p.Off)
	}
	tw.Flush()
	fmt.Fprintf(w, "\na freeze of %s\n\n", report.FormatLatency(r.Freeze.PauseNs))
	fmt.Fprintf(tw, "p99 from when records were due\t%s\n", report.FormatLatency(r.Freeze.IntendedNs))
	fmt.Fprintf(tw, "p99 from when they were sent\t%s\n", report.FormatLatency(r.Freeze.SentNs))
	tw.Flush()
	verdict := "PASS"
	if !r.Pass {
		verdict = "FAIL"
	}
	_, err := fmt.Fprintf(w, "\n%s in %s\n", verdict, time.Duration(r.ElapsedNs).Round(100*time.Millisecond))
	for _, f := range r.Failures {
		_, err = fmt.Fprintf(w, "  %s\n", f)
	}
	return err
}
