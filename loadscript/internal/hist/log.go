package hist

import (
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Log writes histograms as an HDR interval log (format 1.3, V2 encoding), which the tools around HdrHistogram read:
//
//	#[Histogram log format version 1.3]
//	#[StartTime: 1795000000 (seconds since epoch), 2026-11-18T…Z]
//	"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
//	Tag=produce.latency,12.000000,1.000000,4.210000,HISTFAAA…     seconds since StartTime, seconds, milliseconds, base64
type Log struct {
	w     *hdrhistogram.HistogramLogWriter
	start int64 // milliseconds since 1970
}

// NewLog writes the head of the log.
func NewLog(w io.Writer, started time.Time) (*Log, error) {
	// The head's time has whole seconds, so intervals count from there.
	l := &Log{w: hdrhistogram.NewHistogramLogWriter(w), start: started.Unix() * 1000}
	if err := l.w.OutputLogFormatVersion(); err != nil {
		return nil, err
	}
	if err := l.w.OutputStartTime(l.start); err != nil {
		return nil, err
	}
	l.w.SetBaseTime(l.start)
	return l, l.w.OutputLegend()
}

// Write adds the latencies of [begin, end). The tag must hold no comma, blank or end of line. The histogram is unchanged but
// for its stamps.
func (l *Log) Write(tag string, begin, end time.Time, h *Histogram) error {
	h.hdr.SetTag(tag)
	h.hdr.SetStartTimeMs(begin.UnixMilli())
	h.hdr.SetEndTimeMs(end.UnixMilli())
	if err := l.w.OutputIntervalHistogram(h.hdr); err != nil {
		return fmt.Errorf("hist: %w", err)
	}
	return nil
}

// Below counts, for each of the ascending edges, how many latencies are at most that. A latency counts with the others of its
// HDR bucket, so an edge is exact within 0.1 % (H3).
func (h *Histogram) Below(edges []time.Duration) []int64 {
	counts := make([]int64, len(edges))
	i := 0
	for _, bar := range h.hdr.Distribution() {
		for i < len(edges) && bar.From > int64(edges[i]) {
			i++
		}
		if i == len(edges) {
			break
		}
		counts[i] += bar.Count
	}
	for i := 1; i < len(counts); i++ {
		counts[i] += counts[i-1]
	}
	return counts
}
