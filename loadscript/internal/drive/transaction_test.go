package drive

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// transactional makes the flow one of transactions of 50 records, and reads it back with two isolations.
func transactional(abort float64) func(*plan.Scenario) {
	return func(sc *plan.Scenario) {
		sc.Produce[0].Transaction = &plan.Txn{Records: 50, Abort: abort}
		for _, isolation := range []string{"read_committed", "read_uncommitted"} {
			sc.Consume = append(sc.Consume, plan.Consume{Topic: sc.Produce[0].Topic, Group: isolation, Members: 1, Isolation: isolation, Start: "earliest"})
		}
	}
}

// counted fails unless every record has exactly one outcome.
func counted(t *testing.T, sc report.Scenario, records int64) {
	t.Helper()
	n := sc.Totals
	if n.Acked+n.Aborted+n.Failed+n.Unknown != n.Handed || n.Handed != records {
		t.Errorf("%d acked, %d aborted, %d failed, %d unknown of %d handed over, want %d", n.Acked, n.Aborted, n.Failed, n.Unknown, n.Handed, records)
	}
}

func TestTransactionsAreCommitted(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(transactional(0)))
	expect(t, res, plan.ExitPass)
	sc := res.Scenarios[0]
	counted(t, sc, 1500)
	if sc.Totals.Acked != 1500 || sc.Metrics[0].Whole.Count != 1500 {
		t.Errorf("totals %+v, %d latencies; want 1,500 committed", sc.Totals, sc.Metrics[0].Whole.Count)
	}
}

// Which transactions are aborted is the seed's choice: the same run again aborts the same number.
func TestTransactionsAreAborted(t *testing.T) {
	t.Parallel()
	var aborted [2]int64
	for i := range aborted {
		res := run(t, fake(t), load(transactional(0.3)))
		expect(t, res, plan.ExitPass)
		sc := res.Scenarios[0]
		counted(t, sc, 1500)
		aborted[i] = sc.Totals.Aborted
		if n := sc.Totals.Aborted; n == 0 || n%50 != 0 || n+sc.Totals.Acked != 1500 {
			t.Errorf("%d records aborted, %d committed; want 1,500 in transactions of 50", n, sc.Totals.Acked)
		}
		for _, v := range sc.Ledger[0].Views {
			if want := sc.Totals.Acked; v.Name == "group read_committed" && v.Seen != want {
				t.Errorf("%s saw %d records, want the %d committed", v.Name, v.Seen, want)
			}
		}
	}
	if aborted[0] != aborted[1] {
		t.Errorf("%d records aborted, then %d", aborted[0], aborted[1])
	}
}

// A commit that the broker refuses because the producer is fenced has aborted the transaction; the producer goes on with a new
// client. One whose answer never comes leaves the outcome open, whatever happened.
func TestCommitsThatFail(t *testing.T) {
	t.Parallel()
	aborted := func(n report.Totals) bool { return n.Aborted == 50 && n.Unknown == 0 }
	unknown := func(n report.Totals) bool { return n.Aborted == 0 && n.Unknown == 50 }
	committed := func(n report.Totals) bool { return n.Acked == 1500 }
	for name, fault := range map[string]struct {
		answers []*kerr.Error // to the requests to end the first transaction; nil: the connection breaks
		want    func(report.Totals) bool
	}{
		"fenced":              {[]*kerr.Error{kerr.ProducerFenced}, aborted},
		"timed out":           {[]*kerr.Error{kerr.InvalidProducerEpoch}, aborted},
		"no answer, fenced":   {[]*kerr.Error{nil, kerr.ProducerFenced}, unknown},
		"who knows":           {[]*kerr.Error{kerr.UnknownServerError}, unknown},
		"no answer, repeated": {[]*kerr.Error{nil}, committed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := fake(t)
			var seen atomic.Int32
			c.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				n := int(seen.Add(1)) - 2 // the first ends the probes
				if n < 0 || n >= len(fault.answers) {
					return nil, nil, false
				}
				if fault.answers[n] == nil {
					return nil, errors.New("hang up"), true
				}
				resp := req.ResponseKind().(*kmsg.EndTxnResponse)
				resp.ErrorCode = fault.answers[n].Code
				return resp, nil, true
			})
			res := Run(t.Context(), load(transactional(0), func(sc *plan.Scenario) { sc.Produce[0].Producers = 1 }), options(c, Options{Note: t.Logf}))
			expect(t, res, plan.ExitPass)
			sc := res.Scenarios[0]
			counted(t, sc, 1500)
			if !fault.want(sc.Totals) {
				t.Errorf("totals %+v", sc.Totals)
			}
		})
	}
}

// A producer whose next record does not come ends its transaction all the same, at the latest at the end of the run.
func TestUnfilledTransactionsEnd(t *testing.T) {
	t.Parallel()
	res := run(t, fake(t), load(transactional(0), func(sc *plan.Scenario) {
		sc.Produce[0].Transaction.Records = 100_000
		sc.Stages = []plan.Stage{{Kind: "hold", Name: "few", Duration: 300 * time.Millisecond, From: 100, To: 100}}
	}))
	expect(t, res, plan.ExitPass)
	counted(t, res.Scenarios[0], 30)
	if n := res.Scenarios[0].Totals.Acked; n != 30 {
		t.Errorf("%d committed, want 30", n)
	}
}
