package plan

import (
	"slices"
	"time"
)

// Totals is what a scenario adds up to, as far as it is known before it runs: a fixed number of records has no known duration,
// and load without a schedule no known number of records. What is not known is zero, and named in Unknown.
type Totals struct {
	Records    int64           `json:"records"`
	Duration   time.Duration   `json:"duration_ns"`
	PeakRate   float64         `json:"peak_rate"` // records per second
	Bytes      int64           `json:"bytes"`     // of values
	FaultTimes []time.Duration `json:"fault_times_ns,omitempty"`
	Unknown    []string        `json:"unknown,omitempty"` // "records", "duration", "peak_rate"
}

// maxFaultTimes bounds the list of a fault that comes again and again.
const maxFaultTimes = 10_000

// Totals adds the scenario up.
func (s *Scenario) Totals() Totals {
	t := Totals{Records: s.Records(), PeakRate: s.PeakRate()}
	var known bool
	if t.Duration, known = s.Length(); !known {
		t.Unknown = append(t.Unknown, "duration")
	}
	if e := s.Executor; e != nil {
		t.Unknown = append(t.Unknown, "peak_rate")
		if t.Records = e.Records; t.Records == 0 {
			t.Unknown = append(t.Unknown, "records")
		}
	}
	t.Bytes = int64(float64(t.Records) * s.MeanValueSize())
	end := t.Duration
	if !known {
		end = MaxDuration
	}
	for _, f := range s.Faults {
		limit := maxFaultTimes
		if !known {
			limit = 1 // how often is not known either
		}
		t.FaultTimes = append(t.FaultTimes, f.Beats(end, limit)...)
	}
	slices.Sort(t.FaultTimes)
	return t
}
