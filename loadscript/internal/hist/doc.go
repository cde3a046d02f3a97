// Package hist keeps latencies: one HDR histogram per worker and second, merged when the second closes. It knows nothing of
// records or stages beyond a slot number, and it never averages percentiles: percentiles come from merged counts only.
//
//	worker --Record--> Recorder --Take (once a second)--> Fold --> second: Summary (compact, kept)
//	                                                          --> slot:   histogram (merged, kept)
//
// Memory is flat: a closed second leaves a Summary of some 60 bytes, a slot (a stage, or the warm-up) leaves one histogram
// of 139 KB, whatever the number of records.
//
// Invariants:
//
//	H1  Every value recorded is in exactly one second and one slot; the counts add up.
//	H2  Values above the maximum are counted as the maximum and as clamped, never rejected; negative ones count as 0.
//	H3  A percentile is within 0.1 % of a recorded value (three significant digits).
package hist
