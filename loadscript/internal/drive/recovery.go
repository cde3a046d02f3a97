package drive

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/streambus/streambus/loadscript/internal/plan"
	"github.com/streambus/streambus/loadscript/internal/report"
)

// How a recovery is judged, from rows of a second:
//
//	rate   ------.              .-----------   band of the 30 s before the fault
//	              \            /|  |  |
//	               \__________/ |1 |2 |3       three seconds in a row are inside
//	p99    ______/~~~~~~~~~~~~\_|__________
//	             ^begin   ^end  ^
//	                      |-----| recovery.time
//
// The rate is held against what was offered in the same second, so that a fault on a ramp or at the edge of a spike is judged
// fairly, and the backlog that is worked off after a fault is not yet a recovery. Seconds in which nothing was offered are
// inside when nothing is in flight.
//
// A fault is watched until the next one begins: what is silent or slow from then on is the next one's doing. Faults that overlap
// share what happens, for nobody can tell them apart; of the recovery, what passed until the other one was over is left out.
const (
	calmRows     = 30   // of before the fault
	leastCalm    = 3    // fewer make no band
	steadyRows   = 3    // in a row inside the band
	rateSlack    = 0.05 // of the mean, beyond what was seen
	latencySlack = 1.2  // times the highest p99 that was seen, and at least latencyFloor above it
	latencyFloor = 2 * time.Millisecond
)

// band is what is normal.
type band struct {
	low, high float64 // acknowledged of an offered record
	rate      float64 // offered per second, for people
	p99       int64   // ns
	known     bool
}

// newBand is the band of the calm rows.
func newBand(calm []report.Second) band {
	b := band{low: math.Inf(1)}
	var acked, offered, width float64
	n := 0
	for _, row := range calm {
		if row.Offered <= 0 || row.WidthNs <= 0 {
			continue
		}
		n++
		share := float64(row.Acked) / row.Offered
		b.low, b.high = min(b.low, share), max(b.high, share)
		b.p99 = max(b.p99, row.Produce.P99Ns)
		acked, offered, width = acked+float64(row.Acked), offered+row.Offered, width+time.Duration(row.WidthNs).Seconds()
	}
	if n < leastCalm || acked == 0 {
		return band{}
	}
	mean := acked / offered
	b.low, b.high = min(b.low, mean*(1-rateSlack)), max(b.high, mean*(1+rateSlack))
	b.rate, b.known = offered/width, true
	b.p99 = max(int64(float64(b.p99)*latencySlack), b.p99+int64(latencyFloor))
	return b
}

// holds says whether the row is inside.
func (b band) holds(row report.Second) bool {
	if row.Offered <= 0 {
		return row.InFlight == 0
	}
	share := float64(row.Acked) / row.Offered
	return share >= b.low && share <= b.high && row.Produce.P99Ns <= b.p99
}

func (b band) String() string {
	if !b.known {
		return fmt.Sprintf("no band: fewer than %d calm seconds before the fault", leastCalm)
	}
	return fmt.Sprintf("rate %s to %s, p99 up to %s", plan.FormatRate(b.low*b.rate), plan.FormatRate(b.high*b.rate), report.FormatLatency(b.p99))
}

// recoverer follows one fault.
type recoverer struct {
	event     report.Event // of kind "fault", as it is known now
	band      band
	inside    int   // rows in a row
	since     int64 // begin of the first of them
	recovered bool
	next      *report.Event // the fault that began before this one was recovered; nil: none
}

// feed judges a row that ended after the fault did.
func (r *recoverer) feed(row report.Second) {
	begin := row.TNs - row.WidthNs
	if r.event.EndNs == 0 || row.TNs <= r.event.EndNs {
		return
	}
	if !r.band.known || !r.band.holds(row) {
		r.inside = 0
		return
	}
	if r.inside++; r.inside == 1 {
		r.since = max(begin, r.event.EndNs)
	}
	r.recovered = r.inside >= steadyRows
}

// result is what became of it when no more rows come: then what is inside counts as it is. others are all faults that were
// applied, and may hold this one too.
func (r *recoverer) result(others []report.Event, silences []report.Silence) report.Recovery {
	out := report.Recovery{
		Fault: r.event.Name, Target: r.event.Target, BeginNs: r.event.TNs, EndNs: r.event.EndNs, RecoveryNs: -1, Detail: r.band.String(),
	}
	until := int64(math.MaxInt64)
	switch {
	case r.inside > 0:
		from := r.event.EndNs
		for _, o := range others {
			if o.TNs < r.event.EndNs && o.EndNs <= r.since {
				from = max(from, o.EndNs)
			}
		}
		out.RecoveryNs, until = r.since-from, r.since
	case r.next != nil:
		out.Next, out.NextNs = r.next.Name, r.next.TNs
	}
	window := int64(math.MaxInt64)
	if next := nextFault(r.event, others); next != nil {
		window = next.TNs
	}
	for _, q := range silences {
		if q.BeginNs < until {
			out.UnavailableNs = max(out.UnavailableNs, min(q.EndNs, window)-max(q.BeginNs, r.event.TNs))
		}
	}
	return out
}

// nextFault is the first of the others that began after e was over.
func nextFault(e report.Event, others []report.Event) (next *report.Event) {
	for i, o := range others {
		if e.EndNs > 0 && o.TNs >= e.EndNs && (next == nil || o.TNs < next.TNs) && o.TNs > e.TNs {
			next = &others[i]
		}
	}
	return next
}

// recoveries follows the faults of a scenario. One goroutine uses it.
type recoveries struct {
	calm   []report.Second    // the newest rows that no fault has touched
	faults map[int]*recoverer // by index in the timeline
}

// feed takes a row, and the faults as they are known at its end; it says whether one of them disturbs the row. A disturbance
// begins with the fault and ends with the row that shows that the recovery lasts.
func (rs *recoveries) feed(row report.Second, faults map[int]report.Event) (disturbed bool) {
	for i, e := range faults {
		r := rs.faults[i]
		if r == nil && e.Error == "" {
			r = &recoverer{band: newBand(rs.calm)}
			rs.faults[i] = r
		}
		if r != nil { // it was applied
			r.event = e
		}
	}
	var began []report.Event
	for _, r := range rs.faults {
		if r.recovered || r.next != nil || r.event.TNs >= row.TNs {
			continue
		}
		disturbed = true
		if began == nil {
			began = rs.events(row.TNs)
		}
		if r.next = nextFault(r.event, began); r.next == nil {
			r.feed(row)
		}
	}
	if !disturbed {
		if len(rs.calm) == calmRows {
			rs.calm = slices.Delete(rs.calm, 0, 1)
		}
		rs.calm = append(rs.calm, row)
	}
	return disturbed
}

// events lists the faults that were applied and began before a time.
func (rs *recoveries) events(before int64) (list []report.Event) {
	for _, r := range rs.faults {
		if r.event.TNs < before {
			list = append(list, r.event)
		}
	}
	return list
}

// results lists the recoveries in order of time.
func (rs *recoveries) results(silences []report.Silence) (list []report.Recovery) {
	others := rs.events(math.MaxInt64)
	for _, r := range rs.faults {
		list = append(list, r.result(others, silences))
	}
	slices.SortFunc(list, func(a, b report.Recovery) int { return cmp.Compare(a.BeginNs, b.BeginNs) })
	return list
}
