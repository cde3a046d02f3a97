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
}

// feed judges a row that ended after the fault did.
func (r *recoverer) feed(row report.Second) {
	begin := row.TNs - row.WidthNs
	if r.recovered || r.event.EndNs == 0 || row.TNs <= r.event.EndNs {
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

// result is what became of it. last says that no more rows come: then what is inside counts as it is.
func (r *recoverer) result(last bool, silences []report.Silence) report.Recovery {
	out := report.Recovery{
		Fault: r.event.Name, Target: r.event.Target, BeginNs: r.event.TNs, EndNs: r.event.EndNs, RecoveryNs: -1, Detail: r.band.String(),
	}
	until := int64(math.MaxInt64)
	if r.recovered || last && r.inside > 0 {
		out.RecoveryNs = r.since - r.event.EndNs
		until = r.since
	}
	for _, q := range silences {
		if q.EndNs > r.event.TNs && q.BeginNs < until {
			out.UnavailableNs = max(out.UnavailableNs, q.EndNs-q.BeginNs)
		}
	}
	return out
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
		if r == nil {
			continue // it was not applied
		}
		r.event = e
		if !r.recovered && e.TNs < row.TNs {
			disturbed = true
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

// results lists the recoveries in order of time.
func (rs *recoveries) results(silences []report.Silence) (list []report.Recovery) {
	for _, r := range rs.faults {
		if r.event.Error == "" {
			list = append(list, r.result(true, silences))
		}
	}
	slices.SortFunc(list, func(a, b report.Recovery) int { return cmp.Compare(a.BeginNs, b.BeginNs) })
	return list
}
