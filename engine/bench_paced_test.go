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
	parts []*partition
	free  chan *slot // no more than its capacity are under way; a late schedule waits here, and the wait counts
	done  chan *slot
}

func newPaced(parts []*partition) *paced {
	const most = 4096
	p := &paced{parts: parts, free: make(chan *slot, most), done: make(chan *slot, most+1)}
	for range most {
		p.free <- newSlot(1, 1024, p.done)
	}
	return p
}

// round offers rate records a second for d. The latencies are from the time at which a record was due to when its owner knows;
// late is from then to the Append.
func (p *paced) round(rate float64, d time.Duration) (r bare.Run, late *bare.Histogram, err error) {
	var sent atomic.Int64
	late = &bare.Histogram{}
	r, err = bare.Round(d, 2, func(i int, t *bare.Tally, stop *atomic.Bool) error {
		if i == 1 {
			return p.collect(t, &sent)
		}
		n, err := p.offer(rate, late, stop)
		sent.Store(n)
		p.done <- nil
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
func (p *paced) collect(t *bare.Tally, sent *atomic.Int64) error {
	var got int64
	for finished := false; !finished || got < sent.Load(); {
		s := <-p.done
		if s == nil {
			finished = true
			continue
		}
		got++
		if s.err != nil {
			return s.err
		}
		t.Latency.Add(time.Since(s.begin))
		t.Ops++
		t.Bytes += int64(len(s.b))
		p.free <- s
	}
	return nil
}
