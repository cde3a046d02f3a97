package engine_test

import (
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/bench/bare"
)

// pacedTick is the grain of the schedule: records that are due within it are due together at its end.
const pacedTick = 100 * time.Microsecond

// paced offers records at a rate that does not depend on how fast they are acknowledged.
type paced struct {
	parts  []*partition
	*slots // no more of them are under way; a late schedule waits for a free one, and the wait counts
}

func newPaced(parts []*partition) *paced {
	const most = 4096
	return &paced{parts: parts, slots: newSlots(most, 1, 1024)}
}

// round offers rate records a second for d. The latencies are from the time at which a record was due to when its owner knows;
// late is from then to the Append.
func (p *paced) round(rate float64, d time.Duration) (r bare.Run, late *bare.Histogram, err error) {
	all := make(chan int64, 1) // how many were sent, when all are
	late = &bare.Histogram{}
	r, err = bare.Round(d, 2, func(i int, t *bare.Tally, stop *atomic.Bool) error {
		if i == 1 {
			return p.collect(t, all)
		}
		n, err := p.offer(rate, late, stop)
		all <- n
		return err
	})
	return r, late, err
}

func (p *paced) offer(rate float64, late *bare.Histogram, stop *atomic.Bool) (sent int64, err error) {
	tick, err := bare.NewTicker(pacedTick)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tick.Close() }()
	due := tick.Begin()
	owed := 0.0
	for !stop.Load() {
		ticks, err := tick.Wait()
		if err != nil {
			return sent, err
		}
		for range ticks {
			due = due.Add(pacedTick)
			for owed += rate * pacedTick.Seconds(); owed >= 1; owed-- {
				s := <-p.free
				s.restamp()
				s.begin = due
				late.Add(time.Since(due))
				if err := p.parts[int(sent)%len(p.parts)].send(s); err != nil {
					return sent, err
				}
				sent++
			}
		}
	}
	return sent, nil
}

// collect notes acknowledgements until all that was sent has come back.
func (p *paced) collect(t *bare.Tally, all <-chan int64) error {
	for got, want := int64(0), int64(-1); got != want; {
		select {
		case want = <-all:
		case s := <-p.acked:
			got++
			if s.err != nil {
				return s.err
			}
			t.Latency.Add(time.Since(s.begin))
			t.Ops++
			t.Bytes += int64(len(s.b))
			s.letGo()
		}
	}
	return nil
}
