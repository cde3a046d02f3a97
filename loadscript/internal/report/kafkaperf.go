package report

import (
	"fmt"
	"io"
)

// WriteKafkaPerf prints, for each scenario that sent records, the final line of Apache Kafka's kafka-producer-perf-test, for
// the scripts that read it. As there, MB are 2^20 bytes of values, and percentiles are whole milliseconds. The latency counts
// from the intended send time, as everywhere in loadscript.
func WriteKafkaPerf(w io.Writer, r *Results) error {
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		m := s.metric("produce.latency")
		if m == nil {
			continue
		}
		l, rate, size := &m.Whole, s.Totals.AckedRate, 0.0
		if s.Totals.Acked > 0 {
			size = float64(s.Totals.Bytes) / float64(s.Totals.Acked)
		}
		ms := func(ns int64) float64 { return float64(ns) / 1e6 }
		if _, err := fmt.Fprintf(w, "%d records sent, %f records/sec (%.2f MB/sec), %.2f ms avg latency, %.2f ms max latency, %.0f ms 50th, %.0f ms 95th, %.0f ms 99th, %.0f ms 99.9th.\n",
			l.Count, rate, rate*size/(1<<20), ms(l.MeanNs), ms(l.MaxNs), ms(l.P50Ns), ms(l.P95Ns), ms(l.P99Ns), ms(l.P999Ns)); err != nil {
			return err
		}
	}
	return nil
}
