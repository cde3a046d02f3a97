package drive

import (
	"maps"

	"github.com/streambus/streambus/loadscript/internal/report"
)

// maxRows bounds the rows that are kept in memory, and stand in the results: an hour of seconds. Of a longer run neighbours
// are merged into rows of two seconds, then four, and so on, so that memory is flat however long it goes. The sink has seen
// every second.
const maxRows = 3600

// rowList is the series as it is kept.
type rowList struct {
	rows   []report.Second
	stride int // seconds in a row; the last row may have fewer
	filled int // seconds in the last row
}

func (l *rowList) add(row report.Second) {
	if l.stride == 0 {
		l.stride = 1
	}
	if n := len(l.rows); n > 0 && l.filled < l.stride {
		l.rows[n-1] = merged(l.rows[n-1], row)
		l.filled++
		return
	}
	if len(l.rows) == maxRows {
		for i := range maxRows / 2 {
			l.rows[i] = merged(l.rows[2*i], l.rows[2*i+1])
		}
		clear(l.rows[maxRows/2:])
		l.rows = l.rows[:maxRows/2]
		l.stride *= 2
	}
	l.rows = append(l.rows, row)
	l.filled = 1
}

// merged is one row for two neighbours, b after a. Counts add up; of latencies, lags and memory the worst is kept, so that no
// peak is smoothed away (percentiles cannot be averaged); rates of use are means over time.
func merged(a, b report.Second) report.Second {
	m := b
	m.WidthNs = a.WidthNs + b.WidthNs
	m.Offered += a.Offered
	m.Handed += a.Handed
	m.Acked += a.Acked
	m.Errors += a.Errors
	m.Dropped += a.Dropped
	m.Delivered += a.Delivered
	m.InFlight = max(a.InFlight, b.InFlight)
	m.Lag = max(a.Lag, b.Lag)
	m.Produce, m.Service = worse(a.Produce, b.Produce), worse(a.Service, b.Service)
	m.Delay, m.E2E = worse(a.Delay, b.Delay), worse(a.E2E, b.E2E)
	wa, wb := float64(a.WidthNs), float64(b.WidthNs)
	mean := func(x, y float64) float64 {
		if x < 0 || y < 0 || wa+wb == 0 { // not known in one of them
			return max(x, y)
		}
		return (x*wa + y*wb) / (wa + wb)
	}
	m.GenCPU, m.BrokerCPU = mean(a.GenCPU, b.GenCPU), mean(a.BrokerCPU, b.BrokerCPU)
	m.GenRSS, m.GCPauseNs = max(a.GenRSS, b.GenRSS), a.GCPauseNs+b.GCPauseNs
	if len(a.Lags) > 0 {
		m.Lags = maps.Clone(a.Lags)
		for name, n := range b.Lags {
			m.Lags[name] = max(m.Lags[name], n)
		}
	}
	m.Brokers = nil
	for _, y := range b.Brokers {
		for _, x := range a.Brokers {
			if x.ID == y.ID {
				y.CPU, y.RSS, y.FDs, y.Goroutines = mean(x.CPU, y.CPU), max(x.RSS, y.RSS), max(x.FDs, y.FDs), max(x.Goroutines, y.Goroutines)
				y.DiskRead, y.DiskWrite = mean(x.DiskRead, y.DiskRead), mean(x.DiskWrite, y.DiskWrite)
				y.NetIn, y.NetOut = mean(x.NetIn, y.NetIn), mean(x.NetOut, y.NetOut)
			}
		}
		m.Brokers = append(m.Brokers, y)
	}
	return m
}

func worse(a, b report.Quantiles) report.Quantiles {
	return report.Quantiles{
		N: a.N + b.N, P50Ns: max(a.P50Ns, b.P50Ns), P90Ns: max(a.P90Ns, b.P90Ns), P99Ns: max(a.P99Ns, b.P99Ns),
		P999Ns: max(a.P999Ns, b.P999Ns), MaxNs: max(a.MaxNs, b.MaxNs),
	}
}
